"""The `tracked` function on a GPU, tracks to colour, and its gradient: one launch for many frames.

Each program takes a tile of TILE x TILE samples of one frame. A pixel's FEATURES = 8 features lie side by side, so
that a tap of an interpolation kernel is one short run of memory. ``fit`` reads the planes twice, forward and
backward, rather than keep what it read. Gradients of planes are added atomically, in float32; those of tracks are
first gathered over the tile by two small products with interpolation weights; those of the network are first
added up in the tile, and then in one of SLOTS copies, so that few programs wait for each other.

The plain form is ``function.py``; ``cpu/colour.py`` is the same on the CPU. Import only where Triton is.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import triton
import triton.language as tl
from torch import Tensor

from nerv_codec.representations.tracked.shape import CUBIC, FEATURES, PAD, SKIPPED, TRACK_ORIGIN, TRACK_SHIFT

TILE = 16
LANES = 16
"""Inputs and outputs of the network as the products see them: 16 is the least that a product may have."""
SLOTS = 32

_FEATURES, _PAD, _TILE, _LANES = tl.constexpr(FEATURES), tl.constexpr(PAD), tl.constexpr(TILE), tl.constexpr(LANES)
_ORIGIN, _INVERSE_STEP = tl.constexpr(TRACK_ORIGIN), tl.constexpr(1 / (1 << TRACK_SHIFT))
_SKIPPED, _CUBIC = tl.constexpr(SKIPPED), tl.constexpr(CUBIC)


def padded_width(hidden: int) -> int:
    """Width of the network's inner layers as the kernels have it."""
    return max(LANES, triton.next_power_of_2(hidden))


def pack_network(network: Mapping[str, Tensor], hidden: int) -> Tensor:
    """The network's tensors one behind the other, each padded with zeros: (network_size,).

    A padded neuron is sin(0) = 0. Feature f is input 2 f: see ``_widen``.
    """
    width = padded_width(hidden)
    parts = []
    for name, (rows, cols) in _padded_shapes(width).items():
        tensor = network[name].detach().float().reshape(-1, network[name].shape[-1])
        padded = tensor.new_zeros(rows, cols)
        if name in ("w1", "skip"):
            padded[0 : 2 * FEATURES : 2, : tensor.shape[1]] = tensor
        else:
            padded[: tensor.shape[0], : tensor.shape[1]] = tensor
        parts.append(padded.reshape(-1))
    return torch.cat(parts)


def unpack_network(packed: Tensor, shapes: Mapping[str, tuple[int, ...]], hidden: int) -> dict[str, Tensor]:
    """What :func:`pack_network` packed, from the beginning of ``packed``; ``shapes`` without padding."""
    found, at = {}, 0
    for name, (rows, cols) in _padded_shapes(padded_width(hidden)).items():
        part = packed[at : at + rows * cols].view(rows, cols)
        if name in ("w1", "skip"):
            part = part[0 : 2 * FEATURES : 2]
        size = shapes[name] if len(shapes[name]) == 2 else (1, *shapes[name])
        found[name] = part[: size[0], : size[1]].reshape(shapes[name])
        at += rows * cols
    return found


def network_size(hidden: int) -> int:
    """Numbers in a packed network."""
    return sum(rows * cols for rows, cols in _padded_shapes(padded_width(hidden)).values())


def _padded_shapes(width: int) -> dict[str, tuple[int, int]]:
    return {
        "w1": (LANES, width), "w2": (width, width), "w3": (width, LANES), "skip": (LANES, LANES),
        "b1": (1, width), "b2": (1, width), "b3": (1, LANES),
    }  # fmt: skip


@triton.jit
def _matrix(at, rows: tl.constexpr, cols: tl.constexpr):
    return tl.load(at + tl.arange(0, rows)[:, None] * cols + tl.arange(0, cols)[None, :])


@triton.jit
def _sine(x):
    """sin and cos; within 1e-6 for |x| up to some hundreds (Taylor, after reduction by pi)."""
    n = tl.floor(x * 0.3183098861837907 + 0.5)
    r = x - n * 3.140625
    r = r - n * 9.67653589793e-4
    sign = 1.0 - 2.0 * (n - 2.0 * tl.floor(n * 0.5))
    q = r * r
    s = -2.505210838e-8 * q + 2.755731922e-6
    s = s * q - 1.984126984e-4
    s = s * q + 8.333333333e-3
    s = s * q - 1.666666667e-1
    c = 2.087675699e-9 * q - 2.755731922e-7
    c = c * q + 2.480158730e-5
    c = c * q - 1.388888889e-3
    c = c * q + 4.166666667e-2
    c = c * q - 0.5
    return sign * (r + r * q * s), sign * (1.0 + q * c)


