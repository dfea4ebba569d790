"""Inner loops as LLVM code, on vectors of eight: those of convolutions, and filters of a few taps.

A tile of `product` is a few places side by side, each with a block of outputs: 3 places of 24, or 9 of 8; its 32-bit
sums stay in nine registers at most. Inputs come in pairs of 16 bits: one instruction of x86 multiplies eight pairs and
adds the products of each. `turn` and `turn_back` are what Winograd's filtering does before and after
(`convolution_kernel`).

All arrays are flat and contiguous, and nothing is checked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from nerv_codec.entropy.compiling import njit

LANES = 8
VECTORS = 9
"""Of a tile: as many sums as leave room for factors in 16 registers."""
TILE = LANES * VECTORS
"""Sums of a tile."""
FACTOR_BITS = 20
"""Of the factors of `lift`, below the point."""
_HALF, _WHOLE = ir.IntType(16), ir.IntType(32)
_HALVES, _WHOLES = ir.VectorType(_HALF, LANES), ir.VectorType(_WHOLE, LANES)
_PAIRS, _WIDE = ir.VectorType(_HALF, 2 * LANES), ir.VectorType(_WHOLE, 2 * LANES)


class _Code:
    """What the intrinsics ask of numba and LLVM."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.context, self.builder, self.types, self.args = context, builder, signature.args, args

    def view(self, number: int, index: Any, kind: Any) -> Any:
        """A pointer to something of this kind in the array that is argument ``number``."""
        data = cgutils.create_struct_proxy(self.types[number])(self.context, self.builder, self.args[number]).data
        return self.builder.bitcast(self.builder.gep(data, [index]), kind.as_pointer())

    def load(self, number: int, index: Any, kind: Any) -> Any:
        """What lies there."""
        return self.builder.load(self.view(number, index, kind), align=2)

    def store(self, value: Any, number: int, index: Any) -> None:
        """Puts something there."""
        self.builder.store(value, self.view(number, index, value.type), align=2)

    def same(self, value: Any) -> Any:
        """A vector of one 32-bit number."""
        undefined = ir.Constant(_WHOLES, ir.Undefined)
        one = self.builder.insert_element(undefined, value, _WHOLE(0))
        return self.builder.shuffle_vector(one, undefined, _lanes([0] * LANES))


def _lanes(indices: Any) -> Any:
    return ir.Constant(ir.VectorType(_WHOLE, LANES), list(indices))


def _kept(builder: Any, condition: str, value: Any, limit: Any) -> Any:
    return builder.select(builder.icmp_signed(condition, value, limit), value, limit)


def _product(width: int, tile: int = VECTORS) -> Any:
    """The intrinsic for blocks of ``width`` outputs, whole vectors, and a tile of so many vectors."""
    vectors = width // LANES
    places = tile // vectors
    tile = places * vectors

    @intrinsic
    def product(
        typingctx: Any, x: Any, start: Any, step: Any, count: Any, weights: Any, first: Any, sums: Any, at: Any
    ) -> Any:
        """sums[at + p * width + o] = sum over k of x[start + p * step + k] * weights[first + (k - k % 2) * width + ..].

        That is, of the weight of input k and output o, see `paired`. x and weights are int16, sums int32; k is below
        ``count``, which is even.
        """

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            it = _Code(context, builder, signature, args)
            start, step, count, first, at = (args[n] for n in (1, 2, 3, 5, 7))
            size = start.type
            none = ir.Constant(_WIDE, ir.Undefined)
            slots = [cgutils.alloca_once(builder, _WHOLES) for _ in range(tile)]
            for slot in slots:
                builder.store(_lanes([0] * LANES), slot)
            with cgutils.for_range(builder, builder.lshr(count, size(1))) as pair:
                inputs = builder.shl(pair.index, size(1))
                row = builder.add(first, builder.mul(inputs, size(width)))
                factors = [it.load(4, builder.add(row, size(2 * LANES * v)), _PAIRS) for v in range(vectors)]
                factors = [builder.sext(factor, _WIDE) for factor in factors]
                place = builder.add(start, inputs)
                for p in range(places):
                    everywhere = builder.bitcast(it.same(it.load(0, place, _WHOLE)), _PAIRS)
                    value = builder.sext(everywhere, _WIDE)
                    for v in range(vectors):
                        slot, products = slots[p * vectors + v], builder.mul(value, factors[v])
                        halves = [builder.shuffle_vector(products, none, _lanes(range(k, 16, 2))) for k in (0, 1)]
                        builder.store(builder.add(builder.load(slot), builder.add(*halves)), slot)
                    place = builder.add(place, step)
            for number, slot in enumerate(slots):
                it.store(builder.load(slot), 6, builder.add(at, size(LANES * number)))
            return context.get_dummy_value()

        index = types.intp
        return types.void(x, index, index, index, weights, index, sums, index), code

    return product


