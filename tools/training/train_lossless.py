"""Learns what lossless coding begins with: ``python -m tools.training.train_lossless FOLDER [--frames 6]``.

FOLDER holds video/*.mkv and photo/*.png of the training set. Clip after clip is coded, and between them photos as
greys, whole and in small patches, while the predictor's state is kept instead of begun anew. What the networks are told
is recorded meanwhile; they are trained on it (`lossless_networks`), and half of the works are gone through again, with
them. The result is the mean of what the state was after each clip, the first fifth left out, with counts held low so
that it goes on to adapt, and the networks. It becomes ``nerv_codec/representations/lossless/start.safetensors``, which
changes the format; golden files follow. Sources that are held out, one in nine, are coded at the end with and without
it. The same folder gives the same bytes.
"""

from __future__ import annotations

import argparse
import random
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from nerv_codec.base.video import PixelFormat, Plane
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.lossless import start
from nerv_codec.representations.lossless.byte_stream import ByteStream
from nerv_codec.representations.lossless.gop_coder import code_frames, search_motion
from nerv_codec.representations.lossless.layout import SampleLayout
from nerv_codec.representations.lossless.model import Begin, PlaneState, fresh_state
from tools.training.lossless_networks import train
from tools.training.pictures import HELD_OUT_SHARE, read_clip, source_of

GREY = PixelFormat(1, 0, 0, 8)
PATCH = 32, 64
PATCHES = 16
MOST_SEEN = 60
"""What is known counts as so many observations at the most."""
SUMS_SHARE = 0.1
"""Of the sums of least squares: at their full weight a picture's own hardly count."""
MOST_RECORDS = 2_400_000
"""Samples that a network is trained on."""
RECORD_ONE_OF = {(0, False): 11, (0, True): 19, (1, False): 5, (2, False): 5, (1, True): 9, (2, True): 9}
"""Of the samples of a plane, without or with frames before, one in so many is recorded."""
LAYERS = ("first_layer", "second_layer", "last_layer", "record")

States = dict[tuple[int, bool], PlaneState]
Work = Callable[[Begin], int]
"""Codes a work; gives its bytes."""


def code(frames: list[tuple[Plane, ...]], layout: PixelFormat, begin: Begin) -> int:
    """Bytes of the planes of some frames; the states that ``begin`` gives adapt."""
    geometry = GopGeometry(len(frames), *frames[0][0].shape, layout.num_planes)
    motion = search_motion([frame[0] for frame in frames], geometry)
    streams = [ByteStream() for _ in range(layout.num_planes)]
    for _ in code_frames(SampleLayout(layout, 1), geometry, zip(frames, motion, strict=True), streams, begin):
        pass
    return sum(len(stream.getvalue()) for stream in streams)


def patches(picture: Plane, count: int, rng: random.Random) -> list[Plane]:
    """Parts of a picture, drawn by chance."""
    rows, cols = (size - side for size, side in zip(picture.shape, PATCH, strict=True))
    places = [(rng.randrange(rows + 1), rng.randrange(cols + 1)) for _ in range(count)]
    return [np.ascontiguousarray(picture[row : row + PATCH[0], col : col + PATCH[1]]) for row, col in places]


def works_of_photo(path: Path, rng: random.Random) -> list[Work]:
    """The grey of a photo, and patches of it."""
    grey = cv2.imread(str(path), cv2.IMREAD_COLOR).mean(-1).astype(np.uint8)
    return [
        lambda begin, part=part: code([(part,)], GREY, begin)  # type: ignore[misc]
        for part in [grey, *patches(grey, PATCHES, rng)]
    ]


def work_of_clip(path: Path, count: int) -> Work:
    """The first frames of a clip."""
    return lambda begin: code(list(read_clip(path, tuple(range(count)))), PixelFormat(), begin)


def held_out(path: Path) -> bool:
    """Whether a work serves to judge, not to learn from."""
    return zlib.crc32(source_of(path).encode()) % HELD_OUT_SHARE == 0


