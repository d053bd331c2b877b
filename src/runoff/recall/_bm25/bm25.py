"""BM25 over documents in memory or in a directory."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from runoff._util.arguments import is_one_of
from runoff._util.display import html_by
from runoff._util.messages import number_of
from runoff._waiting import exits
from runoff.errors import InvalidArgument
from runoff.recall._analyzers import make_analyzer
from runoff.recall._arguments import check_question, counted_documents
from runoff.recall._bm25.collection import add_collection
from runoff.recall._bm25.disk import load_snapshot, save_snapshot, saved_generation
from runoff.recall._bm25.formula import Formula
from runoff.recall._bm25.pending import Pending, new_rows
from runoff.recall._bm25.segment import Segment
from runoff.recall._bm25.snapshot import Snapshot
from runoff.recall._bm25.spool import Spool
from runoff.types import Document, Query

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from runoff._util.progress import Wanted
    from runoff.deadline import Deadline
    from runoff.recall._analyzers import Analyze
    from runoff.recall._arguments import Given
    from runoff.recall._bm25.formula import Engine
    from runoff.types import Hit

Texts: TypeAlias = Literal["memory", "disk"]

_logger = logging.getLogger("runoff")
_TRANSIENT = {"_lock", "_saved", "_pending", "_merger"}
_LIVE = 2048  # changed documents that are searched beside the others without being merged
# Analyzing so many takes 3 ms, or 35 ms if each becomes 18 others; Python's lock is held meanwhile.
_SPREAD = 1.06  # see score_spread
_READ = 8192


@dataclass(frozen=True, slots=True)
class _Saved:
    """Where an index was last saved or loaded, and with which options."""

    path: Path
    generation: str
    snapshot: Snapshot
    mmap: bool
    verify: bool


class BM25:
    """A source that finds the documents that share words with the query, scored by BM25.

    score(q, d) = sum over the query's tokens t of idf(t) * tf(t, d) / (tf(t, d) + k1 * (1 - b + b *
    |d| / mean |d|)) with idf(t) = ln(1 + (N - df(t) + 0.5) / (df(t) + 0.5)): Robertson et al.,
    "Okapi at TREC-3", 1994, as Lucene computes it. A hit shares at least one token with the query,
    even if its score is not positive; equal scores are ordered by id. Scores depend on the
    documents alone, not on the order or the number of steps in which they were added.

    Any number of threads may search while others add, update and delete: a search sees the index
    before a change or after it, never in between, and sees every change that was made before it
    began. What has changed is searched beside the rest, and merged with it in the background once
    it is more than 2,048 documents, or by `warmup`, `save` and `documents`.

    Args:
        documents: `Document`s, `(id, text)` pairs or plain strings; the id of a string is a hash of
            its text.
        engine: `"bm25s"` (fast), or `"rank-bm25"` (Okapi as in `rank_bm25`, slow; the extra
            `rank-bm25`).
        analyzer: a Snowball language, `"unicode"`, `"cjk"` or a callable `(str) -> list[str]`; see
            `make_analyzer`. Queries and documents use the same one.
        k1: how slowly repeats of a word saturate, 0 or more.
        b: how much a document's length counts, 0 to 1.
        method: the variant, with the engine bm25s: `"lucene"` (the default), `"robertson"`,
            `"atire"`, `"bm25l"` or `"bm25+"`.
        delta: the least score of a word that occurs, in `"bm25l"` and `"bm25+"`.
        texts: `"memory"`, or `"disk"` to keep documents in a temporary file and read those of the
            hits from it. The file lies in Python's `tempfile.gettempdir()`, has no name, and goes
            with the index; metadata must be what JSON can hold, as for `save`.
        progress: True shows a bar in a terminal or a notebook; a callable gets (documents indexed,
            all documents) instead.

    Raises:
        InvalidArgument: an argument has a value it cannot have.
        DuplicateId: two documents have the same id and different texts.
        MissingExtra: the engine is rank-bm25, and it is not installed.
    """

    def __init__(  # noqa: PLR0913 - all but the first are options, given by name
        self,
        documents: Iterable[Given] = (),
        *,
        engine: Engine = "bm25s",
        analyzer: str | Analyze = "english",
        k1: float = 1.2,
        b: float = 0.75,
        method: str | None = None,
        delta: float = 0.5,
        texts: Texts = "memory",
        progress: Wanted = False,
    ) -> None:
        if method is None:
            method = "okapi" if is_one_of(engine, {"rank-bm25"}) else "lucene"
        if not is_one_of(texts, {"memory", "disk"}):
            raise InvalidArgument("texts", texts, 'must be "memory" or "disk"')
        analyze, formula = make_analyzer(analyzer), Formula(engine, method, k1, b, delta)
        self._lock = threading.RLock()
        self._spool = Spool() if texts == "disk" else None
        self._snapshot = Snapshot(analyze, formula, Segment.of((), analyze))
        self._snapshot.scoring  # noqa: B018 - raises MissingExtra
        self._saved: _Saved | None = None
        self._merger: threading.Thread | None = None
        self._pending = Pending()
        self.add(documents, progress=progress)

    def retrieve(self, query: Query, *, depth: int, deadline: Deadline | None = None) -> list[Hit]:
        """Return the best hits, at most `depth`, best first.

        Args:
            query: the question; BM25 reads its text, with a deadline up to `query_characters`.
            depth: how many hits to return at most.
            deadline: bounds how much of the query is read; an answer takes about a millisecond.

        Raises:
            InvalidArgument: `query` is not a `Query`, or `depth` is not a whole number, 1 or more.
        """
        check_question(query, depth)
        if deadline is not None and deadline.finite and len(query.text) > _READ:
            query = replace(query, text=query.text[:_READ])
        return self._current().search(query, depth)

    @property
    def score_spread(self) -> float | None:
        """The usual deviation of a query's 100 best scores; None where it was not measured.

        Measured on 1,609 training and development queries of 32 English collections, 2026-11-29.
        """
        formula, analyzer = self._snapshot.formula, self._snapshot.analyzer
        usual = Formula("bm25s", "lucene", 1.2, 0.75, 0.5)
        return _SPREAD if formula == usual and analyzer.name == "english" else None

    @property
    def query_characters(self) -> int:
        """How many characters of a query are read with a deadline; an answer notes a longer one."""
        return _READ

    def add(self, documents: Iterable[Given], *, progress: Wanted = False) -> int:
        """Add documents, and return how many were new.

        A document whose id and text are both known is left as it is, with its old metadata; use
        `update` to change that. If an error is raised, nothing is added.

        Raises:
            InvalidArgument: `documents` is not an iterable of documents, strings or pairs.
            DuplicateId: an id is known with another text, or given twice with different texts.
        """
        read = counted_documents(documents, progress)
        batch = Segment.of(read, self._snapshot.analyzer, self._spool)
        with self._lock:
            if not self._pending and not len(self._snapshot):
                self._put(Snapshot(self._snapshot.analyzer, self._snapshot.formula, batch))
                return len(batch)
            new = [*new_rows(batch, self.get)]
            self._pending.put(batch, new)
        return len(new)

    def update(self, documents: Iterable[Given]) -> int:
        """Add documents, replacing those whose ids are known; return how many were replaced.

        If an error is raised, nothing is changed.

        Raises:
            InvalidArgument: `documents` is not an iterable of documents, strings or pairs.
            DuplicateId: an id is given twice with different texts.
        """
        batch = Segment.of(documents, self._snapshot.analyzer, self._spool)
        with self._lock:
            replaced = sum(one in self for one in batch.ids)
            self._pending.put(batch, range(len(batch)))
        return replaced

    def delete(self, ids: Iterable[str]) -> int:
        """Delete documents by id, and return how many were deleted; unknown ids are ignored.

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
            self._pending.remove(known)
        return len(known)

    def get(self, doc_id: str) -> Document | None:
        """Return the document with this id, or None.

        Raises:
            InvalidArgument: the id is not a string.
        """
        if not isinstance(doc_id, str):
            raise InvalidArgument("doc_id", doc_id, "must be a string")
        with self._lock:
            return self._pending.document(doc_id, self._snapshot)

    def documents(self) -> Sequence[Document]:
        """Return all documents in the order of their ids, without later changes."""
        return self._merged().main.documents

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle or a copy holds: the documents and their counts, and no lock."""
        state = {name: one for name, one in vars(self).items() if name not in _TRANSIENT}
        return {**state, "_snapshot": self._current()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickled index; where it was saved is not known any more."""
        vars(self).update(state)
        self._lock = threading.RLock()
        self._saved = None
        self._merger = None
        self._pending = Pending()

    def __contains__(self, doc_id: object) -> bool:
        if not isinstance(doc_id, str):
            return False
        with self._lock:
            return self._pending.has(doc_id, self._snapshot)

    def __len__(self) -> int:
        return len(self._current())

    _repr_html_ = html_by("repr_html", "_notebook")

    def __repr__(self) -> str:
        snapshot = self._current()
        formula = snapshot.formula
        delta = f", delta={formula.delta:g}" if formula.method in {"bm25l", "bm25+"} else ""
        disk = "" if self._spool is None else ", texts='disk'"
        return (
            f"BM25({number_of(len(snapshot), 'document')}, engine={formula.engine!r}, "
            f"analyzer={snapshot.analyzer.name!r}, k1={formula.k1:g}, b={formula.b:g}, "
            f"method={formula.method!r}{delta}{disk})"
        )

    def warmup(self) -> None:
        """Merge changes, compute the scores and search once, so that the next search is fast."""
        snapshot = self._merged()
        snapshot.scoring  # noqa: B018 - computes it
        snapshot.search(Query("warm up"), 1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the index to a directory, which is created if it does not exist.

        The directory always contains either the old index or the new one, even if the process is
        killed or the disk is full. If several processes save, the last one wins. Searches can run
        meanwhile. In metadata, tuples become lists, NumPy numbers become Python numbers, and
        datetimes keep their offset and lose the name of their time zone.

        Raises:
            InvalidArgument: the path is a file or has other content, or metadata cannot be written
                as JSON: the message names the document and the key.
            OSError: something cannot be written; the previous save is unchanged.
        """
        snapshot = self._merged()
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
            mmap: leave arrays and documents on the disk, to be read when needed and shared between
                processes; False reads everything into memory, which makes hits a little faster. If
                another program truncates a mapped file, the operating system ends this process
                (SIGBUS): use False where other programs may write to the directory. `save` never
                changes a file that is in use.
            verify: compare the checksum of every file and check that the columns fit together,
                which reads all of them once (about a second for a gigabyte); False compares only
                their sizes and trusts what they contain.
            analyzer: the callable the index was made with, if it was one: code is not saved.

        Raises:
            IndexNotFound: there is no index.
            IndexDamaged: it is foreign, incomplete or altered.
            IndexTooNew: a newer version of runoff wrote it.
            InvalidArgument: the analyzer is missing, or gives other tokens than when it was saved.
        """
        snapshot, generation = load_snapshot(path, mmap=mmap, verify=verify, analyzer=analyzer)
        index = cls()
        index._snapshot = snapshot
        index._saved = _Saved(Path(path), generation, snapshot, mmap=mmap, verify=verify)
        return index

    def refresh(self) -> bool:
        """Load a newer save of this index, by any process; return whether there was one.

        Raises:
            InvalidArgument: this index was neither saved nor loaded, or has unsaved changes; or the
                newer save has another analyzer.
            IndexNotFound, IndexDamaged, IndexTooNew: as for `load`; the index is unchanged.
        """
        saved = self._saved
        if saved is None:
            raise InvalidArgument(
                "path", None, "this index has no directory yet: save() or load() it first"
            )
        if saved_generation(saved.path) == saved.generation:
            return False
        snapshot, generation = load_snapshot(
            saved.path, mmap=saved.mmap, verify=saved.verify, analyzer=self._snapshot.analyzer
        )
        if self._spool is not None:
            snapshot.main.documents = snapshot.main.documents.spooled(self._spool)
        with self._lock:
            if self._pending or self._snapshot is not saved.snapshot:
                raise InvalidArgument(
                    "path", str(saved.path), "this index has unsaved changes: save() it first"
                )
            self._put(snapshot)
            self._saved = replace(saved, generation=generation, snapshot=snapshot)
        return True

    @classmethod
    def from_chroma(cls, collection: Any, *, batch: int = 1000, **options: Any) -> BM25:  # noqa: ANN401 - chromadb need not be installed
        """Make an index of the documents of a Chroma collection, with their ids and metadata.

        Records without a document have no words to be found by: they are left out, and a warning
        says how many.

        Args:
            collection: a `chromadb` collection; it is only read.
            batch: how many records are fetched at a time.
            options: arguments of `BM25` other than documents.

        Raises:
            InvalidArgument: `batch` is not a whole number, 1 or more, or as for `BM25`.
        """
        index = cls(**options)
        add_collection(index, collection, batch)
        return index

    def _current(self) -> Snapshot:
        """Return the snapshot with every change made so far."""
        if not self._pending:
            return self._snapshot
        with self._lock:
            if self._pending:
                self._put(self._pending.applied(self._snapshot))
                self._pending = Pending()  # last: a search that finds it empty takes no lock
            return self._snapshot

    def _merged(self) -> Snapshot:
        """Return a snapshot of one segment with every change made so far, and search it from now.

        Searches and changes go on meanwhile; later changes are added to the merged snapshot.
        """
        while True:
            before = self._current()
            if not before.changes:
                return before
            merged = before.merged()
            merged.scoring  # noqa: B018 - computed here, and not by the next search
            with self._lock:
                if self._snapshot.main is before.main:  # else it was merged by another thread
                    self._put(self._snapshot.rebased(before, merged))
                    return merged

    def _put(self, snapshot: Snapshot) -> None:
        """Search this snapshot from now on; merge it in the background if much has changed."""
        self._snapshot = snapshot
        busy = self._merger is not None and self._merger.is_alive()
        if snapshot.changes > _LIVE and not busy:
            merger = threading.Thread(target=self._merge, name="runoff-bm25", daemon=True)
            try:
                merger.start()
            except RuntimeError as error:
                _logger.warning(
                    "%d changes of a BM25 index were not merged into its main part: %s",
                    snapshot.changes,
                    error,
                )
            else:
                self._merger = merger

    def _merge(self) -> None:
        with exits.Native():
            self._merged()
