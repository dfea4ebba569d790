"""What a metric gets to see: two pictures of one moment, and the figures it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from torch import Tensor

from nerv_codec.base.video import Plane, VideoInfo
from nerv_codec.evaluation.metrics.pooling import pool
from nerv_codec.evaluation.metrics.threads import threads_for
from nerv_codec.media.color import planes_to_rgb


@dataclass(frozen=True)
class FramePair:
    """A frame of the reference and the frame of the target that is shown at the same time."""

    reference: tuple[Plane, ...]
    """Code values, in the layout of ``info``."""
    target: tuple[Plane, ...]
    """Code values of the target, in the same layout."""
    info: VideoInfo
    """Size, layout and colour of the reference."""
    target_info: VideoInfo
    """The same of the target: size and layout are equal, colour may differ."""

    @cached_property
    def reference_rgb(self) -> Tensor:
        """(3, H, W), uint8."""
        return _rgb(self.reference, self.info)

    @cached_property
    def target_rgb(self) -> Tensor:
        """(3, H, W), uint8."""
        return _rgb(self.target, self.target_info)


@dataclass(frozen=True)
class Series:
    """One figure for every compared frame, and what it is."""

    name: str
    """As ``psnr_y_db``."""
    domain: str
    """Which samples were measured (``Y``, ``RGB``), and in which windows."""
    values: tuple[float, ...]
    unit: str = ""
    higher_is_better: bool = True
    extra_pooling: dict[str, float] = field(default_factory=dict)
    """Poolings that do not follow from ``values`` alone."""

    @property
    def pooled(self) -> dict[str, float]:
        """Figures for the whole video by name of pooling."""
        return pool(self.values, higher_is_better=self.higher_is_better) | self.extra_pooling


class Unavailable(Exception):
    """A metric cannot be had here, for the reason in the message. The report names it under ``skipped``."""


class Metric(Protocol):
    """Takes pairs one after another and holds nothing but figures of them."""

    def add(self, pair: FramePair) -> None:
        """Measures the next frame."""

    def series(self) -> list[Series]:
        """Everything measured so far; called once, at the end. Raises Unavailable."""


def require_luma(info: VideoInfo, metric: str) -> None:
    """Raises Unavailable where plane 0 is not luma."""
    if info.color.matrix == 0 and info.pixel_format.num_planes == 3:
        raise Unavailable(f"{metric} is taken of luma, and the reference is RGB")


def _rgb(planes: tuple[Plane, ...], info: VideoInfo) -> Tensor:
    with threads_for(info.height * info.width):
        return planes_to_rgb(planes, info)
