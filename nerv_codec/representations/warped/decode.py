"""The function of a payload: node after node, from the stream."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nerv_codec.base.arriving import Arriving
from nerv_codec.base.errors import BitstreamError
from nerv_codec.base.threads import Result, Task, Workers
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.representation import Opened
from nerv_codec.representations.shared.band_coder import Latents, flag_counts, grid_shapes, take_latents
from nerv_codec.representations.shared.canvas import Part
from nerv_codec.representations.shared.layout import LEVELS
from nerv_codec.representations.shared.stream import Counts, StreamReader
from nerv_codec.representations.shared.weights import SharedWeights, load_weights
from nerv_codec.representations.warped import mending, screen
from nerv_codec.representations.warped.brightness import Brightness, BrightnessCounts, changed, take_brightness
from nerv_codec.representations.warped.coding import Told, predicted, reconstructed
from nerv_codec.representations.warped.function import DecodedFrame, Warped
from nerv_codec.representations.warped.motion import BLOCK, MotionField, expected
from nerv_codec.representations.warped.motion_coder import MotionModels, take_field
from nerv_codec.representations.warped.payload import Head, Payload, checksum_with, split
from nerv_codec.representations.warped.planes import Planes
from nerv_codec.representations.warped.tree import Node, waves

Fields = dict[int, tuple[Node, MotionField | None]]
_Lacked = tuple[Latents, mending.Mending, screen.Screen | None]
_AHEAD = 2
"""Nodes a thread that are predicted before they are read, and that are read before their planes are asked for."""


@dataclass(frozen=True)
class ReadNode:
    """A node as the stream has it, what was known of it before, its planes, and words: of motion, and of the rest."""

    node: Node
    field: MotionField | None
    told: Told
    latents: Latents
    chosen: mending.Mending
    screen: screen.Screen | None
    planes: Planes
    words: tuple[int, int]


def read_nodes(
    part: Part,
    head: Head,
    weights: SharedWeights,
    source: StreamReader,
    workers: Workers,
) -> Iterator[ReadNode]:
    """The inverse of `encode.encode_part`: nodes in coding order, wave by wave.

    The stream is read by the caller's thread, which the planes of a wave need not keep from the next wave's motion.
    """
    shapes = grid_shapes(part.rows, part.cols)
    extent = shapes[LEVELS[-1]][1] * LEVELS[-1], shapes[LEVELS[-1]][2] * LEVELS[-1]
    done: dict[int, Task[Planes]] = {}
    brightness: dict[int, tuple[Brightness, ...]] = {}
    fields: Fields = {}
    lights, models = BrightnessCounts(), MotionModels()
    counts: dict[int, dict[int, Counts]] = {}
    squares: dict[int, Counts] = {}
    screens = screen.ScreenModels()

    def told_of(node: Node, helpers: Workers | None) -> Told:
        parents = changed([workers.result(done[frame]) for frame in node.parents], brightness[node.frame])
        index = head.ladder.at(node, part)
        return predicted(parents, node.sides, fields[node.frame][1], extent, index, part, weights, helpers)

    def begun(alone: bool, function: Callable[..., Result], *arguments: Any) -> Task[Result]:
        """A node that is a wave by itself is what all others wait for: they help with it instead."""
        if not alone:
            return workers.begin(function, *arguments, None)
        task = Task(function, (*arguments, workers))
        task()
        return task

    def finished(node: Node, told: Told, lacked: _Lacked, words: tuple[int, int]) -> ReadNode:
        planes = workers.result(done[node.frame])
        return ReadNode(node, fields[node.frame][1], told, *lacked, planes, words)

    under_way: deque[tuple[Node, Told, _Lacked, tuple[int, int]]] = deque()
    for wave in waves(head.anchors):
        motion_words = []
        for node in wave:
            field, start, brightness[node.frame] = None, source.position, ()
            if node.parents:
                brightness[node.frame] = take_brightness(len(node.parents), lights, source)
                known = expected(node, (extent[0] // BLOCK, extent[1] // BLOCK), fields)
                field = take_field(extent, known, models, source)
            fields[node.frame] = node, field
            motion_words.append(source.position - start)
        alone, tasks = len(wave) == 1, deque[Task[Told]]()
        for number, (node, words) in enumerate(zip(wave, motion_words, strict=True)):
            while len(tasks) < _AHEAD * workers.count and number + len(tasks) < len(wave):
                tasks.append(begun(alone, told_of, wave[number + len(tasks)]))
            told, start = workers.result(tasks.popleft()), source.position
            context, seen = weights.of(told.conditions.parents).context, counts.setdefault(node.depth, flag_counts())
            latents = take_latents(shapes, context, told.conditions, seen, source)
            flags = squares.setdefault(node.depth, mending.flag_counts())
            chosen = mending.take(extent, flags, source, not node.parents, part.components)
            shown = None
            if head.screens:
                shown = screen.take(extent, told.prediction, node.depth, part.components, screens, source)
            done[node.frame] = begun(alone, reconstructed, latents, told, chosen, shown, weights)
            under_way.append((node, told, (latents, chosen, shown), (words, source.position - start)))
            while under_way and (len(under_way) > _AHEAD * workers.count or done[under_way[0][0].frame].is_done):
                yield finished(*under_way.popleft())
    yield from (finished(*one) for one in under_way)


def open_warped(data: bytes, geometry: GopGeometry) -> Opened:
    """The function of a payload, whose frames are decoded in coding order as far as they are asked for.

    The payload's parts are ``header``; ``motion``; ``root`` and ``others``, what the root and the other frames lack,
    whose range coder's words are counted where they are read.

    Raises:
        BitstreamError: The payload is damaged, which may be seen later.
    """
    payload, workers = split(data, geometry), Workers()
    head, weights = payload.head, load_weights(payload.head.networks)
    sizes = {"header": len(data) - sum(map(len, payload.streams)), "motion": 0, "root": 0, "others": 0}
    frames = Arriving(_decoded(payload, geometry, weights, workers, sizes), geometry.num_frames, workers)
    return Opened(make_function(geometry, head, weights, frames), payload.checksum, sizes, frames)


def _decoded(
    payload: Payload, geometry: GopGeometry, weights: SharedWeights, workers: Workers, sizes: dict[str, int]
) -> Iterator[tuple[int, DecodedFrame]]:
    """All frames, each with its number; then sizes are completed and all is compared. Raises BitstreamError."""
    head, crc = payload.head, payload.head.checksum(())
    divided = list(zip(head.layout.parts(geometry), payload.streams, strict=True))
    frames: dict[int, DecodedFrame] = {}
    uncoded = head.layout.uncoded(geometry)
    for part, stream in divided:
        source = StreamReader(stream)
        for read in read_nodes(part, head, weights, source, workers):
            crc, number = checksum_with(crc, read.planes), read.node.frame
            for kind, words in zip(("motion", "others" if read.node.parents else "root"), read.words, strict=True):
                sizes[kind] += 4 * words
            known = frames.get(
                number, DecodedFrame((), read.node, read.field)
            )  # the first part's motion is the frame's
            frames[number] = dataclasses.replace(known, planes=[*known.planes, *read.planes.cut(part)])
            if part is divided[-1][0]:
                yield number, dataclasses.replace(frames[number], planes=[*frames[number].planes, *uncoded])
        source.check_end()
    # what decoders hold at first, less what they run ahead
    sizes["root"] += sizes["header"] + sum(map(len, payload.streams)) - sum(sizes.values())
    if crc != payload.checksum:
        raise BitstreamError("the decoded planes do not have the checksum that the encoder stored")


def make_function(
    geometry: GopGeometry, head: Head, weights: SharedWeights, frames: Mapping[int, DecodedFrame]
) -> Warped:
    """The function of decoded frames."""
    lattices, index = head.layout.lattices(geometry), head.ladder.lambda_index
    return Warped(geometry, head.layout.depth, lattices, frames, weights.between, index, len(head.anchors.frames))
