"""Tables of the logistic function against what their definitions give."""

from decimal import Context, Decimal

from nerv_codec.entropy.logistic import LOGITS, REACH, STEPS, logistic_table, logit_table

EXACT = Context(prec=60)


def test_every_entry_is_rounded_correctly():
    logistic, logit = logistic_table(), logit_table()
    assert len(logistic) == 2 * REACH * STEPS + 1 and len(logit) == LOGITS
    for index, found in enumerate(logistic):
        power = EXACT.exp(Decimal(REACH * STEPS - index) / STEPS)
        assert found == float(EXACT.divide(Decimal(1), 1 + power))
    for index, found in enumerate(logit):
        assert found == float(EXACT.ln(EXACT.divide(Decimal(2 * index + 1), Decimal(2 * (LOGITS - index) - 1))))
