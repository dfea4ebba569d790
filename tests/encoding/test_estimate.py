"""An estimate against the encode that it is of."""

from __future__ import annotations

import dataclasses

import pytest

from nerv_codec import encode, estimate
from nerv_codec.base.errors import UsageError
from nerv_codec.encoding.config import EncoderConfig, WarpedConfig, at_crf
from nerv_codec.encoding.estimate import choose_gops


@pytest.fixture(scope="module")
def quick(tiny_config):
    return dataclasses.replace(tiny_config, gop=3, siren=dataclasses.replace(tiny_config.siren, steps=20))


@pytest.fixture(scope="module")
def whole(tiny_clip, quick, tmp_path_factory):
    """The report of an encode at one crf of those estimated."""
    return encode(tiny_clip, tmp_path_factory.mktemp("whole") / "a.nvc", config=at_crf(quick, 30))


def test_all_gops_give_what_an_encode_gives(tiny_clip, quick, whole):
    found = estimate(tiny_clip, config=quick, crfs=iter((22, 30)), samples=99)
    assert found.num_gops == len(found.sampled_gops) == whole.num_gops and found.num_frames == whole.num_frames
    first, second = found.encodes
    assert (first.crf, second.crf) == (22, 30) and first.file_bytes > second.file_bytes
    assert second.file_bytes == pytest.approx(whole.file_bytes, rel=0.02) and second.file_bytes_error == 0
    assert second.psnr_y_db == pytest.approx(whole.psnr_y_db, abs=0.1)
    assert second.bitrate_bps == pytest.approx(whole.bitrate_bps, rel=0.02)


def test_a_few_gops_come_close(tiny_clip, quick, whole):
    found = estimate(tiny_clip, config=quick, crfs=(30,), samples=3)
    (one,) = found.encodes
    assert len(found.sampled_gops) == 3 and found.sampled_frames < 18
    assert one.file_bytes == pytest.approx(whole.file_bytes, rel=0.2)
    assert abs(one.file_bytes - whole.file_bytes) < 4 * one.file_bytes_error + 40
    assert one.psnr_y_db == pytest.approx(whole.psnr_y_db, abs=1.5)
    assert one.encode_seconds > 0


def test_a_model_without_steps(tiny_clip, tmp_path):
    config = EncoderConfig(model="warped", gop=3, warped=WarpedConfig(steps=0))
    (one,) = estimate(tiny_clip, config=config, crfs=(30,), samples=99).encodes
    report = encode(tiny_clip, tmp_path / "a.nvc", config=at_crf(config, 30))
    assert one.file_bytes == pytest.approx(report.file_bytes, rel=0.02)


def test_lossless_has_one_quality(tiny_clip, tmp_path):
    config = EncoderConfig(model="lossless", gop=3)
    with pytest.raises(UsageError, match="no crf with lossless"):
        estimate(tiny_clip, config=config, crfs=(30,))
    (one,) = estimate(tiny_clip, config=config, samples=99).encodes
    report = encode(tiny_clip, tmp_path / "a.nvc", config=config)
    assert one.crf is None and one.file_bytes == pytest.approx(report.file_bytes, rel=0.02)


def test_one_sample_says_nothing_about_its_error(tiny_clip, quick):
    (one,) = estimate(tiny_clip, config=quick, crfs=(30,), samples=1).encodes
    assert one.file_bytes_error is None


@pytest.mark.parametrize(
    ("lengths", "samples", "chosen"),
    [
        ([33] * 100, 2, {25: 1, 75: 1}),
        ([33] * 3, 3, {0: 33, 1: 33, 2: 33}),
        ([5, 9], 3, {0: 5, 1: 9}),
        ([10, 1, 1, 1, 10], 2, {0: 1, 4: 1}),
        ([1, 1, 100, 1], 3, {2: 3}),
    ],
)
def test_gops_are_chosen_by_their_share_of_the_time(lengths, samples, chosen):
    assert choose_gops(lengths, samples) == chosen


def test_settings_that_make_no_sense(tiny_clip):
    with pytest.raises(UsageError):
        estimate(tiny_clip, samples=0)
    with pytest.raises(UsageError):
        estimate(tiny_clip, crfs=())
