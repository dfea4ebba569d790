"""A frame of a GOP with finer grids drawn from the context model of the shared networks instead of read."""

from __future__ import annotations

from dataclasses import dataclass

from nerv_codec.base.threads import Workers
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.shared.drawing import coded_bits, draw_latents, without
from nerv_codec.representations.shared.stream import StreamReader
from nerv_codec.representations.shared.weights import load_weights
from nerv_codec.representations.warped.coding import reconstructed
from nerv_codec.representations.warped.decode import read_nodes
from nerv_codec.representations.warped.function import DecodedFrame, Warped
from nerv_codec.representations.warped.payload import split
from nerv_codec.representations.warped.planes import Samples
from nerv_codec.representations.warped.tree import Node


@dataclass(frozen=True)
class Redrawn:
    """One frame three times, each as a function whose only frame it is; and bits of the grids that were drawn."""

    given: Warped
    """From the coarser grids alone."""
    true: Warped
    """As the file has it."""
    drawn: Warped
    expected_bits: float
    """What coding the drawn grids is expected to take."""
    drawn_bits: int
    """What it takes."""
    true_bits: int
    """What coding the file's own takes."""


def redraw(
    payload: bytes, geometry: GopGeometry, frame: int, grid: int, *, seed: int = 0, temperature: float = 1.0
) -> Redrawn:
    """Draws the finer grids of one frame, given its coarser ones and, as the file has them, its parents and motion.

    Args:
        payload: Of the GOP.
        geometry: Its box.
        frame: The number of the frame in it; 0 is the root, which is predicted from nothing.
        grid: The coarsest level that is drawn, of `shared.layout.LEVELS`.
        seed, temperature: See `shared.drawing.draw_latents`.

    Raises:
        BitstreamError: The payload is damaged.
    """
    found = split(payload, geometry)
    head, weights = found.head, load_weights(found.head.networks)
    planes: dict[str, list[Samples]] = {"given": [], "true": [], "drawn": []}
    expected, spent = 0.0, {"true": 0, "drawn": 0}
    for number, (part, stream) in enumerate(zip(head.layout.parts(geometry), found.streams, strict=True)):
        with Workers() as workers:
            source = StreamReader(stream)
            nodes = read_nodes(part, head, weights, source, workers)
            read = next(one for one in nodes if one.node.frame == frame)
        model = weights.of(read.told.prediction.parents).context, read.told.conditions
        drawn = draw_latents(read.latents, grid, *model, seed=seed + number, temperature=temperature)
        expected += drawn.expected_bits
        kinds = {"given": without(read.latents, grid), "true": read.latents, "drawn": drawn.latents}
        for kind, latents in kinds.items():
            planes[kind] += reconstructed(latents, read.told, read.chosen, read.screen, weights).cut(part)
        for kind in spent:
            spent[kind] += coded_bits(kinds[kind], grid, *model)
    box = GopGeometry(1, geometry.height, geometry.width, geometry.num_planes)

    def picture(kind: str) -> Warped:
        lattices, index = head.layout.lattices(box), head.ladder.lambda_index
        shown = {0: DecodedFrame([*planes[kind], *head.layout.uncoded(box)], Node(0, 0, ()))}
        return Warped(box, head.layout.depth, lattices, shown, weights.between, index, 1)

    return Redrawn(picture("given"), picture("true"), picture("drawn"), expected, spent["drawn"], spent["true"])
