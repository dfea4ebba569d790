"""A neural implicit video codec: the file is the function f(t, row, col; W)."""

from nerv_codec.config import EncoderConfig
from nerv_codec.decoder import DecodeReport, decode
from nerv_codec.encoder import EncodeReport, encode
from nerv_codec.types import Frame, FrameBatch
from nerv_codec.video_decoder import VideoDecoder, VideoMetadata

__all__ = [
    "DecodeReport",
    "EncodeReport",
    "EncoderConfig",
    "Frame",
    "FrameBatch",
    "VideoDecoder",
    "VideoMetadata",
    "decode",
    "encode",
]
