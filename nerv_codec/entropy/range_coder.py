"""Codes to 32-bit words and back through constriction's range coder: the only import of it.

Weights are coded here, many under one table in a call. Latents are not, though their stream has the same format: the
table of each one follows from those decoded just before, so compiled loops have the same coder inside (`range_kernel`);
a call of Python for every symbol takes some twenty times as long. Weights stay with constriction all the same: it is an
independent implementation, and files without latents need no compiler.

Probabilities are handed over as multiples of 2**-24, which is the coder's own precision, with
``perfect=True``: its best approximation of such a table is the table itself, so that the stream depends
on our integers alone (docs/format.md, section 4; the test suite decodes it with a coder written from the text).
"""

from __future__ import annotations

import functools
from typing import Any

import constriction
import numpy as np
import numpy.typing as npt

from nerv_codec.base.errors import BitstreamError
from nerv_codec.entropy.laplace import PRECISION_BITS, laplace_counts


class RangeEncoder:
    """Collects codes, first in first out."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def encode(self, codes: npt.NDArray[np.int32], scale_index: int) -> None:
        """Appends codes, each 0..NUM_CODES-1, under one table."""
        if codes.size:
            self._coder.encode(np.ascontiguousarray(codes, dtype=np.int32), _model(scale_index))

    def getvalue(self) -> bytes:
        """The stream so far, whole 32-bit little-endian words."""
        words: npt.NDArray[np.uint32] = self._coder.get_compressed()
        return words.astype("<u4").tobytes()


class RangeDecoder:
    """Reads codes in the order in which they were written.

    Raises:
        BitstreamError: The stream is not a whole number of words, or cannot be decoded.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) % 4:
            raise BitstreamError(f"expected whole 32-bit words, found {len(data)} bytes")
        self._coder = constriction.stream.queue.RangeDecoder(np.frombuffer(data, "<u4").astype(np.uint32))

    def decode(self, count: int, scale_index: int) -> npt.NDArray[np.int32]:
        """The next ``count`` codes under one table."""
        if count == 0:
            return np.zeros(0, np.int32)
        try:
            codes: npt.NDArray[np.int32] = self._coder.decode(_model(scale_index), count)
        except (AssertionError, ValueError) as error:
            raise BitstreamError(f"the entropy-coded data cannot be decoded ({error})") from error
        return codes

    def expect_exhausted(self) -> None:
        """Raises BitstreamError if there are certainly more codes in the stream."""
        if not self._coder.maybe_exhausted():
            raise BitstreamError("the entropy-coded data is longer than expected")


@functools.cache
def _model(scale_index: int) -> Any:
    probabilities = np.array(laplace_counts(scale_index), dtype=np.float64) / (1 << PRECISION_BITS)
    return constriction.stream.model.Categorical(probabilities, perfect=True)
