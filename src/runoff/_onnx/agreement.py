"""How much two lists of scores agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Return Spearman's rank correlation, ties sharing the mean of their ranks.

    Within -1 and 1; NaN where all values of a side are equal.
    """
    first, second = (_centred(np.asarray(values, np.float64)) for values in (one, other))
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / scale if scale else float("nan")


def _centred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks less their mean."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[places]
    return np.asarray(ranks - ranks.mean())