class Mean:
    """The mean of states on their way."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: dict[tuple[int, bool], list[np.ndarray]] = {}

    def add(self, states: States) -> None:
        """Takes the states as they are now."""
        self.count += 1
        for kind, state in states.items():
            fields = {name: array for name, array in state._asdict().items() if name not in LAYERS}
            values = [(array >> 8 if name == "counters" else array) for name, array in fields.items()]
            sums = self.sums.setdefault(kind, [np.zeros(value.shape) for value in values])
            for total, value in zip(sums, values, strict=True):
                np.add(total, value, out=total)

    def result(self, last: States) -> States:
        """The mean; how often things were seen is taken from the last states, and held low."""
        return {kind: self._state(kind, last[kind]) for kind in self.sums}

    def _state(self, kind: tuple[int, bool], last: PlaneState) -> PlaneState:
        names = [name for name in PlaneState._fields if name not in LAYERS]
        fields = dict(zip(names, (total / self.count for total in self.sums[kind]), strict=True))
        fields["counters"] = np.rint(fields["counters"]).astype(np.int32) << 8 | np.minimum(
            last.counters & 255, MOST_SEEN
        )
        for name in ("spreads_seen", "biases_seen"):
            fields[name] = np.minimum(getattr(last, name), MOST_SEEN)
        for name in ("slow_sums", "scale_sums"):
            fields[name] = SUMS_SHARE * fields[name]
        fields["towards"] = fields["slow_weights"]
        return PlaneState(**fields, **{name: getattr(last, name) for name in LAYERS})


def learn(works: list[list[Work]], states: States) -> States:
    """What states are like after works, in groups; they adapt."""
    mean, began = Mean(), time.monotonic()
    for number, group in enumerate(works):
        for work in group:
            work(lambda plane, inter: states[plane, inter])
        if number >= len(works) // 5:
            mean.add(states)
        print(f"{number + 1} of {len(works)}, {time.monotonic() - began:.0f} s", flush=True)
    return mean.result(states)


def recording(state: PlaneState, one_of: int, most: int) -> PlaneState:
    """A state that keeps what its network is told."""
    record = np.zeros((most + 1, state.record.shape[1]), np.float32)
    record[0, 1] = one_of
    return state._replace(record=record)


def with_network(state: PlaneState, record: npt.NDArray[np.float32], name: str) -> PlaneState:
    """A state with a network trained on what was recorded."""
    return state._replace(**dict(zip(LAYERS, train(record[1 : int(record[0, 0]) + 1], name=name), strict=False)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=6, help="of each clip (6)")
    parser.add_argument("--clips", type=int, help="at the most so many")
    parser.add_argument("--target", type=Path, default=start.FILE)
    options = parser.parse_args()
    rng = random.Random(0)
    clips, photos = (sorted(options.folder.glob(kind)) for kind in ("video/*.mkv", "photo/*.png"))
    kept = [[path for path in paths if held_out(path)] for paths in (clips, photos)]
    clips, photos = ([path for path in paths if not held_out(path)] for paths in (clips, photos))
    rng.shuffle(clips)
    rng.shuffle(photos)
    clips = clips[: options.clips]
    works = [
        [work_of_clip(path, options.frames), *works_of_photo(photos[number % len(photos)], rng)]
        for number, path in enumerate(clips)
    ]
    states: States = {kind: recording(fresh_state(*kind), RECORD_ONE_OF[kind], MOST_RECORDS) for kind in start.KINDS}
    learn(works, states)
    networks = {
        kind: with_network(fresh_state(*kind), states[kind].record, f"{kind[0]} {'later' if kind[1] else 'first'}")
        for kind in start.KINDS
    }
    states.clear()
    data = start.to_bytes(learn(works[: -(-len(works) // 2)], networks))
    options.target.write_bytes(data)
    print(f"{options.target}: {len(data)} bytes")
    learnt, nothing = start.from_bytes(data), start.load_start(start.NOTHING)
    judged = {
        "clips": [work_of_clip(path, options.frames) for path in kept[0]],
        "photos": [work for path in kept[1] for work in works_of_photo(path, rng)[:1]],
        "patches": [work for path in kept[1] for work in works_of_photo(path, rng)[1:]],
    }
    for name, works in judged.items():
        before, after = (sum(work(known.state) for work in works) for known in (nothing, learnt))
        print(f"{len(works)} {name} held out: {before} bytes without, {after} with it: {after / before - 1:+.2%}")


if __name__ == "__main__":
    main()
