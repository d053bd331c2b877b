"""Tests and intervals of mean differences, from one set of random draws, so that they agree.

An interval excludes 0 exactly if the test, corrected for the number of questions, finds a
difference. Differences have one row per query and one column per question (a measure, or a measure
on a slice); the same draws serve every column.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from runoff.evaluation._measures.permutation import chunks, holm, permutation_p

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_UNSEEN = 3  # queries whose change may be of any size, beside those that were seen to change
_SPARSE, _DENSE = 12.0, 16.0  # changed queries, weighted up where they are not rare
_STRETCH = 1.03  # at most: chosen so that dense differences get no needlessly wide interval
_ROUNDING = 1e-12
_KEPT = 4_000_000  # random weights kept for the next comparison of as many queries: 32 MB


@dataclass(frozen=True, slots=True)
class Compared:
    """What is known of the mean of each column.

    Attributes:
        p: two-sided p-value, shape (columns,).
        adjusted: the same, corrected for all columns (Holm).
        intervals: lower and upper ends, shape (columns, 2); one excludes 0 exactly if its adjusted
            p is at most the level.
        worst: bounds of the mean that also hold if queries that were not seen change as much as the
            scale allows, at the confidence 1 - level, shape (columns, 2).
    """

    p: NDArray[np.float64]
    adjusted: NDArray[np.float64]
    intervals: NDArray[np.float64]
    worst: NDArray[np.float64]


def span_of(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Return how much one query's value can change: 1 for values from 0 to 1, else their range."""
    low, high = (
        min(float(before.min()), float(after.min())),
        max(float(before.max()), float(after.max())),
    )
    return 1.0 if low >= -_ROUNDING and high <= 1 + _ROUNDING else high - low


def compare_means(
    deltas: NDArray[np.float64],
    members: NDArray[np.bool_],
    span: NDArray[np.float64],
    *,
    shares: NDArray[np.float64] | None = None,
    level: float = 0.05,
    rounds: int = 10_000,
    seed: int = 0,
) -> Compared:
    """Test whether each column's mean is 0, and bound it.

    A difference is found if both a permutation test of signs and the interval's own draws find it.
    Each interval has the confidence that its share of the level leaves, or what Holm's procedure
    leaves it where a difference is found.

    Args:
        deltas: shape (queries, columns); 0 where a query is not in a column's slice.
        members: the same shape; whether the query is in the column's slice.
        span: how much one query's value can change, shape (columns,).
        shares: how much of the level each column gets, shape (columns,), adding up to 1; None
            gives each all of it, as if it were the only one.
        level: the accepted chance of any false finding.
        rounds: random draws.
        seed: of the random draws.
    """
    draws = _Draws.of(deltas, members, span, rounds, seed)
    p = np.maximum(permutation_p(deltas, rounds=rounds, seed=seed), draws.p())
    adjusted = p if shares is None else holm(p, shares)
    found = adjusted <= level
    # what Holm's procedure compares p with, where it finds a difference
    own = np.full(len(p), level) if shares is None else level * shares
    levels = np.where(found, np.maximum(level * p / adjusted, own), own)
    ends = draws.ends(levels)
    ends[~found] = np.stack(
        [np.minimum(ends[~found, 0], 0.0), np.maximum(ends[~found, 1], 0.0)], axis=1
    )
    return Compared(p, adjusted, ends, draws.worst(level))


