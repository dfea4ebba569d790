"""`Synthesis` in integers: made from a trained one, stored as named arrays, run alike on every machine.

Steps are powers of two (`power`), bands and planes integers (`integer_transform`). The residual
network sees them cut to LARGEST_INPUT in steps of `_INPUT_BITS`; its features are whole numbers of magnitude
LARGEST_FEATURE at most, in units of 2**-FEATURE_BITS.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.shared.band_coder import Latents
from nerv_codec.representations.shared.integer_context import Arrays
from nerv_codec.representations.shared.integer_convolution import Convolution, Range
from nerv_codec.representations.shared.integer_network import EXACT
from nerv_codec.representations.shared.integer_prediction import IntegerPrediction, six_planes
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
from nerv_codec.representations.shared.layout import LEVELS, bands
from nerv_codec.representations.shared.quality import NUM_CONDITIONS, NUM_LAMBDAS, mixed
from nerv_codec.representations.shared.synthesis import LATENT_GAIN, WIDTHS, Stage, Synthesis
from nerv_codec.representations.shared.transform import unpack

FEATURE_BITS = {16: 10, 8: 10, 4: 11, 2: 11}
LARGEST_FEATURE = 3071
LARGEST_INPUT = 16383
_INPUT_BITS = {16: 5, 8: 4, 4: 4, 2: 4}
"""Low bits of bands, in 1/256 of a code value, that the network does not see."""
_MODULATION_BITS = 10
_GAIN_BITS = 16
"""Of the logarithm to base 2 of a step in 2**-16 of a code value."""
_MAX_OCTAVES = 28
_ROOT_BITS = 30
_FEATURES, _HIDDEN, _INPUTS = Range(LARGEST_FEATURE), Range(LARGEST_FEATURE, signed=False), Range(LARGEST_INPUT)

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
    """See `synthesis.Stage`; modulation (NUM_CONDITIONS, 2 * width) holds scales and shifts."""

    merge: Convolution
    modulation: Conditioned
    first: Convolution
    second: Convolution
    above: Convolution | None = None

    def modulators(self, level: int, lambda_index: int, parents: int) -> tuple[Ints, Ints]:
        """Scales in 2**-_MODULATION_BITS and shifts in that of a feature."""
        scale, shift = np.split(mixed(self.modulation, lambda_index, parents), 2)
        return (scale + (1 << _MODULATION_BITS)).astype(np.int32), (shift << FEATURE_BITS[level]).astype(np.int32)

    def __call__(self, lifted: Tensor | None, seen: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Features of the grid."""
        x = self.merge(seen)
        if lifted is not None:
            x += lifted
        x = (
            x.clamp_(-LARGEST_FEATURE, LARGEST_FEATURE)
            .mul_(scale)
            .add_(shift)
            .floor_()
            .clamp_(-LARGEST_FEATURE, LARGEST_FEATURE)
        )
        hidden = self.first(x).clamp_(0, LARGEST_FEATURE)
        return self.second(hidden).add_(x).clamp_(-LARGEST_FEATURE, LARGEST_FEATURE)


