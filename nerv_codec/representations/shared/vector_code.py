"""Inner loops as LLVM code, on vectors of eight numbers and of twice as many: convolutions, and filters of a few taps.

A tile of `product` is a few places side by side, each with a block of outputs; its 32-bit sums stay in registers: nine
of eight numbers, 3 places of 24, or twelve where registers hold twice as many, 6 places of 24. Inputs come in pairs of
16 bits: one instruction of x86 multiplies a register of pairs and adds the products of each. `turn` and `turn_back` are
what Winograd's filtering does before and after (`convolution_kernel`).

All arrays are flat and contiguous, and nothing is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from nerv_codec.entropy.compiling import njit

LANES = 8
_PROCESSOR = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
"""What numba compiles for, which its settings may hold below what this machine can."""
WIDEST = 16 if "+avx512bw" in _PROCESSOR else 8
"""Numbers of 32 bits in a register, 8 or 16: how long vectors are changes the speed alone."""
_ADDS_PRODUCTS = WIDEST == 16 and "+avx512vnni" in _PROCESSOR and "+avx512vl" in _PROCESSOR
"""Whether one instruction multiplies pairs and adds the products to sums."""
if _ADDS_PRODUCTS:
    binding.initialize_native_asmparser()
_SUMS = 12 if WIDEST > LANES else 9
"""Registers for sums: as many as hide how long a product takes, and leave room for factors."""
TILE = _SUMS * WIDEST
"""Sums of a tile, at most."""
SPARE = 9
"""Places of a tile, at most."""
FACTOR_BITS = 20
"""Of the factors of `lift`, below the point."""
_HALF, _WHOLE = ir.IntType(16), ir.IntType(32)


class Code:
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

    def same(self, value: Any, lanes: int = LANES) -> Any:
        """A vector of one 32-bit number."""
        undefined = ir.Constant(ir.VectorType(_WHOLE, lanes), ir.Undefined)
        one = self.builder.insert_element(undefined, value, _WHOLE(0))
        return self.builder.shuffle_vector(one, undefined, _lanes([0] * lanes))

    def add_products(self, total: Any, one: Any, other: Any) -> Any:
        """A vector of sums, and to each of them both products of a pair of two vectors of 16-bit numbers."""
        lanes = total.type.count
        if _ADDS_PRODUCTS:  # LLVM itself would rather take two instructions, of which it waits less for the second
            kind = ir.FunctionType(total.type, [total.type] * 3)
            code = ir.InlineAsm(kind, "vpdpwssd $2, $1, $0", "=v,v,v,0")
            return self.builder.call(code, [*(self.builder.bitcast(x, total.type) for x in (one, other)), total])
        wide = ir.VectorType(_WHOLE, 2 * lanes)
        products, none = self.builder.mul(*(self.builder.sext(x, wide) for x in (one, other))), ir.Constant(wide, None)
        halves = [self.builder.shuffle_vector(products, none, _lanes(range(k, 2 * lanes, 2))) for k in (0, 1)]
        return self.builder.add(total, self.builder.add(*halves))

    def whole(self, count: Any) -> Any:
        """The next multiple of LANES."""
        return self.builder.and_(self.builder.add(count, count.type(LANES - 1)), count.type(-LANES))

    def slices(self, count: Any, longest: int) -> Iterator[tuple[Any, int]]:
        """Loops over ``count`` numbers, a multiple of LANES: first of numbers and length of vectors, long ones first.

        Each comes once, for the code of its loop.
        """
        begin, lanes = count.type(0), longest
        while lanes >= LANES:
            end = self.builder.and_(count, count.type(-lanes))
            with cgutils.for_range_slice(self.builder, begin, end, count.type(lanes)) as (first, _):
                yield first, lanes
            begin, lanes = end, lanes // 2


def _lanes(indices: Any) -> Any:
    found = list(indices)
    return ir.Constant(ir.VectorType(_WHOLE, len(found)), found)


def places_for(outputs: int) -> int:
    """Places of a tile with blocks of so many outputs."""
    registers = outputs // WIDEST + outputs % WIDEST // LANES
    return min(SPARE, _SUMS // registers)


def kept(builder: Any, condition: str, value: Any, limit: Any) -> Any:
    """The value where it is ``>`` or ``<`` than the limit, which it is held to."""
    return builder.select(builder.icmp_signed(condition, value, limit), value, limit)


def _product(width: int, places: int) -> Any:
    """The intrinsic for blocks of ``width`` outputs, a multiple of LANES, and a tile of so many places."""
    vectors = [(first, WIDEST) for first in range(0, width - WIDEST + 1, WIDEST)]
    vectors += [(first, LANES) for first in range(len(vectors) * WIDEST, width, LANES)]

    @intrinsic
    def product(
        typingctx: Any, x: Any, start: Any, step: Any, count: Any, weights: Any, first: Any, sums: Any, at: Any
    ) -> Any:
        """sums[at + p * width + o] = sum over k of x[start + p * step + k] * weights[first + (k - k % 2) * width + ..].

        That is, of the weight of input k and output o, see `paired`. x and weights are int16, sums int32; k is below
        ``count``, which is even.
        """

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            it = Code(context, builder, signature, args)
            start, step, count, first, at = (args[n] for n in (1, 2, 3, 5, 7))
            size = start.type
            slots = {}
            for p in range(places):
                for v, lanes in vectors:
                    slots[p, v] = cgutils.alloca_once(builder, ir.VectorType(_WHOLE, lanes))
                    builder.store(_lanes([0] * lanes), slots[p, v])
            with cgutils.for_range(builder, builder.lshr(count, size(1))) as pair:
                inputs = builder.shl(pair.index, size(1))
                row = builder.add(first, builder.mul(inputs, size(width)))
                pairs = {lanes: ir.VectorType(_HALF, 2 * lanes) for _, lanes in vectors}
                factors = {v: it.load(4, builder.add(row, size(2 * v)), pairs[lanes]) for v, lanes in vectors}
                place = builder.add(start, inputs)
                for p in range(places):
                    value = it.load(0, place, _WHOLE)
                    for v, lanes in vectors:
                        everywhere = builder.bitcast(it.same(value, lanes), pairs[lanes])
                        total = it.add_products(builder.load(slots[p, v]), everywhere, factors[v])
                        builder.store(total, slots[p, v])
                    place = builder.add(place, step)
            for (p, v), slot in slots.items():
                it.store(builder.load(slot), 6, builder.add(at, size(width * p + v)))
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
        it = Code(context, builder, signature, args)
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

        for channel, lanes in it.slices(channels, 2 * WIDEST):
            turn_from(channel, ir.VectorType(_HALF, lanes))
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
        it = Code(context, builder, signature, args)
        start, step, count, first = args[1], args[2], args[3], args[6]
        at, pitch, stride = args[11], args[12], args[13]
        halves = signature.args[10].dtype == types.int16

        def together(a: Any, b: Any, c: Any, d: Any) -> list[Any]:
            return [builder.add(builder.add(a, b), c), builder.sub(builder.sub(b, c), d)]

        for output, lanes in it.slices(count, WIDEST):
            wholes = ir.VectorType(_WHOLE, lanes)
            kind = ir.VectorType(_HALF, lanes) if halves else wholes
            low, high = it.same(args[7], lanes), it.same(args[8], lanes)
            rows, place = [], builder.add(start, output)
            for _ in range(4):
                values = []
                for _ in range(4):
                    values.append(it.load(0, place, wholes))
                    place = builder.add(place, step)
                rows.append(together(*values))
            offset, shift = (it.load(number, builder.add(first, output), wholes) for number in (4, 5))
            line = builder.add(at, output)
            found = zip(*(together(*column) for column in zip(*rows, strict=True)), strict=True)
            for pair in found:
                place = line
                for total in pair:
                    value = builder.ashr(builder.add(total, offset), shift)
                    before = it.load(10, place, kind)
                    before = builder.sext(before, wholes) if halves else before
                    value = builder.select(args[9], builder.add(value, before), value)
                    value = kept(builder, "<", kept(builder, ">", value, low), high)
                    it.store(builder.trunc(value, kind) if halves else value, 10, place)
                    place = builder.add(place, stride)
                line = builder.add(line, pitch)
        return context.get_dummy_value()

    index, whole = types.intp, types.int32
    return types.void(
        sums, index, index, index, bias, shift, index, whole, whole, types.boolean, out, index, index, index
    ), code


def _weigh(taps: int, lines: bool = False) -> Any:
    """The intrinsic for filters of so many taps; with ``lines``, one whose sums another reads."""

    @intrinsic
    def weigh(
        typingctx: Any, x: Any, start: Any, pitch: Any, step: Any, weights: Any, first: Any, shift: Any,
        rows: Any, cols: Any, out: Any, width: Any,
    ) -> Any:  # fmt: skip
        """out[i * width + j] = sum over k < taps of weights[first + k] * x[start + i * pitch + k * step + j], rounded.

        That is, to 2**shift, half up, and that over 2**shift. x is int16, or int32 of lines, which are not rounded:
        numbers below 2**23, the lowest eight bits below and all others above bit 16. weights and out are int32,
        weights of lines below 128; ``cols`` are rounded up to a multiple of eight.
        """

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            it = Code(context, builder, signature, args)
            start, pitch, step, first, rows, cols, width = (args[n] for n in (1, 2, 3, 5, 7, 8, 10))
            size, halves = start.type, signature.args[0].dtype == types.int16
            factors = [it.load(4, builder.add(first, size(k)), _WHOLE) for k in range(taps)]
            if not halves:  # what is above bit 16 counts 256 times
                lower = [builder.and_(factor, _WHOLE(0xFFFF)) for factor in factors]
                pairs = zip(factors, lower, strict=True)
                factors = [builder.or_(builder.shl(factor, _WHOLE(24)), low) for factor, low in pairs]
            half = builder.lshr(builder.shl(_WHOLE(1), args[6]), _WHOLE(1))
            cols = it.whole(cols)
            with cgutils.for_range(builder, rows) as row:
                line, into = builder.add(start, builder.mul(row.index, pitch)), builder.mul(row.index, width)
                for col, lanes in it.slices(cols, WIDEST):
                    wholes, parts = ir.VectorType(_WHOLE, lanes), ir.VectorType(_HALF, 2 * lanes)
                    total, place = it.same(half, lanes), builder.add(line, col)
                    for factor in factors:
                        value = it.load(0, place, ir.VectorType(_HALF, lanes) if halves else wholes)
                        value = builder.zext(value, wholes) if halves else value  # and 0 above
                        pair = (builder.bitcast(both, parts) for both in (value, it.same(factor, lanes)))
                        total = it.add_products(total, *pair)
                        place = builder.add(place, step)
                    if lines:
                        low = builder.and_(total, _lanes([0xFF] * lanes))
                        high = builder.shl(builder.ashr(total, _lanes([8] * lanes)), _lanes([16] * lanes))
                        total = builder.or_(high, low)
                    else:
                        total = builder.ashr(total, it.same(args[6], lanes))
                    it.store(total, 9, builder.add(into, col))
            return context.get_dummy_value()

        index, whole = types.intp, types.int32
        return types.void(x, index, index, index, weights, index, whole, index, index, out, index), code

    return weigh


def _times(it: Code, factor: Any, value: Any) -> Any:
    """The product with a 32-bit number over 2**FACTOR_BITS, rounded half up: of every second number at a time."""
    builder, lanes = it.builder, value.type.count
    double = ir.VectorType(ir.IntType(64), lanes // 2)

    def constant(number: int) -> Any:
        return ir.Constant(double, [number] * (lanes // 2))

    pairs, whole = builder.bitcast(value, double), constant(32)
    factor = builder.ashr(builder.bitcast(it.same(factor, lanes), double), whole)
    odd = builder.ashr(pairs, whole)
    even = builder.ashr(builder.shl(pairs, whole), whole)
    parts = (builder.add(builder.mul(part, factor), constant(1 << FACTOR_BITS - 1)) for part in (even, odd))
    first, second = (builder.bitcast(builder.lshr(part, constant(FACTOR_BITS)), value.type) for part in parts)
    return builder.shuffle_vector(first, second, _lanes(n // 2 * 2 + lanes * (n % 2) for n in range(lanes)))


@intrinsic
def lift(typingctx: Any, target: Any, at: Any, source: Any, one: Any, other: Any, count: Any, factor: Any) -> Any:
    """target[at + n] += factor * (source[one + n] + source[other + n]) over 2**FACTOR_BITS, rounded half up.

    All are int32; n is below ``count`` rounded up to a multiple of eight.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = Code(context, builder, signature, args)
        at, one, other = args[1], args[3], args[4]
        for n, lanes in it.slices(it.whole(args[5]), WIDEST):
            kind = ir.VectorType(_WHOLE, lanes)
            both = builder.add(*(it.load(2, builder.add(start, n), kind) for start in (one, other)))
            place = builder.add(at, n)
            it.store(builder.add(it.load(0, place, kind), _times(it, args[6], both)), 0, place)
        return context.get_dummy_value()

    index = types.intp
    return types.void(target, index, source, index, index, index, types.int32), code


