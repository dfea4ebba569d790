"""The command as people type it: words in, files and exit codes out."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest

from nerv_codec.base.errors import VerificationError
from nerv_codec.cli import main as cli

QUICK = [
    "--model",
    "siren",
    "--set",
    "siren.width=8",
    "--set",
    "siren.hidden_layers=1",
    "--set",
    "siren.steps=2",
    "--gop",
    "8",
]


@pytest.fixture
def nerv(capsys):
    """Runs the command in this process: (exit code, stdout, stderr)."""

    def run(*words: object) -> tuple[int, str, str]:
        try:
            code = cli.run([str(word) for word in words])
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    before = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def clip(tiny_nvc, tmp_path) -> Path:
    path = tmp_path / "clip.nvc"
    path.write_bytes(tiny_nvc.read_bytes())
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def expect_error(result, code, *parts):
    found, out, err = result
    assert (found, out) == (code, "")
    assert err.count("\n") == 1 and err.startswith("nerv-codec: error: ")
    assert "Traceback" not in err
    for part in parts:
        assert part in err


def test_encode(nerv, tiny_clip, tmp_path):
    code, out, err = nerv("encode", tiny_clip, tmp_path / "a.nvc", *QUICK)
    assert (code, out) == (0, "")
    last = err.splitlines()[-1]
    assert last.startswith(f"{tmp_path / 'a.nvc'}: ") and last.endswith("verified") and " bpp, " in last
    assert names(tmp_path) == ["a.nvc"]


def test_encode_json_and_options(nerv, tiny_clip, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text("gop = 2\n[siren]\nsteps = 9\n")
    words = [
        "--model",
        "siren",
        "--config",
        config,
        "--set",
        "siren.steps=2",
        "--set",
        "siren.width=8",
        "--preset",
        "slow",
    ]
    target = tmp_path / "a.nvc"
    code, out, err = nerv("encode", "--frames", 4, tiny_clip, *words, "--json", "-q", "--no-metadata", target)
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert report["num_frames"] == 4 and report["num_gops"] == 2 and report["file_bytes"] == target.stat().st_size
    assert json.loads(nerv("info", target, "--json")[1])["tool"] is None


@pytest.mark.parametrize("verb", ["encode", "decode", "eval", "info", "bench", "estimate"])
def test_json_means_the_same_to_every_verb(nerv, clip, tiny_clip, tmp_path, verb):
    words = {"encode": [tiny_clip, tmp_path / "a.nvc", *QUICK, "--frames", 2], "decode": [clip, tmp_path / "a.y4m"]}
    words |= {"eval": [clip, clip], "estimate": [tiny_clip, *QUICK, "--crf", "30", "--samples", 1]}
    progress = [] if verb == "info" else ["--progress", "json"]
    command = [*words.get(verb, [clip]), *progress]
    code, out, err = nerv(verb, "--json", *command)
    report = json.loads(out)
    assert code == 0 and len(report) > 3 and ('"type": "done"' in err) == bool(progress)
    path = tmp_path / "report.json"
    code, out, _ = nerv(verb, *command, f"--json={path}", "-y")
    assert code == 0 and json.loads(path.read_text()).keys() == report.keys() and "schema_version" not in out
    files = [word for word in command if isinstance(word, Path)]
    for taken, flag in ((path, []), *((file, ["-y"]) for file in files)):
        before = taken.read_bytes()
        assert nerv(verb, *command, f"--json={taken}", *flag)[0] == 2 and taken.read_bytes() == before


def test_encode_to_a_size(nerv, tiny_clip, tmp_path, monkeypatch):
    words = ["encode", tiny_clip, tmp_path / "a.nvc", *QUICK[:2], *QUICK[4:], "-y", "--frames", 3, "-j", 2]
    code, _, err = nerv(*words, "--target-size", "2kB")
    assert code == 0 and err.splitlines()[-1].endswith("verified")
    assert (tmp_path / "a.nvc").stat().st_size == pytest.approx(2000, rel=0.05)
    monkeypatch.setattr("nerv_codec.encoding.target.RATE_TOLERANCE", -1.0)
    code, _, err = nerv(*words, "--bitrate", "128k")
    assert code == 5 and names(tmp_path) == ["a.nvc"]
    assert err.splitlines()[-1].startswith(f"nerv-codec: error: {tmp_path / 'a.nvc'} is written, but misses its target")
    assert "asked for 128 kb/s, came to " in err.splitlines()[-1]


def test_encode_reads_stdin(nerv, tiny_clip, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(tiny_clip.read_bytes())))
    code, _, _ = nerv("encode", "-", tmp_path / "a.nvc", *QUICK, "--frames", 2)
    assert code == 0 and names(tmp_path) == ["a.nvc"]


def test_progress_json_ends_with_done_or_error(nerv, tiny_clip, tmp_path):
    words = ["encode", tiny_clip, tmp_path / "a.nvc", *QUICK, "--progress", "json", "--frames", 3]
    code, out, _ = nerv(*words)
    assert code == 0 and [json.loads(line)["type"] for line in out.splitlines()][-1] == "done"
    code, out, err = nerv(*words)
    last = json.loads(out.splitlines()[-1])
    assert (code, last["type"], last["exit_code"]) == (2, "error", 2) and last["message"] in err
    code, out, _ = nerv("decode", tmp_path / "missing.nvc", tmp_path / "b.mkv", "--progress", "json")
    last = json.loads(out.splitlines()[-1])
    assert (code, last["type"], last["exit_code"]) == (3, "error", 3)


def test_decode_without_a_name(nerv, clip, tmp_path):
    code, _, err = nerv("decode", clip, "--fps", 60, "--scale", 2)
    assert code == 0 and names(tmp_path) == ["clip.60fps.x2.mp4", "clip.nvc"]
    assert f"{tmp_path / 'clip.60fps.x2.mp4'}: 45 frames of 80x48" in err


@pytest.mark.parametrize(
    "order",
    [
        ["decode", "IN", "OUT", "--fps", "12", "--crop", "8x8+1+1"],
        ["decode", "IN", "--fps", "12", "OUT", "--crop", "8x8+1+1"],
        ["decode", "IN", "--fps", "12", "--crop", "8x8+1+1", "OUT"],
        ["decode", "--fps", "12", "IN", "--crop", "8x8+1+1", "OUT"],
        ["decode", "--fps=12", "--crop", "8x8+1+1", "IN", "OUT"],
    ],
    ids=" ".join,
)
def test_decode_takes_options_anywhere(nerv, clip, tmp_path, order):
    words = [{"IN": clip, "OUT": tmp_path / "out.mkv"}.get(word, word) for word in order]
    code, _, err = nerv(*words)
    assert code == 0 and "9 frames of 8x8" in err and (tmp_path / "out.mkv").exists()


def test_decode_to_stdout(clip):
    command = [sys.executable, "-m", "nerv_codec", "decode", str(clip), "--fps", "12", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout.startswith(b"YUV4MPEG2 W40 H24 F12:1 ") and done.stdout.count(b"FRAME\n") == 9
    assert b"9 frames" in done.stderr
    short = subprocess.run([*command, "--format", "mp4"], capture_output=True, check=False)
    assert short.returncode == 2 and short.stdout == b"" and short.stderr.count(b"\n") == 1


def test_decode_formats(nerv, clip, tmp_path):
    assert nerv("decode", clip, tmp_path / "pictures", "--format", "png", "--end", "f:2", "-q") == (0, "", "")
    assert names(tmp_path / "pictures") == ["000000.png", "000001.png"]
    code, _, err = nerv("decode", clip, "--format", "null")
    assert code == 0 and err.splitlines()[-1].startswith("null: 18 frames of 40x24")
    nerv("decode", clip, tmp_path / "a.md5")
    nerv("decode", clip, tmp_path / "b.md5", "--fps", "source", "--scale", 1)
    assert (tmp_path / "a.md5").read_text() == (tmp_path / "b.md5").read_text()


def test_existing_output(nerv, clip, tiny_clip, tmp_path):
    for verb, source, target in (("decode", clip, tmp_path / "o.mkv"), ("encode", tiny_clip, tmp_path / "o.nvc")):
        target.write_bytes(b"precious")
        extra = [*QUICK, "--frames", "1"] if verb == "encode" else []
        expect_error(nerv(verb, source, target, *extra), 2, "exists already", "-y", "-n")
        code, _, err = nerv(verb, source, target, *extra, "-n")
        assert code == 0 and "skipped" in err and target.read_bytes() == b"precious"
        assert nerv(verb, source, target, *extra, "-y")[0] == 0
        assert target.read_bytes() != b"precious"
    assert names(tmp_path) == ["clip.nvc", "o.mkv", "o.nvc"]


def test_info(nerv, clip):
    code, out, err = nerv("info", clip)
    assert (code, err) == (0, "")
    for part in ("40x24, 18 frames, 24 fps", "siren", "weights", "GOP  first frame", "H.273"):
        assert part in out
    report = json.loads(nerv("info", clip, "--json")[1])
    assert report["schema_version"] == 1 and sum(report["bytes_by_part"].values()) == report["file_bytes"]


def test_bench(nerv, clip, tmp_path):
    code, out, err = nerv("bench", clip, f"--json={tmp_path / 'b.json'}", "--progress", "none")
    assert (code, err) == (0, "") and "entropy decoding" in out and "GOP decodes" in out
    report = json.loads((tmp_path / "b.json").read_text())
    assert report["num_frames"] == 18 and report["random_frame"]["gop_decodes"] > 0
    assert report["first_frame"]["seconds"] > 0
    assert list(report["stages"]) == ["entropy decoding", "planes", "evaluation", "colour conversion", "writing"]
    assert names(tmp_path) == ["b.json", "clip.nvc"]
    expect_error(nerv("bench", tmp_path / "missing.nvc"), 3, "no such file")
    expect_error(nerv("bench", clip, f"--json={tmp_path / 'b.json'}"), 2, "exists already")


def test_usage_errors(nerv, clip, tiny_clip, tmp_path):
    out = tmp_path / "out.mkv"
    expect_error(nerv("decode", clip, out, "--fps", "fast"), 2, "--fps", "'fast'")
    expect_error(nerv("decode", clip, out, "--bogus"), 2, "--bogus")
    expect_error(nerv("decode", clip, out, "extra"), 2, "extra")
    expect_error(nerv("decode", clip, out, "--scale", "2", "--size", "4x4"), 2, "not allowed with")
    expect_error(nerv("decode", clip, tmp_path / "out.avi"), 2, ".mp4")
    expect_error(nerv("decode", clip, out, "--crop", "41x4+0+0"), 2, "40x24")
    expect_error(nerv("decode", clip, out, "--start", "9"), 2, "0..0.75 s")
    expect_error(nerv("decode", clip, tmp_path / "no/out.mkv"), 2, "does not exist")
    expect_error(nerv("decode", clip, clip, "--format", "mkv", "-y"), 2, "the output is the input")
    expect_error(nerv("decode", clip, tmp_path, "--format", "mkv", "-y"), 2, "found a folder")
    expect_error(nerv("decode", clip, tmp_path, "--format", "png", "-y"), 2, "not replaced")
    expect_error(nerv("decode", clip, out, "--device", "abacus"), 2, "abacus")
    expect_error(nerv("encode", tiny_clip, "-"), 2, "expected a file")
    expect_error(nerv("encode", tiny_clip, out, "--set", "siren.depth=3"), 2, "siren.depth", "siren.width")
    expect_error(nerv("encode", tiny_clip, out, "--seed", "-1"), 2, "seed")
    expect_error(nerv("encode", tiny_clip, out, "--json", "report.json"), 2, "--json=FILE")
    expect_error(nerv("encode", tiny_clip), 2, "OUT")
    expect_error(nerv("encode", tiny_clip, out, "--crf", 20, "--bitrate", "1M"), 2, "not allowed with")
    expect_error(nerv("encode", tiny_clip, out, "--target-size", "much"), 2, "300kB", "'much'")
    expect_error(nerv("encode", tiny_clip, out, "--target-psnr", 30, "--model", "siren"), 2, "siren", "crf")
    expect_error(nerv("encode", tiny_clip, out, "-j", 0), 2, "--jobs", "above 0")
    expect_error(nerv("transcode"), 2, "transcode")
    code, _, err = nerv()
    assert code == 2 and "nerv-codec encode video.mp4 out.nvc" in err
    assert names(tmp_path) == ["clip.nvc"]


def test_a_name_that_promises_another_kind_of_file(nerv, tiny_clip, tmp_path):
    for name, noted in (("wrong.mp4", True), ("right.nvc", False), ("right", False)):
        code, _, err = nerv("encode", tiny_clip, tmp_path / name, *QUICK, "--frames", 1)
        assert code == 0 and ("will be a .nvc" in err) == noted


def test_input_errors(nerv, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no video\n" * 99)
    target = tmp_path / "out.nvc"
    expect_error(nerv("encode", tmp_path / "missing.mp4", target), 3, "missing.mp4", "no such file")
    expect_error(nerv("encode", text, target), 3, "expected a video")
    expect_error(nerv("encode", tmp_path, target), 3, "expected a video or pictures, found no picture")
    for verb in ("decode", "info"):
        expect_error(nerv(verb, tmp_path / "missing.nvc"), 3, "no such file")
    assert names(tmp_path) == ["notes.txt"]


def test_alpha_is_refused_or_dropped(nerv, tmp_path):
    clip, target = tmp_path / "clear.mkv", tmp_path / "out.nvc"
    with av.open(str(clip), "w") as output:
        video = output.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 16, 16, "yuva420p"
        output.mux(video.encode(av.VideoFrame(16, 16, "yuva420p")))
        output.mux(video.encode(None))
    expect_error(nerv("encode", clip, target, *QUICK), 3, "yuva420p", "--drop-alpha")
    assert names(tmp_path) == ["clear.mkv"]
    code, _, err = nerv("encode", clip, target, *QUICK, "--drop-alpha")
    assert code == 0 and "nerv-codec: note: alpha is dropped" in err.splitlines()


@pytest.fixture
def sizes(tmp_path) -> Path:
    """Three frames of 32x16, then two of 16x24."""
    path = tmp_path / "sizes.mkv"
    with av.open(str(path), "w") as output:
        video = output.add_stream("mjpeg", rate=25)
        video.width, video.height, video.pix_fmt = 32, 16, "yuvj420p"
        for index, size in enumerate([(32, 16)] * 3 + [(16, 24)] * 2):
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = *size, "yuvj420p", Fraction(1, 25)
            (packet,) = encoder.encode(av.VideoFrame(*size, "yuvj420p"))
            packet.stream, packet.time_base, packet.pts, packet.dts = video, Fraction(1, 25), index, index
            output.mux(packet)
    return path


def test_a_change_of_size_is_refused_cut_or_scaled(nerv, sizes, tmp_path):
    clip, target = sizes, tmp_path / "out.nvc"
    error = nerv("encode", clip, target, *QUICK)
    for part in ("32x16, found 16x24 from frame 3 (0.120 s) on", "--end f:3", "--start f:3", "--scale-to-first"):
        expect_error((error[0], error[1], error[2].splitlines(keepends=True)[-1]), 3, part)
    assert not target.exists()
    for words, size, frames in (
        (["--end", "f:3"], (32, 16), 3),
        (["--start", "f:3"], (16, 24), 2),
        (["--start", "0.12", "--frames", 1], (16, 24), 1),
        (["--scale-to-first"], (32, 16), 5),
    ):
        code, _, err = nerv("encode", clip, target, *QUICK, *words, "-y")
        about = json.loads(nerv("info", target, "--json")[1])["video"]
        assert (code, about["width"], about["height"], about["num_frames"]) == (0, *size, frames)
        assert ("another size, scaled to 32x16: 2" in err) == (words == ["--scale-to-first"])


def test_a_target_looks_through_the_same_pictures(nerv, sizes, tmp_path):
    target = tmp_path / "out.nvc"
    words = ["encode", sizes, target, *QUICK, "--set", "siren.width=0", "--target-size", 3000, "--progress", "plain"]
    code, out, err = nerv(*words)
    assert (code, out) == (3, "") and "found 16x24 from frame 3" in err and "gop 1" not in err  # before any fit
    assert names(tmp_path) == ["sizes.mkv"]
    for extra, size, frames in ((["--scale-to-first"], [32, 16], 5), (["--start", "f:3"], [16, 24], 2)):
        code, _, err = nerv(*words, *extra, "-y")
        about = json.loads(nerv("info", target, "--json")[1])["video"]
        assert code in (0, 5) and [about["width"], about["height"], about["num_frames"]] == [*size, frames], err


def test_a_refused_encode_goes_on_where_scaling_is_allowed(nerv, sizes, tmp_path):
    words = ["encode", sizes, tmp_path / "out.nvc", *QUICK, "--gop", 1, "--progress", "json"]
    code, out, _ = nerv(*words)
    assert code == 3 and '"gop 1/' in out and names(tmp_path) == [".out.nvc.work", "sizes.mkv"]
    code, out, _ = nerv(*words, "--scale-to-first")
    assert (
        code == 0 and '"gop 1/' in out and "fit" not in "".join(line for line in out.splitlines() if '"gop 1/' in line)
    )
    assert names(tmp_path) == ["out.nvc", "sizes.mkv"]


def test_bitstream_errors(nerv, clip, tmp_path):
    data, broken, out = clip.read_bytes(), tmp_path / "broken.nvc", tmp_path / "out.mkv"
    cases = {
        "magic": b"no nvc at all",
        "version 2, found 9": data[:4] + b"\x09" + data[5:],
        "truncated": data[: len(data) // 2],
        "damaged": data[:200] + bytes([data[200] ^ 1]) + data[201:],
        "expected": b"",
    }
    for message, content in cases.items():
        broken.write_bytes(content)
        expect_error(nerv("decode", broken, out), 4, message)
        expect_error(nerv("info", broken), 4, message)
    assert names(tmp_path) == ["broken.nvc", "clip.nvc"]


def test_other_exit_codes(nerv, clip, tmp_path, monkeypatch):
    def failing(error: BaseException):
        def run(*_: object, **__: object):
            raise error

        monkeypatch.setattr("nerv_codec.decoding.decode.decode", run)
        return nerv("decode", clip, tmp_path / "out.mkv")

    expect_error(failing(VerificationError("GOP 3 differs")), 6, "GOP 3 differs")
    expect_error(failing(KeyboardInterrupt()), 130, "interrupted")
    expect_error(failing(MemoryError()), 1, "out of memory")
    expect_error(failing(ImportError("libtorch.so: failed to map")), 1, "cannot load what this needs: libtorch.so")
    expect_error(failing(OSError(28, "No space left on device", "out.mkv")), 1, "out.mkv: No space left")
    expect_error(failing(RuntimeError("two\nlines")), 1, "unexpected RuntimeError: two lines")


def test_verbose_shows_where(nerv, tmp_path):
    code, _, err = nerv("info", tmp_path / "missing.nvc", "-v")
    assert code == 3 and "Traceback" in err and err.splitlines()[-1].startswith("nerv-codec: error: ")


def test_help_and_version(nerv):
    code, out, _ = nerv("--help")
    assert code == 0 and all(verb in out for verb in ("encode", "decode", "eval", "info", "bench", "exit codes"))
    assert nerv("--version")[1].startswith("nerv-codec ")
    for verb in ("encode", "decode", "eval", "info", "bench"):
        code, out, _ = nerv(verb, "--help")
        assert code == 0 and f"examples:\n  nerv-codec {verb} " in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(nerv, tmp_path, shell):
    code, out, err = nerv("--print-completion", shell)
    assert (code, err) == (0, "")
    # shtab knows only verbs in tcsh
    assert all(word in out for word in ("encode", *(("--scale-to-first", "placebo") if shell != "tcsh" else ())))
    if shell == "bash":
        (tmp_path / "completion").write_text(out)
        subprocess.run(["bash", "-n", str(tmp_path / "completion")], check=True)


def test_no_colour_ever(nerv, tiny_clip, tmp_path, monkeypatch):
    """NO_COLOR asks for what is always so."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    for progress in ("bar", "plain"):
        code, out, err = nerv("encode", tiny_clip, tmp_path / f"{progress}.nvc", *QUICK, "--progress", progress)
        assert code == 0 and "\x1b" not in out + err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_half_of_an_output(tiny_clip, tmp_path, number):
    words = ["encode", str(tiny_clip), str(tmp_path / "a.nvc"), "--progress", "json"]
    words += ["--model", "siren", "--set", "siren.steps=1000000"]
    with subprocess.Popen(
        [sys.executable, "-m", "nerv_codec", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as job:
        for line in job.stdout:
            if json.loads(line)["type"] == "progress":
                break
        assert not (tmp_path / "a.nvc").exists()
        job.send_signal(number)
        out, err = job.communicate(timeout=60)
    assert job.returncode == 130
    assert json.loads(out.splitlines()[-1])["exit_code"] == 130
    assert err.splitlines()[-1].startswith("nerv-codec: error: interrupted")
    assert names(tmp_path) in ([], [".a.nvc.work"])  # what a later run goes on from


def test_a_reader_that_leaves(clip):
    command = f"{sys.executable} -m nerv_codec decode {clip} - -q --scale 16 | head -c 20"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, check=False)
    assert done.stdout.startswith(b"YUV4MPEG2") and done.stderr == b"" and done.returncode == 1


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_decoding_is_a_pure_function_of_the_bytes(clip, tmp_path, threads):
    """Other processes with other numbers of threads give the same integers and the same pictures."""
    target = tmp_path / f"{threads}.md5"
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "nerv_codec", "decode", str(clip), str(target), "-q", "--fps", "30"]
    subprocess.run(command, env=environment, check=True)
    cli.run(["decode", str(clip), str(tmp_path / "here.md5"), "-q", "--fps", "30"])
    assert target.read_text() == (tmp_path / "here.md5").read_text()


def test_decoding_needs_neither_training_nor_metrics():
    """Decoding works where nothing of training, metrics or reports can be imported."""
    code = (
        "import sys\n"
        "class Wall:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith('nerv_codec.e') or '.fit' in name:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Wall())\n"
        "from nerv_codec import VideoDecoder, decode\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
