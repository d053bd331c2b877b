"""Statistics over queries: tests, intervals, Holm, power, and choosing among settings.

Tests and intervals take differences with one row per query and one column per question (a measure,
or a measure on a slice), and use the same random draws for all columns. Choices take values of
shape (settings, queries): the one-standard-error rule, and its result on held-out queries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "FEWEST",
    "POWER",
    "HeldOut",
    "argmax",
    "best_of",
    "cheapest_of_the_best",
    "chunks",
    "detectable",
    "front",
    "held_out",
    "holm",
    "permutation_p",
]

POWER = 0.9
FEWEST = 100
"""The fewest queries on which "no effect" is claimed: a change in 3% can still hide (p .05)."""

_CELLS = 2_000_000  # random draws held at once: 16 MB
_ROUNDING = 1e-10  # sums that differ by less, relative to what is summed, are equal
_FAR, _STEPS = 6.0, 400  # standard errors, and places between
_SLACK = 1e-12  # means that differ by less are equal


def permutation_p(
    deltas: NDArray[np.float64], *, rounds: int = 10_000, seed: int = 0
) -> NDArray[np.float64]:
    """Return the two-sided p-value of each column's mean by flipping signs at random.

    If the two systems are equally good, each query's difference is equally likely to have either
    sign. If b of n random assignments of signs have a mean at least as far from 0 as the observed
    one, p = (b + 1) / (n + 1), which is never 0 and keeps its level exactly (Phipson and Smyth
    2010). The same signs serve every column.

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
    for size in chunks(rounds, queries):
        packed = rng.integers(0, 256, (size, -(-queries // 8)), np.uint8)
        kept = np.unpackbits(packed, axis=1, count=queries).astype(np.float64)
        # the differences that keep their sign minus those that change it
        extreme += (np.abs(2 * (kept @ deltas) - total) >= bound).sum(axis=0)
    return ((extreme + 1) / (rounds + 1)).astype(np.float64)


def best_of(
    values: NDArray[np.float64],
    chosen: int,
    *,
    level: float = 0.025,
    rounds: int = 4000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the p-value of a setting's gain over the first, and how much of the gain is no luck.

    The largest gain of any setting, in standard errors, is compared with what it is when the signs
    of each query's differences are flipped at random, for all settings at once (Westfall and Young
    1993, the single-step maximum). However the setting was chosen, p is at most alpha with a
    chance of alpha if the first setting is as good as the others.

    A gain that passes the level is large by chance as well. What is left of it is the compromise of
    Ghosh, Zou and Wright (2008): the mean of two estimates from the likelihood of a normal value
    that is only seen beyond its threshold, the most likely and the average one.

    Args:
        values: shape (settings, queries); the first row is the setting in use.
        chosen: the setting's row.
        level: that p is compared with.
        rounds: random flips, n; p is (b + 1) / (n + 1).
        seed: of the flips.

    Returns:
        one-sided p, and the share of the gain that is left, 0 to 1.
    """
    deltas = np.unique(np.vstack([values[chosen], values[1:]]) - values[0], axis=0)
    own = values[chosen] - values[0]
    norms = np.sqrt((deltas**2).sum(axis=1))
    kept = deltas[norms > 0] / norms[norms > 0, None]
    if not own.any():
        return 1.0, 1.0
    bound = float(own.sum() / np.sqrt((own**2).sum())) - _ROUNDING
    rng = np.random.default_rng(seed)
    largest = [
        ((rng.integers(0, 2, (size, kept.shape[1])) * 2.0 - 1) @ kept.T).max(axis=1)
        for size in chunks(rounds, max(kept.shape))
    ]
    drawn = np.concatenate(largest)
    p = (int((drawn >= bound).sum()) + 1) / (rounds + 1)
    return p, _kept(bound, float(np.quantile(drawn, 1 - level)))


def _kept(found: float, threshold: float) -> float:
    """Return the share of a normal value beyond its threshold that is left without the luck."""
    if found <= 0:
        return 1.0
    true = np.linspace(-_FAR, found + _FAR, _STEPS)
    normal = NormalDist()
    seen = np.array([normal.cdf(at - threshold) + normal.cdf(-at - threshold) for at in true])
    likely = np.exp(-((found - true) ** 2) / 2) / seen
    estimates = true[np.argmax(likely)], (true * likely).sum() / likely.sum()
    return float(np.clip(np.mean(estimates) / found, 0, 1))


def chunks(rounds: int, queries: int) -> list[int]:
    """Return how many rounds to draw at a time, so that memory stays bounded."""
    most = max(1, _CELLS // max(1, queries))
    return [most] * (rounds // most) + ([rounds % most] if rounds % most else [])


def holm(p: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values adjusted for the number of questions, by Holm's weighted procedure.

    The chance of any false finding stays below the level that the adjusted values are compared
    with, however the questions depend on each other (Holm 1979, section 4). With equal shares it is
    the well-known step-down: the smallest of m p-values times m, the next times m - 1, and so on.

    Args:
        p: shape (m,).
        shares: shape (m,), above 0: how much of the level each question gets, in any unit.

    Returns:
        shape (m,), each at least its p and at most 1.
    """
    order = np.argsort(p / shares, kind="stable")
    # the share of the questions that are left
    left = np.cumsum(shares[order][::-1])[::-1]
    stepped = np.maximum.accumulate(np.minimum(1.0, left * p[order] / shares[order]))
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum(stepped, p[order])
    return adjusted


def detectable(deviation: float, queries: int, *, level: float = 0.05) -> float:
    """Return the smallest mean difference that this many queries detect with a power of .9.

    By the normal approximation: (z of 1 - level / 2 + z of .9) * deviation / sqrt(queries).

    Args:
        deviation: standard deviation of the differences over queries.
        queries: how many.
        level: of the two-sided test.
    """
    return _quantiles(1 - level / 2, POWER) * deviation / math.sqrt(queries)


def _quantiles(*shares: float) -> float:
    return sum(NormalDist().inv_cdf(share) for share in shares)


def argmax(values: NDArray[np.float64]) -> int:
    """Return the setting with the best mean, the first of equals.

    Args:
        values: shape (settings, queries).
    """
    means = values.mean(axis=1)
    return int(np.flatnonzero(means >= means.max() - _SLACK)[0])


def cheapest_of_the_best(
    values: NDArray[np.float64],
    rank: NDArray[np.int64],
    *,
    errors: float = 1.0,
    tolerance: float = math.inf,
) -> int:
    """Return the cheapest setting that is as good as the best, by the one-standard-error rule.

    A setting is as good if its mean falls short of the best one's by at most one standard error.
    The rule is that of Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees"
    (1984), section 3.4.3, with the standard error of the difference, query by query, instead of the
    best one's own: a query that is hard for one setting is hard for all.

    Args:
        values: shape (settings, queries).
        rank: of each setting by cost, the cheapest lowest, shape (settings,). Among the cheapest
            that are as good, the very first setting is preferred, then the best.
        errors: how many standard errors.
        tolerance: the most that is given up, however large the error.

    Without any query, as when the only one is held out, the first setting is chosen.
    """
    if not values.shape[1]:
        return 0
    best = argmax(values)
    deficits = values[best] - values
    queries = values.shape[1]
    if queries > 1:
        error = deficits.std(axis=1, ddof=1) / math.sqrt(queries)
    else:
        error = np.zeros(len(values))
    admitted = deficits.mean(axis=1) <= np.minimum(errors * error, tolerance) + _SLACK
    cheapest = np.flatnonzero(admitted & (rank == rank[admitted].min()))
    return 0 if cheapest[0] == 0 else int(cheapest[argmax(values[cheapest])])


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a choice achieves on queries that were not used for it.

    Attributes:
        values: float64, shape (queries,): each query's value under the settings chosen without it,
            the mean over the rounds.
        chosen: the setting of every fold of every round.
    """

    values: NDArray[np.float64]
    chosen: tuple[int, ...]


def held_out(
    values: NDArray[np.float64],
    rank: NDArray[np.int64],
    *,
    folds: int,
    rounds: int,
    seed: int,
    errors: float = 1.0,
    tolerance: float = math.inf,
) -> HeldOut:
    """Choose on all folds but one, evaluate on the one left out, and do so for every fold.

    A single query cannot be held out; the first setting is chosen then.

    Args:
        values: shape (settings, queries).
        rank: as `cheapest_of_the_best` takes it.
        folds: parts of equal size; at most one for each query.
        rounds: how many times the queries are divided.
        seed: of the divisions.
        errors: as `cheapest_of_the_best` takes it.
        tolerance: the same.
    """
    rng = np.random.default_rng(seed)
    queries = values.shape[1]
    if queries == 1:
        return HeldOut(values[0], (0,))
    total = np.zeros(queries)
    chosen = []
    for _ in range(rounds):
        fold = rng.permutation(queries) % min(folds, queries)
        for at in range(min(folds, queries)):
            out = fold == at
            one = cheapest_of_the_best(values[:, ~out], rank, errors=errors, tolerance=tolerance)
            total[out] += values[one, out] - values[0, out]
            chosen.append(one)
    # equal settings stay equal to the last bit
    return HeldOut(values[0] + total / rounds, tuple(chosen))


def front(gains: NDArray[np.float64], costs: Sequence[NDArray[np.float64]]) -> list[int]:
    """Return the settings on the Pareto front, which no other setting dominates.

    Args:
        gains: shape (settings,), higher is better.
        costs: each of shape (settings,), lower is better.

    Returns:
        their places, the lowest gain first; of equal settings only the first.
    """
    table = np.column_stack([-gains, *costs])
    kept: list[int] = []
    for at in np.lexsort((np.arange(len(table)), *table.T[::-1])).tolist():
        if not any((table[one] <= table[at]).all() for one in kept):
            kept.append(at)
    return kept[::-1]
