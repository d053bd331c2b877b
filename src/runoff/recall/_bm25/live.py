"""Scores of a corpus that has changed since its scores were computed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runoff.recall._bm25.formula import Weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.recall._bm25.formula import Formula
    from runoff.recall._bm25.postings import Postings

_KEPT = 1 << 23  # scores of columns that are kept, 32 MB
_EMPTY = 64  # scores that take as much memory as a column without any


class Part(NamedTuple):
    """A part of the corpus.

    Attributes:
        postings: its counts.
        numbers: the number of each term.
        gone: the rows that do not belong to the corpus any more, ascending.
    """

    postings: Postings
    numbers: Mapping[str, int]
    gone: NDArray[np.int32]


class _Column(NamedTuple):
    """What one term adds: to the rows of each part, and to all other documents."""

    rows: list[NDArray[np.int32]]
    scores: list[NDArray[np.float32]]
    base: np.float32 | None


class LiveScores:
    """Computes the scores of a query's terms from the counts of all parts together.

    Document frequencies and the mean length are those of the whole corpus, and every sum is made in
    the same order, so a document has the score that it has in an index built afresh, bit for bit.
    The columns computed last are kept.
    """

    lowest = 0.0

    def __init__(self, formula: Formula, parts: Sequence[Part]) -> None:
        self._parts = parts
        lengths = [np.delete(one.postings.lengths, one.gone) for one in parts]
        self._weights = Weights.of(formula, lengths)
        self._norms = [self._weights.norms(one.postings.lengths) for one in parts]
        self._columns: OrderedDict[str, _Column | None] = OrderedDict()
        self._kept = 0
        self._lock = threading.Lock()

    def score(
        self, terms: Mapping[str, int]
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Score every document that contains a query term.

        Args:
            terms: how often each term occurs in the query.

        Returns:
            for each part, its rows in ascending order, and their scores.
        """
        columns = [
            (one, times) for term, times in terms.items() if (one := self._column(term)) is not None
        ]
        base = [one.base * times for one, times in columns if one.base is not None]
        found = []
        for number, part in enumerate(self._parts):
            size = part.postings.lengths.size
            total = np.zeros(size, dtype=np.float32)
            shared = np.zeros(size, dtype=np.bool_)
            for one, times in columns:
                rows, scores = one.rows[number], one.scores[number]
                np.add.at(total, rows, scores if times == 1 else scores * np.float32(times))
                shared[rows] = True
            shared[part.gone] = False
            here = shared.nonzero()[0]
            scores = total.take(here)
            if base:
                scores += np.float32(sum(base))
            found.append((here, scores))
        return found

    def _column(self, term: str) -> _Column | None:
        """Return what a term adds; None if no document has it."""
        with self._lock:
            if term in self._columns:
                self._columns.move_to_end(term)
                return self._columns[term]
        column = self._computed(term)
        with self._lock:
            if term not in self._columns:  # another thread may have computed it meanwhile
                self._columns[term] = column
                self._kept += _size(column)
            while self._kept > _KEPT and len(self._columns) > 1:
                self._kept -= _size(self._columns.popitem(last=False)[1])
        return column

    def _computed(self, term: str) -> _Column | None:
        slices = []
        for part in self._parts:
            number = part.numbers.get(term)
            starts = part.postings.starts
            slices.append(slice(0) if number is None else slice(*starts[number : number + 2]))
        rows = [one.postings.rows[here] for one, here in zip(self._parts, slices, strict=True)]
        frequency = sum(
            of_part.size - _common(of_part, part.gone)
            for of_part, part in zip(rows, self._parts, strict=True)
        )
        if not frequency:
            return None
        idf = self._weights.idf(frequency)
        base = self._weights.base(np.array([idf]))
        scores = [
            self._weights.scores(
                part.postings.counts[here],
                norms[of_part],
                idf,
                None if base is None else base[0],
            )
            for part, here, norms, of_part in zip(
                self._parts, slices, self._norms, rows, strict=True
            )
        ]
        return _Column(rows, scores, None if base is None else base[0])


def _size(column: _Column | None) -> int:
    return _EMPTY + (0 if column is None else sum(one.size for one in column.scores))


def _common(rows: NDArray[np.int32], gone: NDArray[np.int32]) -> int:
    """Return how many of `gone` are among `rows`; both ascend."""
    places = np.searchsorted(rows, gone)
    places = places[: np.searchsorted(places, rows.size)]
    return int((rows[places] == gone[: places.size]).sum())
