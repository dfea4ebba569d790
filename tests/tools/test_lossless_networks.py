"""Networks of lossless prediction learn, and the kernel reads them as training meant them."""

from __future__ import annotations

import numpy as np
import torch

from nerv_codec.representations.lossless.network_kernel import ANSWERS_WIDTH, NUM_HIDDEN, NUM_PARTS, answer
from tools.training import lossless_networks
from tools.training.lossless_networks import bits, train


def test_what_is_learnt_is_what_the_kernel_expects(monkeypatch):
    monkeypatch.setattr(lossless_networks, "EPOCHS", 0)
    monkeypatch.setattr(lossless_networks, "LEAST_STEPS", 150)
    rng = np.random.default_rng(4)
    record = rng.normal(size=(4000, 42)).astype(np.float32)
    record[:, 40] = np.rint(6 * record[:, 3] + rng.normal(size=4000))
    record[:, 41] = 0.5
    first, second, last = train(record, name="of a test")
    assert all(layer.flags.c_contiguous for layer in (first, second, last))
    padded = np.zeros((NUM_HIDDEN + 1, ANSWERS_WIDTH))
    padded[:, : last.shape[1]] = last
    layers, hidden = (first.reshape(-1), second.reshape(-1), padded.reshape(-1)), (np.zeros(32), np.zeros(32))
    out, places, steepness, shares = np.zeros(ANSWERS_WIDTH), *np.zeros((3, NUM_PARTS))
    told = []
    for row in record[:200].astype(np.float64):
        answer(row[:40], layers, hidden, out, 0.5, 0.0, places, steepness, shares)
        away = np.abs(row[40] - places)
        below = [1 / (1 + np.exp(-(side - away) * steepness)) for side in (0.5, -0.5)]
        taken = -np.log2(shares @ (below[0] - below[1]) + 1e-6)
        own = bits(*(torch.tensor(part)[None] for part in (out[: 3 * NUM_PARTS], row[40], row[41])))
        assert abs(taken - own.item()) < 0.02
        told.append(taken)
    assert np.mean(told) < 3.2  # 2.1 are enough where the noise is known, 4.6 are needed without it
