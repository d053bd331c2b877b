"""Paired statistics over queries: permutation test, bootstrap, Holm, and how many queries decide.

Everything takes differences, one row for each query and one column for each question asked of
them (a measure, or a measure on a slice), and answers all columns from the same random draws.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FEWEST", "bootstrap_intervals", "detectable", "holm", "permutation_p", "queries_needed"]

POWER = 0.9
FEWEST = 100
"""Queries without which no effect is not claimed: of these, 3% hide with p .05."""

_CELLS = 2_000_000  # random draws held at once: 16 MB
_ROUNDING = 1e-10  # sums that differ by less, relative to what is summed, are equal


def permutation_p(
    deltas: NDArray[np.float64], *, rounds: int = 10_000, seed: int = 0
) -> NDArray[np.float64]:
    """Return the two-sided p-value of each column's mean by flipping signs at random.

    Where the two systems are alike, the sign of each query's difference is a coin's. Of n random
    assignments of signs, b have a mean at least as far from 0 as the observed one: p = (b + 1) /
    (n + 1), which is never 0 and keeps its level exactly (Phipson and Smyth 2010). The same signs
    serve every column.

    Args:
        deltas: shape (queries, columns); 0 where a query is not in a column's slice.
        rounds: how many assignments, n.
        seed: of the random signs.

    Returns:
        shape (columns,), each within 1 / (rounds + 1) and 1.
    """
    rng = np.random.default_rng(seed)
    queries, columns = deltas.shape
    total = deltas.sum(axis=0)
    bound = np.abs(total) - _ROUNDING * np.abs(deltas).sum(axis=0)
    extreme = np.zeros(columns, np.int64)
    for size in _chunks(rounds, queries):
        packed = rng.integers(0, 256, (size, -(-queries // 8)), np.uint8)
        kept = np.unpackbits(packed, axis=1, count=queries).astype(np.float64)
        # those that keep their sign minus those that lose it
        extreme += (np.abs(2 * (kept @ deltas) - total) >= bound).sum(axis=0)
    return ((extreme + 1) / (rounds + 1)).astype(np.float64)


def bootstrap_intervals(
    deltas: NDArray[np.float64],
    members: NDArray[np.bool_],
    *,
    rounds: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> NDArray[np.float64]:
    """Return a percentile bootstrap interval of each column's mean over its queries.

    Queries are drawn with replacement (Efron 1979); the same draws serve every column.

    Args:
        deltas: shape (queries, columns); 0 where a query is not in a column's slice.
        members: the same shape; whether the query is in the column's slice.
        rounds: how many resamples.
        seed: of the random draws.
        level: share of resampled means inside.

    Returns:
        shape (columns, 2): lower and upper ends.
    """
    rng = np.random.default_rng(seed)
    queries, columns = deltas.shape
    belongs = members.astype(np.float64)
    observed = deltas.sum(axis=0) / np.maximum(belongs.sum(axis=0), 1)
    means = np.empty((rounds, columns))
    done = 0
    for size in _chunks(rounds, queries):
        draws = rng.integers(0, queries, (size, queries))
        draws += np.arange(0, size * queries, queries)[:, None]
        counts = np.bincount(draws.ravel(), minlength=size * queries).astype(np.float64)
        counts = counts.reshape(size, queries)
        drawn = counts @ belongs
        # a resample without any query of a small slice says nothing about it
        means[done : done + size] = np.where(
            drawn > 0, (counts @ deltas) / np.maximum(drawn, 1), observed
        )
        done += size
    tail = 50 * (1 - level)
    return np.ascontiguousarray(np.percentile(means, (tail, 100 - tail), axis=0).T)


def _chunks(rounds: int, queries: int) -> list[int]:
    most = max(1, _CELLS // max(1, queries))
    return [most] * (rounds // most) + ([rounds % most] if rounds % most else [])


def holm(p: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values adjusted for how many questions were asked, by Holm's weighted procedure.

    The chance of one false finding or more stays below the level at which the adjusted values are
    read, whatever depends on what (Holm 1979, section 4). With equal shares it is the well-known
    step-down: the smallest of m p-values times m, the next times m - 1, and so on.

    Args:
        p: shape (m,).
        shares: shape (m,), above 0: how much of the level each question gets, in any unit.

    Returns:
        shape (m,), each at least its p and at most 1.
    """
    order = np.argsort(p / shares, kind="stable")
    # what the questions not yet answered share
    left = np.cumsum(shares[order][::-1])[::-1]
    stepped = np.maximum.accumulate(np.minimum(1.0, left * p[order] / shares[order]))
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum(stepped, p[order])
    return adjusted


def detectable(deviation: float, queries: int, *, level: float = 0.05) -> float:
    """Return the smallest mean difference that this many queries show with a power of .9.

    By the normal approximation: (z of 1 - level / 2 + z of .9) * deviation / sqrt(queries).

    Args:
        deviation: standard deviation of the differences over queries.
        queries: how many.
        level: of the two-sided test.
    """
    return _quantiles(1 - level / 2, POWER) * deviation / math.sqrt(queries)


def queries_needed(
    mean: float, deviation: float, *, bound: float, level: float = 0.05, fewest: int = 1
) -> int:
    """Return how many queries decide with a power of .9, if mean and deviation stay as they are.

    They decide when the difference is shown to be other than 0, or, where it is within the bound,
    when its 95% interval is: by the normal approximation, whichever needs fewer.

    Args:
        mean: of the differences over queries.
        deviation: their standard deviation.
        bound: differences up to this, either way, are no effect; above 0.
        level: of the two-sided test.
        fewest: queries without which no effect is not claimed.
    """
    size, needed = abs(mean), math.inf
    if size > 0:
        # n queries that all agree have a p of 2 / 2**n
        agreeing = 1 - math.log2(level)
        apart = (_quantiles(1 - level / 2, POWER) * deviation / size) ** 2
        needed = max(agreeing, apart)
    if size < bound:
        # either end may leave the bound, so each may do so half as often
        inside = (_quantiles(0.975, (1 + POWER) / 2) * deviation / (bound - size)) ** 2
        needed = min(needed, max(inside, fewest))
    return math.ceil(needed)


def _quantiles(*shares: float) -> float:
    return sum(NormalDist().inv_cdf(share) for share in shares)
