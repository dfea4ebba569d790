from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.base.errors import BitstreamError

MAX = (1 << 63) - 1


@given(st.integers(0, MAX))
def test_varint_round_trip(value):
    out = ByteWriter()
    out.varint(value)
    reader = ByteReader(out.getvalue())
    assert reader.varint() == value
    reader.expect_end("the test")
    assert reader.position == max(1, -(-value.bit_length() // 7))


@given(st.integers(-(1 << 62), (1 << 62) - 1))
def test_signed_varint_round_trip(value):
    out = ByteWriter()
    out.signed_varint(value)
    assert ByteReader(out.getvalue()).signed_varint() == value


@pytest.mark.parametrize(
    ("value", "data"), [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02"), (MAX, "ff" * 8 + "7f")]
)
def test_varint_bytes(value, data):
    out = ByteWriter()
    out.varint(value)
    assert out.getvalue().hex() == data


@pytest.mark.parametrize(("value", "data"), [(0, "00"), (-1, "01"), (1, "02"), (-2, "03"), (-64, "7f"), (64, "8001")])
def test_signed_varint_bytes(value, data):
    out = ByteWriter()
    out.signed_varint(value)
    assert out.getvalue().hex() == data


def test_fixed_width_integers_are_little_endian():
    out = ByteWriter()
    out.u8(200)
    out.i8(-2)
    out.u32(0x01020304)
    assert out.getvalue().hex() == "c8fe04030201"
    reader = ByteReader(out.getvalue())
    assert (reader.u8(), reader.i8(), reader.u32()) == (200, -2, 0x01020304)


@pytest.mark.parametrize("value", [-1, MAX + 1])
def test_varint_refuses_to_write_what_cannot_be_read(value):
    with pytest.raises(ValueError, match="varint"):
        ByteWriter().varint(value)


@pytest.mark.parametrize("data", ["", "80", "8000", "ff" * 9 + "01", "ff" * 12])
def test_broken_varints_are_refused(data):
    with pytest.raises(BitstreamError):
        ByteReader(bytes.fromhex(data)).varint()


def test_range_and_end_are_checked():
    with pytest.raises(BitstreamError, match=r"expected the width in 1\.\.9, found 10"):
        ByteReader(b"\x0a").varint(1, 9, "the width")
    with pytest.raises(BitstreamError, match="expected 4 more bytes, found 3"):
        ByteReader(b"abc").u32()
    with pytest.raises(BitstreamError, match="1 bytes too many"):
        ByteReader(b"a").expect_end("the header")
