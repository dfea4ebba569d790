from __future__ import annotations

import dataclasses

import mutate_container
import pytest
from places import beside

from nerv_codec import VideoDecoder, encode
from nerv_codec.base.errors import BitstreamError, InputError


def test_random_damage(tiny_nvc):
    outcomes = mutate_container.fuzz(tiny_nvc.read_bytes(), 400)
    assert outcomes["refused"] > 300 and outcomes.total() == 400


@pytest.mark.slow
def test_much_random_damage(tiny_nvc):
    assert mutate_container.fuzz(tiny_nvc.read_bytes(), 10000).total() == 10000


def test_every_damaged_byte_is_detected(tiny_nvc):
    data = tiny_nvc.read_bytes()
    for position in range(len(data)):
        broken = bytearray(data)
        broken[position] ^= 1 << position % 8
        with pytest.raises(BitstreamError):
            mutate_container.content(bytes(broken))


def test_every_truncation_is_detected(tiny_nvc):
    data = tiny_nvc.read_bytes()
    for size in range(len(data)):
        with pytest.raises(BitstreamError):
            mutate_container.content(data[:size])


def test_real_damaged_clips(tmp_path, tiny_config):
    """Each is encoded as far as it can be read, or refused as an input; none is taken for a .nvc."""
    folder = beside("clips/corrupt")
    quick = dataclasses.replace(tiny_config, siren=dataclasses.replace(tiny_config.siren, steps=1))
    for clip in sorted(folder.iterdir()):
        target = tmp_path / f"{clip.stem}.nvc"
        try:
            report = encode(clip, target, config=quick, frames=2)
        except InputError as error:
            assert not target.exists() and str(clip) in str(error)
        else:
            assert report.verified and target.exists()
        with pytest.raises(BitstreamError, match=r"expected a \.nvc file|truncated"):
            VideoDecoder(clip)
