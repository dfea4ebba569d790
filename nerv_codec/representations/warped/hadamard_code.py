"""The error that the search minimises, as LLVM code: absolute Hadamard coefficients of what a block leaves unpredicted.

Blocks of 8x8 stay in eight vectors from the samples to the sum, two blocks side by side where vectors are long enough:
left to a compiler, half of the time went into turning rows into columns through memory. All arrays are contiguous, and
nothing is checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from nerv_codec.representations.shared.vector_code import WIDEST

_SIDE = 16
"""Samples a side of a support: four blocks."""
_LANES = 8
_WHOLE = ir.IntType(32)
_HALVES, _WHOLES = ir.VectorType(ir.IntType(16), _LANES), ir.VectorType(_WHOLE, _LANES)
_EVEN, _ODD = (0, 2, 8, 10, 4, 6, 12, 14), (1, 3, 9, 11, 5, 7, 13, 15)
"""Of eight lanes of one vector and those of another, without leaving a half of either."""
_LOWER, _UPPER = (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)


def _same(number: int, lanes: int = _LANES) -> Any:
    return ir.Constant(ir.VectorType(_WHOLE, lanes), [number] * lanes)


def _shuffled(builder: Any, one: Any, two: Any, lanes: Sequence[int]) -> Any:
    return builder.shuffle_vector(one, two, ir.Constant(ir.VectorType(_WHOLE, len(lanes)), list(lanes)))


def _woven(builder: Any, one: Any, two: Any, lanes: Sequence[int]) -> Any:
    """Eight of sixteen lanes of two vectors of eight; the same of every eight that lie side by side in longer ones."""
    count = one.type.count
    eights = range(0, count, _LANES)
    return _shuffled(builder, one, two, [n % _LANES + first + n // _LANES * count for first in eights for n in lanes])


def _absolute(builder: Any, value: Any) -> Any:
    negative = builder.sub(_same(0, value.type.count), value)
    return builder.select(builder.icmp_signed(">", value, negative), value, negative)


def _butterflies(builder: Any, rows: list[Any]) -> list[Any]:
    """Hadamard transforms of 8 down the lanes of eight vectors."""
    for apart in (4, 2, 1):
        for k in range(_LANES):
            if not k & apart:
                one, two = rows[k], rows[k + apart]
                rows[k], rows[k + apart] = builder.add(one, two), builder.sub(one, two)
    return rows


def _sum_of_coefficients(builder: Any, rows: list[Any]) -> Any:
    """Half the sum of absolute values after transforms of 8x8 numbers, spread over the lanes of a vector."""
    rows = _butterflies(builder, rows)
    for _ in range(2):  # of neighbours in a row, packed as they are met
        pairs = zip(rows[::2], rows[1::2], strict=True)
        halves = [[_woven(builder, one, two, lanes) for lanes in (_EVEN, _ODD)] for one, two in pairs]
        rows = [builder.add(*half) for half in halves] + [builder.sub(*half) for half in halves]
    total = _same(0, rows[0].type.count)
    rows = [_absolute(builder, row) for row in rows]
    for one, two in zip(rows[::2], rows[1::2], strict=True):  # |a + b| + |a - b| is twice the larger
        lower, upper = (_woven(builder, one, two, lanes) for lanes in (_LOWER, _UPPER))
        total = builder.add(total, builder.select(builder.icmp_signed(">", lower, upper), lower, upper))
    return total


def _differences(height: int) -> Any:
    """The intrinsic for so many rows."""

    @intrinsic
    def sum_of_differences(typingctx: Any, one: Any, start: Any, pitch: Any, two: Any, begin: Any, stride: Any) -> Any:
        """The sum of absolute differences of rows of 8 int16 samples, from two places on, each with its pitch.

        A difference is within +-8191.
        """

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            planes = [cgutils.create_struct_proxy(signature.args[n])(context, builder, args[n]).data for n in (0, 3)]
            places, total = [args[1], args[4]], ir.Constant(_HALVES, [0] * _LANES)
            for _ in range(height):
                pointers = [builder.gep(plane, [place]) for plane, place in zip(planes, places, strict=True)]
                a, b = (builder.load(builder.bitcast(pointer, _HALVES.as_pointer()), align=2) for pointer in pointers)
                there, back = builder.sub(a, b), builder.sub(b, a)
                total = builder.add(total, builder.select(builder.icmp_signed(">", there, back), there, back))
                places = [builder.add(place, pitch) for place, pitch in zip(places, (args[2], args[5]), strict=True)]
            found = _across(builder, builder.zext(total, _WHOLES))
            return builder.zext(found, ir.IntType(64))

        index = types.intp
        return types.int64(one, index, index, two, index, index), code

    return sum_of_differences


sum_of_differences, sum_of_four_rows = _differences(8), _differences(4)


def _across(builder: Any, value: Any) -> Any:
    """The sum of the lanes of a vector."""
    for width in (8, 4, 2, 1)[0 if value.type.count == 2 * _LANES else 1 :]:
        lower, upper = (_shuffled(builder, value, value, range(k, k + width)) for k in (0, width))
        value = builder.add(lower, upper)
    return builder.extract_element(value, _WHOLE(0))


def _error(both: bool) -> Any:
    """The intrinsic for blocks that one parent predicts, or the mean of two."""

    @intrinsic
    def error(
        typingctx: Any, goal: Any, weights: Any, plane: Any, start: Any, pitch: Any, other: Any, limit: Any
    ) -> Any:
        """An eighth of the sum of absolute Hadamard coefficients of 16x16 samples, in blocks of 8x8.

        Of (goal - weights * p) >> 4, p the int16 samples of a plane from ``start`` on, in rows ``pitch`` apart, or
        their mean with ``other``. goal and weights are (16, 16) int32, other (16, 16) int16. Once the sum of some of
        the blocks has reached the limit, it is that sum.
        """

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            start, pitch, limit = args[3], args[4], args[6]
            size = start.type

            def load(number: int, index: Any, kind: Any) -> Any:
                kept = cgutils.create_struct_proxy(signature.args[number])(context, builder, args[number])
                place = builder.bitcast(builder.gep(kept.data, [index]), kind.as_pointer())
                return builder.load(place, align=kind.element.width // 8)

            halves, wholes = ir.VectorType(ir.IntType(16), WIDEST), ir.VectorType(_WHOLE, WIDEST)

            def rest(row: int, column: int) -> Any:
                at = size(_SIDE * row + column)
                place = builder.add(builder.add(start, builder.mul(pitch, size(row))), size(column))
                said = builder.sext(load(2, place, halves), wholes)
                if both:
                    second = builder.sext(load(5, at, halves), wholes)
                    said = builder.ashr(builder.add(builder.add(said, second), _same(1, WIDEST)), _same(1, WIDEST))
                missing = builder.sub(load(0, at, wholes), builder.mul(load(1, at, wholes), said))
                return builder.ashr(missing, _same(4, WIDEST))

            finished = builder.append_basic_block("finished")
            ends, total = [], _same(0, WIDEST)
            corners = [(top, left) for top in range(0, _SIDE, _LANES) for left in range(0, _SIDE, WIDEST)]
            for top, left in corners:
                rows = [rest(top + k, left) for k in range(_LANES)]
                total = builder.add(total, _sum_of_coefficients(builder, rows))
                found = builder.ashr(builder.zext(_across(builder, total), size), size(2))
                ends.append((found, builder.block))
                if (top, left) != corners[-1]:
                    further = builder.append_basic_block("further")
                    builder.cbranch(builder.icmp_signed("<", found, limit), further, finished)
                    builder.position_at_end(further)
                else:
                    builder.branch(finished)
            builder.position_at_end(finished)
            result = builder.phi(size)
            for found, block in ends:
                result.add_incoming(found, block)
            return result

        index = types.intp
        return index(goal, weights, plane, index, index, other, index), code

    return error


error_of_one, error_of_both = _error(False), _error(True)
