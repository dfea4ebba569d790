"""A decoder of the representation `lossless`, written from the text of docs/format.md alone: slow, in pure Python.

`planes` gives all samples of a GOP. Numbers in docstrings are sections of that text.
"""

from __future__ import annotations

import functools
import hashlib
import json
import zlib
from decimal import Context, Decimal
from itertools import product

import numpy as np
from places import ROOT
from plain_decoder import Reader

Plane = list[list[int]]
START = ROOT / "nerv_codec" / "representations" / "lossless" / "start.safetensors"
EXACT = Context(prec=50)
F_TABLE = [float(EXACT.divide(1, EXACT.add(1, EXACT.exp(Decimal(-i) / 32)))) for i in range(-640, 641)]
G_TABLE = [float(EXACT.ln(EXACT.divide(2 * i + 1, 8191 - 2 * i))) for i in range(4096)]
S = [
    0.15 * part * 2.0**a for a in range(12) for part in (1.0, 1.189207115002721, 1.4142135623730951, 1.681792830507429)
]
CAUSAL = [(0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-2, 1), (-2, -1)]
CAUSAL += [(-1, -2), (-1, 2), (0, -3), (-3, 0), (-2, 2), (-2, -2)]
CROSS, CORNERS, HERE = [(0, -1), (0, 1), (-1, 0), (1, 0)], [(-1, -1), (-1, 1), (1, -1), (1, 1)], [(0, 0)]


def held(value, low, high):
    return min(max(value, low), high)


class Counter:
    def __init__(self) -> None:
        self.v, self.n = 1 << 19, 0

    def see(self, bit: int) -> None:
        self.v = held(self.v + (((bit << 20) - self.v) * int(65536 / (self.n + 1.6)) >> 16), 512, (1 << 20) - 512)
        self.n = min(self.n + 1, 200)


class Stream:
    """9.1"""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.low, self.high, self.code = data, 0, 0, 2**32 - 1, 0
        for _ in range(4):
            self.code = self.code << 8 | self.byte()

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def bit(self, chance: int) -> int:
        middle = self.low + ((self.high - self.low) * chance >> 16)
        bit = int(self.code <= middle)
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while self.low >> 24 == self.high >> 24:
            self.low = self.low << 8 & 2**32 - 1
            self.high = self.high << 8 & 2**32 - 1 | 255
            self.code = self.code << 8 & 2**32 - 1 | self.byte()
        return bit

    def counted(self, counter: Counter) -> int:
        bit = self.bit(counter.v >> 4)
        counter.see(bit)
        return bit

    def end(self) -> None:
        assert self.at == len(self.data) + 3


