"""Fits on a Ray cluster: the same bytes, also when processes, machines and the encode itself are lost."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nerv_codec.base.errors import NervCodecError, UsageError
from nerv_codec.encoding.encode import encode

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'nerv-codec[ray]'")
from ray import exceptions  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

from nerv_codec.encoding.engines import ray as engine  # noqa: E402

_STORE_BYTES = 80 << 20


@pytest.fixture(scope="module")
def cluster():
    """Three nodes on this machine: one for the encode, and two that fit a GOP each."""
    nodes = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": _STORE_BYTES, "include_dashboard": False},
    )
    for _ in range(2):
        nodes.add_node(num_cpus=1, object_store_memory=_STORE_BYTES)
    ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture(scope="module")
def config(tiny_config):
    return dataclasses.replace(tiny_config, siren=dataclasses.replace(tiny_config.siren, steps=600, batch=300))


@pytest.fixture(scope="module")
def alone(tiny_clip, tmp_path_factory, config) -> bytes:
    target = tmp_path_factory.mktemp("alone") / "a.nvc"
    encode(tiny_clip, target, config=config, tool_section=False)
    return target.read_bytes()


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def fitting() -> list[int]:
    """The processes on this test's nodes that are in a fit: children of a node, which is a child of this process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"_remote_fit" in (folder / "cmdline").read_bytes() and parent(parent(int(folder.name))) == os.getpid():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def node_of(cluster, process: int):
    """The simulated node that a process belongs to."""
    raylet = parent(process)
    return next(n for n in cluster.list_all_nodes() if n.all_processes["raylet"][0].process.pid == raylet)


def test_what_is_lost_is_tried_again_and_the_bytes_are_the_same(
    cluster, tiny_clip, tmp_path, config, alone, monkeypatch
):
    notes, places, killed, sent = [], [], [], []
    put = ray.put
    monkeypatch.setattr(ray, "put", lambda job: sent.append(job.index) or put(job))

    def disturb(event):
        if event.type == "note":
            notes.append(event.stage)
        places.extend(event.detail.get("places", {}).values())
        if event.type == "progress" and not killed and (found := fitting()):
            killed.extend(found[:1])
            os.kill(found[0], signal.SIGKILL)
        elif event.type == "progress" and len(killed) == 1 and notes and (found := fitting()):
            killed.append("node")
            cluster.remove_node(node_of(cluster, found[-1]), allow_graceful=False)
            cluster.add_node(num_cpus=1, object_store_memory=_STORE_BYTES)

    encode(tiny_clip, tmp_path / "a.nvc", config=config, engine="ray", tool_section=False, progress=disturb)
    assert (tmp_path / "a.nvc").read_bytes() == alone
    assert len(killed) == 2 and len(notes) >= 2 and max(places) == 2
    assert sent == [0, 1, 2]  # whatever the number of tries
    assert any("its process was lost" in note and note.endswith("try 2 of 3") for note in notes)
    assert [path.name for path in tmp_path.iterdir()] == ["a.nvc"]


@pytest.mark.slow
def test_a_killed_encode_goes_on_from_its_finished_gops(cluster, tiny_clip, tmp_path, config, alone):
    target = tmp_path / "a.nvc"
    script = (
        "import sys; from nerv_codec.encoding.encode import encode; from nerv_codec.encoding.config import *\n"
        f"encode(sys.argv[1], sys.argv[2], config={config!r}, engine='ray=' + sys.argv[3], tool_section=False,\n"
        "    progress=lambda event: print(event.type, flush=True))"
    )
    words = [sys.executable, "-c", script, str(tiny_clip), str(target), cluster.address]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as encoding:
        assert any(line == "gop-done\n" for line in encoding.stdout)
        encoding.kill()
    assert not target.exists()
    kept = len(list((tmp_path / ".a.nvc.work").glob("*.done")))
    fitted = set()

    def see(event):
        if event.type == "progress":
            fitted.update(event.stage.split()[1].split("/")[0].split("+"))

    encode(tiny_clip, target, config=config, tool_section=False, progress=see)
    assert target.read_bytes() == alone
    assert kept >= 1 and "1" not in fitted


@pytest.mark.slow
def test_three_failures_end_the_encode_and_finished_gops_are_kept(cluster, tiny_clip, tmp_path, config, monkeypatch):
    fit = engine._remote_fit._function

    @ray.remote(max_retries=0, num_returns="streaming")
    def dying(expected, sent, threads):
        if ray.get(sent[0]).index == 0:
            yield from fit(expected, sent, threads)
        elif ray.get(sent[0]).index == 1:
            raise OSError("no such luck")

    monkeypatch.setattr(engine, "_remote_fit", dying)
    notes = []
    with pytest.raises(NervCodecError, match=r"GOP 1 failed 3 times, at last so: .*no such luck") as caught:
        encode(tiny_clip, tmp_path / "a.nvc", config=config, engine="ray", jobs=1, progress=notes.append)
    assert "\n" not in str(caught.value) and not (tmp_path / "a.nvc").exists()
    assert [note.stage[-10:] for note in notes if note.type == "note"] == ["try 2 of 3", "try 3 of 3"]
    assert [path.name for path in (tmp_path / ".a.nvc.work").glob("*.done")] == ["gop-000000.done"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (exceptions.OutOfMemoryError("a page of advice"), "out of memory"),
        (exceptions.WorkerCrashedError(), "its process was lost"),
        (exceptions.NodeDiedError("gone"), "it was lost (NodeDiedError)"),
    ],
)
def test_losses_have_names(error, said):
    assert engine._reason(error) == said


def test_fits_share_gpus(cluster):
    node = cluster.add_node(num_cpus=4, num_gpus=1, object_store_memory=_STORE_BYTES)
    try:
        with engine.RayFits("auto", gpus=0.5) as fits:
            assert (fits.device.type, fits.slots) == ("cuda", 2)
        with engine.RayFits("auto", cpus=2) as fits:
            assert (fits.device.type, fits.slots) == ("cuda", 1)
        with engine.RayFits("auto", device="cpu", cpus=2) as fits:
            assert (fits.device.type, fits.slots) == ("cpu", 2)
    finally:
        cluster.remove_node(node)


def test_nodes_of_another_version_are_refused(cluster, tiny_clip, tmp_path, config, monkeypatch):
    here, real = os.getpid(), engine.made_by  # the patch may travel with the function
    monkeypatch.setattr(engine, "made_by", lambda: "nerv-codec 0.0.1" if os.getpid() == here else real())
    with pytest.raises(UsageError, match=r"expected nerv-codec 0\.0\.1 on every node, found nerv-codec"):
        encode(tiny_clip, tmp_path / "a.nvc", config=config, engine="ray")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "ray", "fit_cpus": 9.0}, "expected a node with 9 CPU for a fit, found none"),
        ({"engine": "ray", "device": "cuda"}, "expected a node with 1 CPU and 1 GPU for a fit, found none"),
        ({"engine": "spark"}, "expected an engine of processes, ray"),
        ({"fit_gpus": 0.5}, "found processes"),
    ],
)
def test_what_no_cluster_has(cluster, tiny_clip, tmp_path, config, options, said):
    with pytest.raises(UsageError, match=said):
        encode(tiny_clip, tmp_path / "a.nvc", config=config, **options)
    assert list(tmp_path.iterdir()) == []


def test_no_cluster_at_an_address():
    with pytest.raises(UsageError, match=r"expected a Ray cluster at 127\.0\.0\.1:9"):
        engine._connect("127.0.0.1:9")
