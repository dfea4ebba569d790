"""`Synthesis` in integers: made from a trained one, stored as named arrays, run alike on every machine.

Steps are powers of two (`power`), bands and planes integers (`integer_transform`). The residual
network sees them cut to LARGEST_INPUT in steps of `_INPUT_BITS`; its features are whole numbers of magnitude
LARGEST_FEATURE at most, in units of 2**-FEATURE_BITS.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.base.errors import BitstreamError
from nerv_codec.base.threads import Workers
from nerv_codec.representations.shared.band_coder import Latents
from nerv_codec.representations.shared.convolution_kernel import MODULATION_BITS, add_residual, show, show_picture
from nerv_codec.representations.shared.integer_context import Arrays
from nerv_codec.representations.shared.integer_convolution import (
    Convolution,
    Features,
    Places,
    Range,
    blank,
)
from nerv_codec.representations.shared.integer_network import EXACT
from nerv_codec.representations.shared.integer_prediction import IntegerPrediction
from nerv_codec.representations.shared.integer_transform import (
    BAND_SCALE,
    EXTRA_BITS,
    GRAY_SAMPLE,
    LARGEST_SAMPLE,
    STEP_SCALE,
    Grids,
    Ints,
    Yuv,
    dequantised,
    inverse,
)
from nerv_codec.representations.shared.layout import LEVELS, NUM_PLANES, Design, bands
from nerv_codec.representations.shared.lifting_kernel import add_samples, to_samples
from nerv_codec.representations.shared.quality import NUM_CONDITIONS, NUM_LAMBDAS, Whole, mixed
from nerv_codec.representations.shared.synthesis import (
    FEATURE_BITS,
    LARGEST_FEATURE,
    LATENT_GAIN,
    Block,
    Stage,
    Synthesis,
)

LARGEST_INPUT = 16383
_INPUT_BITS = {16: 5, 8: 4, 4: 4, 2: 4}
"""Low bits of bands, in 1/256 of a code value, that the network does not see."""
_GAIN_BITS = 16
"""Of the logarithm to base 2 of a step in 2**-16 of a code value."""
_MAX_OCTAVES = 28
_ROOT_BITS = 30
_FEATURES, _HIDDEN, _INPUTS = Range(LARGEST_FEATURE), Range(LARGEST_FEATURE, signed=False), Range(LARGEST_INPUT)

Signed = tuple[Ints, Ints, Ints]
"""Planes less mid-gray, in 1/256 of a code value."""
Conditioned = npt.NDArray[np.int32]
"""(NUM_CONDITIONS, ...), see `quality.mixed`."""


def power(exponent: int) -> int:
    """2**(exponent / 2**16) by square roots of square roots of two in 30 bits, each product rounded down."""
    value, root = 1 << _ROOT_BITS, 2 << _ROOT_BITS
    for bit in reversed(range(_GAIN_BITS)):
        root = math.isqrt(root << _ROOT_BITS)
        if exponent >> bit & 1:
            value = value * root >> _ROOT_BITS
    return (value << (exponent >> _GAIN_BITS)) >> _ROOT_BITS


@dataclass(frozen=True)
class IntegerStage:
    """See `synthesis.Stage`; modulation (NUM_CONDITIONS, 2 * width) holds scales and shifts, blocks pairs of layers."""

    merge: Convolution
    modulation: Conditioned
    blocks: tuple[tuple[Convolution, Convolution], ...]
    above: Convolution | None = None

    def modulators(self, level: int, lambda_index: Whole, parents: Whole) -> tuple[Ints, Ints]:
        """Scales in 2**-MODULATION_BITS and shifts in that of a feature."""
        scale, shift = np.split(mixed(self.modulation, lambda_index, parents), 2, -1)
        return (scale + (1 << MODULATION_BITS)).astype(np.int32), (shift << FEATURE_BITS[level]).astype(np.int32)

    def __call__(
        self,
        lifted: Features,
        seen: Features,
        modulators: tuple[Ints, Ints],
        around: Sequence[Places],
        workers: Workers | None = None,
    ) -> Features:
        """Features of the grid at the wanted places (see `around`); those that are lifted are used up."""
        (merged, *places), largest = around, LARGEST_FEATURE
        self.merge.merge(seen, merged, largest, modulators, into=lifted)
        for (first, second), one, two in zip(self.blocks, places[::2], places[1::2], strict=True):
            hidden = first(lifted, one, (0, largest), None, workers, "hidden")
            second(hidden, two, (-largest, largest), lifted, workers)
        return lifted

    def around(self, wanted: Places) -> Sequence[Places]:
        """The places that each layer must give for the wanted ones, from that of `merge` on."""
        found = [wanted]
        for _ in range(2 * len(self.blocks)):
            found.append(grown(found[-1]))
        return found[::-1]


@dataclass(frozen=True)
class Told:
    """What the synthesis makes of a lambda and a number of parents.

    Attributes:
        steps: Of every band, in 2**-16 of a code value.
        modulators: Factor of the features, and what is added, half of a unit included, of every level.
    """

    steps: dict[int, Ints]
    modulators: dict[int, tuple[Ints, Ints]]


@dataclass(frozen=True, eq=False)
class IntegerSynthesis:
    """Integer stages, the last convolution, and the logarithms of the steps."""

    design: Design
    stages: dict[int, IntegerStage]
    out: Convolution
    gains: dict[int, Conditioned]

    @functools.lru_cache(maxsize=256)  # noqa: B019 - networks stay as long as the process
    def told(self, lambda_index: int, parents: int) -> Told:
        """What does not depend on the picture."""
        steps, modulators = {}, {}
        for level in LEVELS:
            exponents = mixed(self.gains[level], lambda_index, parents)
            steps[level] = np.array([power(int(exponent)) for exponent in exponents], np.int32)
            scale, shift = self.stages[level].modulators(level, lambda_index, parents)
            modulators[level] = scale, shift + np.int32(1 << MODULATION_BITS - 1)
        return Told(steps, modulators)

    def lifted(self, level: int, coarser: Features, wanted: Places) -> Features:
        """What the stage of ``2 * level`` says about this grid below its wanted places, in 2**-FEATURE_BITS[level].

        As all features, it lies in room that the thread keeps for the next picture.
        """
        above = self.stages[level].above
        assert above is not None
        return above.lift(coarser, wanted, LARGEST_FEATURE, f"lifted {level}")

    def stage(
        self,
        level: int,
        lifted: Features | None,
        values: Ints,
        prediction: IntegerPrediction,
        told: Told,
        around: Sequence[Places],
        restored: Signed | None = None,
        workers: Workers | None = None,
    ) -> Features:
        """Features of a grid at the wanted places.

        Args:
            level: Of the grid.
            lifted: What the coarser one says, used up.
            values: Bands of the latents.
            prediction: Of the picture.
            told: Steps and modulation.
            around: See `IntegerStage.around`.
            restored: At the finest grid, the planes without the residual, less mid-gray.
            workers: Who share the work.
        """
        predicted, bits = self.design.predicted, _INPUT_BITS[level]
        grids = (values, prediction.subbands[level], prediction.doubt_subbands[level])[: 3 if predicted else 1]
        count, stage = len(grids) * len(values), self.stages[level]
        wanted, seen = around[0], blank(around[0].shape, self.design.seen(level), "seen")
        show(grids, bits, LARGEST_INPUT, wanted, seen)
        if restored is not None:
            show_picture(*restored, EXTRA_BITS, LARGEST_INPUT, wanted, count, seen)
            if predicted:
                show_picture(*prediction.doubt, 0, LARGEST_INPUT, wanted, count + NUM_PLANES, seen)
        if lifted is None:
            lifted = np.zeros((*seen.shape[:2], self.design.widths[level]), np.int16)
        return stage(lifted, seen, told.modulators[level], around, workers)

    def unmended(self, latents: Latents, prediction: IntegerPrediction, lambda_index: int) -> Yuv:
        """The picture without the residual of the network."""
        told = self.told(lambda_index, prediction.parents)
        grids = {level: dequantised(latents[level], told.steps[level]) for level in LEVELS}
        return _samples(*_restored(grids, prediction))

    def __call__(
        self,
        latents: Latents,
        prediction: IntegerPrediction,
        lambda_index: int,
        wanted: Places | None = None,
        chroma: tuple[bool, bool] = (True, True),
        workers: Workers | None = None,
    ) -> Yuv:
        """The picture, samples 0..LARGEST_SAMPLE in 1/16 of a code value.

        Args:
            latents: Of every grid.
            prediction: What is known of the picture.
            lambda_index: Price of bits.
            wanted: Places of the finest grid where the residual of the network is added; None is everywhere.
            chroma: Whether it is added to U and V there.
            workers: Who share the work.
        """
        told = self.told(lambda_index, prediction.parents)
        grids = {level: dequantised(latents[level], told.steps[level]) for level in LEVELS}
        restored = _restored(grids, prediction)
        if wanted is None:
            wanted = everywhere(grids[LEVELS[-1]])
        residual = self._residual(grids, restored, prediction, told, wanted, workers)
        add_residual(residual, wanted, *restored, *chroma)
        return _samples(*restored)

    def _residual(
        self,
        grids: Grids,
        restored: Signed,
        prediction: IntegerPrediction,
        told: Told,
        wanted: Places,
        workers: Workers | None,
    ) -> Ints:
        """The residual of the network at the wanted places of the finest grid, laid out like features."""
        around = {LEVELS[-1]: self.stages[LEVELS[-1]].around(grown(wanted))}
        for level in LEVELS[-2::-1]:
            around[level] = self.stages[level].around(_halved(around[level // 2][0]))
        features = None
        for level in LEVELS:
            lifted = None if features is None else self.lifted(level, features, around[2 * level][-1])
            planes = restored if level == LEVELS[-1] else None
            features = self.stage(level, lifted, grids[level], prediction, told, around[level], planes, workers)
        assert features is not None
        return self.out.residual(features, wanted, workers)

    @classmethod
    def quantised(cls, model: Synthesis) -> IntegerSynthesis:
        """The integer form of a trained one."""
        stages = {}
        for level in LEVELS:
            stage = model.stages[str(level)]
            assert isinstance(stage, Stage)
            made = {
                name: Convolution.quantised(layer, *_units(level, name), _given(name))
                for name, layer in _layers(level, stage)
            }
            stages[level] = _stage(level, made, _fixed(stage.modulation.weight, MODULATION_BITS))
        gains = {}
        for level in LEVELS:
            octaves = model.gains[str(level)].detach().double() / math.log(2)
            octaves[0] += math.log2(STEP_SCALE)
            gains[level] = _fixed(octaves, _GAIN_BITS)
        out = Convolution.quantised(model.out, *_units(LEVELS[-1], "out"), _given("out"))
        return cls(model.design, stages, out, gains)

    def floating(self) -> Synthesis:
        """The synthesis in floats that is nearest to what decodes, for fitting latents."""
        model = Synthesis(self.design)
        with torch.no_grad():
            for level, stage in self.stages.items():
                target = model.stages[str(level)]
                for (name, layer), (_, into) in zip(_layers(level, stage), _layers(level, target), strict=True):
                    layer.copy_to(into, *_units(level, name))
                target.modulation.weight.copy_(_unfixed(stage.modulation, MODULATION_BITS))
                octaves = _unfixed(self.gains[level], _GAIN_BITS)
                octaves[0] -= math.log2(STEP_SCALE)
                model.gains[str(level)].copy_(octaves * math.log(2))
            self.out.copy_to(model.out, *_units(LEVELS[-1], "out"))
        model.eval().requires_grad_(False)
        return model

    def arrays(self) -> Arrays:
        """Named arrays for the weights file."""
        found: Arrays = {}
        for name, layer in self._named():
            found[f"{name}.weight"], found[f"{name}.shift"], found[f"{name}.bias"] = (
                layer.weight,
                layer.shift,
                layer.bias,
            )
        for level in LEVELS:
            found[f"synthesis.{level}.modulation"] = self.stages[level].modulation
            found[f"synthesis.{level}.gains"] = self.gains[level]
        return found

    def _named(self) -> list[tuple[str, Convolution]]:
        named = [
            (f"synthesis.{level}.{name}", layer)
            for level, stage in self.stages.items()
            for name, layer in _layers(level, stage)
        ]
        return [*named, ("synthesis.out", self.out)]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]], design: Design) -> IntegerSynthesis:
        """The inverse of :meth:`arrays`.

        Raises:
            BitstreamError: An array is missing, or has a wrong type, shape or range.
        """

        def read(name: str, dtype: type, shape: tuple[int, ...]) -> npt.NDArray[np.generic]:
            array = arrays.get(f"synthesis.{name}")
            if array is None or array.dtype != dtype or array.shape != shape:
                raise BitstreamError(f"the shared weights lack a good synthesis.{name}")
            return array

        def layer(name: str, like: torch.nn.Conv2d) -> Convolution:
            shape = tuple(like.weight.shape)
            found = Convolution(
                read(f"{name}.weight", np.int16, shape),  # type: ignore[arg-type]
                read(f"{name}.shift", np.int8, shape[:1]),  # type: ignore[arg-type]
                read(f"{name}.bias", np.int32, shape[:1]),  # type: ignore[arg-type]
            )
            found.check_exact(f"synthesis.{name}", _given(name))
            return found

        with torch.device("meta"):  # shapes alone
            model = Synthesis(design)
        stages, gains = {}, {}
        for level in LEVELS:
            target = _layers(level, model.stages[str(level)])
            made = {name: layer(f"{level}.{name}", like) for name, like in target}
            modulation = read(f"{level}.modulation", np.int32, (NUM_CONDITIONS, 2 * design.widths[level]))
            stages[level] = _stage(level, made, modulation)  # type: ignore[arg-type]
            gains[level] = read(f"{level}.gains", np.int32, (NUM_CONDITIONS, len(bands(level))))
        found = cls(design, stages, layer("out", model.out), gains)  # type: ignore[arg-type]
        found._check_conditions()
        return found

    def _check_conditions(self) -> None:
        """Steps and modulation at all prices must stay in range."""
        indices, parents = np.arange(NUM_LAMBDAS)[:, None, None], np.arange(3)[:, None]
        for level in LEVELS:
            exponents = mixed(self.gains[level], indices, parents)
            scale, shift = self.stages[level].modulators(level, indices, parents)
            largest = LARGEST_FEATURE * np.abs(scale) + np.abs(shift) + (1 << MODULATION_BITS)
            if exponents.min() < 0 or exponents.max() >= _MAX_OCTAVES << _GAIN_BITS:
                raise BitstreamError(f"a step of synthesis.{level} is out of range")
            if largest.max() >= EXACT:
                raise BitstreamError(f"the modulation of synthesis.{level} is too large for exact sums")


def _layers(level: int, stage: Any) -> list[tuple[str, Any]]:
    """The convolutions of a stage, of floats or of integers, with the names of their arrays."""
    names = ("merge",) if level == LEVELS[0] else ("merge", "above")
    found = [(name, getattr(stage, name)) for name in names]
    for number, block in enumerate(stage.blocks):
        first, second = (block.first, block.second) if isinstance(block, Block) else block
        found += [(f"blocks.{number}.first", first), (f"blocks.{number}.second", second)]
    return found


def _stage(level: int, layers: dict[str, Convolution], modulation: Conditioned) -> IntegerStage:
    """The inverse of :func:`_layers`."""
    inner = [layer for name, layer in layers.items() if name.startswith("blocks")]
    blocks = tuple(zip(inner[::2], inner[1::2], strict=True))
    return IntegerStage(layers["merge"], modulation, blocks, layers.get("above"))


def _units(level: int, name: str) -> tuple[float, float]:
    """Unit of a layer's inputs over that of its outputs, and the latter."""
    feature = 2.0 ** -FEATURE_BITS[level]
    if name == "merge":
        return LATENT_GAIN * 2 ** _INPUT_BITS[level] / BAND_SCALE / feature, feature
    if name == "above":
        return 2.0 ** -FEATURE_BITS[2 * level] / feature, feature
    if name == "out":
        return feature * BAND_SCALE, 1 / BAND_SCALE
    return 1.0, feature


