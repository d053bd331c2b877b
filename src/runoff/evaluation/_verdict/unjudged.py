"""Unjudged documents as uncertainty: how far their judgments could move a difference.

A document without a judgment counts as not relevant. Where a second system finds documents that
nobody judged, that alone can turn a gain into a loss (Buckley and Voorhees 2004; Sakai 2007). So
the difference of every query has a lowest and a highest value: the unjudged documents among the
counted results of either system get the grades that favour the first system most, and those that
favour the second most. A document that both systems found has one grade.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runoff.evaluation._measures.measures import measured_once
from runoff.evaluation._measures.names import cutoff_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._measures.measures import Measured

BESIDE = ("Bpref", "infAP")
"""Measures that are made for incomplete judgments (Buckley and Voorhees 2004; Yilmaz 2006)."""

_EXACT = 12  # up to this many unjudged documents of a query, every number of them is tried
_TELLING = 20  # relevant documents; fewer may all be among a good system's results
_FEW_ZEROS = 0.02  # of all judgments; with fewer the collection lists relevant documents only


@dataclass(frozen=True, slots=True)
class Doubt:
    """One document that nobody judged, within the counted results of a query.

    Attributes:
        query_id: of the query.
        doc_id: of the document.
        before: its rank in the first system's results; 0 where it is not among the counted ones.
        after: its rank in the second system's results; 0 where it is not among the counted ones.
        effect: what the highest grade would add to the mean difference; negative if the document
            would help the first system.
    """

    query_id: str
    doc_id: str
    before: int
    after: int
    effect: float


@dataclass(frozen=True, slots=True, eq=False)
class Extent:
    """How far judgments of the unjudged documents could change each query's difference.

    Attributes:
        plain: the values of both systems with unjudged documents as not relevant, shape
            (2, queries).
        low: the same with the judgments that favour the first system most.
        high: the same with the judgments that favour the second one most.
        chance: the highest chance that such a document is relevant.
        rate: the share of relevant documents among the judged ones of the counted results.
        doubts: the documents, those that move the mean difference most first.
        grade: the highest grade that they are given.
        sides: the two systems.
        measure: the measure.
    """

    plain: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    chance: float
    rate: float
    doubts: tuple[Doubt, ...]
    grade: int
    sides: tuple[Measured, Measured]
    measure: str

    def ends(self, chance: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what is expected of both systems at worst and at best, each of shape (2, queries).

        Args:
            chance: the highest chance that an unjudged document is relevant.
        """
        low, high = (self.plain + chance * (ends - self.plain) for ends in (self.low, self.high))
        return low, high

    def condensed(self) -> NDArray[np.float64]:
        """Return each query's difference if unjudged documents are taken out, shape (queries,)."""
        runs = [
            {
                query_id: [one for one in found if one in side.qrels[query_id]]
                for query_id, found in side.answers.items()
                if query_id in side.qrels
            }
            for side in self.sides
        ]
        first, second = measured_once([self.measure], self.sides[0].qrels, *runs)
        return second[self.measure] - first[self.measure]

    def beside(self) -> dict[str, float]:
        """Return measures for incomplete judgments, with the mean difference by each."""
        runs = (side.answers for side in self.sides)
        first, second = measured_once(BESIDE, self.sides[0].qrels, *runs)
        return {name: float((second[name] - first[name]).mean()) for name in BESIDE}


def pooled(qrels: Mapping[str, Mapping[str, int]]) -> bool:
    """Return whether any document was judged as not relevant.

    Where nearly every judgment is of a relevant document, the judgments are a list of the relevant
    ones, which says nothing about who looked at the others.
    """
    grades = [grade for judged in qrels.values() for grade in judged.values()]
    return sum(grade <= 0 for grade in grades) > _FEW_ZEROS * len(grades)


def marked_in(before: Measured, after: Measured, measure: str) -> str:
    """Return a sentence if a list of relevant documents may come from one system's own results.

    It may if each of them is among the counted results of that system, and not of the other.
    """
    relevant = {
        one: {doc for doc, grade in given.items() if grade > 0}
        for one, given in before.qrels.items()
    }
    many, cutoff = sum(map(len, relevant.values())), cutoff_of(measure)
    if many < _TELLING or cutoff is None or math.isinf(cutoff):
        return ""
    counted = (
        {query: {*ids[: int(cutoff)]} for query, ids in one.answers.items()}
        for one in (before, after)
    )
    inside = [
        all(docs <= one.get(query, set()) for query, docs in relevant.items()) for one in counted
    ]
    if inside[0] == inside[1]:
        return ""
    favoured, other = ("first", "second") if inside[0] else ("second", "first")
    return (
        f"Each of the {many} relevant documents is among the first {int(cutoff)} results of the "
        f"{favoured} system, and not of the {other}. If they were marked there, nobody looked at "
        f"what else the {other} finds, and this favours the {favoured}: unjudged=1 allows for it."
    )


