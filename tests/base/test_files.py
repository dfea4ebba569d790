from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from nerv_codec.base.errors import OutputExistsError, UsageError
from nerv_codec.base.files import atomic_numbered, atomic_output, check_output, write_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_name_appears_at_the_end(tmp_path):
    target = tmp_path / "a.mp4"
    with atomic_output(target, overwrite=False) as temporary:
        temporary.write_bytes(b"new")
        assert temporary.suffix == ".mp4" and not target.exists()
    assert target.read_bytes() == b"new" and names(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_everything_as_it_was(tmp_path, error):
    target = tmp_path / "a.mp4"
    target.write_bytes(b"old")
    with pytest.raises(error), atomic_output(target, overwrite=True) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert target.read_bytes() == b"old" and names(tmp_path) == ["a.mp4"]


def test_what_appeared_meanwhile_is_not_overwritten(tmp_path):
    target = tmp_path / "a.mp4"
    with pytest.raises(OutputExistsError), atomic_output(target, overwrite=False) as temporary:
        temporary.write_bytes(b"mine")
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs" and names(tmp_path) == ["a.mp4"]


def test_a_folder_is_replaced_whole(tmp_path):
    target = tmp_path / "frames.png"
    for content in (("000000.png", "000001.png"), ("000000.png",)):
        with atomic_output(target, overwrite=True, directory=True) as temporary:
            for name in content:
                (temporary / name).write_bytes(b"x")
        assert names(target) == sorted(content)
    with pytest.raises(ValueError, match="late"), atomic_output(target, overwrite=True, directory=True) as temporary:
        raise ValueError("late")
    assert names(target) == ["000000.png"] and names(tmp_path) == ["frames.png"]


def test_a_folder_with_anything_else_is_never_replaced(tmp_path):
    target = tmp_path / "pictures"
    target.mkdir()
    (target / "holiday.png").write_bytes(b"x")
    with pytest.raises(OutputExistsError, match="holds more than numbered pictures"):
        check_output(target, source=None, overwrite=True, directory=True)


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real/a.nvc", tmp_path / "link.nvc"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with atomic_output(link, overwrite=True) as temporary:
        temporary.write_bytes(b"new")
    assert link.is_symlink() and target.read_bytes() == b"new" and names(tmp_path / "real") == ["a.nvc"]


def test_what_is_refused(tmp_path):
    source, link = tmp_path / "in.mp4", tmp_path / "same.mp4"
    source.write_bytes(b"x")
    os.link(source, link)
    for same in (source, link, tmp_path / "../" / tmp_path.name / "in.mp4"):
        with pytest.raises(OutputExistsError, match="the output is the input"):
            check_output(same, source=source, overwrite=True)
    with pytest.raises(OutputExistsError, match="exists already"):
        check_output(source, source=None, overwrite=False)
    with pytest.raises(UsageError, match="does not exist"):
        check_output(tmp_path / "no/such/a.mp4", source=None, overwrite=True)
    with pytest.raises(UsageError, match="found a folder"):
        check_output(tmp_path, source=None, overwrite=True)
    with pytest.raises(UsageError, match="expected a folder"):
        check_output(source, source=None, overwrite=True, directory=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="found something else"):
        check_output(tmp_path / "pipe", source=None, overwrite=True)
    check_output(source, source=tmp_path / "missing", overwrite=True)


def test_long_names_work(tmp_path):
    target = tmp_path / ("x" * 250 + ".nvc")
    with atomic_output(target, overwrite=False) as temporary:
        temporary.write_bytes(b"")
    assert target.exists()


@pytest.mark.parametrize("name", [None, "temporary"])
def test_a_full_disk_is_told_by_the_name_of_the_output(tmp_path, name):
    target = tmp_path / "clip.nvc"
    with pytest.raises(OSError, match=r"clip\.nvc") as error, atomic_output(target, overwrite=False) as temporary:
        raise OSError(errno.ENOSPC, "No space left on device", str(temporary) if name else None)
    assert error.value.filename == str(target)
    with pytest.raises(OSError) as error, atomic_output(target, overwrite=False):
        raise OSError(errno.EIO, "Input/output error")
    assert error.value.filename is None


def test_a_small_file_is_written_whole_or_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "key"
    write_atomically(path, b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="key"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and names(tmp_path) == ["key"]


@pytest.mark.parametrize("stem", ["\N{GRINNING FACE}" * 55, "a" * 245, os.fsdecode(b"\xff" * 245)])
@pytest.mark.parametrize("suffix", [".nvc", "." + "b" * 8])
def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path, stem, suffix):
    target = tmp_path / (stem + suffix)
    with atomic_output(target, overwrite=False) as temporary:
        str(temporary).encode()  # some libraries take no other names
        temporary.write_bytes(b"x")
    assert target.read_bytes() == b"x" and len(names(tmp_path)) == 1


def test_an_error_names_the_output_and_not_the_temporary(tmp_path):
    with pytest.raises(PermissionError) as caught, atomic_output(tmp_path / "a.nvc", overwrite=False) as temporary:
        raise PermissionError(errno.EACCES, "Permission denied", str(temporary / "000000.png"))
    assert caught.value.filename == str(tmp_path / "a.nvc")


def test_a_folder_that_cannot_be_written_to_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))  # root may write anywhere
    with pytest.raises(UsageError, match="cannot be written to"):
        check_output(tmp_path / "a.nvc", source=None, overwrite=False)


def test_numbered_files_of_a_killed_process_are_cleared_away(tmp_path):
    pattern = tmp_path / "zoom_%04d.png"
    code = (
        "import os, signal, sys; from pathlib import Path; from nerv_codec.base.files import atomic_numbered\n"
        f"with atomic_numbered(Path({str(pattern)!r}), overwrite=False) as names:\n"
        "    names.with_name('zoom_0000.png').write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with atomic_numbered(pattern, overwrite=False) as names:
        names.with_name("zoom_0000.png").write_bytes(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["zoom_0000.png"]
