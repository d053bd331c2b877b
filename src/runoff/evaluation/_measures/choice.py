"""Choosing among settings: the one-standard-error rule, its result on held-out queries, and luck.

Values have shape (settings, queries); the first setting is the one in use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from runoff.evaluation._measures.permutation import ROUNDING, chunks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_FAR, _STEPS = 6.0, 400  # standard errors, and places between
_SLACK = 1e-12  # means that differ by less are equal


def best_of(
    values: NDArray[np.float64],
    chosen: int,
    *,
    level: float = 0.025,
    rounds: int = 4000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the p-value of a setting's gain over the first, and the share of it that is not luck.

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
    bound = float(own.sum() / np.sqrt((own**2).sum())) - ROUNDING
    rng = np.random.default_rng(seed)
    largest = [
        ((rng.integers(0, 2, (size, kept.shape[1])) * 2.0 - 1) @ kept.T).max(axis=1)
        for size in chunks(rounds, max(kept.shape))
    ]
    drawn = np.concatenate(largest)
    p = (int((drawn >= bound).sum()) + 1) / (rounds + 1)
    return p, _kept(bound, float(np.quantile(drawn, 1 - level)))


def _kept(found: float, threshold: float) -> float:
    """Return the share of a value beyond its threshold that remains once luck is taken out."""
    if found <= 0:
        return 1.0
    true = np.linspace(-_FAR, found + _FAR, _STEPS)
    normal = NormalDist()
    seen = np.array([normal.cdf(at - threshold) + normal.cdf(-at - threshold) for at in true])
    likely = np.exp(-((found - true) ** 2) / 2) / seen
    estimates = true[np.argmax(likely)], (true * likely).sum() / likely.sum()
    return float(np.clip(np.mean(estimates) / found, 0, 1))


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
