"""What an evaluation found, as plain data. The JSON is additive: fields appear, none changes its meaning."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from nerv_codec.evaluation.metrics.bd_rate import BdResult
from nerv_codec.evaluation.metrics.pair import Series
from nerv_codec.evaluation.metrics.pooling import POOLINGS

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class MediaSummary:
    """One of the two videos."""

    file: str
    kind: str
    """``nvc`` or ``video``."""
    width: int
    height: int
    num_frames: int
    """Frames in the whole file."""
    fps: float
    duration_seconds: float
    file_bytes: int
    rate_bpp: float
    """8 * file bytes / (frames * height * width): the whole file, with all it carries."""
    bitrate_bps: float
    """8 * file bytes / duration."""
    about: dict[str, Any] = field(default_factory=dict)
    """What is known of a ``.nvc`` alone: model, macs_per_pixel, bytes_by_part, gops, tool."""


@dataclass(frozen=True)
class RdPoint:
    """One encode: what it cost and how good it is."""

    label: str
    """A file's name, or ``crf 28``."""
    coded_bytes: int
    rate_bpp: float
    bitrate_bps: float
    metrics: dict[str, float]
    """Mean over frames by name of the series."""
    encode_seconds: float | None
    decode_seconds: float
    device: str


@dataclass(frozen=True)
class RdCurve:
    """Points of one codec, by increasing rate."""

    name: str
    settings: str
    counted: str
    """Which bytes count."""
    points: tuple[RdPoint, ...]


@dataclass(frozen=True)
class Delta:
    """One curve against an anchor by one metric."""

    metric: str
    curve: str
    anchor: str
    bd: BdResult | None = None
    equal_quality_percent: float | None = None
    """Rate of the evaluated file itself against the anchor's rate at its quality; negative: fewer bits."""
    reason: str = ""
    """Why ``bd`` or ``equal_quality_percent`` is missing."""


@dataclass(frozen=True)
class ExactSize:
    """What another codec makes of the same frames when it, too, gives every sample back."""

    codec: str
    settings: str
    coded_bytes: int
    """Packets and parameter sets; container and encoder's messages left out."""
    percent: float
    """The evaluated file, all of it, against that; negative: fewer bytes."""


@dataclass(frozen=True)
class HoldoutMethod:
    """One way to make the pictures that were held out."""

    name: str
    given: str
    """From what: the function, the decoded pictures, or the original ones."""
    metrics: dict[str, float]
    """Mean over the held-out frames, by name of the series."""


@dataclass(frozen=True)
class Holdout:
    """A fit on a part of the samples, measured on the others."""

    kind: str
    """``time``: frames were held out; ``space``: the fit saw a smaller picture."""
    factor: int
    settings: str
    file_bytes: int
    rate_bpp: float
    """Bits of the fit's file for each pixel that it saw."""
    num_frames: int
    """How many frames were measured."""
    fitted: dict[str, float]
    """Quality where the function was fitted, mean over frames, by name of the series."""
    methods: tuple[HoldoutMethod, ...]
    encode_seconds: float


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured. A figure that could not be had is absent and named in ``skipped``."""

    reference: MediaSummary
    target: MediaSummary
    frame_seconds: tuple[float, ...]
    """When each compared frame is shown, on the reference's clock."""
    frame_numbers: tuple[int, ...]
    """Number of each compared frame in the target."""
    reference_numbers: tuple[int, ...]
    """Number of each compared frame in the reference."""
    series: tuple[Series, ...]
    """Figures by frame, in the order of ``frame_seconds``."""
    encode_seconds: float | None
    """As the target's own tool section says."""
    decode_seconds: float
    """Wall time of decoding the compared target, metrics not counted."""
    decoded_frames: int
    """How many frames ``decode_seconds`` went into."""
    device: str
    """Where the target was decoded."""
    skipped: dict[str, str]
    """Reason for every figure that is missing."""
    notes: tuple[str, ...] = ()
    eval_seconds: float = 0.0
    """Wall time of the whole evaluation."""
    command: str = ""
    curves: tuple[RdCurve, ...] = ()
    """Rate and quality of the target's codec (first) and of baselines on the same frames."""
    deltas: tuple[Delta, ...] = ()
    """The first curve against each other one, by metric."""
    holdouts: tuple[Holdout, ...] = ()
    """What the function makes of frames and pixels it was not fitted on."""
    identical_frames: int = 0
    """Compared frames that are the reference's in every sample of every plane."""
    exact_sizes: tuple[ExactSize, ...] = ()
    """Lossless codecs, where this file is identical."""

    @property
    def is_identical(self) -> bool:
        """Whether every compared frame is the reference's, sample by sample."""
        return self.identical_frames == len(self.frame_seconds)

    @property
    def decode_fps(self) -> float:
        """Frames decoded a second."""
        return self.decoded_frames / max(self.decode_seconds, 1e-9)

    def metric(self, name: str, pooling: str = "mean") -> float:
        """One pooled figure, as ``metric("psnr_y_db")``. Raises KeyError where it was not measured."""
        return {series.name: series for series in self.series}[name].pooled[pooling]

    def to_dict(self) -> dict[str, Any]:
        """The JSON report, without infinities and NaN."""
        return {
            "schema_version": SCHEMA_VERSION,
            "reference": dataclasses.asdict(self.reference),
            "target": dataclasses.asdict(self.target),
            "frames": {
                "compared": len(self.frame_seconds),
                "first_seconds": self.frame_seconds[0],
                "last_seconds": self.frame_seconds[-1],
                "reference_total": self.reference.num_frames,
                "target_total": self.target.num_frames,
                "identical": self.identical_frames,
            },
            "device": self.device,
            "encode_seconds": self.encode_seconds,
            "decode_seconds": self.decode_seconds,
            "decode_fps": self.decode_fps,
            "eval_seconds": self.eval_seconds,
            "metrics": {
                s.name: {
                    "domain": s.domain,
                    "unit": s.unit,
                    "higher_is_better": s.higher_is_better,
                    "pooled": s.pooled,
                }
                for s in self.series
            },
            "per_frame": {
                "frame": list(self.frame_numbers),
                "seconds": list(self.frame_seconds),
                **{s.name: list(s.values) for s in self.series},
            },
            "curves": [dataclasses.asdict(curve) for curve in self.curves],
            "bd": [dataclasses.asdict(delta) for delta in self.deltas],
            "exact_sizes": [dataclasses.asdict(size) for size in self.exact_sizes],
            "holdouts": [dataclasses.asdict(holdout) for holdout in self.holdouts],
            "poolings": POOLINGS,
            "skipped": self.skipped,
            "notes": list(self.notes),
            "command": self.command,
        }
