"""Trains the shared networks: ``python -m tools.training.train_shared --data <folder> --minutes 600``.

May be killed at any time; the same command goes on from the last checkpoint. ``--minutes`` counts the time of all runs
of a checkpoint together; given more of it, a finished run goes on. Export with ``tools.training.export_shared``.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from nerv_codec.representations.shared.networks import SharedNetworks, distortion
from nerv_codec.representations.shared.prediction import Prediction
from nerv_codec.representations.shared.quality import CENTRE, lambda_value
from nerv_codec.representations.shared.transform import GRAY, pack
from tools.training import checkpoint
from tools.training.nodes import NodeCrops
from tools.training.optimiser import Average, Muon, is_matrix
from tools.training.pictures import Crops, load

LOWEST, HIGHEST = 4.0, 76.0
"""Range of lambda indices that is trained: 2.2e-5 to 1.1e-2."""
RATE_EXPONENT = 0.35
"""Loss times (lambda / centre)**this: bits fall with lambda, and a per cent should weigh alike everywhere."""
SAVE_SECONDS = 60.0
LOG_STEPS = 50
RISE = 1.05
"""Rates grow by at most this factor a step, at the start and where a finished run goes on."""
_BAR = "{percentage:3.0f} % |{bar:20}| {n_fmt} of {total_fmt} s{postfix}"


@dataclass(frozen=True)
class Settings:
    """What shapes a run.

    Attributes:
        minutes: Time of all runs of the checkpoint together.
        batch: Crops a step.
        crop: Their side in luma samples, a multiple of 16.
        muon: Learning rate of matrices.
        adam: Learning rate of everything else.
        flat: Share of the time before rates begin to fall.
        alone: Share of pictures without parents, where `nodes` has been run.
        seed: Of crops and noise.
        steps: Stop after so many, if not 0.
    """

    minutes: float = 60.0
    batch: int = 8
    crop: int = 96
    muon: float = 2e-3
    adam: float = 1.5e-3
    flat: float = 0.35
    alone: float = 0.4
    seed: int = 0
    steps: int = 0

    def rate(self, before: float, seconds: float) -> float:
        """Factor of the learning rates after the one before: flat, then a cosine down to 1/100; it rises slowly."""
        done = min(seconds / (60 * self.minutes), 1.0)
        fall = max(0.0, (done - self.flat) / (1 - self.flat))
        return min(0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fall)), before * RISE)


class Run:
    """Networks, optimisers, crops; one step after another."""

    def __init__(self, settings: Settings, data: Path, folder: Path, device: torch.device) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.device, self.path = settings, device, folder / "checkpoint.pt"
        self.rng = np.random.default_rng(settings.seed)
        pictures = load(data, folder.parent / "pictures.npz")
        self.crops = Crops([picture for picture in pictures if not picture.held_out], settings.crop, self.rng)
        found = (folder.parent / "nodes").is_dir() and settings.alone < 1
        self.nodes = NodeCrops(folder.parent / "nodes", settings.crop, self.rng) if found else None
        self.networks = SharedNetworks().to(device).train()
        named = list(self.networks.named_parameters())
        self.muon = Muon([p for name, p in named if is_matrix(name, p)], settings.muon)
        self.adam = torch.optim.Adam([p for name, p in named if not is_matrix(name, p)], settings.adam, (0.9, 0.98))
        self.average = Average(self.networks, 0.999)
        self.step, self.seconds, self.factor = 0, 0.0, 0.01
        self.log: list[list[float]] = []
        if self.path.exists():
            self._restore()
        self.bf16 = device.type == "cuda" or torch.cpu._is_amx_tile_supported()

    def _restore(self) -> None:
        state = checkpoint.load(self.path)
        self.networks.load_state_dict(state["networks"])
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])
        self.average.weights = {name: value.to(self.device) for name, value in state["average"].items()}
        self.average.steps = self.step = state["step"]
        self.seconds, self.factor, self.log = state["seconds"], state["factor"], state["log"]
        checkpoint.restore_rng(self.rng, state["rng"])
        torch.set_rng_state(state["torch_rng"])

    def save(self) -> None:
        """Writes the checkpoint, and the log as JSON lines beside it."""
        checkpoint.save(
            self.path,
            {
                "networks": self.networks.state_dict(),
                "average": self.average.weights,
                "muon": self.muon.state_dict(),
                "adam": self.adam.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
                "factor": self.factor,
                "log": self.log,
                "rng": checkpoint.rng_state(self.rng),
                "torch_rng": torch.get_rng_state(),
            },
        )
        keys = ("step", "seconds", "rate", "loss", "cost", "bits", "psnr")
        lines = [json.dumps(dict(zip(keys, entry, strict=True))) for entry in self.log]
        self.path.with_name("log.jsonl").write_text("\n".join(lines) + "\n")

    def _draw(self) -> tuple[Tensor, Prediction, Tensor]:
        """Planes, predictions and lambda indices of a batch: pictures alone, and nodes that motion predicts."""
        settings, rng = self.settings, self.rng
        alone = settings.batch if self.nodes is None else int(rng.binomial(settings.batch - 2, settings.alone)) + 1
        luma, chroma = (torch.from_numpy(part) for part in self.crops.draw(alone))
        planes = pack(luma, chroma)
        index = torch.from_numpy(rng.uniform(LOWEST, HIGHEST, alone)).float()
        gray, none, parents = torch.full_like(planes, GRAY), torch.zeros_like(planes), torch.zeros(alone)
        if self.nodes is not None:
            drawn = self.nodes.draw(settings.batch - alone)
            planes, index = torch.cat([planes, drawn.planes]), torch.cat([index, drawn.index])
            gray, none = torch.cat([gray, drawn.prediction]), torch.cat([none, drawn.doubt])
            parents = torch.cat([parents, drawn.parents])
        planes, gray, none, parents, index = (part.to(self.device) for part in (planes, gray, none, parents, index))
        return planes, Prediction.of(gray, none, parents), index

    def advance(self) -> list[float]:
        """One step; rate, loss, D / lambda + R, bits per luma sample and PSNR, averaged over the batch."""
        settings = self.settings
        self.factor = settings.rate(self.factor, self.seconds)
        for optimiser, rate in ((self.muon, settings.muon), (self.adam, settings.adam)):
            for group in optimiser.param_groups:
                group["lr"] = rate * self.factor
        planes, prediction, index = self._draw()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            coded = self.networks(planes, prediction, index)
        wrong = distortion(planes, coded.planes.float())
        bits = torch.stack(list(coded.bits.values())).sum(0) / settings.crop**2
        price = lambda_value(CENTRE) * torch.exp2((index - CENTRE) / 8)
        cost = wrong / price + bits
        loss = (cost * (price / lambda_value(CENTRE)) ** RATE_EXPONENT).mean()
        self.networks.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.networks.parameters(), 2.0 if self.step > 200 else 10.0)
        if torch.isfinite(norm):
            self.muon.step()
            self.adam.step()
            self.average.update(self.networks)
        self.step += 1
        psnr = -10 * torch.log10(wrong + 1e-9)
        return [self.factor, *(float(value.detach().mean()) for value in (loss, cost, bits, psnr))]

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
                    self.log.append([self.step, round(self.seconds, 1), *(round(value, 5) for value in means)])
                    bar.set_postfix_str(
                        f"step {self.step}, J / lambda {means[2]:.3f}, {means[3]:.3f} bpp, {means[4]:.2f} dB"
                    )
                    recent = []
                if ended - saved > SAVE_SECONDS:
                    self.save()
                    saved = ended
        self.save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with video/ and photo/")
    parser.add_argument("--out", type=Path, default=Path(".training/shared"), help="folder of the checkpoint")
    parser.add_argument("--threads", type=int, default=1)
    for name, default in vars(Settings()).items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    options = vars(parser.parse_args())
    data, folder, threads = options.pop("data"), options.pop("out"), options.pop("threads")
    torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)
    Run(Settings(**options), data, folder, torch.device("cuda" if torch.cuda.is_available() else "cpu")).train()


if __name__ == "__main__":
    main()
