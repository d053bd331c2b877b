"""Prediction-powered inference: a judge grades everything, people correct it on a sample.

The value of a query is a sum of weight * gain, over its documents or of the query as a whole. It is
estimated by the judge's gains, plus the judge's error on what people graded, divided by the chance
with which that was picked (Horvitz and Thompson 1952). So its expectation is the value by people's
grades, however wrong the judge is (Angelopoulos et al. 2023, *Prediction-powered inference*).

The judge's gains are fitted to people's first: `mean + slope * (gain - its mean)`, the slope that
makes the errors smallest, within 0 and 1 (the tuned lambda of PPI++: Angelopoulos, Duchi and Zrnic
2023). A judge that knows nothing gets a slope near 0, and what is left is the estimate of people
alone. Means and slope are those of the queries before, so that each query's estimate stays unbiased
given all before it; that is what a bet on the next value needs.

Of a sum over documents people grade at most one document of a query. The chance that it is this
query is proportional to the sum of its weights' sizes, and the chance of each document in it to the
size of its weight: every graded document then counts about the same, which makes errors small and
bounded. Where the query is the unit, people grade all its documents, and its weight is the width of
what its value can be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 2.0
"""The largest sum of weights' sizes that a query can have: two lists without a common document."""

_USUAL, _AS_MUCH_AS = (
    0.5,
    10,
)  # a usual sum of weights, and of how many queries it counts as the mean
_FIRST_SLOPE = 0.5  # before people graded anything
_FIRST_MANY, _FIRST_VARIANCE = 4.0, 0.1  # and of how many grades that counts as


_ROUNDING = 1e-9
_FROM_0_TO_1 = np.array([[0.0], [1.0]])


@dataclass(frozen=True, slots=True)
class Sheet:
    """What judges said of what differs, a row for each (query, document) or each query.

    A gain is given by its ends, the lowest and the highest that it may be: the same number twice
    where it is known, and `possible` where nothing is.

    Attributes:
        query: the row's query, from 0, ascending; shape (rows,).
        weight: what a gain of 1 adds to the query's value, positive or negative; shape (rows,).
        judge: the gain by the judge's grades; shape (2, rows).
        people: the gain by people's grades; only read where the chance is above 0; shape (2, rows).
        chance: with which the row was picked for people; 0 where it was not; shape (rows,).
        largest: the largest size that weight / chance could have, known before the query; shape
            (queries,).
        possible: the lowest and the highest gain that any grades make, at most 1 apart; shape
            (2, rows) or (2, 1).
        usual: the gain that is expected before people graded anything.
        reach: how far people's gain may at most be from what is expected of it, from 0.5 to 1.
            Expectations are moved to where that holds; a smaller reach bounds the errors better.
    """

    query: NDArray[np.int64]
    weight: NDArray[np.float64]
    judge: NDArray[np.float64]
    people: NDArray[np.float64]
    chance: NDArray[np.float64]
    largest: NDArray[np.float64]
    possible: NDArray[np.float64] = field(default_factory=_FROM_0_TO_1.copy)
    usual: float = 0.3
    reach: float = 1.0

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.largest)


@dataclass(frozen=True, slots=True)
class Corrected:
    """An estimate of every query's value.

    Attributes:
        low: with the lowest gain where people could not say; shape (queries,).
        high: with the highest; shape (queries,).
        middle: with the judge's; shape (queries,).
        worst: the lowest value that was possible; shape (queries,).
        best: the highest; shape (queries,).
        slope: of the judge's gains, after all queries; NaN where its grades count unchecked.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    middle: NDArray[np.float64]
    worst: NDArray[np.float64]
    best: NDArray[np.float64]
    slope: float


def ends_of(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return gains from 0 to 1, NaN where they are unknown, as the ends of what they may be.

    Args:
        gains: shape (rows,).

    Returns:
        shape (2, rows).
    """
    return np.where(np.isfinite(gains), gains, _FROM_0_TO_1)


