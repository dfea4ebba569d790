"""Encoding one GOP: from frames to a payload, and to the function that it decodes to."""

from __future__ import annotations

import dataclasses
import itertools
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import Tensor

from nerv_codec.base.errors import Interrupted
from nerv_codec.base.psnr import mean_squared_error, psnr_db
from nerv_codec.base.threads import Workers
from nerv_codec.representations.fitting.checkpoint import Checkpoint
from nerv_codec.representations.fitting.status import FitReporter, FitStatus, FittedGop
from nerv_codec.representations.fitting.task import FitTarget, GopTask
from nerv_codec.representations.rendering import View, render_planes
from nerv_codec.representations.shared.canvas import to_canvas
from nerv_codec.representations.shared.quality import NUM_LAMBDAS, STEPS_PER_OCTAVE, lambda_index
from nerv_codec.representations.shared.stream import StreamWriter
from nerv_codec.representations.shared.weights import load_weights
from nerv_codec.representations.warped.anchors import choose_anchors
from nerv_codec.representations.warped.coding import MAX_DEPTHS, Ladder
from nerv_codec.representations.warped.config import WarpedConfig
from nerv_codec.representations.warped.decisions import Decisions
from nerv_codec.representations.warped.decode import Fields, make_function
from nerv_codec.representations.warped.encode import CodedNode, Effort, PartEncoder, encode_part
from nerv_codec.representations.warped.function import DecodedFrame, Warped
from nerv_codec.representations.warped.inheritance import prices
from nerv_codec.representations.warped.payload import Head, Payload, layout_of
from nerv_codec.representations.warped.planes import Planes
from nerv_codec.representations.warped.tree import Anchors, evenly

_TRIALS = 6
"""Encodes of a GOP at the most, where it is to come to a size or a PSNR."""
_BITS_SLOPE, _PSNR_SLOPE = -0.028, -0.2
"""What a half of an index of lambda changes, about: the logarithm of the bits, and dB."""
_CLOSE_BITS, _CLOSE_PSNR = 0.05, 0.15
"""The logarithm of the bits, and dB: who is further off tries other anchors."""


def ladder(config: WarpedConfig, halves: int) -> Ladder:
    """Prices of nodes by depth around a lambda index, given in halves: behind one, nodes between anchors are dearer.

    An index changes the PSNR by up to half a dB, which is more than somebody who asks for one wants to be off.
    """
    octaves = [0.0, 0.0]
    octaves += [config.inner_octaves + number * config.deeper_octaves for number in range(MAX_DEPTHS - 2)]
    index, rest = divmod(halves, 2)
    steps = [round(STEPS_PER_OCTAVE * octave) + rest * (depth > 1) for depth, octave in enumerate(octaves)]
    return Ladder(index, tuple(steps))


@dataclass(frozen=True)
class _Encoded:
    """A GOP at one price."""

    payload: bytes
    function: Warped

    def value(self, target: FitTarget, task: GopTask) -> float:
        """The logarithm of the bits, or the PSNR of luma in dB: what a target is about."""
        if target.bits is not None:
            return math.log(8 * len(self.payload))
        info = task.info
        view, peak = View.whole(info.height, info.width), info.pixel_format.max_value
        shown = (render_planes(self.function, float(t), info, view, info)[0] for t in range(len(task.frames)))
        pairs = zip(task.frames, shown, strict=True)
        return float(np.mean([psnr_db(mean_squared_error(frame.planes[0], one), peak) for frame, one in pairs]))


def fit_warped(config: WarpedConfig, task: GopTask, report: FitReporter, checkpoint: Checkpoint) -> FittedGop:
    """Encodes one GOP, several times where it is to come to a size or a PSNR.

    Args:
        config: Prices and structure.
        task: The GOP.
        report: Called after every node.
        checkpoint: Asked after every node whether to stop.

    Raises:
        Interrupted: The checkpoint was asked to stop.
    """
    decisions = Decisions(checkpoint)
    try:
        found = _fitted(config, task, report, decisions)
    except Interrupted:
        decisions.offer()
        raise
    return FittedGop(found.payload, 8.0 * len(found.payload), found.function)


