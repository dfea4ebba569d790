"""A decoder of the representation `tracked`, written from the text of docs/format.md alone: slow, short, in float64.

`parse` gives all integers of a file, `value` the function of a GOP, `picture` the planes of a frame. Numbers in
docstrings are sections of that text. Rules are asserted where the data could not be read otherwise.
"""

import json
import struct
import zlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from itertools import accumulate, count, pairwise, product
from math import exp
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Networks = dict[str, Array]
"""Tensors by name (6.5); those of the entropy models (6.4) are `latents.0`.. and `motion.0`.. in their order."""

TOTAL = 1 << 24
DECAY = [round(2**32 * exp(-1 / (16 * 2 ** ((i - 16) / 4)))) for i in range(48)]
PRIOR_FILE = Path(__file__).parents[2] / "nerv_codec" / "representations" / "tracked" / "prior.json"
PRIOR: Networks = {name: np.array(numbers) / 4096 for name, numbers in json.loads(PRIOR_FILE.read_text()).items()}
BILINEAR = np.array([[1, -1], [0, 1]])  # a row has the weight of one sample as a polynomial of the fraction
CATMULL_ROM = np.array([[0, -1, 2, -1], [2, 0, -5, 3], [0, 1, 4, -3], [0, 0, -1, 1]]) / 2
B_SPLINE = np.array([[1, -3, 3, -1], [4, 0, -6, 3], [1, 3, 3, -3], [0, 0, 0, 1]]) / 6


