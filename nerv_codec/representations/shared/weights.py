"""The file of the shared networks: a safetensors file of bytes and scales, named by its digest.

What decodes (synthesis, context model, what reads between samples) is stored in its integer form. Of the analysis,
convolutions are int8 with a float32 scale per output channel (`<name>.scale`), the rest (biases, gains, modulation) is
float32. There are three of each but the last, `alone.…`, `one_sided.…` and `two_sided.…` (`layout.Design`). The file's
metadata say how each was made. The digest is the first 8 bytes of the file's SHA-256; streams carry it, and a decoder
that does not have the file refuses them.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save
from torch import nn

from nerv_codec.base.errors import BitstreamError
from nerv_codec.base.own_torch import own_torch
from nerv_codec.representations.shared.analysis import Analysis
from nerv_codec.representations.shared.integer_between import IntegerBetween
from nerv_codec.representations.shared.integer_context import Arrays, IntegerContext
from nerv_codec.representations.shared.integer_synthesis import IntegerSynthesis
from nerv_codec.representations.shared.layout import DESIGNS, Design
from nerv_codec.representations.shared.networks import SharedNetworks

FOLDER = Path(__file__).parent / "weights"
CURRENT = FOLDER / "current.txt"
"""Says the digest of the file that encoders use."""
DIGEST_BYTES = 8
FORMAT = "nerv-codec shared networks, version 5"


@dataclass(frozen=True)
class Coding:
    """Networks of one design, ready to code.

    Attributes:
        stored: Arrays of the analysis, which decoders do not need.
        synthesis: Latents to planes, in integers.
        context: The integer context model.
    """

    stored: Arrays
    synthesis: IntegerSynthesis
    context: IntegerContext

    @functools.cached_property
    def analysis(self) -> Analysis:
        """Planes to latents. Raises BitstreamError if an array is missing or has a wrong shape."""
        found = Analysis(self.synthesis.design)
        _fill(found, self.stored)
        return found

    @functools.cached_property
    def floating(self) -> SharedNetworks:
        """The networks in floats that are nearest to what decodes, for fitting latents."""
        networks: SharedNetworks = SharedNetworks(self.synthesis.design)
        networks.context, networks.synthesis = self.context.floating(), self.synthesis.floating()
        networks.analysis = self.analysis
        networks.eval().requires_grad_(False)
        return networks


@dataclass(frozen=True)
class SharedWeights:
    """All networks of a file.

    Attributes:
        digest: What streams call them, DIGEST_BYTES bytes.
        codings: For pictures with parents on 0, 1 and 2 sides in time.
        between: What planes show between their samples, in integers.
    """

    digest: bytes
    codings: tuple[Coding, ...]
    between: IntegerBetween

    @property
    def alone(self) -> Coding:
        """For pictures without parents."""
        return self.of(0)

    def of(self, sides: int) -> Coding:
        """Those for a picture with parents on so many sides in time."""
        return self.codings[sides]


def arrays_of(networks: SharedNetworks) -> Arrays:
    """Trained networks as named arrays, what decodes in integers."""
    context, synthesis = IntegerContext.quantised(networks.context), IntegerSynthesis.quantised(networks.synthesis)
    arrays = {**context.arrays(), **synthesis.arrays()}
    for name, value in networks.analysis.state_dict().items():
        values = value.detach().float().cpu().numpy()
        if values.ndim == 4:
            scale = np.maximum(np.abs(values).max((1, 2, 3)) / 127, 1e-12).astype(np.float32)
            arrays[f"analysis.{name}"] = np.rint(values / scale[:, None, None, None]).astype(np.int8)
            arrays[f"analysis.{name}.scale"] = scale
        else:
            arrays[f"analysis.{name}"] = values
    return {f"{networks.design.name}.{name}": array for name, array in arrays.items()}


def to_bytes(arrays: Arrays, told: dict[str, str] | None = None) -> bytes:
    """The file of the arrays of all designs (:func:`arrays_of`) and of `IntegerBetween.arrays`.

    Args:
        arrays: By name.
        told: How the networks were made, by design, and `between`.
    """
    return save(arrays, {"format": FORMAT, **(told or {})})


def from_bytes(data: bytes) -> SharedWeights:
    """The networks of a file.

    Raises:
        BitstreamError: It is not such a file, or something is missing or has a wrong shape.
    """
    arrays = read_arrays(data)
    codings = tuple(_coding(arrays, design) for design in DESIGNS)
    return SharedWeights(digest(data), codings, IntegerBetween.from_arrays(arrays))


def read_arrays(data: bytes) -> Arrays:
    """The inverse of :func:`to_bytes`; what the arrays hold is not looked at.

    Raises:
        BitstreamError: It is not such a file.
    """
    try:
        return load(data)
    except SafetensorError as error:
        raise BitstreamError(f"not a file of shared networks ({error})") from error


def _coding(arrays: Arrays, design: Design) -> Coding:
    prefix = f"{design.name}."
    own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    stored = {name.removeprefix("analysis."): array for name, array in own.items() if name.startswith("analysis.")}
    return Coding(stored, IntegerSynthesis.from_arrays(own, design), IntegerContext.from_arrays(own, design))


def _fill(module: nn.Module, arrays: dict[str, npt.NDArray[np.generic]]) -> None:
    state = {}
    for name, value in module.state_dict().items():
        stored = arrays.get(name)
        if stored is None or stored.shape != tuple(value.shape) or stored.dtype not in (np.int8, np.float32):
            raise BitstreamError(f"the shared weights lack a good {name}")
        values = stored.astype(np.float32)
        if stored.dtype == np.int8:
            scale = arrays.get(f"{name}.scale")
            if scale is None or scale.shape != values.shape[:1]:
                raise BitstreamError(f"the shared weights lack a good scale of {name}")
            values = values * scale.astype(np.float32).reshape(-1, 1, 1, 1)
        state[name] = torch.from_numpy(values)
    module.load_state_dict(state)
    module.eval().requires_grad_(False)


def digest(data: bytes) -> bytes:
    """The name of a file of weights."""
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]


def current_digest() -> bytes:
    """The digest of the networks that encoders use."""
    return bytes.fromhex(CURRENT.read_text().strip())


@functools.lru_cache(maxsize=4)
def load_weights(name: bytes | None = None) -> SharedWeights:
    """The shipped networks of a digest, or the current ones.

    Raises:
        BitstreamError: This version does not have them, or its copy is damaged.
    """
    name = current_digest() if name is None else name
    path = FOLDER / f"{name.hex()}.safetensors"
    if not path.exists():
        raise BitstreamError(f"this version does not have the shared networks {name.hex()}")
    data = path.read_bytes()
    if digest(data) != name:
        raise BitstreamError(f"{path.name} is damaged")
    with own_torch():
        return from_bytes(data)


def _current() -> Path:
    return FOLDER / f"{current_digest().hex()}.safetensors"


def shipped() -> Arrays:
    """The arrays of the current file."""
    return read_arrays(_current().read_bytes())


def made() -> dict[str, str]:
    """How the networks of the current file were made, see :func:`to_bytes`."""
    with safe_open(_current(), "numpy") as file:
        metadata: dict[str, str] = file.metadata()
    return {name: text for name, text in metadata.items() if name != "format"}


def install(data: bytes) -> bytes:
    """Puts a file of weights into the package and makes it the current one; returns its digest."""
    for coding in from_bytes(data).codings:
        assert coding.analysis
    FOLDER.mkdir(exist_ok=True)
    name = digest(data)
    (FOLDER / f"{name.hex()}.safetensors").write_bytes(data)
    CURRENT.write_text(name.hex() + "\n")
    return name
