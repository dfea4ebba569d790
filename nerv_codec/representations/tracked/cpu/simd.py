"""Eight float32 in one value, for compiled kernels: a vector register on AVX, two on NEON.

numba vectorises loops, but not reads and writes at places that each pixel finds for itself. A ``Float8`` is LLVM's
``<8 x float>``: loads, stores and arithmetic on it are single instructions, whatever surrounds them.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models, register_default
from numba.extending import intrinsic, overload

JIT = {
    "cache": True,
    "nogil": True,
    "fastmath": {"contract", "nsz", "arcp", "nnan", "ninf"},
    "error_model": "numpy",
}
"""How the stages are compiled."""
LANES = 8
_FLAGS = ("contract", "reassoc", "nsz", "arcp", "nnan", "ninf")
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_INDEX = ir.IntType(32)


class Float8Type(types.Type):
    """The type of a ``Float8`` in numba."""

    def __init__(self) -> None:
        super().__init__(name="Float8")


float8 = Float8Type()


@register_default(Float8Type)
class _Float8Model(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: Any) -> None:
        super().__init__(manager, fe_type, _VECTOR)


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    place = builder.gep(data, [index])
    return builder.bitcast(place, _VECTOR.as_pointer())


@intrinsic
def load8(typingctx: Any, array: Any, index: Any) -> Any:
    """Elements ``index`` .. ``index + 7`` of a contiguous float32 array, counted over all its axes. Unchecked."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_address(context, builder, signature.args[0], args[0], args[1]), align=4)

    return float8(array, types.intp), code


@intrinsic
def store8(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Writes where :func:`load8` reads."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _address(context, builder, signature.args[0], args[0], args[1]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, float8), code


@intrinsic
def splat8(typingctx: Any, value: Any) -> Any:
    """One float32 in all lanes."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), args[0], _INDEX(0))
        return builder.shuffle_vector(
            first, ir.Constant(_VECTOR, ir.Undefined), ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES)
        )

    return float8(types.float32), code


@intrinsic
def sum8(typingctx: Any, value: Any) -> Any:
    """The sum of all lanes, float32."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total, undefined = args[0], ir.Constant(_VECTOR, ir.Undefined)
        for half in (4, 2, 1):
            order = [lane + half if lane < half else lane for lane in range(LANES)]
            moved = builder.shuffle_vector(total, undefined, ir.Constant(ir.VectorType(_INDEX, LANES), order))
            total = builder.fadd(total, moved, flags=_FLAGS)
        return builder.extract_element(total, _INDEX(0))

    return types.float32(float8), code


@intrinsic
def floor8(typingctx: Any, value: Any) -> Any:
    """The largest whole number up to each lane."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.floor.v8f32"), args)

    return float8(float8), code


@intrinsic
def transpose8(typingctx: Any, rows: Any) -> Any:
    """A tuple of eight vectors as an 8 x 8 matrix, transposed."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vectors = [builder.extract_value(args[0], lane) for lane in range(LANES)]
        for step in (1, 2, 4):
            low = [lane if lane & step == 0 else lane - step + LANES for lane in range(LANES)]
            high = [lane + step if lane & step == 0 else lane + LANES for lane in range(LANES)]
            swapped = list(vectors)
            for lane in range(LANES):
                if lane & step == 0:
                    for target, order in ((lane, low), (lane + step, high)):
                        mask = ir.Constant(ir.VectorType(_INDEX, LANES), order)
                        swapped[target] = builder.shuffle_vector(vectors[lane], vectors[lane + step], mask)
            vectors = swapped
        return context.make_tuple(builder, signature.return_type, vectors)

    result = types.UniTuple(float8, LANES)
    return result(rows), code


def _binary(name: str) -> Any:
    @intrinsic
    def operation(typingctx: Any, left: Any, right: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, name)(args[0], args[1], flags=_FLAGS)

        return float8(float8, float8), code

    return operation


_add, _subtract, _multiply = _binary("fadd"), _binary("fsub"), _binary("fmul")


@overload(operator.add)
def _overload_add(left, right):  # type: ignore[no-untyped-def]
    if left == float8 and right == float8:
        return lambda left, right: _add(left, right)  # noqa: PLW0108
    return None


@overload(operator.sub)
def _overload_subtract(left, right):  # type: ignore[no-untyped-def]
    if left == float8 and right == float8:
        return lambda left, right: _subtract(left, right)  # noqa: PLW0108
    return None


@overload(operator.mul)
def _overload_multiply(left, right):  # type: ignore[no-untyped-def]
    if left == float8 and right == float8:
        return lambda left, right: _multiply(left, right)  # noqa: PLW0108
    return None
