"""Choosing among settings without fooling oneself: one standard error, and held-out queries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["HeldOut", "argmax", "cheapest_of_the_best", "front", "held_out"]

_SLACK = 1e-12  # means that differ by less are equal


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

    As good is a setting whose mean falls short of the best one's by at most one standard error.
    The rule is that of Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees"
    (1984), section 3.4.3, with the error of the difference, query by query, in place of the best
    one's own: settings share the queries, and what is hard for one is hard for all.

    Args:
        values: shape (settings, queries).
        rank: of each setting by cost, the cheapest lowest, shape (settings,). Of settings that cost
            the same, the first of all is chosen if it is as good, else the best of them.
        errors: how many standard errors.
        tolerance: the most that is given up, whatever the error.

    Without a query to choose on, as where a single one is held out, the first is chosen.
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
    """What choosing gives on queries that had no part in it.

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
    """Choose on all folds but one, look at the one left out, and do so for every fold.

    A lone query cannot be held out: the choice is then the first setting, made without any.

    Args:
        values: shape (settings, queries).
        rank: as `cheapest_of_the_best` takes it.
        folds: parts of equal size; no more than there are queries.
        rounds: how often the queries are divided anew.
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
    # settings that are alike stay alike to the last bit
    return HeldOut(values[0] + total / rounds, tuple(chosen))


def front(gains: NDArray[np.float64], costs: Sequence[NDArray[np.float64]]) -> list[int]:
    """Return the settings that no other beats: none is as good in everything and better in one.

    Args:
        gains: shape (settings,), higher is better.
        costs: each of shape (settings,), lower is better.

    Returns:
        places, the lowest gain first; of settings alike in everything the first.
    """
    table = np.column_stack([-gains, *costs])
    kept: list[int] = []
    for at in np.lexsort((np.arange(len(table)), *table.T[::-1])).tolist():
        if not any((table[one] <= table[at]).all() for one in kept):
            kept.append(at)
    return kept[::-1]
