"""From what a band's network says to distributions of symbols, as LLVM code: eight places at a time, in 64 bits.

All arrays are flat and contiguous, and nothing is checked.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from nerv_codec.entropy.laplace import MAX_LOCATION
from nerv_codec.entropy.range_kernel import ZERO_SCALE
from nerv_codec.representations.shared.vector_code import LANES, Code, kept

LOCATION_DROP, SCALE_DROP = 10, 12
SCALES = 48
_LONG = ir.IntType(64)
_LONGS = ir.VectorType(_LONG, LANES)
_SAYS = ((LOCATION_DROP, 0, -MAX_LOCATION, MAX_LOCATION), (SCALE_DROP, ZERO_SCALE, 0, SCALES - 1))
"""Of both outputs: bits that are dropped, what is added, and the limits."""


def _same(number: int) -> Any:
    return ir.Constant(_LONGS, [number] * LANES)


@intrinsic
def distribute(
    typingctx: Any, sums: Any, units: Any, outputs: Any, count: Any, shift: Any, bias: Any, second_shift: Any,
    locations: Any, scales: Any,
) -> Any:  # fmt: skip
    """Locations in 1/16 and scale indices, int64, of ``count`` places, rounded up to a multiple of eight.

    Each is 2 * ((sums[u] << shift[u]) + bias[u]) + (outputs[k] << second_shift[k]) of a place, without its lowest bits,
    rounded half up, and held in range; k is 0 and 1, u one of the last two units. A place has ``units`` sums and eight
    outputs; all these are int32.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        it = Code(context, builder, signature, args)
        units, count, size = args[1], args[3], args[3].type
        direct = builder.sub(units, size(2))

        def everywhere(array: int, index: Any) -> Any:
            one = builder.sext(it.load(array, index, ir.IntType(32)), _LONG)
            vector = builder.insert_element(ir.Constant(_LONGS, ir.Undefined), one, size(0))
            return builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(ir.IntType(32), LANES), None))

        def pairs(array: int, first: Any, step: Any) -> tuple[Any, Any]:
            """Two numbers of each place."""
            both = ir.Constant(_LONGS, ir.Undefined)
            for place in range(LANES):
                at = it.view(array, builder.add(first, builder.mul(step, size(place))), _LONG)
                both = builder.insert_element(both, builder.load(at, align=4), size(place))
            return builder.ashr(builder.shl(both, _same(32)), _same(32)), builder.ashr(both, _same(32))

        told = []
        for k, (drop, *_) in enumerate(_SAYS):
            unit = builder.add(direct, size(k))
            offset = builder.add(builder.shl(everywhere(5, unit), _same(1)), _same(1 << drop - 1))
            told.append((builder.add(everywhere(4, unit), _same(1)), offset, everywhere(6, size(k))))
        with cgutils.for_range_slice(builder, size(0), count, size(LANES)) as (place, _):
            below = pairs(0, builder.add(builder.mul(place, units), direct), units)
            above = pairs(2, builder.mul(place, size(8)), size(8))
            for k, (drop, more, least, most) in enumerate(_SAYS):
                shift, offset, second = told[k]
                value = builder.add(builder.shl(below[k], shift), builder.shl(above[k], second))
                value = builder.ashr(builder.add(value, offset), _same(drop))
                value = kept(builder, ">", builder.add(value, _same(more)), _same(least))
                it.store(kept(builder, "<", value, _same(most)), 7 + k, place)
        return context.get_dummy_value()

    index = types.intp
    return types.void(sums, index, outputs, index, shift, bias, second_shift, locations, scales), code