class Reader:
    """Numbers of section 1 out of a byte string."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int | None = None) -> bytes:
        """The next bytes, or all that are left."""
        size = len(self.data) - self.at if size is None else size
        assert size <= len(self.data) - self.at, "the data end too early"
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, code: str) -> int:
        return int(struct.unpack("<" + code, self.take(struct.calcsize(code)))[0])

    def varint(self) -> int:
        groups = [self.number("B")]
        while groups[-1] > 127:
            groups.append(self.number("B"))
        return sum((group & 127) << 7 * i for i, group in enumerate(groups))

    def svarint(self) -> int:
        value = self.varint()
        return -(value + 1 >> 1) if value & 1 else value >> 1

    def section(self) -> tuple[int, bytes]:
        """Type and payload of a section (2)."""
        start = self.at
        kind, payload = self.number("B"), self.take(self.varint())
        check = zlib.crc32(self.data[start : self.at])
        assert self.number("I") == check, "the section's CRC-32"
        return kind, payload


class Header(NamedTuple):
    """What pictures need of section 3; `shifts` of rows and columns; `gops` are pairs of frames and shared."""

    width: int
    height: int
    planes: int
    shifts: tuple[int, int]
    bit_depth: int
    chroma_location: int
    gops: list[tuple[int, int]]
    networks: bytes

    @classmethod
    def parsed(cls, payload: bytes) -> "Header":
        reader = Reader(payload)
        assert reader.number("B") == 2, "the representation `tracked`"
        width, height = reader.varint(), reader.varint()
        layout, bit_depth, _, _, _, flags = reader.take(6)
        for _ in range(6):  # sample aspect, time base, first pts, last duration
            reader.varint()
        runs = [(reader.varint(), reader.varint()) for _ in range(reader.varint())]
        gops = [(reader.varint(), reader.varint())[0] for _ in range(reader.varint())]
        assert sum((gop >> 1) - (gop & 1) for gop in gops) == 1 + sum(repeat for _, repeat in runs)
        reader.varint()  # bytes behind the GOPs
        shifts, pairs = (layout >> 1 & 3, layout >> 3 & 3), [(gop >> 1, gop & 1) for gop in gops]
        return cls(width, height, 1 + 2 * (layout & 1), shifts, bit_depth, flags >> 1 & 7, pairs, reader.take())


@cache
def tail(scale: int) -> list[int]:
    """T(0), T(1), ... (4)."""
    return list(accumulate(range(2040), lambda before, _: before * DECAY[scale] >> 32, initial=1 << 31))


def cumulative(masses: list[int], middle: int) -> list[int]:
    """Counts of the codes with these masses, summed up; the middle one takes what is missing (4)."""
    counts = [1 + (mass * (TOTAL - len(masses)) >> 32) for mass in masses]
    counts[middle] += TOTAL - sum(counts)
    return list(accumulate(counts, initial=0))


@cache
def weight_table(scale: int) -> list[int]:
    """Table i (4)."""
    beyond = tail(scale)[8 : 16 * 128 : 16]
    side = [a - b for a, b in pairwise(beyond)]
    return cumulative([*side[::-1], 2**32 - 2 * beyond[0], *side, 2 * beyond[127]], 127)


@cache
def grid_table(scale: int, p: int) -> list[int]:
    """Table (scale, p) (6.4)."""
    t = tail(scale)
    beyond = [t[j] if j >= 0 else 2**32 - t[-j] for j in range(16 * -32 + 16 - p, 16 * 32 + 1 - p, 16)]
    masses = [a - b for a, b in pairwise(beyond)]
    return cumulative([*masses, 2**32 - sum(masses)], 31)


class RangeDecoder:
    """The range coder (4)."""

    def __init__(self, data: bytes) -> None:
        self.words = struct.unpack(f"<{len(data) // 4}I", data)
        self.low, self.range, self.point, self.taken = 0, 2**64 - 1, 0, 0
        self.take()
        self.take()

    def take(self) -> None:
        word = self.words[self.taken] if self.taken < len(self.words) else 0
        self.point, self.taken = (self.point << 32 | word) % 2**64, self.taken + 1

    def code(self, table: Sequence[int] = (0, TOTAL // 2, TOTAL)) -> int:
        scale = self.range >> 24
        code = bisect_right(table, min((self.point - self.low) % 2**64 // scale, TOTAL - 1)) - 1
        self.low = (self.low + scale * table[code]) % 2**64
        self.range = scale * (table[code + 1] - table[code])
        if self.range < 2**32:
            self.low, self.range = self.low << 32, self.range << 32
            self.take()
        return code

    def flag(self, counts: list[int]) -> int:
        """A flag of a class with so many zeros and ones so far, which are counted on (6.4)."""
        zeros, ones = counts
        flag = self.code((0, (2 * zeros + 1 << 24) // (2 * zeros + 2 * ones + 2), TOTAL))
        counts[flag] += 1
        return flag

    def symbol(self, location: int, scale: int) -> int:
        """A symbol by its table, and what follows an escape (6.4)."""
        nearest = location + 8 >> 4
        if (near := self.code(grid_table(scale, location - 16 * nearest + 8))) < 63:
            return nearest + near - 31
        below, g, x = self.code(), max(0, scale - 16 >> 2), 1
        bits = g
        while self.code():
            bits += 1
        for _ in range(bits):
            x = 2 * x + self.code()
        return nearest + (1 - 2 * below) * (x + 32 - 2**g)

    def finish(self) -> None:
        """How a stream of symbols ends (6.4)."""
        assert self.words[-1:] != (0,), "the last word is 0"
        assert len(self.words) < self.taken, "words are left"


def digest(tensors: Sequence[Array]) -> int:
    """CRC-32 of all symbols (4, 6.4)."""
    return zlib.crc32(b"".join(tensor.astype("<i4").tobytes() for tensor in tensors))


def coded_weights(data: bytes, shapes: dict[str, tuple[int, ...]]) -> Networks:
    """The tensors, symbol · 2^step (4)."""
    reader = Reader(data)
    check = reader.number("I")
    steps = [(reader.number("b"), reader.number("B")) for _ in shapes]
    escapes = [reader.svarint() for _ in range(reader.varint())]
    decoder, tensors, further = RangeDecoder(reader.take()), [], iter(escapes)
    for shape, (_, scale) in zip(shapes.values(), steps, strict=True):
        codes = [decoder.code(weight_table(scale)) for _ in range(int(np.prod(shape)))]
        symbols = [code - 127 if code < 255 else next(further) for code in codes]
        tensors.append(np.array(symbols).reshape(shape))
    assert not list(further), "escapes are left"
    assert len(decoder.words) <= decoder.taken, "words are left"
    assert digest(tensors) == check, "the digest of the weights"
    return {name: tensor * 2.0**step for name, tensor, (step, _) in zip(shapes, tensors, steps, strict=True)}


def grids_of(scales: int, planes: int) -> list[tuple[int, int]]:
    """Scale and pyramid of a node's grids of latents, in order (6.2)."""
    return [(s, pyramid) for s in range(scales - 1, -1, -1) for pyramid in range(2 if planes == 3 and s else 1)]


