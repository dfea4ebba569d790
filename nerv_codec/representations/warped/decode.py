"""The function of a payload: node after node, from the stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nerv_codec.base.errors import BitstreamError
from nerv_codec.base.threads import Result, Task, Workers
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.shared.band_coder import Latents, flag_counts, grid_shapes, take_latents
from nerv_codec.representations.shared.canvas import Part
from nerv_codec.representations.shared.layout import LEVELS
from nerv_codec.representations.shared.stream import Counts, StreamReader
from nerv_codec.representations.shared.weights import SharedWeights, load_weights
from nerv_codec.representations.warped import mending, screen
from nerv_codec.representations.warped.brightness import Brightness, BrightnessCounts, changed, take_brightness
from nerv_codec.representations.warped.coding import Told, predicted, reconstructed
from nerv_codec.representations.warped.function import Warped
from nerv_codec.representations.warped.motion import BLOCK, MotionField, Vectors, expected, scaled
from nerv_codec.representations.warped.motion_coder import MotionModels, take_field
from nerv_codec.representations.warped.payload import Head, split
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
        index = head.ladder.at(node.depth, part)
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
            if len(under_way) > _AHEAD * workers.count:
                yield finished(*under_way.popleft())
    yield from (finished(*one) for one in under_way)


def unpack_warped(data: bytes, geometry: GopGeometry) -> tuple[Warped, int, dict[str, int]]:
    """The function, the digest of its integers, and the payload's bytes by part.

    The parts are ``header``; ``motion``; ``root`` and ``others``, what frame 0 and the other frames lack, whose range
    coder's words are counted where they are read.

    Raises:
        BitstreamError: The payload is damaged.
    """
    payload = split(data, geometry)
    head, weights = payload.head, load_weights(payload.head.networks)
    sizes = dict.fromkeys(("motion", "root", "others"), 0)

    decoded: list[tuple[dict[int, Planes], Fields]] = []

    def read_part(part: Part, stream: bytes) -> Iterator[Planes]:
        done: dict[int, Planes] = {}
        fields: Fields = {}
        decoded.append((done, fields))
        source = StreamReader(stream)
        for read in read_nodes(part, head, weights, source, workers):
            done[read.node.frame], fields[read.node.frame] = read.planes, (read.node, read.field)
            for kind, words in zip(("motion", "others" if read.node.parents else "root"), read.words, strict=True):
                sizes[kind] += 4 * words
            yield read.planes
        source.check_end()

    with Workers() as workers:
        parts = zip(head.layout.parts(geometry), payload.streams, strict=True)
        crc = head.checksum(planes for part, stream in parts for planes in read_part(part, stream))
    if crc != payload.checksum:
        raise BitstreamError("the decoded planes do not have the checksum that the encoder stored")
    function = make_function(geometry, head, weights, [done for done, _ in decoded], decoded[0][1])
    streams = sum(len(stream) for stream in payload.streams)
    sizes["root"] += streams - sum(sizes.values())  # what the decoder holds at first, less what it ran ahead
    return function, crc, {"header": len(data) - streams, **sizes}


def make_function(
    geometry: GopGeometry,
    head: Head,
    weights: SharedWeights,
    done: Sequence[Mapping[int, Planes]],
    fields: Mapping[int, tuple[Node, MotionField | None]],
) -> Warped:
    """The function of decoded nodes.

    Args:
        geometry: The box.
        head: Of the GOP.
        weights: The shared networks.
        done: Frame to planes, for each part.
        fields: Frame to motion, of the first part.
    """
    layout, divided = head.layout, head.layout.parts(geometry)
    planes = [
        [plane for part, nodes in zip(divided, done, strict=True) for plane in nodes[frame].cut(part)]
        for frame in range(geometry.num_frames)
    ]
    flows = {frame: _flow(frame, fields) for frame in range(geometry.num_frames - 1)}
    lattices, index = layout.lattices(geometry), head.ladder.lambda_index
    return Warped(geometry, layout.depth, lattices, planes, weights.between, index, len(head.anchors), flows)


def _flow(frame: int, fields: Mapping[int, tuple[Node, MotionField | None]]) -> Vectors:
    """Half of the motion from a frame to the next, as the one that is predicted from the other keeps it."""
    later = frame in fields[frame + 1][0].parents
    node, field = fields[frame + later]
    assert field is not None
    return scaled(field.vectors[node.parents.index(frame + 1 - later)], -1 if later else 1, 2)
