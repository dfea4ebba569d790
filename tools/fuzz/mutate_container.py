"""Damages a ``.nvc`` in random ways: ``python tools/fuzz/mutate_container.py FILE.nvc [COUNT]``.

Each time the damaged file must be refused with a BitstreamError, or decode to the integers of the undamaged one.
Half of the damage is repaired afterwards as far as checksums go, so that the parsers behind them are met.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import time
import zlib
from collections import Counter
from pathlib import Path

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.base.errors import BitstreamError
from nerv_codec.bitstream.headers import write_header
from nerv_codec.decoding.video_decoder import VideoDecoder

_FIRST_SECTION = 5


def content(data: bytes) -> tuple[bytes, list[int]]:
    """The header, and the digest of every GOP's integers. Raises BitstreamError."""
    with VideoDecoder(io.BytesIO(data), device="cpu") as video:
        return write_header(video.header), [video.loader.unpack(index)[1] for index in range(len(video.header.gops))]


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The file cut off, or with some bits flipped, bytes changed, lost or doubled."""
    kind = rng.randrange(5)
    at = rng.randrange(len(data))
    if kind == 0:
        return data[:at]
    broken = bytearray(data)
    if kind == 1:
        for _ in range(rng.choice((1, 1, 1, 2, 8))):
            broken[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        broken[at] = rng.choice((0, 0x7F, 0x80, 0xFF))
    elif kind == 3:
        del broken[at : at + rng.randrange(1, 9)]
    else:
        broken[at:at] = broken[at : at + rng.randrange(1, 9)]
    return bytes(broken)


def with_damaged_payload(data: bytes, rng: random.Random) -> bytes:
    """The file with damage inside of one section, whose length and checksum are right again."""
    sections, reader = [], ByteReader(data)
    reader.raw(_FIRST_SECTION)
    while reader.position < len(data):
        sections.append((reader.u8(), reader.raw(reader.varint())))
        reader.u32()
    chosen = rng.randrange(len(sections))
    out = ByteWriter()
    out.raw(data[:_FIRST_SECTION])
    for index, (kind, payload) in enumerate(sections):
        section = ByteWriter()
        section.u8(kind)
        body = damaged(payload, rng) if index == chosen and payload else payload
        section.varint(len(body))
        section.raw(body)
        out.raw(section.getvalue())
        out.u32(zlib.crc32(section.getvalue()))
    return out.getvalue()


def fuzz(data: bytes, count: int, seed: int = 0) -> Counter[str]:
    """Damages ``data`` ``count`` times.

    Returns:
        How many damaged files were ``refused``, and how many gave the ``same content``.

    Raises:
        AssertionError: A damaged file decoded to something else without a complaint, or not in time.
        Exception: Anything but BitstreamError that decoding raised.
    """
    expected, outcomes = content(data), Counter[str]()
    for number in range(count):
        rng = random.Random(seed + number)
        make, repaired = (damaged, False) if number % 2 else (with_damaged_payload, True)
        broken = make(data, rng)
        began = time.monotonic()
        try:
            found = content(broken)
        except BitstreamError:
            outcomes["refused"] += 1
        else:
            # A header that was changed and given a right checksum is another file, not a damaged one.
            assert found == expected or repaired, f"damage {seed + number} went unnoticed"
            outcomes["same content" if found == expected else "another valid file"] += 1
        assert time.monotonic() - began < 20, f"damage {seed + number} took too long"
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("count", type=int, nargs="?", default=10000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    outcomes = fuzz(options.file.read_bytes(), options.count, options.seed)
    told = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    print(f"{options.count} damaged files: {told}; {time.monotonic() - began:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
