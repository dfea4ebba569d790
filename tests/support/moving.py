"""Textures that move, with noise: what a predictor has something to learn from."""

from __future__ import annotations

import numpy as np

from nerv_codec.base.video import PixelFormat, Plane, plane_dtype


def moving_texture(fmt: PixelFormat, height: int, width: int, frames: int, seed: int = 3) -> list[tuple[Plane, ...]]:
    """Planes of frames; content moves by (1, -2) pixels a frame, and a square the other way."""
    rng = np.random.default_rng(seed)
    texture = np.kron(rng.integers(0, 160, (height // 2 + frames + 2, width // 2 + frames + 2)), np.ones((2, 2), int))
    texture = (texture + np.roll(texture, 1, 0) + np.roll(texture, 1, 1) + np.roll(texture, 2, 1)) // 4
    pictures = []
    for t in range(frames):
        luma = texture[t : t + height, 2 * t : 2 * t + width] + rng.integers(0, 6, (height, width))
        luma[2 : 2 + height // 4, 3 * t : 3 * t + width // 4] = 230
        sizes = [fmt.plane_size(plane, height, width) for plane in range(fmt.num_planes)]
        steps = [(-(-height // rows), -(-width // cols)) for rows, cols in sizes]
        codes = [luma[:: steps[p][0], :: steps[p][1]][: sizes[p][0], : sizes[p][1]] for p in range(fmt.num_planes)]
        codes = [code if p == 0 else 200 - code // (p + 1) for p, code in enumerate(codes)]
        scale = (1 << fmt.bit_depth) // 256
        pictures.append(tuple((code * scale + code % scale).astype(plane_dtype(fmt.bit_depth)) for code in codes))
    return pictures
