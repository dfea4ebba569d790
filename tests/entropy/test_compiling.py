"""The first call on a machine says that kernels are compiled, and how far; the second has nothing to say."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from nerv_codec.entropy.compiling import njit

_CODE = """
import json
import numpy as np
from nerv_codec.base.compiling import compiling_told
from nerv_codec.entropy import range_kernel

told = []
with compiling_told(told.append):
    range_kernel.begin(np.zeros(2, np.uint32))
print(json.dumps([event.stage for event in told]))
"""


def stages(folder, before: str = "") -> list[str]:
    """What is told about kernels while one of them is called in a process that keeps its cache in ``folder``."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", before + _CODE], capture_output=True, text=True, check=True, env=environment
    )
    return json.loads(done.stdout)


def test_the_first_call_tells_and_the_second_does_not(tmp_path):
    first = stages(tmp_path)
    assert first[0].startswith("compiling for this machine, once: kernel 1 of at most ")
    assert all(stage.startswith("compiling for this machine, once: ") for stage in first)
    assert stages(tmp_path) == []


def test_a_kernel_that_returns_arrays_must_count_them():
    """One that does not would leave an array to be freed while somebody reads it."""

    def row(x):
        return 0, x[1]

    x = np.arange(6).reshape(2, 3)
    assert njit(allocates=True)(row)(x)[1].tolist() == [3, 4, 5]
    with pytest.raises(TypeError, match="row returns an array, which nobody counts"):
        njit()(row)(x)


NOWHERE = "from numba.core import caching\ncaching.CacheImpl._locator_classes = []\n"
FULL = """
from numba.core import caching
def save(*_):
    raise OSError(28, "No space left on device")
caching.IndexDataCacheFile.save = save
"""


@pytest.mark.parametrize(
    ("before", "told"), [(NOWHERE, "compiling, and again next time: "), (FULL, "compiling for this machine, once: ")]
)
def test_kernels_are_compiled_where_no_cache_can_be_written(tmp_path, before, told):
    """A read-only installation and a user without a home; a disk that is full."""
    first = stages(tmp_path, before)
    assert first and all(stage.startswith(told) for stage in first)
    assert len(stages(tmp_path, before)) == len(first)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["json", "plain", "none"])
def test_a_whole_decode_with_an_empty_cache(tmp_path, kind):
    from places import SAMPLES

    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [
        sys.executable,
        "-m",
        "nerv_codec",
        "decode",
        str(SAMPLES / "golden_warped.nvc"),
        str(tmp_path / "a.y4m"),
    ]
    done = subprocess.run([*command, "--progress", kind], capture_output=True, text=True, check=True, env=environment)
    if kind == "json":
        events = [json.loads(line) for line in done.stdout.splitlines()]
        kernels = [event for event in events if "kernel" in event["stage"]]
        assert kernels[0]["type"] == "compile" and len(kernels) > 10
        assert all(event["stage"].startswith("compiling for this machine, once: ") for event in kernels)
        assert [event["fraction"] for event in events] == sorted(event["fraction"] for event in events)
    else:
        assert ("compiling for this machine, once: kernel 1 of" in done.stderr) == (kind == "plain")
