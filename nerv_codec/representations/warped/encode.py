"""A GOP to a stream in one pass, without a step of fitting: motion by search, latents by the shared analysis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from nerv_codec.base.threads import Workers
from nerv_codec.representations.shared.analysing import analysed
from nerv_codec.representations.shared.band_coder import Latents, flag_counts, put_latents
from nerv_codec.representations.shared.canvas import Part
from nerv_codec.representations.shared.quality import lambda_value
from nerv_codec.representations.shared.stream import Counts, StreamWriter
from nerv_codec.representations.shared.weights import SharedWeights
from nerv_codec.representations.warped import mending
from nerv_codec.representations.warped.coding import Ladder, Told, mended, predicted, restored
from nerv_codec.representations.warped.motion import BLOCK, Expectation, MotionField, expected
from nerv_codec.representations.warped.motion_coder import Estimates, MotionModels, put_field
from nerv_codec.representations.warped.planes import Planes
from nerv_codec.representations.warped.search import search
from nerv_codec.representations.warped.temporal_filter import filtered
from nerv_codec.representations.warped.tree import Node, waves

_STRENGTHS = (0.4, 0.1)
"""Of the temporal filter, by depth: at nodes that many others inherit from."""


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


@dataclass(frozen=True)
class _Draft:
    """A node before it is written: see `CodedNode`; both reconstructions, the plain one only if there are parents."""

    field: MotionField | None
    told: Told
    latents: Latents
    mended: Planes
    plain: Planes | None


def encode_part(
    canvases: Sequence[Tensor],
    part: Part,
    ladder: Ladder,
    span: int,
    weights: SharedWeights,
    out: StreamWriter,
    workers: Workers,
) -> Iterator[CodedNode]:
    """Codes a part of all frames into a stream, wave after wave: motion of all its nodes, then what each lacks.

    Args:
        canvases: Frames as six planes, (1, 6, rows, cols) each, from `shared.canvas.to_canvas`.
        part: What they show.
        ladder: Prices.
        span: Greatest distance of anchors.
        weights: The shared networks.
        out: The stream.
        workers: Threads for the nodes of a wave; the bytes do not depend on their number.
    """
    extent = 2 * canvases[0].shape[2], 2 * canvases[0].shape[3]
    done: dict[int, Planes] = {}
    fields: dict[int, tuple[Node, MotionField | None]] = {}
    models = MotionModels()
    counts: dict[int, dict[int, Counts]] = {}
    squares: dict[int, Counts] = {}

    def target(node: Node) -> Tensor:
        strength = _STRENGTHS[node.depth] if node.depth < len(_STRENGTHS) and span > 1 else 0
        return filtered(canvases, node.frame, strength, lambda_value(ladder.at(node.depth, part)), workers)

    def drafted(node: Node, known: Expectation | None, motion: Estimates | None) -> _Draft:
        canvas, parents = targets[node.frame], [done[frame] for frame in node.parents]
        index, field = ladder.at(node.depth, part), None
        if known is not None and motion is not None:
            field = search(Planes.rounded(canvas), parents, lambda_value(index), known, motion)
        told = predicted(parents, field, extent, index, part, weights)
        _, latents = analysed(canvas, told.prediction, told.conditions, weights)
        plain = restored(latents, told, weights) if parents else None
        return _Draft(field, told, latents, mended(latents, told, weights), plain)

    shape = extent[0] // BLOCK, extent[1] // BLOCK
    for wave in waves(len(canvases), span):
        targets = {node.frame: target(node) for node in wave}
        known = [expected(node, shape, fields) if node.parents else None for node in wave]
        motion = [None if one is None else models.estimates(one) for one in known]
        drafts = workers.map(drafted, wave, known, motion)
        spent = []
        for node, expectation, draft in zip(wave, known, drafts, strict=True):
            begun = out.used
            if expectation is not None and draft.field is not None:
                put_field(draft.field, expectation, models, out)
            fields[node.frame] = node, draft.field
            spent.append(out.used - begun)
        for node, draft, words in zip(wave, drafts, spent, strict=True):
            begun, planes = out.used, draft.mended
            told = draft.told.conditions
            put_latents(draft.latents, weights.context, told, counts.setdefault(node.depth, flag_counts()), out)
            if draft.plain is not None:
                seen = squares.setdefault(node.depth, mending.flag_counts())
                source = Planes.rounded(targets[node.frame])
                flags = mending.decide(source, draft.plain, planes, told.lambda_index, seen)
                mending.put_flags(flags, seen, out)
                planes = mending.joined(draft.plain, planes, flags)
            done[node.frame] = planes
            yield CodedNode(node, draft.field, draft.told, draft.latents, planes, words, words + out.used - begun)
