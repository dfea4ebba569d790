"""The golden files in samples/ decode today as they did on the day they were made."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from places import SAMPLES

from nerv_codec import VideoDecoder
from nerv_codec.representations.rendering import View

GOLDEN = sorted(SAMPLES.glob("golden*.nvc"))


@pytest.fixture(params=GOLDEN, ids=lambda path: path.name)
def golden(request):
    with VideoDecoder(request.param, device="cpu") as video:
        yield video, json.loads(request.param.with_suffix(".json").read_text())


def test_there_is_one():
    assert GOLDEN


def test_integers_are_exact(golden):
    video, expected = golden
    assert [f"{video.loader.unpack(index)[1]:08x}" for index in range(len(video.header.gops))] == expected["digests"]


def test_pictures_are_within_one_code_value(golden):
    video, expected = golden
    info = video.header.info
    for probe in expected["codes"]:
        view = View.whole(info.height * probe["scale"], info.width * probe["scale"])
        plane = video.render(Fraction(probe["frame"]), view).planes[probe["plane"]]
        assert abs(int(plane[tuple(probe["place"])]) - probe["code"]) <= 1, probe
