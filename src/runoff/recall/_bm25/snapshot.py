"""One immutable state of a BM25 index: searches read it, and a change makes a new one."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import OrderedDict, deque
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff.recall._bm25.documents import Documents
from runoff.recall._bm25.engine import make_scoring
from runoff.recall._bm25.postings import Counts, Postings, count_terms, join
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.filters import Filter
    from runoff.recall._analyzers import Analyzer
    from runoff.recall._bm25.engine import Formula, Scoring
    from runoff.types import Document, Query

__all__ = ["Batch", "Snapshot"]

_MASKS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Documents that were added together, and their counts by row.

    Attributes:
        documents: what was added.
        postings: the counts of their terms.
        stops: the counts of their stop words.
    """

    documents: Sequence[Document]
    postings: Postings
    stops: Postings

    @classmethod
    def of(cls, documents: Sequence[Document], analyzer: Analyzer) -> Batch:
        """Analyze documents."""
        terms, stops = Counts(), Counts()
        for one in documents:
            kept, dropped = analyzer.parted(one.text)
            terms.add(kept)
            stops.add(dropped)
        return cls(documents, terms.postings(), stops.postings())


_MEMBERS: tuple[Any, ...] = tuple(
    getattr(Hit, name) for name in ("document", "score", "score_range", "key")
)


def _hits(
    documents: Sequence[Document],
    scores: Sequence[float],
    score_range: tuple[float | None, float | None],
    keys: Sequence[str],
) -> list[Hit]:
    """Make hits a column at a time.

    A hundred calls of a frozen class take longer than the search itself; this takes a third of
    that, with the same result.
    """
    hits = [*map(object.__new__, repeat(Hit, len(keys)))]
    for member, column in zip(
        _MEMBERS, (documents, scores, repeat(score_range), keys), strict=True
    ):
        deque(map(member.__set__, hits, column), maxlen=0)
    return hits


