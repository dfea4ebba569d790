"""The functions of a ``.nvc``, GOP by GOP: the file, a cache, what is unpacked ahead, and what to do about damage."""

from __future__ import annotations

import io
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from nerv_codec.base.background import read_ahead
from nerv_codec.base.errors import BitstreamError, InputError, UsageError
from nerv_codec.bitstream.container import ContainerReader
from nerv_codec.decoding.metadata import own_frames, stored_geometry
from nerv_codec.decoding.timeline import Timeline
from nerv_codec.representations.registry import model_name, open_gop
from nerv_codec.representations.representation import Opened, Representation

if TYPE_CHECKING:
    import torch

_CACHED_GOPS = 2
Loaded = Opened | BitstreamError


class PositionedFile(io.RawIOBase):
    """A file that is read at positions of its own: processes that were forked do not move each other's.

    Args:
        path: The file.

    Raises:
        InputError: It cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self._position = 0
        try:
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file") from error
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error

    def close(self) -> None:
        """Closes the file."""
        if not self.closed:
            self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a position, from the beginning, from here, or from the end; returns it."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: os.fstat(self._file.fileno()).st_size}
        self._position = start[whence] + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """The next ``size`` bytes, fewer only at the end of the file; all that are left if it is negative."""
        if size < 0:
            return self.readall()
        parts: list[bytes] = []
        while size:
            part = _read_at(self._file.fileno(), size, self._position)
            if not part:
                break
            parts.append(part)
            self._position += len(part)
            size -= len(part)
        return b"".join(parts)


def _read_at(descriptor: int, size: int, position: int) -> bytes:
    """Reads without regard to where the descriptor stands; Windows, which cannot, has no forked processes either."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, position)
    os.lseek(descriptor, position, os.SEEK_SET)
    return os.read(descriptor, size)


@contextmanager
def open_container(source: str | Path | BinaryIO, *, keep_going: bool = False) -> Iterator[ContainerReader]:
    """The sections of a file for as long as the block lasts; a binary file that was given stays open.

    Args:
        source: A path, or a seekable binary file.
        keep_going: Take a file that is cut off or damaged behind its header.

    Raises:
        UsageError: It is neither.
        InputError: The file cannot be opened. BitstreamError: It is damaged, truncated or no ``.nvc``, or of an
            unknown representation (UnsupportedVersionError).
    """
    if not isinstance(source, str | Path):
        if not hasattr(source, "seek"):
            found = type(source).__name__
            raise UsageError(f"expected a path or a seekable file, found {found}; io.BytesIO makes one of bytes")
        yield _open_sections(source, keep_going)
        return
    with PositionedFile(source) as file:
        try:
            container = _open_sections(cast(BinaryIO, file), keep_going)
        except BitstreamError as error:
            raise type(error)(f"{source}: {error}") from error
        yield container


def _open_sections(file: BinaryIO, keep_going: bool) -> ContainerReader:
    container = ContainerReader(file, keep_going=keep_going)
    name, rest = model_name(container.header.model_id), container.header.rest
    if rest:
        raise BitstreamError(f"the header of a {name} file has {len(rest)} bytes too many")
    return container


