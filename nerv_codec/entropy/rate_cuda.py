"""Bits of continuous latents under the context model, and their gradients, on a GPU: all grids in one launch.

Each program takes BLOCK latents of one grid: their contexts, the network, the bits, and the way back, where
gradients of neighbours are added atomically. `rate_cpu` is the same on the CPU;
`context_model.NUM_INPUTS` says what inputs are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import triton
import triton.language as tl
from torch import Tensor

from nerv_codec.entropy import grids as columns
from nerv_codec.entropy import rate_cpu as cpu
from nerv_codec.entropy.context_model import CLIP, NUM_INPUTS, RateParameters
from nerv_codec.entropy.grids import GridTable

BLOCK = 128
SLOTS = 64
"""Copies in which programs add up the network's gradient."""

_CROSS = ((-1, 0), (1, 0), (0, -1), (0, 1))
_HERE = ((0, 0),)
_TERMS = (
    ((0, -1),), ((0, -2),), ((-1, -1),), ((-1, 0),), ((-1, 1),),
    ((0, -1), (-1, 0)), ((-1, -1), (-1, 1)), ((0, -2), (-2, 0), (-1, -2), (-1, 2)),
    _HERE, _HERE, _CROSS, _HERE, _HERE, _CROSS,
)  # fmt: skip
"""(row, column) of what each input adds up: inputs 0..7 in the grid itself, 8..10 in the coarser one, 11..13 in the
references."""
_DOWN = tl.constexpr(tuple(down for terms in _TERMS for down, _ in terms))
_RIGHT = tl.constexpr(tuple(right for terms in _TERMS for _, right in terms))
_BEGIN = tl.constexpr(tuple(sum(map(len, _TERMS[:k])) for k in range(len(_TERMS) + 1)))
"""Where the terms of each input begin."""
_MAGNITUDE = tl.constexpr((False,) * 5 + (True,) * 3 + (False, True, True) * 2)
_OWN, _COARSE = tl.constexpr(8), tl.constexpr(11)
_INPUTS, _COLUMNS = tl.constexpr(NUM_INPUTS), tl.constexpr(columns.NUM_COLUMNS)
_CLIP = tl.constexpr(float(CLIP))
_LOW, _HIGH = tl.constexpr(cpu.MIN_LOG2_SCALE), tl.constexpr(cpu.MAX_LOG2_SCALE)
_FLOOR, _SPAN = tl.constexpr(cpu.FLOOR_BITS), tl.constexpr(cpu.FLOOR_SPAN)
_LOG2E, _LN2 = tl.constexpr(float(1 / np.log(2))), tl.constexpr(float(np.log(2)))
_OFFSET, _ROWS, _COLS = tl.constexpr(columns.OFFSET), tl.constexpr(columns.ROWS), tl.constexpr(columns.COLS)
_COARSER, _SHIFT = tl.constexpr(columns.COARSE), tl.constexpr(columns.SHIFT)
_CONTEXT_CLASS = tl.constexpr(columns.CONTEXT_CLASS)
_REF0, _REF1 = tl.constexpr(columns.REF0), tl.constexpr(columns.REF1)


def make_blocks(table: GridTable, device: torch.device) -> Tensor:
    """The active grids cut into blocks, (m, 2) int32: the grid, and the first latent within it."""
    parts = [np.zeros((0, 2), np.int32)]
    for number, grid in enumerate(table):
        if grid.active:
            starts = np.arange(0, grid.size, BLOCK)
            parts.append(np.stack((np.full_like(starts, number), starts), -1).astype(np.int32))
    return torch.from_numpy(np.concatenate(parts)).to(device)


