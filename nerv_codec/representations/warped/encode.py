"""A GOP to a stream in one pass: motion by search, latents by the shared analysis, and a fit of these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nerv_codec.base.threads import Workers
from nerv_codec.representations.shared.analysing import analysed
from nerv_codec.representations.shared.band_coder import flag_counts, put_latents
from nerv_codec.representations.shared.canvas import Part
from nerv_codec.representations.shared.quality import lambda_value
from nerv_codec.representations.shared.refining import refined
from nerv_codec.representations.shared.stream import Counts, StreamWriter
from nerv_codec.representations.shared.weights import SharedWeights
from nerv_codec.representations.warped import mending
from nerv_codec.representations.warped.coding import Ladder, Told, mended, predicted, restored
from nerv_codec.representations.warped.decisions import Decision
from nerv_codec.representations.warped.motion import BLOCK, Expectation, MotionField, expected
from nerv_codec.representations.warped.motion_coder import Estimates, MotionModels, put_field
from nerv_codec.representations.warped.planes import Planes
from nerv_codec.representations.warped.search import search
from nerv_codec.representations.warped.temporal_filter import filtered
from nerv_codec.representations.warped.tree import Node, waves

_CPU = torch.device("cpu")
_STRENGTHS = (0.4, 0.1)
"""Of the temporal filter, by depth: at nodes that many others inherit from."""
_STEPS = (2.0, 1.0, 0.5)
"""Share of the steps that a node takes, by depth: most where most others depend on it. Deeper ones gain less than a
hundredth."""


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Attributes:
        steps: Of descent on the latents of an anchor; others take their share of them.
        decided: What has been chosen before, by frame.
        stop: Asked before each step.
        device: Where steps are taken.
    """

    steps: int = 0
    decided: Mapping[int, Decision] = field(default_factory=dict)
    stop: Callable[[], bool] = lambda: False
    device: torch.device = _CPU


@dataclass(frozen=True)
class CodedNode:
    """What became of a node.

    Attributes:
        node: Which.
        decision: What was chosen for it.
        told: What was known of it before its latents.
        planes: The reconstruction.
        motion_words: Words of the stream that motion took.
        words: All of its words.
    """

    node: Node
    decision: Decision
    told: Told
    planes: Planes
    motion_words: int
    words: int


@dataclass(frozen=True)
class _Draft:
    """A node before it is written: see `CodedNode`; both reconstructions, the plain one only if there are parents."""

    decision: Decision
    told: Told
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
    effort: Effort = Effort(),
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
        effort: How hard to try.

    Raises:
        Interrupted: It was to stop.
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
        index, decision = ladder.at(node.depth, part), effort.decided.get(node.frame)
        moved = decision.field if decision is not None else None
        if decision is None and known is not None and motion is not None:
            moved = search(Planes.rounded(canvas), parents, lambda_value(index), known, motion)
        told = predicted(parents, node.sides, moved, extent, index, part, weights)
        if decision is None:
            real, latents = analysed(canvas, told.prediction, told.conditions, weights)
            steps = round(effort.steps * _STEPS[node.depth]) if node.depth < len(_STEPS) else 0
            latents = refined(
                canvas, real, latents, told.prediction, told.conditions, weights, steps, effort.stop, effort.device
            )
            decision = Decision(moved, latents)
        plain = restored(decision.latents, told, weights) if parents else None
        return _Draft(decision, told, mended(decision.latents, told, weights), plain)

    shape = extent[0] // BLOCK, extent[1] // BLOCK
    for wave in waves(len(canvases), span):
        targets = {node.frame: target(node) for node in wave}
        known = [expected(node, shape, fields) if node.parents else None for node in wave]
        motion = [None if one is None else models.estimates(one) for one in known]
        drafts = workers.map(drafted, wave, known, motion)
        spent = []
        for node, expectation, draft in zip(wave, known, drafts, strict=True):
            begun = out.used
            moved = draft.decision.field
            if expectation is not None and moved is not None:
                put_field(moved, expectation, models, out)
            fields[node.frame] = node, moved
            spent.append(out.used - begun)
        for node, draft, words in zip(wave, drafts, spent, strict=True):
            begun, planes = out.used, draft.mended
            told = draft.told.conditions
            put_latents(
                draft.decision.latents, weights.context, told, counts.setdefault(node.depth, flag_counts()), out
            )
            if draft.plain is not None:
                seen = squares.setdefault(node.depth, mending.flag_counts())
                source = Planes.rounded(targets[node.frame])
                flags = mending.decide(source, draft.plain, planes, told.lambda_index, seen)
                mending.put_flags(flags, seen, out)
                planes = mending.joined(draft.plain, planes, flags)
            done[node.frame] = planes
            yield CodedNode(node, draft.decision, draft.told, planes, words, words + out.used - begun)
