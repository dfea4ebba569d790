"""LPIPS, MS-SSIM and VMAF: what other packages and programs compute, and what happens without them."""

from __future__ import annotations

import socket
import stat
import sys

import pytest
import torch

from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import VideoInfo
from nerv_codec.evaluation.metrics import lpips as lpips_module
from nerv_codec.evaluation.metrics.lpips import LpipsMetric
from nerv_codec.evaluation.metrics.pair import Unavailable
from nerv_codec.evaluation.metrics.ssim import MsSsimMetric
from nerv_codec.evaluation.metrics.suite import METRICS, MetricChoice, measure, metric_names
from nerv_codec.evaluation.metrics.vmaf import VmafMetric


@pytest.fixture(autouse=True)
def fresh_network():
    lpips_module.load_lpips.cache_clear()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_lpips_is_the_packages_own(make_pairs, info, weights, monkeypatch):
    import lpips

    monkeypatch.setenv("TORCH_HOME", str(weights))
    direct = lpips.LPIPS(net="alex", verbose=False)
    pair = make_pairs(info, 1)[0]
    first, second = (rgb[None].float() / 127.5 - 1 for rgb in (pair.reference_rgb, pair.target_rgb))
    with torch.inference_mode():
        expected = float(direct(first, second))
    for given in (None, weights, weights / "hub" / "checkpoints" / lpips_module.WEIGHTS_NAME):
        metric = LpipsMetric(info, given)
        metric.add(pair)
        assert metric.series()[0].values[0] == pytest.approx(expected, abs=1e-5)
    assert expected > 0.01


def test_without_weights_and_network_lpips_says_so(info, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def unreachable(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(socket, "create_connection", unreachable)
    with pytest.raises(Unavailable, match=r"no route.*--lpips-weights"):
        LpipsMetric(info)
    assert socket.getdefaulttimeout() is None
    with pytest.raises(Unavailable, match="expected alexnet"):
        LpipsMetric(info, tmp_path / "nowhere")
    (tmp_path / "bad.pth").write_bytes(b"not weights")
    with pytest.raises(Unavailable, match="AlexNet weights"):
        LpipsMetric(info, tmp_path / "bad.pth")


def test_ms_ssim(make_pairs):
    pytorch_msssim = pytest.importorskip("pytorch_msssim")
    large = VideoInfo(200, 170)
    pair = make_pairs(large, 1)[0]
    metric = MsSsimMetric(large)
    metric.add(pair)
    pictures = [rgb[None].float() for rgb in (pair.reference_rgb, pair.target_rgb)]
    assert metric.series()[0].values[0] == pytest.approx(float(pytorch_msssim.ms_ssim(*pictures, data_range=255)))
    assert "11-tap" in metric.series()[0].domain
    small = MsSsimMetric(VideoInfo(176, 144))
    small.add(make_pairs(VideoInfo(176, 144), 1)[0])
    assert "7-tap" in small.series()[0].domain
    with pytest.raises(Unavailable, match="96"):
        MsSsimMetric(VideoInfo(96, 96))


@pytest.fixture
def fake_vmaf(tmp_path, monkeypatch):
    """A program called vmaf whose figures are its frames' numbers."""

    def install(body: str) -> None:
        program = tmp_path / "vmaf"
        program.write_text(f"#!{sys.executable}\n{body}")
        program.chmod(program.stat().st_mode | stat.S_IEXEC)

    monkeypatch.setenv("PATH", str(tmp_path))
    return install


def test_vmaf_runs_the_program_on_the_path(make_pairs, info, fake_vmaf):
    fake_vmaf(
        "import json, sys\n"
        "options = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "data = open(sys.argv[sys.argv.index('-d') + 1], 'rb').read()\n"
        "assert data.startswith(b'YUV4MPEG2 W176 H144')\n"
        "frames = [{'metrics': {'vmaf': 90.0 + i}} for i in range(data.count(b'FRAME'))]\n"
        "json.dump({'frames': frames}, open(sys.argv[sys.argv.index('-o') + 1], 'w'))\n"
    )
    metric = VmafMetric(info)
    for pair in make_pairs(info):
        metric.add(pair)
    assert metric.series()[0].values == (90.0, 91.0, 92.0)


@pytest.mark.parametrize("body", ["raise SystemExit('no model')", "pass"])
def test_a_failing_vmaf_is_skipped_with_a_reason(make_pairs, info, fake_vmaf, body):
    fake_vmaf(body)
    metric = VmafMetric(info)
    metric.add(make_pairs(info, 1)[0])
    with pytest.raises(Unavailable, match=r"no model|no report"):
        metric.series()


def test_without_a_program_vmaf_is_skipped(info, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="PATH"):
        VmafMetric(info)


def test_the_suite_names_what_it_skips(make_pairs, info, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    metrics, skipped = MetricChoice(("psnr", "ssim", "vmaf")).make(info)
    found, failed = measure(make_pairs(info), metrics)
    assert set(found) == {"psnr", "ssim"} and set(skipped) == {"vmaf"} and not failed
    assert metric_names(["all"]) == METRICS
    with pytest.raises(UsageError, match="nonsense"):
        metric_names(["nonsense"])
