"""What encoder and decoder of a node do alike: prediction, what the networks are told, reconstruction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nerv_codec.base.threads import Workers
from nerv_codec.representations.shared.band_coder import Conditions, Latents
from nerv_codec.representations.shared.canvas import Part
from nerv_codec.representations.shared.integer_prediction import IntegerPrediction
from nerv_codec.representations.shared.layout import LEVELS
from nerv_codec.representations.shared.quality import NUM_LAMBDAS
from nerv_codec.representations.shared.weights import SharedWeights
from nerv_codec.representations.warped.compensate import compensate
from nerv_codec.representations.warped.mending import Mending
from nerv_codec.representations.warped.motion import MotionField
from nerv_codec.representations.warped.planes import Planes, prediction_of
from nerv_codec.representations.warped.screen import Screen
from nerv_codec.representations.warped.tree import Node

MAX_DEPTHS = 8


@dataclass(frozen=True)
class Ladder:
    """Price of bits of every node.

    Attributes:
        lambda_index: Of the anchors, on the ladder of `shared.quality`.
        offsets: What is added at depth 0, 1, ...; deeper nodes take the last.
        own: What is added for single nodes, by frame; nothing for others.
    """

    lambda_index: int
    offsets: tuple[int, ...]
    own: Mapping[int, int] = field(default_factory=dict)

    def offset(self, depth: int) -> int:
        """What is added at a depth."""
        return self.offsets[min(depth, len(self.offsets) - 1)]

    def at(self, node: Node, part: Part) -> int:
        """The index of a node of a part."""
        found = part.lambda_index(self.lambda_index) + self.offset(node.depth) + self.own.get(node.frame, 0)
        return min(max(found, 0), NUM_LAMBDAS - 1)


@dataclass(frozen=True)
class Told:
    """What is known of a node before its latents.

    Attributes:
        prediction: For the networks.
        conditions: For the context model.
    """

    prediction: IntegerPrediction
    conditions: Conditions


def predicted(
    parents: Sequence[Planes],
    sides: int,
    field: MotionField | None,
    extent: tuple[int, int],
    lambda_index: int,
    part: Part,
    weights: SharedWeights,
    workers: Workers | None = None,
) -> Told:
    """What parents and motion say of a node whose canvas has ``extent`` luma samples; sides are `tree.Node.sides`."""
    none = IntegerPrediction.none
    prediction = none(*extent) if field is None else prediction_of(*compensate(parents, field, workers), sides, workers)
    seen = prediction.sides(weights.of(prediction.parents).synthesis.told(lambda_index, prediction.parents).steps)
    return Told(prediction, Conditions(lambda_index, prediction.parents, seen, part.components))


def restored(latents: Latents, told: Told, weights: SharedWeights) -> Planes:
    """The planes of a node without the residual of the network."""
    synthesis = weights.of(told.prediction.parents).synthesis
    return Planes(*synthesis.unmended(latents, told.prediction, told.conditions.lambda_index))


def mended(
    latents: Latents,
    told: Told,
    weights: SharedWeights,
    chosen: Mending | None = None,
    workers: Workers | None = None,
) -> Planes:
    """The planes of a node with the residual of the network, everywhere or where it is chosen."""
    synthesis, index = weights.of(told.prediction.parents).synthesis, told.conditions.lambda_index
    wanted = None if chosen is None else chosen.places(latents[LEVELS[-1]].shape[1:])
    chroma = (True, True) if chosen is None else chosen.chroma
    return Planes(*synthesis(latents, told.prediction, index, wanted, chroma, workers))


def reconstructed(
    latents: Latents,
    told: Told,
    chosen: Mending,
    screen: Screen | None,
    weights: SharedWeights,
    workers: Workers | None = None,
) -> Planes:
    """The planes of a node; the network runs only where it is asked."""
    if chosen.squares.any():
        found = mended(latents, told, weights, chosen, workers)
    else:
        found = restored(latents, told, weights)
    return found if screen is None else screen.over(found)
