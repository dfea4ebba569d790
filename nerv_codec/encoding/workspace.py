"""A folder beside an output that keeps finished work across a crash, and one process at a time in it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nerv_codec.base.errors import OutputExistsError, VerificationError
from nerv_codec.base.files import write_atomically
from nerv_codec.media.sequence import source_files

try:
    import fcntl
except ImportError:  # no locks: two encodes to one output must then be kept apart by hand
    fcntl = None  # type: ignore[assignment]

_PACKAGE = Path(__file__).parents[1]
_ENDS_BYTES = 1 << 20
_NAME_BYTES = 240
"""Longest name of an output that leaves room for what is put around it: file systems take 255 bytes."""


class Workspace:
    """Finished GOPs, and the place for a checkpoint of the one that is being fitted.

    Attributes:
        folder: ``.NAME.work`` beside the output.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def checkpoint_path(self, gop: int) -> Path:
        """Where the state of a GOP's fit is kept."""
        return self.folder / f"gop-{gop:06}.safetensors"

    def save_gop(self, gop: int, facts: dict[str, Any], payload: bytes) -> None:
        """Keeps a finished GOP; its checkpoint goes. Raises OSError."""
        head = json.dumps(facts | {"crc32": zlib.crc32(payload)}).encode()
        write_atomically(self._gop_path(gop), head + b"\n" + payload)
        self.checkpoint_path(gop).unlink(missing_ok=True)

    def load_gop(self, gop: int) -> tuple[dict[str, Any], bytes] | None:
        """A finished GOP, or None where there is none, or a damaged one."""
        try:
            head, _, payload = self._gop_path(gop).read_bytes().partition(b"\n")
            facts: dict[str, Any] = json.loads(head)
            return (facts, payload) if facts.pop("crc32") == zlib.crc32(payload) else None
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def _gop_path(self, gop: int) -> Path:
        return self.folder / f"gop-{gop:06}.done"


@contextmanager
def open_workspace(target: Path, key: str | None) -> Iterator[Workspace | None]:
    """The workspace of an output; what is in it was made for the same ``key``, else it is emptied first.

    The folder goes when the block ends without an error: the work is done. Else it stays for the next run.

    Args:
        target: The output.
        key: Of everything that determines the result; see :func:`source_digest`. None keeps nothing.

    Yields:
        None where no folder can be made, or no lock taken on this file system.

    Raises:
        OutputExistsError: Another living process works on the same output.
    """
    if key is None:
        yield None
        return
    real = Path(os.path.realpath(target))
    name = real.name if len(os.fsencode(real.name)) <= _NAME_BYTES else f"{zlib.crc32(os.fsencode(real.name)):08x}"
    folder = real.with_name(f".{name}.work")
    try:
        folder.mkdir(exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:
        yield None
        return
    if fcntl is not None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise OutputExistsError(f"{target}: another process is encoding to it") from None
        except OSError:
            os.close(lock)
            yield None
            return
    try:
        key_path = folder / "key"
        if not (key_path.is_file() and key_path.read_text() == key):
            for stale in folder.iterdir():
                if stale.name != "lock":
                    stale.unlink()
            write_atomically(key_path, key.encode())
        yield Workspace(folder)
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException as error:
        with suppress(OSError):
            nothing_came_about = {path.name for path in folder.iterdir()} <= {"lock", "key"}
            if nothing_came_about or isinstance(error, VerificationError):
                shutil.rmtree(folder)
        raise
    finally:
        os.close(lock)


def source_digest(path: Path) -> str:
    """Tells one input from another without reading all of it: size, time of change, first and last MiB of each file."""
    digest = hashlib.sha256()
    for part in source_files(path):
        status = part.stat()
        digest.update(f"{status.st_size} {status.st_mtime_ns}".encode())
        with part.open("rb") as file:
            digest.update(file.read(_ENDS_BYTES))
            file.seek(max(0, status.st_size - _ENDS_BYTES))
            digest.update(file.read(_ENDS_BYTES))
    return digest.hexdigest()


def program_digest(folder: Path = _PACKAGE) -> str:
    """Tells one state of this program, networks included, from another: its version stays the same between releases."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size} ".encode() + path.read_bytes())
    return digest.hexdigest()
