"""One immutable state of a BM25 index: searches read it, and a change makes a new one."""

from __future__ import annotations

import threading
from collections import deque
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff.recall._bm25.engine import make_scoring
from runoff.recall._bm25.live import LiveScores, Part
from runoff.recall._bm25.memory import give_back
from runoff.recall._bm25.segment import Segment
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.filters import Filter
    from runoff.recall._analyzers import Analyzer
    from runoff.recall._bm25.engine import Scoring
    from runoff.recall._bm25.formula import Formula
    from runoff.types import Document, Query

_NOBODY = np.empty(0, np.int32)
_LARGE = 1 << 20  # postings


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
    """A corpus: a main segment with its scores, and a live one with what was added since.

    The scores of the main segment are those of the corpus while the live segment is empty and no
    document of the main one is gone. Otherwise the scores of a query's terms are computed from the
    counts. Nothing but what is computed when it is first needed ever changes, so any number of
    threads may search a snapshot.

    Args:
        analyzer: the analyzer that made the terms; it is used for queries too.
        formula: which BM25 is computed.
        main: most of the documents.
        live: documents that were added since.
        gone: the rows of the main segment that were deleted or replaced since, ascending.
        scoring: the engine's scores of the main segment; None computes them when they are needed.
    """

    def __init__(
        self,
        analyzer: Analyzer,
        formula: Formula,
        main: Segment,
        live: Segment | None = None,
        gone: NDArray[np.int32] = _NOBODY,
        scoring: Scoring | None = None,
    ) -> None:
        self.analyzer = analyzer
        self.formula = formula
        self.main = main
        self.live = Segment.of((), analyzer) if live is None else live
        self.gone = gone
        self._scoring = scoring
        self._computed: dict[bool, LiveScores] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the documents and their counts; the scores are computed again."""
        return type(self), (self.analyzer, self.formula, self.main, self.live, self.gone)

    def __deepcopy__(self, memo: object) -> Snapshot:
        """Return itself: nothing in it changes but what it has computed."""
        return self

    def __len__(self) -> int:
        return len(self.main) - self.gone.size + len(self.live)

    @property
    def changes(self) -> int:
        """How many documents were added to or removed from the main segment."""
        return len(self.live) + self.gone.size

    @property
    def scoring(self) -> Scoring:
        with self._lock:
            if self._scoring is None:
                self._scoring = make_scoring(self.main.postings, self.formula)
                if self.main.postings.rows.size >= _LARGE:
                    give_back()
            return self._scoring

    def document(self, doc_id: str) -> Document | None:
        """Return the document with this id, or None."""
        if doc_id not in self:
            return None
        return self.live.document(doc_id) or self.main.document(doc_id)

    def __contains__(self, doc_id: str) -> bool:
        if self.live.row(doc_id) is not None:
            return True
        row = self.main.row(doc_id)
        return row is not None and not self._is_gone(row)

    def _is_gone(self, row: int) -> bool:
        place = int(self.gone.searchsorted(row))
        return place < self.gone.size and int(self.gone[place]) == row

    def search(self, query: Query, depth: int) -> list[Hit]:
        """Return the best `depth` documents that share a token with the query and pass its filters.

        A query of stop words alone finds the documents that share one of them. Equal scores are
        ordered by id.
        """
        stops = False
        tokens = _counted(self.analyzer(query.text))
        if not tokens:
            stops = True
            tokens = _counted(self.analyzer.stop_words(query.text))
        found, lowest = self._score(tokens, stops=stops) if tokens else ([], None)
        best = [
            _best(segment, *one, query.filters, depth)
            for segment, one in zip((self.main, self.live), found, strict=False)
        ]
        if len(best) == 1:
            ((rows, scores),) = best
            documents = self.main.documents.at(rows)
            keys = [*map(self.main.ids.__getitem__, rows)]
            return _hits(documents, scores, (lowest, None), keys)
        entries = [
            (-score, segment.ids[row], segment, row, score)
            for segment, one in zip((self.main, self.live), best, strict=False)
            for row, score in zip(*one, strict=True)
        ]
        entries.sort(key=itemgetter(0, 1))
        entries = entries[:depth]
        return _hits(
            [segment.documents[row] for *_, segment, row, _ in entries],
            [score for *_, score in entries],
            (lowest, None),
            [doc_id for _, doc_id, *_ in entries],
        )

    def _score(
        self, tokens: Mapping[str, int], *, stops: bool
    ) -> tuple[Sequence[tuple[NDArray[np.int64], NDArray[Any]]], float | None]:
        """Return the rows that have a token and their scores, by segment, and the lowest score."""
        if self.formula.engine == "bm25s" and (stops or self.changes):
            live = self._live(stops=stops)
            return live.score(tokens), live.lowest
        numbers = self.main.stop_numbers if stops else self.main.numbers
        terms = {numbers[one]: times for one, times in tokens.items() if one in numbers}
        if not terms:
            return [], None
        scoring = make_scoring(self.main.stops, self.formula) if stops else self.scoring
        return [scoring.score(terms)], scoring.lowest

    def _live(self, *, stops: bool) -> LiveScores:
        """Return the scores of all segments together, of terms or of stop words."""
        with self._lock:
            if stops not in self._computed:
                parts = [
                    Part(one.stops, one.stop_numbers, gone)
                    if stops
                    else Part(one.postings, one.numbers, gone)
                    for one, gone in ((self.main, self.gone), (self.live, _NOBODY))
                    if len(one)
                ]
                self._computed[stops] = LiveScores(self.formula, parts)
            return self._computed[stops]

    def changed(
        self,
        batches: Sequence[Segment],
        added: Mapping[str, tuple[int, int]],
        removed: Collection[str],
    ) -> Snapshot:
        """Return the state after documents are added, replaced and deleted.

        Args:
            batches: segments that have the added documents.
            added: the ids to add or replace, each with its batch and its row there; other documents
                of a batch are ignored.
            removed: the ids to delete.
        """
        touched = {*added, *removed}
        bulk = 2 * (self.changes + len(touched)) >= len(self.main)
        if bulk or self.formula.engine == "rank-bm25":
            held = self.merged().main
            main = held.changed(batches, added, held.rows(touched))
            return Snapshot(self.analyzer, self.formula, main)
        live = self.live.changed(batches, added, self.live.rows(touched))
        gone = np.union1d(self.gone, self.main.rows(touched))
        return Snapshot(self.analyzer, self.formula, self.main, live, gone, self._scoring)

    def merged(self) -> Snapshot:
        """Return the same corpus in one segment."""
        if not self.changes:
            return self
        added = {one: (0, row) for row, one in enumerate(self.live.ids)}
        main = self.main.changed([self.live], added, self.gone)
        return Snapshot(self.analyzer, self.formula, main)

    def rebased(self, before: Snapshot, merged: Snapshot) -> Snapshot:
        """Return this state with the merge of an earlier one as its main segment."""
        if self is before:
            return merged
        added = {
            one: (0, row)
            for row, one in enumerate(self.live.ids)
            if before.live.document(one) != self.live.documents[row]
        }
        removed = [one for one in before.live.ids if self.live.row(one) is None]
        lost = np.setdiff1d(self.gone, before.gone)
        removed += [self.main.ids[row] for row in lost.tolist()]
        return merged.changed([self.live], added, removed)


def _best(
    segment: Segment,
    rows: NDArray[np.int64],
    scores: NDArray[Any],
    filters: Filter | None,
    depth: int,
) -> tuple[list[int], list[float]]:
    """Return the `depth` best rows that pass the filters, and their scores, best first."""
    if filters is not None:
        kept = segment.mask(filters).take(rows).nonzero()[0]
        rows, scores = rows.take(kept), scores.take(kept)
    if rows.size > depth:
        lowest = rows.size - depth
        sorted_there = scores.copy()
        sorted_there.partition(lowest)
        # keep all that tie with the last one until they are ordered
        kept = (scores >= sorted_there[lowest]).nonzero()[0]
        rows, scores = rows.take(kept), scores.take(kept)
    order = (-scores).argsort(kind="stable")[:depth]
    return rows.take(order).tolist(), scores.take(order).tolist()


def _counted(tokens: Iterable[str]) -> dict[str, int]:
    """Return how often each token occurs, in order of first appearance."""
    counted: dict[str, int] = {}
    for one in tokens:
        counted[one] = counted.get(one, 0) + 1
    return counted
