"""Puts the networks of a checkpoint into the package: ``python -m tools.training.export_shared``.

Writes the weights file, names it by its digest, makes it the current one, and writes the card beside it.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from nerv_codec.representations.shared.layout import macs_per_symbol
from nerv_codec.representations.shared.weights import FOLDER, install, to_bytes
from tools.training import checkpoint
from tools.training.train_shared import Settings

_CARD = """# Shared networks {digest}

* **What**: analysis (encoder only), synthesis and integer context model for pictures and for what motion leaves of
  them, and a small network for places between samples; {size} bytes, 8-bit weights (synthesis: up to 9). Context
  model: {macs:.0f} multiplications a symbol.
* **Made by** `python -m tools.training.train_shared --data <folder>{options}` and
  `python -m tools.training.export_shared`: {steps} steps of {batch} crops of {crop}x{crop} in {minutes:.1f} minutes
  on {device}{start}; weights are the running mean of
  the last 1 000 steps or so. One seed ({seed}). Timing decides where the rates fall, so a second run gives other
  weights of the same quality, not the same bytes.
* **Between samples**: `python -m tools.training.train_between --data <folder> --minutes {between_minutes:g}`:
  {between_steps} steps of 24 or 12 crops on a CPU; the same data. Over the windowed sinc alone, in dB on
  held-out pictures, by factor and lambda index: {between_gains}.
* **Data**: 660 frames of 132 clips and 127 photo crops, all freely licensed (CC0, public domain, CC BY 3.0 and 4.0,
  CC BY-SA 2.5 to 4.0, Apache-2.0, MIT, BSD, LGPL, GPL; the list with credits is the README of the training set);
  every ninth source is held out (84 pictures) and only judged on. None of the clips that figures are reported on.
* **Loss**: D / lambda + R, D = (6 Y + U + V) / 8 mean squared error, lambda 2.2e-5 to 1.1e-2 drawn per crop.
* **On training crops at the end**: D / lambda + R = {cost:.3f}, {bits:.3f} bits a luma sample, {psnr:.2f} dB, means
  over lambda. On held-out ones, by sides of parents (0, 1, 2): {held_out}.
* **Limits**: made for 8- to 10-bit pictures of natural scenes in 4:2:0; other formats go plane by plane, and screens
  and drawings are one in fifteen of the training set. Figures on open clips: `docs/experiments/shared-networks.md`.
"""
_DEVICES = {"cpu": "a CPU", "cuda": "a GPU"}
_START = ", from earlier networks on (`tools.training.growing`)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(".training/shared"), help="folder of the checkpoint")
    parser.add_argument("--between", type=Path, default=Path(".training/between"), help="of that of train_between")
    options = parser.parse_args()
    path, beside = options.out / "checkpoint.pt", options.between / "checkpoint.pt"
    state, between = checkpoint.load(path), checkpoint.load(beside)
    data = to_bytes(checkpoint.averaged_networks(path), checkpoint.averaged_between(beside))
    for old in FOLDER.glob("*.safetensors"):
        old.unlink()
    digest = install(data).hex()
    settings, recent = state["settings"], [entry[4:7] for entry in state["log"][-20:]]
    changed = {name: value for name, value in settings.items() if value != vars(Settings())[name]}
    judged = [entry[7] for entry in state["log"] if entry[7]]
    cost, bits, psnr = (sum(values) / len(values) for values in zip(*recent, strict=True))
    card = _CARD.format(
        digest=digest, size=len(data), macs=macs_per_symbol(), minutes=state["seconds"] / 60, steps=state["step"],
        options="".join(f" --{name} {shlex.quote(str(value))}" for name, value in changed.items()),
        cost=cost, bits=bits, psnr=psnr, batch=settings["batch"], crop=settings["crop"], seed=settings["seed"],
        device=_DEVICES[state["device"]], start=_START if settings["start"] else "",
        between_minutes=between["minutes"], between_steps=between["step"],
        between_gains=", ".join(f"{name} {gain:+.2f}" for name, gain in between["gains"].items()),
        held_out=", ".join(f"{value:.4f}" for value in judged[-1]) if judged else "not measured",
    )  # fmt: skip
    (FOLDER / "CARD.md").write_text(card)
    print(f"{digest}: {len(data)} bytes, {state['step']} steps")


if __name__ == "__main__":
    main()