@triton.jit
def _index(
    k: tl.constexpr, t: tl.constexpr,
    i, j, offset, rows, cols, c_offset, c_rows, c_cols, shift, ref, maps, valid,
):  # fmt: skip
    """Where the latents stand that term t, of input k, takes, and whether there are any."""
    down: tl.constexpr = _DOWN[t]
    right: tl.constexpr = _RIGHT[t]
    if k < _OWN:
        row, col = i + down, j + right
        inside = valid & (row >= 0) & (col >= 0) & (col < cols)
        index = offset + row * cols + col
    elif k < _COARSE:
        row, col = (i >> shift) + down, (j >> shift) + right
        inside = valid & (row >= 0) & (row < c_rows) & (col >= 0) & (col < c_cols)
        index = c_offset + row * c_cols + col
    else:
        row, col = i + down, j + right
        inside = valid & (row >= 0) & (row < rows) & (col >= 0) & (col < cols) & (ref >= 0)
        index = tl.load(maps + ref + row * cols + col, mask=inside, other=0)
    return index, inside


@triton.jit
def _fetch(y, index, inside, magnitude: tl.constexpr):
    v = tl.load(y + index, mask=inside, other=0.0)
    v = tl.minimum(tl.maximum(v, -_CLIP), _CLIP)
    if magnitude:
        u = tl.abs(v)
        v = tl.where(u > 1.0, u, u * u * (2.0 - u))
    return v


@triton.jit
def _give(y, dy, index, inside, g, magnitude: tl.constexpr):
    """The way back of :func:`_fetch`."""
    v = tl.load(y + index, mask=inside, other=_CLIP)
    u = tl.abs(v)
    if magnitude:
        slope = tl.where(u > 1.0, 1.0, u * (4.0 - 3.0 * u))
        g *= tl.where(v > 0.0, slope, -slope)
    tl.atomic_add(dy + index, g, mask=inside & (u < _CLIP), sem="relaxed")


@triton.jit
def _input(
    k: tl.constexpr, y, i, j, offset, rows, cols, c_offset, c_rows, c_cols, shift, ref0, ref1, weight, maps, valid
):  # fmt: skip
    x = tl.zeros_like(i).to(tl.float32)
    first: tl.constexpr = _BEGIN[k]
    last: tl.constexpr = _BEGIN[k + 1]
    for t in tl.static_range(first, last):
        index, inside = _index(k, t, i, j, offset, rows, cols, c_offset, c_rows, c_cols, shift, ref0, maps, valid)
        x += _fetch(y, index, inside, _MAGNITUDE[k])
        if k >= _COARSE:
            index, inside = _index(k, t, i, j, offset, rows, cols, c_offset, c_rows, c_cols, shift, ref1, maps, valid)
            x += _fetch(y, index, inside, _MAGNITUDE[k])
    if k >= _COARSE:
        x *= weight
    return x


@triton.jit
def _input_backward(
    k: tl.constexpr, g, y, dy, i, j, offset, rows, cols, c_offset, c_rows, c_cols, shift, ref0, ref1, weight, maps,
    valid,
):  # fmt: skip
    if k >= _COARSE:
        g *= weight
    first: tl.constexpr = _BEGIN[k]
    last: tl.constexpr = _BEGIN[k + 1]
    for t in tl.static_range(first, last):
        index, inside = _index(k, t, i, j, offset, rows, cols, c_offset, c_rows, c_cols, shift, ref0, maps, valid)
        _give(y, dy, index, inside, g, _MAGNITUDE[k])
        if k >= _COARSE:
            index, inside = _index(k, t, i, j, offset, rows, cols, c_offset, c_rows, c_cols, shift, ref1, maps, valid)
            _give(y, dy, index, inside, g, _MAGNITUDE[k])


