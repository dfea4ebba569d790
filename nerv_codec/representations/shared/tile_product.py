"""The inner loop of convolutions as LLVM code: a tile of sums that stays in twelve registers of eight float32.

A tile is a few places side by side, each with a block of outputs: 4 places of 24, 6 of 16, or 12 of 8. A weight that is
loaded serves all places, a value all outputs of the block.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8
VECTORS = 12
"""Of a tile: as many sums as keep both multipliers of a processor with AVX2 busy and fit its 16 registers."""
TILE = LANES * VECTORS
"""Sums of a tile."""
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_LANE = ir.IntType(32)
_FUSED = ("contract", "nsz")


def _product(width: int) -> Any:
    """The intrinsic for blocks of ``width`` outputs, which divides TILE and is whole vectors."""
    vectors = width // LANES
    places = VECTORS // vectors

    @intrinsic
    def product(
        typingctx: Any, x: Any, start: Any, step: Any, lines: Any, pitch: Any, count: Any, weights: Any, bias: Any,
        sums: Any,
    ) -> Any:  # fmt: skip
        """sums[p, o] = bias[o] + sum over l, k of x[start + p * step + l * pitch + k] * weights[l, k, o]. Unchecked.

        All arrays are flat, contiguous and float32; l is below ``lines`` and k below ``count``.
        """

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            def data(index: int) -> Any:
                return cgutils.create_struct_proxy(signature.args[index])(context, builder, args[index]).data

            def vector(pointer: Any, index: Any) -> Any:
                return builder.bitcast(builder.gep(pointer, [index]), _VECTOR.as_pointer())

            start, step, lines, pitch, count = args[1:6]
            size = start.type
            values, table, offsets, out = data(0), data(6), data(7), data(8)
            slots = [cgutils.alloca_once(builder, _VECTOR) for _ in range(VECTORS)]
            for v in range(vectors):
                first = builder.load(vector(offsets, size(LANES * v)), align=4)
                for p in range(places):
                    builder.store(first, slots[p * vectors + v])
            with cgutils.for_range(builder, lines) as line:
                origin = builder.add(start, builder.mul(line.index, pitch))
                below = builder.mul(line.index, count)
                with cgutils.for_range(builder, count) as column:
                    row = builder.mul(builder.add(below, column.index), size(width))
                    factors = [
                        builder.load(vector(table, builder.add(row, size(LANES * v))), align=4) for v in range(vectors)
                    ]
                    place = builder.add(origin, column.index)
                    for p in range(places):
                        value = builder.load(builder.gep(values, [place]))
                        undefined = ir.Constant(_VECTOR, ir.Undefined)
                        one = builder.insert_element(undefined, value, _LANE(0))
                        everywhere = ir.Constant(ir.VectorType(_LANE, LANES), [0] * LANES)
                        same = builder.shuffle_vector(one, undefined, everywhere)
                        for v in range(vectors):
                            slot = slots[p * vectors + v]
                            more = builder.fmul(same, factors[v], flags=_FUSED)
                            builder.store(builder.fadd(builder.load(slot), more, flags=_FUSED), slot)
                        place = builder.add(place, step)
            for number, slot in enumerate(slots):
                builder.store(builder.load(slot), vector(out, size(LANES * number)), align=4)
            return context.get_dummy_value()

        index = types.intp
        return types.void(x, index, index, index, index, index, weights, bias, sums), code

    return product


product_8, product_16, product_24 = _product(8), _product(16), _product(24)
