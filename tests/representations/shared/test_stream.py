import numpy as np
import pytest

from nerv_codec.representations.shared.stream import StreamWriter


@pytest.mark.parametrize("count", [0, 1, 7, 500])
def test_bits_are_what_flags_tell(count: int) -> None:
    """The sum of what each flag's chance was, but for rounding, and within two words of what is written."""
    rng, out, counts, expected = np.random.default_rng(count), StreamWriter(), np.zeros(2, np.int64), 0.0
    for value in rng.random(count) < 0.1:
        expected -= np.log2((2 * counts[int(value)] + 1) / (2 * counts.sum() + 2))
        out.flag(bool(value), counts)
    assert out.bits == pytest.approx(expected, rel=1e-3)
    assert abs(8 * len(out.bytes()) - expected) <= 64
