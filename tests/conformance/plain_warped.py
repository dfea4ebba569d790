"""A decoder of the representation `warped`, written from the text of docs/format.md alone: slow, in integers.

`planes` gives the samples of all planes of a GOP. Numbers in docstrings are sections of that text, whose names are
kept. Bands are named by component and orientation, ("Y", "HL"), a grid is a number of `GRIDS`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal
from itertools import count, pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from plain_decoder import TOTAL, RangeDecoder, Reader

Array = np.ndarray[Any, Any]
Vector = tuple[int, int]
VectorGrid = list[list[Vector]]
Picture = list[Array]
"""Samples or coefficients of Y, U and V on a canvas."""
Band = tuple[str, str]
Bands = dict[int, dict[Band, Array]]
"""By grid and band."""
Tap = tuple[tuple[str, ...], bool, int, int]
"""An input: a band, or one of "E" or "F" in front of its name; whether it keeps its sign; row and column."""

WEIGHTS = Path(__file__).parents[2] / "nerv_codec" / "representations" / "shared" / "weights"
GRIDS = (16, 8, 4, 2)
DESIGNS = ("alone", "one_sided", "two_sided")
_BLOCKS = ({16: 1, 8: 2, 4: 3, 2: 2}, {16: 1, 8: 2, 4: 2, 2: 1}, dict.fromkeys(GRIDS, 1))
BLOCKS = dict(zip(DESIGNS, _BLOCKS, strict=True))
GRAY = 2040
EXACT = Context(prec=50)
G = [round(256 * EXACT.ln(EXACT.divide(2 * j + 1, 8191 - 2 * j))) for j in range(4096)]
L = {j: round(EXACT.divide(2**16, EXACT.add(1, EXACT.exp(Decimal(-j) / 32)))) for j in range(-256, 257)}
LUMA_TAPS = [[0, 0, 0, 64, 0, 0, 0, 0], [-1, 4, -10, 57, 18, -6, 2, 0]]
LUMA_TAPS += [[-1, 4, -11, 40, 40, -11, 4, -1], [0, 2, -6, 18, 57, -10, 4, -1]]
CHROMA_TAPS = [[0, 64, 0, 0], [-4, 62, 6, 0], [-5, 55, 15, -1], [-5, 46, 25, -2]]
CHROMA_TAPS += [[-4, 36, 36, -4], [-2, 25, 46, -5], [-1, 15, 55, -5], [0, 6, 62, -4]]
PAST = [(-2, 0), (-1, -2), (-1, -1), (-1, 0), (-1, 1), (-1, 2), (0, -2), (0, -1)]
NEAR = [place for place in PAST if place not in ((-1, -2), (-1, 2))]
PLUS, POINT = [(-1, 0), (0, -1), (0, 0), (0, 1), (1, 0)], [(0, 0)]
SQUARE = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
T = np.array([2 * round(8 * math.log2(1 + m)) for m in range(128)])


def held(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


# Networks


class Networks:
    """The file of this name (10.2)."""

    def __init__(self, name: bytes) -> None:
        data = (WEIGHTS / f"{name.hex()}.safetensors").read_bytes()
        assert hashlib.sha256(data).digest()[:8] == name, "the name of the networks"
        reader, self.arrays = Reader(data), dict[str, Array]()
        facts, body = json.loads(reader.take(reader.number("Q"))), reader.take()
        types = {"I8": "i1", "I16": "<i2", "I32": "<i4"}
        for key, fact in facts.items():
            if ".analysis." not in key and key != "__metadata__":
                values = np.frombuffer(body[slice(*fact["data_offsets"])], types[fact["dtype"]])
                self.arrays[key] = values.reshape(fact["shape"]).astype(np.int64)

    def matrix(self, name: str) -> Array:
        """Weights of a `context`."""
        return np.asarray(self.arrays[name] << (9 - self.arrays[f"{name}_shift"])[:, None])

    def convolution(self, name: str, x: Array) -> Array:
        """A convolution on (channels, rows, columns)."""
        weight, shift, bias = (self.arrays[f"{name}.{part}"] for part in ("weight", "shift", "bias"))
        c, (rows, cols) = weight.shape[-1] // 2, x.shape[1:]
        padded, total = np.pad(x, ((0, 0), (c, c), (c, c))), bias[:, None, None]
        for a, b in np.ndindex(*weight.shape[2:]):
            total = total + np.tensordot(weight[:, :, a, b], padded[:, a : a + rows, b : b + cols], 1)
        return np.asarray(total + (1 << shift - 1)[:, None, None] >> shift[:, None, None])


def design(sides: int) -> str:
    """Whose arrays a node with parents on so many sides has (10.2)."""
    return DESIGNS[sides]


def mixed(rows: Array, index: int, sides: int) -> Array:
    """Five rows for a node with the index λ and parents on so many sides (10.2)."""
    v = index - 40
    total = rows[0] + (32 * v * rows[1] + v * v * rows[2] + 512 >> 10)
    return np.asarray(total + rows[3:].sum(0, where=np.arange(2)[:, None] < sides))


def step(gain: int) -> int:
    """The step of a band (10.7)."""
    value, root = 1 << 30, 1 << 31
    for b in range(15, -1, -1):
        root = math.isqrt(root << 30)
        if gain >> b & 1:
            value = value * root >> 30
    return (value << (gain >> 16)) >> 30


# Order and motion


class Node(NamedTuple):
    """A node of the tree (10.3)."""

    frame: int
    depth: int
    parents: tuple[int, ...]


def waves(anchors: Sequence[int], root: int = 0) -> list[list[Node]]:
    """Nodes wave by wave; their parents are frames (10.3). The root is a number of an anchor in order of time."""
    numbered = [root, *range(root - 1, -1, -1), *range(root + 1, len(anchors))]  # anchors in coding order
    spans: list[list[list[Node]]] = []  # [span][depth - 2]: nodes
    for ends in pairwise(anchors):
        known, levels = list(ends), list[list[Node]]()
        for depth in count(2):
            pairs = [(left, right) for left, right in pairwise(known) if right - left > 1]
            if not pairs:
                break
            levels.append([Node((left + right) // 2, depth, (left, right)) for left, right in pairs])
            known = sorted(known + [node.frame for node in levels[-1]])
        spans.append(levels)
    found = [[Node(anchors[root], 0, ())]]
    for w in range(1, 2 * len(anchors) + max(map(len, spans), default=0)):
        wave = []
        if w < len(anchors):
            a = numbered[w]
            nearer = 1 if a < root else -1
            parents = [b for b in (a + nearer, a + 2 * nearer) if b in numbered[:w]]
            wave.append(Node(anchors[a], 1, tuple(anchors[b] for b in parents)))
        for d in range(2, 1 + w):
            k = w - max(root, 1) - d + 2  # number of the span
            if 1 <= k <= len(spans) and d - 2 < len(spans[k - 1]):
                wave += spans[k - 1][d - 2]
        found.append(wave)
    return [wave for wave in found if wave]


class Field(NamedTuple):
    """Motion of a node: modes[row][column], vectors[parent][row][column], sources of corners, maps[parent] (10.4)."""

    modes: list[list[int]]
    vectors: list[VectorGrid]
    corners: dict[tuple[int, int], tuple[int, int]]
    maps: list[list[Vector]]


class Expected(NamedTuple):
    """Expected vectors[parent][row][column], p and q; the map to the first parent (10.4); maps that are said (10.5)."""

    vectors: list[VectorGrid]
    p: int
    q: int
    map: list[Vector]
    maps: list[list[Vector]]


def scaled(v: Vector, a: int, b: int) -> Vector:
    """S(v, a, b) (10.4)."""
    return (2 * v[0] * a + b) // (2 * b), (2 * v[1] * a + b) // (2 * b)


def map_scaled(pairs: list[Vector], a: int, b: int) -> list[Vector]:
    """A map in other time (10.4)."""
    return [(min(max(y, -65535), 65535), min(max(x, -65535), 65535)) for y, x in (scaled(v, a, b) for v in pairs)]


def expected(node: Node, shape: tuple[int, int], fields: Mapping[int, tuple[Node, Field]]) -> Expected:
    """What is expected of a node with parents, on so many rows and columns of blocks (10.4)."""

    def all_scaled(vectors: VectorGrid, a: int, b: int) -> VectorGrid:
        return [[scaled(v, a, b) for v in row] for row in vectors]

    p = abs(node.frame - node.parents[0])
    if len(node.parents) == 1:
        return Expected([[[(0, 0)] * shape[1] for _ in range(shape[0])] for _ in range(2)], p, 0, [], [])
    first, second = node.parents
    between = first < node.frame < second
    q = abs(second - node.frame) * (1 if between else -1)
    is_second = second in fields and first in fields[second][0].parents  # the root has no motion
    y, other, forth, on = (second, first, p, -q) if is_second else (first, second, -p, q)
    number = fields[y][0].parents.index(other)
    v, maps = fields[y][1].vectors[number], fields[y][1].maps
    way, ahead = map_scaled(maps[number], forth, p + q) if maps else [], all_scaled(v, forth, p + q)
    return Expected([ahead, all_scaled(v, on, p + q) if between else all_scaled(ahead, -q, p)], p, q, way, [])


def kind_of_split(number: int) -> int:
    """The kind of a decision on splits (10.5)."""
    return (number >= 4) + (number >= 13) + (number >= 16)


def kind(number: int) -> int:
    """The kind of a decision (10.5)."""
    if number < 12:
        return (number >= 3) + (number >= 6)
    if number < 48:
        return 3 + (number - 12) % 6 + 6 * ((number - 12) // 18)
    if number < 52:
        return 15
    if number < 88:
        return 16 + min((number - 52) % 9, 4)
    return 21 if number < 92 else 22 + (number - 92) % 6


class Decisions:
    """One set of contexts and weights (10.5)."""

    def __init__(self, kind: Callable[[int], int] = kind) -> None:
        self.kind = kind
        self.contexts: defaultdict[tuple[int, ...], list[int]] = defaultdict(lambda: [1 << 15, 0])
        self.weights: defaultdict[int, list[int]] = defaultdict(lambda: [17000] * 4)

    def decide(self, decoder: RangeDecoder, number: int, views: Sequence[int]) -> int:
        kind = self.kind(number)
        contexts = [self.contexts[number,], *(self.contexts[kind, c, view] for c, view in enumerate(views, 1))]
        return self.mixed(decoder, contexts, self.weights[kind])

    @staticmethod
    def mixed(decoder: RangeDecoder, contexts: Sequence[list[int]], weights: list[int]) -> int:
        x = [G[estimate >> 4] for estimate, _ in contexts]
        s = held(sum(a * b for a, b in zip(weights, x, strict=True)) >> 16, -2047, 2047)
        j = s >> 3
        m = held(L[j] + ((L[j + 1] - L[j]) * (s - 8 * j) >> 3), 64, 2**16 - 64)
        bit = decoder.code((0, m << 8, TOTAL))
        for c, context in enumerate(contexts):
            weights[c] += x[c] * ((0 if bit else 2**16 - 1) - m) + 2**13 >> 14
            adapt(context, bit)
        return bit

    @staticmethod
    def alone(decoder: RangeDecoder, context: list[int]) -> int:
        bit = decoder.code((0, held(context[0], 16, 2**16 - 16) << 8, TOTAL))
        adapt(context, bit)
        return bit


def adapt(context: list[int], bit: int) -> None:
    context[0] += ((0 if bit else 2**16 - 1) - context[0]) * (655360 // (10 * context[1] + 16)) >> 16
    context[1] = min(context[1] + 1, 200)


class ScreenDecoder:
    """Samples of screen content of a part (10.8)."""

    def __init__(self, decoder: RangeDecoder) -> None:
        self.decoder = decoder
        self.contexts: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [1 << 15, 0])
        self.weights: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [17000] * 6)
        self.values: dict[tuple[int, int], int] = {}

    def plane(self, number: int, predicted: Array, known: bool, guide: Array, mask: Array) -> Array:
        """The x of a plane, coded where the mask is 1."""
        x = predicted.copy()
        for r, c in zip(*np.nonzero(mask), strict=True):
            x[r, c] = self.sample(number, x, int(predicted[r, c]), known, int(guide[r, c]), (int(r), int(c)))
        return x

    def sample(self, number: int, x: Array, p: int, known: bool, guide: int, place: tuple[int, int]) -> int:
        r, c = place
        n = int(x[r - 1, c]) if r else p
        w = int(x[r, c - 1]) if c else n
        nw = int(x[r - 1, c - 1]) if r and c else n
        ne = int(x[r - 1, c + 1]) if r and c + 1 < x.shape[1] else n
        ww, nn = int(x[r, c - 2]) if c > 1 else w, int(x[r - 2, c]) if r > 1 else n
        s = [hashed(0, number)]
        s += [hashed(s[0], w)]
        s += [hashed(s[1], n)]
        s += [hashed(hashed(s[2], nw), ne), hashed(hashed(s[2], nw), 256 + guide)]
        s += [hashed(hashed(s[3], ww), nn)]
        asked: list[int] = []
        if n == nw == ne == ww == nn == w and (not known or p == w):
            if not Decisions.alone(self.decoder, self.contexts[5, table_place(s[5], 300)]):
                return w
            asked = [w]
        places = [(k, table_place(s[k], 0)) for k in (5, 4, 3, 2)]
        guesses = [p if known else None, *map(self.values.get, places), w, n]
        for guess in guesses:
            if guess is not None and guess not in asked and len(asked) < 3:
                alike = sum(2**k for k, other in enumerate(guesses) if other == guess)
                one = self.decide(len(asked), [hashed(s[0], 512 + alike), *s[1:]], (number, len(asked)))
                asked.append(guess)
                if not one:
                    return self.remembered(places, guess)
        t = 1
        for k in range(8):
            t = 2 * t + self.decide(3 + t, s, (number, 3 + k))
        return self.remembered(places, t - 256)

    def decide(self, j: int, surroundings: Sequence[int], weights: tuple[int, int]) -> int:
        contexts = [self.contexts[k, table_place(s, j)] for k, s in enumerate(surroundings)]
        return Decisions.mixed(self.decoder, contexts, self.weights[weights])

    def remembered(self, places: Sequence[tuple[int, int]], value: int) -> int:
        for one in places:
            self.values[one] = value
        return value


def hashed(b: int, v: int) -> int:
    m = 2654435761 * (b + v + 1) % 2**32
    return m ^ m >> 15


def table_place(s: int, j: int) -> int:
    return 2246822507 * (s + j) % 2**32 >> 14


class FieldDecoder:
    """The motion of one node (10.5)."""

    def __init__(self, decoder: RangeDecoder, decisions: Decisions, known: Expected) -> None:
        self.decoder, self.decisions, self.known = decoder, decisions, known
        self.rows, self.cols = len(known.vectors[0]), len(known.vectors[0][0])
        self.usual = 2 if known.q else 0
        self.views: list[int] = []
        self.modes: dict[tuple[int, int], int] = {}
        self.vectors: list[dict[tuple[int, int], Vector]] = [{}, {}]
        self.joined: set[tuple[int, int]] = set()
        self.chose: list[set[tuple[int, int]]] = [set(), set()]

    def field(self) -> Field:
        places = list(np.ndindex(self.rows, self.cols))
        for r, c in places:
            self.views = self.seen(r, c)
            if not self.join(r, c):
                self.modes[r, c] = self.mode(r, c)
                self.block(r, c)
        assert all(max(map(abs, v)) <= 1 << 14 for vectors in self.vectors for v in vectors.values())
        rows, cols = range(self.rows), range(self.cols)
        vectors = [[[found[r, c] for c in cols] for r in rows] for found in self.vectors]
        return Field([[self.modes[r, c] for c in cols] for r in rows], vectors, {}, self.known.maps)

    def decide(self, number: int) -> int:
        return self.decisions.decide(self.decoder, number, self.views)

    def first_zero(self, number: int, count: int) -> int:
        """How many of at most `count` decisions, with numbers that follow each other, come before a 0."""
        return next((k for k in range(count) if self.decide(number + k) == 0), count)

    def whole(self, r: int, c: int) -> tuple[int, Vector, Vector]:
        """Mode and vectors of a block that is known."""
        return self.modes[r, c], self.vectors[0][r, c], self.vectors[1][r, c]

    def seen(self, r: int, c: int) -> list[int]:
        """The three views of a block."""
        known, (left, upper, corner, right) = (
            self.known.vectors[0],
            ((r, c - 1), (r - 1, c), (r - 1, c - 1), (r - 1, c + 1)),
        )

        def alike(a: tuple[int, int], b: tuple[int, int]) -> bool:
            return a in self.modes and b in self.modes and self.whole(*a) == self.whole(*b)

        e = known[r][c]
        first = alike(left, upper) + 2 * alike(upper, right)
        first += 4 * (self.vectors[0].get(left) == e) + 8 * (self.vectors[0].get(upper) == e)
        around = [(a, b) for a, b in (left, upper, (r, c + 1), (r + 1, c)) if 0 <= a < self.rows and 0 <= b < self.cols]
        rough = max((abs(known[a][b][m] - e[m]) for a, b in around for m in (0, 1)), default=0)
        second = (corner in self.joined) + 2 * (right in self.joined) + 4 * sum(rough > limit for limit in (0, 1, 4))
        return [first, second, self.modes.get(upper, self.usual) + 4 * self.modes.get(left, self.usual)]

    def join(self, r: int, c: int) -> bool:
        """Step 1: whether the block joins another."""
        around = [at for at in ((r, c - 1), (r - 1, c), (r - 1, c + 1)) if self.modes.get(at, 3) != 3]
        known = (self.usual, self.known.vectors[0][r][c], self.known.vectors[1][r][c])
        joins = list(dict.fromkeys([*(self.whole(*at) for at in around), known]))
        s = 30 * ((c == 0 or (r, c - 1) in self.joined) + (r == 0 or (r - 1, c) in self.joined)) + 6 * len(joins)
        if self.decide(92 + s):
            return False
        self.joined.add((r, c))
        taken = joins[self.first_zero(93 + s, len(joins) - 1)]
        self.modes[r, c], self.vectors[0][r, c], self.vectors[1][r, c] = taken
        return True

    def mode(self, r: int, c: int) -> int:
        """Step 2."""
        around = [self.modes.get(at, self.usual) for at in ((r, c - 1), (r - 1, c))]
        if self.decide(around.count(3)):
            return 3
        if self.known.q == 0:
            return 0
        if self.decide(3 + around.count(2)) == 0:
            return 2
        return self.decide(8 + around.count(1) - around.count(0))

    def block(self, r: int, c: int) -> None:
        """Step 3 and the vectors that the mode does not use (10.4)."""
        mode, (known, p, q, *_) = self.modes[r, c], self.known
        for parent in (0, 1):
            if mode in (parent, 2):
                self.vectors[parent][r, c] = self.vector(parent, r, c)
            elif mode == 3:
                self.vectors[parent][r, c] = known[parent][r][c]
        first, second = self.vectors
        if mode == 0:
            second[r, c] = scaled(first[r, c], -q, p)
        elif mode == 1:
            first[r, c] = scaled(second[r, c], -p, q)

    def vector(self, parent: int, r: int, c: int) -> Vector:
        """Step 3: the vector to a parent."""
        e, own, after = self.known.vectors[parent][r][c], self.vectors[parent], parent == 1 and self.modes[r, c] == 2
        w = own.get((r, c - 1), own.get((r - 1, c), e))
        n = own.get((r - 1, c), w)
        d = own.get((r - 1, c + 1), n)
        middle = [sorted(three)[1] for three in zip(w, n, d, strict=True)]
        median = middle[0], middle[1]
        straight = [scaled(self.vectors[0][r, c], -self.known.q, self.known.p)] if after else []
        candidates = list(dict.fromkeys([median, *straight, e, w, n]))
        chose = self.chose[parent]
        k = self.first_zero(12 + 18 * after + 6 * (((r, c - 1) in chose) + ((r - 1, c) in chose)), len(candidates))
        if k:
            chose.add((r, c))
        if k < len(candidates):
            return candidates[k]
        down = median[0] + self.difference(0)
        return down, median[1] + self.difference(1)

    def difference(self, m: int) -> int:
        """Step 4."""
        if self.decide(48 + m) == 0:
            return 0
        sign = -1 if self.decide(88 + m) else 1
        magnitude = 1 + self.first_zero(52 + 9 * m + 1, 7)
        if magnitude == 8:
            b, x = 0, 1
            while b < 15 and self.decide(52 + 9 * m):
                b += 1
            for _ in range(b):
                x = 2 * x + self.decoder.code()
            magnitude = x + 7
        return sign * magnitude


class SplitDecoder:
    """What corners of the blocks of one node show (10.5)."""

    def __init__(self, decoder: RangeDecoder, decisions: Decisions, field: Field) -> None:
        self.decoder, self.decisions, self.field = decoder, decisions, field
        self.rows, self.cols = len(field.modes), len(field.modes[0])
        self.split: set[tuple[int, int]] = set()

    def corners(self) -> dict[tuple[int, int], tuple[int, int]]:
        """The block that each corner of a split block shows, by the corner's row and column."""
        found = self.field.corners
        for r, c in np.ndindex(self.rows, self.cols):
            around = [(r + a, c + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
            if all(self.alike(at, (r, c)) for at in around if self.exists(at)):
                continue
            beside = [(r, c - 1), (r - 1, c), (r, c + 1), (r + 1, c)]
            unlike = sum(1 << k for k, at in enumerate(beside) if self.exists(at) and not self.alike(at, (r, c)))
            near = [(r, c - 1), (r - 1, c), (r - 1, c - 1), (r - 1, c + 1)]
            views = [unlike, sum(1 << k for k, at in enumerate(near) if at in self.split), 4 * self.field.modes[r][c]]
            number = sum(at in self.split for at in (near[0], near[1], near[3]))
            if not self.decisions.decide(self.decoder, number, views):
                continue
            self.split.add((r, c))
            for q in range(4):
                y, x = 2 * r + q // 2, 2 * c + q % 2
                found[y, x] = self.corner((r, c), y, x, q, views)
        return found

    def corner(self, own: tuple[int, int], y: int, x: int, q: int, views: Sequence[int]) -> tuple[int, int]:
        other = own[0] + (1 if y % 2 else -1), own[1] + (1 if x % 2 else -1)
        sources: list[tuple[int, int]] = []
        for at in (own, (own[0], other[1]), (other[0], own[1]), other):
            if self.exists(at) and not any(self.alike(at, one) for one in sources):
                sources.append(at)
        if len(sources) == 1:
            return own
        shown = [self.field.corners.get(at) for at in ((y, x - 1), (y - 1, x))]
        left, upper = (0 if at is None else 1 if self.alike(at, own) else 2 for at in shown)
        second = sum(at is not None and self.alike(at, sources[1]) for at in shown)
        numbers = (4 + 3 * left + upper, 13 + second, 16)[: len(sources) - 1]
        views = [*views[:2], 4 * q + len(sources) - 1]
        ones = (k for k, number in enumerate(numbers) if not self.decisions.decide(self.decoder, number, views))
        return sources[next(ones, len(sources) - 1)]

    def exists(self, at: tuple[int, int]) -> bool:
        return 0 <= at[0] < self.rows and 0 <= at[1] < self.cols

    def alike(self, a: tuple[int, int], b: tuple[int, int]) -> bool:
        """Whether two blocks have the same mode and the same vectors."""
        one, two = ((self.field.modes[r][c], *(v[r][c] for v in self.field.vectors)) for r, c in (a, b))
        return one == two


# Prediction


def reading(plane: Array, block: int, at: tuple[int, int], v: Vector) -> Array:
    """What a block reads of a parent's plane, 2B x 2B samples (10.6)."""
    taps, unit, o = (LUMA_TAPS, 4, 3) if block == 8 else (CHROMA_TAPS, 8, 1)
    places, kernels = [], []
    for number, moved, size in zip(at, v, plane.shape, strict=True):
        first, length = block * number - block // 2 + moved // unit - o, 2 * block + len(taps[0]) - 1
        places.append(np.clip(np.arange(first, first + length), 0, size - 1))
        kernels.append(taps[moved % unit])
    x, size, total = plane[np.ix_(*places)], 2 * block, np.full((2 * block, 2 * block), 1 << 11)
    for (a, down), (b, across) in product(*map(enumerate, kernels)):
        total = total + down * across * x[a : a + size, b : b + size]
    return np.asarray(total >> 12)


def brightened(parent: Picture, gain: int, offset: int) -> Picture:
    """A parent as a node with this gain and offset sees it (10.6)."""
    luma, *chroma = parent
    found = [(gain * luma + 64 >> 7) + 4 * offset, *((gain * (x - GRAY) + 64 >> 7) + GRAY for x in chroma)]
    return [np.clip(x, 0, 4095) for x in found]


def weights_of_lines(block: int, number: int, count: int) -> Array:
    """The weights of the 2B lines of a block, which has this number of so many (10.6)."""
    i = np.arange(2 * block)
    rising = 2 * i + 1 if number else np.full_like(i, 2 * block)
    falling = 4 * block - 2 * i - 1 if number < count - 1 else np.full_like(i, 2 * block)
    return np.where(i < block, rising, falling)


def are_shown(size: tuple[int, int], block: int, at: tuple[int, int], v: Vector) -> Array:
    """Which of 2B x 2B samples a parent's plane of this size shows to a block with this vector (10.6)."""
    unit, found = 32 // block, []
    for number, moved, extent in zip(at, v, size, strict=True):
        place = unit * (block * number - block // 2 + np.arange(2 * block)) + moved
        found.append((place >= -6) & (place <= unit * (extent - 1) + 6))
    return np.logical_and.outer(*found)


def predicted(parents: Sequence[Picture], field: Field) -> tuple[Picture, Picture]:
    """Prediction and doubt (10.6)."""
    shape = len(field.modes), len(field.modes[0])
    prediction, doubt = [], []
    for plane in range(3):
        block = 4 if plane else 8
        margin, size = block // 2, (block * shape[0], block * shape[1])
        total = np.zeros((2, size[0] + 2 * margin, size[1] + 2 * margin), np.int64)
        for r, c in np.ndindex(*shape):
            mode, two = field.modes[r][c], np.zeros((2, 2 * block, 2 * block), np.int64)
            used = ((0,), (1,), (0, 1), ())[mode]
            reads = [reading(parents[k][plane], block, (r, c), field.vectors[k][r][c]) for k in used]
            two[0] = reads[0] if reads else GRAY
            if mode == 2:
                first, second = (are_shown(size, block, (r, c), v[r][c]) for v in field.vectors)
                reads = [np.where(second & ~first, *reads[::-1]), np.where(first & ~second, *reads)]
                two[:] = reads[0] + reads[1] + 1 >> 1, reads[0] - reads[1] >> 1
            weights = np.outer(weights_of_lines(block, r, shape[0]), weights_of_lines(block, c, shape[1]))
            for a, b in np.ndindex(4, 4):
                source = field.corners.get((2 * r - 1 + a, 2 * c - 1 + b))
                if source is not None:
                    corner = weights[margin * a : margin * (a + 1), margin * b : margin * (b + 1)]
                    corner[:] = 4 * block**2 * (source == (r, c))
            total[:, block * r : block * (r + 2), block * c : block * (c + 2)] += weights * two
        inside = total[:, margin : margin + size[0], margin : margin + size[1]]
        found = inside + 2 * block**2 >> (4 * block**2).bit_length() - 1
        prediction.append(found[0])
        doubt.append(found[1])
    return prediction, doubt


# Wavelet


def times(c: int, x: Array) -> Array:
    """m(c, x) (10.7)."""
    return c * x + 2**19 >> 20


def lifted(low: Array, high: Array, axis: int, inverse: bool = False) -> tuple[Array, Array]:
    """The four steps on pairs along an axis (10.7)."""
    low, high = np.moveaxis(low, axis, 0), np.moveaxis(high, axis, 0)
    steps = [-1663182, -55554, 925799, 465051]
    for number in (3, 2, 1, 0) if inverse else (0, 1, 2, 3):
        c = -steps[number] if inverse else steps[number]
        if number % 2 == 0:
            high = high + times(c, low + np.concatenate([low[1:], low[-1:]]))
        else:
            low = low + times(c, high + np.concatenate([high[:1], high[:-1]]))
    return np.moveaxis(low, 0, axis), np.moveaxis(high, 0, axis)


def apart(plane: Array) -> list[Array]:
    """LL, HL, LH, HH of a plane (10.7)."""
    ll, hl, lh, hh = plane[::2, ::2], plane[::2, 1::2], plane[1::2, ::2], plane[1::2, 1::2]
    (ll, hl), (lh, hh) = lifted(ll, hl, 1), lifted(lh, hh, 1)
    (ll, lh), (hl, hh) = lifted(ll, lh, 0), lifted(hl, hh, 0)
    return [times(1385788, ll), hl, lh, times(793420, hh)]


def together(ll: Array, hl: Array, lh: Array, hh: Array) -> Array:
    """The inverse of `apart`."""
    ll, hh = times(793420, ll), times(1385788, hh)
    (ll, lh), (hl, hh) = lifted(ll, lh, 0, True), lifted(hl, hh, 0, True)
    (ll, hl), (lh, hh) = lifted(ll, hl, 1, True), lifted(lh, hh, 1, True)
    return interleaved(ll, hl, lh, hh)


def interleaved(a: Array, b: Array, c: Array, d: Array) -> Array:
    """A plane of its values at (2i, 2j), (2i, 2j + 1), (2i + 1, 2j), (2i + 1, 2j + 1)."""
    plane = np.zeros((2 * a.shape[0], 2 * a.shape[1]), np.int64)
    plane[::2, ::2], plane[::2, 1::2], plane[1::2, ::2], plane[1::2, 1::2] = a, b, c, d
    return plane


def bands_of_grid(g: int) -> list[Band]:
    """In their order (10.7)."""
    found = [(component, "LL") for component in "YUV"] if g == 16 else []
    found += [("Y", orientation) for orientation in ("HL", "LH", "HH")]
    return found + [(component, orientation) for orientation in ("HL", "LH", "HH") for component in "UV" if g > 2]


def taken_apart(picture: Picture) -> Bands:
    """The bands of three planes of coefficients (10.7)."""
    bands: Bands = {g: {} for g in GRIDS}
    for component, plane in zip("YUV", picture, strict=True):
        ll = plane
        for g in (2, 4, 8, 16) if component == "Y" else (4, 8, 16):
            ll, *rest = apart(ll)
            bands[g] |= {(component, name): band for name, band in zip(("HL", "LH", "HH"), rest, strict=True)}
        bands[16][component, "LL"] = ll
    return bands


def taken_together(bands: Bands) -> Picture:
    """The inverse of `taken_apart`."""
    picture = []
    for component in "YUV":
        plane = bands[16][component, "LL"]
        for g in GRIDS if component == "Y" else GRIDS[:3]:
            plane = together(plane, *(bands[g][component, name] for name in ("HL", "LH", "HH")))
        picture.append(plane)
    return picture


# Latents


def sizes_at(source: tuple[str, ...], places: Sequence[tuple[int, int]]) -> list[Tap]:
    """|X| of the text."""
    return [(source, False, *place) for place in places]


def values_at(source: tuple[str, ...], places: Sequence[tuple[int, int]]) -> list[Tap]:
    """X of the text."""
    return [(source, True, *place) for place in places]


def inputs(g: int, band: Band, sides: int) -> list[Tap]:
    """The inputs of a band's symbols (10.7)."""
    component, orientation = band
    chroma, detail, narrow = component != "Y", orientation != "LL", POINT if g == 4 else PLUS
    taps = sizes_at(band, PAST) + values_at(band, NEAR)
    if not chroma and detail and g == 16:
        taps += sizes_at(("Y", "LL"), POINT)
        taps += values_at(("Y", "LL"), SQUARE) if orientation != "HH" else []
    for before in {"LH": ["HL"], "HH": ["HL", "LH"]}.get(orientation, []) if not chroma else []:
        taps += sizes_at(("Y", before), PLUS) + values_at(("Y", before), POINT)
    if chroma:
        taps += sizes_at(("Y", orientation), POINT if component == "V" else PLUS)
        taps += values_at(("Y", orientation), narrow)
    if chroma and detail and g == 16:
        taps += sizes_at((component, "LL"), POINT) + values_at((component, "LL"), PLUS)
    if component == "V":
        taps += sizes_at(("U", orientation), PLUS) + values_at(("U", orientation), narrow)
    if not sides:
        return taps
    if detail:
        taps += sizes_at(("E", *band), PLUS) + values_at(("E", *band), POINT)
    return taps + sizes_at(("F", *band), PLUS) + values_at(("F", *band), POINT)


def prior_inputs(g: int) -> list[Tap]:
    """The inputs of a prior (10.7, features)."""
    taps = []
    for band in bands_of_grid(g):
        if g == 16 or band[0] == "Y":
            taps += sizes_at(band, SQUARE) + values_at(band, PLUS if g == 4 else SQUARE)
        else:
            taps += sizes_at(band, POINT) + values_at(band, POINT if g == 8 else [])
    return taps


class Grid:
    """What the inputs of a grid see: numbers t of its symbols, of E and of F, with two zeros around each band."""

    def __init__(self, sources: Sequence[tuple[str, ...]], shape: tuple[int, int]) -> None:
        self.index = {source: number for number, source in enumerate(sources)}
        self.numbers = np.zeros((len(sources), 2, shape[0] + 4, shape[1] + 4), np.int64)

    def put(self, source: tuple[str, ...], values: Array | int, place: tuple[Any, ...]) -> None:
        """Values at rows and columns of a band."""
        cut = np.clip(values, -127, 127)
        t = T[abs(cut)]
        self.numbers[(self.index[source], slice(None), *place)] = np.stack([t, np.sign(cut) * t])

    def reader(self, taps: Sequence[Tap]) -> Callable[[int, int], Array]:
        """Gives the inputs of a place."""
        source, signed, row, col = np.array([(self.index[tap[0]], *tap[1:]) for tap in taps]).T
        return lambda i, j: self.numbers[source, signed, row + i + 2, col + j + 2]


class Conditions(NamedTuple):
    """What is known of a node before its latents.

    lambda_index is λ, sides those of its parents, E and F are by grid and band; one says that there is but one plane.
    """

    depth: int
    lambda_index: int
    sides: int
    one: bool
    e: Bands
    f: Bands


def latents(
    decoder: RangeDecoder, networks: Networks, known: Conditions, counts: defaultdict[tuple[Any, ...], list[int]]
) -> Bands:
    """The latents of a node (10.7)."""
    found: Bands = {g: {} for g in GRIDS}
    features = None
    for g in GRIDS:
        bands, shape = bands_of_grid(g), known.e[g]["Y", "HL"].shape
        grid = Grid([prefix + band for prefix in ((), ("E",), ("F",)) for band in bands], shape)
        whole = slice(2, shape[0] + 2), slice(2, shape[1] + 2)
        for band in bands:
            grid.put(("E", *band), known.e[g][band], whole)
            grid.put(("F", *band), known.f[g][band], whole)
        for number, band in enumerate(bands):
            symbols = np.zeros(shape, np.int64)
            if (band[0] == "Y" or not known.one) and decoder.flag(counts[known.depth, g, band]):
                put_symbols(symbols, decoder, networks, known, g, number, grid, features)
            found[g][band] = from_symbols(symbols) if band[1] == "LL" and not known.sides else symbols
        if g > 2:
            features = features_of(networks, f"{design(known.sides)}.context.{g}.prior", g, grid, shape, features)
    return found


def put_symbols(
    symbols: Array, decoder: RangeDecoder, networks: Networks, known: Conditions, g: int, number: int, grid: Grid,
    features: Array | None,
) -> None:  # fmt: skip
    """The symbols of band `number` of a grid, in raster order (10.7)."""
    name, band = f"{design(known.sides)}.context.{g}.{number}", bands_of_grid(g)[number]
    first, second = networks.matrix(f"{name}.first"), networks.matrix(f"{name}.second")
    beta = mixed(8 * networks.arrays[f"{name}.bias"], known.lambda_index, known.sides)
    h, read = second.shape[1], grid.reader(inputs(g, band, known.sides))
    for i, j in np.ndindex(*symbols.shape):
        x = read(i, j) if features is None else np.concatenate([read(i, j), features[i, j]])
        u = first @ x + beta
        location, scale = (2 * u[h:] + second @ np.clip(u[:h] + 2**7 >> 8, 0, 1023)).tolist()
        location, scale = held(location + 2**9 >> 10, -2032, 2032), held(16 + (scale + 2**11 >> 12), 0, 47)
        symbols[i, j] = decoder.symbol(location, scale)
        assert abs(symbols[i, j]) <= 32767
        grid.put(band, symbols[i, j], (i + 2, j + 2))


def from_symbols(symbols: Array) -> Array:
    """The latents of a band LL of node 0 (10.7)."""
    found = np.zeros_like(symbols)
    for i, j in np.ndindex(*symbols.shape):
        w, n = (found[i, j - 1] if j else 0), (found[i - 1, j] if i else 0)
        guess = sorted((w, n, w + n - found[i - 1, j - 1]))[1] if i and j else w + n
        found[i, j] = symbols[i, j] + guess
    return found


def features_of(
    networks: Networks, name: str, g: int, grid: Grid, shape: tuple[int, int], features: Array | None
) -> Array:
    """The features of the next grid's places (10.7)."""
    first, second = networks.matrix(f"{name}.first"), networks.matrix(f"{name}.second")
    bias, second_bias = (8 * networks.arrays[f"{name}.{part}"][0] for part in ("bias", "second_bias"))
    found = np.zeros((2 * shape[0], 2 * shape[1], len(second_bias) // 4), np.int64)
    read = grid.reader(prior_inputs(g))
    for i, j in np.ndindex(*shape):
        x = read(i, j) if features is None else np.concatenate([read(i, j), features[i, j]])
        a = np.clip(first @ x + bias + 2**8 >> 9, 0, 255)
        b = np.clip(second @ a + second_bias + 2**8 >> 9, 0, 255)
        found[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = b.reshape(-1, 2, 2).transpose(1, 2, 0)
    return found


# Planes


def six(picture: Picture) -> Array:
    """Six planes of half the size (10.8)."""
    y, u, v = picture
    return np.stack([y[::2, ::2], y[::2, 1::2], y[1::2, ::2], y[1::2, 1::2], u, v])


def samples(coefficients: Picture) -> Picture:
    return [np.clip((c + 8 >> 4) + GRAY, 0, 4095) for c in coefficients]


def residual(
    networks: Networks, index: int, sides: int, told: Sequence[Bands], plain: Picture, doubt: Picture
) -> Picture:
    """What the network adds to the plain planes; told: coefficients of latents, prediction and doubt (10.8)."""

    def cut(x: Array) -> Array:
        return np.asarray(np.clip(x, -3071, 3071))

    def less(x: Array, s: int) -> Array:
        return np.asarray(np.clip(x + 2 ** (s - 1) >> s, -16383, 16383))

    last, network = np.zeros(0), f"{design(sides)}.synthesis"
    for g in GRIDS:
        shown = told if sides else told[:1]
        seen = [less(np.stack([bands[g][band] for band in bands_of_grid(g)]), 5 if g == 16 else 4) for bands in shown]
        if g == 2:
            seen += [less(six(plain), 4), six(doubt)][: 2 if sides else 1]
        x = networks.convolution(f"{network}.{g}.merge", np.concatenate(seen))
        if g < 16:
            y = cut(networks.convolution(f"{network}.{g}.above", last))
            for a, b in product((0, 1), repeat=2):
                x[:, a::2, b::2] += y[2 * a + b :: 4]
        modulation = mixed(networks.arrays[f"{network}.{g}.modulation"], index, sides)
        scale, shift = modulation.reshape(2, -1, 1, 1)
        x = cut(cut(x) * (scale + 2**10) + shift * 2 ** (10 if g >= 8 else 11) + 2**9 >> 10)
        for k in range(BLOCKS[design(sides)][g]):
            y = np.clip(networks.convolution(f"{network}.{g}.blocks.{k}.first", x), 0, 3071)
            x = cut(x + networks.convolution(f"{network}.{g}.blocks.{k}.second", y))
        last = x
    out = networks.convolution(f"{network}.out", last)
    return [interleaved(*out[:4]), out[4], out[5]]


class PartDecoder:
    """A part of all frames: planes and motion by frame (10.1, 10.3)."""

    def __init__(self, data: bytes, networks: Networks, size: tuple[int, int], one: bool, screens: bool) -> None:
        assert len(data) % 4 == 0, "whole words"
        self.decoder, self.networks, self.one = RangeDecoder(data), networks, one
        self.screens = screens
        self.screen = ScreenDecoder(self.decoder)
        self.extent = -(-size[0] // 16) * 16, -(-size[1] // 16) * 16
        self.decisions, self.split = {sign: Decisions() for sign in (-1, 0, 1)}, Decisions(kind_of_split)
        self.counts: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
        self.fields: dict[int, tuple[Node, Field]] = {}
        self.brightness: dict[int, list[tuple[int, int]]] = {}
        self.planes: dict[int, Picture] = {}

    def wave(self, nodes: Sequence[Node], indices: Sequence[int]) -> None:
        """The nodes of a wave, and λ of each of them."""
        for node in nodes:
            if node.parents:
                known = expected(node, (self.extent[0] // 8, self.extent[1] // 8), self.fields)
                self.brightness[node.frame] = self.gains_and_offsets(len(node.parents))
                known = self.as_a_whole(known, len(node.parents))
                decisions = self.decisions[int(np.sign(known.q))]
                field = FieldDecoder(self.decoder, decisions, known).field()
                if self.decoder.flag(self.counts["split", int(np.sign(known.q))]):
                    SplitDecoder(self.decoder, self.split, field).corners()
                self.fields[node.frame] = node, field
        for node, index in zip(nodes, indices, strict=True):
            self.planes[node.frame] = self.picture(node, index)

    def picture(self, node: Node, index: int) -> Picture:
        """The planes of a node (10.6 to 10.8)."""
        sides, (height, width) = len({frame < node.frame for frame in node.parents}), self.extent
        blank = [np.zeros(shape, np.int64) for shape in ((height, width), *[(height // 2, width // 2)] * 2)]
        prediction, doubt = [plane + GRAY for plane in blank], blank
        if sides:
            pairs = zip(node.parents, self.brightness[node.frame], strict=True)
            seen = [brightened(self.planes[frame], *numbers) for frame, numbers in pairs]
            prediction, doubt = predicted(seen, self.fields[node.frame][1])
        gains = {
            g: mixed(self.networks.arrays[f"{design(sides)}.synthesis.{g}.gains"], index, sides).tolist() for g in GRIDS
        }
        steps = {g: {band: step(gain) for band, gain in zip(bands_of_grid(g), gains[g], strict=True)} for g in GRIDS}

        def rounded(bands: Bands, unit: int) -> Bands:
            return {
                g: {band: (2 * unit * x + steps[g][band]) // (2 * steps[g][band]) for band, x in bands[g].items()}
                for g in GRIDS
            }

        e = taken_apart([(plane - GRAY) * 16 for plane in prediction])
        d = taken_apart([plane * 16 for plane in doubt])
        known = Conditions(node.depth, index, sides, self.one, rounded(e, 256), rounded(d, 512))
        found = latents(self.decoder, self.networks, known, self.counts)
        most = 2**20 - 1
        coded = {
            g: {band: np.clip(x * steps[g][band] + 128 >> 8, -most, most) for band, x in found[g].items()}
            for g in GRIDS
        }
        plain = [a + (b - GRAY) * 16 for a, b in zip(taken_together(coded), prediction, strict=True)]
        more = residual(self.networks, index, sides, (coded, e, d), plain, doubt)
        mended = samples([a + b for a, b in zip(plain, more, strict=True)])
        flags = (
            self.squares(node.depth, 32, "square") if sides else np.ones((-(-height // 32), -(-width // 32)), np.int64)
        )
        coloured = [1, 1]
        if flags.any() and not self.one:
            coloured = [self.decoder.flag(self.counts[node.depth, "chroma", k]) for k in range(2)]
        masks = [
            flags.repeat(size, 0).repeat(size, 1)[: height * size // 32, : width * size // 32] * wanted
            for size, wanted in zip((32, 16, 16), (1, *coloured), strict=True)
        ]
        found = [np.where(mask, a, b) for mask, a, b in zip(masks, mended, samples(plain), strict=True)]
        return self.with_screen(node, prediction, found) if self.screens else found

    def with_screen(self, node: Node, prediction: Picture, found: Picture) -> Picture:
        """The planes of a node with its screen content (10.8)."""
        if not self.decoder.flag(self.counts[node.depth, "screen"]):
            return found
        flags, shown = [self.squares(node.depth, 16, "screen luma")], list(found)
        if not self.one:
            flags.append(self.squares(node.depth, 16, "screen chroma", flags[0]))
        predicted = [np.clip(plane + 8 >> 4, 0, 255) for plane in prediction]
        guide = predicted[0]
        for number in range(1 if self.one else 3):
            side = 16 if number == 0 else 8
            mask = flags[min(number, 1)].repeat(side, 0).repeat(side, 1)
            x = self.screen.plane(number, predicted[number], bool(node.parents), guide, mask)
            shown[number] = np.where(mask, 16 * x, found[number])
            guide = x if number else x[::2, ::2]
        return shown

    def gains_and_offsets(self, parents: int) -> list[tuple[int, int]]:
        """The brightness of a node with so many parents (10.6)."""
        if not self.decoder.flag(self.counts["brightness",]):
            return [(128, 0)] * parents
        return [(128 + self.number("gain"), self.number("offset")) for _ in range(parents)]

    def as_a_whole(self, known: Expected, parents: int) -> Expected:
        """What is expected of a node that moves as a whole, if it does (10.5)."""
        if not self.decoder.flag(self.counts["whole", int(np.sign(known.q))]):
            return known
        h, w = len(known.vectors[0]), len(known.vectors[0][0])
        y, x, grids = max(h - 1, 1), max(w - 1, 1), [[[(0, 0)] * w for _ in range(h)] for _ in range(2)]
        maps: list[list[Vector]] = []
        for grid in grids[:parents]:
            base = map_scaled(maps[0], -known.q, known.p) if maps else known.map
            kinds = [("more of " if base else "") + kind for kind in ("a", "b, c", "b, c")]
            pairs = [(self.number(kind, 16), self.number(kind, 16)) for kind in kinds]
            maps.append([(m[0] + n[0], m[1] + n[1]) for m, n in zip(pairs, base or [(0, 0)] * 3, strict=True)])
            a, b, c = maps[-1]
            for i, j in np.ndindex(h, w):
                down, right = (a[k] * y * x + b[k] * i * x + c[k] * j * y for k in range(2))
                grid[i][j] = scaled((down, right), 1, 4 * y * x)
        return known._replace(vectors=grids, maps=maps)

    def number(self, kind: str, n: int = 9) -> int:
        """A number of a kind (10.6)."""

        def flag(pair: int) -> int:
            return self.decoder.flag(self.counts[kind, pair])

        if not flag(0):
            return 0
        sign, magnitude = (-1 if flag(1) else 1), 1
        for _ in range(next((k for k in range(n) if not flag(3 + k)), n)):
            magnitude = 2 * magnitude + flag(2)
        return sign * magnitude

    def squares(self, depth: int, side: int, name: str, beside: Array | None = None) -> Array:
        """Flags of the squares of a node (10.8)."""
        flags = np.zeros((-(-self.extent[0] // side), -(-self.extent[1] // side)), np.int64)
        for r, c in np.ndindex(*flags.shape):
            ones = int((flags[r, c - 1] if c else 0) + (flags[r - 1, c] if r else 0))
            known = 0 if beside is None else int(beside[r, c])
            flags[r, c] = self.decoder.flag(self.counts[depth, name, ones, known])
        return flags


def coefficients(networks: Networks, plane: Array, index: int) -> Array:
    """What `between` says of all samples of a plane and of those one beyond (10.9), (8, rows + 2, columns + 2)."""
    plane = np.pad(plane, 7, mode="edge")
    x = np.stack([plane - GRAY, np.full_like(plane, 64 * (index - 40))])
    for name in ("first", "second", "third"):
        x = np.clip(networks.convolution(f"between.{name}", x), 0, 3071)
    y = np.clip(networks.convolution("between.fourth", x), 0, 3071)
    x = np.clip(x + networks.convolution("between.fifth", y), 0, 3071)
    return np.clip(networks.convolution("between.out", x), -32767, 32767)[:, 6:-6, 6:-6]


def between(plane: Array, row: float, col: float, learnt: Array | None) -> float:
    """A plane at a position, half a sample outside of it at the most (10.9)."""
    starts = math.floor(row), math.floor(col)
    phases = [round(1024 * (x - start)) / 1024 for x, start in zip((row, col), starts, strict=True)]
    taps = [[float(np.sinc(p - k) * np.sinc((p - k) / 3)) * (abs(p - k) < 3) for k in range(-2, 4)] for p in phases]
    total, size = 0.0, (len(plane) - 1, len(plane[0]) - 1)
    for (a, down), (b, right) in product(*map(enumerate, taps)):
        i, j = (min(max(start - 2 + k, 0), last) for start, k, last in zip(starts, (a, b), size, strict=True))
        total += down * right / sum(taps[0]) / sum(taps[1]) * int(plane[i, j])
    for i, j in product(*((start, start + 1) for start in starts)) if learnt is not None else ():
        u, v = row - i, col - j
        terms = (u, v, u * v, u * u, v * v, u * u * v, u * v * v, u * u * v * v)
        a = learnt[:, i + 1, j + 1]
        total += (1 - abs(u)) * (1 - abs(v)) * float(np.dot(terms, a)) / 4
    return total


class Moves(NamedTuple):
    """Moves of blocks from a frame to the next, moves[coded or found][row][column], and shares of the found (10.9)."""

    moves: list[VectorGrid]
    shares: list[list[float]]


def moves_between(planes: Sequence[Array], coded: VectorGrid) -> Moves:
    """What blocks of two planes find from the halves of the coded vectors on (10.9)."""
    found = [list(row) for row in coded]
    places = list(np.ndindex(len(coded), len(coded[0])))

    @functools.cache
    def differing(place: Vector, move: Vector) -> int:
        one, two = (reading(planes[k], 8, place, (sign * move[0], sign * move[1])) for k, sign in enumerate((-1, 1)))
        return int(np.abs(one - two).sum())

    def around(place: Vector, offsets: Sequence[Vector]) -> list[Vector]:
        r, c = place
        return [(r + a, c + b) for a, b in offsets if (r + a, c + b) in places]

    def cost(place: Vector, move: Vector) -> int:
        beside = [found[y][x] for y, x in around(place, [(-1, 0), (0, -1), (0, 1), (1, 0)])]
        return differing(place, move) + 1536 * sum(abs(a - b) for v in beside for a, b in zip(v, move, strict=True))

    for order in (places, places[::-1], places):
        for r, c in order:
            offered = [found[r][c], *(found[y][x] for y, x in around((r, c), SQUARE))]
            offered += [*(coded[y][x] for y, x in around((r, c), SQUARE)), (0, 0)]
            best = min(offered, key=lambda move: cost((r, c), move))
            for _ in range(4):
                a, b = best
                best = min([best, *((a + i, b + j) for i, j in SQUARE)], key=lambda move: cost((r, c), move))
            found[r][c] = best
    shares = [[0.0] * len(row) for row in coded]
    for r, c in places:
        e, f = ((differing((r, c), grid[r][c]) + 4096) ** 2 for grid in (coded, found))
        shares[r][c] = e / (e + f)
    return Moves([coded, found], shares)


def mean_of_centres(values: Array, row: float, col: float) -> Array:
    """Values of blocks (rows, columns, ...) linearly between their centres, edges repeated (10.9)."""
    y, x = (row - 3.5) / 8, (col - 3.5) / 8
    total = np.zeros(values.shape[2:])
    for i, j in product((math.floor(y), math.floor(y) + 1), (math.floor(x), math.floor(x) + 1)):
        nearest = values[held(i, 0, len(values) - 1), held(j, 0, len(values[0]) - 1)]
        total = total + (1 - abs(y - i)) * (1 - abs(x - j)) * nearest
    return total


def readings(known: Moves, way: float, point: tuple[float, float], size: Sequence[int]) -> list[tuple[float, Array]]:
    """The weight of each reading of a point between frames, and how far from it it lies: coded, found, of both frames.

    The way is the time since the frame before, the size that of the picture (10.9).
    """
    share, found = float(mean_of_centres(np.array(known.shares), *point)), []
    for part, grid in zip((1 - share, share), known.moves, strict=True):
        v = mean_of_centres(np.array(grid, float), *point) / 2
        far = [-way * v, (1 - way) * v]
        beyond = [max(max(-x, x - (n - 1)) for x, n in zip(point + d, size, strict=True)) for d in far]
        weights = [(1 - way, way)[k] * min(max(1 - beyond[k], 0.001), 1) for k in range(2)]
        found += [(part * weights[k] / sum(weights), far[k]) for k in range(2)]
    return found


def parts(shapes: Sequence[tuple[int, int]]) -> list[tuple[tuple[int, ...], int]]:
    """Planes and price of every part (10.1)."""
    (height, width), *chroma = shapes
    if chroma and chroma[0] == (-(-height // 2), -(-width // 2)):
        return [((0, 1, 2), 0)]
    prices = [round(8 * math.log2(6 * rows * cols / (height * width))) for rows, cols in chroma]
    return [((plane,), price) for plane, price in enumerate([0, *prices])]


def planes(payload: bytes, frames: int, height: int, width: int, count: int = 3) -> tuple[list[Picture], PartDecoder]:
    """Section 10: the planes of all frames, `count` each, and the first part with its motion; the digest is checked."""
    reader = Reader(payload)
    networks = Networks(reader.take(8))
    depth, *shifts = reader.take(5)
    screens, depth = depth >= 128, depth % 128 - 32
    assert 8 <= depth <= 16 and max(shifts) <= 2
    anchor_index = reader.number("B")
    marks, depths = divmod(reader.number("B"), 16)
    priced, rooted, plain = marks & 1, marks & 4, marks & 8
    assert not marks & 2 and 1 <= depths <= 8 and not (plain and count == 1)
    offsets = [reader.number("b") for _ in range(depths)]
    anchors, before = [0], 0
    while anchors[-1] < frames - 1:
        distance, times = reader.varint(), reader.varint()
        assert distance != before
        before = distance
        anchors += [anchors[-1] + distance * (k + 1) for k in range(times)]
    assert anchors == sorted(set(anchors)) and anchors[-1] == frames - 1
    root = reader.varint() if rooted else 0
    assert (root > 0) == (rooted > 0)
    own = {frame: reader.number("b") for frame in anchors} if priced else {}
    assert any(own.values()) == bool(priced)
    values = [reader.varint() for _ in range(2 if plain else 0)]
    assert all(value < 4096 for value in values)
    crc = zlib.crc32(payload[: reader.at])
    digest = reader.number("I")
    shapes = [(height, width)] + [(-(-height >> shifts[0]), -(-width >> shifts[1]))] * (count - 1)
    divided = parts(shapes[:1] if plain else shapes)
    sizes = [reader.varint() for _ in divided[1:]]
    streams = [*(reader.take(size) for size in sizes), reader.take()]
    found: list[Picture] = [[] for _ in range(frames)]
    decoders = []
    for (numbers, price), data in zip(divided, streams, strict=True):
        decoder = PartDecoder(data, networks, shapes[numbers[0]], len(numbers) == 1, screens)
        index = held(anchor_index + price, 0, 80)
        for wave in waves(anchors, root):
            added = [offsets[min(node.depth, depths - 1)] + own.get(node.frame, 0) for node in wave]
            decoder.wave(wave, [held(index + more, 0, 80) for more in added])
        decoder.decoder.finish()
        for picture in decoder.planes.values():
            for plane in picture:
                crc = zlib.crc32(plane.astype("<i2").tobytes(), crc)
        for frame, number in product(range(frames), numbers):
            rows, cols = shapes[number]
            found[frame].append(decoder.planes[frame][numbers.index(number)][:rows, :cols])
        decoders.append(decoder)
    for frame in range(frames if plain else 0):
        found[frame] += [np.full(shape, value) for shape, value in zip(shapes[1:], values, strict=True)]
    assert crc == digest, "the digest of the planes"
    return found, decoders[0]