@intrinsic
def scale(typingctx: Any, values: Any, at: Any, count: Any, factor: Any) -> Any:
    """values[at + n] = factor * values[at + n] over 2**FACTOR_BITS; as in `lift`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = Code(context, builder, signature, args)
        for n, lanes in it.slices(it.whole(args[2]), WIDEST):
            place = builder.add(args[1], n)
            it.store(_times(it, args[3], it.load(0, place, ir.VectorType(_WHOLE, lanes))), 0, place)
        return context.get_dummy_value()

    index = types.intp
    return types.void(values, index, index, types.int32), code


@intrinsic
def apart(typingctx: Any, x: Any, start: Any, less: Any, bits: Any, even: Any, odd: Any, at: Any, count: Any) -> Any:
    """even[at + n], odd[at + n] = (x[start + 2 n] - less) << bits, and that of x[start + 2 n + 1].

    x is int16 or int32, the others are int32; n is below ``count``, a multiple of eight.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = Code(context, builder, signature, args)
        start, at, count = args[1], args[6], args[7]
        number = _HALF if signature.args[0].dtype == types.int16 else _WHOLE
        for n, lanes in it.slices(count, WIDEST):
            less, bits = it.same(args[2], lanes), it.same(args[3], lanes)
            kind = ir.VectorType(number, 2 * lanes)
            both = it.load(0, builder.add(start, builder.shl(n, at.type(1))), kind)
            for k in (0, 1):
                value = builder.shuffle_vector(both, ir.Constant(kind, ir.Undefined), _lanes(range(k, 2 * lanes, 2)))
                value = builder.sext(value, less.type) if number is _HALF else value
                it.store(builder.shl(builder.sub(value, less), bits), 4 + k, builder.add(at, n))
        return context.get_dummy_value()

    index, whole = types.intp, types.int32
    return types.void(x, index, whole, whole, even, odd, index, index), code


