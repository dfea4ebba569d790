"""Fits what decodes to what encoders decide: ``python -m tools.training.train_decoder --design one_sided``.

The shipped networks go on with the latents of `tools.training.coded`, which stay as they are: the context model with
their bits, the finest stage of the synthesis (which no analysis looks at) with the error where pictures are mended.
May be killed at any time; the same command goes on from the last checkpoint. With ``--contexts`` the context model
alone is fitted. Export with ``tools.training.export_shared``.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from nerv_codec.representations.shared.layout import DESIGNS, LEVELS, Design
from nerv_codec.representations.shared.networks import SharedNetworks, distortion
from nerv_codec.representations.shared.quality import CENTRE, conditions, lambda_value, lambda_values
from nerv_codec.representations.shared.weights import load_weights
from tools.training import checkpoint
from tools.training.coded import Coded, is_held_out, read
from tools.training.optimiser import Average
from tools.training.train_shared import CHROMA, LARGEST_GRADIENT, RATE_EXPONENT

CONTEXTS = re.compile(r"context\.")
MOVED = re.compile(rf"{CONTEXTS.pattern}|synthesis\.out\.|synthesis\.stages\.{LEVELS[-1]}\.(merge|modulation|blocks)\.")
"""Names of what is fitted."""
RATE = 4e-4
BATCH = 4
SAVE_SECONDS = 120.0


def costs(networks: SharedNetworks, coded: Coded, contexts: bool = False) -> tuple[Tensor, Tensor]:
    """Bits per luma sample, and the error of the mended squares over lambda, if not ``contexts``, of a picture."""
    samples = 4 * coded.planes[0, 0].numel()
    rates = networks.rates(coded.latents, coded.prediction, coded.index)
    # a band that is empty takes a flag and nothing else
    bits = torch.stack([(rates[n] * grid.any(-1, True).any(-2, True)).sum() for n, grid in coded.latents.items()])
    if contexts:
        return bits.sum() / samples, torch.zeros(())
    given = conditions(coded.index, coded.prediction.parents)
    found = networks.synthesis(coded.latents, coded.prediction, given)
    shown = torch.where(coded.mended, found, coded.planes)
    wrong = distortion(coded.planes, shown, CHROMA) / lambda_values(coded.index)
    return bits.sum() / samples, wrong[0]


class Run:
    """Networks, their optimiser, and nodes with parents on as many sides in time: one step after another."""

    def __init__(self, design: Design, nodes: Path, path: Path, minutes: float, contexts: bool = False) -> None:
        torch.manual_seed(0)
        files = sorted(nodes.glob("*.npz"))
        self.known, self.held_out = (
            [one for file in files if is_held_out(file) == held for one in read(file, design.sides)]
            for held in (False, True)
        )
        self.design, self.path, self.minutes, self.contexts = design, path, minutes, contexts
        self.networks = SharedNetworks(design)
        self.networks.load_state_dict(load_weights().of(design.sides).floating.state_dict())
        self.networks.requires_grad_(False).eval()
        pattern = CONTEXTS if contexts else MOVED
        moved = [one for name, one in self.networks.named_parameters() if pattern.match(name)]
        for parameter in moved:
            parameter.requires_grad_()
        self.optimiser = torch.optim.Adam(moved, RATE, (0.9, 0.98))
        self.average = Average(self.networks, 0.998)
        self.rng, self.step, self.seconds = np.random.default_rng(0), 0, 0.0
        self.log: list[list[float]] = []
        if path.exists():
            self._restore()

    def advance(self) -> None:
        """A step."""
        done = min(self.seconds / (60 * self.minutes), 1.0)
        self.optimiser.param_groups[0]["lr"] = (
            RATE * min(1.0, (self.step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * done))
        )
        for number in self.rng.integers(len(self.known), size=BATCH):
            bits, wrong = costs(self.networks, self.known[number], self.contexts)
            weight = (lambda_values(self.known[number].index) / lambda_value(CENTRE)) ** RATE_EXPONENT
            ((bits + wrong) * weight / BATCH).backward()
        torch.nn.utils.clip_grad_norm_(self.optimiser.param_groups[0]["params"], LARGEST_GRADIENT)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.average.update(self.networks)
        self.step += 1

    @torch.no_grad()
    def judge(self) -> list[float]:
        """Bits, and error over lambda, of held-out pictures with averaged weights."""
        networks = SharedNetworks(self.design).eval()
        networks.load_state_dict(self.average.weights)
        found = torch.tensor([costs(networks, one, self.contexts) for one in self.held_out]).reshape(-1, 2)
        return [round(value, 6) for value in found.mean(0).tolist()]

    def train(self) -> None:
        """Until time is up."""
        limit, saved = 60 * self.minutes, time.monotonic()
        if not self.log:
            self.log.append([0, 0.0, *self.judge()])
        with tqdm(total=round(limit), initial=round(self.seconds), unit="s") as bar:
            while self.seconds < limit:
                begun = time.monotonic()
                self.advance()
                self.seconds += time.monotonic() - begun
                bar.update(round(self.seconds) - bar.n)
                if time.monotonic() - saved > SAVE_SECONDS:
                    self.log.append([self.step, round(self.seconds, 1), *self.judge()])
                    bar.set_postfix_str(f"step {self.step}: {self.log[-1][2:]}")
                    self.save()
                    saved = time.monotonic()
        self.log.append([self.step, round(self.seconds, 1), *self.judge()])
        self.save()

    def save(self) -> None:
        """Everything that a run needs to go on, and what `export_shared` asks for."""
        flag = " --contexts" if self.contexts else ""
        (first, last) = (entry[2] + entry[3] for entry in (self.log[0], self.log[-1]))
        then = (
            f"Then {'its context model' if self.contexts else 'what decodes'} was fitted to {len(self.known)} pictures "
            f"as the encoder codes them (`tools.training.coded`, `tools.training.train_decoder{flag} --design "
            f"{self.design.name} --minutes {self.minutes:g}`, {self.step} steps of {BATCH}): held-out pictures "
            f"{100 * (last / first - 1):+.1f} % bits{'' if self.contexts else ' and error over lambda'}."
        )
        checkpoint.save(
            self.path,
            {
                "settings": {"design": self.design.name},
                "then": then,
                "networks": self.networks.state_dict(),
                "average": self.average.weights,
                "steps": self.average.steps,
                "adam": self.optimiser.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
                "log": self.log,
                "rng": json.dumps(self.rng.bit_generator.state),
            },
        )

    def _restore(self) -> None:
        state = checkpoint.load(self.path)
        self.networks.load_state_dict(state["networks"])
        self.average.weights, self.average.steps = state["average"], state["steps"]
        self.optimiser.load_state_dict(state["adam"])
        self.step, self.seconds, self.log = state["step"], state["seconds"], state["log"]
        self.rng.bit_generator.state = json.loads(state["rng"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--design", choices=[design.name for design in DESIGNS], required=True)
    parser.add_argument("--nodes", type=Path, default=Path(".training/coded"), help="folder of `tools.training.coded`")
    parser.add_argument("--out", type=Path, default=Path(".training/decoder"), help="folder of the checkpoints")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--contexts", action="store_true", help="the context model alone")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{options.design}.pt"
    Run(checkpoint.NAMED[options.design], options.nodes, path, options.minutes, options.contexts).train()


if __name__ == "__main__":
    main()