@intrinsic
def turn(typingctx: Any, x: Any, start: Any, pitch: Any, channels: Any, turned: Any, at: Any, step: Any) -> Any:
    """turned[at + (4 k + l) * step + c] = rows k and columns l of B' D B of the 4 x 4 places of channel c.

    Arrays are int16, places ``channels``, a multiple of eight, and rows ``pitch`` numbers apart.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = _Code(context, builder, signature, args)
        start, pitch, channels, at, step = args[1], args[2], args[3], args[5], args[6]

        def apart(a: Any, b: Any, c: Any, d: Any) -> list[Any]:
            return [builder.sub(a, c), builder.add(b, c), builder.sub(c, b), builder.sub(b, d)]

        def turn_from(channel: Any, kind: Any) -> None:
            rows, line = [], builder.add(start, channel)
            for _ in range(4):
                values, place = [], line
                for _ in range(4):
                    values.append(it.load(0, place, kind))
                    place = builder.add(place, channels)
                rows.append(apart(*values))
                line = builder.add(line, pitch)
            columns = [apart(*column) for column in zip(*rows, strict=True)]
            place = builder.add(at, channel)
            for k in range(4):
                for column in columns:
                    it.store(column[k], 4, place)
                    place = builder.add(place, step)

        size = start.type
        middle = builder.and_(channels, size(-2 * LANES))
        for kind, lanes, begin, end in ((_PAIRS, 2 * LANES, size(0), middle), (_HALVES, LANES, middle, channels)):
            with cgutils.for_range_slice(builder, begin, end, size(lanes)) as (channel, _):
                turn_from(channel, kind)
        return context.get_dummy_value()

    index = types.intp
    return types.void(x, index, index, index, turned, index, index), code


@intrinsic
def turn_back(
    typingctx: Any, sums: Any, start: Any, step: Any, count: Any, bias: Any, shift: Any, first: Any,
    low: Any, high: Any, add: Any, out: Any, at: Any, pitch: Any, stride: Any,
) -> Any:  # fmt: skip
    """out at 2 x 2 places from ``at`` on: A' M A of sums[start + n * step + o], plus bias, shifted, cut to low..high.

    Sums, bias and shift, these from ``first`` on, are int32, out int16 or int32; o is below ``count``, a multiple of
    eight. Places of out are ``stride``, rows ``pitch`` numbers apart. With ``add``, out is added before it is cut.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = _Code(context, builder, signature, args)
        start, step, count, first = args[1], args[2], args[3], args[6]
        at, pitch, stride = args[11], args[12], args[13]
        low, high = it.same(args[7]), it.same(args[8])
        kind = _HALVES if signature.args[10].dtype == types.int16 else _WHOLES

        def together(a: Any, b: Any, c: Any, d: Any) -> list[Any]:
            return [builder.add(builder.add(a, b), c), builder.sub(builder.sub(b, c), d)]

        with cgutils.for_range_slice(builder, start.type(0), count, start.type(LANES)) as (output, _):
            rows, place = [], builder.add(start, output)
            for _ in range(4):
                values = []
                for _ in range(4):
                    values.append(it.load(0, place, _WHOLES))
                    place = builder.add(place, step)
                rows.append(together(*values))
            offset, shift = (it.load(number, builder.add(first, output), _WHOLES) for number in (4, 5))
            line = builder.add(at, output)
            found = zip(*(together(*column) for column in zip(*rows, strict=True)), strict=True)
            for pair in found:
                place = line
                for total in pair:
                    value = builder.ashr(builder.add(total, offset), shift)
                    before = it.load(10, place, kind)
                    before = builder.sext(before, _WHOLES) if kind is _HALVES else before
                    value = builder.select(args[9], builder.add(value, before), value)
                    value = _kept(builder, "<", _kept(builder, ">", value, low), high)
                    it.store(builder.trunc(value, kind) if kind is _HALVES else value, 10, place)
                    place = builder.add(place, stride)
                line = builder.add(line, pitch)
        return context.get_dummy_value()

    index, whole = types.intp, types.int32
    return types.void(
        sums, index, index, index, bias, shift, index, whole, whole, types.boolean, out, index, index, index
    ), code


