"""A neural implicit video codec: the file is the function f(t, row, col; W)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nerv_codec.base.video import Frame, FrameBatch
    from nerv_codec.decoding.decode import DecodeReport, decode
    from nerv_codec.decoding.metadata import VideoMetadata
    from nerv_codec.decoding.video_decoder import VideoDecoder
    from nerv_codec.encoding.config import EncoderConfig
    from nerv_codec.encoding.encode import encode
    from nerv_codec.encoding.estimate import EstimateReport, estimate
    from nerv_codec.encoding.report import EncodeReport
    from nerv_codec.evaluation.evaluate import evaluate

__all__ = [
    "DecodeReport",
    "EncodeReport",
    "EncoderConfig",
    "EstimateReport",
    "Frame",
    "FrameBatch",
    "VideoDecoder",
    "VideoMetadata",
    "decode",
    "encode",
    "estimate",
    "evaluate",
]

_MODULES = {
    "DecodeReport": "decoding.decode",
    "EncodeReport": "encoding.report",
    "EncoderConfig": "encoding.config",
    "EstimateReport": "encoding.estimate",
    "Frame": "base.video",
    "FrameBatch": "base.video",
    "VideoDecoder": "decoding.video_decoder",
    "VideoMetadata": "decoding.metadata",
    "decode": "decoding.decode",
    "encode": "encoding.encode",
    "estimate": "encoding.estimate",
    "evaluate": "evaluation.evaluate",
}


def __getattr__(name: str) -> object:
    """A public name, imported when it is asked for: a decoder does not need what only an encoder uses."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
