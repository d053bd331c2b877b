"""Streams of simulated traffic: two orders of judged queries, judges of all kinds, and people.

A difference of known size is made by exchanging the order for some of the queries only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runoff.live._judging.differences import gain
from runoff.live._judging.ratio import REACH, extremes, quotient
from runoff.live._ppi import Sheet, chances, ends_of, picked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from live_orders import Orders
    from numpy.typing import NDArray

__all__ = ["CUTOFF", "JUDGES", "Pair", "Traffic", "right_in", "stream"]

CUTOFF = 10
_GRADES = np.array([gain(one) for one in range(4)])
_DISCOUNT = 1 / np.log2(np.arange(CUTOFF) + 2)
_PARTIAL = 0.5


@dataclass(frozen=True, slots=True)
class Pair:
    """Two orders of the queries of a collection: the documents of both lists, query by query.

    Attributes:
        weights: what a gain of 1 adds to the difference in SDCG@10; 0 at the same rank, and where a
            query has no more documents; shape (queries, documents).
        grades: by people; the same shape.
        many: how many documents both lists have; 0 where they are the same; shape (queries,).
        ndcg: the mean difference in nDCG@10.
        measure: what is estimated, `"SDCG"` or `"nDCG"`.
    """

    weights: NDArray[np.float64]
    grades: NDArray[np.int64]
    many: NDArray[np.int64]
    ndcg: float
    measure: str

    def truth(self) -> float:
        """Return the mean difference in the measure."""
        gains = _GRADES[self.grades]
        if self.measure == "nDCG":
            return float(quotient(self.weights, gains, CUTOFF).mean())
        return float((self.weights * gains).sum(axis=1).mean())


class Traffic:
    """The queries of a collection and the orders of its systems, with a faulty one."""

    def __init__(self, orders: Orders) -> None:
        self.name, self.grades = orders.name, orders.grades
        faulty = {
            one: ids[:CUTOFF][::-1] + ids[CUTOFF:] for one, ids in orders.found["fused"].items()
        }
        self.found: dict[str, Mapping[str, list[str]]] = {**orders.found, "faulty": faulty}
        self.ids = list(orders.grades)
        self.values = {name: self._ndcg(found) for name, found in self.found.items()}

    def _ndcg(self, found: Mapping[str, list[str]]) -> float:
        total = 0.0
        for query_id in self.ids:
            grades = self.grades[query_id]
            gains = [_GRADES[grades.get(one, 0)] for one in found[query_id][:CUTOFF]]
            ideal = sorted((_GRADES[one] for one in grades.values()), reverse=True)[:CUTOFF]
            best = float(np.dot(ideal, _DISCOUNT[: len(ideal)]))
            total += float(np.dot(gains, _DISCOUNT[: len(gains)])) / best if best else 0.0
        return total / len(self.ids)

    def pair(self, before: str, after: str, measure: str = "SDCG") -> Pair:
        """Return what differs between two systems."""
        weights = np.zeros((len(self.ids), 2 * CUTOFF))
        grades = np.zeros(weights.shape, np.int64)
        many = np.zeros(len(self.ids), np.int64)
        for at, query_id in enumerate(self.ids):
            rows: dict[str, float] = {}
            for sign, name in ((-1, before), (1, after)):
                for rank, doc_id in enumerate(self.found[name][query_id][:CUTOFF]):
                    rows[doc_id] = rows.get(doc_id, 0.0) + sign * _DISCOUNT[rank] / _DISCOUNT.sum()
            if any(rows.values()):
                many[at] = len(rows)
                weights[at, : len(rows)] = list(rows.values())
                grades[at, : len(rows)] = [self.grades[query_id].get(one, 0) for one in rows]
        gained = self.values[after] - self.values[before]
        return Pair(weights, grades, many, gained, measure)

    def largest(self, measure: str = "SDCG") -> Pair:
        """Return the pair of systems with the largest gain."""
        return self.pair(
            min(self.values, key=self.values.__getitem__),
            max(self.values, key=self.values.__getitem__),
            measure,
        )


def right_in(share: float) -> Callable[..., NDArray[np.int64]]:
    """Return a judge that is right in a share of cases, and grades at random in the others."""

    def judged(
        rng: np.random.Generator, grades: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        del weights
        return np.where(rng.random(len(grades)) < share, grades, rng.integers(0, 4, len(grades)))

    return judged


def _partial(
    rng: np.random.Generator, grades: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Grade what was moved up as perfect in half of the cases."""
    return np.where((weights > 0) & (rng.random(len(grades)) < _PARTIAL), 3, grades)


