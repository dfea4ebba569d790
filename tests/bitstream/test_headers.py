from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nerv_codec.base.byte_io import ByteWriter
from nerv_codec.base.errors import BitstreamError
from nerv_codec.base.video import ColorInfo, PixelFormat, VideoInfo
from nerv_codec.bitstream import headers
from nerv_codec.bitstream.headers import GopEntry, StreamHeader, parse_header, write_header

INFO = VideoInfo(40, 24, PixelFormat(3, 1, 1, 8), ColorInfo(1, 1, 1, False, 1), Fraction(4, 3), Fraction(1, 24))
SMALL = StreamHeader(1, INFO, (0, 1, 2, 4), 3, (GopEntry(3, False, 300), GopEntry(2, True, 70)), 300)


def test_exact_bytes():
    expected = (
        "01"  # representation
        "28 18"  # width, height
        "0b 08"  # three planes, halved both ways; 8 bits
        "01 01 01 02"  # BT.709, limited range, chroma on the left
        "04 03 01 18"  # sample aspect 4:3, time base 1/24
        "00 03"  # first pts, last duration
        "02 01 02 02 01"  # two runs: two frames one unit apart, one frame two units later
        "02 06 ac02 05 46"  # two GOPs: 3 frames, 300 bytes; 2 frames, the first shared, 70 bytes
        "ac02"  # 300 bytes of other sections
    )
    assert write_header(SMALL) == bytes.fromhex(expected)
    assert SMALL.first_frames == (0, 2)


def same(left: StreamHeader, right: StreamHeader) -> bool:
    tidy = [dataclasses.replace(header, pts=tuple(header.pts)) for header in (left, right)]
    return tidy[0] == tidy[1]


@st.composite
def stream_headers(draw):
    planes = draw(st.sampled_from([1, 3]))
    shifts = (0, 0) if planes == 1 else (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    code, part = st.integers(0, 255), st.integers(1, 1 << 32)
    ratio = st.builds(Fraction, part, part)
    color = ColorInfo(draw(code), draw(code), draw(code), draw(st.booleans()), draw(st.integers(1, 6)))
    layout = PixelFormat(planes, *shifts, draw(st.integers(8, 16)))
    info = VideoInfo(draw(st.integers(1, 16384)), draw(st.integers(1, 4096)), layout, color, draw(ratio), draw(ratio))
    deltas = draw(st.lists(st.one_of(st.integers(1, 3), st.integers(1, 1 << 48)), max_size=20))
    pts = list(itertools.accumulate(deltas, initial=draw(st.integers(-(1 << 60), 1 << 60))))
    gops, left = [], len(pts)
    while left:
        own = draw(st.integers(1, left))
        shared = bool(gops) and draw(st.booleans())
        gops.append(GopEntry(own + shared, shared, draw(st.integers(6, 1 << 28))))
        left -= own
    return StreamHeader(
        draw(st.integers(0, 255)),
        info,
        tuple(pts),
        draw(st.integers(1, 1 << 48)),
        tuple(gops),
        draw(st.integers(0, 1 << 62)),
    )


@given(stream_headers())
def test_round_trip(header):
    parsed = parse_header(write_header(header))
    assert same(parsed, header)
    assert parsed.first_frames[-1] + parsed.gops[-1].num_frames == len(parsed.pts)


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_any_bytes_parse_or_are_refused(data):
    try:
        header = parse_header(data)
    except BitstreamError:
        return
    assert write_header(header)


def changed(**fields: object) -> StreamHeader:
    layout = {name: fields.pop(name) for name in ("bit_depth", "chroma_row_shift", "num_planes") if name in fields}
    color = {name: fields.pop(name) for name in ("chroma_location",) if name in fields}
    info = {name: fields.pop(name) for name in ("width", "height", "sample_aspect", "time_base") if name in fields}
    info["pixel_format"] = dataclasses.replace(INFO.pixel_format, **layout)
    info["color"] = dataclasses.replace(INFO.color, **color)
    return dataclasses.replace(SMALL, info=dataclasses.replace(INFO, **info), **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"width": 0},
        {"width": 16385},
        {"height": 16385},
        {"width": 16384, "height": 4097},
        {"bit_depth": 7},
        {"bit_depth": 17},
        {"chroma_row_shift": 3},
        {"num_planes": 1},  # but with subsampling
        {"chroma_location": 0},
        {"chroma_location": 7},
        {"other_bytes": (1 << 62) + 1},
        {"sample_aspect": Fraction(0)},
        {"sample_aspect": Fraction((1 << 32) + 1)},
        {"time_base": Fraction(1, (1 << 32) + 1)},
        {"last_duration": 0},
        {"last_duration": (1 << 48) + 1},
        {"pts": (0, 1, 2, 3 + (1 << 48))},
        {"pts": tuple((1 << 62) - 3 + i for i in range(4))},
        {"pts": (0, 1, 2)},
        {"pts": (0, 1, 2, 3, 4)},
        {"gops": ()},
        {"gops": (GopEntry(4, False, 5),)},
        {"gops": (GopEntry(4, False, (1 << 28) + 1),)},
        {"gops": (GopEntry(5, True, 300),)},
        {"gops": (GopEntry(4, False, 300), GopEntry(1, True, 300))},
        {"gops": (GopEntry(4, False, 300), GopEntry(0, False, 300))},
        {"gops": (GopEntry(1026, False, 300),), "pts": tuple(range(1026))},
    ],
    ids=str,
)
def test_every_limit_is_enforced_by_reader_and_writer(fields):
    with pytest.raises(BitstreamError):
        write_header(changed(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"width": 16384, "height": 4096},
        {"bit_depth": 16},
        {"sample_aspect": Fraction(1 << 32)},
        {"time_base": Fraction(1, 1 << 32)},
        {"last_duration": 1 << 48},
        {"other_bytes": 1 << 62},
        {"pts": tuple((1 << 62) - 4 + i for i in range(4))},
        {"gops": (GopEntry(1025, False, 1 << 28),), "pts": tuple(range(1025))},
    ],
    ids=str,
)
def test_the_limits_themselves_are_allowed(fields):
    header = changed(**fields)
    assert same(parse_header(write_header(header)), header)


