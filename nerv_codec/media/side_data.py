"""Facts that ffmpeg hangs on frames: how to turn a picture, and how an HDR video was graded."""

from __future__ import annotations

import struct
from fractions import Fraction

from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

from nerv_codec.base.companions import LightLevel, MasteringDisplay

_ONE = 1 << 16
_MATRIX = struct.Struct("=9i")
_MASTERING = struct.Struct("=22i")
_LIGHT = struct.Struct("=2I")
_CHROMATICITY_UNIT = 50_000
_LUMINANCE_UNIT = 10_000


def orientation(frame: VideoFrame) -> int | None:
    """Returns ``VideoInfo.orientation`` as a frame has it, or None where no quarter turns and mirrors give it."""
    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is None:
        return 0
    a, b, _, c, d, *_ = _MATRIX.unpack(bytes(data)[: _MATRIX.size])
    if not b and not c and a and d:
        return (a < 0) << 1 | (d < 0) << 2
    if not a and not d and b and c:
        return 1 | (c < 0) << 1 | (b < 0) << 2
    return None


def display_matrix(orientation: int) -> list[int]:
    """Returns the nine numbers of ffmpeg's display matrix for ``VideoInfo.orientation``."""
    across = -_ONE if orientation & 2 else _ONE
    down = -_ONE if orientation & 4 else _ONE
    turn = [0, down, 0, across, 0, 0] if orientation & 1 else [across, 0, 0, 0, down, 0]
    return [*turn, 0, 0, 1 << 30]


def mastering_display(frame: VideoFrame) -> MasteringDisplay | None:
    """Returns what a frame says about the display it was graded on."""
    data = frame.side_data.get(Type.MASTERING_DISPLAY_METADATA)
    if data is None or len(bytes(data)) < _MASTERING.size:
        return None
    values = _MASTERING.unpack(bytes(data)[: _MASTERING.size])
    ratios = [Fraction(n, d) if d else Fraction(0) for n, d in zip(values[0:20:2], values[1:20:2], strict=True)]
    has_primaries, has_luminance = values[20:]
    points = [min(0xFFFF, max(0, round(ratio * _CHROMATICITY_UNIT))) if has_primaries else 0 for ratio in ratios[:8]]
    low, high = (
        min(0xFFFFFFFF, max(0, round(ratio * _LUMINANCE_UNIT))) if has_luminance else 0 for ratio in ratios[8:]
    )
    return MasteringDisplay(tuple(points), (low, high))


def light_level(frame: VideoFrame) -> LightLevel | None:
    """Returns a frame's content light level."""
    data = frame.side_data.get(Type.CONTENT_LIGHT_LEVEL)
    if data is None or len(bytes(data)) < _LIGHT.size:
        return None
    content, average = _LIGHT.unpack(bytes(data)[: _LIGHT.size])
    return LightLevel(min(0xFFFF, content), min(0xFFFF, average))


def x264_hdr_params(mastering: MasteringDisplay | None, light: LightLevel | None) -> str:
    """Returns both as libx264 takes them, ``mastering-display=...:cll=...``; empty for neither."""
    parts = []
    if mastering is not None:
        red_x, red_y, green_x, green_y, blue_x, blue_y, white_x, white_y = mastering.chromaticity
        low, high = mastering.luminance
        parts.append(
            f"mastering-display=G({green_x},{green_y})B({blue_x},{blue_y})R({red_x},{red_y})"
            f"WP({white_x},{white_y})L({high},{low})"
        )
    if light is not None:
        parts.append(f"cll={light.max_content},{light.max_frame_average}")
    return ":".join(parts)
