"""What a predictor knows before it has seen anything: states learnt from many works, in a file of the package.

The file is a safetensors file; its name is the first 8 bytes of its SHA-256, which GOPs carry, so that a decoder with
another file refuses them. Probabilities stand in it as logits in sixteenths, mixing weights in units of 2**-5.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nerv_codec.base.errors import BitstreamError
from nerv_codec.entropy.logistic import REACH, STEPS, logistic_table
from nerv_codec.representations.lossless.bit_kernel import COUNTER_ONE, LEAST_CHANCE
from nerv_codec.representations.lossless.least_squares import triangle_places
from nerv_codec.representations.lossless.model import NUM_FEATURES, PlaneState, fresh_state, regressors
from nerv_codec.representations.lossless.parts import NAME_BYTES

FILE = Path(__file__).with_name("start.safetensors")
NOTHING = bytes(NAME_BYTES)
"""The name of no file: nothing was learnt before."""
KINDS = [(plane, inter) for plane in range(3) for inter in (False, True)]
"""Planes, and whether frames come before them: each has a state."""
_UNIT = 2.0**-5
_FINE = 16
"""Steps of a logit in the file."""
_COUNTS = ("spreads_seen", "biases_seen")

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Start:
    """States to begin with."""

    name: bytes
    """NAME_BYTES bytes that stand for them."""
    states: Mapping[tuple[int, bool], PlaneState]
    """By plane and whether frames come before; empty where nothing was learnt before."""

    def state(self, plane: int, inter: bool) -> PlaneState:
        """A state that is the caller's own."""
        if not self.states:
            return fresh_state(plane, inter)
        return PlaneState._make(array.copy() for array in self.states[plane, inter])


def to_bytes(states: Mapping[tuple[int, bool], PlaneState]) -> bytes:
    """The file of states."""
    arrays: dict[str, Array] = {}
    for kind in KINDS:
        fields = states[kind]._asdict()
        counters = fields.pop("counters")
        del fields["record"]
        for name, places in _triangles(kind).items():
            fields[name] = fields[name][places]
        arrays[_key(kind, "chances")] = _logits((counters >> 8) / COUNTER_ONE)
        arrays[_key(kind, "seen")] = (counters & 255).astype(np.uint8)
        arrays |= {_key(kind, name): _stored(name, array) for name, array in fields.items()}
    return save(arrays)


def from_bytes(data: bytes) -> Start:
    """The states of a file.

    Raises:
        BitstreamError: It is not such a file, or something is missing or has a wrong shape.
    """
    try:
        arrays = load(data)
    except SafetensorError as error:
        raise BitstreamError(f"not a file of lossless states ({error})") from error
    return Start(_name(data), {kind: _state(kind, arrays) for kind in KINDS})


@functools.lru_cache(maxsize=2)
def load_start(name: bytes | None = None) -> Start:
    """The states of a name, or the shipped ones.

    Raises:
        BitstreamError: This version does not have them, or its copy is damaged.
    """
    if name == NOTHING:
        return Start(NOTHING, {})
    start = from_bytes(FILE.read_bytes())
    if name is not None and name != start.name:
        raise BitstreamError(f"this version does not have the lossless states {name.hex()}")
    return start


def _name(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:NAME_BYTES]


def _key(kind: tuple[int, bool], name: str) -> str:
    plane, inter = kind
    return f"{plane}.{'later' if inter else 'first'}.{name}"


def _triangles(kind: tuple[int, bool]) -> dict[str, npt.NDArray[np.int64]]:
    """Where the triangles that the file holds lie in a state's sums, by name."""
    plane, inter = kind
    sizes = {"slow_sums": len(regressors(plane, inter=inter).taps), "scale_sums": NUM_FEATURES}
    return {name: triangle_places(size) for name, size in sizes.items()}


def _logits(chances: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    """Logits in sixteenths; 0 and 1 become the outermost ones."""
    with np.errstate(divide="ignore"):
        logits = np.log(chances / (1 - chances))
    steps: npt.NDArray[np.int8] = np.rint(np.clip(_FINE * logits, -127, 127)).astype(np.int8)
    return steps


def _chances(logits: Array) -> npt.NDArray[np.float64]:
    return logistic_table()[REACH * STEPS + logits.astype(np.int64) * (STEPS // _FINE)]


def _stored(name: str, array: npt.NDArray[np.float64]) -> Array:
    if name == "by_scale":
        return np.rint(np.clip(array / _UNIT, -127, 127)).astype(np.int8)
    if name == "curves":
        return _logits(array)
    return array.astype(np.uint8 if name in _COUNTS else np.float32)


def _state(kind: tuple[int, bool], arrays: Mapping[str, Array]) -> PlaneState:
    """One state, checked against the shapes of one that has seen nothing."""

    def taken(name: str, like: Array, dtype: type[np.generic]) -> Array:
        found = arrays.get(_key(kind, name))
        if found is None or found.shape != like.shape or found.dtype != dtype:
            raise BitstreamError(f"the lossless states lack a good {_key(kind, name)}")
        return found

    fields: dict[str, Array] = {}
    triangles = _triangles(kind)
    for name, like in fresh_state(*kind)._asdict().items():
        if name == "record":
            fields[name] = like
        elif name == "counters":
            values = (COUNTER_ONE * _chances(taken("chances", like, np.int8))).astype(np.int32)
            values = np.clip(values, LEAST_CHANCE, COUNTER_ONE - LEAST_CHANCE) << 8
            fields[name] = values | taken("seen", like, np.uint8)
        elif name == "by_scale":
            fields[name] = taken(name, like, np.int8) * _UNIT
        elif name == "curves":
            fields[name] = _chances(taken(name, like, np.int8))
        elif name in triangles:
            fields[name] = np.zeros(like.shape)
            fields[name][triangles[name]] = taken(name, like[triangles[name]], np.float32)
        else:
            fields[name] = taken(name, like, np.uint8 if name in _COUNTS else np.float32).astype(like.dtype)
    return PlaneState(**fields)
