"""Facts that ffmpeg attaches to frames: how to turn a picture, and how an HDR video was graded."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

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
    """Returns how a frame asks to be turned, as ``VideoInfo.orientation``.

    None: by something other than quarter turns and mirrors.
    """
    data = _side_data(frame, Type.DISPLAYMATRIX, _MATRIX)
    if data is None:
        return 0
    a, b, _, c, d, *_ = (int(value) for value in _MATRIX.unpack(data))
    if not b and not c and a and d:
        return (a < 0) << 1 | (d < 0) << 2
    if not a and not d and b and c:
        return 1 | (c < 0) << 1 | (b < 0) << 2
    return None


def display_matrix(orientation: int) -> list[int]:
    """Returns the nine numbers of ffmpeg's display matrix for a ``VideoInfo.orientation``."""
    across = -_ONE if orientation & 2 else _ONE
    down = -_ONE if orientation & 4 else _ONE
    turn = [0, down, 0, across, 0, 0] if orientation & 1 else [across, 0, 0, 0, down, 0]
    return [*turn, 0, 0, 1 << 30]


def mastering_display(frame: VideoFrame) -> MasteringDisplay | None:
    """Returns the display on which a frame was graded, or None where the frame does not say it."""
    data = _side_data(frame, Type.MASTERING_DISPLAY_METADATA, _MASTERING)
    if data is None:
        return None
    values = _MASTERING.unpack(data)
    ratios = [Fraction(n, d) if d else Fraction(0) for n, d in zip(values[0:20:2], values[1:20:2], strict=True)]
    has_primaries, has_luminance = values[20:]
    points = [min(0xFFFF, max(0, round(ratio * _CHROMATICITY_UNIT))) if has_primaries else 0 for ratio in ratios[:8]]
    low, high = (
        min(0xFFFFFFFF, max(0, round(ratio * _LUMINANCE_UNIT))) if has_luminance else 0 for ratio in ratios[8:]
    )
    red_x, red_y, green_x, green_y, blue_x, blue_y, white_x, white_y = points
    return MasteringDisplay((red_x, red_y, green_x, green_y, blue_x, blue_y, white_x, white_y), (low, high))


def light_level(frame: VideoFrame) -> LightLevel | None:
    """Returns the light level of a frame's video, or None where the frame does not say it."""
    data = _side_data(frame, Type.CONTENT_LIGHT_LEVEL, _LIGHT)
    if data is None:
        return None
    content, average = _LIGHT.unpack(data)
    return LightLevel(min(0xFFFF, content), min(0xFFFF, average))


def x264_hdr_params(mastering: MasteringDisplay | None, light: LightLevel | None) -> str:
    """Returns HDR metadata as libx264 takes it, ``mastering-display=...:cll=...``; empty where there is none."""
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


def _side_data(frame: VideoFrame, kind: Type, struct_of_kind: struct.Struct) -> bytes | None:
    """Returns the first bytes of one kind of side data, as many as its structure has; None where there are fewer."""
    data: Any = frame.side_data  # the stubs of PyAV 18 take it for a dict of motion vectors
    found = next((bytes(data[index]) for index in range(len(data)) if data[index].type == kind), b"")
    return found[: struct_of_kind.size] if len(found) >= struct_of_kind.size else None


def _unnamed(kinds: type[Type], number: int) -> Type:
    """Returns a member for a kind of side data that this PyAV has no name for."""
    made = object.__new__(kinds)
    for name, value in (("_name_", f"UNNAMED_{number}"), ("_value_", number)):
        setattr(made, name, value)
    return made


# ffmpeg knows more kinds than PyAV names (EXIF, 3D displays, what comes next), and without this a frame that has one
# of them cannot be asked for any side data at all.
setattr(Type, "_missing_", classmethod(_unnamed))  # noqa: B010
