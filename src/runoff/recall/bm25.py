"""BM25 over documents in memory or in a directory: the source named `"bm25"`."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from runoff.errors import DuplicateId, InvalidArgument
from runoff.recall.analyzers import make_analyzer
from runoff.recall.arguments import check_question
from runoff.recall.bm25_engine import Formula
from runoff.recall.bm25_snapshot import Batch, Snapshot
from runoff.types import Document, Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.deadline import Deadline
    from runoff.recall.analyzers import Analyze
    from runoff.recall.bm25_engine import Engine
    from runoff.types import Hit

__all__ = ["BM25"]

Given: TypeAlias = "Document | str | tuple[str, str]"


class BM25:
    """Find the documents that share words with the query, weighted by BM25.

    score(q, d) = sum over the query's tokens t of idf(t) * tf(t, d) / (tf(t, d) + k1 * (1 - b + b *
    |d| / mean |d|)) with idf(t) = ln(1 + (N - df(t) + 0.5) / (df(t) + 0.5)): Robertson et al.,
    "Okapi at TREC-3", 1994, as Lucene computes it. A hit shares at least one token with the query,
    whatever its score; equal scores are ordered by id. Scores depend on the documents alone, not on
    the order or the number of steps in which they came.

    Any number of threads may search while others add, update and delete: a search sees the index
    before a change or after it, never between, and never misses a change that was made before it
    began. Changes gather until the next search, which computes the scores anew.

    Args:
        documents: `Document`s, `(id, text)` pairs or plain strings; a string gets an id made of its
            text.
        engine: `"bm25s"` (fast), or `"rank-bm25"` (Okapi as in `rank_bm25`, slow; the extra
            `rank-bm25`).
        analyzer: a Snowball language, `"unicode"`, `"cjk"` or a callable `(str) -> list[str]`; see
            `runoff.recall.analyzers`. Queries and documents go through the same one.
        k1: how slowly repeats of a word saturate, 0 or more.
        b: how much a document's length counts, 0 to 1.
        method: the variant, with the engine bm25s: `"lucene"` (the default), `"robertson"`,
            `"atire"`, `"bm25l"` or `"bm25+"`.
        delta: what a present word earns at least, in `"bm25l"` and `"bm25+"`.

    Raises:
        InvalidArgument: an argument has a value it cannot have.
        DuplicateId: one id has two different texts.
        MissingExtra: the engine is rank-bm25, and it is not installed.
    """

    def __init__(
        self,
        documents: Iterable[Given] = (),
        *,
        engine: Engine = "bm25s",
        analyzer: str | Analyze = "english",
        k1: float = 1.2,
        b: float = 0.75,
        method: str | None = None,
        delta: float = 0.5,
    ) -> None:
        if method is None:
            method = "okapi" if engine == "rank-bm25" else "lucene"
        formula = Formula(engine, method, k1, b, delta)
        self._start(Snapshot.empty(make_analyzer(analyzer), formula))
        self.add(documents)

    def _start(self, snapshot: Snapshot) -> None:
        self._lock = threading.RLock()
        self._snapshot = snapshot
        self._batches: list[Batch] = []
        self._added: dict[str, tuple[int, int]] = {}  # where in _batches each new document is
        self._removed: set[str] = set()
        self._pending = False

    def retrieve(self, query: Query, *, depth: int, deadline: Deadline | None = None) -> list[Hit]:
        """Return the best hits, at most `depth`, best first.

        Args:
            query: what is asked; its text is what BM25 reads.
            depth: how many hits at most; above the number of documents it changes nothing.
            deadline: ignored: an answer takes about a millisecond.

        Raises:
            InvalidArgument: `query` is not a `Query`, or `depth` not a whole number, 1 or more.
        """
        del deadline
        check_question(query, depth)
        return self._current().search(query, depth)

    def add(self, documents: Iterable[Given]) -> int:
        """Add documents, and return how many were new.

        A document whose id and text are both known already is kept as it was, its metadata too: to
        change that, `update` it. When anything is wrong, nothing is added.

        Raises:
            InvalidArgument: `documents` is not an iterable of documents, or one is none.
            DuplicateId: an id is known with another text, or given twice with two texts.
        """
        given = _unique(documents)
        with self._lock:
            self._new(given)
        batch = Batch.of(given, self._snapshot.analyzer)
        with self._lock:
            new = self._new(given)  # once more: others may have added while this was analyzed
            for row in new:
                self._added[given[row].doc_id] = (len(self._batches), row)
            if new:
                self._batches.append(batch)
                self._pending = True
        return len(new)

    def update(self, documents: Iterable[Given]) -> int:
        """Add documents, replacing those whose ids are known; return how many were replaced.

        When anything is wrong, nothing is changed.

        Raises:
            InvalidArgument: `documents` is not an iterable of documents, or one is none.
            DuplicateId: an id is given twice with two texts.
        """
        given = _unique(documents)
        batch = Batch.of(given, self._snapshot.analyzer)
        with self._lock:
            replaced = sum(one.doc_id in self for one in given)
            for row, document in enumerate(given):
                self._added[document.doc_id] = (len(self._batches), row)
            if given:
                self._batches.append(batch)
                self._pending = True
        return replaced

    def delete(self, ids: Iterable[str]) -> int:
        """Delete documents by id, and return how many there were; unknown ids are passed over.

        Raises:
            InvalidArgument: `ids` is a string, or an id is not one.
        """
        if isinstance(ids, str) or not isinstance(ids, Iterable):
            raise InvalidArgument("ids", ids, "must be a list of ids")
        listed = list(ids)
        for one in listed:
            if not isinstance(one, str):
                raise InvalidArgument("ids", one, "must be strings")
        with self._lock:
            known = {one for one in listed if one in self}
            for one in known:
                self._added.pop(one, None)
            self._removed |= known
            self._pending = self._pending or bool(known)
        return len(known)

    def get(self, doc_id: str) -> Document | None:
        """Return the document with this id, or None."""
        with self._lock:
            if (where := self._added.get(doc_id)) is not None:
                batch, row = where
                return self._batches[batch].documents[row]
            if doc_id in self._removed or not isinstance(doc_id, str):
                return None
            row_or_none = self._snapshot.row(doc_id)
            return None if row_or_none is None else self._snapshot.documents[row_or_none]

    def documents(self) -> Sequence[Document]:
        """Return all documents in the order of their ids; later changes do not show in it."""
        return self._current().documents

    def __contains__(self, doc_id: object) -> bool:
        """Whether a document has this id."""
        if not isinstance(doc_id, str):
            return False
        with self._lock:
            return doc_id in self._added or (
                doc_id not in self._removed and self._snapshot.row(doc_id) is not None
            )

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self._current().ids)

    def __repr__(self) -> str:
        """Show the configuration and the number of documents."""
        snapshot = self._current()
        formula = snapshot.formula
        delta = f", delta={formula.delta:g}" if formula.method in {"bm25l", "bm25+"} else ""
        return (
            f"BM25({len(snapshot.ids)} documents, engine={formula.engine!r}, "
            f"analyzer={snapshot.analyzer.name!r}, k1={formula.k1:g}, b={formula.b:g}, "
            f"method={formula.method!r}{delta})"
        )

    def warmup(self) -> None:
        """Bring the scores up to date and search once, so that the first search is fast."""
        snapshot = self._current()
        snapshot.search(Query("warm up"), 1)

    def _current(self) -> Snapshot:
        """Return the state with every change made so far."""
        if not self._pending:
            return self._snapshot
        with self._lock:
            if self._pending:
                changed = self._snapshot.changed(self._batches, self._added, self._removed)
                self._snapshot = changed
                self._forget_changes()
            return self._snapshot

    def _forget_changes(self) -> None:
        self._batches, self._added, self._removed = [], {}, set()
        self._pending = False

    def _new(self, given: Sequence[Document]) -> list[int]:
        """Return the rows of the documents that are not in the index.

        Raises:
            DuplicateId: an id is known with another text.
        """
        new = []
        for row, document in enumerate(given):
            known = self.get(document.doc_id)
            if known is None:
                new.append(row)
            elif known.text != document.text:
                remedy = "is in the index with another text: use update() to replace it"
                raise DuplicateId("doc_id", document.doc_id, remedy)
        return new


def _unique(documents: Iterable[Given]) -> list[Document]:
    """Return documents with each id once.

    Raises:
        InvalidArgument: `documents` is not an iterable of documents, or one is none.
        DuplicateId: an id is given twice with two texts.
    """
    if isinstance(documents, str | bytes | Mapping) or not isinstance(documents, Iterable):
        raise InvalidArgument(
            "documents", documents, "must be a list of documents, strings or (id, text) pairs"
        )
    unique: dict[str, Document] = {}
    for given in documents:
        document = _document(given)
        known = unique.setdefault(document.doc_id, document)
        if known.text != document.text:
            raise DuplicateId("doc_id", document.doc_id, "was given twice with different texts")
    return list(unique.values())


def _document(given: Any) -> Document:  # noqa: ANN401 - whatever the user passed
    if isinstance(given, Document):
        return given
    if isinstance(given, str):
        return Document.without_id(given)
    if isinstance(given, tuple) and len(given) == 2:  # noqa: PLR2004 - a pair
        return Document(*given)
    raise InvalidArgument("documents", given, "must be a Document, a string or an (id, text) pair")
