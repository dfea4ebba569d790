from __future__ import annotations

import av
import pytest

from nerv_codec.media.losses import LostFrames


def packet(pts, size=1):
    made = av.Packet(bytes(size))
    made.pts = pts
    return made


def test_packets_overtaken_by_pictures_are_lost():
    losses = LostFrames("h264")
    assert all(losses.sent(packet(pts)) for pts in (0, 4, 2, 1, 3))
    assert losses.until(0) == 0
    assert losses.until(2) == 1
    assert losses.until(3) == 0
    losses.sent(packet(5))
    assert losses.until(5) == 1
    assert losses.until(None) == 0


def test_what_is_left_at_the_end_is_lost():
    losses = LostFrames("hevc")
    for pts in (0, 1, 2):
        losses.sent(packet(pts))
    assert losses.until(0) == 0 and losses.until(None) == 2 and losses.until(None) == 0


@pytest.mark.parametrize(("codec", "pts"), [("vp9", 0), ("h264", None)])
def test_what_cannot_be_told_is_not_counted(codec, pts):
    losses = LostFrames(codec)
    assert not losses.sent(packet(pts))
    assert losses.until(None) == 0


def test_the_empty_packet_at_the_end_is_no_loss():
    losses = LostFrames("h264")
    losses.sent(packet(7, 0))
    assert losses.until(None) == 0