class Snapshot:
    """A corpus in the order of its ids, its counts and its scores.

    Nothing but the cache of filter masks and the scores of stop words, computed when they are first
    needed, ever changes, so any number of threads may search it.

    Args:
        analyzer: the analyzer that made the terms; it is used for queries too.
        formula: which BM25 is computed.
        ids: ascending; row i is document i.
        documents: in the order of `ids`.
        postings: their counts.
        stops: the counts of stop words; an index saved without them has no terms here.
        scoring: the engine's scores of `postings`; None computes them.
    """

    def __init__(
        self,
        analyzer: Analyzer,
        formula: Formula,
        ids: Sequence[str],
        documents: Documents,
        postings: Postings,
        stops: Postings,
        scoring: Scoring | None = None,
    ) -> None:
        self.analyzer = analyzer
        self.formula = formula
        self.ids = ids
        self.documents = documents
        self.postings = postings
        self.scoring = make_scoring(postings, formula) if scoring is None else scoring
        self.stops = stops
        self._numbers = {term: number for number, term in enumerate(postings.terms)}
        self._stop_numbers = {term: number for number, term in enumerate(stops.terms)}
        self._stop_scoring: Scoring | None = None
        self._masks: OrderedDict[Filter, NDArray[np.bool_]] = OrderedDict()
        self._masks_lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the documents and their counts; the scores are computed again."""
        counts = (self.postings, self.stops)
        return type(self), (self.analyzer, self.formula, [*self.ids], self.documents, *counts)

    def __deepcopy__(self, memo: object) -> Snapshot:
        """Return itself: nothing in it changes but what it has computed."""
        return self

    @classmethod
    def empty(cls, analyzer: Analyzer, formula: Formula) -> Snapshot:
        """Return the state of an index without documents."""
        nothing = count_terms((), analyzer)
        return cls(analyzer, formula, [], Documents([]), nothing, nothing)

    def row(self, doc_id: str) -> int | None:
        """Return a document's row, or None."""
        row = bisect_left(self.ids, doc_id)
        return row if row < len(self.ids) and self.ids[row] == doc_id else None

    def search(self, query: Query, depth: int) -> list[Hit]:
        """Return the best `depth` documents that share a token with the query and pass its filters.

        A query of stop words alone finds the documents that share one of them. Equal scores are
        ordered by id.
        """
        tokens, scoring = self.analyzer(query.text), self.scoring
        terms = _counted(tokens, self._numbers)
        if not tokens and self._stop_numbers:
            terms = _counted(self.analyzer.stop_words(query.text), self._stop_numbers)
            scoring = self._scoring_of_stops()
        if not terms:
            return []
        rows, scores = scoring.score(terms)
        if query.filters is not None:
            kept = self._mask(query.filters).take(rows).nonzero()[0]
            rows, scores = rows.take(kept), scores.take(kept)
        if rows.size > depth:
            lowest = rows.size - depth
            sorted_there = scores.copy()
            sorted_there.partition(lowest)
            # keep all that tie with the last one until they are ordered
            kept = (scores >= sorted_there[lowest]).nonzero()[0]
            rows, scores = rows.take(kept), scores.take(kept)
        order = (-scores).argsort(kind="stable")[:depth]
        best = rows.take(order).tolist()
        keys = [*map(self.ids.__getitem__, best)]
        score_range = (scoring.lowest, None)
        return _hits(self.documents.at(best), scores.take(order).tolist(), score_range, keys)

    def changed(
        self,
        batches: Sequence[Batch],
        added: Mapping[str, tuple[int, int]],
        removed: Collection[str],
    ) -> Snapshot:
        """Return the state after documents are added, replaced and deleted.

        Args:
            batches: analyzed documents.
            added: the ids to add or replace, each with its batch and its row there; other documents
                of a batch are ignored.
            removed: the ids to delete.
        """
        gone = [row for one in (*added, *removed) if (row := self.row(one)) is not None]
        staying = np.ones(len(self.ids), dtype=np.bool_)
        staying[gone] = False
        rows = np.flatnonzero(staying)
        ids = [self.ids[row] for row in rows.tolist()]
        ids.extend(added)
        order = sorted(range(len(ids)), key=ids.__getitem__)
        place = np.empty(len(ids), dtype=np.int64)
        place[order] = np.arange(len(ids))

        moved = np.full(len(self.ids), -1, dtype=np.int64)
        moved[rows] = place[: rows.size]
        targets = [np.full(len(one.documents), -1, dtype=np.int64) for one in batches]
        for (batch, row), target in zip(added.values(), place[rows.size :].tolist(), strict=True):
            targets[batch][row] = target
        joined, stops = (
            join([(held, moved), *zip(new, targets, strict=True)], len(ids))
            for held, new in (
                (self.postings, [one.postings for one in batches]),
                (self.stops, [one.stops for one in batches]),
            )
        )
        joining = [batches[batch].documents[row] for batch, row in added.values()]
        return Snapshot(
            self.analyzer,
            self.formula,
            [ids[one] for one in order],
            self.documents.rearranged(rows, joining, order),
            joined,
            stops,
        )

    def _scoring_of_stops(self) -> Scoring:
        """Return the scores of stop words; two threads may both compute them, with one result."""
        if self._stop_scoring is None:
            self._stop_scoring = make_scoring(self.stops, self.formula)
        return self._stop_scoring

    def _mask(self, condition: Filter) -> NDArray[np.bool_]:
        """Return which documents a filter keeps, cached for the filters used last."""
        with self._masks_lock:
            mask = self._masks.get(condition)
            if mask is not None:
                self._masks.move_to_end(condition)
                return mask
        mask = np.fromiter(
            (condition.matches(one.metadata) for one in self.documents),
            dtype=np.bool_,
            count=len(self.documents),
        )
        with self._masks_lock:
            self._masks[condition] = mask
            if len(self._masks) > _MASKS:
                self._masks.popitem(last=False)
        return mask


def _counted(tokens: Sequence[str], numbers: Mapping[str, int]) -> dict[int, int]:
    """Return how often each known term occurs, by its number, in order of first appearance."""
    terms: dict[int, int] = {}
    for number in map(numbers.get, tokens):
        if number is not None:
            terms[number] = terms.get(number, 0) + 1
    return terms
