"""Puts trained networks into the package: ``python -m tools.training.export_shared CHECKPOINT ...``.

Checkpoints are those of `train_shared` (of any design), of `train_decoder`, which goes on with shipped networks, and of
`train_between`; what none is given of stays as it is. With ``--share`` weights go only so far from those that shipped
to those of the checkpoints, which keeps what the former know of pictures that were not trained on (Wortsman et al.,
Robust fine-tuning of zero-shot models, CVPR 2022). Writes the weights file, names it by its digest, makes it the
current one, and writes the card beside it from what the file says of how each network was made.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from nerv_codec.representations.shared.layout import DESIGNS, macs_per_pixel, macs_per_symbol
from nerv_codec.representations.shared.weights import FOLDER, arrays_of, install, load_weights, made, shipped, to_bytes
from tools.training import checkpoint
from tools.training.train_shared import Settings

_CARD = """# Shared networks {digest}

{size} bytes: of each design an analysis (encoder only), a synthesis and an integer context model; and a small network
for places between samples. Weights of 8 bits (analysis, context model), or of as many as 32-bit sums allow (the rest).

{designs}
* **Between samples**: {between}
* **Loss**: D / lambda + R, D = (6 Y + c (U + V)) / 8 mean squared error, lambda drawn for each crop; weights are the
  running mean of the last 1 000 steps or so. Timing decides where the rates fall, so a second run gives other weights
  of the same quality, not the same bytes.
* **Data**: 660 frames of 132 clips and 127 photo crops (the list with credits is the README of the training set). For
  pictures alone and for places between samples also some 480 crops of 140 wallpapers (`tools.training.photos`:
  budgie-backgrounds, CC0; pop-os wallpapers, public domain, drawings by Kate Hazen CC BY-SA 4.0; gnome-backgrounds,
  CC BY-SA 3.0; mate-backgrounds, GPL-2+; lomiri-wallpapers, CC BY 4.0, CC BY-SA, CC0; ukui-wallpapers, CC BY-SA 3.0;
  plasma-workspace-wallpapers, LGPL-3) and 240 drawn pages, slides, charts and patterns
  (`tools.training.drawings`). Every ninth source is held out and only judged on; some wallpapers are in the set under
  another name as well, so that their crops are not quite unseen. Clips are videos that were coded before, and free of
  noise by that: half of those that context models were fitted to have had some added. None of the clips that figures
  are reported on.
* **Limits**: made for 8- to 10-bit pictures in 4:2:0; other formats go plane by plane. Figures on open clips:
  `docs/experiments/shared-networks.md`.
"""
_DESIGNS = ("Pictures alone", "Pictures with parents on one side in time", "Pictures with parents on both")
_DEVICES = {"cpu": "a CPU", "cuda": "a GPU"}


def of_coding(state: dict[str, Any]) -> str:
    """How the networks of a checkpoint of `train_shared` were made."""
    settings = state["settings"]
    changed = {name: value for name, value in settings.items() if value != vars(Settings())[name]}
    options = "".join(f" --{name} {shlex.quote(str(value))}" for name, value in changed.items())
    judged = [entry[7] for entry in state["log"] if entry[7]]
    held_out = ", ".join(f"{value:.4f}" for value in judged[-1]) if judged else "not measured"
    return (
        f"`python -m tools.training.train_shared --data <folder> --more <folders>{options}`, {state['step']} steps of "
        f"{settings['batch']} crops in {state['seconds'] / 60:.1f} minutes on {_DEVICES[state['device']]}. "
        f"D / lambda + R on held-out crops: {held_out}."
    )


def of_between(state: dict[str, Any]) -> str:
    """The same of one of `train_between`."""
    gains = ", ".join(f"{name} {gain:+.2f}" for name, gain in state["gains"].items())
    return (
        f"`python -m tools.training.train_between --data <folder> --more <folders> --minutes {state['minutes']:g}`, "
        f"{state['step']} steps on a CPU, from what shipped before. "
        f"Over the windowed sinc, in dB on held-out pictures, by factor and lambda index: {gains}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--share", type=float, default=1.0, help="how far weights go, 0..1")
    options = parser.parse_args()
    arrays, told = shipped(), made()
    for path in options.checkpoints:
        state = checkpoint.load(path)
        if "gains" in state:
            arrays.update(checkpoint.averaged_between(path).arrays())
            told["between"] = of_between(state)
        else:
            networks = checkpoint.averaged_networks(path)
            if options.share < 1:
                before = load_weights().of(networks.design.sides).floating.state_dict()
                after = networks.state_dict()
                networks.load_state_dict({n: one.lerp(after[n], options.share) for n, one in before.items()})
            arrays.update(arrays_of(networks))
            name = networks.design.name
            part = f" Weights went {options.share:g} of that way." if options.share < 1 else ""
            told[name] = (f"{told[name]} {state['then']}" if "then" in state else of_coding(state)) + part
    data = to_bytes(arrays, told)
    for old in FOLDER.glob("*.safetensors"):
        old.unlink()
    digest = install(data).hex()
    designs = "\n".join(
        f"* **{title}** ({macs_per_pixel(design):.0f} multiplications a luma sample that decodes, context model "
        f"{macs_per_symbol(design):.0f} a symbol): {told[design.name]}"
        for title, design in zip(_DESIGNS, DESIGNS, strict=True)
    )
    (FOLDER / "CARD.md").write_text(
        _CARD.format(digest=digest, size=len(data), designs=designs, between=told["between"])
    )
    print(f"{digest}: {len(data)} bytes")


if __name__ == "__main__":
    main()