def mean_intervals(
    values: NDArray[np.float64],
    members: NDArray[np.bool_] | None = None,
    *,
    span: float = 1.0,
    unseen: bool = True,
    level: float = 0.05,
    rounds: int = 10_000,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return an interval of each column's mean, without a test.

    Args:
        values: differences, shape (queries, columns); 0 where a query is not in a column's slice.
        members: the same shape; None means every query.
        span: how much one value can differ from 0.
        unseen: whether queries that were not seen may change in other ways than those that were.
        level: 1 minus the confidence.
        rounds: random draws.
        seed: of the random draws.

    Returns:
        shape (columns, 2): lower and upper ends.
    """
    columns = values.shape[1]
    inside = np.ones(values.shape, np.bool_) if members is None else members
    draws = _Draws.of(values, inside, np.full(columns, span), rounds, seed)
    if not unseen:
        draws = replace(draws, share=np.zeros(columns))
    return draws.ends(np.full(columns, level))


def regret_ends(
    values: NDArray[np.float64], chosen: int, *, level: float = 0.05, seed: int = 0
) -> tuple[float, float]:
    """Return bounds of what a setting loses against the best one, whichever that is.

    It loses at least what another is proven to be better by, and at most what any other may
    be better by (Hsu 1981, multiple comparisons with the best). The lower bounds are corrected for
    their number (Bonferroni); of the upper ones only that of the best setting has to hold.

    Args:
        values: shape (settings, queries).
        chosen: the setting's row.
        level: 1 minus the confidence.
        seed: of all random draws.
    """
    others = np.delete(values, chosen, axis=0) - values[chosen]
    if not len(others):
        return 0.0, 0.0
    columns = np.ascontiguousarray(others.T)
    proven = mean_intervals(columns, level=level / len(others), seed=seed)[:, 0]
    possible = mean_intervals(columns, level=level, seed=seed)[:, 1]
    return max(0.0, float(proven.max())), max(0.0, float(possible.max()))


@dataclass(frozen=True, slots=True)
class _Draws:
    """Random weighted means of each column.

    Each draw gives every query a weight from the exponential distribution, so that the weights'
    shares are uniform over all that add up to 1 (Rubin 1981, the Bayesian bootstrap). One more
    value, for queries that were not seen, is added at the lower end for the lower bound and at the
    upper end for the upper one. With a value that is the end of the scale and a weight like the
    others', this is Gaffke's bound of a bounded mean (2005; Learned-Miller and Thomas 2019): that
    of Clopper and Pearson (1934) where a query loses all or nothing, and the sign test where every
    change has the size of the added value.

    Attributes:
        sums: of weight times difference, shape (rounds, columns).
        totals: of the weights, shape (rounds, columns).
        extra: the weights of the added value, shape (rounds, 1).
        means: shape (columns,).
        reach: how far from 0 the added value is, shape (columns,).
        share: what part of its weight it keeps, shape (columns,): 1 where few queries changed,
            which may all be of one kind, and 0 where many did, and the draws alone suffice.
        stretch: what makes up for the spread of so few queries being underestimated, shape
            (columns,).
        span: how much one query's value can change, shape (columns,).
    """

    sums: NDArray[np.float64]
    totals: NDArray[np.float64]
    extra: NDArray[np.float64]
    means: NDArray[np.float64]
    reach: NDArray[np.float64]
    share: NDArray[np.float64]
    stretch: NDArray[np.float64]
    span: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        deltas: NDArray[np.float64],
        members: NDArray[np.bool_],
        span: NDArray[np.float64],
        rounds: int,
        seed: int,
    ) -> _Draws:
        """Draw the weights once for all columns."""
        queries, columns = deltas.shape
        sizes = tuple(chunks(rounds, queries))
        drawn = _weights(sizes, queries, seed)
        belongs = members.astype(np.float64)
        sums, totals = np.empty((rounds, columns)), np.empty((rounds, columns))
        done = 0
        for size in sizes:
            weights = next(drawn)
            sums[done : done + size] = weights @ deltas
            totals[done : done + size] = weights @ belongs
            done += size
        many = np.maximum(belongs.sum(axis=0), 1)
        changed = (np.abs(deltas) > _ROUNDING).sum(axis=0)
        largest = np.abs(deltas).max(axis=0, initial=0.0)
        dense = changed * (1 + 2 * (changed / many) ** 2)
        share = np.clip((_DENSE - dense) / (_DENSE - _SPARSE), 0, 1)
        # Student's quantile for as many values as changed, and an unbiased variance
        stretch = np.sqrt((many + 1) / np.maximum(many - 1, 1)) * _student(changed)
        return cls(
            sums,
            totals,
            next(drawn),
            deltas.sum(axis=0) / many,
            np.maximum(largest, span * _UNSEEN / (changed + _UNSEEN)),
            share,
            1 + (1 - share) * (np.minimum(stretch, _STRETCH) - 1),
            span,
        )

    def _sides(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the draws of the lower and of the upper bound."""
        extra = self.extra * self.share
        totals, added = self.totals + extra, extra * self.reach
        low, high = (self.sums - added) / totals, (self.sums + added) / totals
        return (
            self.means + self.stretch * (low - self.means),
            self.means + self.stretch * (high - self.means),
        )

    def p(self) -> NDArray[np.float64]:
        """Return twice the smaller share of draws on the other side of 0, shape (columns,)."""
        low, high = self._sides()
        beyond = np.minimum((low <= _ROUNDING).sum(axis=0), (high >= -_ROUNDING).sum(axis=0))
        p: NDArray[np.float64] = np.minimum(1.0, 2 * (beyond + 1) / (len(low) + 1))
        return p

    def ends(self, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the ends that leave half of each level on either side, shape (columns, 2)."""
        return _quantiles(*self._sides(), levels)

    def worst(self, level: float) -> NDArray[np.float64]:
        """Return the ends with the added value at the ends of the scale, shape (columns, 2)."""
        totals, added = self.totals + self.extra, self.extra * self.span
        levels = np.full(len(self.means), level)
        return _quantiles((self.sums - added) / totals, (self.sums + added) / totals, levels)


def _weights(sizes: tuple[int, ...], queries: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Return the queries' weights, some rounds at a time, and then those of the added value."""
    few = sum(sizes) * queries <= _KEPT
    return iter(_kept(sizes, queries, seed)) if few else _drawn(sizes, queries, seed)


@lru_cache(maxsize=1)
def _kept(sizes: tuple[int, ...], queries: int, seed: int) -> tuple[NDArray[np.float64], ...]:
    drawn = tuple(_drawn(sizes, queries, seed))
    for one in drawn:
        one.setflags(write=False)  # the next comparison reads the same ones
    return drawn


def _drawn(sizes: tuple[int, ...], queries: int, seed: int) -> Iterator[NDArray[np.float64]]:
    rng, rounds = np.random.default_rng(seed), sum(sizes)
    for size in sizes:
        yield rng.standard_exponential((size, queries))
    # evenly spread: what is not seen is then bounded without the luck of the draws
    yield -np.log((rng.permutation(rounds)[:, None] + 0.5) / rounds)


def _student(changed: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return about how much farther out Student's 97.5% quantile is than the normal one.

    The first two terms of the expansion of Fisher and Cornish (1960) in 1 / (changed - 1).
    """
    z = 1.96
    ratio: NDArray[np.float64] = 1 + (z**2 + 1) / (4 * np.maximum(changed - 1.0, 1))
    return ratio


def _quantiles(
    low: NDArray[np.float64], high: NDArray[np.float64], levels: NDArray[np.float64]
) -> NDArray[np.float64]:
    rounds = len(low)
    ends = np.empty((len(levels), 2))
    for at, level in enumerate(levels.tolist()):
        outside = max(1, int(level / 2 * (rounds + 1) + _ROUNDING))
        ends[at, 0] = np.partition(low[:, at], outside - 1)[outside - 1]
        ends[at, 1] = np.partition(high[:, at], rounds - outside)[rounds - outside]
    return ends


def weighted(
    deltas: NDArray[np.float64], *, span: float, rounds: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the means and standard deviations that the data allow, each of shape (rounds,).

    The added value for queries that were not seen is at either end of the scale by chance.

    Args:
        deltas: shape (queries,).
        span: how much one query's value can change.
        rounds: random draws.
        seed: of the random draws.
    """
    column = deltas[:, None]
    draws = _Draws.of(column, np.ones(column.shape, np.bool_), np.array([span]), rounds, seed)
    squares = _Draws.of(column**2, np.ones(column.shape, np.bool_), np.array([span]), rounds, seed)
    sign = np.where(np.random.default_rng(seed).random(rounds) < 0.5, -1, 1)  # noqa: PLR2004 - both ends alike
    extra = (draws.extra * draws.share)[:, 0]
    totals = draws.totals[:, 0] + extra
    means = (draws.sums[:, 0] + sign * extra * draws.reach) / totals
    second = (squares.sums[:, 0] + extra * draws.reach**2) / totals
    return means, np.sqrt(np.maximum(second - means**2, 0))