@triton.jit
def _cubic(t, tap: tl.constexpr):
    """Catmull-Rom weight of one of the four samples around a place."""
    if tap == 0:
        return 0.5 * t * (t * (2.0 - t) - 1.0)
    elif tap == 1:
        return 1.0 + 0.5 * t * t * (3.0 * t - 5.0)
    elif tap == 2:
        return 0.5 * t * (1.0 + t * (4.0 - 3.0 * t))
    else:
        return 0.5 * t * t * (t - 1.0)


@triton.jit
def _cubic_slope(t, tap: tl.constexpr):
    if tap == 0:
        return 0.5 * (t * (4.0 - 3.0 * t) - 1.0)
    elif tap == 1:
        return 0.5 * t * (9.0 * t - 10.0)
    elif tap == 2:
        return 0.5 * (1.0 + t * (8.0 - 9.0 * t))
    else:
        return 0.5 * t * (3.0 * t - 2.0)


@triton.jit
def _any_cubic(t, tap):
    """:func:`_cubic` for a tap that is known only when the kernel runs: such loops need fewer registers."""
    held = tl.where(tap < 2, t, 1.0 - t)
    return tl.where((tap == 1) | (tap == 2), _cubic(held, 1), _cubic(held, 0))


@triton.jit
def _any_cubic_slope(t, tap):
    held = tl.where(tap < 2, t, 1.0 - t)
    slope = tl.where((tap == 1) | (tap == 2), _cubic_slope(held, 1), _cubic_slope(held, 0))
    return tl.where(tap < 2, slope, -slope)


@triton.jit
def _cells(places, knots):
    """Knot before each place on one axis, and the fraction of the way to the next."""
    position = (places - _ORIGIN) * _INVERSE_STEP
    cell = tl.minimum(tl.maximum(tl.floor(position).to(tl.int32), 0), knots - 2)
    return cell, position - cell.to(tl.float32)


@triton.jit
def _between(knots, at, down, right, pitch):
    """Bilinear between four track knots."""
    a, b = tl.load(knots + at), tl.load(knots + at + 1)
    c, d = tl.load(knots + at + pitch), tl.load(knots + at + pitch + 1)
    above, below = a + down * (c - a), b + down * (d - b)
    return above + right * (below - above)


@triton.jit
def _locate(tracks, sample, at, down, right, knot_rows, knot_cols, plane_cols):
    """Where a tile's pixels read a sample: the element of the upper left tap in its plane, the fractions, the mass."""
    size = knot_rows * knot_cols
    knots = tracks + tl.cast(sample, tl.int64) * (3 * size)
    r = _between(knots, at, down, right, knot_cols)
    c = _between(knots + size, at, down, right, knot_cols)
    mass = _between(knots + 2 * size, at, down, right, knot_cols)
    fr, fc = tl.floor(r), tl.floor(c)
    base = ((fr.to(tl.int32) + _PAD) * plane_cols + fc.to(tl.int32) + _PAD) * _FEATURES
    return base, r - fr, c - fc, mass


@triton.jit
def _tap(plane, at):
    """(N, 8) features of pixels."""
    return tl.load(plane + at[:, None] + tl.arange(0, _FEATURES)[None, :]).to(tl.float32)


@triton.jit
def _add(plane, at, value, valid):
    tl.atomic_add(plane + at[:, None] + tl.arange(0, _FEATURES)[None, :], value, mask=valid[:, None], sem="relaxed")


@triton.jit
def _read(plane, kind, base, down, right, mass, pitch):
    """One sample of a tile's pixels: (N, 8)."""
    z = tl.zeros((_TILE * _TILE, _FEATURES), tl.float32)
    if kind == _CUBIC:
        for i in range(4):
            row = tl.zeros((_TILE * _TILE, _FEATURES), tl.float32)
            for j in tl.static_range(4):
                row += _tap(plane, base + (i - 1) * pitch + (j - 1) * _FEATURES) * _cubic(right, j)[:, None]
            z += row * (mass * _any_cubic(down, i))[:, None]
    else:
        r, c = down[:, None], right[:, None]
        upper = _tap(plane, base)
        upper += c * (_tap(plane, base + _FEATURES) - upper)
        lower = _tap(plane, base + pitch)
        lower += c * (_tap(plane, base + pitch + _FEATURES) - lower)
        z += mass[:, None] * (upper + r * (lower - upper))
    return z


