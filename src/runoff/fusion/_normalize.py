"""Normalizers: they bring one source's scores to a common scale, query by query.

Every normalizer keeps the order of the scores and always returns finite numbers:

| List | `MinMax` | `ZScore` | `TheoreticalMinMax` |
|---|---|---|---|
| best hit | 1 | above 0 | 1 |
| worst hit | 0 | below 0 | its share of the way from the lowest possible score |
| lone hit, or all scores equal | 1 | 0 | 1 |
| document not in the list | 0 | as the worst hit; -1 if all scores are equal | 0 |
| empty list | all are absent | all are absent | all are absent |
| score NaN or -inf | as a document not in the list | the same | the same |
| score +inf | as the best finite score | the same | the same |

A lone hit gets the highest value, not the lowest: it is the source's best answer, although the
formula alone would be 0 / 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.types import Hit


@runtime_checkable
class Normalizer(Protocol):
    """Brings one source's scores for one query to a common scale."""

    def normalize(self, hits: Sequence[Hit]) -> list[float]:
        """Return one finite number for each hit, in the same order; higher is better."""
        ...

    def missing(self, normalized: Sequence[float]) -> float:
        """Return the value of a document that is not in the list: at most the list's lowest."""
        ...


@dataclass(frozen=True, slots=True)
class MinMax:
    """Map the worst score of the list to 0 and the best to 1: (s - min) / (max - min).

    Nothing changes when all scores are multiplied by a positive number or shifted. The worst hit
    is worth no more than a document that was not found at all.
    """

    def normalize(self, hits: Sequence[Hit]) -> list[float]:
        """Return values within 0 and 1, in the order of the hits."""
        scores, present = _clean(hits)
        if not present:
            return [0.0] * len(scores)
        low, high = min(present), max(present)
        return [0.0 if score is None else _scaled(score, low, high) for score in scores]

    def missing(self, normalized: Sequence[float]) -> float:
        """Return 0: a document that was not found counts as the worst of the list."""
        del normalized
        return 0.0


@dataclass(frozen=True, slots=True)
class TheoreticalMinMax:
    """Map the lowest possible score to 0 and the best of the list to 1: (s - low) / (max - low).

    `low` is the lower end of the hits' `score_range` (0 for BM25, -1 for a cosine), so the worst
    hit keeps its distance from a document that was not found, unlike with `MinMax`. Where a source
    does not know its lowest score, or goes below it, the lowest of the list is taken. The best
    score is always that of the list. From Bruch, Gai and Ingber, "An Analysis of Fusion Functions
    for Hybrid Retrieval", TOIS 2023 (arXiv 2210.11934), where a convex combination of such scores
    is called TM2C2.
    """

    def normalize(self, hits: Sequence[Hit]) -> list[float]:
        """Return values within 0 and 1, in the order of the hits."""
        scores, present = _clean(hits)
        if not present:
            return [0.0] * len(scores)
        known = (hit.score_range[0] for hit in hits)
        low = min((*present, *(end for end in known if end is not None and math.isfinite(end))))
        high = max(present)
        return [0.0 if score is None else _scaled(score, low, high) for score in scores]

    def missing(self, normalized: Sequence[float]) -> float:
        """Return 0: a document that was not found counts as the lowest possible score."""
        del normalized
        return 0.0


@dataclass(frozen=True, slots=True)
class ZScore:
    """Count standard deviations from the mean of the list: (s - mean) / deviation.

    The deviation is that of the list itself (divided by n). Nothing changes when all scores are
    multiplied by a positive number or shifted. Of n hits, every value is within sqrt(n - 1) of 0.
    """

    def normalize(self, hits: Sequence[Hit]) -> list[float]:
        """Return values with mean 0 and deviation 1, in the order of the hits."""
        scores, present = _clean(hits)
        low, high = min(present, default=0.0), max(present, default=0.0)
        if low == high:
            return [-1.0 if score is None else 0.0 for score in scores]
        # z-scores do not change under an affine map, and on 0 to 1 nothing over- or underflows
        span = high - low
        if math.isinf(span):
            shares = [_scaled(score, low, high) for score in present]
        else:
            shares = [(score - low) / span for score in present]
        mean = math.fsum(shares) / len(shares)
        apart = [share - mean for share in shares]
        deviation = math.hypot(*apart) / math.sqrt(len(apart))
        zs = [one / deviation for one in apart]
        if len(zs) == len(scores):
            return zs
        values = iter(zs)
        worst = -mean / deviation
        return [worst if score is None else next(values) for score in scores]

    def missing(self, normalized: Sequence[float]) -> float:
        """Return the lowest value of the list; -1 if all its scores are equal, or it is empty."""
        worst = min(normalized, default=0.0)
        return worst if worst < 0 else -1.0


def _clean(hits: Sequence[Hit]) -> tuple[list[float | None], list[float]]:
    """Return every score, and those that count as present.

    NaN and -inf become None and do not count; +inf becomes the best finite score, or 0 without one.
    """
    scores = [hit.score for hit in hits]
    if math.isfinite(sum(scores)):  # then each is finite
        return [*scores], scores
    best = max(filter(math.isfinite, scores), default=0.0)
    cleaned = [
        None if math.isnan(score) or score == -math.inf else min(score, best) for score in scores
    ]
    return cleaned, [score for score in cleaned if score is not None]


def _scaled(score: float, low: float, high: float) -> float:
    """Return where a score lies between two bounds, from 0 to 1; 1 if the bounds are equal."""
    if score >= high:
        return 1.0
    if math.isinf(high - low):
        score, low, high = score / 2, low / 2, high / 2
    return (score - low) / (high - low)
