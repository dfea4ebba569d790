"""Random access to the functions of a ``.nvc`` file: the library's view of a video."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from nerv_codec.base.companions import Companions, TrackPacket
from nerv_codec.base.device import choose_device
from nerv_codec.base.errors import BitstreamError, CoordinateRangeError, InputError, UnsupportedVersionError
from nerv_codec.base.video import Frame, FrameBatch, PixelFormat, PlanarFrame
from nerv_codec.bitstream.companions import parse_companions, parse_packets
from nerv_codec.bitstream.container import SECTION_COMPANIONS, SECTION_PACKETS, ContainerReader
from nerv_codec.decoding.timeline import Timeline, exact_rate
from nerv_codec.media.color import codes_to_rgb, planes_to_rgb
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.registry import MODEL_NAMES, unpack_gop
from nerv_codec.representations.rendering import View, render_planes, scaled_size, view_info
from nerv_codec.representations.representation import Representation

_CACHED_GOPS = 2


@dataclass(frozen=True)
class VideoMetadata:
    """What a file says about itself."""

    width: int
    height: int
    num_frames: int
    begin_seconds: float
    end_seconds: float
    average_fps: float
    bit_depth: int
    chroma: str
    model: str
    num_gops: int
    file_bytes: int
    rate_bpp: float
    """8 * file bytes / (frames * height * width)."""
    bitrate_bps: float
    macs_per_pixel: float
    """Multiplications for one pixel at the source's lattice, chroma included."""


