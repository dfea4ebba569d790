"""The way back: a model that predicts, made to draw. Decoding chance gives what the model takes to be likely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nerv_codec.base.errors import expect
from nerv_codec.base.video import Plane, plane_dtype
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.lossless.bit_kernel import ENTROPY, SHARPNESS
from nerv_codec.representations.lossless.byte_stream import ByteStream
from nerv_codec.representations.lossless.gop_coder import beside_plane, no_vectors, search_motion
from nerv_codec.representations.lossless.layout import SampleLayout
from nerv_codec.representations.lossless.plane_coder import CodedPlane, Drawing, PlaneCoder
from nerv_codec.representations.lossless.start import load_start

_BYTES_PER_SAMPLE = 8
"""Of chance, far more than a sample takes: as many bits as it carries surprise."""
_READ_AHEAD = 4
"""Bytes that a stream takes before its first decision."""


@dataclass(frozen=True)
class Imagined:
    """Frames of which a part was drawn."""

    frames: tuple[tuple[Plane, ...], ...]
    """All of them; what was given stands in them as it was."""
    chance_bits: int
    """Random bits that drawing took: what coding what was drawn takes."""
    entropy_bits: float
    """The sum of the entropies of what was drawn, each given all before: what it is expected to cost."""


def imagine(
    frames: Sequence[tuple[Plane, ...]],
    layout: SampleLayout,
    *,
    known_rows: int | None = None,
    more: int = 0,
    seed: int = 0,
    temperature: float = 1.0,
) -> Imagined:
    """Frames as they might go on, drawn sample by sample from what the lossless model expects.

    A stream of random bits, decoded, is distributed as the model says; so this is a decoder that is given chance.

    Args:
        frames: What is given; they are learnt from.
        layout: Planes and their sizes.
        known_rows: So many rows of luma are given of the last frame, 0..height; None is all.
        more: Frames behind the given ones, of which nothing is given; they move as the last given ones do.
        seed: Where chance begins.
        temperature: Above 0; 1 is the model's own distribution, less keeps to what is likely. It divides the logit of
            each decision.

    Raises:
        UsageError: An argument is out of its range.
    """
    height, width = frames[0][0].shape
    known_rows = height if known_rows is None else known_rows
    expect(0 <= known_rows <= height, f"known rows in 0..{height}", known_rows)
    expect(temperature > 0, "a temperature above 0", temperature)
    fmt = layout.pixel_format
    chance, drawing = np.random.default_rng(seed), np.zeros(2)
    drawing[SHARPNESS] = 1 / temperature
    coders, streams = [], []
    for plane in range(fmt.num_planes):
        size = fmt.plane_size(plane, height, width)
        stream = ByteStream(chance.bytes(_BYTES_PER_SAMPLE * size[0] * size[1] * (1 + more)))
        streams.append(stream)
        coders.append(PlaneCoder(plane, size, layout.shifts(plane), fmt.max_value, stream, load_start().state))
    geometry = GopGeometry(len(frames) + more, height, width, fmt.num_planes)
    whole = [frame[0] for frame in frames[: len(frames) - (known_rows < height)]]
    motion = list(search_motion(whole, geometry)) or [no_vectors(geometry)]
    out: list[tuple[Plane, ...]] = []
    for t in range(geometry.num_frames):
        given = frames[t] if t < len(frames) else None
        share = height if t < len(frames) - 1 else known_rows if given else 0
        done: list[CodedPlane] = []
        for plane, coder in enumerate(coders):
            shifts = layout.shifts(plane)
            samples = None if given is None else given[plane]
            rows = Drawing(-(-share >> shifts[0]), drawing)
            done.append(coder.code(samples, beside_plane(done, shifts), motion[min(t, len(motion) - 1)], rows))
        out.append(tuple(plane.samples.astype(plane_dtype(fmt.bit_depth)) for plane in done))
    spent = sum(stream.num_bytes - _READ_AHEAD for stream in streams)
    return Imagined(tuple(out), 8 * spent, float(drawing[ENTROPY]))