def tensor_shapes(depths: int, planes: int, sizes: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The tensors in their order, by scales, width and the widths of the entropy models (6.4, 6.5)."""
    scales, n, *hidden = sizes
    grids = len(grids_of(scales, planes))
    shapes: dict[str, tuple[int, ...]] = {"gain": (depths, grids), "mix": (grids, 8), "w1": (8, n), "b1": (n,)}
    shapes |= {"w2": (n, n), "b2": (n,), "w3": (n, planes), "b3": (planes,), "skip": (8, planes)}
    for name, h, classes in zip(("latents", "motion"), hidden, (4 * grids, 9), strict=True):
        model = (h, 14), (h,), (2, h), (classes,), (classes,), (2, 14)
        shapes |= {f"{name}.{i}": shape for i, shape in enumerate(model)}
    return shapes


def sizes_of(networks: Networks) -> list[int]:
    """Scales, width and the widths of the entropy models, as they stand in a head (6.6)."""
    scales = (len(networks["mix"]) + 1) // 2 if len(networks["b3"]) == 3 else len(networks["mix"])
    return [scales, *(len(networks[name]) for name in ("b1", "latents.0", "motion.0"))]


def bases(
    source: Networks, shapes: dict[str, tuple[int, ...]], grids: Sequence[tuple[int, int]], gain: int
) -> Networks:
    """What the weights are expected to be (6.6)."""
    theirs = grids_of(sizes_of(source)[0], len(source["b3"]))
    pick = [theirs.index((min(s, theirs[0][0]), pyramid)) for s, pyramid in grids]
    depths = np.minimum(np.arange(shapes["gain"][0]), len(source["gain"]) - 1)
    planes = np.minimum(np.arange(shapes["b3"][0]), len(source["b3"]) - 1)
    biases = np.arange(4 * len(theirs)).reshape(4, -1)[:, pick].ravel()
    taken: dict[str, Any] = {"gain": np.ix_(depths, pick), "mix": pick, "latents.3": biases, "latents.4": biases}
    taken |= dict.fromkeys(("w3", "b3", "skip"), (..., planes))
    base = {}
    for name, shape in shapes.items():
        first = f"{name.split('.')[0]}.0" if "." in name else "b1"
        suits = len(source[first]) == shapes[first][0]
        base[name] = source[name][taken.get(name, ...)].reshape(shape) if suits else np.zeros(shape)
        if "." in name:
            base[name] = np.rint(base[name] * 4096) / 4096
    return base | {"gain": base["gain"] * round(2 ** (12 + gain / 4)) / 4096}


def parse_networks(reader: Reader, depths: int, planes: int, header: Networks | None) -> Networks:
    """A head and the weights behind it, in a GOP if there are a header's networks, else in the header (6, 6.6)."""
    source = reader.varint()
    gain = reader.svarint() if source else 0
    sizes = sizes_of(header) if header and source == 2 else [reader.varint() for _ in range(4)]
    shapes = tensor_shapes(depths, planes, sizes)
    data = reader.take() if header is None else reader.take(reader.varint())
    weights = coded_weights(data, shapes) if data else {name: np.zeros(shape) for name, shape in shapes.items()}
    if source:
        base = bases(header if header and source == 2 else PRIOR, shapes, grids_of(sizes[0], planes), gain)
        weights = {name: weights[name] + base[name] for name in shapes}
    return {name: tensor.astype(np.float32).astype(float) for name, tensor in weights.items()}


class Node(NamedTuple):
    """A node of the tree (6.1)."""

    frame: int
    depth: int
    parents: tuple[int, ...]


def tree(frames: int, span: int) -> list[Node]:
    """The nodes in their order (6.1)."""
    anchors = -(-(frames - 1) // span)
    nodes = [Node(0, 0, ())]
    nodes += [Node(round(Fraction((frames - 1) * a, anchors)), 1, (a - 1,)) for a in range(1, anchors + 1)]
    for depth in count(2):
        for left, right in pairwise(sorted(range(len(nodes)), key=lambda number: nodes[number].frame)):
            middle = (nodes[left].frame + nodes[right].frame) // 2
            if middle != nodes[left].frame:
                nodes.append(Node(middle, depth, (left, right)))
        if nodes[-1].depth < depth:
            break
    return nodes


class Gop(NamedTuple):
    """Node by node: motion[node][channel][2 - k], latents[node][grid]."""

    height: int
    width: int
    nodes: list[Node]
    grids: list[tuple[int, int]]
    weights: Networks
    motion: list[list[list[Array]]]
    latents: list[list[Array]]


def finer(coarse: Array, shape: Sequence[int], samples: Callable[..., tuple[Array, Array]]) -> Array:
    """Twice the size, rows first, cut to the shape; `samples` are 2a and 2a + 1, of c[a - 1], c[a], c[a + 1]."""
    for axis in (0, 1):
        c = np.moveaxis(coarse, axis, 0)
        pairs = np.stack(samples(np.concatenate([c[:1], c[:-1]]), c, np.concatenate([c[1:], c[-1:]])), 1)
        coarse = np.moveaxis(pairs.reshape(-1, *c.shape[1:])[: shape[axis]], 0, axis)
    return coarse


def pyramid_sum(grids: Sequence[Array], unit: float, divide: np.ufunc) -> Array:
    """P_0 of a channel's grids (6.3)."""
    total = unit * grids[0]
    for grid in grids[1:]:
        total = unit * grid + finer(total, grid.shape, lambda a, b, c: (divide(a + 6 * b + c, 8), divide(b + c, 2)))
    return total


def motion(gop: Gop, unit: float, divide: np.ufunc) -> list[list[Array]]:
    """Motion by node and channel: with 64 and floors 6.3's integers, with 1/4 and true division 6.5's pixels."""
    nodes, moves = gop.nodes, list[list[Array]]([[]])
    for number, node in enumerate(nodes[1:], 1):
        expected: list[Array | int] = [0, 0]
        if len(node.parents) == 2:
            left, right = node.parents
            younger, sign = (left, 1) if left > right else (right, -1)
            channel = 2 * nodes[younger].parents.index(min(left, right))
            across = [sign * plane for plane in moves[younger][channel : channel + 2]]
            d, b = nodes[right].frame - nodes[left].frame, node.frame - nodes[left].frame
            expected = [divide(factor * plane, d) for factor in (-b, d - b) for plane in across]
        elif number > 1:
            u, v = node.frame - nodes[number - 1].frame, nodes[number - 1].frame - nodes[number - 2].frame
            expected = [divide(u * plane, v) for plane in moves[number - 1]]
        moves.append([pyramid_sum(gop.motion[number][i], unit, divide) + more for i, more in enumerate(expected)])
    return moves


def referred(grid: Array, scale: int, moves: Sequence[Array]) -> Array:
    """For every latent the one of the parent's grid that it refers to (6.3)."""
    centres = [(2 * np.arange(size) + 1 << scale) - 1 for size in grid.shape]
    control = np.ix_(*(np.minimum(c + 8 >> 4, size - 1) for c, size in zip(centres, moves[0].shape, strict=True)))
    places = [128 * (c + 1) + m[control] >> 8 + scale for c, m in zip(np.ix_(*centres), moves, strict=True)]
    return grid[tuple(np.clip(place, 0, size - 1) for place, size in zip(places, grid.shape, strict=True))]


def around(grid: Array) -> Array:
    """The sum of the four neighbours, 0 outside of the grid (6.4)."""
    p = np.pad(grid, 1)
    return p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]


class GridDecoder:
    """Coded grids (6.4)."""

    def __init__(self, data: bytes, weights: Networks, name: str, classes: int) -> None:
        self.check, self.decoder = Reader(data).number("I"), RangeDecoder(data[4:])
        self.model = [(4096 * weights[f"{name}.{i}"]).astype(np.int64) for i in range(6)]
        self.flags = [[0, 0] for _ in range(classes)]
        self.grids: list[Array] = []

    def finish(self) -> None:
        self.decoder.finish()
        assert digest(self.grids) == self.check, "the digest of the grids"

    def grid(self, shape: tuple[int, int], kind: int, coarser: Array | None, references: Sequence[Array]) -> Array:
        """The next grid, of the class `kind`."""
        self.grids.append(np.zeros(shape, np.int64))
        if self.decoder.flag(self.flags[kind]):
            self.fill(self.grids[-1], kind, self.known(shape, coarser, references))
        return self.grids[-1]

    @staticmethod
    def known(shape: tuple[int, int], coarser: Array | None, references: Sequence[Array]) -> Array:
        """The last six integers of the contexts: C, |C|, neighbours there; R, likewise of |v|, neighbours."""
        x = np.zeros((*shape, 6), np.int64)
        if coarser is not None:
            c, place = np.clip(coarser, -31, 31), np.ix_(np.arange(shape[0]) >> 1, np.arange(shape[1]) >> 1)
            x[..., :3] = np.stack([c, abs(c), around(abs(c))], -1)[place]
        for reference in references:
            r = np.clip(reference, -31, 31) * (2 // len(references))
            x[..., 3:5] += np.stack([r, abs(r)], -1)
        x[..., 5] = around(x[..., 4])
        return x

    def fill(self, symbols: Array, kind: int, known: Array) -> None:
        """Decode the symbols of a grid, row by row."""
        w1, b1, w2, locations, scales, w3 = self.model
        bias = np.array([locations[kind], scales[kind] - 3 * 2**11])
        v = np.pad(np.zeros_like(symbols), ((2, 0), (2, 2)))
        for i, j in np.ndindex(*symbols.shape):
            (_, _, nn, _, _), (nww, nw, n, ne, nee), (ww, w, *_) = v[i : i + 3, j : j + 5].tolist()
            far = abs(ww) + abs(nn) + abs(nww) + abs(nee)
            x = np.array([w, ww, nw, n, ne, abs(w) + abs(n), abs(nw) + abs(ne), far, *known[i, j]])
            a = np.clip(w1 @ x + b1, 0, TOTAL - 1)
            location, scale = (w2 @ a + (w3 @ x + bias << 12)).tolist()
            location, scale = location + 2**19 >> 20, 16 + (scale + 2**21 >> 22)
            symbols[i, j] = self.decoder.symbol(min(max(location, -2032), 2032), min(max(scale, 0), 47))
            v[i + 2, j + 2] = min(max(symbols[i, j], -31), 31)


def parse_gop(payload: bytes, header: Header, networks: Networks, frames: int) -> Gop:
    """The payload of a GOP section (6)."""
    reader = Reader(payload)
    nodes = tree(frames, reader.varint())
    weights = parse_networks(reader, 1 + max(node.depth for node in nodes), header.planes, networks)
    gop = Gop(header.height, header.width, nodes, grids_of(sizes_of(weights)[0], header.planes), weights, [[]], [])
    moving = reader.take(reader.varint())
    if frames > 1:
        parse_motion(moving, gop)
    parse_latents(reader.take(), gop)
    return gop


def parse_motion(data: bytes, gop: Gop) -> None:
    """The motion of all nodes (6.2, 6.4)."""
    decoder = GridDecoder(data, gop.weights, "motion", 9)
    for node in gop.nodes[1:]:
        channels: list[list[Array]] = [[] for _ in range(2 if len(node.parents) == 1 else 5)]
        for k, (channel, grids) in product((2, 1, 0), enumerate(channels)):
            references = [channels[channel - 2][-1]] if channel in (2, 3) else []
            shape = (gop.height >> 3 + k) + 1, (gop.width >> 3 + k) + 1
            grids.append(decoder.grid(shape, 3 * (channel // 2) + k, grids[-1] if grids else None, references))
        gop.motion.append(channels)
    decoder.finish()


def parse_latents(data: bytes, gop: Gop) -> None:
    """The latents of all nodes (6.2, 6.4)."""
    decoder = GridDecoder(data, gop.weights, "latents", 4 * len(gop.grids))
    for (number, node), moves in zip(enumerate(gop.nodes), motion(gop, 64, np.floor_divide), strict=True):
        made: dict[tuple[int, int], Array] = {}
        for index, (s, pyramid) in enumerate(gop.grids):
            parents = [gop.latents[parent][index] for parent in node.parents]
            references = [referred(grid, s, moves[2 * i : 2 * i + 2]) for i, grid in enumerate(parents)]
            if number == 0 and pyramid == 1:
                references = [made[s, 0]]
            shape, kind = (-(-gop.height >> s), -(-gop.width >> s)), len(gop.grids) * min(node.depth, 3) + index
            made[s, pyramid] = decoder.grid(shape, kind, made.get((s + 1, pyramid)), references)
        gop.latents.append(list(made.values()))
    decoder.finish()


def parse(data: bytes) -> tuple[Header, list[Gop]]:
    """The header and the GOPs of a file (1)."""
    reader = Reader(data)
    assert reader.take(5) == b"\x93NVC\x02", "an .nvc file of version 2"
    header = Header.parsed(reader.section()[1])
    networks: Networks = {}
    if header.networks:
        shared = Reader(header.networks)
        networks = parse_networks(shared, shared.varint(), header.planes, None)
    return header, [parse_gop(reader.section()[1], header, networks, frames) for frames, _ in header.gops]


def feature_plane(gop: Gop, number: int) -> Array:
    """R of a node at scale 0 (6.5)."""
    plane: Array = np.zeros((1, 1, 8))
    for g, ((_, pyramid), grid) in enumerate(zip(gop.grids, gop.latents[number], strict=True)):
        if g and pyramid == 0:
            plane = finer(plane, grid.shape, lambda a, b, c: (a / 4 + 3 * b / 4, 3 * b / 4 + c / 4))
        plane = plane + grid[..., None] * gop.weights["gain"][gop.nodes[number].depth, g] * gop.weights["mix"][g]
    return plane


def read(plane: Array, rows: Array, cols: Array, kernel: Array) -> Array:
    """A plane at real places; an index beyond an edge means the edge."""
    taps, total = len(kernel), 0.0
    whole = [np.floor(x).astype(int) for x in (rows, cols)]
    parts = [(x - np.floor(x))[..., None] ** np.arange(taps) for x in (rows, cols)]
    for tap in product(range(taps), repeat=2):
        at = [
            np.clip(i + k + 1 - taps // 2, 0, size - 1) for i, k, size in zip(whole, tap, plane.shape[:2], strict=True)
        ]
        weight = (parts[0] @ kernel[tap[0]]) * (parts[1] @ kernel[tap[1]])
        total = total + weight.reshape(*weight.shape, *[1] * (plane.ndim - 2)) * plane[tuple(at)]
    return np.asarray(total)


def places_and_masses(gop: Gop, t: float, x: Array) -> tuple[dict[int, Array], dict[int, Array]]:
    """Places and masses of nodes by their numbers, for points x (rows and columns in front) at time t (6.5)."""
    nodes, moves = gop.nodes, motion(gop, 0.25, np.true_divide)
    places: dict[int, Array] = {}
    masses: dict[int, Array] = {}

    def moved(number: int, parent: int, at: Array) -> Array:
        channel = 2 * nodes[number].parents.index(parent)
        return np.stack([read(plane, *at / 8, B_SPLINE) for plane in moves[number][channel : channel + 2]])

    def put(number: int, at: Array, mass: float) -> None:
        places[number] = np.stack([np.clip(at[0], -2, gop.height + 1), np.clip(at[1], -2, gop.width + 1)])
        masses[number] = np.full(x.shape[1:], mass)

    number_of = {node.frame: number for number, node in enumerate(nodes)}
    if t in number_of:
        put(number_of[t], x, 1.0)
    else:
        other, younger = sorted(number_of[int(t) + i] for i in (0, 1))
        move, w = moved(younger, other, x), abs(t - nodes[younger].frame)
        put(younger, x - w * move, 1 - w)
        put(other, x + (1 - w) * move, w)
    for number in range(len(nodes) - 1, 0, -1):
        if number in places:
            parents, at = nodes[number].parents, x if nodes[number].frame == t else places[number]
            for parent in set(parents) - set(places):
                put(parent, at + moved(number, parent, at), 0.0)
            q: Array = np.zeros(x.shape[1:])
            if len(parents) == 2:
                blend = pyramid_sum(gop.motion[number][4], 0.125, np.true_divide)
                start, end = (nodes[parent].frame for parent in parents)
                even = (nodes[number].frame - start) / (end - start)
                q = np.clip(even + read(blend, *at / 8, B_SPLINE), 0, 1)
            masses[parents[0]] += (1 - q) * masses[number]
            masses[parents[-1]] += q * masses[number]
    return places, masses


def value(gop: Gop, t: float, rows: Array, cols: Array) -> Array:
    """The function (6.5) at a time within the GOP, at rows x columns: rows x columns x planes."""
    knots = [4.0 * np.arange((size + 5) // 4 + 1) - 2 for size in (gop.height, gop.width)]
    places, masses = places_and_masses(gop, t, np.stack(np.meshgrid(*knots, indexing="ij")))
    between = np.meshgrid((rows + 2) / 4, (cols + 2) / 4, indexing="ij")
    z: Array = np.zeros((len(rows), len(cols), 8))
    for number, place in places.items():
        row, col, mass = (read(plane, *between, BILINEAR) for plane in (*place, masses[number]))
        z += mass[..., None] * read(feature_plane(gop, number), row, col, BILINEAR if number else CATMULL_ROM)
    w = gop.weights
    h = np.sin(np.sin(z @ w["w1"] + w["b1"]) @ w["w2"] + w["b2"])
    return np.asarray(h @ w["w3"] + w["b3"] + z @ w["skip"])


def picture(header: Header, gops: Sequence[Gop], frame: int) -> list[Array]:
    """The planes of a frame in code values that are not rounded yet (3)."""
    ends = list(accumulate(frames - shared for frames, shared in header.gops))
    index, location, planes = bisect_right(ends, frame), header.chroma_location, []
    rows, cols = 1 - (location in (3, 4)) + (location in (5, 6)), 1 - (location in (1, 3, 5))
    for plane in range(header.planes):
        axes = []
        for site, size, shift in zip((rows, cols), (header.height, header.width), header.shifts, strict=True):
            k = shift if plane else 0
            axes.append(np.clip(2**k * np.arange(-(-size >> k)) + site * (2**k - 1) / 2, -0.5, size - 0.5))
        t = frame - ends[index] + header.gops[index][0]
        planes.append(value(gops[index], t, *axes)[..., plane] * (2**header.bit_depth - 1))
    return planes