def _contrary(
    rng: np.random.Generator, grades: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Grade the opposite."""
    del rng, weights
    return 3 - grades


JUDGES: dict[str, Callable[..., NDArray[np.int64]]] = {
    "random": right_in(0.0),
    "right in 50%": right_in(0.5),
    "right in 80%": right_in(0.8),
    "right in 95%": right_in(0.95),
    "perfect": right_in(1.0),
    "partial to what rises": _partial,
    "contrary": _contrary,
}


def stream(
    pair: Pair,
    many: int,
    rng: np.random.Generator,
    *,
    judge: Callable[..., NDArray[np.int64]],
    rate: float,
    mixed: float | None = 1.0,
    sign: float = 1.0,
) -> Sheet:
    """Return a stream of queries.

    Args:
        pair: the two orders.
        many: how many queries.
        rng: the random numbers.
        judge: what grades.
        rate: how many documents people grade, for each query.
        mixed: the share of queries whose order is exchanged; None exchanges the two sides at
            random, so that there is no difference on average.
        sign: -1 exchanges the two sides.
    """
    drawn = rng.integers(0, len(pair.many), many)
    sides = np.full(many, sign)
    if mixed is None:
        sides = rng.choice([-1.0, 1.0], many)
    else:
        sides[rng.random(many) >= mixed] = 0.0
    weights, grades = pair.weights[drawn] * sides[:, None], pair.grades[drawn]
    if pair.measure == "nDCG":
        return _of_queries(weights, grades, pair.many[drawn], rng, judge, rate)
    return _of_documents(weights, grades, rng, judge, rate)


def _of_documents(
    every: NDArray[np.float64],
    grades: NDArray[np.int64],
    rng: np.random.Generator,
    judge: Callable[..., NDArray[np.int64]],
    rate: float,
) -> Sheet:
    query, place = np.nonzero(every)
    weights, grades = every[query, place], grades[query, place]
    begins = np.searchsorted(query, np.arange(len(every) + 1))
    people, chance = np.full(len(query), np.nan), np.zeros(len(query))
    shares, largest = chances(np.abs(every).sum(axis=1), rate)
    draws = rng.random(len(every))
    for at in np.flatnonzero(draws < shares):
        inside = slice(begins[at], begins[at + 1])
        found = picked(weights[inside], float(shares[at]), float(draws[at]))
        if found is not None:
            people[begins[at] + found[0]] = _GRADES[grades[begins[at] + found[0]]]
            chance[begins[at] + found[0]] = found[1]
    said = _GRADES[judge(rng, grades, weights)]
    return Sheet(query, weights, ends_of(said), ends_of(people), chance, largest)


def _of_queries(
    every: NDArray[np.float64],
    grades: NDArray[np.int64],
    many: NDArray[np.int64],
    rng: np.random.Generator,
    judge: Callable[..., NDArray[np.int64]],
    rate: float,
) -> Sheet:
    most = 2 * CUTOFF
    query = np.flatnonzero(every.any(axis=1))
    weights, grades = every[query], grades[query]
    possible = extremes(weights, CUTOFF)
    size, sizes = np.ptp(possible, axis=0), np.zeros(len(every))
    sizes[query] = size
    shares, largest = chances(sizes, rate / most, work=many / most)
    graded = rng.random(len(query)) < shares[query]
    said = judge(rng, grades.ravel(), weights.ravel()).reshape(grades.shape)
    inside = np.arange(most) < many[query][:, None]
    values = [
        quotient(weights, np.where(inside, _GRADES[one], 0.0), CUTOFF) / size
        for one in (said, grades)
    ]
    return Sheet(
        query,
        size,
        *(np.stack([one, one]) for one in values),
        np.where(graded, shares[query], 0.0),
        largest,
        possible / size,
        usual=0.0,
        reach=REACH,
    )
