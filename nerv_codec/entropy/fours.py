"""Four doubles at a time for compiled kernels: a vector instruction where the processor has it, the same bits anywhere.

numba leaves it to luck which loops become vectors. A *four* is one value; +, - and * of fours round each of the four
once, as of single numbers, and nothing is contracted.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

_VECTOR = ir.VectorType(ir.DoubleType(), 4)
_ALIGNMENT = 8


class FourType(types.Type):  # type: ignore[misc]
    """Four doubles."""

    def __init__(self) -> None:
        super().__init__(name="Four")


FOUR = FourType()


@register_model(FourType)
class _FourModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _VECTOR)


class _FourOfFours(AbstractTemplate):
    def generic(self, args, kws):
        return signature(FOUR, FOUR, FOUR) if args == (FOUR, FOUR) and not kws else None


def _define(symbol, instruction):
    infer_global(symbol)(type(f"_{instruction}", (_FourOfFours,), {"key": symbol}))

    @lower_builtin(symbol, FOUR, FOUR)
    def _lower(context, builder, sig, args):
        return getattr(builder, instruction)(*args)


_define(operator.add, "fadd")
_define(operator.sub, "fsub")
_define(operator.mul, "fmul")


def _place(context, builder, kind, array, index):
    """Where four numbers of an array begin."""
    view = context.make_array(kind)(context, builder, array)
    return builder.bitcast(builder.gep(view.data, [index]), _VECTOR.as_pointer())


@intrinsic
def load(typing, array, index):
    """Four doubles of a row without gaps, from ``index`` on, which is not checked."""

    def generate(context, builder, sig, args):
        return builder.load(_place(context, builder, sig.args[0], *args), align=_ALIGNMENT)

    return FOUR(array, types.intp), generate


@intrinsic
def store(typing, array, index, four):
    """Writes four doubles into a row without gaps, from ``index`` on, which is not checked."""

    def generate(context, builder, sig, args):
        builder.store(args[2], _place(context, builder, sig.args[0], *args[:2]), align=_ALIGNMENT)
        return context.get_dummy_value()

    return types.void(array, types.intp, four), generate


@intrinsic
def splat(typing, number):
    """One number four times."""

    def generate(context, builder, sig, args):
        four = cgutils.get_null_value(_VECTOR)
        for lane in range(4):
            four = builder.insert_element(four, args[0], ir.Constant(ir.IntType(32), lane))
        return four

    return FOUR(types.float64), generate


@intrinsic
def total(typing, four):
    """(first + second) + (third + fourth)."""

    def generate(context, builder, sig, args):
        one, two, three, last = (builder.extract_element(args[0], ir.Constant(ir.IntType(32), k)) for k in range(4))
        return builder.fadd(builder.fadd(one, two), builder.fadd(three, last))

    return types.float64(four), generate
