"""nDCG@k with the best order of both lists' documents as the ideal: its difference, and bounds.

The ideal is that of the documents in either top-k list, so it takes no document that nobody saw:
one in neither list does not count. Weights are those of SDCG@k (`differences.py`): with the ideal
divided by the same sum, the quotient is that of the plain discounts.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from runoff.live._judging.differences import GRADES, discount, gain

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GAINS = [gain(grade) for grade in range(GRADES + 1)]
REACH = 0.8
"""How far a query's value may be from what is expected of it, as a share of all it can be.

Most queries change by little of what they could, and there 0.8 makes the interval up to a fifth
narrower than 1. Less than that widens it where each query changes by much.
"""

_MOST_UNKNOWN = 4  # grades of which every combination is tried


def quotient(
    weights: NDArray[np.float64], gains: NDArray[np.float64], cutoff: int
) -> NDArray[np.float64]:
    """Return the difference in nDCG@k of each query; 0 where no document has a gain.

    Args:
        weights: of each query's documents, 0 where it has no more; shape (..., documents).
        gains: theirs, 0 to 1, and 0 where it has no more; the same shape.
        cutoff: k.
    """
    best = -np.sort(-gains, axis=-1)[..., :cutoff]
    ideal = best @ _discounts(cutoff)[: best.shape[-1]]
    total = (weights * gains).sum(axis=-1)
    found: NDArray[np.float64] = np.divide(total, ideal, out=np.zeros(total.shape), where=ideal > 0)
    return found


def extremes(weights: NDArray[np.float64], cutoff: int) -> NDArray[np.float64]:
    """Return the lowest and the highest difference that any grades make of each query.

    The highest has perfect documents at the s largest weights, for one s, and no other relevant
    ones: the ideal is a sorted sum, and where that is at most 1, the corners are such sets.

    Args:
        weights: shape (queries, documents).
        cutoff: k.

    Returns:
        shape (2, queries).
    """
    ideal = np.cumsum(_discounts(cutoff))
    found = []
    for sign in (-1.0, 1.0):
        sizes = -np.sort(-np.maximum(sign * weights, 0.0), axis=-1)[..., :cutoff]
        shares = np.cumsum(sizes, axis=-1) / ideal[: sizes.shape[-1]]
        found.append(sign * shares.max(axis=-1, initial=0.0))
    return np.stack(found)


def between(
    weights: NDArray[np.float64], gains: NDArray[np.float64], cutoff: int
) -> NDArray[np.float64]:
    """Return the lowest and the highest difference that the known gains of each query allow.

    They are exact where up to four gains are unknown, else those of `extremes`.

    Args:
        weights: shape (queries, documents).
        gains: NaN where they are unknown; the same shape.
        cutoff: k.

    Returns:
        shape (2, queries).
    """
    unknown = np.isnan(gains)
    many = unknown.sum(axis=-1)
    found = np.stack([quotient(weights, np.where(unknown, 0.0, gains), cutoff)] * 2)
    found[:, many > _MOST_UNKNOWN] = extremes(weights[many > _MOST_UNKNOWN], cutoff)
    for at in np.flatnonzero((many > 0) & (many <= _MOST_UNKNOWN)):
        tried = np.repeat(gains[at][None], len(_GAINS) ** many[at], axis=0)
        tried[:, unknown[at]] = list(product(_GAINS, repeat=many[at]))
        values = quotient(weights[at], tried, cutoff)
        found[:, at] = values.min(), values.max()
    return found


def _discounts(cutoff: int) -> NDArray[np.float64]:
    given = [discount(rank) for rank in range(1, cutoff + 1)]
    return np.array(given, np.float64) / math.fsum(given)
