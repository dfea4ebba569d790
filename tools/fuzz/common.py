"""What the fuzz targets share: limits on memory and time, and seeds that already are valid files.

Run one as ``python tools/fuzz/fuzz_container.py CORPUS_DIR [libFuzzer options]``; needs ``pip install atheris``.
A target ends with a report at the first exception that is no ``NervCodecError``, the first input of 64 KiB that
takes over two seconds of a processor, or when memory passes the limit. The folder may be empty: it is seeded.
atheris itself grows with each input, by some 250 bytes and by over 1 kB where threads are started: run a million
containers or 300,000 payloads at a time (``-runs=300000``), then start anew.
Checksums and digests would keep a fuzzer out, so they always match here. Compiled kernels check every index.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from unittest import mock

# Before numba is imported: what was compiled without the checks may not be taken from its cache.
os.environ["NUMBA_BOUNDSCHECK"] = "1"
os.environ["NUMBA_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / "nerv-codec-fuzz-kernels")

KERNELS = [
    "nerv_codec.entropy.fours",
    "nerv_codec.entropy.range_kernel",
    *(f"nerv_codec.representations.lossless.{name}_kernel" for name in ("bit", "motion", "network", "plane", "value")),
    "nerv_codec.representations.lossless.least_squares",
    *(f"nerv_codec.representations.shared.{name}_kernel" for name in ("band", "convolution", "lifting", "network")),
    "nerv_codec.representations.shared.low_pass",
    *(
        f"nerv_codec.representations.warped.{name}_kernel"
        for name in ("bilateral", "compensate", "decision", "interpolate", "motion", "quarter", "screen", "search")
    ),
]
"""Not instrumented: numba compiles them. The package's other modules guide the fuzzer."""
MAX_INPUT_BYTES = 1 << 16
MEMORY_MIB = 2048
SECONDS_PER_INPUT = 2
_HANG_SECONDS = 60
"""By the clock on the wall, which runs on while others have the processor."""


class _AnyChecksum(int):
    """Equals every number."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


def run(target: Callable[[bytes], None], seeds: Iterable[bytes]) -> None:
    """Fuzzes ``target`` with the folder named on the command line as corpus, until it is stopped."""
    import atheris
    import torch

    torch.set_num_threads(1)
    corpus = Path(sys.argv[1]) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else None
    if corpus is not None:
        corpus.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(seeds):
        target(seed)  # compiles the kernels, which takes longer than an input may
        if corpus is not None:
            (corpus / f"seed-{index}").write_bytes(seed)
    address_space = 8 << 30  # torch maps gigabytes that it never touches; the resident limit is the strict one
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    limits = [f"-max_len={MAX_INPUT_BYTES}", f"-timeout={_HANG_SECONDS}", f"-rss_limit_mb={MEMORY_MIB}"]
    if corpus is not None:
        limits.append(f"-artifact_prefix={corpus}/")

    def timed(data: bytes) -> None:
        began = time.process_time()
        target(data)
        spent = time.process_time() - began
        if spent > SECONDS_PER_INPUT:
            raise TimeoutError(f"{spent:.1f} s for {len(data)} bytes")

    atheris.Setup([sys.argv[0], *limits, *sys.argv[1:]], timed)
    with mock.patch.object(zlib, "crc32", lambda *_: _AnyChecksum(0)):
        atheris.Fuzz()
