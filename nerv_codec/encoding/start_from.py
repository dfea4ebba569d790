"""What an earlier encode of the same frames came to, as the place where new fits begin."""

from __future__ import annotations

from pathlib import Path

from nerv_codec.base.errors import BitstreamError, UsageError
from nerv_codec.base.video import VideoInfo
from nerv_codec.decoding.metadata import stored_geometry
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.encoding.fit_gop import FITS
from nerv_codec.encoding.segmentation import GopFrames
from nerv_codec.representations.fitting.sites import gop_geometry
from nerv_codec.representations.fitting.task import StoredGop
from nerv_codec.representations.registry import MODELS, unpack_gop


class StartFrom:
    """A ``.nvc`` of the same frames, whatever its quality, of which fits begin with what it holds.

    Args:
        path: The file.
        config: How the new fits are configured.

    Raises:
        UsageError: The file holds another representation, or fits of this one cannot begin with a file.
    """

    def __init__(self, path: str | Path, config: EncoderConfig) -> None:
        self._path = path
        self._video = VideoDecoder(path)
        alike = self._video.header.model_id == MODELS[config.model].model_id
        if not alike or not FITS[config.model].starts_from_gop:
            self.close()
            able = " or ".join(name for name, method in FITS.items() if method.starts_from_gop)
            raise UsageError(f"expected to start a {able} fit from a file of it, found {config.model} and {path}")

    def close(self) -> None:
        """Closes the file."""
        self._video.close()

    def gop(self, index: int, gop: GopFrames, info: VideoInfo) -> StoredGop:
        """What a fit of these frames begins with. Raises UsageError where the file holds others, or is damaged."""
        known = self._video.header
        geometry = gop_geometry(gop.frames, info)
        alike = index < len(known.gops) and stored_geometry(known, index) == geometry
        if not alike or known.info.pixel_format != info.pixel_format:
            raise UsageError(f"{self._path} has other frames: GOP {index} does not start from it")
        try:
            payload = self._video.loader.container.read_gop(index)
            unpack_gop(known.model_id, payload, geometry, known.shared)
        except BitstreamError as error:
            raise UsageError(f"{self._path} cannot be started from: GOP {index}: {error}") from error
        return StoredGop(payload, known.shared)
