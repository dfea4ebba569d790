"""Files that are wrong on purpose, with checksums that are right."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
from pathlib import Path

import pytest
from damage import rewritten

from nerv_codec import VideoDecoder
from nerv_codec.base.byte_io import ByteWriter
from nerv_codec.base.errors import BitstreamError
from nerv_codec.bitstream.container import SECTION_GOP, ContainerReader, pack_section, write_prologue
from nerv_codec.bitstream.headers import GopEntry, write_header
from nerv_codec.cli.main import main

LIMIT_BYTES = 6 << 30
"""How much address space a decoder gets; torch alone maps some gigabytes."""


def with_payload(source: Path, payload: bytes) -> bytes:
    """A file of one GOP with that payload."""
    header = ContainerReader(io.BytesIO(source.read_bytes())).header
    section = pack_section(SECTION_GOP, payload)
    gops = (GopEntry(9, False, len(section)),)
    return write_prologue(dataclasses.replace(header, pts=tuple(range(9)), gops=gops, other_bytes=0)) + section


def network(width: int, layers: int, words: int = 0) -> bytes:
    """A GOP payload that claims a network and describes almost nothing."""
    out = ByteWriter()
    out.varint(width)
    out.u8(layers)
    out.u32(0)
    for _ in range(2 * layers + 4):
        out.i8(0)
        out.u8(0)
    out.varint(0)
    out.raw(bytes(4 * words))
    return out.getvalue()


def read_all(data: bytes) -> None:
    with VideoDecoder(io.BytesIO(data), device="cpu") as video:
        for index in range(len(video.header.gops)):
            video.loader.unpack(index)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        network(0, 2),
        network(1025, 2),
        network(1 << 40, 2),
        network(16, 0),
        network(16, 17),
        network(1024, 1),
        network(16, 2, words=100),
        network(16, 2)[:-4],
        b"\x10\x02" + bytes(4) + b"\x09\x00" * 8 + b"\0",  # a step of 2**9
        b"\x10\x02" + bytes(4) + b"\x00\x30" * 8 + b"\0",  # table 48
        b"\x10\x02" + bytes(4) + b"\x00\x00" * 8 + b"\xff" * 8 + b"\x01",  # 2**63 escapes
    ],
    ids=lambda payload: payload[:12].hex(),
)
def test_payloads_that_break_a_rule(tiny_nvc, payload):
    with pytest.raises(BitstreamError, match="GOP 0"):
        read_all(with_payload(tiny_nvc, payload))


@pytest.mark.parametrize("verb", ["info", "decode", "bench"])
@pytest.mark.parametrize("fields", [{"model_id": 2, "rest": b"networks"}, {"model_id": 99}])
def test_unknown_representation(tiny_nvc, tmp_path, capsys, verb, fields):
    """2 is that of an earlier one, whose headers ended with networks."""
    path = tmp_path / "a.nvc"
    path.write_bytes(rewritten(tiny_nvc, **fields))
    with pytest.raises(SystemExit) as stopped:
        main([verb, str(path)])
    said = f"{path}: unknown representation {fields['model_id']}; known: 1 siren, 3 lossless, 4 warped"
    assert (stopped.value.code, capsys.readouterr().err) == (4, f"nerv-codec: error: {said}\n")


def test_a_warped_gop_of_absurd_size(tiny_nvc):
    """Refused for what the header says, before anything is allocated for its latents."""
    header = ContainerReader(io.BytesIO(tiny_nvc.read_bytes())).header
    huge = dataclasses.replace(header.info, width=8192, height=8192)
    first, second, *others = header.gops
    longer = dataclasses.replace(first, num_frames=9), dataclasses.replace(second, num_frames=4), *others
    with pytest.raises(BitstreamError, match="at most 536870912 pixels"):
        read_all(rewritten(tiny_nvc, model_id=4, info=huge, gops=longer))


def test_other_pictures_than_were_fitted(tiny_nvc):
    """A header that lies about the number of planes makes the weights end elsewhere."""
    info = ContainerReader(io.BytesIO(tiny_nvc.read_bytes())).header.info
    gray = dataclasses.replace(info.pixel_format, num_planes=1, chroma_row_shift=0, chroma_col_shift=0)
    with pytest.raises(BitstreamError):
        read_all(rewritten(tiny_nvc, info=dataclasses.replace(info, pixel_format=gray)))


@pytest.mark.parametrize("other_bytes", [0, 1, 1 << 62])
def test_a_header_that_lies_about_what_follows_the_gops(tiny_nvc, other_bytes):
    with pytest.raises(BitstreamError, match=r"more than its header says|truncated|at most 1 bytes"):
        read_all(rewritten(tiny_nvc, other_bytes=other_bytes))


def huge_header(source: Path) -> bytes:
    """Four million frames in a thousand-byte header, and no GOP behind it."""
    header = ContainerReader(io.BytesIO(source.read_bytes())).header
    gops = (GopEntry(1025, False, 1 << 28),) * 4092
    frames = range(1025 * len(gops))
    return write_prologue(dataclasses.replace(header, pts=frames, gops=gops))


def many_gops(source: Path) -> bytes:
    """A million GOPs, each of one frame."""
    header = ContainerReader(io.BytesIO(source.read_bytes())).header
    small = write_header(dataclasses.replace(header, pts=(0,), gops=(GopEntry(1, False, 6),), other_bytes=0))
    out = ByteWriter()
    out.raw(small[:-5])
    out.varint(1)
    out.varint(1)
    out.varint((1 << 20) - 1)
    out.varint(1 << 20)
    out.raw(b"\x02\x06" * (1 << 20))
    out.varint(0)
    return write_prologue(header)[:5] + pack_section(1, out.getvalue())


@pytest.mark.parametrize("make", [huge_header, many_gops, lambda source: with_payload(source, network(1024, 16))])
def test_absurd_sizes_fail_fast_in_bounded_memory(tiny_nvc, tmp_path, make):
    path = tmp_path / "hostile.nvc"
    path.write_bytes(make(tiny_nvc))
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2);"
        "from nerv_codec.cli.main import main;"
        "import resource as r; base = r.getrusage(r.RUSAGE_SELF).ru_maxrss;"
        "import atexit; atexit.register(lambda: print(r.getrusage(r.RUSAGE_SELF).ru_maxrss - base));"
        "main(sys.argv[2:])"
    )
    command = [sys.executable, "-c", limited, str(LIMIT_BYTES), "decode", str(path), str(tmp_path / "out.md5")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4, done.stderr
    assert done.stderr.startswith("nerv-codec: error: ") and done.stderr.count("\n") == 1
    assert int(done.stdout) < 400_000  # KiB
