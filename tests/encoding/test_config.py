from __future__ import annotations

import math

import pytest

from nerv_codec.base.errors import UsageError
from nerv_codec.encoding.config import (
    PRESETS,
    REFERENCE_CRF,
    EncoderConfig,
    at_crf,
    load_preset,
    load_toml,
    override,
    parse_assignment,
)


def set_(text: str) -> EncoderConfig:
    return override(EncoderConfig(), parse_assignment(text))


def test_presets_load_and_take_ever_longer():
    instant, *presets = (load_preset(name) for name in PRESETS)
    assert instant.warped.steps == 0
    for model in ("siren", "warped"):
        steps = [getattr(preset, model).steps for preset in presets]
        assert steps == sorted(set(steps)) and steps[0] > 0
    assert load_preset("medium") == EncoderConfig()


@pytest.mark.parametrize("name", ["", "veryslow", "../configs/fast"])
def test_unknown_preset(name):
    with pytest.raises(UsageError, match="expected a preset of instant, ultrafast, fast"):
        load_preset(name)


def test_assignments():
    assert set_("siren.width=64").siren.width == 64
    assert set_("siren.target_bpp=1").siren.target_bpp == 1.0
    assert set_("siren.rd_lambda=1e-3").siren.rd_lambda == 1e-3
    assert set_("gop=16").gop == 16
    assert set_("model=siren").model == "siren"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("siren.depth=3", "unknown setting 'siren.depth'; known here: siren.width"),
        ("training.steps=5", "unknown setting 'training'; did you mean siren.steps or warped.steps?"),
        ("steps=5", "unknown setting 'steps'; did you mean siren.steps or warped.steps?"),
        ("depth=3", "unknown setting 'depth'; known here: model, gop"),
        ("siren.width=wide", "siren.width: expected int, found 'wide'"),
        ("siren.width=1.5", "siren.width: expected int"),
        ("siren.width=true", "siren.width: expected int"),
        ("siren.rd_lambda=true", "expected float"),
        ("siren=3", "expected siren.FIELD=value"),
        ("siren.width", "expected key=value"),
        ("=3", "expected key=value"),
        ("siren.width=1025", "0..1024"),
        ("siren.target_bpp=nan", "siren.target_bpp"),
        ("siren.steps=0", "at least 1"),
        ("siren.batch=1", "siren.batch"),
        ("gop=0", "gop in 1..1024"),
        ("gop=1025", "gop in 1..1024"),
        ("seed=-1", "seed"),
        ("model=mlp", "model"),
    ],
)
def test_wrong_settings_say_what_was_expected(text, message):
    with pytest.raises(UsageError) as caught:
        set_(text)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbfgop = 8\n")
    assert load_toml(tmp_path / "bom.toml").gop == 8


def test_files_override_what_is_under_them(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("gop = 4\n[siren]\nsteps = 7\n")
    config = load_toml(path, load_preset("slow"))
    assert (config.gop, config.siren.steps, config.siren.batch) == (4, 7, EncoderConfig().siren.batch)


@pytest.mark.parametrize("content", [b"gop = ", b"\xff\xfe", b"[nosuch]\nx = 1\n", b"siren = 1"])
def test_wrong_files(tmp_path, content):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        load_toml(path)
    with pytest.raises(UsageError, match="expected a readable TOML file"):
        load_toml(tmp_path / "missing.toml")


def test_a_lower_crf_asks_for_more_bits_and_weighs_them_less() -> None:
    base = EncoderConfig()
    assert at_crf(base, REFERENCE_CRF) == base
    better = at_crf(base, REFERENCE_CRF - 6)
    assert better.siren.target_bpp == pytest.approx(2 * base.siren.target_bpp)
    assert better.warped.rd_lambda == pytest.approx(base.warped.rd_lambda / 2 ** (6 / 2.8))
    assert better.siren.rd_lambda == pytest.approx(base.siren.rd_lambda / 4)
    for wrong in (-1.0, 64.0, math.nan):
        with pytest.raises(UsageError, match="crf"):
            at_crf(base, wrong)