class GopLoader:
    """The functions of a file's GOPs on one device.

    Args:
        container: The file's sections.
        device: Where functions are evaluated.
        keep_going: Put up with damaged GOPs: see :meth:`place`.
    """

    def __init__(self, container: ContainerReader, device: torch.device, keep_going: bool = False) -> None:
        self.container, self.header = container, container.header
        self.device = device
        self.timeline = Timeline(self.header)
        self._keep_going = keep_going
        self._opened: OrderedDict[int, Opened] = OrderedDict()
        self._process, self._lock = os.getpid(), threading.RLock()
        self._ahead: Iterator[tuple[int, Loaded]] = iter(())
        self._damaged: dict[int, str] = {}

    @contextmanager
    def gop(self, index: int) -> Iterator[Representation]:
        """The function of one GOP, to be evaluated within the block; the last few are kept.

        Raises BitstreamError, also where the block comes upon damage; then, as after any error, the GOP is read anew.
        """
        if self._process != os.getpid():  # a fork has what was decoded, but not the threads that were at it
            self._opened.clear()
            self._process, self._lock = os.getpid(), threading.RLock()
            _alone()
        with self._lock:
            opened = self._opened.pop(index, None) or self._opened_ahead(index) or self._load(index)
            if isinstance(opened, BitstreamError):
                raise opened
            self._opened[index] = opened
            while len(self._opened) > _CACHED_GOPS:
                self._opened.popitem(last=False)
        try:
            with _named(index):
                yield opened.function
        except BaseException:
            with self._lock:
                self._opened.pop(index, None)
            raise

    @contextmanager
    def in_order(self, gops: Iterable[int]) -> Iterator[None]:
        """Within the block a thread decodes GOPs ahead of their use.

        Args:
            gops: Those that will be asked for, in ascending order; iterated over in that thread.
        """
        left = threading.Event()

        def loaded() -> Iterator[tuple[int, Loaded]]:
            for index in gops:
                found = self._load(index)
                yield index, found
                if isinstance(found, Opened):
                    with suppress(BitstreamError):  # told to whoever asks for what is missing
                        found.rest(left.is_set)

        with read_ahead(loaded()) as ahead:
            self._ahead = ahead
            try:
                yield
            finally:
                left.set()
                self._ahead = iter(())

    def unpack(self, index: int, device: torch.device | None = None) -> tuple[Representation, int, dict[str, int]]:
        """One GOP from its bytes, decoded whole: the function, the digest of its integers, its bytes by part.

        Args:
            index: The GOP.
            device: Where the function is to be evaluated; None is the CPU.

        Raises:
            BitstreamError: It is damaged.
        """
        with _named(index):
            found = self._open(index, device)
            found.rest()
        return found.function, found.digest, found.part_bytes

    def _open(self, index: int, device: torch.device | None) -> Opened:
        payload, geometry = self.container.read_gop(index), stored_geometry(self.header, index)
        return open_gop(self.header.model_id, payload, geometry, device)

    @property
    def damage(self) -> list[str]:
        """What ``keep_going`` has met with so far, one plain sentence each."""
        found = list(self.container.damage)
        for index in sorted(self._damaged):
            first, last = own_frames(self.header, index)
            found.append(f"frames {first}..{last} are filled with the nearest good one: {self._damaged[index]}")
        return found

    def place(self, position: Fraction) -> tuple[int, float]:
        """The GOP that shows a frame number, and the frames since its first.

        As the timeline has it; with ``keep_going``, the nearest intact place where that GOP is damaged.
        """
        gop, t = self.timeline.locate(position)
        if not self._keep_going or self._is_intact(gop):
            return gop, t
        header = self.header
        after = gop + 1
        if after < len(header.gops) and position == header.first_frames[after] and self._is_intact(after):
            return after, 0.0  # the frame that both of them hold
        before = next((other for other in range(gop - 1, -1, -1) if self._is_intact(other)), None)
        if before is not None:
            return before, float(header.gops[before].num_frames - 1)
        later = next((other for other in range(after, len(header.gops)) if self._is_intact(other)), None)
        if later is None:
            raise BitstreamError(f"no GOP is intact; the first one: {self._damaged[0]}")
        return later, 0.0

    def _is_intact(self, index: int) -> bool:
        if index in self._damaged:
            return False
        try:
            with self.gop(index):
                return True
        except BitstreamError as error:
            self._damaged[index] = str(error)
            return False

    def _load(self, index: int) -> Loaded:
        """The GOP, or why there is none: damage is told where the GOP is used, not where it is read ahead.

        Who puts up with damage has to know of it before a frame is shown.
        """
        try:
            with _named(index):
                found = self._open(index, self.device)
                if self._keep_going:
                    found.rest()
                return found
        except BitstreamError as error:
            return error

    def _opened_ahead(self, index: int) -> Loaded | None:
        """What has been opened ahead, if it is this GOP; others before it are dropped."""
        for number, loaded in self._ahead:
            if number == index:
                return loaded
            if number > index:
                self._ahead = chain([(number, loaded)], self._ahead)
                break
        return None


def _alone() -> None:
    """Lets operators do without the threads that torch had before a fork: they would wait for these."""
    import torch  # not for those who only look at a file

    torch.set_num_threads(1)


@contextmanager
def _named(index: int) -> Iterator[None]:
    """Puts the GOP's number before what is said of its damage, if it is not there."""
    try:
        yield
    except BitstreamError as error:
        name = f"GOP {index}: "
        raise type(error)(name + str(error).removeprefix(name)) from error