@dataclass(frozen=True)
class Told:
    """What the synthesis makes of a lambda and a number of parents.

    Attributes:
        steps: Of every band, in 2**-16 of a code value.
        modulators: Factor of the features, and what is added, of every level.
    """

    steps: dict[int, Ints]
    modulators: dict[int, tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class IntegerSynthesis:
    """Integer stages, the last convolution, and the logarithms of the steps."""

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
            unit = 2.0**-_MODULATION_BITS
            pair = torch.from_numpy(scale) * unit, torch.from_numpy(shift) * unit + 0.5
            modulators[level] = pair[0].float()[:, None, None], pair[1].float()[:, None, None]
        return Told(steps, modulators)

    def lifted(self, level: int, coarser: Tensor) -> Tensor:
        """What the stage of ``2 * level`` says about this grid, in 2**-FEATURE_BITS[level]."""
        above = self.stages[level].above
        assert above is not None
        return functional.pixel_shuffle(above(coarser).clamp_(-LARGEST_FEATURE, LARGEST_FEATURE), 2)

    def stage(
        self, level: int, lifted: Tensor | None, grids: Grids, prediction: IntegerPrediction, told: Told
    ) -> Tensor:
        """Features of a grid from its bands; at the finest, all bands must be there."""
        parts = [grids[level], prediction.subbands[level], prediction.doubt_subbands[level]]
        seen = [_seen(torch.from_numpy(np.concatenate(parts))[None], _INPUT_BITS[level])]
        if level == LEVELS[-1]:
            seen.append(_seen(six_planes(_restored(grids, prediction)), EXTRA_BITS))
            seen.append(six_planes(prediction.doubt))
        return self.stages[level](lifted, torch.cat(seen, 1), *told.modulators[level])

    def planes(self, features: Tensor, grids: Grids, prediction: IntegerPrediction) -> Yuv:
        """The picture from the finest features, in 1/16 of a code value."""
        luma, chroma = unpack(self.out(features))
        residuals = (plane.numpy().astype(np.int32) for plane in (luma[0, 0], *chroma[0]))
        y, u, v = (plane + residual for plane, residual in zip(_restored(grids, prediction), residuals, strict=True))
        return _samples(y, u, v)

    def unmended(self, latents: Latents, prediction: IntegerPrediction, lambda_index: int) -> Yuv:
        """The picture without the residual of the network."""
        told = self.told(lambda_index, prediction.parents)
        grids = {level: dequantised(latents[level], told.steps[level]) for level in LEVELS}
        return _samples(*_restored(grids, prediction))

    @torch.no_grad()
    def __call__(self, latents: Latents, prediction: IntegerPrediction, lambda_index: int) -> Yuv:
        """The picture, samples 0..LARGEST_SAMPLE in 1/16 of a code value."""
        told = self.told(lambda_index, prediction.parents)
        features, grids = None, {}
        for level in LEVELS:
            grids[level] = dequantised(latents[level], told.steps[level])
            lifted: Tensor | None = None if features is None else self.lifted(level, features)
            features = self.stage(level, lifted, grids, prediction, told)
        assert features is not None
        return self.planes(features, grids, prediction)

    @classmethod
    def quantised(cls, model: Synthesis) -> IntegerSynthesis:
        """The integer form of a trained one."""
        stages = {}
        for level in LEVELS:
            stage = model.stages[str(level)]
            assert isinstance(stage, Stage)
            made = {
                name: Convolution.quantised(getattr(stage, name), *_units(level, name), _given(name))
                for name in _layer_names(level)
            }
            stages[level] = IntegerStage(modulation=_fixed(stage.modulation.weight, _MODULATION_BITS), **made)
        gains = {}
        for level in LEVELS:
            octaves = model.gains[str(level)].detach().double() / math.log(2)
            octaves[0] += math.log2(STEP_SCALE)
            gains[level] = _fixed(octaves, _GAIN_BITS)
        return cls(stages, Convolution.quantised(model.out, *_units(LEVELS[-1], "out"), _given("out")), gains)

    def floating(self) -> Synthesis:
        """The synthesis in floats that is nearest to what decodes, for fitting latents."""
        model = Synthesis()
        with torch.no_grad():
            for level, stage in self.stages.items():
                target = model.stages[str(level)]
                for name in _layer_names(level):
                    getattr(stage, name).copy_to(getattr(target, name), *_units(level, name))
                target.modulation.weight.copy_(_unfixed(stage.modulation, _MODULATION_BITS))
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
            (f"synthesis.{level}.{name}", getattr(stage, name))
            for level, stage in self.stages.items()
            for name in _layer_names(level)
        ]
        return [*named, ("synthesis.out", self.out)]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> IntegerSynthesis:
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
            found.check_exact(f"synthesis.{name}", _given(name.rpartition(".")[2]))
            return found

        model, stages, gains = Synthesis(), {}, {}
        for level in LEVELS:
            target = model.stages[str(level)]
            made = {name: layer(f"{level}.{name}", getattr(target, name)) for name in _layer_names(level)}
            modulation = read(f"{level}.modulation", np.int32, (NUM_CONDITIONS, 2 * WIDTHS[level]))
            stages[level] = IntegerStage(modulation=modulation, **made)  # type: ignore[arg-type]
            gains[level] = read(f"{level}.gains", np.int32, (NUM_CONDITIONS, len(bands(level))))
        found = cls(stages, layer("out", model.out), gains)  # type: ignore[arg-type]
        found._check_conditions()
        return found

    def _check_conditions(self) -> None:
        """Steps and modulation at all prices must stay in range."""
        for lambda_index in range(NUM_LAMBDAS):
            for parents in range(3):
                for level in LEVELS:
                    exponents = mixed(self.gains[level], lambda_index, parents)
                    scale, shift = self.stages[level].modulators(level, lambda_index, parents)
                    largest = LARGEST_FEATURE * np.abs(scale) + np.abs(shift) + (1 << _MODULATION_BITS)
                    if exponents.min() < 0 or exponents.max() >= _MAX_OCTAVES << _GAIN_BITS:
                        raise BitstreamError(f"a step of synthesis.{level} is out of range")
                    if largest.max() >= EXACT:
                        raise BitstreamError(f"the modulation of synthesis.{level} is too large for exact sums")


def _layer_names(level: int) -> tuple[str, ...]:
    return ("merge", "first", "second") if level == LEVELS[0] else ("merge", "above", "first", "second")


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
    return {"merge": _INPUTS, "second": _HIDDEN}.get(name, _FEATURES)


def _seen(values: Tensor, bits: int) -> Tensor:
    """Integers without their low bits, rounded half up and cut; exact below 2**24 as floats."""
    return (values.float() * 2.0**-bits).add_(0.5).floor_().clamp_(-LARGEST_INPUT, LARGEST_INPUT)


def _restored(grids: Grids, prediction: IntegerPrediction) -> tuple[Ints, Ints, Ints]:
    """What prediction and latents say without the residual, less mid-gray, in 1/256 of a code value."""
    y, u, v = (
        plane + ((expected.astype(np.int32) - GRAY_SAMPLE) << EXTRA_BITS)
        for plane, expected in zip(inverse(grids), prediction.planes, strict=True)
    )
    return y, u, v


def _samples(*planes: Ints) -> Yuv:
    """Integers in 1/256 of a code value less mid-gray as samples."""
    half = 1 << EXTRA_BITS - 1
    y, u, v = (
        np.clip(((plane + half) >> EXTRA_BITS) + GRAY_SAMPLE, 0, LARGEST_SAMPLE).astype(np.int16) for plane in planes
    )
    return y, u, v


def _fixed(values: Tensor, bits: int) -> Conditioned:
    scaled = np.rint(np.ldexp(values.detach().double().numpy(), bits))
    fixed: Conditioned = scaled.astype(np.int32)
    return fixed


def _unfixed(values: Conditioned, bits: int) -> Tensor:
    return torch.from_numpy(np.ldexp(values.astype(np.float64), -bits))
