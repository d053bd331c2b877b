"""What a number of queries can show, and how many more would decide."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from runoff.evaluation._measures.differences import weighted

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 100
"""The fewest queries on which "no effect" is claimed: a change in 3% can still hide (p .05)."""

_POWER = 0.9
_LIKELY = (10, 90)  # percentiles of what is needed that make the range
_WIDE = 10  # a range whose ends differ by more than this factor says nothing
_DRAWS = 2000
_MOST, _HALVINGS = 1e15, 50


def detectable(deviation: float, queries: int, *, level: float = 0.05) -> float:
    """Return the smallest mean difference that this many queries detect with a power of .9.

    By the normal approximation: (z of 1 - level / 2 + z of .9) * deviation / sqrt(queries).

    Args:
        deviation: standard deviation of the differences over queries.
        queries: how many.
        level: of the two-sided test.
    """
    return (
        (NormalDist().inv_cdf(1 - level / 2) + NormalDist().inv_cdf(_POWER))
        * deviation
        / math.sqrt(queries)
    )


def more_queries(
    deltas: NDArray[np.float64],
    *,
    bound: float,
    span: float = 1.0,
    level: float = 0.05,
    seed: int = 0,
) -> tuple[int, int] | None:
    """Return the range of how many more queries would decide; None if it cannot be estimated.

    What is needed depends on the true mean and spread, and so few queries tell neither. Each random
    reweighting of the queries (Rubin 1981) gives a mean and a spread that they allow, and these a
    number, by `decisive`. The range has the middle 80% of those numbers. If its ends differ by more
    than a factor of 10, nothing is said.

    Args:
        deltas: differences, shape (queries,).
        bound: differences up to this, either way, are no effect; above 0.
        span: how much one query's value can change.
        level: of the two-sided test.
        seed: of the random draws.
    """
    means, deviations = weighted(deltas, span=span, rounds=_DRAWS, seed=seed)
    needed = decisive(means, deviations, bound=bound, span=span, level=level)
    low, high = np.percentile(needed, _LIKELY).tolist()
    if high > _WIDE * low:
        return None
    few, many = (max(1, math.ceil(one) - len(deltas)) for one in (low, high))
    return few, many


def decisive(
    means: NDArray[np.float64],
    deviations: NDArray[np.float64],
    *,
    bound: float,
    span: float = 1.0,
    level: float = 0.05,
) -> NDArray[np.float64]:
    """Return how many queries decide with a power of .9, for each mean and standard deviation.

    They decide if the difference is proven not to be 0, or if its worst case is within the bound;
    by the normal approximation, whichever needs fewer. The worst case adds to the interval what
    queries that were not seen may lose: -log(level / 2) / queries, where none changes.

    Args:
        means: of the differences over queries.
        deviations: their standard deviations, the same shape.
        bound: differences up to this, either way, are no effect; above 0.
        span: how much one query's value can change.
        level: of the two-sided test.
    """
    size = np.abs(means)
    outside, power = NormalDist().inv_cdf(1 - level / 2), NormalDist().inv_cdf(_POWER)
    with np.errstate(divide="ignore", invalid="ignore"):
        # n queries that all agree have a p of 2 / 2**n
        apart = np.maximum(1 - math.log2(level), ((outside + power) * deviations / size) ** 2)
    # either end may leave the bound, so each may do so in half of the cases
    either = NormalDist().inv_cdf((1 + _POWER) / 2)
    tail = -math.log(level / 2) - 1
    few, many = np.ones(size.shape), np.full(size.shape, _MOST)
    for _ in range(_HALVINGS):
        tried = np.sqrt(few * many)
        error, unseen = deviations / np.sqrt(tried), span / tried
        worst = unseen + np.hypot(outside * error, tail * unseen) + either * error
        enough = size + worst <= bound
        few, many = np.where(enough, few, tried), np.where(enough, tried, many)
    inside = np.where(size < bound, many, np.inf)
    needed: NDArray[np.float64] = np.minimum(np.where(size > 0, apart, np.inf), inside)
    return needed