def motion(stream: Stream, frames: int, height: int, width: int) -> list[list[list[list[tuple[int, int]]]]]:
    """9.2: vectors by frame, k - 1, block row and block column."""
    rows, cols = -(-height // 16), -(-width // 16)
    sets = [[Counter() for _ in range(20)] for _ in range(2)]
    found = [[]]
    for t in range(1, frames):
        vectors = []
        for k in range(1, min(t, 3) + 1):
            d, field, counters = [], [], sets[k > 1]
            for i in range(rows):
                d.append([])
                field.append([])
                for j in range(cols):
                    expected, unrest = [], 0
                    for axis in range(2):
                        left = d[i][j - 1][axis] if j else 0
                        up = d[i - 1][j][axis] if i else left
                        left = left if j else up
                        corner = (d[i - 1][j + 1][axis] if j + 1 < cols else up) if i else left
                        three = sorted((left, up, corner))
                        expected.append(three[1])
                        unrest += three[2] - three[0]
                    u = 0 if unrest == 0 else 1 if unrest < 4 else 2
                    value = []
                    for axis in range(2):
                        size = 0
                        if not stream.counted(counters[3 * axis + u]):
                            sign, bits = stream.counted(counters[6 + axis]), 0
                            while bits < 11 and stream.counted(counters[8 + bits]):
                                bits += 1
                            size = 1
                            for _ in range(bits):
                                size = 2 * size + stream.bit(1 << 15)
                            size = -size if sign else size
                        value.append(size + expected[axis])
                    d[i].append(tuple(value))
                    first = vectors[0][i][j] if vectors else (0, 0)
                    move = tuple(value[axis] + (k * first[axis] if k > 1 else 0) for axis in range(2))
                    for at, size, far in ((16 * i, height, move[0]), (16 * j, width, move[1])):
                        assert at + far >= -16 and min(size, at + 16) + far <= size + 16
                    field[i].append(move)
            vectors.append(field)
        found.append((vectors + [vectors[-1]] * 2)[:3])
    return found


def regressors(plane: int, inter: bool) -> tuple[list[tuple[str, int, int, int]], int, int]:
    """9.3: (group, k, row, column), and how many are few and some."""
    out: list[tuple[str, int, int, int]] = []
    ks = (1, 2, 3) if inter else ()

    def add(group: str, k: int, places: list[tuple[int, int]]) -> None:
        out.extend((group, k, *place) for place in places)

    if plane == 0 and not inter:
        add("P", 0, CAUSAL)
        return out, 6, 10
    add("P", 0, CAUSAL[:2])
    if plane == 0:
        for k in ks:
            add("P", k, HERE)
        add("P", 1, CROSS)
        add("P", 2, CROSS)
        few = len(out)
        add("P", 0, CAUSAL[2:6])
        add("P", 3, CROSS)
        some = len(out)
        add("P", 1, CORNERS)
        add("P", 2, CORNERS)
        add("P", 0, CAUSAL[6:12])
        return out, few, some
    for k in ks:
        add("P", k, HERE)
        add("L", k, HERE)
    add("L", 0, HERE)
    for k in (0, *ks) if plane == 2 else ():
        add("F", k, HERE)
    add("L", 0, CAUSAL[:2])
    few = len(out)
    add("P", 0, CAUSAL[2:4])
    for k in ks:
        add("P", k, CROSS)
    if plane == 2:
        add("F", 0, CROSS)
    some = len(out)
    add("P", 0, CAUSAL[4:6])
    add("L", 0, [(0, 1), (1, 0)])
    for k in ks[:2]:
        add("L", k, CROSS)
    return out, few, some


class Triangle:
    """9.4"""

    def __init__(self, n: int) -> None:
        self.n, self.s = n, [[0.0] * (n + 1) for _ in range(n)]

    def fill(self, values: list[float]) -> None:
        values = iter(values)
        for i in range(self.n):
            for j in range(i, self.n + 1):
                self.s[i][j] = next(values)

    def add(self, x: list[float], weight: float) -> None:
        for i in range(self.n):
            scaled = weight * x[i]
            for j in range(i, self.n + 1):
                self.s[i][j] += scaled * x[j]

    def combine(self, own: float, other: Triangle, share: float) -> None:
        """own * this + share * other."""
        for i in range(self.n):
            for j in range(i, self.n + 1):
                self.s[i][j] = own * self.s[i][j] + share * other.s[i][j]

    def copy(self) -> Triangle:
        new = Triangle(self.n)
        new.s = [list(row) for row in self.s]
        return new

    def pull(self, p: float, towards: list[float]) -> None:
        for i in range(self.n):
            self.s[i][i] += p
            self.s[i][self.n] += p * towards[i]

    def trace(self) -> float:
        total = 0.0
        for i in range(self.n):
            total += self.s[i][i]
        return total

    def solve(self, *orders: int) -> list[list[float]]:
        n, s = self.n, self.s
        z, u = [0.0] * n, [[0.0] * n for _ in range(n)]
        for k in range(n):
            g = 1.0 / max(s[k][k], 1e-6)
            z[k] = s[k][n] * g
            for i in range(k + 1, n):
                f = s[k][i] * g
                u[i][k] = f
                for j in range(i, n + 1):
                    s[i][j] -= f * s[k][j]
        answers = []
        for order in orders:
            w = z[:order]
            for i in range(order - 1, -1, -1):
                for k in range(i):
                    w[k] -= u[i][k] * w[i]
            answers.append(w)
        return answers


def logistic(z: float) -> float:
    h = (z + 20) * 32
    if h <= 0:
        return F_TABLE[0]
    if h >= 1280:
        return F_TABLE[1280]
    i = int(h)
    return F_TABLE[i] + (h - i) * (F_TABLE[i + 1] - F_TABLE[i])


def logit(p: float) -> float:
    return G_TABLE[held(int(p * 4096), 0, 4095)]


@functools.cache
def start_arrays(name: bytes) -> dict[str, list]:
    """9.10: all arrays, flat but for their last axis."""
    if name == bytes(8):
        return {}
    data = START.read_bytes()
    assert hashlib.sha256(data).digest()[:8] == name
    reader = Reader(data)
    facts, body = json.loads(reader.take(reader.number("Q"))), reader.take()
    types = {"I8": "i1", "U8": "u1", "F32": "<f4"}
    return {
        key: np.frombuffer(body[slice(*fact["data_offsets"])], types[fact["dtype"]])
        .reshape(-1, *fact["shape"][-1:] * (len(fact["shape"]) == 2))
        .tolist()
        for key, fact in facts.items()
        if key != "__metadata__"
    }


class State:
    """All that lives as long as a GOP (9.4 to 9.10)."""

    def __init__(self, plane: int, inter: bool, arrays: dict[str, list]) -> None:
        self.taps, self.few, self.some = regressors(plane, inter)
        n = len(self.taps)
        self.slow = Triangle(n)
        self.t = ([0.25, 0.25, 0.5] if inter else [0.5, 0.5]) + [0.0] * n
        self.t = self.t[:n]
        self.s, self.gamma = list(self.t), [0.0] * n
        self.y, self.features = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], Triangle(7)
        self.biases = [[0.0, 0] for _ in range(1920)]
        self.spreads = {(k, c, o): [S[c] * 1.09, 2] for k, c, o in product(range(8), range(48), range(4))}
        self.counters: dict[int, Counter] = {}
        self.first: tuple[list[int], list[int]] | None = None
        self.alpha = [[0.05] * 7 + [0.45] + [0.05] * 2 + [0.0] * 4 + [0.02] * 6 for _ in range(56)]
        self.beta = [[0.0] * 20 for _ in range(21 * 48)]
        self.layers = [[[0.0] * out] * (inputs + 1) for inputs, out in ((n + 30, 32), (32, 32), (32, 9))]
        curve = [F_TABLE[round((i / 1.5 - 8.0 + 20) * 32)] for i in range(25)]
        self.kappa = [list(curve) for _ in range(21 * 48)]
        if arrays:
            kind = f"{plane}.{'later' if inter else 'first'}."
            self.begin({key.removeprefix(kind): array for key, array in arrays.items() if key.startswith(kind)})

    def begin(self, arrays: dict[str, list]) -> None:
        """9.10"""
        self.first = arrays["chances"], arrays["seen"]
        self.alpha = [list(row) for row in arrays["by_node"]]
        self.beta = [[x / 32 for x in row] for row in arrays["by_scale"]]
        self.kappa = [[F_TABLE[640 + 2 * x] for x in row] for row in arrays["curves"]]
        for key, spread, seen in zip(self.spreads, arrays["spreads"], arrays["spreads_seen"], strict=True):
            self.spreads[key] = [spread, seen]
        self.biases = [list(pair) for pair in zip(arrays["biases"], arrays["biases_seen"], strict=True)]
        self.layers = [arrays[f"{name}_layer"] for name in ("first", "second", "last")]
        self.slow.fill(arrays["slow_sums"])
        self.features.fill(arrays["scale_sums"])
        self.s, self.t, self.gamma, self.y = (
            list(arrays[key]) for key in ("slow_weights", "towards", "gradient_weights", "scale_weights")
        )

    def counter(self, i: int) -> Counter:
        if i not in self.counters:
            new = self.counters[i] = Counter()
            if self.first:
                chances, seen = self.first
                new.v, new.n = held(int(2**20 * F_TABLE[640 + 2 * chances[i]]), 512, 2**20 - 512), seen[i]
        return self.counters[i]

    def decide(self, stream: Stream, opinions: list[float], node: int, c: int, contexts: list[int]) -> int:
        """One decision of 9.8."""
        counters = [self.counter(node * 840 + i) for i in contexts]
        x = [*map(logit, opinions), *(G_TABLE[counter.v >> 8] for counter in counters), 0.3]
        row = 48 * min(node, 20) + c
        alpha, beta, kappa = self.alpha[node], self.beta[row], self.kappa[row]
        parts = [0.0] * 4
        for i in range(20):
            parts[i % 4] += (alpha[i] + beta[i]) * x[i]
        mix = held((parts[0] + parts[1]) + (parts[2] + parts[3]), -11.0, 11.0)
        pi = logistic(mix)
        h = held((mix + 8.0) * 1.5, 0.0, 24 - 0.001)
        i = int(h)
        g = h - i
        chance = 0.5 * pi + 0.5 * (kappa[i] * (1 - g) + kappa[i + 1] * g)
        bit = stream.bit(held(int(chance * 65536), 1, 65535))
        step = 0.002 * (bit - pi)
        for k in range(20):
            alpha[k] += step * x[k]
            beta[k] += step * x[k]
        kappa[i] += (bit - kappa[i]) * (0.015 * (1 - g))
        kappa[i + 1] += (bit - kappa[i + 1]) * (0.015 * g)
        for counter in counters:
            counter.see(bit)
        return bit

    def network(self, facts: list[float]) -> list[float]:
        """f of 9.11."""
        for number, (first, *rows) in enumerate(self.layers):
            out = list(first)
            for fact, row in zip(facts, rows, strict=True):
                for k, weight in enumerate(row):
                    out[k] += fact * weight
            facts = [max(one, 0.0) for one in out] if number < 2 else out
        return facts

    def value(self, stream, centre, peak, mu, tau, shares, c, contexts) -> int:
        """A value by 9.8."""

        def beyond(j: int, side: int) -> list[float]:
            parts = [logistic((side * m - (j - 0.5)) * t) for m, t in zip(mu, tau, strict=True)]
            total = 0.0
            for share, part in zip(shares, parts[10:], strict=True):
                total += share * part
            return [*parts, total]

        def quotients(above: list[float], below: list[float]) -> list[float]:
            return [(a + 1e-7) / (b + 2e-7) for a, b in zip(above, below, strict=True)]

        up, down, none = beyond(1, 1), beyond(1, -1), [0.0] * 14
        same = quotients([1.0 - a - b for a, b in zip(up, down, strict=True)], [1.0] * 14)
        if self.decide(stream, same, 0, c, contexts):
            return centre
        if centre in (0, peak):
            above = centre == 0
        else:
            both = [a + b for a, b in zip(up, down, strict=True)]
            above = bool(self.decide(stream, quotients(up, both), 1, c, contexts))
        side, limit = (1, peak - centre) if above else (-1, centre)
        near, far, low, bucket = up if above else down, none, 1, 0
        while 1 << bucket < limit:
            beyond_it = beyond((1 << bucket) + 1, side)
            parts = [a - b for a, b in zip(near, beyond_it, strict=True)]
            node = 2 + min(bucket, 8) + (0 if above else 9)
            if self.decide(stream, quotients(parts, near), node, c, contexts):
                far = beyond_it
                break
            low, near, bucket = (1 << bucket) + 1, beyond_it, bucket + 1
        high = min(1 << bucket, limit)
        while low < high:
            middle = low + high >> 1
            split = beyond(middle + 1, side)
            parts = [a - b for a, b in zip(split, far, strict=True)]
            whole = [a - b for a, b in zip(near, far, strict=True)]
            node = 20 + min(bucket, 8) + (0 if above else 9) + (18 if high == low + 1 else 0)
            if self.decide(stream, quotients(parts, whole), node, c, contexts):
                low, near = middle + 1, split
            else:
                high, far = middle, split
        return centre + side * low


