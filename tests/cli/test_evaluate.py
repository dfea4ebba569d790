from __future__ import annotations

import json
import os
import shutil

import pytest
from clips import noise, write_clip

from nerv_codec.base.video import VideoInfo
from nerv_codec.cli.main import run


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    info = VideoInfo(32, 24)
    return write_clip(tmp_path_factory.mktemp("eval") / "clip.y4m", info, noise(info, range(3)))


def test_table_on_stdout(clip, capsys):
    assert run(["eval", str(clip), str(clip), "--progress", "none"]) == 0
    out = capsys.readouterr().out
    assert "psnr_y_db" in out and "3 compared" in out and "identical" in out


def test_json_to_stdout_is_json_alone(clip, capsys):
    assert run(["eval", str(clip), str(clip), "--json", "--progress", "json"]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["frames"]["compared"] == report["frames"]["identical"] == 3
    assert "psnr_y_db" in captured.err


def test_outputs_are_not_overwritten(clip, tmp_path, capsys):
    report, table = tmp_path / "r.json", tmp_path / "r.csv"
    arguments = ["eval", str(clip), str(clip), "-q", f"--json={report}", "--csv", str(table)]
    assert run(arguments) == 0
    assert len(table.read_text().splitlines()) == 4
    before = report.read_bytes()
    assert run(arguments) == 2
    assert "exists already" in capsys.readouterr().err
    assert run([*arguments, "-n"]) == 0
    assert report.read_bytes() == before
    assert run([*arguments, "-y"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.csv", "r.json"]


def test_input_is_never_an_output(clip):
    before = clip.read_bytes()
    assert run(["eval", str(clip), str(clip), "-q", "-y", "--csv", str(clip)]) == 2
    assert clip.read_bytes() == before


def test_errors_leave_nothing(clip, tmp_path, capsys):
    other = tmp_path / "broken.nvc"
    other.write_bytes(b"\x93NVC\x02garbage")
    assert run(["eval", str(clip), str(other), f"--json={tmp_path / 'r.json'}", "--progress", "none"]) == 4
    assert run(["eval", str(clip), str(tmp_path / "none.nvc"), "--progress", "none"]) == 3
    assert not (tmp_path / "r.json").exists()
    assert capsys.readouterr().err.count("error:") == 2


def test_wrong_words_are_usage_errors(clip):
    with pytest.raises(SystemExit, match="2"):
        run(["eval", str(clip), str(clip), "--metrics", "psnr,nonsense"])
    assert run(["eval", str(clip), str(clip), "--json", "--csv", "-"]) == 2


def test_names_that_are_no_text(clip, tmp_path):
    """What is said of a file, in all formats, says its name with the bytes escaped."""
    odd = tmp_path / os.fsdecode(b"\xff.y4m")
    shutil.copy(clip, odd)
    outputs = [f"--json={tmp_path / 'r.json'}"]
    for name in ("csv", "html"):
        outputs += [f"--{name}", str(tmp_path / f"r.{name}")]
    assert run(["eval", str(clip), str(odd), "-q", *outputs]) == 0
    assert json.loads((tmp_path / "r.json").read_text())["target"]["file"].endswith("\udcff.y4m")
    assert "\\udcff.y4m" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 4


def test_identical_files_are_called_so_and_compared_with_lossless_codecs(clip, tmp_path, capsys):
    work = ["--work", str(tmp_path), "--progress", "none", f"--json={tmp_path / 'r.json'}"]
    assert run(["eval", str(clip), str(clip), "--baselines", "ffv1", *work]) == 0
    out = capsys.readouterr().out
    assert "identical: every sample" in out and "ffv1" in out and "this file" in out
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["frames"]["identical"] == 3
    (size,) = report["exact_sizes"]
    assert size["percent"] == pytest.approx(100 * (clip.stat().st_size / size["coded_bytes"] - 1))