@triton.jit
def _laplace(y, mu, scale):
    """Bits, and their derivatives by location and log2-scale."""
    s = tl.minimum(tl.maximum(scale, _LOW), _HIGH)
    a = tl.exp2(-s)
    r = y - mu
    u = tl.abs(r)
    inside = u < 0.5
    near = tl.exp2(-a * tl.abs(u - 0.5) * _LOG2E)
    whole = tl.exp2(-a * _LOG2E)
    far = tl.exp2(-a * (u + 0.5) * _LOG2E)
    p_in = tl.maximum(1.0 - 0.5 * (near + far), 1e-30)
    p_out = 0.5 * (1.0 - whole)
    bits = tl.where(inside, 0.0, a * (u - 0.5) * _LOG2E) - tl.log2(tl.where(inside, p_in, p_out))
    by_u = tl.where(inside, 0.5 * a * (near - far) / p_in, a)
    by_a_in = -0.5 * ((0.5 - u) * near + (0.5 + u) * far) / p_in
    by_a = tl.where(inside, by_a_in, (u - 0.5) - whole / (1.0 - whole))
    over = tl.maximum(bits - _FLOOR, 0.0)
    q = 1.0 / (1.0 + over / _SPAN)
    slope = q * q * _LOG2E
    by_s = -by_a * a * _LN2 * slope
    # At the ends of the range a derivative passes only if it leads back inside.
    outward = ((scale < _LOW) & (by_s > 0.0)) | ((scale > _HIGH) & (by_s < 0.0))
    by_mu = tl.where(r < 0.0, by_u, -by_u) * slope
    return tl.minimum(bits, _FLOOR) + over * q, by_mu, tl.where(outward, 0.0, by_s)