def _given(name: str) -> Range:
    return {"merge": _INPUTS, "second": _HIDDEN}.get(name.rpartition(".")[2], _FEATURES)


def everywhere(grid: Ints) -> Places:
    """All places of a grid (bands, rows, cols)."""
    return np.ones(grid.shape[1:], np.bool_)


def grown(places: Places) -> Places:
    """Places that a convolution of 3 x 3 looks at."""
    tall = places.copy()
    tall[1:] |= places[:-1]
    tall[:-1] |= places[1:]
    wide = tall.copy()
    wide[:, 1:] |= tall[:, :-1]
    wide[:, :-1] |= tall[:, 1:]
    return wide


def _halved(places: Places) -> Places:
    """Places of the next coarser grid that lie above any of these."""
    rows = places[::2] | places[1::2]
    return rows[:, ::2] | rows[:, 1::2]


def _restored(grids: Grids, prediction: IntegerPrediction) -> Signed:
    """What prediction and latents say without the residual, less mid-gray, in 1/256 of a code value."""
    planes = inverse(grids)
    for plane, expected in zip(planes, prediction.planes, strict=True):
        add_samples(plane, expected, np.int32(GRAY_SAMPLE), np.int32(EXTRA_BITS))
    return planes


def _samples(*planes: Ints) -> Yuv:
    """Integers in 1/256 of a code value less mid-gray as samples."""
    y, u, v = (np.empty(plane.shape, np.int16) for plane in planes)
    for plane, out in zip(planes, (y, u, v), strict=True):
        to_samples(plane, np.int32(GRAY_SAMPLE), np.int32(EXTRA_BITS), np.int32(LARGEST_SAMPLE), out)
    return y, u, v


def _fixed(values: Tensor, bits: int) -> Conditioned:
    scaled = np.rint(np.ldexp(values.detach().double().numpy(), bits))
    fixed: Conditioned = scaled.astype(np.int32)
    return fixed


def _unfixed(values: Conditioned, bits: int) -> Tensor:
    return torch.from_numpy(np.ldexp(values.astype(np.float64), -bits))