@intrinsic
def together(typingctx: Any, even: Any, odd: Any, at: Any, out: Any, start: Any, count: Any) -> Any:
    """out[start + 2 n], out[start + 2 n + 1] = even[at + n], odd[at + n], all int32; as in `apart`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = Code(context, builder, signature, args)
        at, start = args[2], args[4]
        for n, lanes in it.slices(args[5], WIDEST):
            values = [it.load(k, builder.add(at, n), ir.VectorType(_WHOLE, lanes)) for k in (0, 1)]
            order = _lanes(k // 2 + lanes * (k % 2) for k in range(2 * lanes))
            it.store(builder.shuffle_vector(*values, order), 3, builder.add(start, builder.shl(n, at.type(1))))
        return context.get_dummy_value()

    index = types.intp
    return types.void(even, odd, index, out, index, index), code


@intrinsic
def accumulate(typingctx: Any, sums: Any, start: Any, count: Any, factor: Any, weights: Any, first: Any) -> Any:
    """sums[start + n] += factor * weights[first + n], all int32; n is below ``count``, a multiple of eight.

    The factor is 0..32767, weights are -32768..32767.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = Code(context, builder, signature, args)
        start, count, first = args[1], args[2], args[5]
        for n, lanes in it.slices(count, WIDEST):
            wholes, pairs = ir.VectorType(_WHOLE, lanes), ir.VectorType(_HALF, 2 * lanes)
            factor, place = builder.bitcast(it.same(args[3], lanes), pairs), builder.add(start, n)
            weights = it.load(4, builder.add(first, n), pairs)  # of each pair of halves the upper one counts 0 times
            it.store(it.add_products(it.load(0, place, wholes), factor, weights), 0, place)
        return context.get_dummy_value()

    index = types.intp
    return types.void(sums, index, index, types.int32, weights, index), code


