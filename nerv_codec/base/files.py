"""Outputs that appear under their name whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import platform
import re
import shutil
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path

from nerv_codec.base.errors import InputError, OutputExistsError, UsageError
from nerv_codec.base.numbering import numbered_files

_NO_ROOM = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_STEM_BYTES = 64
"""What is kept of a name in that of its temporaries: a file system takes 255 bytes, of which some names use all."""


def check_input(source: Path) -> None:
    """Raises InputError where there is no such file; names that are no paths, as URLs and patterns, pass."""
    try:
        there = source.exists()
    except OSError as error:  # as a name that is too long
        raise InputError(f"{source}: {error.strerror}") from error
    if not there and not re.search(r"[:%*]", str(source)):
        raise InputError(f"{source}: no such file")


def check_output(target: Path, *, source: Path | None, overwrite: bool, directory: bool = False) -> None:
    """Refuses an output that would destroy something, before any work is done.

    Args:
        target: What will be written.
        source: What it is made from, if that is a file.
        overwrite: Whether an existing target may be replaced.
        directory: The target is a folder of numbered pictures. One that holds anything else is never replaced.

    Raises:
        OutputExistsError: ``target`` is the input, or exists and may not be replaced.
        UsageError: Its folder does not exist, or what is there already is of another kind.
    """
    target = Path(os.path.realpath(target))
    if source is not None and target.exists() and source.exists() and target.samefile(source):
        raise OutputExistsError(f"{target}: the output is the input")
    if target.is_dir() and not directory:
        raise UsageError(f"{target}: expected a file to write to, found a folder")
    if target.exists() and not (target.is_dir() if directory else target.is_file()):
        raise UsageError(f"{target}: expected a {'folder' if directory else 'file'} to write to, found something else")
    if target.exists() and not overwrite:
        raise OutputExistsError(f"{target}: exists already; -y overwrites it, -n skips it")
    if directory and target.exists() and not all(re.fullmatch(r"\d+\.png", part.name) for part in target.iterdir()):
        raise OutputExistsError(f"{target}: holds more than numbered pictures, and is not replaced")
    if not target.parent.is_dir():
        raise UsageError(f"{target}: the folder {target.parent} does not exist")
    if not os.access(target.parent, os.W_OK):
        raise UsageError(f"{target}: the folder {target.parent} cannot be written to")


def check_numbered(pattern: Path, *, overwrite: bool) -> None:
    """The same for numbered files: refuses a pattern whose names are taken. Raises OutputExistsError, UsageError."""
    for path in sorted(numbered_files(pattern)):
        check_output(path, source=None, overwrite=overwrite)
    check_output(pattern, source=None, overwrite=overwrite)


def remove_stale(target: Path) -> None:
    """Removes temporaries of ``target`` that processes of this machine left when they were killed."""
    pattern = re.compile(
        rf"\.{re.escape(_short(target.stem))}\.(\w+)-(\d+)-[0-9a-f]{{12}}\.(tmp|old)({re.escape(_short(target.suffix))})?"
    )
    with contextlib.suppress(OSError):
        for path in target.parent.iterdir():
            found = pattern.fullmatch(path.name)
            if found and found[1] == _machine() and not _is_alive(int(found[2])):
                _remove(path)


def _short(name: str) -> str:
    """The beginning of a name, of whole letters; bytes that are no text are left out."""
    return name.encode("utf-8", "ignore")[:_STEM_BYTES].decode("utf-8", "ignore")


def _process() -> str:
    return f"{_machine()}-{os.getpid()}"


@functools.cache
def _machine() -> str:
    """Tells machines, their boots and their containers apart, in each of which process numbers begin anew."""
    facts = [platform.node()]
    with contextlib.suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        facts.append(os.readlink("/proc/self/ns/pid"))
    return f"{zlib.crc32(''.join(facts).encode()):08x}"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_output(target: Path, *, overwrite: bool, directory: bool = False) -> Iterator[Path]:
    """A temporary path beside ``target`` that takes its name when the block ends without an error.

    After an error the temporary is removed and ``target`` is as it was. The suffix is kept, since muxers
    choose by it. A link is followed: what it points to is replaced.

    Args:
        target: The final path.
        overwrite: Whether something that has appeared there meanwhile may be replaced.
        directory: The temporary is made as a folder; an existing ``target`` folder is replaced whole.
    """
    target = Path(os.path.realpath(target))
    remove_stale(target)
    temporary, old = _beside(target, "tmp", _short(target.suffix)), _beside(target, "old")
    try:
        if directory:
            temporary.mkdir()
        yield temporary
        check_output(target, source=None, overwrite=overwrite, directory=directory)
        if target.is_dir():
            os.replace(target, old)
        os.replace(temporary, target)
    except OSError as error:
        if error.errno not in _NO_ROOM and not str(error.filename or "").startswith(str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error  # instead of a temporary, or no name
    finally:
        for left in (temporary, old):
            _remove(left)


@contextlib.contextmanager
def atomic_numbered(pattern: Path, *, overwrite: bool) -> Iterator[Path]:
    """The same for numbered files: the pattern in a temporary folder, from which they move when the block ends.

    Those of other numbers stay where they are.
    """
    remove_stale(pattern)
    temporary = _beside(pattern, "tmp")
    try:
        temporary.mkdir()
        yield temporary / pattern.name
        check_numbered(pattern, overwrite=overwrite)
        for path in sorted(temporary.iterdir()):
            os.replace(path, pattern.with_name(path.name))
    finally:
        _remove(temporary)


def _beside(target: Path, kind: str, suffix: str = "") -> Path:
    """A name for a temporary of ``target``, which :func:`remove_stale` knows."""
    return target.with_name(f".{_short(target.stem)}.{_process()}-{uuid.uuid4().hex[:12]}.{kind}{suffix}")


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a small file that is there whole, or as it was before, even after a power cut. Raises OSError."""
    with atomic_output(path, overwrite=True) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