@triton.jit
def rate_kernel(
    blocks, table, maps, y, dy, factor, parameters, hidden, biases, classes, sums, sums_size,
    HIDDEN: tl.constexpr, SLOTS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """See :func:`rate`."""
    number = tl.load(blocks + 2 * tl.program_id(0))
    grid = table + number * _COLUMNS
    offset, rows, cols = tl.load(grid + _OFFSET), tl.load(grid + _ROWS), tl.load(grid + _COLS)
    shift, context_class = tl.load(grid + _SHIFT), tl.load(grid + _CONTEXT_CLASS)
    ref0, ref1 = tl.load(grid + _REF0), tl.load(grid + _REF1)
    weight = tl.where((ref0 >= 0) & (ref1 >= 0), 1.0, 2.0)
    coarse = tl.load(grid + _COARSER)
    above = table + tl.maximum(coarse, 0) * _COLUMNS
    c_offset, c_cols = tl.load(above + _OFFSET), tl.load(above + _COLS)
    c_rows = tl.where(coarse >= 0, tl.load(above + _ROWS), 0)
    at = tl.load(blocks + 2 * tl.program_id(0) + 1) + tl.arange(0, BLOCK)
    valid = at < rows * cols
    i, j = at // cols, at % cols

    neuron = tl.arange(0, HIDDEN)
    real = neuron < hidden
    w1, b1 = parameters, parameters + hidden * _INPUTS
    w2 = b1 + biases * hidden
    b2 = w2 + 2 * hidden
    w3 = b2 + classes * 2
    row = tl.minimum(context_class, biases - 1)
    start = tl.load(b1 + row * hidden + neuron, mask=real, other=0.0)
    h = tl.zeros((BLOCK, HIDDEN), tl.float32) + start[None, :]
    mu = tl.zeros((BLOCK,), tl.float32) + tl.load(b2 + 2 * context_class)
    scale = tl.zeros((BLOCK,), tl.float32) + tl.load(b2 + 2 * context_class + 1)
    for k in tl.static_range(_INPUTS):
        x = _input(k, y, i, j, offset, rows, cols, c_offset, c_rows, c_cols, shift, ref0, ref1, weight, maps, valid)
        h += x[:, None] * tl.load(w1 + neuron * _INPUTS + k, mask=real, other=0.0)[None, :]
        mu += x * tl.load(w3 + k)
        scale += x * tl.load(w3 + _INPUTS + k)
    h = tl.maximum(h, 0.0)
    w2_mu = tl.load(w2 + neuron, mask=real, other=0.0)
    w2_scale = tl.load(w2 + hidden + neuron, mask=real, other=0.0)
    mu += tl.sum(h * w2_mu[None, :], 1)
    scale += tl.sum(h * w2_scale[None, :], 1)
    bits, g_mu, g_scale = _laplace(tl.load(y + offset + at, mask=valid, other=0.0), mu, scale)
    bits = tl.where(valid, bits, 0.0)
    g_mu, g_scale = tl.where(valid, factor * g_mu, 0.0), tl.where(valid, factor * g_scale, 0.0)

    tl.atomic_add(dy + offset + at, -g_mu, mask=valid, sem="relaxed")
    dh = g_mu[:, None] * w2_mu[None, :] + g_scale[:, None] * w2_scale[None, :]
    dh = tl.where(h > 0.0, dh, 0.0)
    own = sums + tl.program_id(0) % SLOTS * sums_size
    d_b1 = own + hidden * _INPUTS
    d_w2 = d_b1 + biases * hidden
    d_b2 = d_w2 + 2 * hidden
    d_w3 = d_b2 + classes * 2
    tl.atomic_add(d_b1 + row * hidden + neuron, tl.sum(dh, 0), mask=real, sem="relaxed")
    tl.atomic_add(d_w2 + neuron, tl.sum(h * g_mu[:, None], 0), mask=real, sem="relaxed")
    tl.atomic_add(d_w2 + hidden + neuron, tl.sum(h * g_scale[:, None], 0), mask=real, sem="relaxed")
    tl.atomic_add(d_b2 + 2 * context_class, tl.sum(g_mu, 0), sem="relaxed")
    tl.atomic_add(d_b2 + 2 * context_class + 1, tl.sum(g_scale, 0), sem="relaxed")
    tl.atomic_add(d_w3 + 2 * _INPUTS, tl.sum(bits, 0), sem="relaxed")
    for k in tl.static_range(_INPUTS):
        x = _input(k, y, i, j, offset, rows, cols, c_offset, c_rows, c_cols, shift, ref0, ref1, weight, maps, valid)
        tl.atomic_add(own + neuron * _INPUTS + k, tl.sum(dh * x[:, None], 0), mask=real, sem="relaxed")
        tl.atomic_add(d_w3 + k, tl.sum(g_mu * x, 0), sem="relaxed")
        tl.atomic_add(d_w3 + _INPUTS + k, tl.sum(g_scale * x, 0), sem="relaxed")
        g = tl.sum(dh * tl.load(w1 + neuron * _INPUTS + k, mask=real, other=0.0)[None, :], 1)
        g += g_mu * tl.load(w3 + k) + g_scale * tl.load(w3 + _INPUTS + k)
        _input_backward(
            k, g, y, dy, i, j, offset, rows, cols, c_offset, c_rows, c_cols, shift, ref0, ref1, weight, maps, valid
        )


def rate(
    y: Tensor, blocks: Tensor, table: Tensor, maps: Tensor, parameters: RateParameters,
    factor: float, gradient: Tensor,
) -> tuple[float, list[npt.NDArray[np.float32]]]:  # fmt: skip
    """Bits of all active grids; adds ``factor`` times the gradient of the bits to ``gradient``.

    Args:
        y: All latents, float32.
        blocks: As :func:`make_blocks` makes them from the table.
        table: The array of a ``GridTable``, int32.
        maps: All reference maps, int32.
        parameters: The network, float32.
        factor: Of all gradients.
        gradient: As ``y``, float32.

    Returns:
        The bits, and ``factor`` times the gradient of each parameter.
    """
    flat = torch.from_numpy(np.concatenate([np.ravel(array) for array in parameters]).astype(np.float32))
    sums = torch.zeros(SLOTS, len(flat) + 1, device=y.device)
    hidden = parameters[0].shape[0]
    if len(blocks):
        rate_kernel[(len(blocks),)](
            blocks, table, maps, y, gradient, factor, flat.to(y.device), hidden, len(parameters[1]),
            len(parameters[3]), sums, sums.shape[1],
            HIDDEN=max(2, triton.next_power_of_2(hidden)), SLOTS=SLOTS, BLOCK=BLOCK,
        )  # fmt: skip
    found = sums.double().sum(0).cpu().numpy()
    ends = np.cumsum([array.size for array in parameters])[:-1]
    parts = np.split(found[:-1].astype(np.float32), ends)
    return float(found[-1]), [part.reshape(array.shape) for part, array in zip(parts, parameters, strict=True)]
