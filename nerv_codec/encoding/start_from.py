"""What an earlier encode of the same frames came to, as the place where new fits begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nerv_codec.base.errors import NervCodecError, UsageError
from nerv_codec.base.video import VideoInfo
from nerv_codec.decoding.metadata import stored_geometry
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.encoding.segmentation import GopFrames
from nerv_codec.representations.fitting.sites import gop_geometry
from nerv_codec.representations.registry import MODEL_IDS


class EarlierEncode:
    """A ``.nvc`` of the same frames, whatever its quality.

    Args:
        path: The file.
        config: Of the fits that begin with it.

    Raises:
        UsageError: The file holds another representation, or fits do not begin with one at all.
    """

    def __init__(self, path: str | Path, config: EncoderConfig) -> None:
        self._path = path
        self._video = VideoDecoder(path)
        if config.model != "tracked" or self._video.header.model_id != MODEL_IDS["tracked"]:
            self.close()
            raise UsageError(f"expected to start a tracked fit from a tracked file, found {config.model} and {path}")

    def close(self) -> None:
        """Closes the file."""
        self._video.close()

    def gop(self, index: int, gop: GopFrames, info: VideoInfo) -> Any:
        """What a fit of these frames takes as ``prepared``. Raises UsageError where the file holds other ones."""
        from nerv_codec.representations.tracked.networks import read_shared
        from nerv_codec.representations.tracked.payload import read_tracked  # brings numba

        known = self._video.header
        geometry = gop_geometry(gop.frames, info)
        alike = index < len(known.gops) and stored_geometry(known, index) == geometry
        if not alike or known.info.pixel_format != info.pixel_format:
            raise UsageError(f"{self._path} has other frames: GOP {index} does not start from it")
        try:
            shared = read_shared(known.shared, geometry.num_planes)
            return read_tracked(self._video.loader.container.read_gop(index), geometry, shared)
        except NervCodecError as error:
            raise UsageError(f"{self._path} cannot be started from: GOP {index}: {error}") from error
