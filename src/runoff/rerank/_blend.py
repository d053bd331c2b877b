"""Pair scores and fusion scores mixed into one order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def blended(
    pair_scores: NDArray[np.float64], fusion_scores: NDArray[np.float64], weight: float | None
) -> NDArray[np.float64]:
    """Return the mix of both on the scale of the pair scores, shape (n,).

    That is `weight * pair + (1 - weight) * (mean + deviation * z(fusion))`, with the mean and the
    population standard deviation of the pair scores and z the distance of a fusion score from the
    mean in standard deviations, 0 where all are equal. A score depends on which candidates there
    are and not on their order, to the last bit.

    Args:
        pair_scores: finite, shape (n,).
        fusion_scores: of the same candidates, finite, shape (n,).
        weight: of the pair scores, within 0 and 1; None and 1 return them unchanged.
    """
    if weight is None or weight == 1 or not len(pair_scores):
        return pair_scores
    mean, deviation = _moments(pair_scores)
    fused_mean, fused_deviation = _moments(fusion_scores)
    z = (fusion_scores - fused_mean) / (fused_deviation or math.inf)
    return weight * pair_scores + (1 - weight) * (mean + deviation * z)


def _moments(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and population standard deviation; exactly 0 where all values are equal."""
    values = scores.tolist()
    if min(values) == max(values):
        return values[0], 0.0
    mean = math.fsum(values) / len(values)
    return mean, math.hypot(*(scores - mean).tolist()) / math.sqrt(len(values))