@pytest.mark.parametrize("payload", [write_header(SMALL)[:-1], b""])
def test_missing_bytes_are_refused(payload):
    with pytest.raises(BitstreamError):
        parse_header(payload)


def test_bytes_behind_the_index_are_kept():
    """Whether they are damage or another representation's is known where the latter is."""
    header = parse_header(write_header(SMALL) + b"\0")
    assert header.rest == b"\0" and same(dataclasses.replace(header, rest=b""), SMALL)


def test_a_reserved_layout_bit_is_refused():
    payload = bytearray(write_header(SMALL))
    payload[3] |= 0x20
    with pytest.raises(BitstreamError, match="layout"):
        parse_header(bytes(payload))


def hostile(runs: list[tuple[int, int]], gops: int) -> bytes:
    """A header that claims much in a few bytes."""
    out = ByteWriter()
    out.raw(write_header(SMALL)[:15])
    out.varint(len(runs))
    for run in runs:
        for value in run:
            out.varint(value)
    out.varint(gops)
    return out.getvalue()


@pytest.mark.parametrize(
    "payload",
    [
        hostile([(1, headers.MAX_FRAMES - 1)], 1),
        hostile([(1 << 48, headers.MAX_FRAMES - 1)], 1),
        hostile([(1, (1 << 62))], 1),
        hostile([(1, headers.MAX_FRAMES - 1)], headers.MAX_FRAMES),
        hostile([(1, headers.MAX_FRAMES - 1), (1, 1)], 1),
    ],
)
def test_absurd_claims_are_refused(payload):
    with pytest.raises(BitstreamError):
        parse_header(payload)


def test_frame_times_are_compact():
    """The longest video takes eight bytes a frame, not a Python object."""
    runs = StreamHeader(1, INFO, range(5000), 1, (GopEntry(1000, False, 9),) * 5)
    assert parse_header(write_header(runs)).pts.itemsize == 8