def _weigh(taps: int) -> Any:
    """The intrinsic for filters of so many taps."""

    @intrinsic
    def weigh(
        typingctx: Any, x: Any, start: Any, pitch: Any, step: Any, weights: Any, first: Any, shift: Any,
        rows: Any, cols: Any, out: Any, width: Any,
    ) -> Any:  # fmt: skip
        """out[i * width + j] = sum over k < taps of weights[first + k] * x[start + i * pitch + k * step + j], rounded.

        That is, to 2**shift, half up, and that over 2**shift. x is int16 or int32, weights and out are int32;
        ``cols`` are rounded up to a multiple of eight.
        """

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            it = _Code(context, builder, signature, args)
            start, pitch, step, first, rows, cols, width = (args[n] for n in (1, 2, 3, 5, 7, 8, 10))
            size = start.type
            kind = _HALVES if signature.args[0].dtype == types.int16 else _WHOLES
            factors = [it.same(it.load(4, builder.add(first, size(k)), _WHOLE)) for k in range(taps)]
            half = it.same(builder.lshr(builder.shl(_WHOLE(1), args[6]), _WHOLE(1)))
            shift = it.same(args[6])
            with cgutils.for_range(builder, rows) as row:
                line, into = builder.add(start, builder.mul(row.index, pitch)), builder.mul(row.index, width)
                with cgutils.for_range_slice(builder, size(0), cols, size(LANES)) as (col, _):
                    total, place = half, builder.add(line, col)
                    for factor in factors:
                        value = it.load(0, place, kind)
                        value = builder.sext(value, _WHOLES) if kind is _HALVES else value
                        total = builder.add(total, builder.mul(factor, value))
                        place = builder.add(place, step)
                    it.store(builder.ashr(total, shift), 9, builder.add(into, col))
            return context.get_dummy_value()

        index, whole = types.intp, types.int32
        return types.void(x, index, index, index, weights, index, whole, index, index, out, index), code

    return weigh


