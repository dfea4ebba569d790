"""The wavelet CDF 9/7 by lifting (Daubechies, Sweldens 1998), and the bands of a 4:2:0 picture.

Tensors are (batch, channels, rows, cols). Borders repeat the nearest lifting neighbour, which is the whole-sample
symmetric extension for even lengths; the low-pass of a constant is 2 * constant per level (orthonormal in 2-D).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nerv_codec.representations.shared.layout import LEVELS

_PREDICT = (-1.586134342, 0.8829110762)
_UPDATE = (-0.05298011854, 0.4435068522)
_LOW_GAIN = 1.149604398

GRAY = 0.5
"""The prediction of a picture without parents."""
Subbands = dict[int, Tensor]
"""Level to (batch, bands in coding order, rows, cols)."""


def _next(even: Tensor) -> Tensor:
    return torch.cat([even[..., 1:], even[..., -1:]], -1)


def _previous(odd: Tensor) -> Tensor:
    return torch.cat([odd[..., :1], odd[..., :-1]], -1)


def _split(x: Tensor) -> tuple[Tensor, Tensor]:
    """Low and high half of the last axis, whose length is even."""
    low, high = x[..., 0::2], x[..., 1::2]
    for predict, update in zip(_PREDICT, _UPDATE, strict=True):
        high = high + predict * (low + _next(low))
        low = low + update * (high + _previous(high))
    return low * _LOW_GAIN, high / _LOW_GAIN


def _join(low: Tensor, high: Tensor) -> Tensor:
    low, high = low / _LOW_GAIN, high * _LOW_GAIN
    for predict, update in zip(reversed(_PREDICT), reversed(_UPDATE), strict=True):
        low = low - update * (high + _previous(high))
        high = high - predict * (low + _next(low))
    return torch.stack([low, high], -1).flatten(-2)


def _turned(x: Tensor) -> Tensor:
    return x.transpose(-1, -2)


def _forward(x: Tensor) -> tuple[Tensor, Tensor]:
    """One level: LL (batch, c, ...), and HL, LH, HH (batch, 3 c, ...), orientation by orientation."""
    low, high = _split(x)
    ll, lh = (_turned(part) for part in _split(_turned(low)))
    hl, hh = (_turned(part) for part in _split(_turned(high)))
    return ll, torch.cat([hl, lh, hh], 1)


def _inverse(ll: Tensor, details: Tensor) -> Tensor:
    hl, lh, hh = details.chunk(3, 1)
    return _join(_turned(_join(_turned(ll), _turned(lh))), _turned(_join(_turned(hl), _turned(hh))))


def forward(planes: Tensor) -> Subbands:
    """Bands of a picture given as six planes of half its size (see :func:`pack`), rows and cols multiples of 8.

    It is linear: what is coded is the difference to a prediction, which is mid-gray (`GRAY`) where there is no other.
    """
    luma, chroma = functional.pixel_shuffle(planes[:, :4], 2), planes[:, 4:]
    luma, finest = _forward(luma)
    found = {LEVELS[-1]: finest}
    for level in reversed(LEVELS[:-1]):
        luma, luma_details = _forward(luma)
        chroma, chroma_details = _forward(chroma)
        found[level] = torch.cat([luma_details, chroma_details], 1)
    found[LEVELS[0]] = torch.cat([luma, chroma, found[LEVELS[0]]], 1)
    return {level: found[level] for level in LEVELS}


def inverse(subbands: Subbands) -> Tensor:
    """The six planes of :func:`forward` again."""
    coarsest = subbands[LEVELS[0]]
    luma, chroma = coarsest[:, :1], coarsest[:, 1:3]
    for level in LEVELS[:-1]:
        details = coarsest[:, 3:] if level == LEVELS[0] else subbands[level]
        luma = _inverse(luma, details[:, :3])
        chroma = _inverse(chroma, details[:, 3:])
    luma = _inverse(luma, subbands[LEVELS[-1]])
    return torch.cat([functional.pixel_unshuffle(luma, 2), chroma], 1)


def pack(luma: Tensor, chroma: Tensor) -> Tensor:
    """Luma (batch, 1, 2 rows, 2 cols) and chroma (batch, 2, rows, cols) as six planes (batch, 6, rows, cols)."""
    return torch.cat([functional.pixel_unshuffle(luma, 2), chroma], 1)


def unpack(planes: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of :func:`pack`."""
    return functional.pixel_shuffle(planes[:, :4], 2), planes[:, 4:]
