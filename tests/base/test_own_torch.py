"""Torch within the block is ours, and the caller's again behind it."""

from __future__ import annotations

import torch

from nerv_codec.base.own_torch import own_torch


def test_what_the_caller_has_set_does_not_matter_and_comes_back():
    torch.manual_seed(7)
    expected = torch.rand(2).tolist()
    torch.manual_seed(7)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            with own_torch():
                made = torch.ones(3, requires_grad=True)
                total = (made @ torch.rand(3, 3)).sum()
                total.backward()
                assert made.dtype == total.dtype == torch.float32 and made.grad is not None
            assert torch.is_inference_mode_enabled() and torch.is_autocast_enabled("cpu")
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.rand(2).tolist() == expected
