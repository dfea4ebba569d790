"""The table of representations: what a decoder refuses by number alone, and that names and limits cost no imports."""

from __future__ import annotations

import io

import pytest

from nerv_codec import VideoDecoder
from nerv_codec.base.errors import BitstreamError, UnsupportedVersionError
from nerv_codec.bitstream.container import ContainerReader, write_prologue
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.registry import MODELS, check_gop, check_shared, model_name, unpack_gop


def test_numbers_are_those_of_the_format():
    assert {model.name: model.model_id for model in MODELS.values()} == {
        "siren": 1,
        "tracked": 2,
        "lossless": 3,
        "warped": 4,
    }
    assert (model_name(2), model_name(77)) == ("tracked", "unknown (77)")


def test_an_unknown_representation_is_refused():
    geometry = GopGeometry(1, 8, 8, 3)
    with pytest.raises(
        UnsupportedVersionError, match="unknown representation 77; known: 1 siren, 2 tracked, 3 lossless"
    ):
        unpack_gop(77, b"", geometry)
    with pytest.raises(UnsupportedVersionError):
        check_gop(0, geometry)


def test_only_who_shares_may_keep_bytes_in_the_header(tiny_nvc):
    check_shared(2, b"networks")
    check_shared(77, b"who knows")
    with pytest.raises(BitstreamError, match="the header has 3 bytes too many"):
        check_shared(1, b"abc")
    data = tiny_nvc.read_bytes()
    reader = ContainerReader(io.BytesIO(data))
    object.__setattr__(reader.header, "shared", b"abc")
    hostile = write_prologue(reader.header) + data[reader.header_bytes :]
    with pytest.raises(BitstreamError, match="the header has 3 bytes too many"):
        VideoDecoder(io.BytesIO(hostile))
