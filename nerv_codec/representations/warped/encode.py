"""Nodes to a stream, wave by wave: motion by search, latents by the shared analysis, and a fit of these."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from nerv_codec.base.threads import Workers
from nerv_codec.representations.shared.analysing import analysed
from nerv_codec.representations.shared.band_coder import flag_counts, put_latents
from nerv_codec.representations.shared.canvas import Part
from nerv_codec.representations.shared.networks import distortion
from nerv_codec.representations.shared.quality import lambda_value
from nerv_codec.representations.shared.refining import refined
from nerv_codec.representations.shared.stream import Counts, StreamWriter
from nerv_codec.representations.shared.weights import SharedWeights
from nerv_codec.representations.warped import mending
from nerv_codec.representations.warped.brightness import (
    Brightness,
    BrightnessCounts,
    changed,
    put_brightness,
)
from nerv_codec.representations.warped.closed_loop import analysed_in_loop
from nerv_codec.representations.warped.coding import Ladder, Told, mended, predicted, reconstructed, restored
from nerv_codec.representations.warped.decisions import Decision
from nerv_codec.representations.warped.motion import BLOCK, Expectation, MotionField, expected, joined
from nerv_codec.representations.warped.motion_coder import MotionEstimates, MotionModels, field_bits, put_field
from nerv_codec.representations.warped.planes import Planes
from nerv_codec.representations.warped.screen import ScreenModels, put
from nerv_codec.representations.warped.screen_choice import (
    Attempt,
    Palette,
    Seen,
    no_palette,
    remember,
    unpredicted,
    with_screen,
)
from nerv_codec.representations.warped.search import REACHES, ROUGH_REACHES, search, search_changed
from nerv_codec.representations.warped.sliding import (
    Map,
    alike,
    as_expected,
    mapped_share,
    one_step,
    promised,
    shown_by,
)
from nerv_codec.representations.warped.temporal_filter import filtered
from nerv_codec.representations.warped.tree import Anchors, Node, waves

_CPU = torch.device("cpu")
_STRENGTHS = (0.4, 0.1)
"""Of the temporal filter, by depth: at nodes that many others inherit from."""
_STEPS = (1.0, 1.0, 0.5)
"""Share of the steps that a node takes, by depth: most where most others depend on it. Deeper ones gain less than a
hundredth. Those of the root are ten times as long as others."""
_LOOPED = 2
"""Depths below this are analysed in a closed loop where they show screen content, unless they take steps. Films gain
next to nothing by it behind the root."""
_DEAR = 0.05
"""Share of a node's bits that motion may take before others are tried that take less."""
_VERY_DEAR = 0.3
"""And where ways are only compared, roughly."""
_CALMER = (2.0, 4.0)
"""How much dearer bits of motion are where a scene slides: blocks that come in at its border find their like somewhere,
each elsewhere, and save next to nothing by it."""
_MOST, _NEARLY_ALL = 0.8, 0.95
"""Share of the blocks, of those that a parent shows then, that must be shown about as well if all move alike."""
_LASTING = 2.0
"""Worth of a bit of motion where most are: what goes another way than it must makes what comes behind it dearer."""
_DRAWN, _MUCH = 4.0, 0.015
"""Worth of it where nearly all are, in scenes that are drawn and hardly ever in films, and from which share of all that
was coded so far on."""
_REMEMBERED = 4
"""Filtered frames that are kept: both ways of a trial ask for the same ones."""


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Attributes:
        steps: Of descent on the latents of an anchor; others take their share of them.
        decided: What has been chosen before, by frame.
        stop: Asked before each step.
        device: Where steps are taken.
        rough: Whether it is only to be compared with others that are as rough.
    """

    steps: int = 0
    decided: Mapping[int, Decision] = field(default_factory=dict)
    stop: Callable[[], bool] = lambda: False
    device: torch.device = _CPU
    rough: bool = False


@dataclass(frozen=True)
class CodedNode:
    """What became of a node.

    Attributes:
        node: Which.
        decision: What was chosen for it.
        told: What was known of it before its latents.
        planes: The reconstruction.
        motion_bits: What its motion took of the stream.
        bits: What all of it took.
    """

    node: Node
    decision: Decision
    told: Told
    planes: Planes
    motion_bits: float
    bits: float


@dataclass(frozen=True)
class _Way:
    """How a node moves, what is known of it then, and what it lacks, without steps."""

    brightness: tuple[Brightness, ...]
    field: MotionField | None
    told: Told
    attempt: Attempt


@dataclass(frozen=True)
class _Draft:
    """A node before it is written, see `CodedNode`.

    If it is not yet decided where to mend, also its plain planes and what the wavelet is to show; no screen content.
    """

    decision: Decision
    told: Told
    planes: Planes
    plain: Planes | None = None
    source: Planes | None = None


@dataclass
class Behind:
    """What stands behind a wave in the coding order.

    Attributes:
        out: The stream.
        done: Reconstructions by frame.
        fields: Nodes and their motion by frame.
        brightness: Of flags of brightness.
        models: Of motion.
        counts: Of flags of bands, by depth.
        squares: Of flags of what is mended, by depth.
        screens: Of screen content; None where no node may show any.
        palette: What values became in it.
        motion_bits: What motion took of the stream so far.
    """

    out: StreamWriter = field(default_factory=StreamWriter)
    done: dict[int, Planes] = field(default_factory=dict)
    fields: dict[int, tuple[Node, MotionField | None]] = field(default_factory=dict)
    brightness: BrightnessCounts = field(default_factory=BrightnessCounts)
    models: MotionModels = field(default_factory=MotionModels)
    counts: dict[int, dict[int, Counts]] = field(default_factory=dict)
    squares: dict[int, Counts] = field(default_factory=dict)
    screens: ScreenModels | None = field(default_factory=ScreenModels)
    palette: Palette = field(default_factory=no_palette)
    motion_bits: float = 0.0

    def aside(self) -> Behind:
        """One that goes on by itself, in a stream of its own; planes and motion, which nobody changes, are shared."""
        adapted = copy.deepcopy((self.brightness, self.models, self.counts, self.squares, self.screens, self.palette))
        return Behind(StreamWriter(), dict(self.done), dict(self.fields), *adapted)


@dataclass(frozen=True)
class PartEncoder:
    """Encodes a part of all frames.

    Attributes:
        canvases: Frames as six planes, (1, 6, rows, cols) each, from `shared.canvas.to_canvas`.
        part: What they show.
        ladder: Prices.
        weights: The shared networks.
        workers: Threads for the nodes of a wave; the bytes do not depend on their number.
    """

    canvases: Sequence[Tensor]
    part: Part
    ladder: Ladder
    weights: SharedWeights
    workers: Workers
    _filtered: dict[tuple[int, int], Tensor] = field(default_factory=dict, init=False, repr=False)
    _steps: dict[tuple[int, int], Map] = field(default_factory=dict, init=False, repr=False)

    def wave(self, nodes: Sequence[Node], behind: Behind, effort: Effort = Effort()) -> list[CodedNode]:
        """Appends a wave to the stream: brightness and motion of all its nodes, then what each lacks.

        Raises:
            Interrupted: It was to stop.
        """
        rows, cols = self._extent
        shape, out = (rows // BLOCK, cols // BLOCK), behind.out
        for node in nodes:
            if node.frame not in effort.decided:
                self.target(node)  # here, where threads are free for it
        known = [expected(node, shape, behind.fields) if node.parents else None for node in nodes]
        motion = [None if one is None else behind.models.estimates(one) for one in known]

        def drafted(node: Node, expectation: Expectation | None, estimates: MotionEstimates | None) -> _Draft:
            return self._drafted(node, expectation, estimates, behind, effort)

        drafts = self.workers.map(drafted, nodes, known, motion)
        spent = []
        for node, expectation, draft in zip(nodes, known, drafts, strict=True):
            begun = out.bits
            moved = draft.decision.field
            if expectation is not None and moved is not None:
                put_brightness(draft.decision.brightness, behind.brightness, out)
                put_field(moved, expectation, behind.models, out)
            behind.fields[node.frame] = node, moved
            spent.append(out.bits - begun)
            behind.motion_bits += spent[-1]
        return [
            self._written(node, draft, bits, behind) for node, draft, bits in zip(nodes, drafts, spent, strict=True)
        ]

    @property
    def _extent(self) -> tuple[int, int]:
        return 2 * self.canvases[0].shape[2], 2 * self.canvases[0].shape[3]

    def target(self, node: Node) -> Tensor:
        """What a node is coded from: root and anchors that others inherit from, freed of noise."""
        if node.depth >= len(_STRENGTHS) or any(abs(node.frame - parent) == 1 for parent in node.parents):
            return self.canvases[node.frame]
        key = node.frame, node.depth
        if key not in self._filtered:
            price = lambda_value(self.ladder.at(node, self.part))
            strength = _STRENGTHS[node.depth]
            self._filtered[key] = filtered(self.canvases, node.frame, strength, price, self.workers)
            for old in list(self._filtered)[:-_REMEMBERED]:
                del self._filtered[old]
        return self._filtered[key]

    def _drafted(
        self,
        node: Node,
        known: Expectation | None,
        motion: MotionEstimates | None,
        behind: Behind,
        effort: Effort,
    ) -> _Draft:
        weights, workers, parents = self.weights, self.workers, [behind.done[frame] for frame in node.parents]
        index, decision = self.ladder.at(node, self.part), effort.decided.get(node.frame)
        if decision is not None:
            seen = changed(parents, decision.brightness)
            told = predicted(seen, node.sides, decision.field, self._extent, index, self.part, weights, workers)
            kept = decision.mending, decision.screen
            return _Draft(decision, told, reconstructed(decision.latents, told, *kept, weights, workers))
        canvas = self.target(node)
        source = Planes.rounded(canvas)
        way = self._way(canvas, source, node, known, motion, behind, effort.rough)
        told, attempt, moved, screen = way.told, way.attempt, way.field, None
        steps = round(effort.steps * _STEPS[node.depth]) if node.depth < len(_STEPS) else 0
        if behind.screens is not None:
            frame = self.canvases[node.frame]  # not freed of noise, which would give letters values that none has
            own = source if frame is canvas else Planes.rounded(frame)
            shown = Seen(own, source, told.prediction, index, node.depth, self.part.components, behind.palette)
            looped = node.depth < _LOOPED and not effort.rough and not (node.parents and steps)
            attempted = partial(self._attempted, told=told, looped=looped)
            attempt, screen, paid = with_screen(shown, attempt, attempted, behind.screens)
            if screen and moved and known and (free := unpredicted(shown, screen)).any():
                # what is coded sample by sample needs no motion that tells nothing of it
                calm = joined(moved, free)
                seen = changed(parents, way.brightness)
                other = predicted(seen, node.sides, calm, self._extent, index, self.part, weights, workers)
                shown = dataclasses.replace(shown, prediction=other.prediction)
                attempted = partial(self._attempted, told=other, looped=looped)
                found = with_screen(shown, self._attempted(canvas, other, looped=False), attempted, behind.screens)
                saved = field_bits(moved, known, behind.models) - field_bits(calm, known, behind.models)
                if found[2] < paid + saved:
                    told, moved, (attempt, screen, _) = other, calm, found
        latents, planes = attempt.latents, attempt.planes
        if steps:
            latents = refined(
                attempt.canvas, attempt.real, latents, told.prediction, told.conditions, weights, steps, effort.stop,
                effort.device,
            )  # fmt: skip
            planes = mended(latents, told, weights)
        decision = Decision(node, way.brightness, moved, latents, mending.everywhere(self._extent), screen)
        goal = source if attempt.canvas is canvas else Planes.rounded(attempt.canvas)
        return _Draft(decision, told, planes, restored(latents, told, weights), goal)

    def _way(
        self,
        canvas: Tensor,
        source: Planes,
        node: Node,
        known: Expectation | None,
        estimates: MotionEstimates | None,
        behind: Behind,
        rough: bool,
    ) -> _Way:
        """The way that a node goes: if motion is dear, also what all blocks may share is tried, and what is near."""
        weights, workers, parents = self.weights, self.workers, [behind.done[frame] for frame in node.parents]
        index = self.ladder.at(node, self.part)

        def going(brightness: tuple[Brightness, ...], field: MotionField | None) -> _Way:
            seen = changed(parents, brightness)
            told = predicted(seen, node.sides, field, self._extent, index, self.part, weights, workers)
            return _Way(brightness, field, told, self._attempted(canvas, told, looped=not (parents or rough)))

        if known is None or estimates is None:
            return going((), None)
        price, reaches = lambda_value(index), ROUGH_REACHES if rough else REACHES
        originals = [Planes.rounded(self.canvases[frame]).y for frame in (node.frame, *node.parents)]
        brightness, free = search_changed(source, parents, price, known, estimates, reaches, workers, originals)
        best = going(brightness, free)
        spent = field_bits(free, known, behind.models)
        if spent <= (_VERY_DEAR if rough else _DEAR) * (spent + best.attempt.bits):
            return best

        seen = changed(parents, brightness)

        much = behind.motion_bits + spent > _MUCH * (behind.out.bits + spent + best.attempt.bits)
        follows = any(mapped_share(behind.fields[frame][1]) >= _NEARLY_ALL for frame in node.parents)
        worth = _DRAWN if much and follows else 1.0

        middle = self._middle(node, behind) if node.sides == 1 else None

        def later(field: MotionField) -> float:
            return min(middle(field), spent) if middle else 0.0

        def guessed(field: MotionField) -> float:
            return worth * field_bits(field, known, behind.models) + promised(source, seen, field, price) + later(field)

        def again(begin: MotionField, dearer: float) -> MotionField:
            return search(source, seen, price, known, estimates, reaches, workers, (), (begin, free), dearer)

        def cost(way: _Way) -> float:
            assert way.field is not None
            wrong: float = float(distortion(canvas, way.attempt.planes.tensor())[0]) * 4 * canvas[0, 0].numel()
            bits = way.attempt.bits + worth * field_bits(way.field, known, behind.models)
            return wrong / price + bits + later(way.field)

        share, step = 0.0, self._step(node) if node.sides == 1 else None
        begin = min(alike(source, seen, free, known, step), key=guessed)
        if rough:
            fields = [begin] if guessed(begin) < guessed(free) else []
        elif node.sides == 1:
            fields, share = [again(begin, 1.0)], shown_by(source, seen, begin, free, price)
            worth = _DRAWN if much and share >= _NEARLY_ALL else _LASTING if share >= _MOST else 1.0
            if share >= _MOST:
                fields += [begin, *(again(begin, dearer) for dearer in _CALMER)]
        elif guessed(begin) < guessed(free):  # there are many such nodes: a guess must do
            fields = [min(begin, again(begin, 1.0), key=guessed)]
        else:
            fields = []
        return min([best, *(going(brightness, field) for field in fields)], key=cost)

    def _step(self, node: Node) -> Map:
        """How the picture moves to the frame beside it, on the way to its parents: the same whoever asks first."""
        key = node.frame, node.frame + (1 if node.parents[0] > node.frame else -1)
        if key not in self._steps:
            source, before = (Planes.rounded(self.canvases[frame]) for frame in key)
            shape = self._extent[0] // BLOCK, self._extent[1] // BLOCK
            known = Expectation(np.zeros((2, *shape, 2), np.int32), 1, 0)
            price, estimates = lambda_value(self.ladder.at(node, self.part)), MotionModels().estimates(known)
            field = search(source, [before], price, known, estimates, ROUGH_REACHES, self.workers)
            self._steps[key] = one_step(source, before, field)
        return self._steps[key]

    def _middle(self, node: Node, behind: Behind) -> Callable[[MotionField], float] | None:
        """What it costs, see `sliding.promised`, if the frame halfway to a parent moves as a node's motion says."""
        left, right = sorted((node.frame, node.parents[0]))
        if right - left == 1:
            return None
        between = Node((left + right) // 2, node.depth + 1, (left, right))
        source, own = (Planes.rounded(self.canvases[frame]) for frame in (between.frame, node.frame))
        parents = [own if frame == node.frame else behind.done[frame] for frame in between.parents]
        price = lambda_value(self.ladder.at(between, self.part))

        def cost(field: MotionField) -> float:
            fields = {**behind.fields, node.frame: (node, field)}
            return promised(source, parents, as_expected(expected(between, field.modes.shape, fields)), price)

        return cost

    def _attempted(self, canvas: Tensor, told: Told, looped: bool) -> Attempt:
        """Latents and planes of a canvas, without steps."""
        weights, workers = self.weights, self.workers
        if looped:
            real, latents = analysed_in_loop(canvas, told, weights, workers)
        else:
            real, latents = analysed(canvas, told.prediction, told.conditions, weights, workers=workers)

        def bits() -> float:
            out, context = StreamWriter(), weights.of(told.prediction.parents).context
            put_latents(latents, context, told.conditions, flag_counts(), out)
            return out.bits

        return Attempt(canvas, real, latents, mended(latents, told, weights, workers=workers), bits)

    def _written(self, node: Node, draft: _Draft, motion_bits: float, behind: Behind) -> CodedNode:
        """Appends what a node lacks."""
        out, told, decision, planes = behind.out, draft.told.conditions, draft.decision, draft.planes
        begun, kind = out.bits, (not node.parents, self.part.components)
        counts = behind.counts.setdefault(node.depth, flag_counts())
        put_latents(decision.latents, self.weights.of(told.parents).context, told, counts, out)
        seen = behind.squares.setdefault(node.depth, mending.flag_counts())
        if draft.plain is not None and draft.source is not None:
            chosen = mending.decide(draft.source, draft.plain, planes, told.lambda_index, seen, *kind)
            decision, planes = dataclasses.replace(decision, mending=chosen), chosen.joined(draft.plain, planes)
            planes = planes if decision.screen is None else decision.screen.over(planes)
        mending.put(decision.mending, seen, out, *kind)
        if behind.screens is not None:
            put(decision.screen, draft.told.prediction, node.depth, behind.screens, out)
            if decision.screen is not None:
                remember(behind.palette, Planes.rounded(self.canvases[node.frame]), decision.screen)
        behind.done[node.frame] = planes
        return CodedNode(node, decision, draft.told, planes, motion_bits, motion_bits + out.bits - begun)


def encode_part(
    encoder: PartEncoder,
    anchors: Anchors,
    out: StreamWriter,
    effort: Effort = Effort(),
    screens: bool = True,
) -> Iterator[CodedNode]:
    """Codes all frames, with anchors that are given: see `tree.waves`; with screen content or without.

    Raises Interrupted if it was to stop.
    """
    behind = Behind(out, screens=ScreenModels() if screens else None)
    for wave in waves(anchors):
        yield from encoder.wave(wave, behind, effort)
