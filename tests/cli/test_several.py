"""Many files in one call: names, a table, JSON, exit codes, and what a second call leaves alone."""

from __future__ import annotations

import json

import pytest

from nerv_codec.cli import main as cli

QUICK = ["--model=siren", "--set=siren.width=8", "--set=siren.hidden_layers=1", "--set=siren.steps=2", "--frames=3"]


@pytest.fixture
def nerv(capsys):
    def run(*words: object) -> tuple[int, str, str]:
        code = cli.run([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_encode_decode_and_eval_of_many(nerv, tiny_clip, tmp_path):
    clips = [tmp_path / "a.y4m", tmp_path / "b.y4m", tmp_path / "c.y4m"]
    for clip in clips[:2]:
        clip.write_bytes(tiny_clip.read_bytes())
    clips[2].write_bytes(b"no video")
    folder = tmp_path / "new" / "out"
    code, out, err = nerv("encode", *clips, "--out-dir", folder, *QUICK, "--json")
    files = json.loads(out)["files"]
    assert code == 3 and [file["state"] for file in files] == ["done", "done", "failed"]
    assert files[0]["report"]["num_frames"] == 3 and files[2]["exit_code"] == 3 and "report" not in files[2]
    assert "3 files: 2 done, 1 failed" in err.splitlines()[-1] and f"error: {clips[2]}: expected a video" in err
    assert sorted(path.name for path in folder.iterdir()) == ["a.nvc", "b.nvc"]

    before = [path.stat().st_mtime_ns for path in sorted(folder.iterdir())]
    code, out, err = nerv("encode", *QUICK, *clips[:2], "--out-dir", folder)
    assert (code, out) == (0, "") and err.splitlines()[-1] == "2 files: 2 skipped"
    assert [path.stat().st_mtime_ns for path in sorted(folder.iterdir())] == before

    code, _, err = nerv("decode", folder / "a.nvc", "--format", "md5", "--out-dir", folder, folder / "b.nvc")
    assert code == 0 and err.splitlines()[-1] == "2 files: 2 done"
    assert (folder / "a.md5").read_text().split()[0] == (folder / "b.md5").read_text().split()[0]

    (folder / "b.nvc").write_bytes(b"no video")
    code, out, err = nerv("eval", *clips[:2], "--out-dir", folder, "--json", "-q")
    files = json.loads(out)["files"]
    assert (code, err) == (3, "") and [file["state"] for file in files] == ["done", "failed"]
    assert json.loads((folder / "a.eval.json").read_text()) == files[0]["report"]
    assert not (folder / "b.eval.json").exists()


def test_names_that_do_not_go_together(nerv, tiny_clip, tmp_path):
    (tmp_path / "x").mkdir()
    for words, said in (
        ((tmp_path / "a.mp4", tmp_path / "x" / "a.mkv"), "both become"),
        (("-",), "found -"),
    ):
        code, out, err = nerv("encode", *words, "--out-dir", tmp_path / "new")
        assert (code, out) == (2, "") and err.count("\n") == 1 and said in err
    code, _, err = nerv("encode", tiny_clip, tiny_clip, tiny_clip)
    assert code == 2 and "--out-dir" in err
    code, _, err = nerv("eval", tiny_clip, "--out-dir", tmp_path / "none")
    assert code == 2 and err.count("\n") == 1 and not (tmp_path / "none").exists()
    code, _, err = nerv("eval", tiny_clip, "--out-dir", tmp_path, "--html", "page.html")
    assert code == 2 and "--html" in err
