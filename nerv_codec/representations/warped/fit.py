"""Encoding one GOP: from frames to a payload, and to the function that it decodes to."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np

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
from nerv_codec.representations.warped.coding import MAX_DEPTHS, Ladder
from nerv_codec.representations.warped.config import WarpedConfig
from nerv_codec.representations.warped.decisions import Decisions
from nerv_codec.representations.warped.decode import Fields, make_function
from nerv_codec.representations.warped.encode import CodedNode, Effort, encode_part
from nerv_codec.representations.warped.function import Warped
from nerv_codec.representations.warped.payload import Head, Payload, layout_of
from nerv_codec.representations.warped.planes import Planes
from nerv_codec.representations.warped.span import chosen, cost_of, first_frames, moves_fast

_TRIALS = 6
"""Encodes of a GOP at the most, where it is to come to a size or a PSNR."""
_BITS_SLOPE, _PSNR_SLOPE = -0.055, -0.3
"""What an index of lambda changes, about: the logarithm of the bits, and dB."""


def ladder(config: WarpedConfig, index: int) -> Ladder:
    """Prices of nodes by depth around a lambda index."""
    octaves = [config.root_octaves, 0.0]
    octaves += [config.inner_octaves + number * config.deeper_octaves for number in range(MAX_DEPTHS - 2)]
    return Ladder(index, tuple(round(STEPS_PER_OCTAVE * octave) for octave in octaves))


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
        settled = dataclasses.replace(config, span=_span(config, task, decisions))

        def encoded(steps: int, index: int) -> _Encoded:
            return _encoded(dataclasses.replace(settled, steps=steps), index, task, report, decisions)

        found = _fitted(encoded, config, task)
    except Interrupted:
        decisions.offer()
        raise
    return FittedGop(found.payload, 8.0 * len(found.payload), found.function)


def _span(config: WarpedConfig, task: GopTask, decisions: Decisions) -> int:
    """The distance of anchors: the longest, or where much moves, what a trial without steps prefers."""
    index, count, layout = lambda_index(config.rd_lambda), len(task.frames), layout_of(task.info)
    part, *_ = layout.parts(task.geometry)
    canvases = [to_canvas(frame.planes, layout.depth, part) for frame in task.frames]
    prices, weights = ladder(config, index), load_weights()

    def tried(span: int, nodes: int) -> list[CodedNode]:
        trial, found = _trial(0, span, index, 0), []
        effort = Effort(0, decisions.of(trial), decisions.stop)
        with Workers() as workers:
            coded = encode_part(canvases, part, prices, span, weights, StreamWriter(), workers, effort)
            for one in islice(coded, nodes):
                decisions.add(trial, one.node.frame, one.decision)
                found.append(one)
        return found

    def cost(span: int) -> float:
        return cost_of(tried(span, first_frames(count, span, config.span)), canvases)

    if count < 3 or config.span // 2 < config.shortest_span or not moves_fast(tried(config.span, 2)[1]):
        return config.span
    return chosen(config.span, config.shortest_span, count, cost)


def _trial(steps: int, span: int, index: int, part: int) -> str:
    """What decisions of a part are kept under."""
    return f"{steps} {span} {index} {part}"


def _fitted(encoded: Callable[[int, int], _Encoded], config: WarpedConfig, task: GopTask) -> _Encoded:
    """The encode that is asked for. A target is looked for without steps first, which are the long part."""
    index, target = lambda_index(config.rd_lambda), task.target
    if target is None:
        return encoded(config.steps, index)
    goal = math.log(target.bits) if target.bits is not None else float(target.psnr_db or 0)
    slope = _BITS_SLOPE if target.bits is not None else _PSNR_SLOPE

    def off(one: _Encoded) -> float:
        return one.value(target, task) - goal

    index, found = _nearest(partial(encoded, 0), index, off, slope, _TRIALS)
    return _nearest(partial(encoded, config.steps), index, off, slope, _TRIALS // 2)[1] if config.steps else found


def _nearest(
    encoded: Callable[[int], _Encoded], index: int, off: Callable[[_Encoded], float], slope: float, trials: int
) -> tuple[int, _Encoded]:
    """The lambda index whose encode is least off, by the secant method, and that encode.

    Args:
        encoded: Makes one.
        index: Where to begin.
        off: By how much an encode misses.
        slope: What an index changes about that, roughly.
        trials: Encodes at the most.
    """
    first = encoded(index)
    tried = {index: (off(first), first)}
    while len(tried) < trials:
        best = min(tried, key=lambda one: abs(tried[one][0]))
        others = [one for one in tried if one != best]
        if others:
            near = min(others, key=lambda one: abs(one - best))
            measured = (tried[near][0] - tried[best][0]) / (near - best)
            slope = min(max(measured, 3 * slope), slope / 3)
        step = -tried[best][0] / slope
        following = min(max(best + round(step), 0), NUM_LAMBDAS - 1)
        if following in tried:
            break
        made = encoded(following)
        tried[following] = off(made), made
    best = min(tried, key=lambda one: abs(tried[one][0]))
    return best, tried[best][1]


def _encoded(config: WarpedConfig, index: int, task: GopTask, report: FitReporter, decisions: Decisions) -> _Encoded:
    weights, geometry, frames = load_weights(), task.geometry, task.frames
    layout, prices = layout_of(task.info), ladder(config, index)
    divided = layout.parts(geometry)
    streams: list[bytes] = []
    done: list[dict[int, Planes]] = []
    fields: Fields = {}
    steps, words, wrong = len(frames) * len(divided), 0, []
    with Workers() as workers:
        for number, part in enumerate(divided):
            trial = _trial(config.steps, config.span, index, number)
            effort = Effort(config.steps, decisions.of(trial), decisions.stop, task.device)
            out, nodes = StreamWriter(), {}
            canvases = [to_canvas(frame.planes, layout.depth, part) for frame in frames]
            for coded in encode_part(canvases, part, prices, config.span, weights, out, workers, effort):
                frame, words = coded.node.frame, words + coded.words
                nodes[frame] = coded.planes
                if part is divided[0]:
                    fields[frame] = coded.node, coded.decision.field
                    wrong.append(float((coded.planes.tensor() - canvases[frame])[:, :4].square().mean()))
                decisions.add(trial, frame, coded.decision)
                coded_nodes = sum(map(len, done)) + len(nodes)
                report(FitStatus(coded_nodes, steps, "fit", psnr_db(float(np.mean(wrong)), 1.0), 32.0 * words))
            streams.append(out.bytes())
            done.append(nodes)
    head = Head(weights.digest, layout, prices, config.span)
    crc = head.checksum(planes for nodes in done for planes in nodes.values())
    payload = Payload(head, crc, tuple(streams)).pack()
    return _Encoded(payload, make_function(geometry, head, weights, done, fields))