@triton.jit
def _read_backward(plane, gradients, kind, base, down, right, mass, pitch, g, valid):
    """Adjoint of :func:`_read`: adds to the plane's gradient; returns the slopes by row, column and mass: (N,)."""
    by_row = tl.zeros((_TILE * _TILE, _FEATURES), tl.float32)
    by_col = tl.zeros((_TILE * _TILE, _FEATURES), tl.float32)
    value = tl.zeros((_TILE * _TILE, _FEATURES), tl.float32)
    scaled = g * mass[:, None]
    if kind == _CUBIC:
        for i in range(4):
            row = tl.zeros((_TILE * _TILE, _FEATURES), tl.float32)
            slope = tl.zeros((_TILE * _TILE, _FEATURES), tl.float32)
            weight = _any_cubic(down, i)
            for j in tl.static_range(4):
                at = base + (i - 1) * pitch + (j - 1) * _FEATURES
                tap = _tap(plane, at)
                across = _cubic(right, j)
                row += tap * across[:, None]
                slope += tap * _cubic_slope(right, j)[:, None]
                _add(gradients, at, scaled * (weight * across)[:, None], valid)
            value += row * weight[:, None]
            by_row += row * _any_cubic_slope(down, i)[:, None]
            by_col += slope * weight[:, None]
    else:
        r, c = down[:, None], right[:, None]
        v00, v01 = _tap(plane, base), _tap(plane, base + _FEATURES)
        v10, v11 = _tap(plane, base + pitch), _tap(plane, base + pitch + _FEATURES)
        twist = v11 - v10 - v01 + v00
        by_row += v10 - v00 + twist * c
        by_col += v01 - v00 + twist * r
        value += v00 + (v01 - v00) * c + by_row * r
        _add(gradients, base, scaled * ((1.0 - r) * (1.0 - c)), valid)
        _add(gradients, base + _FEATURES, scaled * ((1.0 - r) * c), valid)
        _add(gradients, base + pitch, scaled * (r * (1.0 - c)), valid)
        _add(gradients, base + pitch + _FEATURES, scaled * (r * c), valid)
    return tl.sum(by_row * scaled, 1), tl.sum(by_col * scaled, 1), tl.sum(value * g, 1)


@triton.jit
def _widen(z):
    """(N, 8) to (N, LANES): a zero behind every feature."""
    return tl.reshape(tl.join(z, tl.zeros_like(z)), (_TILE * _TILE, _LANES))


@triton.jit
def _features(planes, plane_size, kinds, nodes, first, last, tracks, at, down, right, knot_rows, knot_cols, plane_cols):
    z = tl.zeros((_TILE * _TILE, _FEATURES), tl.float32)
    for sample in range(first, last):
        node = tl.load(nodes + sample)
        kind = tl.load(kinds + node)
        if kind != _SKIPPED:
            base, r, c, mass = _locate(tracks, sample, at, down, right, knot_rows, knot_cols, plane_cols)
            z += _read(planes + node.to(tl.int64) * plane_size, kind, base, r, c, mass, plane_cols * _FEATURES)
    return z


@triton.jit
def _weights(network, WIDTH: tl.constexpr):
    """The tensors of a packed network: w1, b1, w2, b2, w3, b3, skip."""
    w2 = network + _LANES * WIDTH
    w3 = w2 + WIDTH * WIDTH
    skip = w3 + WIDTH * _LANES
    b1 = skip + _LANES * _LANES
    b2 = b1 + WIDTH
    b3 = b2 + WIDTH
    wide, lanes = tl.arange(0, WIDTH), tl.arange(0, _LANES)
    return (
        _matrix(network, _LANES, WIDTH), tl.load(b1 + wide), _matrix(w2, WIDTH, WIDTH), tl.load(b2 + wide),
        _matrix(w3, WIDTH, _LANES), tl.load(b3 + lanes), _matrix(skip, _LANES, _LANES),
    )  # fmt: skip