@intrinsic
def eight_bytes(typingctx: Any, x: Any, start: Any) -> Any:
    """Eight bytes from ``start`` on as one number, the first one lowest."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = Code(context, builder, signature, args)
        return builder.load(it.view(0, args[1], ir.IntType(64)), align=1)

    return types.uint64(x, types.intp), code


@intrinsic
def lowest_byte(typingctx: Any, word: Any) -> Any:
    """Which byte of a number that is not 0 is the lowest one that is not 0."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.lshr(builder.cttz(args[0], ir.IntType(1)(1)), args[0].type(3))

    return types.intp(types.uint64), code


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
        it = Code(context, builder, signature, args)
        start, rows, units = args[1:4]
        rounding = builder.lshr(builder.shl(_WHOLE(1), args[6]), _WHOLE(1))
        for unit, lanes in it.slices(units, WIDEST):
            wholes, halves = ir.VectorType(_WHOLE, lanes), ir.VectorType(_HALF, lanes)
            shift, bias = (it.load(number, unit, wholes) for number in (4, 5))
            half, drop, largest = (it.same(value, lanes) for value in (rounding, args[6], args[7]))
            bias = builder.add(bias, half)
            with cgutils.for_range(builder, rows) as row:
                place = builder.add(builder.add(start, unit), builder.mul(row.index, units))
                value = builder.add(builder.shl(it.load(0, place, wholes), shift), bias)
                value = kept(builder, ">", builder.ashr(value, drop), ir.Constant(wholes, None))
                it.store(builder.trunc(kept(builder, "<", value, largest), halves), 8, place)
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
        it = Code(context, builder, signature, args)
        start, count, first, at = args[1], args[2], args[5], args[8]
        for n, lanes in it.slices(count, WIDEST):
            value = _shifted(it, n, start, first, lanes)
            it.store(builder.trunc(_within(it, value, args[6]), ir.VectorType(_HALF, lanes)), 7, builder.add(at, n))
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
        it = Code(context, builder, signature, args)
        start, count, first, at = args[1], args[2], args[5], args[8]
        for n, lanes in it.slices(count, WIDEST):
            halves, wholes = ir.VectorType(_HALF, lanes), ir.VectorType(_WHOLE, lanes)
            value, place, unit = _shifted(it, n, start, first, lanes), builder.add(at, n), builder.add(first, n)
            value = builder.add(value, builder.sext(it.load(7, place, halves), wholes))
            value = builder.mul(_within(it, value, args[6]), it.load(9, unit, wholes))
            value = builder.ashr(builder.add(value, it.load(10, unit, wholes)), it.same(args[11], lanes))
            it.store(builder.trunc(_within(it, value, args[6]), halves), 7, place)
        return context.get_dummy_value()

    index, whole = types.intp, types.int32
    return types.void(sums, index, index, bias, shift, index, whole, out, index, scale, offset, whole), code


