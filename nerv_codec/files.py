"""Outputs that appear under their name whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from nerv_codec.errors import OutputExistsError, UsageError


def check_output(target: Path, *, source: Path | None, overwrite: bool) -> None:
    """Refuses an output that would destroy something, before any work is done.

    Raises:
        OutputExistsError: ``target`` is the input, or exists and ``overwrite`` is not set.
        UsageError: Its folder does not exist, or it is a folder where a file is expected.
    """
    if source is not None and target.exists() and source.exists() and target.samefile(source):
        raise OutputExistsError(f"{target}: the output is the input")
    if target.exists() and not overwrite:
        raise OutputExistsError(f"{target}: exists already; -y overwrites it, -n skips it")
    if not target.parent.is_dir():
        raise UsageError(f"{target}: the folder {target.parent} does not exist")


@contextlib.contextmanager
def atomic_output(target: Path, *, overwrite: bool, directory: bool = False) -> Iterator[Path]:
    """A temporary path beside ``target`` that takes its name when the block ends without an error.

    After an error the temporary is removed and ``target`` is as it was. The suffix is kept, since muxers
    choose by it.

    Args:
        target: The final path.
        overwrite: Whether something that has appeared there meanwhile may be replaced.
        directory: The temporary is made as a folder; an existing ``target`` folder is replaced whole.
    """
    temporary = target.with_name(f".{target.stem}.{uuid.uuid4().hex[:12]}.tmp{target.suffix}")
    try:
        if directory:
            temporary.mkdir()
        yield temporary
        check_output(target, source=None, overwrite=overwrite)
        if directory and target.is_dir():
            shutil.rmtree(target)
        elif target.is_dir():
            raise OutputExistsError(f"{target}: is a folder")
        os.replace(temporary, target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