def at(plane: Plane, row: int, col: int) -> int:
    return plane[held(row, 0, len(plane) - 1)][held(col, 0, len(plane[0]) - 1)]


def downsampled(plane: Plane, r: int, c: int) -> Plane:
    """L of 9.3."""
    rows, cols = -(-len(plane) >> r), -(-len(plane[0]) >> c)
    parts = list(product(range(1 << r), range(1 << c)))
    half = (1 << r + c) // 2
    return [
        [sum(at(plane, (i << r) + a, (j << c) + b) for a, b in parts) + half >> r + c for j in range(cols)]
        for i in range(rows)
    ]


def smooth(errors: Plane) -> Plane:
    weights = [(a, b, (2 - abs(a)) * (2 - abs(b))) for a, b in product((-1, 0, 1), repeat=2)]
    return [[sum(w * at(errors, i + a, j + b) for a, b, w in weights) for j in range(len(errors[0]))]
            for i in range(len(errors))]  # fmt: skip


class Rows:
    """Something of coded samples, continued past their border as in 9.5."""

    def __init__(self, height: int, width: int) -> None:
        self.width, self.values = width, [[0.0] * width for _ in range(height)]

    def get(self, row: int, col: int) -> float:
        if row < 0 or (row == 0 and col < 0):
            return 0.0
        if col < 0:
            return self.get(row - 1, 0)
        return self.values[row][min(col, self.width - 1)]

    def nearby(self, i: int, j: int) -> float:
        w, n, nw, ne, ww, nn = (self.get(i + a, j + b) for a, b in CAUSAL[:6])
        return 2.0 * w + 2.0 * n + nw + ne + ww + nn