def _shifted(it: Code, n: Any, start: Any, first: Any, lanes: int) -> Any:
    wholes, unit = ir.VectorType(_WHOLE, lanes), it.builder.add(first, n)
    sums = it.load(0, it.builder.add(start, n), wholes)
    return it.builder.ashr(it.builder.add(sums, it.load(3, unit, wholes)), it.load(4, unit, wholes))


def _within(it: Code, value: Any, largest: Any) -> Any:
    lanes = value.type.count
    least = it.same(it.builder.neg(largest), lanes)
    return kept(it.builder, "<", kept(it.builder, ">", value, least), it.same(largest, lanes))


weigh_1, weigh_4, weigh_8 = _weigh(1), _weigh(4), _weigh(8)
lines_4, lines_8 = _weigh(4, lines=True), _weigh(8, lines=True)
product_8, product_16, product_24, product_32, product_40, product_48 = (
    _product(width, places_for(width)) for width in (8, 16, 24, 32, 40, 48)
)
product_alone = _product(8, 1)
"""Of one place."""
tile_places = njit(nogil=True, cache=True, forceinline=True)(places_for)


@njit(nogil=True, cache=True, forceinline=True)
def product(x, start, step, count, weights, first, outputs, sums, at):  # type: ignore[no-untyped-def]
    """What the intrinsic for so many outputs says: 8 to 48. Called, it would take as long as it works."""
    if outputs == 48:
        product_48(x, start, step, count, weights, first, sums, at)
    elif outputs == 40:
        product_40(x, start, step, count, weights, first, sums, at)
    elif outputs == 32:
        product_32(x, start, step, count, weights, first, sums, at)
    elif outputs == 24:
        product_24(x, start, step, count, weights, first, sums, at)
    elif outputs == 16:
        product_16(x, start, step, count, weights, first, sums, at)
    else:
        product_8(x, start, step, count, weights, first, sums, at)


def block_of(outputs: int) -> int:
    """Outputs of a block of a layer that has so many: they share what is read of its inputs."""
    sizes = (48, 40, 32, 24, 16) if WIDEST > LANES else (24, 32, 40, 16)
    return next((size for size in sizes if outputs % size == 0), LANES)


def paired(matrix: npt.NDArray[np.int16], outputs: int) -> npt.NDArray[np.int16]:
    """Weights (out, in) as `product` takes them: (blocks, pairs of inputs * outputs * 2), filled up with zeros."""
    rows, cols = matrix.shape
    blocks, pairs = -(-rows // outputs), -(-cols // 2)
    whole = np.pad(matrix, ((0, blocks * outputs - rows), (0, 2 * pairs - cols)))
    parts = whole.reshape(blocks, outputs, pairs, 2).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(parts).reshape(blocks, 2 * pairs * outputs)
