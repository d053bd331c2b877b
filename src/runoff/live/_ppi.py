"""Prediction-powered inference: a judge grades everything, people correct it on a sample.

The value of a query is a sum over its documents of weight * gain. It is estimated by the judge's
gains, plus the judge's error on one document that people graded, divided by the chance with which
it was picked (Horvitz and Thompson 1952). So its expectation is the value by people's grades,
however wrong the judge is (Angelopoulos et al. 2023, *Prediction-powered inference*).

The judge's gains are fitted to people's first: `mean + slope * (gain - its mean)`, the slope that
makes the errors smallest, within 0 and 1 (the tuned lambda of PPI++: Angelopoulos, Duchi and Zrnic
2023). A judge that knows nothing gets a slope near 0, and what is left is the estimate of people
alone. Means and slope are those of the queries before, so that each query's estimate stays unbiased
given all before it; that is what a bet on the next value needs.

People grade at most one document of a query. The chance that it is this query is proportional to
the sum of its weights' sizes, and the chance of each document in it to the size of its weight:
every graded document then counts about the same, which makes errors small and bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
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
_FIRST_MEAN, _FIRST_SLOPE = 0.3, 0.5  # before people graded anything
_FIRST_MANY, _FIRST_VARIANCE = 4.0, 0.1  # and of how many grades that counts as


@dataclass(frozen=True, slots=True)
class Sheet:
    """What judges said of the documents that differ, a row for each (query, document).

    Attributes:
        query: the row's query, from 0, ascending; shape (rows,).
        weight: what a gain of 1 adds to the query's value, positive or negative; shape (rows,).
        judge: the judge's gain, 0 to 1; NaN where there is none; shape (rows,).
        people: people's gain, 0 to 1; NaN where they gave none; shape (rows,).
        chance: with which the row was picked for people; 0 where it was not; shape (rows,).
        largest: the largest size that weight / chance could have, known before the query; shape
            (queries,).
    """

    query: NDArray[np.int64]
    weight: NDArray[np.float64]
    judge: NDArray[np.float64]
    people: NDArray[np.float64]
    chance: NDArray[np.float64]
    largest: NDArray[np.float64]

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
        slope: of the judge's gains, after all queries; NaN where the judge is taken at its word.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    middle: NDArray[np.float64]
    worst: NDArray[np.float64]
    best: NDArray[np.float64]
    slope: float


def chances(
    sizes: NDArray[np.float64], rate: float, before: tuple[float, int] = (0.0, 0)
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the chance of each query to have a document graded, and the bound it implies.

    A query's chance is `rate` times its sum of weights' sizes over their mean in the queries before
    it, at most 1. No chance depends on later queries.

    Args:
        sizes: the sum of each query's weights' sizes, 0 to `MOST`; shape (queries,).
        rate: the share of queries to grade, above 0 and at most 1.
        before: the sum of the sizes of all queries before these, and how many there were.

    Returns:
        chances, and the largest size that weight / chance could have; each of shape (queries,).
    """
    total, many = before
    sums = total + np.concatenate([[0.0], np.cumsum(sizes)[:-1]])
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
    people, judge = sheet.people[rows], sheet.judge[rows]
    # what is known before each picked row: of the rows picked before it, in earlier queries
    known = np.isfinite(people) & (np.isfinite(judge) | (by == "people"))
    seen = np.where(np.isfinite(judge), judge, 0.0) * (by == "both")
    means, middles, slopes = _fits(np.where(known, people, 0.0), seen, known)
    place = np.searchsorted(sheet.query[rows], sheet.query, side="left")
    mean, middle, slope = means[place], middles[place], slopes[place]
    gain = sheet.judge if by == "both" else np.full(len(place), np.nan)
    expected = np.clip(mean + slope * np.where(np.isfinite(gain), gain - middle, 0.0), 0.0, 1.0)
    plain = _sums(sheet, np.arange(len(place)), sheet.weight * expected)
    scale = sheet.weight[rows] / sheet.chance[rows]

    def values(unsure: NDArray[np.float64]) -> NDArray[np.float64]:
        error = np.where(np.isfinite(people), people, unsure) - expected[rows]
        return plain + _sums(sheet, rows, scale * error)

    return Corrected(
        low=values((scale < 0).astype(np.float64)),
        high=values((scale > 0).astype(np.float64)),
        middle=values(expected[rows]),
        worst=-1 - sheet.largest,
        best=1 + sheet.largest,
        slope=float(slopes[-1]) if by == "both" else 0.0,
    )


def _by_judge(sheet: Sheet) -> Corrected:
    failed = ~np.isfinite(sheet.judge)
    usual = float(np.nanmean(sheet.judge)) if not failed.all() else 0.5

    def values(unsure: NDArray[np.float64]) -> NDArray[np.float64]:
        gains = np.where(failed, unsure, sheet.judge)
        return _sums(sheet, np.arange(len(gains)), sheet.weight * gains)

    one = np.ones(len(sheet))
    return Corrected(
        low=values((sheet.weight < 0).astype(np.float64)),
        high=values((sheet.weight > 0).astype(np.float64)),
        middle=values(np.full(len(failed), usual)),
        worst=-one,
        best=one,
        slope=float("nan"),
    )


def _sums(sheet: Sheet, rows: NDArray[np.intp], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of each query's rows."""
    return np.bincount(sheet.query[rows], values, minlength=len(sheet)).astype(np.float64)


def _fits(
    people: NDArray[np.float64], judge: NDArray[np.float64], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return both means and the slope before each graded row, and after the last."""

    def so_far(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])

    many = so_far(np.ones(len(people)))
    means = [
        (_FIRST_MANY * _FIRST_MEAN + so_far(one)) / (_FIRST_MANY + many) for one in (people, judge)
    ]
    first, second = means
    # sums about the means, by the usual identity, with the first guess as further grades
    weight = _FIRST_MANY + many
    start = _FIRST_MANY * _FIRST_MEAN**2
    cross = so_far(people * judge) + start - weight * first * second
    spread = so_far(judge * judge) + start - weight * second * second
    prior = _FIRST_MANY * _FIRST_VARIANCE
    slope = (prior * _FIRST_SLOPE + cross) / (prior + np.maximum(spread, 0.0))
    return first, second, np.clip(slope, 0.0, 1.0)
