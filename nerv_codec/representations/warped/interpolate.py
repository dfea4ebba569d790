"""The kernel that reads planes between their samples: the windowed sinc of Lanczos with three lobes.

Reading is pointwise: no place depends on others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nerv_codec.representations.warped.interpolate_kernel import PHASES


def _table() -> npt.NDArray[np.float32]:
    """Weights of the six samples around each phase, (PHASES + 1, 6); every row sums to one."""
    phase = np.arange(PHASES + 1)[:, None] / PHASES
    distance = phase - np.arange(-2, 4)[None]
    weights = np.sinc(distance) * np.sinc(distance / 3) * (np.abs(distance) < 3)
    table: npt.NDArray[np.float32] = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return table


KERNEL = _table()
