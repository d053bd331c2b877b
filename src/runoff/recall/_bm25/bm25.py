"""BM25 over documents in memory or in a directory: the source named `"bm25"`."""

from __future__ import annotations

import threading
import warnings
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runoff.errors import DuplicateId, InvalidArgument
from runoff.recall._analyzers import make_analyzer
from runoff.recall._arguments import check_question
from runoff.recall._bm25.disk import load_snapshot, save_snapshot, saved_generation
from runoff.recall._bm25.documents import unique_documents
from runoff.recall._bm25.engine import Formula
from runoff.recall._bm25.snapshot import Batch, Snapshot
from runoff.types import Document, Query

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from runoff.deadline import Deadline
    from runoff.recall._analyzers import Analyze
    from runoff.recall._arguments import Given
    from runoff.recall._bm25.engine import Engine
    from runoff.types import Hit

__all__ = ["BM25"]


@dataclass(frozen=True, slots=True)
class _Saved:
    """Where an index was last saved or loaded, and as what."""

    path: Path
    generation: str
    snapshot: Snapshot
    mmap: bool
    verify: bool


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
            `runoff.recall._analyzers`. Queries and documents go through the same one.
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
        self._lock = threading.RLock()
        self._snapshot = Snapshot.empty(make_analyzer(analyzer), formula)
        self._saved: _Saved | None = None
        self._forget_changes()
        self.add(documents)

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
        given = unique_documents(documents)
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
        given = unique_documents(documents)
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
            if doc_id in self._added:
                batch, row = self._added[doc_id]
                return self._batches[batch].documents[row]
            if doc_id not in self:
                return None
            return self._snapshot.documents[bisect_left(self._snapshot.ids, doc_id)]

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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the index to a directory, which is made where there is none.

        The directory holds the old index or the new one at every moment, even when the process is
        killed or the disk is full. Of several processes that save, the last one counts. Searches go
        on meanwhile. In metadata tuples become lists, and
        NumPy's numbers Python's.

        Raises:
            InvalidArgument: the path is a file or holds other things, or metadata cannot be told in
                JSON: the message names the document and the key.
            OSError: something cannot be written; what was saved before still counts.
        """
        snapshot = self._current()
        generation = save_snapshot(path, snapshot)
        with self._lock:
            self._saved = _Saved(Path(path), generation, snapshot, mmap=False, verify=True)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        mmap: bool = True,
        verify: bool = True,
        analyzer: str | Analyze | None = None,
    ) -> BM25:
        """Open an index that was saved, with its configuration.

        Args:
            path: the directory.
            mmap: leave arrays and documents on the disk, read when needed and shared between
                processes. A program that reads a mapped file which another program cuts short is
                ended by the operating system (SIGBUS), and no error can be raised: where other
                programs may write to the directory, use False, which reads everything into memory
                and makes hits a little faster. `save` never changes a file that is in use.
            verify: compare the checksum of every file and check that the columns fit together,
                which reads all of them once (about a second for a gigabyte); False compares their
                sizes only, and trusts what they contain.
            analyzer: the callable the index was made with, where it was one: code is not saved.

        Raises:
            IndexNotFound: there is no index.
            IndexDamaged: it is foreign, incomplete or altered.
            IndexTooNew: a newer version of runoff wrote it.
            InvalidArgument: the analyzer is missing, or makes other tokens than it did.
        """
        snapshot, generation = load_snapshot(path, mmap=mmap, verify=verify, analyzer=analyzer)
        index = cls()
        index._snapshot = snapshot
        index._saved = _Saved(Path(path), generation, snapshot, mmap=mmap, verify=verify)
        return index

    def refresh(self) -> bool:
        """Take over what was saved since, by this process or another; return whether there was.

        Raises:
            InvalidArgument: this index was neither saved nor loaded, or has changes of its own that
                were not saved; or what was saved has another analyzer.
            IndexNotFound: as for `load`, like the others; the index stays as it was.
            IndexDamaged: see `load`.
            IndexTooNew: see `load`.
        """
        saved = self._saved
        if saved is None:
            raise InvalidArgument("path", None, "this index was neither saved nor loaded")
        if saved_generation(saved.path) == saved.generation:
            return False
        snapshot, generation = load_snapshot(
            saved.path, mmap=saved.mmap, verify=saved.verify, analyzer=self._snapshot.analyzer
        )
        with self._lock:
            if self._pending or self._snapshot is not saved.snapshot:
                raise InvalidArgument(
                    "path", str(saved.path), "this index has changes that were not saved: save it"
                )
            self._snapshot = snapshot
            self._saved = replace(saved, generation=generation, snapshot=snapshot)
        return True

    @classmethod
    def from_chroma(cls, collection: Any, *, batch: int = 1000, **options: Any) -> BM25:  # noqa: ANN401 - chromadb need not be installed
        """Make an index of the documents of a Chroma collection, with their ids and metadata.

        Records without a document cannot be found by their words: they are left out, and a warning
        counts them.

        Args:
            collection: a `chromadb` collection; it is only read.
            batch: how many records are fetched at a time.
            options: what `BM25` takes besides documents.

        Raises:
            InvalidArgument: `batch` is not a whole number, 1 or more, or as for `BM25`.
        """
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise InvalidArgument("batch", batch, "must be a whole number, 1 or more")
        index, read, without = cls(**options), 0, 0
        while True:
            found = collection.get(limit=batch, offset=read, include=["documents", "metadatas"])
            records = [*zip(found["ids"], found["documents"], found["metadatas"], strict=True)]
            if not records:
                break
            read += len(records)
            index.add(
                Document(one, text, data or {}) for one, text, data in records if text is not None
            )
            without += sum(text is None for _, text, _ in records)
        if without:
            warnings.warn(
                f"{without} of {read} records of the Chroma collection {collection.name!r} have no "
                "document: BM25 cannot find them",
                stacklevel=2,
            )
        return index

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
        self._batches: list[Batch] = []
        self._added: dict[str, tuple[int, int]] = {}  # the batch and the row of a new document
        self._removed: set[str] = set()
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
