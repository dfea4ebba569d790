"""Trains shared networks: ``python -m tools.training.train_shared --data <folder> --design alone --minutes 600``.

May be killed at any time; the same command goes on from the last checkpoint. ``--minutes`` counts the time of all runs
of a checkpoint together; given more of it, a finished run goes on. Export with ``tools.training.export_shared``.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from nerv_codec.representations.shared.layout import ALONE
from nerv_codec.representations.shared.networks import SharedNetworks, distortion
from nerv_codec.representations.shared.prediction import Prediction
from nerv_codec.representations.shared.quality import CENTRE, lambda_value, lambda_values
from nerv_codec.representations.shared.transform import GRAY
from nerv_codec.representations.shared.weights import load_weights
from tools.training import checkpoint
from tools.training.growing import grow
from tools.training.nodes import Batch, NodeCrops
from tools.training.optimiser import Average, Muon, is_matrix
from tools.training.pictures import Crops, load
from tools.training.stepping import halve, stepper

PACKAGE = "package"
"""The networks that are shipped, as what to start from."""
LOWEST, HIGHEST = 4.0, 72.0
"""Range of lambda indices that is trained: 2.2e-5 to 7.8e-3."""
CHROMA = 2.0
"""Weight of errors of chroma, as encoders weigh them (`refining.CHROMA`)."""
RATE_EXPONENT = 0.35
"""Loss times (lambda / centre)**this: bits fall with lambda, and a per cent should weigh alike everywhere."""
SAVE_SECONDS = 60.0
LOG_STEPS = 50
JUDGE_STEPS, JUDGED = 500, 256
"""How often held-out crops are looked at, and how many."""
LARGEST_GRADIENT = 2.0
RISE = 1.05
"""Rates grow by at most this factor a step, at the start and where a finished run goes on."""
_BAR = "{percentage:3.0f} % |{bar:20}| {n_fmt} of {total_fmt} s{postfix}"


@dataclass(frozen=True)
class Settings:
    """What shapes a run.

    Attributes:
        design: Name of what is trained: for pictures alone, or for nodes with parents on one side or on both.
        minutes: Time of all runs of the checkpoint together.
        batch: Crops a step.
        crop: Their side in luma samples, a multiple of 16.
        muon: Learning rate of matrices.
        adam: Learning rate of everything else.
        flat: Share of the time before rates begin to fall.
        seed: Of crops and noise.
        steps: Stop after so many, if not 0.
        start: Checkpoint of networks, perhaps smaller, to begin with, or `PACKAGE`, if any.
        anew: Pattern of how names of parameters begin that start at random all the same, if any.
        only: Likewise of those that move; all if it is empty.
    """

    design: str = ALONE.name
    minutes: float = 60.0
    batch: int = 8
    crop: int = 96
    muon: float = 2e-3
    adam: float = 1.5e-3
    flat: float = 0.35
    seed: int = 0
    steps: int = 0
    start: str = ""
    anew: str = ""
    only: str = ""

    def rate(self, before: float, seconds: float) -> float:
        """Factor of the learning rates after the one before: flat, then a cosine down to 1/100; it rises slowly."""
        done = min(seconds / (60 * self.minutes), 1.0)
        fall = max(0.0, (done - self.flat) / (1 - self.flat))
        return min(0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fall)), before * RISE)


class Data:
    """Pictures, or nodes that motion predicts, of sources that are trained on or of held-out ones."""

    def __init__(self, source: Crops | NodeCrops, rng: torch.Generator) -> None:
        self.source, self.rng = source, rng

    def draw(self, count: int) -> Batch:
        """So many crops."""
        if isinstance(self.source, NodeCrops):
            return self.source.draw(count)
        planes = self.source.draw(count)
        index = torch.rand(count, device=planes.device, generator=self.rng) * (HIGHEST - LOWEST) + LOWEST
        none = torch.zeros_like(planes)
        return Batch(planes, none + GRAY, none, index, torch.zeros_like(index))


def costs(networks: SharedNetworks, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """D / lambda + R, squared error, and bits per luma sample of every picture of a batch."""
    prediction = Prediction.of(batch.prediction, batch.doubt, batch.parents)
    coded = networks(batch.planes, prediction, batch.index)
    wrong = distortion(batch.planes, coded.planes.float(), CHROMA)
    bits = torch.stack(list(coded.bits.values())).sum(0) / (4 * batch.planes[0, 0].numel())
    return wrong / lambda_values(batch.index) + bits, wrong, bits


class Run:
    """Networks, optimisers, crops; one step after another."""

    def __init__(
        self, settings: Settings, data: Path, more: tuple[Path, ...], folder: Path, device: torch.device
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.device, self.path = settings, device, folder / "checkpoint.pt"
        self.rng, self.design = torch.Generator(device).manual_seed(settings.seed), checkpoint.NAMED[settings.design]
        self.data, self.held_out = self._sources(data, more, folder.parent)
        self.networks = self._networks().train()
        if device.type == "cuda":
            halve(self.networks)
        if settings.start:
            known = self._known()
            anew = settings.anew or "$"
            grow(self.networks, {name: value for name, value in known.items() if not re.match(anew, name)})
        named = [one for one in self.networks.named_parameters() if re.match(settings.only, one[0])]
        self.networks.requires_grad_(False)
        for _, parameter in named:
            parameter.requires_grad_()
        rate = torch.tensor(0.0, device=device)
        self.muon = Muon([p for name, p in named if is_matrix(name, p)], rate)
        others = [p for name, p in named if not is_matrix(name, p)]
        self.adam = torch.optim.Adam(others, rate.clone(), (0.9, 0.98), capturable=device.type == "cuda")
        self.average = Average(self.networks, 0.999)
        self.step, self.seconds, self.factor = 0, 0.0, 0.01
        self.log: list[list[float]] = []
        example = self.data.draw(settings.batch)
        if self.path.exists():
            self._restore()
        self._moved = stepper(self._move, example, device)

    def _known(self) -> dict[str, Tensor]:
        """The weights of the networks to begin with."""
        if self.settings.start == PACKAGE:
            return load_weights().of(self.design.sides).floating.state_dict()
        return checkpoint.load(Path(self.settings.start))["average"]

    def _networks(self) -> SharedNetworks:
        # cuDNN's kernels for matrix units want channels last
        return SharedNetworks(self.design).to(self.device, memory_format=torch.channels_last)

    def _sources(self, data: Path, more: tuple[Path, ...], folder: Path) -> tuple[Data, Data | None]:
        """What is trained on, and what is judged on if anything is held out."""
        crop, rngs = self.settings.crop, (self.rng, torch.Generator(self.device))
        if self.design.predicted:
            found = [
                NodeCrops(folder / "nodes", crop, rng, self.design.sides, held)
                for rng, held in zip(rngs, (False, True), strict=True)
            ]
            data_of = [Data(nodes, rng) if len(nodes) else None for nodes, rng in zip(found, rngs, strict=True)]
        else:
            pictures = load(data, more, folder / "pictures.npz")
            parts = [[picture for picture in pictures if picture.held_out == held] for held in (False, True)]
            data_of = [
                Data(Crops(part, crop, rng, toned=rng is self.rng), rng) if part else None
                for part, rng in zip(parts, rngs, strict=True)
            ]
        if data_of[0] is None:
            raise SystemExit("nothing to train on; nodes are made by tools.training.nodes")
        return data_of[0], data_of[1]

    def _restore(self) -> None:
        state = checkpoint.load(self.path)
        self.networks.load_state_dict(state["networks"])
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])
        for group in (*self.muon.param_groups, *self.adam.param_groups):
            group["lr"] = torch.as_tensor(group["lr"]).to(self.device)
        self.average.weights = {name: value.to(self.device) for name, value in state["average"].items()}
        self.average.steps = self.step = state["step"]
        self.seconds, self.factor, self.log = state["seconds"], state["factor"], state["log"]
        self.rng.set_state(state["rng"])
        torch.set_rng_state(state["torch_rng"])

    def save(self) -> None:
        """Writes the checkpoint, and the log as JSON lines beside it."""
        checkpoint.save(
            self.path,
            {
                "settings": vars(self.settings),
                "device": self.device.type,
                "networks": self.networks.state_dict(),
                "average": self.average.weights,
                "muon": self.muon.state_dict(),
                "adam": self.adam.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
                "factor": self.factor,
                "log": self.log,
                "rng": self.rng.get_state(),
                "torch_rng": torch.get_rng_state(),
            },
        )
        keys = ("step", "seconds", "rate", "loss", "cost", "bits", "psnr", "held_out")
        lines = [json.dumps(dict(zip(keys, entry, strict=True))) for entry in self.log]
        self.path.with_name("log.jsonl").write_text("\n".join(lines) + "\n")

    def _move(self, batch: Batch) -> Tensor:
        """Gradients and updates; loss, D / lambda + R, bits per luma sample and PSNR, averaged over the batch."""
        bf16 = self.device.type == "cpu" and torch.cpu._is_amx_tile_supported()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            cost, wrong, bits = costs(self.networks, batch)
        loss = (cost * (lambda_values(batch.index) / lambda_value(CENTRE)) ** RATE_EXPONENT).mean()
        loss.backward()
        for parameter in self.networks.parameters():
            if parameter.grad is not None:
                torch.nan_to_num_(parameter.grad, 0, 0, 0)
        torch.nn.utils.clip_grad_norm_(self.networks.parameters(), LARGEST_GRADIENT, foreach=True)
        self.muon.step()
        self.adam.step()
        self.networks.zero_grad(set_to_none=True)
        psnr = -10 * torch.log10(wrong + 1e-9)
        return torch.stack([loss, cost.mean(), bits.mean(), psnr.mean()]).detach()

    def advance(self) -> list[float]:
        """One step; rate, loss, D / lambda + R, bits per luma sample and PSNR, averaged over the batch."""
        settings = self.settings
        self.factor = settings.rate(self.factor, self.seconds)
        for optimiser, rate in ((self.muon, settings.muon), (self.adam, settings.adam)):
            for group in optimiser.param_groups:
                group["lr"].fill_(rate * self.factor)
        found = self._moved(self.data.draw(settings.batch)).tolist()
        self.average.update(self.networks)
        self.step += 1
        return [self.factor, *found]

    @torch.no_grad()
    def judge(self) -> list[float]:
        """Mean D / lambda + R of held-out crops by number of parents, with averaged weights and the same lambdas."""
        if self.held_out is None:
            return []
        networks = self._networks().eval()
        networks.load_state_dict(self.average.weights)
        self.held_out.rng.manual_seed(1)
        found = []
        for _ in range(JUDGED // self.settings.batch + 1):
            batch = self.held_out.draw(self.settings.batch)
            found.append(torch.stack([costs(networks, batch)[0], batch.parents]))
        cost, parents = torch.cat(found, 1)
        return [round(float(cost[parents == number].mean()), 5) for number in range(3) if (parents == number).any()]

    def train(self) -> None:
        """Until time or steps are up."""
        settings, recent, saved = self.settings, [], time.monotonic()
        limit = 60 * settings.minutes
        with tqdm(total=round(limit), initial=round(self.seconds), bar_format=_BAR) as bar:
            while self.seconds < limit and not 0 < settings.steps <= self.step:
                begun = time.monotonic()
                recent.append(self.advance())
                ended = time.monotonic()
                self.seconds += ended - begun
                bar.update(round(self.seconds) - bar.n)
                if self.step % LOG_STEPS == 0:
                    means = np.mean(recent, 0).tolist()
                    entry = [self.step, round(self.seconds, 1), *(round(value, 5) for value in means)]
                    self.log.append([*entry, self.judge() if self.step % JUDGE_STEPS == 0 else []])
                    bar.set_postfix_str(
                        f"step {self.step}, J / lambda {means[2]:.3f}, {means[3]:.3f} bpp, {means[4]:.2f} dB"
                    )
                    recent = []
                if ended - saved > SAVE_SECONDS:
                    self.save()
                    for data in (self.data, self.held_out):
                        if data is not None and isinstance(data.source, NodeCrops):
                            data.source.refresh()
                    saved = ended
        self.save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with video/ and photo/")
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="folders of further pictures, *.webp")
    parser.add_argument("--out", type=Path, default=Path(".training/shared"), help="folder of the checkpoint")
    parser.add_argument("--threads", type=int, default=1)
    for name, default in vars(Settings()).items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    options = vars(parser.parse_args())
    data, more, folder, threads = (options.pop(name) for name in ("data", "more", "out", "threads"))
    torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    Run(Settings(**options), data, tuple(more), folder, device).train()


if __name__ == "__main__":
    main()
