"""Analysis in a closed loop: never worse by what it weighs, and much better where the analysis has seen little."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from moving import moving_texture

from nerv_codec.base.video import PixelFormat
from nerv_codec.representations.shared.analysing import analysed
from nerv_codec.representations.shared.band_coder import flag_counts, put_latents
from nerv_codec.representations.shared.canvas import parts, to_canvas
from nerv_codec.representations.shared.networks import distortion
from nerv_codec.representations.shared.quality import lambda_value
from nerv_codec.representations.shared.stream import StreamWriter
from nerv_codec.representations.shared.weights import load_weights
from nerv_codec.representations.warped.closed_loop import analysed_in_loop
from nerv_codec.representations.warped.coding import mended, predicted

INDEX = 30


def text() -> list[np.ndarray]:
    luma = np.full((96, 128), 235, np.uint8)
    for line, words in enumerate(("a white page", "with some text", "on every line")):
        cv2.putText(luma, words, (4, 28 + 24 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 16, 1, cv2.LINE_AA)
    return [luma, *[np.full((48, 64), 128, np.uint8)] * 2]


@pytest.mark.parametrize(("name", "share"), [("text", 0.95), ("texture", 1.0)])
def test_the_loop_costs_no_more_and_text_much_less(name: str, share: float) -> None:
    planes = text() if name == "text" else next(iter(moving_texture(PixelFormat(), 96, 128, 1)))
    part, weights = parts([plane.shape for plane in planes])[0], load_weights()
    canvas = to_canvas(planes, 8, part)
    told = predicted([], 0, None, (96, 128), INDEX, part, weights)

    def cost(latents) -> float:
        out = StreamWriter()
        put_latents(latents, weights.alone.context, told.conditions, flag_counts(), out)
        error = float(distortion(canvas, mended(latents, told, weights).tensor(), 2.0)[0])
        return error / lambda_value(INDEX) + 32 * out.used / (96 * 128)

    _, once = analysed(canvas, told.prediction, told.conditions, weights)
    _, looped = analysed_in_loop(canvas, told, weights)
    assert cost(looped) <= share * cost(once)
