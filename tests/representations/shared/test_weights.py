import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.shared import weights
from nerv_codec.representations.shared.between import Between
from nerv_codec.representations.shared.integer_between import IntegerBetween
from nerv_codec.representations.shared.layout import ALONE, DESIGNS, LEVELS
from nerv_codec.representations.shared.networks import SharedNetworks


@pytest.fixture(scope="module")
def data() -> bytes:
    torch.manual_seed(0)
    arrays = {}
    for design in DESIGNS:
        arrays |= weights.arrays_of(SharedNetworks(design))
    return weights.to_bytes({**arrays, **IntegerBetween.quantised(Between()).arrays()})


def test_weights_come_back(data):
    torch.manual_seed(0)
    networks = SharedNetworks(ALONE)
    shipped = weights.from_bytes(data)
    assert [shipped.of(sides).synthesis.design for sides in range(3)] == list(DESIGNS)
    found = shipped.alone
    for part, again in (("analysis", found.analysis), ("synthesis", found.synthesis.floating())):
        for name, value in getattr(networks, part).state_dict().items():
            largest = float(value.abs().max())
            assert torch.allclose(again.state_dict()[name], value, atol=largest / 24 + 1e-9), name
    for level in LEVELS:
        for band, integers in zip(networks.context.bands[str(level)], found.context.bands[level], strict=True):
            error = np.abs(integers.first.units / 2**9 - band.first.detach().numpy())
            assert error.max() < 0.01
    assert len(shipped.digest) == weights.DIGEST_BYTES


def test_a_file_that_lacks_something_is_refused(data, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    arrays = load(data)
    for name in (
        "alone.synthesis.out.weight",
        "one_sided.synthesis.8.gains",
        "alone.synthesis.4.blocks.2.first.shift",
        "two_sided.analysis.head.2.weight.scale",
        "alone.context.2.1.first",
        "two_sided.context.4.prior.bias",
    ):
        missing = save({key: value for key, value in arrays.items() if key != name})
        for found in (missing, save({**arrays, name: arrays[name][:1].astype(np.float64)})):
            with pytest.raises(BitstreamError):
                weights.install(found)
    assert not list(tmp_path.iterdir())
    with pytest.raises(BitstreamError, match="not a file"):
        weights.from_bytes(b"nothing of that kind")


def test_sums_that_floats_cannot_hold_are_refused(data):
    arrays = load(data)
    arrays["alone.context.2.1.first"] = np.full_like(arrays["alone.context.2.1.first"], 127)
    arrays["alone.context.2.1.first_shift"] = np.zeros_like(arrays["alone.context.2.1.first_shift"])
    with pytest.raises(BitstreamError, match="too large"):
        weights.from_bytes(save(arrays))


def test_the_shipped_file_is_the_one_it_is_called(tmp_path, monkeypatch):
    assert weights.load_weights().digest == weights.current_digest()
    with pytest.raises(BitstreamError, match="does not have"):
        weights.load_weights(bytes(8))
    name = weights.current_digest().hex()
    damaged = bytearray((weights.FOLDER / f"{name}.safetensors").read_bytes())
    assert 100_000 <= len(damaged) <= 9_000_000
    damaged[-1] ^= 1
    (tmp_path / f"{name}.safetensors").write_bytes(damaged)
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    weights.load_weights.cache_clear()
    with pytest.raises(BitstreamError, match="damaged"):
        weights.load_weights(bytes.fromhex(name))
    weights.load_weights.cache_clear()
