"""What travels beside the pictures: sound, subtitles, chapters, tags and static HDR metadata, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction


@dataclass(frozen=True)
class Track:
    """One track of sound or subtitles. Its packets are the source's own bytes."""

    stub_format: str
    """``matroska`` or ``mp4``: the container that ``stub`` is the beginning of."""
    stub: bytes
    """A file with this one track and no packet: the codec and its parameters as that container's standard has them."""
    time_base: Fraction
    """Seconds per unit of its packets' times."""
    disposition: int = 0
    """ffmpeg's AV_DISPOSITION bits: default, forced ..."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """``language``, ``title``."""


@dataclass(frozen=True)
class TrackPacket:
    """One packet as it was demultiplexed; times in the track's time base."""

    track: int
    """Index of its track."""
    data: bytes
    pts: int
    dts: int
    duration: int = 0
    is_key: bool = True

    def plays_within(self, time_base: Fraction, begin: Fraction | None, end: Fraction | None) -> bool:
        """Whether any of it plays within [begin, end) seconds; None is no bound."""
        after = begin is None or (self.pts + self.duration) * time_base > begin
        return after and (end is None or self.pts * time_base < end)


@dataclass(frozen=True)
class Attachment:
    """A file that travels along: a font of the subtitles, or cover art."""

    name: str
    """Without a path: ``font.ttf``."""
    media_type: str
    """``font/ttf``, ``image/jpeg`` ..."""
    data: bytes
    is_cover: bool = False
    """Whether players show it as the picture of the whole file."""


@dataclass(frozen=True)
class Chapter:
    """A named part of the video, in microseconds on the video's clock."""

    start_us: int
    end_us: int
    title: str = ""


@dataclass(frozen=True)
class MasteringDisplay:
    """The display on which an HDR video was graded (SMPTE ST 2086), in the units of H.265 Annex D."""

    chromaticity: tuple[int, int, int, int, int, int, int, int]
    """x, y of red, green, blue and white, in 0.00002, 0..65535; all 0 where unknown."""
    luminance: tuple[int, int]
    """Minimum and maximum in 0.0001 cd/m2, below 2**32; both 0 where unknown."""


@dataclass(frozen=True)
class LightLevel:
    """Content light level (CTA-861.3) in cd/m2, 0..65535."""

    max_content: int
    max_frame_average: int


@dataclass(frozen=True)
class Companions:
    """All that travels beside the pictures, but for the packets, which are read one after another."""

    tracks: tuple[Track, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of the whole file: title, artist, date and so on."""
    video_tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of the video track: language, title."""
    mastering: MasteringDisplay | None = None
    light: LightLevel | None = None
    attachments: tuple[Attachment, ...] = ()

    def __bool__(self) -> bool:
        return self != Companions()

    def within(self, begin: Fraction | None, end: Fraction | None) -> Companions:
        """With the chapters, and parts of chapters, that play within [begin, end) seconds; None is no bound."""
        first = None if begin is None else round(begin * 1_000_000)
        stop = None if end is None else round(end * 1_000_000)
        kept = [
            replace(
                one,
                start_us=one.start_us if first is None else max(one.start_us, first),
                end_us=one.end_us if stop is None else min(one.end_us, stop),
            )
            for one in self.chapters
            if (first is None or max(one.end_us, one.start_us + 1) > first) and (stop is None or one.start_us < stop)
        ]
        return replace(self, chapters=tuple(kept))