def _times(it: _Code, factor: Any, value: Any) -> Any:
    """The product with a 32-bit number over 2**FACTOR_BITS, rounded half up: of every second number at a time."""
    builder, double = it.builder, ir.VectorType(ir.IntType(64), LANES // 2)

    def constant(number: int) -> Any:
        return ir.Constant(double, [number] * (LANES // 2))

    pairs, whole = builder.bitcast(value, double), constant(32)
    factor = builder.ashr(builder.bitcast(it.same(factor), double), whole)
    odd = builder.ashr(pairs, whole)
    even = builder.ashr(builder.shl(pairs, whole), whole)
    parts = (builder.add(builder.mul(part, factor), constant(1 << FACTOR_BITS - 1)) for part in (even, odd))
    first, second = (builder.bitcast(builder.lshr(part, constant(FACTOR_BITS)), _WHOLES) for part in parts)
    return builder.shuffle_vector(first, second, _lanes(n // 2 * 2 + LANES * (n % 2) for n in range(LANES)))


@intrinsic
def lift(typingctx: Any, target: Any, at: Any, source: Any, one: Any, other: Any, count: Any, factor: Any) -> Any:
    """target[at + n] += factor * (source[one + n] + source[other + n]) over 2**FACTOR_BITS, rounded half up.

    All are int32; n is below ``count`` rounded up to a multiple of eight.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = _Code(context, builder, signature, args)
        at, one, other, count = args[1], args[3], args[4], args[5]
        with cgutils.for_range_slice(builder, at.type(0), count, at.type(LANES)) as (n, _):
            both = builder.add(it.load(2, builder.add(one, n), _WHOLES), it.load(2, builder.add(other, n), _WHOLES))
            place = builder.add(at, n)
            it.store(builder.add(it.load(0, place, _WHOLES), _times(it, args[6], both)), 0, place)
        return context.get_dummy_value()

    index = types.intp
    return types.void(target, index, source, index, index, index, types.int32), code


@intrinsic
def scale(typingctx: Any, values: Any, at: Any, count: Any, factor: Any) -> Any:
    """values[at + n] = factor * values[at + n] over 2**FACTOR_BITS; as in `lift`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = _Code(context, builder, signature, args)
        at, count = args[1], args[2]
        with cgutils.for_range_slice(builder, at.type(0), count, at.type(LANES)) as (n, _):
            place = builder.add(at, n)
            it.store(_times(it, args[3], it.load(0, place, _WHOLES)), 0, place)
        return context.get_dummy_value()

    index = types.intp
    return types.void(values, index, index, types.int32), code


@intrinsic
def apart(typingctx: Any, x: Any, start: Any, less: Any, bits: Any, even: Any, odd: Any, at: Any, count: Any) -> Any:
    """even[at + n], odd[at + n] = (x[start + 2 n] - less) << bits, and that of x[start + 2 n + 1].

    x is int16 or int32, the others are int32; n is below ``count``, a multiple of eight.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = _Code(context, builder, signature, args)
        start, at, count = args[1], args[6], args[7]
        less, bits = it.same(args[2]), it.same(args[3])
        kind = _PAIRS if signature.args[0].dtype == types.int16 else _WIDE
        none = ir.Constant(kind, ir.Undefined)
        with cgutils.for_range_slice(builder, at.type(0), count, at.type(LANES)) as (n, _):
            both = it.load(0, builder.add(start, builder.shl(n, at.type(1))), kind)
            for k in (0, 1):
                value = builder.shuffle_vector(both, none, _lanes(range(k, 2 * LANES, 2)))
                value = builder.sext(value, _WHOLES) if kind is _PAIRS else value
                it.store(builder.shl(builder.sub(value, less), bits), 4 + k, builder.add(at, n))
        return context.get_dummy_value()

    index, whole = types.intp, types.int32
    return types.void(x, index, whole, whole, even, odd, index, index), code


@intrinsic
def together(typingctx: Any, even: Any, odd: Any, at: Any, out: Any, start: Any, count: Any) -> Any:
    """out[start + 2 n], out[start + 2 n + 1] = even[at + n], odd[at + n], all int32; as in `apart`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = _Code(context, builder, signature, args)
        at, start, count = args[2], args[4], args[5]
        with cgutils.for_range_slice(builder, at.type(0), count, at.type(LANES)) as (n, _):
            values = [it.load(k, builder.add(at, n), _WHOLES) for k in (0, 1)]
            order = ir.Constant(_WIDE, [k // 2 + LANES * (k % 2) for k in range(2 * LANES)])
            it.store(builder.shuffle_vector(*values, order), 3, builder.add(start, builder.shl(n, at.type(1))))
        return context.get_dummy_value()

    index = types.intp
    return types.void(even, odd, index, out, index, index), code


@intrinsic
def accumulate(typingctx: Any, sums: Any, start: Any, count: Any, factor: Any, weights: Any, first: Any) -> Any:
    """sums[start + n] += factor * weights[first + n], all int32; n is below ``count``, a multiple of eight."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = _Code(context, builder, signature, args)
        start, count, first, factor = args[1], args[2], args[5], it.same(args[3])
        with cgutils.for_range_slice(builder, start.type(0), count, start.type(LANES)) as (n, _):
            place = builder.add(start, n)
            more = builder.mul(factor, it.load(4, builder.add(first, n), _WHOLES))
            it.store(builder.add(it.load(0, place, _WHOLES), more), 0, place)
        return context.get_dummy_value()

    index = types.intp
    return types.void(sums, index, index, types.int32, weights, index), code


@intrinsic
def is_blank(typingctx: Any, x: Any, start: Any) -> Any:
    """Whether eight bytes from ``start`` on are all zero."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = _Code(context, builder, signature, args)
        eight = ir.IntType(8 * LANES)
        return builder.icmp_unsigned("==", builder.load(it.view(0, args[1], eight), align=1), eight(0))

    return types.boolean(x, types.intp), code


@intrinsic
def rectify(
    typingctx: Any,
    sums: Any,
    start: Any,
    rows: Any,
    units: Any,
    shift: Any,
    bias: Any,
    drop: Any,
    largest: Any,
    out: Any,
) -> Any:
    """out[n] = (sums[n] << shift[u]) + bias[u] over 2**drop, rounded half up and cut to 0..largest, n from start on.

    There are ``rows`` rows of ``units`` numbers, a multiple of eight; u is n's place in its row. out is int16, all else
    is int32.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = _Code(context, builder, signature, args)
        start, rows, units = args[1:4]
        drop, largest, none = it.same(args[6]), it.same(args[7]), _lanes([0] * LANES)
        half = it.same(builder.lshr(builder.shl(_WHOLE(1), args[6]), _WHOLE(1)))
        with cgutils.for_range(builder, rows) as row:
            first = builder.add(start, builder.mul(row.index, units))
            with cgutils.for_range_slice(builder, start.type(0), units, start.type(LANES)) as (unit, _):
                shift, bias = (it.load(number, unit, _WHOLES) for number in (4, 5))
                place = builder.add(first, unit)
                value = builder.add(builder.shl(it.load(0, place, _WHOLES), shift), builder.add(bias, half))
                value = _kept(builder, ">", builder.ashr(value, drop), none)
                it.store(builder.trunc(_kept(builder, "<", value, largest), _HALVES), 8, place)
        return context.get_dummy_value()

    index, whole = types.intp, types.int32
    return types.void(sums, index, index, index, shift, bias, whole, whole, out), code


@intrinsic
def settle(
    typingctx: Any, sums: Any, start: Any, count: Any, bias: Any, shift: Any, first: Any, largest: Any, out: Any,
    at: Any,
) -> Any:  # fmt: skip
    """out[at + n] = sums[start + n] + bias[first + n] over 2**shift[first + n], rounded down, cut to +-largest.

    out is int16, all else int32; n is below ``count``, a multiple of eight.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = _Code(context, builder, signature, args)
        start, count, first, at = args[1], args[2], args[5], args[8]
        with cgutils.for_range_slice(builder, start.type(0), count, start.type(LANES)) as (n, _):
            value = _shifted(it, n, start, first)
            it.store(builder.trunc(_within(it, value, args[6]), _HALVES), 7, builder.add(at, n))
        return context.get_dummy_value()

    index, whole = types.intp, types.int32
    return types.void(sums, index, index, bias, shift, index, whole, out, index), code


@intrinsic
def modulate(
    typingctx: Any, sums: Any, start: Any, count: Any, bias: Any, shift: Any, first: Any, largest: Any, out: Any,
    at: Any, scale: Any, offset: Any, drop: Any,
) -> Any:  # fmt: skip
    """The same plus out, cut, then times scale[first + n] plus offset[first + n] over 2**drop, cut again."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = _Code(context, builder, signature, args)
        start, count, first, at = args[1], args[2], args[5], args[8]
        with cgutils.for_range_slice(builder, start.type(0), count, start.type(LANES)) as (n, _):
            value, place, unit = _shifted(it, n, start, first), builder.add(at, n), builder.add(first, n)
            value = builder.add(value, builder.sext(it.load(7, place, _HALVES), _WHOLES))
            value = builder.mul(_within(it, value, args[6]), it.load(9, unit, _WHOLES))
            value = builder.ashr(builder.add(value, it.load(10, unit, _WHOLES)), it.same(args[11]))
            it.store(builder.trunc(_within(it, value, args[6]), _HALVES), 7, place)
        return context.get_dummy_value()

    index, whole = types.intp, types.int32
    return types.void(sums, index, index, bias, shift, index, whole, out, index, scale, offset, whole), code


def _shifted(it: _Code, n: Any, start: Any, first: Any) -> Any:
    sums, unit = it.load(0, it.builder.add(start, n), _WHOLES), it.builder.add(first, n)
    return it.builder.ashr(it.builder.add(sums, it.load(3, unit, _WHOLES)), it.load(4, unit, _WHOLES))


def _within(it: _Code, value: Any, largest: Any) -> Any:
    least = it.same(it.builder.neg(largest))
    return _kept(it.builder, "<", _kept(it.builder, ">", value, least), it.same(largest))


weigh_1, weigh_4, weigh_8 = _weigh(1), _weigh(4), _weigh(8)
product_8, product_16, product_24, product_32, product_48 = (_product(width) for width in (8, 16, 24, 32, 48))
product_alone = _product(8, 1)
"""Of one place."""


@njit(nogil=True, cache=True, forceinline=True)
def product(x, start, step, count, weights, first, outputs, sums, at):  # type: ignore[no-untyped-def]
    """What the intrinsic for so many outputs says: 8, 16, 24, 32 or 48. Called, it would take as long as it works."""
    if outputs == 48:
        product_48(x, start, step, count, weights, first, sums, at)
    elif outputs == 32:
        product_32(x, start, step, count, weights, first, sums, at)
    elif outputs == 24:
        product_24(x, start, step, count, weights, first, sums, at)
    elif outputs == 16:
        product_16(x, start, step, count, weights, first, sums, at)
    else:
        product_8(x, start, step, count, weights, first, sums, at)


def paired(matrix: npt.NDArray[np.int16], outputs: int) -> npt.NDArray[np.int16]:
    """Weights (out, in) as `product` takes them: (blocks, pairs of inputs * outputs * 2), filled up with zeros."""
    rows, cols = matrix.shape
    blocks, pairs = -(-rows // outputs), -(-cols // 2)
    whole = np.pad(matrix, ((0, blocks * outputs - rows), (0, 2 * pairs - cols)))
    parts = whole.reshape(blocks, outputs, pairs, 2).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(parts).reshape(blocks, 2 * pairs * outputs)
