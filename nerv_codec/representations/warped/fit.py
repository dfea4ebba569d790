"""Encoding one GOP: from frames to a payload, and to the function that it decodes to."""

from __future__ import annotations

import numpy as np

from nerv_codec.base.errors import Interrupted
from nerv_codec.base.psnr import psnr_db
from nerv_codec.base.threads import Workers
from nerv_codec.representations.fitting.checkpoint import Checkpoint
from nerv_codec.representations.fitting.status import FitReporter, FitStatus, FittedGop
from nerv_codec.representations.fitting.task import GopTask
from nerv_codec.representations.shared.canvas import to_canvas
from nerv_codec.representations.shared.quality import STEPS_PER_OCTAVE, lambda_index
from nerv_codec.representations.shared.stream import StreamWriter
from nerv_codec.representations.shared.weights import load_weights
from nerv_codec.representations.warped.coding import MAX_DEPTHS, Ladder
from nerv_codec.representations.warped.config import WarpedConfig
from nerv_codec.representations.warped.decode import Fields, make_function
from nerv_codec.representations.warped.encode import encode_part
from nerv_codec.representations.warped.payload import Head, Payload, layout_of
from nerv_codec.representations.warped.planes import Planes


def ladder(config: WarpedConfig) -> Ladder:
    """Prices of nodes by depth."""
    octaves = [config.root_octaves, 0.0]
    octaves += [config.inner_octaves + number * config.deeper_octaves for number in range(MAX_DEPTHS - 2)]
    return Ladder(lambda_index(config.rd_lambda), tuple(round(STEPS_PER_OCTAVE * octave) for octave in octaves))


def fit_warped(config: WarpedConfig, task: GopTask, report: FitReporter, checkpoint: Checkpoint) -> FittedGop:
    """Encodes one GOP.

    Args:
        config: Prices and structure.
        task: The GOP.
        report: Called after every node.
        checkpoint: Asked between nodes whether to stop.

    Raises:
        Interrupted: The checkpoint was asked to stop.
    """
    weights, geometry, frames = load_weights(), task.geometry, task.frames
    layout, prices = layout_of(task.info), ladder(config)
    divided = layout.parts(geometry)
    streams: list[bytes] = []
    done: list[dict[int, Planes]] = []
    fields: Fields = {}
    steps, words, wrong = len(frames) * len(divided), 0, []
    with Workers() as workers:
        for part in divided:
            out, nodes = StreamWriter(), {}
            canvases = [to_canvas(frame.planes, layout.depth, part) for frame in frames]
            for coded in encode_part(canvases, part, prices, config.span, weights, out, workers):
                frame, words = coded.node.frame, words + coded.words
                nodes[frame] = coded.planes
                if part is divided[0]:
                    fields[frame] = coded.node, coded.field
                    wrong.append(float((coded.planes.tensor() - canvases[frame])[:, :4].square().mean()))
                if checkpoint.stop():
                    raise Interrupted("interrupted; nothing was written")
                coded_nodes = sum(map(len, done)) + len(nodes)
                report(FitStatus(coded_nodes, steps, "fit", psnr_db(float(np.mean(wrong)), 1.0), 32.0 * words))
            streams.append(out.bytes())
            done.append(nodes)
    head = Head(weights.digest, layout, prices, config.span)
    crc = head.checksum(planes for nodes in done for planes in nodes.values())
    payload = Payload(head, crc, tuple(streams)).pack()
    return FittedGop(payload, 8.0 * len(payload), make_function(geometry, layout, done, fields))
