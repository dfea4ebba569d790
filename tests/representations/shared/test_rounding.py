import numpy as np
import torch

from nerv_codec.representations.shared.analysing import analysed
from nerv_codec.representations.shared.band_coder import Conditions
from nerv_codec.representations.shared.canvas import parts, to_canvas
from nerv_codec.representations.shared.integer_prediction import IntegerPrediction
from nerv_codec.representations.shared.weights import load_weights

INDEX, ROWS, COLS = 44, 64, 96


def test_training_rounds_as_the_encoder_does():
    rows, cols = np.mgrid[:ROWS, :COLS]
    rough = np.random.default_rng(0).normal(0, 9, (ROWS, COLS))
    luma = np.clip(120 + 50 * np.sin(rows / 7) * np.cos(cols / 9) + rough, 0, 255).astype(np.uint8)
    planes = [luma, luma[::2, ::2], 255 - luma[::2, ::2]]
    weights = load_weights()
    canvas = to_canvas(planes, 8, parts([plane.shape for plane in planes])[0])
    told, none = Conditions(INDEX, components=3), IntegerPrediction.none(ROWS, COLS)
    with torch.no_grad():
        trained = weights.alone.floating(canvas, none.floating(), torch.tensor([float(INDEX)]))
    _, decided = analysed(canvas, none, told, weights)
    _, rounded = analysed(canvas, none, told, weights, decide=False)

    def coded(latents):
        return sum(int(np.count_nonzero(grid)) for grid in latents.values())

    there = {level: grid[0].numpy() for level, grid in trained.latents.items()}
    assert np.array_equal(there[16][:3], decided[16][:3])  # low-pass bands are not decided
    alike = [np.mean(there[level] == grid) for level, grid in decided.items()]
    assert min(alike) > 0.9
    assert coded(decided) < 0.95 * coded(rounded)
    assert abs(coded(there) - coded(decided)) < 0.3 * (coded(rounded) - coded(decided))