def doubt_of(before: Measured, after: Measured, measure: str, chance: float = 1.0) -> Extent | None:
    """Return what the unjudged documents could do to a difference; None where there are none.

    Bounds are exact for measures that reward a relevant document by its rank, if a query has at
    most 12 unjudged documents and the highest grade is the one that matters most; for more
    documents, some numbers of them are tried.

    Args:
        before: the first system, measured by `evaluate`.
        after: the second system, on the same judgments.
        measure: its name; one that skips unjudged documents is not in doubt.
        chance: the highest chance that such a document is relevant, above 0 and at most 1; the
            bounds are those of the expected difference.
    """
    cutoff = cutoff_of(measure)
    if cutoff is None:
        return None
    open_ones = {
        query_id: found
        for query_id in before.query_ids
        if (found := _open(before, after, query_id, cutoff))
    }
    if not open_ones:
        return None
    grade = max(1, *(grade for judged in before.qrels.values() for grade in judged.values()))
    plain = np.array([before.values[measure], after.values[measure]])
    low, high = plain.copy(), plain.copy()
    places = {query_id: at for at, query_id in enumerate(before.query_ids)}
    tried = list(_choices(open_ones))
    effects: dict[tuple[str, str], float] = {}
    relabelled = _relabelled(before, after, measure, cutoff, tried, grade)
    for (query_id, relevant), values in zip(tried, relabelled.T, strict=True):
        at = places[query_id]
        gain = values[1] - values[0]
        if gain < low[1, at] - low[0, at]:
            low[:, at] = values
        if gain > high[1, at] - high[0, at]:
            high[:, at] = values
        if len(relevant) == 1:
            effects[query_id, relevant[0]] = float(gain - plain[1, at] + plain[0, at]) / len(places)
    doubts = [
        Doubt(query_id, one.doc_id, one.before, one.after, effects[query_id, one.doc_id])
        for query_id, found in open_ones.items()
        for one in found
    ]
    doubts.sort(key=lambda one: (-abs(one.effect), one.query_id, one.doc_id))
    rate = _rate(before, after, cutoff)
    sides = before, after
    return Extent(plain, low, high, chance, rate, tuple(doubts), grade, sides, measure)


class _Open(NamedTuple):
    doc_id: str
    before: int
    after: int

    @property
    def lean(self) -> float:
        """How much more the second system's rank is worth, by nDCG's discount."""
        first, second = (
            1 / math.log2(rank + 1) if rank else 0.0 for rank in (self.before, self.after)
        )
        return second - first


def _open(before: Measured, after: Measured, query_id: str, cutoff: float) -> list[_Open]:
    """Return the unjudged documents among the counted results, those that favour `after` first."""
    judged = before.qrels[query_id]
    ranks: list[dict[str, int]] = []
    for side in (before, after):
        counted = side.answers.get(query_id, ())
        counted = counted if cutoff == math.inf else counted[: int(cutoff)]
        ranks.append({doc_id: at for at, doc_id in enumerate(counted, 1) if doc_id not in judged})
    first, second = ranks
    found = [
        _Open(doc_id, first.get(doc_id, 0), second.get(doc_id, 0))
        for doc_id in dict.fromkeys((*first, *second))
    ]
    return sorted(found, key=lambda one: (-one.lean, one.doc_id))


def _rate(before: Measured, after: Measured, cutoff: float) -> float:
    relevant = many = 0
    for query_id, judged in before.qrels.items():
        counted = {
            doc_id
            for side in (before, after)
            for at, doc_id in enumerate(side.answers.get(query_id, ()))
            if at < cutoff and doc_id in judged
        }
        relevant += sum(judged[doc_id] > 0 for doc_id in counted)
        many += len(counted)
    return relevant / many if many else 1.0


def _choices(open_ones: Mapping[str, Sequence[_Open]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield query ids with the unjudged documents that are taken as relevant.

    Each alone, then the first or the last few in the order in which they favour the second system:
    for a given number of relevant documents, no other choice moves the difference further.
    """
    for query_id, found in open_ones.items():
        ids = [one.doc_id for one in found]
        yield from ((query_id, (one,)) for one in ids)
        for many in _numbers(len(ids)):
            yield query_id, tuple(ids[:many])
            if many < len(ids):
                yield query_id, tuple(ids[-many:])


def _numbers(many: int) -> list[int]:
    """Return how many documents to take at once, from 2 on; all numbers where they are few."""
    if many <= _EXACT:
        return list(range(2, many + 1))
    spread = np.unique(np.geomspace(2, many, _EXACT).round().astype(int))
    return [int(one) for one in spread]


def _relabelled(
    before: Measured,
    after: Measured,
    measure: str,
    cutoff: float,
    tried: Sequence[tuple[str, tuple[str, ...]]],
    grade: int,
) -> NDArray[np.float64]:
    """Return both systems' values for each choice of relevant documents, shape (2, choices)."""
    # every choice is a query of its own, so that the systems are measured once; a document that is
    # not relevant counts as one without a judgment
    relevant = {
        query_id: {doc_id: held for doc_id, held in before.qrels[query_id].items() if held > 0}
        for query_id in {query_id for query_id, _ in tried}
    }
    asked = {str(at): one for at, one in enumerate(tried)}
    qrels = {
        name: relevant[query_id] | dict.fromkeys(chosen, grade)
        for name, (query_id, chosen) in asked.items()
    }
    most = None if cutoff == math.inf else int(cutoff)
    runs = (
        {name: side.answers.get(one, ())[:most] for name, (one, _) in asked.items()}
        for side in (before, after)
    )
    return np.array([found[measure] for found in measured_once([measure], qrels, *runs)])
