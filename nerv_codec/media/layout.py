"""ffmpeg's pixel formats as this package's planes of code values, and back.

Nearly everything follows from the descriptions of components that ffmpeg keeps for each format, so that a format
which ffmpeg learns tomorrow needs no new line here.
"""

from __future__ import annotations

import av
import numpy as np

from nerv_codec.base.video import ColorInfo, PixelFormat, Plane, plane_dtype

_SAMPLING = {(0, 0): "444", (0, 1): "422", (1, 1): "420", (1, 0): "440", (0, 2): "411", (2, 2): "410"}
_DEPTHS = (8, 9, 10, 12, 14, 16)


def native_layout(video_format: av.VideoFormat) -> PixelFormat | None:
    """Returns the layout of a format whose planes can be taken as they are; None if it needs a conversion.

    Such a format has one plane for each component, and one depth of 8 to 16 bits for all, in the low bits of
    little-endian integers. An alpha plane does not count: it is left out without a conversion.
    """
    components = video_format.components
    color = [part for part in components if not part.is_alpha]
    own_planes = len({part.plane for part in components}) == len(components)
    depth = color[0].bits
    packed_otherwise = video_format.has_palette or video_format.is_bayer or video_format.is_bit_stream
    if not own_planes or packed_otherwise or len(color) not in (1, 3):
        return None
    if any(part.bits != depth for part in color) or not 8 <= depth <= 16:
        return None
    if depth > 8 and (video_format.is_big_endian or video_format.name.endswith(("msble", "f16le"))):
        return None
    return PixelFormat(len(color), *_shifts(video_format, len(color)), depth)


def nearest_layout(video_format: av.VideoFormat) -> PixelFormat:
    """Returns the layout that a format without a native one is converted to; it has at least its depth and sampling."""
    color = [part for part in video_format.components if not part.is_alpha]
    num_planes = 1 if len(color) == 1 and not video_format.has_palette else 3
    bits = sum(part.bits for part in color) if video_format.is_bayer else max(part.bits for part in color)
    depth = next((known for known in _DEPTHS if known >= bits), 16)
    layout = PixelFormat(num_planes, *_shifts(video_format, num_planes), depth)
    return layout if format_name(layout, rgb=is_rgb(video_format)) else layout.unsubsampled


def is_rgb(video_format: av.VideoFormat) -> bool:
    """Whether a format's samples are red, green and blue, or (XYZ, palettes) are best converted to these."""
    return video_format.is_rgb or video_format.has_palette or video_format.name.startswith("xyz")


def has_alpha(video_format: av.VideoFormat) -> bool:
    """Whether a format has an alpha channel."""
    return any(part.is_alpha for part in video_format.components)


def is_opaque(frame: av.VideoFrame) -> bool:
    """Whether no pixel of a frame with an alpha channel is transparent, as far as 8 bits of alpha tell."""
    alpha = frame.reformat(format="gbrap", threads=1).planes[3]
    return bool(_view(alpha, PixelFormat(1, 0, 0, 8)).min() == 255)


def with_full_scale(planes: tuple[Plane, ...], video_format: av.VideoFormat) -> tuple[Plane, ...]:
    """Returns the planes of a picture in RGB with less than 8 bits a component so that their largest code is 255.

    swscale leaves the missing low bits 0, and white would be 248 (5 bits).

    Args:
        planes: G, B, R, as swscale makes them of the format.
        video_format: The format that the picture had before; planes of any other kind of format are returned as they
            are.
    """
    bits = [part.bits for part in video_format.components if not part.is_alpha]
    if not video_format.is_rgb or video_format.has_palette or len(bits) != 3 or min(bits) >= 8:
        return planes
    red, green, blue = bits
    return tuple(
        np.rint((plane >> (8 - depth)) * (255 / ((1 << depth) - 1))).astype(plane.dtype)
        for plane, depth in zip(planes, (green, blue, red), strict=True)
    )


def format_name(layout: PixelFormat, *, rgb: bool) -> str | None:
    """Returns ffmpeg's name of a layout, such as ``yuv420p10le``, or None where it has none."""
    sampling = _SAMPLING.get((layout.chroma_row_shift, layout.chroma_col_shift), "?")
    stem = "gbrp" if rgb and sampling == "444" else f"yuv{sampling}p"
    stem = "gray" if layout.num_planes == 1 else stem
    name = stem if layout.bit_depth == 8 else f"{stem}{layout.bit_depth}le"
    try:
        return av.VideoFormat(name).name
    except ValueError:
        return None


def frame_planes(frame: av.VideoFrame, layout: PixelFormat) -> tuple[Plane, ...]:
    """Returns copies of the planes of a frame in a native layout, (rows, cols) each, without ffmpeg's padding."""
    return tuple(_view(plane, layout).copy() for plane in frame.planes[: layout.num_planes])


def planes_frame(planes: tuple[Plane, ...], layout: PixelFormat, color: ColorInfo) -> av.VideoFrame:
    """Returns an ffmpeg frame with a copy of ``planes``, in the native format of ``layout``.

    Raises:
        ValueError: ffmpeg has no such format, or the planes do not have the sizes of the layout.
    """
    name = format_name(layout, rgb=color.matrix == 0)
    if name is None:
        raise ValueError(f"expected a layout that ffmpeg knows, found {layout}")
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, name)
    for source, plane in zip(planes, frame.planes, strict=True):
        _view(plane, layout)[:] = source
    frame.colorspace = color.matrix
    frame.color_range = 2 if color.full_range else 1
    frame.color_primaries = color.primaries
    frame.color_trc = color.transfer
    return frame


def convert(frame: av.VideoFrame, name: str, *, width: int, height: int) -> av.VideoFrame:
    """Returns the frame in the format called ``name`` and in another size, with the same range of code values.

    The range is always named, because swscale guesses it from the name of the format where the frame does not say it.
    """
    explicit = frame.color_range or (2 if is_full_range_name(frame.format) else 1)
    return frame.reformat(
        width=width,
        height=height,
        format=name,
        src_color_range=explicit,
        dst_color_range=explicit,
        interpolation="BICUBIC" if (width, height) != (frame.width, frame.height) else "BILINEAR",
        threads=1,
    )


def is_full_range_name(video_format: av.VideoFormat) -> bool:
    """Whether ffmpeg takes a format as full range where the stream says nothing: RGB, gray and yuvj."""
    luma_only = all(part.is_luma or part.is_alpha for part in video_format.components)
    return is_rgb(video_format) or luma_only or video_format.name.startswith("yuvj")


def plane_bytes(planes: tuple[Plane, ...]) -> bytes:
    """Returns all planes one after another, tight, 16-bit samples as little endian."""
    return b"".join(plane.astype(plane.dtype.newbyteorder("<"), copy=False).tobytes() for plane in planes)


def _shifts(video_format: av.VideoFormat, num_planes: int) -> tuple[int, int]:
    if num_planes == 1:
        return 0, 0
    rows, cols = video_format.chroma_height(16), video_format.chroma_width(16)
    return (16 // rows).bit_length() - 1, (16 // cols).bit_length() - 1


def _view(plane: av.video.plane.VideoPlane, layout: PixelFormat) -> Plane:
    """Returns the samples of an ffmpeg plane as a writable array (rows, cols) that shares its memory."""
    dtype = np.dtype(plane_dtype(layout.bit_depth)).newbyteorder("<")
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    view: Plane = lines[: plane.height, : plane.width * dtype.itemsize].view(dtype)
    return view
