"""The table of representations: what a decoder refuses by number alone."""

from __future__ import annotations

import io

import pytest
from damage import rewritten

from nerv_codec import VideoDecoder
from nerv_codec.base.errors import BitstreamError, UnsupportedVersionError
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.registry import MODELS, check_gop, model_name, unpack_gop


def test_numbers_are_those_of_the_format():
    assert {model.name: model.model_id for model in MODELS.values()} == {"siren": 1, "lossless": 3, "warped": 4}
    assert model_name(4) == "warped"


def test_an_unknown_representation_is_refused():
    geometry = GopGeometry(1, 8, 8, 3)
    with pytest.raises(UnsupportedVersionError, match="unknown representation 2; known: 1 siren, 3 lossless"):
        unpack_gop(2, b"", geometry)
    with pytest.raises(UnsupportedVersionError):
        check_gop(0, geometry)


def test_no_header_goes_on_behind_its_fields(tiny_nvc):
    with pytest.raises(BitstreamError, match="the header of a siren file has 3 bytes too many"):
        VideoDecoder(io.BytesIO(rewritten(tiny_nvc, rest=b"abc")))
