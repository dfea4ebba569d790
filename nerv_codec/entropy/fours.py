"""Four doubles at a time for compiled kernels: a vector instruction where the processor has it, the same bits anywhere.

numba leaves it to luck which loops become vectors. A *four* is one value; +, -, * and / of fours round each of the four
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
_INDEX = ir.IntType(32)


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
_define(operator.truediv, "fdiv")


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
            four = builder.insert_element(four, args[0], ir.Constant(_INDEX, lane))
        return four

    return FOUR(types.float64), generate


@intrinsic
def total(typing, four):
    """(first + second) + (third + fourth)."""

    def generate(context, builder, sig, args):
        one, two, three, last = (builder.extract_element(args[0], ir.Constant(_INDEX, k)) for k in range(4))
        return builder.fadd(builder.fadd(one, two), builder.fadd(three, last))

    return types.float64(four), generate


@intrinsic
def held(typing, four, least, most):
    """Each within ``least`` and ``most``, fours as well."""

    def generate(context, builder, sig, args):
        four, least, most = args
        raised = builder.select(builder.fcmp_ordered(">", four, least), four, least)
        return builder.select(builder.fcmp_ordered("<", raised, most), raised, most)

    return FOUR(FOUR, FOUR, FOUR), generate


def _looked_up(context, builder, kind, table, wholes, further):
    """Entries of a table at four places, ``further`` on."""
    view = context.make_array(kind)(context, builder, table)
    found = ir.Constant(_VECTOR, ir.Undefined)
    for lane in range(4):
        number = ir.Constant(_INDEX, lane)
        place = builder.zext(builder.extract_element(wholes, number), ir.IntType(64))
        entry = builder.gep(view.data, [builder.add(place, ir.Constant(place.type, further))])
        found = builder.insert_element(found, builder.load(entry), number)
    return found


@intrinsic
def entries(typing, table, four):
    """Entries of a table at four places, rounded down; they are not checked."""

    def generate(context, builder, sig, args):
        wholes = builder.fptosi(args[1], ir.VectorType(_INDEX, 4))
        return _looked_up(context, builder, sig.args[0], args[0], wholes, 0)

    return FOUR(table, FOUR), generate


@intrinsic
def between(typing, table, four):
    """Of a table at four places, linear between its entries: one has to follow; places are not checked."""

    def generate(context, builder, sig, args):
        table, places = args
        wholes = builder.fptosi(places, ir.VectorType(_INDEX, 4))
        part = builder.fsub(places, builder.sitofp(wholes, _VECTOR))
        first, second = (_looked_up(context, builder, sig.args[0], table, wholes, k) for k in (0, 1))
        return builder.fadd(first, builder.fmul(part, builder.fsub(second, first)))

    return FOUR(table, FOUR), generate
