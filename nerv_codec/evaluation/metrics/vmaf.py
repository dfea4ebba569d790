"""VMAF, where a ``vmaf`` program or an ``ffmpeg`` with libvmaf is on the PATH."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import DEFAULT_RATE, PlanarFrame, VideoInfo
from nerv_codec.evaluation.metrics.pair import FramePair, Series, Unavailable, require_luma
from nerv_codec.media.writer import VideoWriter, open_writer

_ASK_SECONDS = 20


class VmafMetric:
    """``vmaf``: both videos go through temporary y4m files to the program, which looks at them at the end."""

    def __init__(self, info: VideoInfo) -> None:
        require_luma(info, "vmaf")
        self._program = _find_program()
        self._folder = tempfile.TemporaryDirectory(prefix="nerv-codec-vmaf-")
        self._paths = [Path(self._folder.name) / f"{name}.y4m" for name in ("reference", "target")]
        try:
            self._writers: list[VideoWriter] = [
                open_writer(path, "y4m", info, frame_rate=DEFAULT_RATE) for path in self._paths
            ]
        except UsageError as error:
            raise Unavailable(f"vmaf: {error}") from error
        self._count = 0

    def add(self, pair: FramePair) -> None:
        """Takes the next frame."""
        for writer, planes in zip(self._writers, (pair.reference, pair.target), strict=True):
            writer.write(PlanarFrame(planes, self._count))
        self._count += 1

    def series(self) -> list[Series]:
        """Runs the program. Raises Unavailable where it fails."""
        for writer in self._writers:
            writer.close()
        log = Path(self._folder.name) / "log.json"
        try:
            subprocess.run(_command(self._program, self._paths, log), check=True, capture_output=True, text=True)
            frames = json.loads(log.read_text())["frames"]
            values = tuple(float(frame["metrics"]["vmaf"]) for frame in frames)
        except subprocess.CalledProcessError as error:
            last = (error.stderr or "no message").strip().splitlines()[-1]
            raise Unavailable(f"{self._program} failed: {last}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(f"{self._program} wrote no report that can be read ({type(error).__name__})") from error
        finally:
            self._folder.cleanup()
        if len(values) != self._count:
            raise Unavailable(f"{self._program} measured {len(values)} of {self._count} frames")
        return [Series("vmaf", f"Y, default model of {Path(self._program).name}", values)]


def _find_program() -> str:
    """``vmaf``, or an ``ffmpeg`` that lists libvmaf. Raises Unavailable."""
    if program := shutil.which("vmaf"):
        return program
    program = shutil.which("ffmpeg")
    if program is None:
        raise Unavailable("vmaf needs a program vmaf, or an ffmpeg with libvmaf, on the PATH; neither is there")
    try:
        command = [program, "-hide_banner", "-filters"]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        listed = ""
    if "libvmaf" not in listed:
        raise Unavailable("vmaf needs a program vmaf on the PATH; the ffmpeg there has no libvmaf")
    return program


def _command(program: str, pair: Sequence[Path], log: Path) -> list[str]:
    """The command line that measures a (reference, target) pair of files and writes JSON."""
    reference, target = pair
    if Path(program).stem == "vmaf":
        return [program, "-r", str(reference), "-d", str(target), "--json", "-o", str(log)]
    graph = f"[0:v][1:v]libvmaf=log_fmt=json:log_path={log}"
    files = ["-i", str(target), "-i", str(reference)]
    return [program, "-hide_banner", "-nostdin", "-loglevel", "error", *files, "-lavfi", graph, "-f", "null", "-"]