def _fitted(config: WarpedConfig, task: GopTask, report: FitReporter, decisions: Decisions) -> _Encoded:
    """The encode that is asked for. A target is looked for without steps first, which are the long part."""
    halves, target = min(max(2 * lambda_index(config.rd_lambda), 0), 2 * NUM_LAMBDAS - 1), task.target
    anchors = _looked_ahead(config, halves, task, report, decisions)
    if target is None:
        return _encoded(config, halves, anchors, task, report, decisions)
    goal = math.log(target.bits) if target.bits is not None else float(target.psnr_db or 0)
    slope = _BITS_SLOPE if target.bits is not None else _PSNR_SLOPE
    quick, close = dataclasses.replace(config, steps=0), _CLOSE_BITS if target.bits is not None else _CLOSE_PSNR

    def encoded(settings: WarpedConfig, halves: int) -> _Encoded:
        return _encoded(settings, halves, anchors, task, report, decisions)

    def off(one: _Encoded) -> float:
        return one.value(target, task) - goal

    look = partial(_nearest, off=off, slope=slope, below=target.bits is not None)
    halves, found = look(partial(encoded, quick), halves, trials=_TRIALS)
    if abs(off(found)) > close:  # as far as these anchors lead
        anchors = _looked_ahead(config, halves, task, report, decisions)
        halves, found = look(partial(encoded, quick), halves, trials=_TRIALS // 2)
    return look(partial(encoded, config), halves, trials=_TRIALS // 2)[1] if config.steps else found


def _nearest(
    encoded: Callable[[int], _Encoded],
    halves: int,
    *,
    off: Callable[[_Encoded], float],
    slope: float,
    below: bool,
    trials: int,
) -> tuple[int, _Encoded]:
    """The lambda index whose encode is least off, in halves, and that encode; see :func:`_following`.

    Args:
        encoded: Makes one.
        halves: Where to begin.
        off: By how much an encode misses.
        slope: What a half changes about that, roughly; negative.
        below: Whether one that is not above is better than any that is: who asks for a size wants it to fit.
        trials: Encodes at the most.
    """
    tried: dict[int, tuple[float, _Encoded]] = {}
    while halves not in tried and len(tried) < trials:
        made = encoded(halves)
        tried[halves] = off(made), made
        wanted = _following({place: miss for place, (miss, _) in tried.items()}, slope)
        halves = min(max(math.ceil(wanted) if below else round(wanted), 0), 2 * NUM_LAMBDAS - 1)
    best = min(tried, key=lambda one: (below and tried[one][0] > 0, abs(tried[one][0])))
    return best, tried[best][1]


def _following(misses: Mapping[int, float], slope: float) -> float:
    """Where an encode should miss by nothing: on a line through two that do.

    They are neighbours on both sides of the goal (regula falsi); as long as there are none, the best and the one next
    to it, whose slope is trusted within a factor of three.
    """
    around = [(one, two) for one, two in itertools.pairwise(sorted(misses)) if misses[one] * misses[two] <= 0]
    if around:
        one, two = min(around, key=lambda pair: min(abs(misses[place]) for place in pair))
        return one + (two - one) * misses[one] / ((misses[one] - misses[two]) or 1.0)
    best, *others = sorted(misses, key=lambda one: abs(misses[one]))
    measured = slope
    if others:
        near = min(others, key=lambda one: abs(one - best))
        measured = min(max((misses[near] - misses[best]) / (near - best), 3 * slope), slope / 3)
    return best - misses[best] / measured


def _looked_ahead(
    config: WarpedConfig, halves: int, task: GopTask, report: FitReporter, decisions: Decisions
) -> Anchors:
    """The anchors of a GOP; the first part decides for all of them."""
    layout, kept = layout_of(task.info, task.frames), f"anchors {halves / 2}"
    divided, anchors = layout.parts(task.geometry), decisions.anchors(kept)
    work = len(task.frames) * (1 + len(divided) * _coding_work(config))
    if anchors is None:
        canvases = [to_canvas(frame.planes, layout.depth, divided[0]) for frame in task.frames]

        def told(settled: int, root: CodedNode) -> None:
            report(FitStatus(settled, work, "look ahead", psnr_db(_error(root, canvases), 1.0), root.bits))

        with Workers() as workers:
            even = evenly(len(canvases), config.span)
            own = {even.root: prices(even, config.root_octaves)[even.root]}
            rough = dataclasses.replace(ladder(config, halves), own=own)
            encoder = PartEncoder(canvases, divided[0], rough, load_weights(), workers)
            anchors = choose_anchors(encoder, even, config.shortest_span, decisions.stop, told)
        decisions.add_anchors(kept, anchors)
    return anchors


def _coding_work(config: WarpedConfig) -> int:
    """How many times as long coding a frame takes as looking at it in trials, about; for progress alone."""
    return 2 + config.steps // 3


def _error(coded: CodedNode, canvases: Sequence[Tensor]) -> float:
    """Mean squared error of luma."""
    return float((coded.planes.tensor() - canvases[coded.node.frame])[:, :4].square().mean())


def _encoded(
    config: WarpedConfig,
    halves: int,
    anchors: Anchors,
    task: GopTask,
    report: FitReporter,
    decisions: Decisions,
) -> _Encoded:
    """A GOP at one price."""
    weights, geometry, frames = load_weights(), task.geometry, task.frames
    own = prices(anchors, config.root_octaves)
    layout, ladder_of_gop = layout_of(task.info, frames), dataclasses.replace(ladder(config, halves), own=own)
    divided = layout.parts(geometry)
    encoders: list[tuple[PartEncoder, Effort]] = []
    fields: Fields = {}
    bits, wrong, each = 0.0, [], _coding_work(config)
    work = len(frames) * (1 + len(divided) * each)
    with Workers() as workers:
        for number, part in enumerate(divided):
            trial = f"{config.steps} {halves / 2} {number} {zlib.crc32(repr(anchors).encode()):08x}"
            effort = Effort(config.steps, decisions.of(trial), decisions.stop, task.device)
            canvases = [to_canvas(frame.planes, layout.depth, part) for frame in frames]
            encoder = PartEncoder(canvases, part, ladder_of_gop, weights, workers)
            for count, coded in enumerate(encode_part(encoder, anchors, StreamWriter(), effort), 1):
                frame, bits = coded.node.frame, bits + coded.bits
                if part is divided[0]:
                    fields[frame] = coded.node, coded.decision.field
                    wrong.append(_error(coded, canvases))
                decisions.add(trial, coded.decision)
                coded_work = len(frames) + each * (number * len(frames) + count)
                report(FitStatus(coded_work, work, "fit", psnr_db(float(np.mean(wrong)), 1.0), bits))
            encoders.append((encoder, dataclasses.replace(effort, decided=decisions.of(trial))))
        screens = any(one.screen is not None for _, effort in encoders for one in effort.decided.values())
        streams: list[bytes] = []
        done: list[dict[int, Planes]] = []
        for encoder, effort in encoders:  # as decided: in the order of the stream, and with no flag that none needs
            out, nodes = StreamWriter(), {}
            for coded in encode_part(encoder, anchors, out, effort, screens):
                nodes[coded.node.frame] = coded.planes
                decisions.offer()
            streams.append(out.bytes())
            done.append(nodes)
    head = Head(weights.digest, layout, ladder_of_gop, anchors, screens)
    crc = head.checksum(planes for nodes in done for planes in nodes.values())
    payload = Payload(head, crc, tuple(streams)).pack()
    pairs, uncoded = list(zip(divided, done, strict=True)), layout.uncoded(geometry)
    shown = {
        frame: DecodedFrame(
            [*(plane for part, nodes in pairs for plane in nodes[frame].cut(part)), *uncoded], *fields[frame]
        )
        for frame in range(geometry.num_frames)
    }
    return _Encoded(payload, make_function(geometry, head, weights, shown))
