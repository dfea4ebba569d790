"""Sections of what travels beside the pictures: there and back, and nothing that breaks a limit."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerv_codec.base.companions import Attachment, Chapter, Companions, LightLevel, MasteringDisplay, Track, TrackPacket
from nerv_codec.base.errors import BitstreamError
from nerv_codec.bitstream.companions import (
    MAX_TIME,
    parse_attachment,
    parse_companions,
    parse_packets,
    write_attachment,
    write_companions,
    write_packets,
)

FULL = Companions(
    tracks=(
        Track("matroska", b"stub", Fraction(1, 44100), 1, {"language": "deu", "title": "Ton"}),
        Track("mp4", b"", Fraction(1001, 30000)),
    ),
    chapters=(Chapter(-5, 7, "Anfang"), Chapter(7, 7)),
    tags={"title": "Ü", "artist": ""},
    video_tags={"language": "eng"},
    mastering=MasteringDisplay((1, 2, 3, 4, 5, 6, 7, 65535), (0, 2**32 - 1)),
    light=LightLevel(1000, 65535),
)
packets = st.builds(
    TrackPacket,
    st.integers(0, 63),
    st.binary(max_size=40),
    st.integers(-MAX_TIME, MAX_TIME),
    st.integers(-MAX_TIME, MAX_TIME),
    st.integers(0, MAX_TIME),
    st.booleans(),
)


@pytest.mark.parametrize("companions", [Companions(), FULL])
def test_companions_come_back(companions):
    payload = write_companions(companions)
    assert parse_companions(payload) == companions
    for end in range(len(payload)):
        with pytest.raises(BitstreamError):
            parse_companions(payload[:end])


@given(st.builds(Attachment, st.just("ü.ttf"), st.just("font/ttf"), st.binary(min_size=1), st.booleans()))
def test_attachments_come_back(given):
    payload = write_attachment(given)
    assert parse_attachment(payload) == given
    for end in range(len(payload) - len(given.data) + 1):
        with pytest.raises(BitstreamError):
            parse_attachment(payload[:end])


@pytest.mark.parametrize("name", ["", "../a.ttf", "/etc/passwd", "c:\\a.ttf", "a\0b", "x" * 5000])
def test_an_attachment_has_a_plain_name(name):
    with pytest.raises(BitstreamError):
        write_attachment(Attachment(name, "font/ttf", b"font"))


def test_an_unknown_role_is_refused():
    with pytest.raises(BitstreamError, match="role of an attachment 2"):
        parse_attachment(b"\2" + write_attachment(Attachment("a", "", b"b"))[1:])


@given(st.lists(packets, max_size=20))
def test_packets_come_back(given):
    parts = list(write_packets(given))
    assert [packet for part in parts for packet in parse_packets(part, 64)] == given


def test_a_steady_track_costs_three_bytes_a_packet():
    steady = [TrackPacket(0, bytes(200), 1024 * n, 1024 * n, 1024) for n in range(1000)]
    assert sum(map(len, write_packets(steady))) <= 1000 * 203 + 10


def test_long_tracks_are_cut_in_sections_that_stand_alone():
    long = [TrackPacket(0, bytes(1000), 1024 * n, 1024 * n, 1024) for n in range(1000)]
    parts = list(write_packets(long))
    assert len(parts) == 4 and max(map(len, parts)) < 1 << 19
    assert list(parse_packets(parts[2], 1)) == long[524:786]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"\x04", "flags"),
        (b"\x00\x01\x01\xff\x00", "UTF-8"),
        (b"\x00\x01\x01\x00\x00", "NUL"),
        (b"\x00\x81\x02", "number of tags"),
        (b"\x00\x00\x00\x00\x41", "number of tracks"),
        (b"\x00\x00\x00\x00\x01\x02", "kind of track"),
        (b"\x00\x00\x00\x00\x01\x00\x81\x80\x40", "description"),
        (write_companions(Companions()) + b"\x00", "too many"),
    ],
)
def test_limits_of_companions(payload, message):
    with pytest.raises(BitstreamError, match=message):
        parse_companions(payload)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"\x08\x00", "track 1 of 1"),
        (b"\x00\x05abc", "more bytes"),
        (b"\x02" + b"\xff" * 8 + b"\x7f\x00\x00", "times"),
        (b"\x00\x81\x80\x80\x08", "size of a packet"),
    ],
)
def test_limits_of_packets(payload, message):
    with pytest.raises(BitstreamError, match=message):
        list(parse_packets(payload, 1))


def test_nothing_is_written_that_would_be_refused():
    with pytest.raises(BitstreamError):
        write_companions(Companions(tags={"title": "x" * 5000}))
    with pytest.raises(BitstreamError):
        list(write_packets([TrackPacket(0, b"", MAX_TIME + 1, 0)]))
