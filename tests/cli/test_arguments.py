from __future__ import annotations

from argparse import ArgumentTypeError
from fractions import Fraction

import pytest

from nerv_codec.cli import arguments
from nerv_codec.cli.arguments import count, crop, positive, rate, size, time_or_frame


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (time_or_frame, "12.5", 12.5),
        (time_or_frame, "0", 0.0),
        (time_or_frame, ".5", 0.5),
        (time_or_frame, "00:00:12.5", 12.5),
        (time_or_frame, "1:02:03", 3723.0),
        (time_or_frame, "2:03", 123.0),
        (time_or_frame, "f:300", 300),
        (rate, "24", 24),
        (rate, "59.94", Fraction(2997, 50)),
        (rate, "30000/1001", Fraction(30000, 1001)),
        (rate, "source", None),
        (size, "640x360", (640, 360)),
        (crop, "64x48+10+20", (64, 48, 10, 20)),
        (positive, "1.5", 1.5),
        (count, "12", 12),
    ],
)
def test_words(parse, text, value):
    found = parse(text)
    assert found == value and type(found) is not bool
    if parse is time_or_frame:
        assert isinstance(found, int) == text.startswith("f:")


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((time_or_frame, text) for text in ("", "-1", "f:", "f:-3", "f:1.5", "1:2:3:4", "x", "1e3", "nan")),
        *((rate, text) for text in ("", "0", "-5", "1/0", "x", "20000", "nan", "inf")),
        *((size, text) for text in ("640", "640x", "-1x5", "6.4x3", "640x360x2")),
        *((crop, text) for text in ("64x48", "64x48+1", "64x48-1-1", "64x48+1+-1")),
        *((positive, text) for text in ("0", "-1", "nan", "inf", "x")),
        *((count, text) for text in ("0", "-1", "1.5", "", "x")),
    ],
)
def test_other_words_are_refused(parse, text):
    with pytest.raises(ArgumentTypeError, match=r"expected .*found"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("800000", 8e5), ("500k", 5e5), ("1.5M", 1.5e6), ("2G", 2e9), (".5M", 5e5)]
)
def test_bitrate(text, expected):
    assert arguments.bitrate(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("2000", 2000), ("2000B", 2000), ("300kB", 300_000), ("300KB", 300_000), ("1.5MB", 1_500_000), ("4k", 4000)),
        *(("1KiB", 1024), ("1kiB", 1024), ("1MiB", 1 << 20), ("0.5GiB", 1 << 29), ("3Mi", 3 << 20)),
    ],
)
def test_byte_size(text, expected):
    assert arguments.byte_size(text) == expected


@pytest.mark.parametrize("text", ["", "k", "0", "0k", "-1", "1m", "1 MB", "1e3", "500kb/s", "1TB", "nan"])
def test_what_is_neither_a_bitrate_nor_a_size(text):
    for parse in (arguments.bitrate, arguments.byte_size):
        with pytest.raises(ArgumentTypeError):
            parse(text)