def plane_of(  # noqa: PLR0912
    stream, state, past, groups, errors_past, errors_beside, vectors, shifts, height, width, depth
):
    """One plane of one frame (9.3 to 9.8), and its errors.

    past: {(group, k): plane} of what is known; groups: L and F of this frame; vectors: by k - 1.
    """
    peak, half, n = (1 << depth) - 1, 1 << depth - 1, len(state.taps)
    most = 40.0 * (1 << depth) / 256
    inter = vectors is not None
    plane: Plane = [[] for _ in range(height)]
    errors = [[0] * width for _ in range(height)]
    near, wide = [[Triangle(n) for _ in range(-(-width // 4))] for _ in range(2)]
    missed = [Rows(height, width) for _ in range(8)]
    signed, sizes = Rows(height, width), Rows(height, width)

    def own(row: int, col: int) -> int:
        if row >= 0:
            if col < 0:
                return plane[row - 1][0] if row else half
            return plane[row][min(col, width - 1)]
        known = len(plane[0])
        return plane[0][min(col, known) - 1] if col > 0 and known else half

    def known(group: str, k: int, row: int, col: int) -> int:
        if group == "P" and k == 0:
            return own(row, col)
        return at(past[group, k] if k else groups[group], row, col)

    for i, segment in product(range(height), range(len(near[:]))):
        moves = {0: (0, 0)}
        for k in (1, 2, 3) if inter else ():
            move = vectors[k - 1][i << shifts[0] >> 4][4 * segment << shifts[1] >> 4]
            moves[k] = move[0] >> shifts[0], move[1] >> shifts[1]
        solved = []
        for triangles, fall, orders in (
            (near, 0.5, (state.few, state.some, n)),
            (wide, 0.8, (n, state.some)),
        ):
            total, share = Triangle(n), 1.0
            for distance in range(3):
                for place in (segment,) if distance == 0 else (segment - distance, segment + distance):
                    if 0 <= place < len(triangles):
                        total.combine(1.0, triangles[place], share)
                share *= fall
            total.pull(4.0 + 1e-4 * total.trace() / n, state.s)
            solved.append(total.solve(*orders))
        weights = [*solved[0], list(state.s), *solved[1]]
        fresh = Triangle(n)
        for j in range(4 * segment, min(width, 4 * segment + 4)):
            base = {}
            for group in ("P", *groups):
                total, count = known(group, 0, i, j - 1) + known(group, 0, i - 1, j), 2
                for k in range(1, len(moves)):
                    total, count = total + known(group, k, i + moves[k][0], j + moves[k][1]), count + 1
                base[group] = total / count
            x = [known(g, k, i + moves[k][0] + a, j + moves[k][1] + b) - base[g] for g, k, a, b in state.taps]
            m, p = base["P"], []
            for w in weights:
                total = 0.0
                for a, b in zip(w, x, strict=False):
                    total += a * b
                p.append(m + total)
            v = 0.34 * p[2] + 0.33 * (p[3] + p[4])
            r, energy = 0.0, 0.0
            for a, b in zip(state.gamma, x, strict=True):
                r += a * b
                energy += b * b
            p = [held(one, 0.0, float(peak)) for one in (*p, v + r)]
            a_ = [rows.nearby(i, j) for rows in missed[:7]]
            over, under = 0.0, 0.0
            for one, a in zip(p, a_, strict=True):
                g = 1.0 / ((a * a + 4.0) * (a * a + 4.0))
                under += g
                over += g * one
            q = over / under
            west, north, corner, east = (own(i + a, j + b) for a, b in CAUSAL[:4])
            activity = sizes.nearby(i, j) * 0.125
            before, change, moved = 0.0, 0.0, m
            if inter:
                moved = known("P", 1, i + moves[1][0], j + moves[1][1])
                before = sum(at(errors_past[k], i + moves[k][0], j + moves[k][1]) for k in (1, 2, 3)) / 768
                change = abs(moved - known("P", 2, i + moves[2][0], j + moves[2][1]))
            spread = 0.0
            for k in range(4):
                spread += abs(p[k] - q)
            gradient = (abs(west - corner) + abs(north - corner) + abs(north - east)) / 3.0
            beside = errors_beside[i][j] / 16 if errors_beside else 0.0
            features = [1.0, activity, gradient, before, float(change), beside, spread]
            sigma = 0.0
            for a, b in zip(state.y, features, strict=True):
                sigma += a * b
            sigma = max(sigma, 0.15, 0.2 * activity)
            c = max(k for k in range(48) if k == 0 or sigma >= S[k])
            left_error, up_error = signed.get(i, j - 1), signed.get(i - 1, j)
            facts = west > q, north > q, corner > q, east > q, moved > q, left_error > 0, up_error > 0
            pattern = sum(fact << k for k, fact in enumerate(facts))
            last = 4 * (p[0] > q) + 2 * (p[3] > q) + (p[6] > q)
            biases = state.biases[12 * pattern + (c >> 2)], state.biases[1536 + 8 * c + last]
            given = [bias * (seen / (seen + 8.0)) for bias, seen in biases]
            final = held(q + 0.5 * (given[0] + given[1]), 0.0, float(peak))
            p.append(final)
            a_.append(missed[7].nearby(i, j))
            centre = int(final + 0.5)
            classes = []
            for a in a_:
                ratio = a * 0.125 / (activity + 0.5)
                classes.append(0 if ratio < 0.9 else 1 if ratio <= 1.15 else 2 if ratio <= 1.5 else 3)
            mu = [one - centre for one in p]
            tau = [1.386 / state.spreads[k, c, o][0] for k, o in enumerate(classes)]
            mu += [mu[7], mu[7]]
            tau += [tau[7] * 0.4, tau[7] * 2.0]
            w = 1.0 / (sigma + 0.3)
            told = [held(one * w, -8.0, 8.0) for one in (*x, m - final)]
            told += [held((one - final) * w * 4.0, -8.0, 8.0) for one in p[:7]]
            told += [min(a * 0.125 / (activity + 0.5), 4.0) for a in a_]
            told += [min(one * w, 8.0) for one in features[1:]]
            told += [held(signed.get(i + a, j + b) * w, -8.0, 8.0) for a, b in CAUSAL[:6]]
            f = state.network([*told, c * 0.125, final - centre])
            shares = [logistic(one) for one in f[:3]]
            shares = [one / (0.0 + shares[0] + shares[1] + shares[2]) for one in shares]
            mu += [mu[7] + one / w for one in f[3:6]]
            for one in f[6:]:
                h = held(one, -6.0, 6.0) + 6
                tau.append(2.0 ** (int(h) - 6) * (1.0 + (h - int(h))) * w)

            def t(d, u, h):
                return h + held(int(d / u), -h, h)

            unit, third = sigma + 0.25, (sigma + 0.1) / 3.0
            contexts = [
                12 * min(int((final - centre + 0.5) * 8.0), 7) + (c >> 2),
                96 + 12 * t(moved - final, 0.5 * sigma + 0.25, 4) + (c >> 2),
                204 + 6 * (7 * t(west - final, unit, 3) + t(north - final, unit, 3)) + (c >> 3),
                498 + 6 * (7 * t(p[0] - final, third, 3) + t(p[3] - final, third, 3)) + (c >> 3),
                792 + c,
            ]
            value = state.value(stream, centre, peak, mu, tau, shares, c, contexts)
            plane[i].append(value)
            for k in range(8):
                miss = abs(value - p[k])
                missed[k].values[i][j] = min(miss, most)
                spread_ = state.spreads[k, c, classes[k]]
                spread_[0] += (miss + 0.02 - spread_[0]) / (spread_[1] + 1)
                spread_[1] = min(spread_[1] + 1, 250)
            error = value - final
            cut = held(error, -most, most)
            signed.values[i][j], sizes.values[i][j], errors[i][j] = cut, abs(cut), int(abs(cut) * 16)
            for bias, gave, limit in zip(biases, given, (200, 400), strict=True):
                bias[0] += (error + gave - bias[0]) / (bias[1] + 1)
                bias[1] = min(bias[1] + 1, limit)
            state.features.add([*features, abs(cut)], 1.0 / ((sigma + 0.3) * (sigma + 0.3)))
            if (i * width + j) % 64 == 63:
                copy = state.features.copy()
                state.features.combine(0.998, Triangle(7), 0.0)
                copy.pull(1.0, [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
                (state.y,) = copy.solve(7)
            step = held(value - v - r, -most, most) * 0.003 / (energy + 30.0 + 4.0 * n)
            for k in range(n):
                state.gamma[k] += step * x[k]
            fresh.add([*x, value - m], 1.0 / (0.5 + sigma * sigma))
        near[segment].combine(0.65, fresh, 1.0)
        wide[segment].combine(0.93, fresh, 1.0)
        state.slow.combine(0.9997, fresh, 1.0)
        if (i * len(near) + segment) % 16 == 15:
            copy = state.slow.copy()
            copy.pull(1.0, state.t)
            (state.s,) = copy.solve(n)
    return plane, errors


def planes(payload: bytes, frames: int, height: int, width: int) -> list[list[Plane]]:
    """Section 9: all planes of all frames of a GOP."""
    reader = Reader(payload)
    layout, depth, _ = (reader.number(code) for code in "BBB")
    arrays = start_arrays(reader.take(8))
    digest = reader.number("I")
    count = 3 if layout & 1 else 1
    parts = [reader.take(reader.varint()) for _ in range(count)]
    parts.append(reader.take())
    vectors = [[]]
    if frames > 1:
        stream = Stream(parts[0])
        vectors = motion(stream, frames, height, width)
        stream.end()
    streams = [Stream(part) for part in parts[1:]]
    states = {(plane, inter): State(plane, inter, arrays) for plane in range(count) for inter in (False, True)}
    found: list[list[Plane]] = []
    beside: list[list[dict[str, Plane]]] = []
    smooths: list[list[Plane]] = []
    for t in range(frames):
        coded, errors, seen = [], [], []
        for plane in range(count):
            r, c = (layout >> 1 & 3, layout >> 3 & 3) if plane else (0, 0)
            size = -(-height >> r), -(-width >> c)
            groups = {"L": downsampled(coded[0], r, c)} if plane else {}
            if plane == 2:
                groups["F"] = coded[1]
            errors_beside = downsampled(errors[0], r, c) if plane else None
            if plane == 2:
                pairs = zip(errors_beside, errors[1], strict=True)
                errors_beside = [[a + b >> 1 for a, b in zip(*rows, strict=True)] for rows in pairs]
            past, errors_past = {}, {}
            for k in (1, 2, 3) if t else ():
                frame = max(0, t - k)
                past["P", k], errors_past[k] = found[frame][plane], smooths[frame][plane]
                past |= {(group, k): other for group, other in beside[frame][plane].items()}
            result = plane_of(
                streams[plane], states[plane, t > 0], past, groups, errors_past, errors_beside,
                vectors[t] if t else None, (r, c), *size, depth,
            )  # fmt: skip
            coded.append(result[0])
            errors.append(result[1])
            seen.append(groups)
        found.append(coded)
        beside.append(seen)
        smooths.append([smooth(one) for one in errors])
    for stream in streams:
        stream.end()
    crc = 0
    for row in (row for frame in found for plane in frame for row in plane):
        crc = zlib.crc32(b"".join(value.to_bytes(2, "little") for value in row), crc)
    assert crc == digest
    return found