@triton.jit
def _synthesis(z, w1, b1, w2, b2, w3, b3, skip, PRECISION: tl.constexpr):
    """Sines and cosines of the first layer and of the second, and colour (N, LANES)."""
    h1, k1 = _sine(tl.dot(z, w1, input_precision=PRECISION) + b1[None, :])
    h2, k2 = _sine(tl.dot(h1, w2, input_precision=PRECISION) + b2[None, :])
    color = tl.dot(h2, w3, input_precision=PRECISION) + b3[None, :]
    color += tl.dot(z, skip, input_precision=PRECISION)
    return h1, k1, h2, k2, color


@triton.jit
def evaluate_kernel(
    planes, plane_size, plane_cols, kinds, nodes, firsts, tracks, knot_rows, knot_cols,
    rows, num_rows, cols, num_cols, network, out, outputs,
    WIDTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """See :func:`evaluate`."""
    moment = tl.program_id(1)
    across = tl.cdiv(num_cols, _TILE)
    pixel = tl.arange(0, _TILE * _TILE)
    i = tl.program_id(0) // across * _TILE + pixel // _TILE
    j = tl.program_id(0) % across * _TILE + pixel % _TILE
    valid = (i < num_rows) & (j < num_cols)
    cell_row, down = _cells(tl.load(rows + tl.minimum(i, num_rows - 1)), knot_rows)
    cell_col, right = _cells(tl.load(cols + tl.minimum(j, num_cols - 1)), knot_cols)
    z = _widen(
        _features(
            planes, plane_size, kinds, nodes, tl.load(firsts + moment), tl.load(firsts + moment + 1), tracks,
            cell_row * knot_cols + cell_col, down, right, knot_rows, knot_cols, plane_cols,
        )
    )  # fmt: skip
    _, _, _, _, color = _synthesis(z, *_weights(network, WIDTH), PRECISION)
    lanes = tl.arange(0, _LANES)
    plane = (moment * outputs + lanes).to(tl.int64) * (num_rows * num_cols)
    place = plane[None, :] + (i * num_cols + j)[:, None]
    tl.store(out + place, color, mask=valid[:, None] & (lanes < outputs)[None, :])


@triton.jit
def _add_matrix(at, value, rows: tl.constexpr, cols: tl.constexpr):
    tl.atomic_add(at + tl.arange(0, rows)[:, None] * cols + tl.arange(0, cols)[None, :], value, sem="relaxed")


@triton.jit
def _hats(places, first, knots: tl.constexpr):
    """(TILE, knots): linear interpolation weights of the knots from ``first`` on."""
    position = (places - _ORIGIN) * _INVERSE_STEP - first.to(tl.float32)
    return tl.maximum(1.0 - tl.abs(position[:, None] - tl.arange(0, knots)[None, :].to(tl.float32)), 0.0)


@triton.jit
def _add_track_gradient(
    d_tracks, slope, hats_row, hats_col, first_row, first_col, knot_rows, knot_cols,
    KNOT_ROWS: tl.constexpr, KNOT_COLS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Adds a tile's slopes (N,) to the knots around it."""
    slope = tl.reshape(slope, (_TILE, _TILE))
    gathered = tl.dot(tl.trans(hats_row), tl.dot(slope, hats_col, input_precision=PRECISION), input_precision=PRECISION)
    row, col = first_row + tl.arange(0, KNOT_ROWS), first_col + tl.arange(0, KNOT_COLS)
    inside = (row < knot_rows)[:, None] & (col < knot_cols)[None, :]
    at = d_tracks + row[:, None] * knot_cols + col[None, :]
    tl.atomic_add(at, gathered, mask=inside & (gathered != 0.0), sem="relaxed")


@triton.jit
def fit_kernel(
    planes, plane_size, plane_cols, kinds, nodes, firsts, tracks, knot_rows, knot_cols,
    rows, row_first, row_step, num_rows, cols, num_cols, network,
    frames, codes, code_rows, inverse_peak, weights, outputs,
    plane_gradients, d_tracks, sums, sums_size,
    WIDTH: tl.constexpr, KNOT_ROWS: tl.constexpr, KNOT_COLS: tl.constexpr,
    SLOTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """See :func:`fit`."""
    frame = tl.load(frames + tl.program_id(1))
    first, last = tl.load(firsts + frame), tl.load(firsts + frame + 1)
    across = tl.cdiv(num_cols, _TILE)
    top, left = tl.program_id(0) // across * _TILE, tl.program_id(0) % across * _TILE
    pixel = tl.arange(0, _TILE * _TILE)
    i, j = top + pixel // _TILE, left + pixel % _TILE
    valid = (i < num_rows) & (j < num_cols)
    source = row_first + tl.minimum(i, num_rows - 1) * row_step
    j_held = tl.minimum(j, num_cols - 1)
    cell_row, down = _cells(tl.load(rows + source), knot_rows)
    cell_col, right = _cells(tl.load(cols + j_held), knot_cols)
    at = cell_row * knot_cols + cell_col
    z = _widen(
        _features(
            planes, plane_size, kinds, nodes, first, last, tracks, at, down, right, knot_rows, knot_cols, plane_cols
        )
    )
    w1, b1, w2, b2, w3, b3, skip = _weights(network, WIDTH)
    h1, k1, h2, k2, color = _synthesis(z, w1, b1, w2, b2, w3, b3, skip, PRECISION)
    wide, lanes = tl.arange(0, WIDTH), tl.arange(0, _LANES)

    seen = (lanes < outputs)[None, :]
    pixels = (source * num_cols + j_held) * outputs
    wanted = tl.load(
        codes + frame.to(tl.int64) * code_rows * num_cols * outputs + pixels[:, None] + lanes[None, :],
        mask=seen, other=0,
    )  # fmt: skip
    error = tl.where(valid[:, None] & seen, color - wanted.to(tl.float32) * inverse_peak, 0.0)
    share = tl.load(weights + lanes, mask=lanes < outputs, other=0.0)
    distortion = tl.sum(error * error, 0) * share
    d_color = 2.0 * error * share[None, :]
    d2 = tl.dot(d_color, tl.trans(w3), input_precision=PRECISION) * k2
    d1 = tl.dot(d2, tl.trans(w2), input_precision=PRECISION) * k1

    own = sums + (tl.program_id(0) + tl.program_id(1)) % SLOTS * sums_size
    _add_matrix(own, tl.dot(tl.trans(z), d1, input_precision=PRECISION), _LANES, WIDTH)
    own += _LANES * WIDTH
    _add_matrix(own, tl.dot(tl.trans(h1), d2, input_precision=PRECISION), WIDTH, WIDTH)
    own += WIDTH * WIDTH
    _add_matrix(own, tl.dot(tl.trans(h2), d_color, input_precision=PRECISION), WIDTH, _LANES)
    own += WIDTH * _LANES
    _add_matrix(own, tl.dot(tl.trans(z), d_color, input_precision=PRECISION), _LANES, _LANES)
    own += _LANES * _LANES
    tl.atomic_add(own + wide, tl.sum(d1, 0), sem="relaxed")
    tl.atomic_add(own + WIDTH + wide, tl.sum(d2, 0), sem="relaxed")
    tl.atomic_add(own + 2 * WIDTH + lanes, tl.sum(d_color, 0), sem="relaxed")
    tl.atomic_add(own + 2 * WIDTH + _LANES + lanes, distortion, sem="relaxed")

    d_z = tl.dot(d1, tl.trans(w1), input_precision=PRECISION)
    d_z += tl.dot(d_color, tl.trans(skip), input_precision=PRECISION)
    g, _ = tl.split(tl.reshape(d_z, (_TILE * _TILE, _FEATURES, 2)))
    line = tl.arange(0, _TILE)
    places = tl.load(rows + row_first + tl.minimum(top + line, num_rows - 1) * row_step)
    first_row = tl.min(_cells(places, knot_rows)[0], 0)
    hats_row = _hats(places, first_row, KNOT_ROWS)
    places = tl.load(cols + tl.minimum(left + line, num_cols - 1))
    first_col = tl.min(_cells(places, knot_cols)[0], 0)
    hats_col = _hats(places, first_col, KNOT_COLS)
    knots = knot_rows * knot_cols
    for sample in range(first, last):
        node = tl.load(nodes + sample)
        kind = tl.load(kinds + node)
        if kind != _SKIPPED:
            base, r, c, mass = _locate(tracks, sample, at, down, right, knot_rows, knot_cols, plane_cols)
            plane = node.to(tl.int64) * plane_size
            by_row, by_col, by_mass = _read_backward(
                planes + plane, plane_gradients + plane, kind, base, r, c, mass, plane_cols * _FEATURES, g, valid
            )
            target = d_tracks + tl.cast(sample, tl.int64) * (3 * knots)
            _add_track_gradient(
                target, by_row, hats_row, hats_col, first_row, first_col, knot_rows, knot_cols,
                KNOT_ROWS, KNOT_COLS, PRECISION,
            )  # fmt: skip
            _add_track_gradient(
                target + knots, by_col, hats_row, hats_col, first_row, first_col, knot_rows, knot_cols,
                KNOT_ROWS, KNOT_COLS, PRECISION,
            )  # fmt: skip
            _add_track_gradient(
                target + 2 * knots, by_mass, hats_row, hats_col, first_row, first_col, knot_rows, knot_cols,
                KNOT_ROWS, KNOT_COLS, PRECISION,
            )  # fmt: skip


def evaluate(
    planes: Tensor, kinds: Tensor, nodes: Tensor, firsts: Tensor, tracks: Tensor,
    rows: Tensor, cols: Tensor, network: Tensor, hidden: int, out: Tensor, precision: str,
) -> None:  # fmt: skip
    """Colour on a lattice at several moments.

    Args:
        planes: (nodes, H + 2 PAD, W + 2 PAD, 8) float32 or float16 with their edges repeated in the border.
        kinds: (nodes,) int32: SKIPPED, LINEAR or CUBIC.
        nodes: (S,) int32: the node that each sample of all chains reads.
        firsts: (T + 1,) int32: where the chain of each moment begins among the samples.
        tracks: (S, 3, KR, KC) float32: row, column and mass of every sample at the track knots.
        rows: (R,) float32; cols: (Q,) float32: places within the picture.
        network: As :func:`pack_network` makes it.
        hidden: Width of the network.
        out: (T, P, R, Q) float32, written.
        precision: Of products: "ieee", "tf32x3" (float32 on tensor cores) or "tf32".
    """
    moments, outputs = out.shape[:2]
    tiles = triton.cdiv(len(rows), TILE) * triton.cdiv(len(cols), TILE)
    evaluate_kernel[(tiles, moments)](
        planes, planes[0].numel(), planes.shape[2], kinds, nodes, firsts, tracks, *tracks.shape[2:],
        rows, len(rows), cols, len(cols), network, out, outputs,
        WIDTH=padded_width(hidden), PRECISION=precision, num_warps=8,
    )  # fmt: skip


def knot_window(places: Tensor, knots: int) -> int:
    """The most track knots on one axis that the samples of one tile lie between, as the kernel takes it."""
    cells = ((places.double() - TRACK_ORIGIN) / (1 << TRACK_SHIFT)).floor().long().clamp(0, knots - 2)
    starts = cells[::TILE]
    ends = torch.cat((cells[TILE - 1 :: TILE], cells[-1:]))[: len(starts)]
    return max(LANES, triton.next_power_of_2(int((ends - starts).max()) + 2))


def fit(
    planes: Tensor, kinds: Tensor, nodes: Tensor, firsts: Tensor, tracks: Tensor,
    rows: Tensor, row_first: int, row_step: int, cols: Tensor, network: Tensor, hidden: int,
    frames: Tensor, codes: Tensor, peak: int, weights: Tensor, windows: tuple[int, int],
    plane_gradients: Tensor, d_tracks: Tensor, sums: Tensor, precision: str,
) -> None:  # fmt: skip
    """Squared error of some frames on a lattice, and its gradient: adds to all gradients.

    Args beyond those of :func:`evaluate`:
        row_first: The first row used; row_step: the distance to the next one.
        firsts: (T + 1,): of all frames.
        frames: (N,) int32: those used.
        codes: (T, R, Q, P) integers; peak: the largest one.
        weights: (P,) float32, factor of each plane's squared error; 0 leaves a plane out.
        windows: :func:`knot_window` of the rows used and of the columns.
        plane_gradients: float32, as ``planes``; d_tracks: as ``tracks``.
        sums: (SLOTS, network_size + LANES): gradients of the packed network, then the distortion of each plane.
    """
    count = len(range(row_first, len(rows), row_step))
    tiles = triton.cdiv(count, TILE) * triton.cdiv(len(cols), TILE)
    fit_kernel[(tiles, len(frames))](
        planes, planes[0].numel(), planes.shape[2], kinds, nodes, firsts, tracks, *tracks.shape[2:],
        rows, row_first, row_step, count, cols, len(cols), network,
        frames, codes, codes.shape[1], 1 / peak, weights, codes.shape[3],
        plane_gradients, d_tracks, sums, sums.shape[1],
        WIDTH=padded_width(hidden), KNOT_ROWS=windows[0], KNOT_COLS=windows[1],
        SLOTS=len(sums), PRECISION=precision, num_warps=8,
    )  # fmt: skip
