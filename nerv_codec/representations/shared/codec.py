"""Planes to latents and back: the seams between the shared networks and the rest of the codec.

``analyse`` is torch, in floating point; ``synthesise``, and ``encode_latents`` and ``decode_latents`` (`band_coder`),
are integers, so that a file gives the same samples on every machine. Whoever fits latents does it in between.
"""

from __future__ import annotations

from collections.abc import Sequence

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.shared.analysing import analysed
from nerv_codec.representations.shared.band_coder import Conditions, Latents, decode_latents, encode_latents
from nerv_codec.representations.shared.canvas import Plane, Shape, from_samples, parts, to_canvas
from nerv_codec.representations.shared.integer_prediction import IntegerPrediction
from nerv_codec.representations.shared.layout import LEVELS
from nerv_codec.representations.shared.quality import NUM_LAMBDAS
from nerv_codec.representations.shared.weights import DIGEST_BYTES, SharedWeights, load_weights

MAX_SIDE = 65535
_GRAY, _YUV420, _ANY = range(3)


def analyse(planes: Sequence[Plane], depth: int, lambda_index: int, weights: SharedWeights) -> list[Latents]:
    """Integer latents of a picture.

    Args:
        planes: One (gray) or three planes (Y, U, V or any others), (rows, cols) each, 8 to 16 bits.
        depth: Bits of a sample.
        lambda_index: Price of bits, see `quality`.
        weights: The shared networks.

    Returns:
        Latents of every part of the picture (`canvas.parts`): level to int32 (bands, rows, cols).
    """
    found = []
    for part in parts([plane.shape for plane in planes]):
        canvas = to_canvas(planes, depth, part)
        told = Conditions(part.lambda_index(lambda_index), components=part.components)
        prediction = IntegerPrediction.none(2 * canvas.shape[2], 2 * canvas.shape[3])
        found.append(analysed(canvas, prediction, told, weights)[1])
    return found


def synthesise(
    latents: Sequence[Latents], shapes: Sequence[Shape], depth: int, lambda_index: int, weights: SharedWeights
) -> list[Plane]:
    """The planes of a picture from the latents of its parts.

    Args:
        latents: As :func:`analyse` gives them.
        shapes: (rows, cols) of the planes.
        depth: Bits of a sample.
        lambda_index: The same as in the analysis.
        weights: The shared networks.
    """
    planes: list[Plane] = []
    for part, integers in zip(parts(shapes), latents, strict=True):
        rows, cols = (LEVELS[-1] * extent for extent in integers[LEVELS[-1]].shape[1:])
        prediction = IntegerPrediction.none(rows, cols)
        samples = weights.alone.synthesis(integers, prediction, part.lambda_index(lambda_index))
        planes += from_samples(samples, depth, part)
    return planes


def encode_picture(
    planes: Sequence[Plane], depth: int, lambda_index: int, weights: SharedWeights | None = None
) -> bytes:
    """One picture as a file of its own: digest of the networks, lambda index, depth, planes, sizes, payloads."""
    weights = weights or load_weights()
    latents = analyse(planes, depth, lambda_index, weights)
    return pack_picture(latents, [plane.shape for plane in planes], depth, lambda_index, weights)


def pack_picture(
    latents: Sequence[Latents], shapes: Sequence[Shape], depth: int, lambda_index: int, weights: SharedWeights
) -> bytes:
    """The file of :func:`encode_picture` from latents that are there already."""
    out = ByteWriter()
    out.raw(weights.digest)
    kind = _kind(shapes)
    for value in (lambda_index, depth, kind):
        out.u8(value)
    for rows, cols in shapes if kind == _ANY else shapes[:1]:
        out.varint(rows)
        out.varint(cols)
    divided = parts(shapes)
    for part, integers in zip(divided, latents, strict=True):
        told = Conditions(part.lambda_index(lambda_index), components=part.components)
        data = encode_latents(integers, weights.alone.context, told)
        if part is not divided[-1]:
            out.u32(len(data))
        out.raw(data)
    return out.getvalue()


def _kind(shapes: Sequence[Shape]) -> int:
    if len(shapes) == 1:
        return _GRAY
    rows, cols = shapes[0]
    half = (-(-rows // 2), -(-cols // 2))
    return _YUV420 if all(tuple(shape) == half for shape in shapes[1:]) else _ANY


def decode_picture(data: bytes, weights: SharedWeights | None = None) -> list[Plane]:
    """The inverse of :func:`encode_picture`; weights that are given are used if they are the ones, else looked up.

    Raises:
        BitstreamError: The data is damaged, or made with networks that this version does not have.
    """
    reader = ByteReader(data)
    name = bytes(reader.raw(DIGEST_BYTES))
    if weights is None or weights.digest != name:
        weights = load_weights(name)
    lambda_index, depth, kind = reader.u8(), reader.u8(), reader.u8()
    if lambda_index >= NUM_LAMBDAS or not 8 <= depth <= 16 or kind > _ANY:
        raise BitstreamError("the header of the picture is damaged")
    count = 3 if kind == _ANY else 1
    shapes = [(reader.varint(1, MAX_SIDE, "rows"), reader.varint(1, MAX_SIDE, "columns")) for _ in range(count)]
    if kind == _YUV420:
        shapes += [(-(-shapes[0][0] // 2), -(-shapes[0][1] // 2))] * 2
    divided, latents = parts(shapes), []
    for part in divided:
        payload = reader.raw(reader.u32()) if part is not divided[-1] else reader.rest()
        told = Conditions(part.lambda_index(lambda_index), components=part.components)
        latents.append(decode_latents(payload, part.rows, part.cols, weights.alone.context, told))
    planes: list[Plane] = synthesise(latents, shapes, depth, lambda_index, weights)
    return planes
