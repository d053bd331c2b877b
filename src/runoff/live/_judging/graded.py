"""What was said of the documents of one system's queries, as columns: it is read page by page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from runoff.live._judging.store import PEOPLE, UNASKED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.live._judging.store import Judged, Pair

_NO_GRADE = -2
_PER_DOCUMENT = ("query", "place", "weight", "share", "chance", "judge", "people")


@dataclass(frozen=True, slots=True)
class Graded:
    """What was said of the documents of one system's queries.

    Attributes:
        times: when each query was answered.
        slices: of each query, name to value.
        largest: the largest size that weight / chance could have; shape (queries,).
        query: each document's query, from 0, ascending; shape (documents,), as all that follow.
        place: its place in its query, from 0.
        weight: what a gain of 1 adds to the difference in SDCG@k.
        share: the same for P@k.
        chance: with which it was picked for people; 0 where it was not.
        judge: the judge's grade; -1 where it was not asked, -2 where its reply has none.
        people: the same of people.
        both: a document, the judge's grade and people's, by the keys of query and text.
        merged: query id to document id to grade: people's, else the judge's.
    """

    times: Sequence[float]
    slices: Sequence[Mapping[str, str]]
    largest: NDArray[np.float64]
    query: NDArray[np.int64]
    place: NDArray[np.int64]
    weight: NDArray[np.float64]
    share: NDArray[np.float64]
    chance: NDArray[np.float64]
    judge: NDArray[np.int64]
    people: NDArray[np.int64]
    both: Mapping[tuple[str, str], tuple[Pair, int, int]]
    merged: dict[str, dict[str, int]]

    @property
    def unasked(self) -> NDArray[np.bool_]:
        """The documents that wait for the judge."""
        return np.asarray(self.judge == UNASKED, np.bool_)

    @property
    def heard(self) -> NDArray[np.bool_]:
        """The documents that people were to grade, and have looked at."""
        return np.asarray((self.chance > 0) & (self.people != UNASKED), np.bool_)

    @property
    def unheard(self) -> NDArray[np.bool_]:
        """The documents that wait for people."""
        return np.asarray((self.chance > 0) & (self.people == UNASKED), np.bool_)

    def waits(self, documents: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which queries have one of these documents."""
        many = np.bincount(self.query[documents], minlength=len(self.times))
        return np.asarray(many, np.bool_)

    def first(self, many: int) -> Graded:
        """Return the first queries."""
        end = int(np.searchsorted(self.query, many))
        return replace(
            self,
            times=self.times[:many],
            slices=self.slices[:many],
            largest=self.largest[:many],
            **{name: getattr(self, name)[:end] for name in _PER_DOCUMENT},
        )


def graded(store: Judged, system: str, judge: str) -> Graded:
    """Return what was said of the documents of one system's queries.

    Args:
        store: the grades.
        system: whose queries.
        judge: the key of the judge; empty without one.
    """
    times: list[float] = []
    slices: list[Mapping[str, str]] = []
    largest: list[float] = []
    both: dict[tuple[str, str], tuple[Pair, int, int]] = {}
    merged: dict[str, dict[str, int]] = {}
    parts = [np.empty((0, len(_PER_DOCUMENT)))]
    for page in store.pages(system):
        keys = [query.query_key for query, _ in page]
        judged = store.grades(judge, keys) if judge else {}
        heard = store.grades(PEOPLE, keys)
        rows: list[tuple[float, ...]] = []
        for query, pairs in page:
            for place, one in enumerate(pairs):
                key = query.query_key, one.text_key
                said, people = (
                    _NO_GRADE if grade is None else grade
                    for grade in (judged.get(key, UNASKED), heard.get(key, UNASKED))
                )
                rows.append((len(times), place, one.weight, one.share, one.chance, said, people))
                best = said if people < 0 else people
                if best >= 0 and one.doc_id:
                    merged.setdefault(query.query_key, {})[one.doc_id] = best
                if one.chance > 0 and said >= 0 and people >= 0:
                    both[key] = one, said, people
            times.append(query.time)
            slices.append(query.slices)
            largest.append(query.largest)
        if rows:
            parts.append(np.array(rows, np.float64))
    columns = dict(zip(_PER_DOCUMENT, np.concatenate(parts).T.copy(), strict=True))
    whole = {
        name: columns.pop(name).astype(np.int64) for name in ("query", "place", "judge", "people")
    }
    return Graded(
        times, slices, np.array(largest, np.float64), **whole, **columns, both=both, merged=merged
    )


def worth(grades: NDArray[np.int64], value: Callable[[float], float]) -> NDArray[np.float64]:
    """Return what grades are worth; NaN where there is none."""
    kinds, at = np.unique(grades, return_inverse=True)
    found = [np.nan if one < 0 else value(one) for one in kinds.tolist()]
    return np.array(found, np.float64)[at]
