import numpy as np
import pytest

from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.shared.canvas import parts
from nerv_codec.representations.shared.codec import (
    analyse,
    decode_picture,
    encode_picture,
    synthesise,
)
from nerv_codec.representations.shared.quality import NUM_LAMBDAS, lambda_index, lambda_value
from nerv_codec.representations.shared.weights import load_weights


def smooth(shape: tuple[int, int], depth: int, phase: float) -> np.ndarray:
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    wave = 0.5 + 0.3 * np.sin(rows / 9 + phase) * np.cos(cols / 13)
    return np.rint(wave * (2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)


SHAPES = {
    "gray": [(40, 56)],
    "4:2:0": [(48, 80), (24, 40), (24, 40)],
    "4:2:0, odd": [(33, 47), (17, 24), (17, 24)],
    "4:2:2": [(32, 50), (32, 25), (32, 25)],
    "4:4:4": [(25, 31)] * 3,
    "one sample": [(1, 1)],
    "one sample, 4:2:0": [(1, 1)] * 3,
    "a row": [(1, 100), (1, 50), (1, 50)],
    "a column, 4:4:4": [(70, 1)] * 3,
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("depth", [8, 10])
def test_pictures_of_all_kinds_come_back(name, depth):
    planes = [smooth(shape, depth, number) for number, shape in enumerate(SHAPES[name])]
    decoded = decode_picture(encode_picture(planes, depth, 8))
    for plane, again in zip(planes, decoded, strict=True):
        assert again.shape == plane.shape and again.dtype == plane.dtype
        error = (plane.astype(float) - again) / 2 ** (depth - 8)
        assert np.sqrt((error**2).mean()) < 6


def test_the_file_holds_all_that_decoding_takes():
    planes = [smooth(shape, 8, number) for number, shape in enumerate(SHAPES["4:2:0"])]
    weights = load_weights()
    expected = synthesise(analyse(planes, 8, 30, weights), SHAPES["4:2:0"], 8, 30, weights)
    decoded = decode_picture(encode_picture(planes, 8, 30))
    assert all(np.array_equal(a, b) for a, b in zip(expected, decoded, strict=True))


def test_a_higher_price_buys_fewer_bytes_and_more_error():
    planes = [smooth(shape, 8, number) for number, shape in enumerate([(96, 96), (48, 48), (48, 48)])]
    planes[0] = np.clip(planes[0] + np.random.default_rng(0).normal(0, 6, (96, 96)), 0, 255).astype(np.uint8)
    files = [encode_picture(planes, 8, index) for index in (0, 20, 40, 60, 80)]
    errors = [((decode_picture(data)[0].astype(float) - planes[0]) ** 2).mean() for data in files]
    assert sorted(map(len, files), reverse=True) == [len(data) for data in files]
    assert sorted(errors) == errors


def test_damage_is_noticed():
    data = bytearray(encode_picture([smooth((40, 40), 8, 0)], 8, 30))
    for where in (0, 8, 9, 10, 13, len(data) // 2):
        wrong = bytearray(data)
        wrong[where] ^= 0xFF
        with pytest.raises(BitstreamError):
            decode_picture(bytes(wrong))
    for size in range(0, len(data), 5):
        with pytest.raises(BitstreamError):
            decode_picture(bytes(data[:size]))


def test_what_is_no_picture_is_refused():
    with pytest.raises(ValueError, match="one plane or three"):
        parts([(4, 4), (2, 2)])
    with pytest.raises(ValueError, match="not empty"):
        parts([(0, 4)])


def test_lambda_ladder():
    assert [lambda_index(lambda_value(index)) for index in range(NUM_LAMBDAS)] == list(range(NUM_LAMBDAS))
    assert lambda_index(1.0) == 128 and lambda_index(2.0**-20) == -32
    with pytest.raises(ValueError, match="lambda index"):
        lambda_value(NUM_LAMBDAS)


STRANGE = {
    "white": np.full((48, 48), 255),
    "black": np.zeros((48, 48)),
    "checks": 255 * (np.indices((48, 48)).sum(0) % 2),
    "stripes": 255 * (np.indices((48, 48))[1] % 2),
    "an edge": 255 * (np.indices((48, 48))[1] > 20),
    "noise": np.random.default_rng(2).integers(0, 256, (48, 48)),
}


@pytest.mark.parametrize("index", [0, 30])
@pytest.mark.parametrize("name", STRANGE)
def test_what_no_network_has_seen_does_not_make_it_run_away(name, index):
    luma = STRANGE[name].astype(np.uint8)
    decoded = decode_picture(encode_picture([luma, luma[::2, ::2], 255 - luma[::2, ::2]], 8, index))
    for plane, again in zip([luma, luma[::2, ::2], 255 - luma[::2, ::2]], decoded, strict=True):
        largest = {"checks": (12, 40)}.get(name, (6, 25))[index > 0]  # no transform here likes checks
        assert np.sqrt(((plane.astype(float) - again) ** 2).mean()) < largest
