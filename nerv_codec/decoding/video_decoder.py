"""Pictures of a ``.nvc`` by number, by time or by coordinate: the library's view of a video."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO, SupportsIndex

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.base.companions import Companions, TrackPacket
from nerv_codec.base.device import choose_device
from nerv_codec.base.errors import CoordinateRangeError, UsageError
from nerv_codec.base.video import Frame, FrameBatch, PixelFormat, PlanarFrame
from nerv_codec.decoding.gop_loader import GopLoader, open_container
from nerv_codec.decoding.metadata import VideoMetadata, own_frames, read_companions, read_metadata, read_packets
from nerv_codec.decoding.timeline import exact_rate
from nerv_codec.media.color import codes_to_rgb, planes_to_rgb
from nerv_codec.representations.rendering import View, render_planes, scaled_size, view_info


class VideoDecoder:
    """Random access to a ``.nvc`` file.

    Frames come as RGB uint8, (3, H, W). Time ranges are half open. Coordinates outside of what W was fitted
    on raise: an implicit representation interpolates, it does not extrapolate.

    Frames of a GOP are decoded as far as they are asked for. Whether all of it is what was encoded is known when
    its last frame has been: if not, that one raises.

    Args:
        source: A path, or a seekable binary file.
        device: Where the network is evaluated: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        keep_going: Put up with damage behind the header: a damaged GOP's frames are the last good one before
            it, see :attr:`damage`; all other frames are what they would be.

    Raises:
        InputError: The file cannot be opened.
        BitstreamError: It is damaged, truncated or no ``.nvc``; also from every method that reads a GOP.

    Example:
        >>> video = VideoDecoder("clip.nvc")  # doctest: +SKIP
        >>> video.get_frames_played_in_range(0.5, 1.0, fps=60, scale=2)  # doctest: +SKIP
        FrameBatch(data=(30, 3, 288, 352) torch.uint8, 30 frames)
    """

    def __init__(self, source: str | Path | BinaryIO, *, device: str = "auto", keep_going: bool = False) -> None:
        self._source, self._keep_going = source, keep_going
        self.device = choose_device(device)
        with ExitStack() as stack:
            container = stack.enter_context(open_container(source, keep_going=keep_going))
            self._opened = stack.pop_all()
        self.loader = GopLoader(container, self.device, keep_going)
        self.header, self.timeline = container.header, self.loader.timeline

    def close(self) -> None:
        """Closes the file, if this object opened it."""
        self._opened.close()

    def __reduce__(self) -> tuple[Callable[[], VideoDecoder], tuple[()]]:
        """Another process opens the file anew: it gets the path, not what is in memory."""
        if not isinstance(self._source, str | Path):
            raise TypeError("a decoder of an open file cannot be pickled; give it a path")
        return partial(VideoDecoder, self._source, device=str(self.device), keep_going=self._keep_going), ()

    def __enter__(self) -> VideoDecoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.header.pts)

    def __getitem__(self, key: SupportsIndex | slice | Iterable[SupportsIndex]) -> Tensor:
        """Frame ``key`` as (3, H, W) uint8 RGB; a slice, or a list or array of numbers, as (N, 3, H, W)."""
        if isinstance(key, slice):
            return self.get_frames_at(range(*key.indices(len(self)))).data
        if isinstance(key, Iterable) and getattr(key, "ndim", None) != 0:  # an array of no dimensions is one number
            return self.get_frames_at(key).data
        return self.get_frame_at(key).data  # type: ignore[arg-type]  # anything else is refused there

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self)))

    @cached_property
    def metadata(self) -> VideoMetadata:
        """Size, rate, times and cost of the file."""
        return read_metadata(self.loader.container)

    @cached_property
    def companions(self) -> Companions:
        """What travels beside the pictures, but for the packets. Raises BitstreamError."""
        return read_companions(self.loader.container)

    def packets(self, begin: Fraction | None = None, end: Fraction | None = None) -> Iterator[TrackPacket]:
        """Packets of sound and subtitles that play within [begin, end) seconds; whole ones. Raises BitstreamError."""
        return read_packets(self.loader.container, self.companions, begin, end)

    def in_order(self, gops: Iterable[int]) -> AbstractContextManager[None]:
        """Within the block a thread decodes the given GOPs, in ascending order, ahead of their use."""
        return self.loader.in_order(gops)

    @property
    def damage(self) -> list[str]:
        """What ``keep_going`` has met with so far, one plain sentence each."""
        return self.loader.damage

    @property
    def num_present(self) -> int:
        """Frames that come before the first GOP that the file is cut off in."""
        gop = self.loader.container.num_gops_present
        return len(self) if gop == len(self.header.gops) else own_frames(self.header, gop)[0]

    def render(self, position: Fraction, view: View, pixel_format: PixelFormat | None = None) -> PlanarFrame:
        """The picture at a real-valued frame number, as planes; pts is 0.

        Args:
            position: 0..len-1.
            view: Which pixels.
            pixel_format: Layout of the planes; the source's if not given.
        """
        if not 0 <= position <= len(self) - 1:
            raise CoordinateRangeError(f"expected a frame number in 0..{len(self) - 1}, found {float(position):g}")
        gop, t = self.loader.place(position)
        out = view_info(self.header.info, view, pixel_format)
        with self.loader.gop(gop) as function:
            return PlanarFrame(render_planes(function, t, self.header.info, view, out), pts=0)

    def get_frame_at(self, index: SupportsIndex, *, scale: float = 1.0) -> Frame:
        """One frame by its number; negative numbers count from the end. Raises IndexError."""
        return self.get_frames_at([index], scale=scale)[0]

    def get_frames_at(self, indices: Iterable[SupportsIndex], *, scale: float = 1.0) -> FrameBatch:
        """Frames by number, from a list, an array or a tensor.

        Raises:
            IndexError: A number is outside the video.
            UsageError: It is no whole number.
        """
        wanted = []
        for index in map(_whole_number, indices):
            if not -len(self) <= index < len(self):
                raise IndexError(f"expected a frame number in {-len(self)}..{len(self) - 1}, found {index}")
            wanted.append(index % len(self))
        return self._batch(
            [Fraction(i) for i in wanted],
            [self.timeline.frame_seconds(i) for i in wanted],
            [self.timeline.frame_duration(i) for i in wanted],
            scale,
        )

    def get_frame_played_at(self, seconds: float, *, scale: float = 1.0) -> Frame:
        """The frame on the screen at ``seconds``. Raises CoordinateRangeError outside the video."""
        return self.get_frame_at(self.timeline.frame_at(self.timeline.moment(seconds)), scale=scale)

    def get_frames_played_in_range(
        self,
        start_seconds: float,
        stop_seconds: float,
        *,
        fps: float | Fraction | None = None,
        scale: float = 1.0,
    ) -> FrameBatch:
        """All frames of [start_seconds, stop_seconds).

        Args:
            start_seconds: At least the video's begin.
            stop_seconds: At most the video's end.
            fps: Frames a second, evaluated where no source frame is: synthesised, not duplicated. None
                gives the source's own frames, from the one on the screen at the start.
            scale: Size of the pictures against the source's.

        Raises:
            CoordinateRangeError: The range is empty or reaches outside the video.
        """
        line = self.timeline
        start, stop = line.moment(start_seconds), line.moment(stop_seconds)
        if not line.begin <= start < stop <= line.end:
            raise CoordinateRangeError(
                f"expected a time range within {float(line.begin):g}..{float(line.end):g} s, "
                f"found {float(start):g}..{float(stop):g} s"
            )
        if fps is None:
            first = line.frame_at(start)
            indices = [i for i in range(first, len(self)) if i == first or line.frame_seconds(i) < stop]
            return self.get_frames_at(indices, scale=scale)
        rate = exact_rate(fps)
        times = [start + index / rate for index in range(line.count_ticks(start, stop, rate))]
        positions = [line.position(seconds) for seconds in times]
        return self._batch(positions, times, [1 / rate] * len(times), scale)

    def sample(self, coords: Tensor | npt.ArrayLike) -> Tensor:
        """The function itself at single points.

        Args:
            coords: (..., 3) of (t in seconds, row, col), as tensor, array or lists; pixel i covers i - 1/2 .. i + 1/2.

        Returns:
            (..., 3) float32 RGB in [0, 1].

        Raises:
            UsageError: They are no coordinates.
            CoordinateRangeError: A coordinate is outside of what W was fitted on; in time that is from the
                first frame's time to the last frame's.
        """
        coords = _coordinates(coords)
        flat = coords.reshape(-1, 3)
        unique, inverse = torch.unique(flat[:, 0], return_inverse=True)
        low, high = self.timeline.begin, self.timeline.last
        exact = [self.timeline.moment(seconds) for seconds in unique.tolist()]
        if exact and not low <= min(exact) <= max(exact) <= high:
            found = f"{float(min(exact)):g}..{float(max(exact)):g}"
            raise CoordinateRangeError(f"expected t in {float(low):g}..{float(high):g} s, found {found}")
        places = [self.loader.place(self.timeline.position(s, exact=True)) for s in exact]
        gops = torch.tensor([gop for gop, _ in places], dtype=torch.int64)[inverse]
        local = torch.tensor([t for _, t in places], dtype=torch.float64)[inverse]
        points = torch.cat((local[:, None], flat[:, 1:]), dim=1)
        info = self.header.info
        codes = torch.empty(len(flat), info.pixel_format.num_planes, dtype=torch.float32, device="cpu")
        for gop in sorted({gop for gop, _ in places}):
            chosen = gops == gop
            with self.loader.gop(gop) as function:
                codes[chosen] = function.sample(points[chosen])
        return codes_to_rgb(codes.clamp_(0, 1), info).reshape(*coords.shape[:-1], 3)

    def _batch(
        self, positions: list[Fraction], times: list[Fraction], durations: list[Fraction], scale: float
    ) -> FrameBatch:
        info = self.header.info
        view = View.whole(*scaled_size(info.height, info.width, scale))
        # Every output is evaluated at every pixel: the function has no subsampled chroma.
        full = PixelFormat(info.pixel_format.num_planes, 0, 0, info.pixel_format.bit_depth)
        out = view_info(info, view, full)
        data = torch.empty(len(positions), 3, view.height, view.width, dtype=torch.uint8)
        for index, position in enumerate(positions):
            planes = self.render(position, view, full).planes
            data[index] = planes_to_rgb(planes, out)
        return FrameBatch(
            data,
            torch.tensor([float(t) for t in times], dtype=torch.float64),
            torch.tensor([float(d) for d in durations], dtype=torch.float64),
        )


def _whole_number(index: SupportsIndex) -> int:
    kind = str(getattr(index, "dtype", ""))
    try:
        if "bool" in kind:
            raise TypeError
        return operator.index(index)
    except TypeError:
        raise UsageError(f"expected whole numbers of frames, found {index!r}") from None


def _coordinates(coords: Tensor | npt.ArrayLike) -> Tensor:
    """(..., 3) float64 on the CPU. Raises UsageError where that cannot be made of them."""
    try:
        made = coords.detach() if isinstance(coords, Tensor) else torch.from_numpy(np.array(coords, np.float64))
        made = made.to("cpu", torch.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"expected coordinates (..., 3) of (t, row, col): {error}") from None
    if made.ndim < 1 or made.shape[-1] != 3:
        raise UsageError(f"expected coordinates (..., 3) of (t, row, col), found the shape {tuple(made.shape)}")
    if not bool(torch.isfinite(made).all()):
        raise UsageError("expected finite coordinates, found nan or inf")
    return made