def chances(
    sizes: NDArray[np.float64],
    rate: float,
    before: tuple[float, int] = (0.0, 0),
    work: NDArray[np.float64] | float = 1.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the chance of each query to be picked for people, and the bound it implies.

    A query's chance is `rate` times its sum of weights' sizes over the mean of size * work in the
    queries before it, at most 1. No chance depends on later queries.

    Args:
        sizes: the sum of each query's weights' sizes, 0 to `MOST`; shape (queries,).
        rate: the work that people do, for each query; above 0 and at most 1.
        before: the sum of size * work of all queries before these, and how many there were.
        work: what people do if a query is picked, as a share of the most; shape (queries,).

    Returns:
        chances, and the largest size that weight / chance could have; each of shape (queries,).
    """
    total, many = before
    sums = total + np.concatenate([[0.0], np.cumsum(sizes * work)[:-1]])
    counts = many + np.arange(len(sizes))
    usual = (_USUAL * _AS_MUCH_AS + sums) / (_AS_MUCH_AS + counts)
    return np.minimum(1.0, rate * sizes / usual), np.maximum(usual / rate, MOST)


def picked(weights: NDArray[np.float64], chance: float, draw: float) -> tuple[int, float] | None:
    """Return which document of a query people grade, and with which chance; None for none.

    Args:
        weights: of the query's documents, shape (documents,).
        chance: the query's, by `chances`.
        draw: uniform from 0 to 1.
    """
    sizes = np.abs(weights)
    if not draw < chance or not sizes.any():
        return None
    ends = np.cumsum(sizes) / sizes.sum()
    at = min(int(np.searchsorted(ends, draw / chance, side="right")), len(sizes) - 1)
    return at, float(chance * sizes[at] / sizes.sum())


def corrected(sheet: Sheet, *, by: str = "both") -> Corrected:
    """Return the estimate of every query's value.

    Args:
        sheet: what the judges said.
        by: `"both"` corrects the judge by people; `"people"` leaves the judge out; `"judge"` takes
            the judge at its word.
    """
    if by == "judge":
        return _by_judge(sheet)
    rows = np.flatnonzero(sheet.chance > 0)
    judge = _middle(sheet.judge, sheet.possible)
    if by != "both":
        judge[:] = np.nan
    least, most = sheet.people[:, rows]
    people = _middle(sheet.people, sheet.possible)[rows]
    # what is known before each picked row: of the rows picked before it, in earlier queries
    known = np.isfinite(people) & (np.isfinite(judge[rows]) | (by == "people"))
    seen = np.where(known & np.isfinite(judge[rows]), judge[rows], 0.0)
    means, middles, slopes = _fits(np.where(known, people, 0.0), seen, known, sheet.usual)
    place = np.searchsorted(sheet.query[rows], sheet.query, side="left")
    mean, middle, slope = means[place], middles[place], slopes[place]
    fitted = mean + slope * np.where(np.isfinite(judge), judge - middle, 0.0)
    lowest, highest = sheet.possible
    near = np.maximum(lowest, highest - sheet.reach), np.minimum(highest, lowest + sheet.reach)
    expected = np.clip(fitted, *near)
    plain = _sums(sheet, np.arange(len(place)), sheet.weight * expected)
    scale = sheet.weight[rows] / sheet.chance[rows]

    def values(gains: NDArray[np.float64]) -> NDArray[np.float64]:
        return plain + _sums(sheet, rows, scale * (gains - expected[rows]))

    return Corrected(
        low=values(np.where(scale > 0, least, most)),
        high=values(np.where(scale > 0, most, least)),
        middle=values(np.where(np.isfinite(people), people, expected[rows])),
        worst=-1 - sheet.reach * sheet.largest,
        best=1 + sheet.reach * sheet.largest,
        slope=float(slopes[-1]) if by == "both" else 0.0,
    )


def _by_judge(sheet: Sheet) -> Corrected:
    least, most = sheet.judge
    said = _middle(sheet.judge, sheet.possible)
    usual = float(np.nanmean(said)) if np.isfinite(said).any() else sheet.usual
    said = np.where(np.isfinite(said), said, np.clip(usual, *sheet.possible))

    def values(gains: NDArray[np.float64]) -> NDArray[np.float64]:
        return _sums(sheet, np.arange(len(gains)), sheet.weight * gains)

    one = np.ones(len(sheet))
    return Corrected(
        low=values(np.where(sheet.weight > 0, least, most)),
        high=values(np.where(sheet.weight > 0, most, least)),
        middle=values(said),
        worst=-one,
        best=one,
        slope=float("nan"),
    )


def _middle(ends: NDArray[np.float64], possible: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the middle of what each gain may be; NaN where nothing is known of it."""
    narrower = np.ptp(ends, axis=0) < np.ptp(possible, axis=0) - _ROUNDING
    return np.where(narrower, ends.mean(axis=0), np.nan)


def _sums(sheet: Sheet, rows: NDArray[np.intp], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of each query's rows."""
    return np.bincount(sheet.query[rows], values, minlength=len(sheet)).astype(np.float64)


def _fits(
    people: NDArray[np.float64],
    judge: NDArray[np.float64],
    known: NDArray[np.bool_],
    usual: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return both means and the slope before each graded row, and after the last."""

    def so_far(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])

    many = so_far(np.ones(len(people)))
    means = [(_FIRST_MANY * usual + so_far(one)) / (_FIRST_MANY + many) for one in (people, judge)]
    first, second = means
    # sums about the means, by the usual identity, with the first guess as further grades
    weight = _FIRST_MANY + many
    start = _FIRST_MANY * usual**2
    cross = so_far(people * judge) + start - weight * first * second
    spread = so_far(judge * judge) + start - weight * second * second
    prior = _FIRST_MANY * _FIRST_VARIANCE
    slope = (prior * _FIRST_SLOPE + cross) / (prior + np.maximum(spread, 0.0))
    return first, second, np.clip(slope, 0.0, 1.0)
