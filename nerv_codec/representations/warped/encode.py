"""A GOP to a stream in one pass, without a step of fitting: motion by search, latents by the shared analysis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from nerv_codec.representations.shared.analysing import analysed
from nerv_codec.representations.shared.band_coder import Latents, flag_counts, put_latents
from nerv_codec.representations.shared.canvas import Part
from nerv_codec.representations.shared.quality import lambda_value
from nerv_codec.representations.shared.stream import Counts, StreamWriter
from nerv_codec.representations.shared.weights import SharedWeights
from nerv_codec.representations.warped import mending
from nerv_codec.representations.warped.coding import Ladder, Told, mended, predicted, restored
from nerv_codec.representations.warped.motion import BLOCK, MotionField, expected
from nerv_codec.representations.warped.motion_coder import MotionModels, put_field
from nerv_codec.representations.warped.planes import Planes
from nerv_codec.representations.warped.search import search
from nerv_codec.representations.warped.tree import Node, coding_order


@dataclass(frozen=True)
class CodedNode:
    """What became of a node.

    Attributes:
        node: Which.
        field: Its motion, None at the root.
        told: What was known of it before its latents.
        latents: What it lacked.
        planes: The reconstruction.
        motion_words: Words of the stream that motion took.
        words: All of its words.
    """

    node: Node
    field: MotionField | None
    told: Told
    latents: Latents
    planes: Planes
    motion_words: int
    words: int


def encode_part(
    canvases: Sequence[Tensor], part: Part, ladder: Ladder, span: int, weights: SharedWeights, out: StreamWriter
) -> Iterator[CodedNode]:
    """Codes a part of all frames into a stream, node after node.

    Args:
        canvases: Frames as six planes, (1, 6, rows, cols) each, from `shared.canvas.to_canvas`.
        part: What they show.
        ladder: Prices.
        span: Greatest distance of anchors.
        weights: The shared networks.
        out: The stream.
    """
    extent = 2 * canvases[0].shape[2], 2 * canvases[0].shape[3]
    done: dict[int, Planes] = {}
    fields: dict[int, tuple[Node, MotionField | None]] = {}
    models = MotionModels()
    counts: dict[int, dict[int, Counts]] = {}
    squares: dict[int, Counts] = {}
    for node in coding_order(len(canvases), span):
        begun = out.used
        canvas, parents = canvases[node.frame], [done[frame] for frame in node.parents]
        index = ladder.at(node.depth, part)
        field = None
        if parents:
            known = expected(node, (extent[0] // BLOCK, extent[1] // BLOCK), fields)
            field = search(Planes.rounded(canvas), parents, lambda_value(index), known, models.of(known))
            put_field(field, known, models, out)
        moved = out.used
        told = predicted(parents, field, extent, index, part, weights)
        _, latents = analysed(canvas, told.prediction, told.conditions, weights)
        put_latents(latents, weights.context, told.conditions, counts.setdefault(node.depth, flag_counts()), out)
        planes = mended(latents, told, weights)
        if parents:
            plain, seen = restored(latents, told, weights), squares.setdefault(node.depth, mending.flag_counts())
            flags = mending.decide(Planes.rounded(canvas), plain, planes, index, seen)
            mending.put_flags(flags, seen, out)
            planes = mending.joined(plain, planes, flags)
        done[node.frame], fields[node.frame] = planes, (node, field)
        yield CodedNode(node, field, told, latents, planes, moved - begun, out.used - begun)
