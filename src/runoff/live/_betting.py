"""Betting: what a stream of bounded values proves about its mean, at every look.

Bet against the claim that the mean is at most `m`. The capital starts at 1 and is multiplied by
1 + stake * (value - m) with each value, where the stake is never so high that the capital could
become negative. If the claim is true, the capital is a nonnegative supermartingale, so the chance
that it *ever* reaches 1 / level is at most the level (Ville 1939). The means that are not refuted
are a confidence sequence: an interval that may be looked at after every value, and that allows
stopping for any reason (Waudby-Smith and Ramdas 2024, *Estimating means of bounded random variables
by betting*; half of the capital bets on each side, which is their hedged capital process).

The stakes are theirs for "diversified Kelly betting": the capital is spread over a fixed set of
stakes, each half of the one before, with most on the highest. No stake depends on the values. That
costs a little against stakes that learn, and it adapts to any variance; and an unknown value may be
replaced by its worst case and filled in later without spoiling the level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# shares of the capital; stake number n is 2**-n of the highest
_SHARES = np.array([1 / (at + 1) for at in range(12)]) / sum(1 / (at + 1) for at in range(12))
_ALL_IN = 0.95  # of the stake that a worst value would turn into ruin
_HALVINGS = 40
_GRID = 64


@dataclass(frozen=True, slots=True)
class Interval:
    """The means that are not refuted.

    Attributes:
        low: all below it are refuted.
        high: all above it are refuted.
    """

    low: float
    high: float

    def __contains__(self, mean: float) -> bool:
        """Return whether a mean is not refuted."""
        return self.low <= mean <= self.high


def growth(values: ArrayLike, worst: ArrayLike, mean: float) -> NDArray[np.float64]:
    """Return the logarithm of the capital of bets that the mean of each stream is above `mean`.

    For bets that it is below, pass all three with the opposite sign.

    Args:
        values: shape (..., times): one stream, or several that are computed at once.
        worst: the lowest value that was possible at each time, known before it; shape (times,), or
            one for all.
        mean: the claim that is bet against: the mean is at most this.

    Returns:
        shape (..., times); 0 is the capital at the start.
    """
    given = np.asarray(values, np.float64) - mean
    if given.ndim > 1:
        return np.stack([growth(one, worst, mean) for one in np.asarray(values)])
    parts = np.multiply.outer(_ALL_IN * 0.5 ** np.arange(len(_SHARES)), given / _room(worst, mean))
    np.cumsum(np.log1p(parts, out=parts), axis=1, out=parts)
    parts += np.log(_SHARES)[:, None]
    highest = parts.max(axis=0)
    parts -= highest
    found: NDArray[np.float64] = highest + np.log(np.exp(parts, out=parts).sum(axis=0))
    return found


def first_proof(
    values: ArrayLike, worst: ArrayLike, mean: float, *, level: float
) -> NDArray[np.int64]:
    """Return after how many values a mean above `mean` is proven; 0 for a stream that proves none.

    Args:
        values: shape (streams, times).
        worst: as in `growth`.
        mean: as in `growth`.
        level: the chance of ever proving it if it is false, at most.
    """
    proven = growth(values, worst, mean) >= -math.log(level)
    return np.where(proven.any(axis=-1), proven.argmax(axis=-1) + 1, 0).astype(np.int64)


def shortest(values: ArrayLike, worst: ArrayLike, mean: float, *, level: float) -> float:
    """Return how many more values like these prove a mean above `mean`; infinite if they never do.

    Each part of the capital grows on as it did on average; the first that alone is enough counts.

    Args:
        values: shape (times,).
        worst: as in `growth`.
        mean: as in `growth`.
        level: as in `first_proof`.
    """
    given, room = np.asarray(values, np.float64) - mean, _room(worst, mean)
    needed = math.inf
    for at, share in enumerate(_SHARES):
        one = float(np.log1p(given * (_ALL_IN * 0.5**at / room)).sum())
        if one > 0:
            missing = -math.log(level) - math.log(share) - one
            needed = min(needed, max(1.0, missing * len(given) / one))
    return needed


def _room(worst: ArrayLike, mean: float) -> NDArray[np.float64]:
    """Return how far the worst value lies below the mean, which bounds the stake."""
    # where even the worst value is above the mean, the first bet refutes it whatever is staked
    return np.maximum(mean - np.asarray(worst, np.float64), 1e-9)


def interval(
    low: ArrayLike,
    high: ArrayLike,
    bounds: tuple[ArrayLike, ArrayLike],
    *,
    level: float = 0.05,
    within: tuple[float, float] = (-1.0, 1.0),
) -> Interval:
    """Return the confidence sequence at the last value: no mean was refuted at any look so far.

    Args:
        low: the values, shape (times,), with the lowest possible one where a value is unknown.
        high: the same with the highest possible ones; the same array if all are known.
        bounds: the lowest and the highest value that were possible, each as `worst` in `growth`.
        level: the chance that the sequence ever leaves out the mean, at most.
        within: where the mean is known to be.
    """
    lower, upper = np.asarray(low, np.float64), np.asarray(high, np.float64)
    first = _refuted(lower, bounds[0], level / 2, within)
    last = -_refuted(
        -upper, -np.asarray(bounds[1], np.float64), level / 2, (-within[1], -within[0])
    )
    return Interval(first, last)


def _refuted(
    values: NDArray[np.float64], worst: ArrayLike, level: float, within: tuple[float, float]
) -> float:
    """Return the highest mean that was refuted at some time together with all lower ones."""
    low, high = within
    if not values.size:
        return low
    bound = -math.log(level)
    for _ in range(_HALVINGS):
        tried = (low + high) / 2
        # the capital falls with the mean, at every time and so in its maximum
        if growth(values, worst, tried).max() >= bound:
            low = tried
        else:
            high = tried
    return low


def trend(
    low: ArrayLike,
    high: ArrayLike,
    bounds: tuple[ArrayLike, ArrayLike],
    looks: NDArray[np.int64],
    *,
    level: float = 0.05,
    within: tuple[float, float] = (-1.0, 1.0),
) -> list[Interval]:
    """Return the sequence after each number of values in `looks`, on a grid of means.

    The ends are rounded outwards, by a tenth of the distance between the last interval and
    the end of what is possible.

    Args:
        low: as in `interval`.
        high: as in `interval`.
        bounds: as in `interval`.
        looks: numbers of values, ascending, from 1.
        level: as in `interval`.
        within: as in `interval`.
    """
    last = interval(low, high, bounds, level=level, within=within)
    lows = _ends(np.asarray(low, np.float64), bounds[0], looks, level / 2, (within[0], last.low))
    highs = _ends(
        -np.asarray(high, np.float64),
        -np.asarray(bounds[1], np.float64),
        looks,
        level / 2,
        (-within[1], -last.high),
    )
    return [Interval(one, -other) for one, other in zip(lows, highs, strict=True)]


def _ends(
    values: NDArray[np.float64],
    worst: ArrayLike,
    looks: NDArray[np.int64],
    level: float,
    between: tuple[float, float],
) -> list[float]:
    first, last = between
    # close together near the end, where the sequence spends most of its time
    means = (
        last - (last - first) * np.geomspace(1e-3, 1, _GRID) if last > first else np.array([last])
    )
    found = np.full(len(looks), first)
    bound = -math.log(level)
    for mean in means[::-1]:
        best = np.maximum.accumulate(growth(values, worst, float(mean)))[looks - 1]
        found = np.where(best >= bound, np.maximum(found, mean), found)
    return [float(one) for one in found]