class VideoDecoder:
    """Random access to a ``.nvc`` file.

    Frames come as RGB uint8, (3, H, W). Time ranges are half open. Coordinates outside of what W was fitted
    on raise: an implicit representation interpolates, it does not extrapolate.

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
        self._device = choose_device(device)
        self._file = _open_binary(source) if isinstance(source, str | Path) else source
        self._owns_file = isinstance(source, str | Path)
        try:
            self.container = ContainerReader(self._file, keep_going=keep_going)
        except BaseException as error:
            self.close()
            if isinstance(error, BitstreamError) and self._owns_file:
                raise type(error)(f"{source}: {error}") from error
            raise
        self.header = self.container.header
        self.timeline = Timeline(self.header)
        self._models: OrderedDict[int, Representation] = OrderedDict()
        self._ahead: ThreadPoolExecutor | None = None
        self._last_ahead = 0
        self._coming: dict[int, Future[Representation]] = {}
        self._keep_going = keep_going
        self._damaged: dict[int, str] = {}

    def close(self) -> None:
        """Closes the file, if this object opened it."""
        if self._owns_file:
            self._file.close()

    def __enter__(self) -> VideoDecoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.header.pts)

    def __getitem__(self, key: int | slice) -> Tensor:
        """Frame ``key`` as (3, H, W) uint8 RGB, or a slice of frames as (N, 3, H, W)."""
        if isinstance(key, slice):
            return self.get_frames_at(range(*key.indices(len(self)))).data
        return self.get_frame_at(key).data

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self)))

    @property
    def metadata(self) -> VideoMetadata:
        """Size, rate, times and cost of the file."""
        info, fmt = self.header.info, self.header.info.pixel_format
        seconds = float(self.timeline.end - self.timeline.begin)
        pixels = len(self) * info.height * info.width
        samples = sum(
            rows * cols
            for rows, cols in {fmt.plane_size(plane, info.height, info.width) for plane in range(fmt.num_planes)}
        )
        return VideoMetadata(
            width=info.width,
            height=info.height,
            num_frames=len(self),
            begin_seconds=float(self.timeline.begin),
            end_seconds=float(self.timeline.end),
            average_fps=float(self.timeline.average_rate),
            bit_depth=fmt.bit_depth,
            chroma=describe_chroma(fmt, info.color.matrix),
            model=MODEL_NAMES.get(self.header.model_id, f"unknown ({self.header.model_id})"),
            num_gops=len(self.header.gops),
            file_bytes=self.container.file_bytes,
            rate_bpp=8 * self.container.file_bytes / pixels,
            bitrate_bps=8 * self.container.file_bytes / seconds,
            macs_per_pixel=self.gop(0).macs_per_sample * samples / (info.height * info.width),
        )

    @cached_property
    def companions(self) -> Companions:
        """What travels beside the pictures, but for the packets. Raises BitstreamError."""
        for section in self.container.trailing_sections():
            if section.kind == SECTION_COMPANIONS:
                return parse_companions(section.payload)
        return Companions()

    def packets(self, begin: Fraction | None = None, end: Fraction | None = None) -> Iterator[TrackPacket]:
        """Packets of sound and subtitles that play within [begin, end) seconds; whole ones. Raises BitstreamError."""
        tracks = self.companions.tracks
        for section in self.container.trailing_sections():
            if section.kind != SECTION_PACKETS:
                continue
            for packet in parse_packets(section.payload, len(tracks)):
                if packet.plays_within(tracks[packet.track].time_base, begin, end):
                    yield packet

    def gop(self, index: int) -> Representation:
        """The function of one GOP. The last few are kept."""
        if index not in self._models:
            coming = self._coming.pop(index, None)
            self._models[index] = coming.result() if coming else self._load(index)
            self._coming.clear()
            if self._ahead and index < self._last_ahead:
                self._coming[index + 1] = self._ahead.submit(self._load, index + 1)
            while len(self._models) > _CACHED_GOPS:
                self._models.popitem(last=False)
        self._models.move_to_end(index)
        return self._models[index]

    @contextmanager
    def in_order(self, last: int) -> Iterator[None]:
        """Within the block GOPs are asked for in order: while one is evaluated, a thread unpacks the next.

        Args:
            last: The last GOP that will be asked for.
        """
        with ThreadPoolExecutor(1) as executor:
            self._ahead, self._last_ahead = executor, last
            try:
                yield
            finally:
                self._ahead = None
                self._coming.clear()

    def _load(self, index: int) -> Representation:
        model, _, _ = self.unpack(index)
        return model.to(self._device)

    @property
    def device(self) -> torch.device:
        """Where the functions are evaluated."""
        return self._device

    @property
    def damage(self) -> list[str]:
        """What ``keep_going`` has met with so far, one plain sentence each."""
        found = list(self.container.damage)
        for index in sorted(self._damaged):
            first, last = self.own_frames(index)
            found.append(f"frames {first}..{last} are filled with the nearest good one: {self._damaged[index]}")
        return found

    @property
    def num_present(self) -> int:
        """Frames that come before the first GOP that the file is cut off in."""
        gop = self.container.num_gops_present
        return len(self) if gop == len(self.header.gops) else self.own_frames(gop)[0]

    def own_frames(self, index: int) -> tuple[int, int]:
        """First and last frame that are shown from one GOP."""
        entry, first = self.header.gops[index], self.header.first_frames[index]
        return first + entry.shares_first, first + entry.num_frames - 1

    def _locate(self, position: Fraction) -> tuple[int, float]:
        """As the timeline has it; with ``keep_going``, the nearest intact place where that one is damaged."""
        gop, t = self.timeline.locate(position)
        if not self._keep_going or self._is_intact(gop):
            return gop, t
        header = self.header
        after = gop + 1
        if after < len(header.gops) and position == header.first_frames[after] and self._is_intact(after):
            return after, 0.0  # the frame that both of them hold
        before = next((other for other in range(gop - 1, -1, -1) if self._is_intact(other)), None)
        if before is not None:
            return before, float(header.gops[before].num_frames - 1)
        later = next((other for other in range(after, len(header.gops)) if self._is_intact(other)), None)
        if later is None:
            raise BitstreamError(f"no GOP is intact; the first one: {self._damaged[0]}")
        return later, 0.0

    def _is_intact(self, index: int) -> bool:
        if index in self._damaged:
            return False
        try:
            self.gop(index)
        except UnsupportedVersionError:
            raise
        except BitstreamError as error:
            self._damaged[index] = str(error)
            return False
        return True

    def unpack(self, index: int) -> tuple[Representation, int, dict[str, int]]:
        """One GOP from its bytes: the function, the digest of its integers, its bytes by part."""
        payload = self.container.read_gop(index)
        try:
            return unpack_gop(self.header.model_id, payload, self.geometry(index), self.header.shared)
        except BitstreamError as error:
            raise type(error)(f"GOP {index}: {error}") from error

    def geometry(self, index: int) -> GopGeometry:
        """The box of one GOP."""
        info = self.header.info
        return GopGeometry(self.header.gops[index].num_frames, info.height, info.width, info.pixel_format.num_planes)

    def render(self, position: Fraction, view: View, pixel_format: PixelFormat | None = None) -> PlanarFrame:
        """The picture at a real-valued frame number, as planes; pts is 0.

        Args:
            position: 0..len-1.
            view: Which pixels.
            pixel_format: Layout of the planes; the source's if not given.
        """
        if not 0 <= position <= len(self) - 1:
            raise CoordinateRangeError(f"expected a frame number in 0..{len(self) - 1}, found {float(position):g}")
        gop, t = self._locate(position)
        out = view_info(self.header.info, view, pixel_format)
        return PlanarFrame(render_planes(self.gop(gop), t, self.header.info, view, out), pts=0)

    def get_frame_at(self, index: int, *, scale: float = 1.0) -> Frame:
        """One frame by its number; negative numbers count from the end. Raises IndexError."""
        return self.get_frames_at([index], scale=scale)[0]

    def get_frames_at(self, indices: Sequence[int], *, scale: float = 1.0) -> FrameBatch:
        """Frames by number. Raises IndexError for a number outside the video."""
        wanted = []
        for index in indices:
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

    def sample(self, coords: Tensor) -> Tensor:
        """The function itself at single points.

        Args:
            coords: (..., 3) of (t in seconds, row, col); pixel i covers i - 1/2 .. i + 1/2.

        Returns:
            (..., 3) float32 RGB in [0, 1].

        Raises:
            CoordinateRangeError: A coordinate is outside of what W was fitted on; in time that is from the
                first frame's time to the last frame's.
        """
        flat = coords.reshape(-1, 3).to("cpu", torch.float64)
        unique, inverse = torch.unique(flat[:, 0], return_inverse=True)
        low, high = self.timeline.begin, self.timeline.last
        exact = [self.timeline.moment(seconds) for seconds in unique.tolist()]
        if exact and not low <= min(exact) <= max(exact) <= high:
            found = f"{float(min(exact)):g}..{float(max(exact)):g}"
            raise CoordinateRangeError(f"expected t in {float(low):g}..{float(high):g} s, found {found}")
        places = [self._locate(self.timeline.position(s, exact=True)) for s in exact]
        gops = torch.tensor([gop for gop, _ in places], dtype=torch.int64)[inverse]
        local = torch.tensor([t for _, t in places], dtype=torch.float64)[inverse]
        points = torch.cat((local[:, None], flat[:, 1:]), dim=1)
        info = self.header.info
        codes = torch.empty(len(flat), info.pixel_format.num_planes)
        for gop in sorted({gop for gop, _ in places}):
            chosen = gops == gop
            codes[chosen] = self.gop(gop).sample(points[chosen])
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


def describe_chroma(fmt: PixelFormat, matrix: int) -> str:
    """``4:2:0``, ``4:4:4``, ``gray``, ``rgb`` ..."""
    if fmt.num_planes == 1:
        return "gray"
    if matrix == 0:
        return "rgb"
    names = {
        (1, 1): "4:2:0",
        (0, 1): "4:2:2",
        (0, 0): "4:4:4",
        (1, 0): "4:4:0",
        (0, 2): "4:1:1",
        (2, 2): "4:1:0",
    }
    shifts = (fmt.chroma_row_shift, fmt.chroma_col_shift)
    return names.get(shifts, f"1/{1 << shifts[0]} x 1/{1 << shifts[1]}")


def _open_binary(path: str | Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
