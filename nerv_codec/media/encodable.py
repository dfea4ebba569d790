"""The pixel format in which an output container holds a picture, and the conversion to it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace

from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import ColorInfo, PixelFormat, Plane, VideoInfo
from nerv_codec.media import layout
from nerv_codec.media.color import UNSPECIFIED, resolved_matrix

_IDENTITY, _BT709 = 0, 1
_SPACES = {1: Colorspace.ITU709, 6: Colorspace.SMPTE170M}


@dataclass(frozen=True)
class Encodable:
    """How frames of ``source`` are given to an encoder: as they are, or converted to what it takes."""

    source: VideoInfo
    layout: PixelFormat
    color: ColorInfo
    name: str
    """ffmpeg's name of the pixel format."""

    def frame(self, planes: tuple[Plane, ...]) -> VideoFrame:
        """Returns a frame in the encoder's format, of ``planes`` that are laid out as ``source`` says."""
        frame = layout.planes_frame(planes, self.source.pixel_format, self.source.color)
        if frame.format.name == self.name:
            return frame
        if self.color.matrix != self.source.color.matrix:
            return frame.reformat(
                format=self.name,
                dst_colorspace=_SPACES[self.color.matrix],
                src_color_range=frame.color_range,
                dst_color_range=1,
                threads=1,
            )
        return layout.convert(frame, self.name, width=frame.width, height=frame.height)

    def planes(self, planes: tuple[Plane, ...]) -> tuple[Plane, ...]:
        """Returns ``planes``, which are laid out as ``source`` says, in the encoder's layout."""
        if self.layout == self.source.pixel_format and self.color == self.source.color:
            return planes
        return layout.frame_planes(self.frame(planes), self.layout)


def encodable(info: VideoInfo, container: str) -> Encodable:
    """Returns the form in which ``mp4`` (H.264), ``mkv`` (FFV1) or ``y4m`` holds pictures as ``info`` describes.

    Raises:
        UsageError: ffmpeg has no name for the layout.
    """
    own, color = info.pixel_format, info.color
    rgb = color.matrix == _IDENTITY and own.num_planes == 3
    name = layout.format_name(own, rgb=rgb)
    if name is None:
        raise UsageError(f"{container}: expected a pixel layout that ffmpeg knows, found {own}")
    if container == "mkv":
        return Encodable(info, own, color, "bgr0" if name == "gbrp" else name)
    held = _h264_layout(info) if container == "mp4" else _y4m_layout(own)
    if rgb:
        # y4m cannot name a matrix: the one that is assumed of such a height
        matrix = resolved_matrix(UNSPECIFIED, info.height) if container == "y4m" else _BT709
        color = replace(color, matrix=matrix, full_range=False)
    held_name = layout.format_name(held, rgb=False)
    assert held_name is not None
    return Encodable(info, held, color, held_name)


def _h264_layout(info: VideoInfo) -> PixelFormat:
    own = info.pixel_format
    rows, cols = own.chroma_row_shift > 0, own.chroma_col_shift > 0
    if own.num_planes == 1:
        rows = cols = True
    if (rows and not cols) or (rows and info.height % 2) or (cols and info.width % 2):
        rows = cols = False
    return PixelFormat(3, int(rows), int(cols), 8 if own.bit_depth == 8 else 10)


def _y4m_layout(own: PixelFormat) -> PixelFormat:
    if own.num_planes == 1:
        return own
    shifts = own.chroma_row_shift, own.chroma_col_shift
    if shifts == (2, 2):
        return replace(own, chroma_row_shift=1, chroma_col_shift=1)
    return replace(own, chroma_row_shift=0) if shifts == (1, 0) else own
