"""Pair scores and fusion scores mixed into one order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["blended"]


def blended(
    pair_scores: Sequence[float], fusion_scores: Sequence[float], weight: float | None
) -> list[float]:
    """Return the mix of both on the scale of the pair scores.

    That is `weight * pair + (1 - weight) * (mean + deviation * z(fusion))`, with the mean and the
    population standard deviation of the pair scores and z the distance of a fusion score from the
    mean in standard deviations, 0 where all are equal. The order of the candidates changes nothing,
    not even the last bit.

    Args:
        pair_scores: finite, one for each candidate.
        fusion_scores: finite, of the same candidates.
        weight: of the pair scores, within 0 and 1; None and 1 return them unchanged.
    """
    if weight is None or weight == 1 or not len(pair_scores):
        return list(pair_scores)
    mean, deviation = _moments(pair_scores)
    fused_mean, fused_deviation = _moments(fusion_scores)
    spread = fused_deviation or math.inf  # z is 0 where all are equal
    return [
        weight * pair + (1 - weight) * (mean + deviation * ((fused - fused_mean) / spread))
        for pair, fused in zip(pair_scores, fusion_scores, strict=True)
    ]


def _moments(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and population standard deviation; exactly 0 where all values are equal."""
    if min(values) == max(values):
        return values[0], 0.0
    mean = math.fsum(values) / len(values)
    return mean, math.hypot(*(value - mean for value in values)) / math.sqrt(len(values))
