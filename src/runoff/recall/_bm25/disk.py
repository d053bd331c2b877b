"""Writes a snapshot of a BM25 index to files and reads it back; nothing is pickled.

```
ids.json terms.json              in their order
texts.bin                        the documents' texts, UTF-8, one after the other
extras.bin                       their other fields, as JSON; empty where all are defaults
offsets.bin                      where each text (row 0) and extra (row 1) begins, and the ends
starts.bin rows.bin counts.bin lengths.bin        the counts
scores.bin base.bin              the scores, with the engine bm25s
stop_terms.json stop_starts.bin stop_rows.bin stop_counts.bin stop_lengths.bin
                                 the counts of stop words; absent in indexes of version 0.1
```
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from runoff._util.generations import Kind, current_generation, damaged, publish, read
from runoff._util.stored import is_text
from runoff.errors import InvalidArgument
from runoff.recall._analyzers import make_analyzer
from runoff.recall._bm25.check import (
    check_offsets,
    check_postings,
    check_scores,
    check_words,
    require,
)
from runoff.recall._bm25.documents import Documents
from runoff.recall._bm25.engine import EagerScores
from runoff.recall._bm25.formula import Formula
from runoff.recall._bm25.postings import Postings
from runoff.recall._bm25.segment import Segment
from runoff.recall._bm25.snapshot import Snapshot
from runoff.recall._bm25.stored import extra_bytes, read_document, text_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from runoff._util.generations import StoredGeneration
    from runoff.recall._analyzers import Analyze, Analyzer
    from runoff.types import Document

_KIND = Kind("bm25", 1)
_REMEMBERED = 4096

# Different analyzers give different tokens for this text.
_PROBE = (
    "The quick foxes' running, jumped over read_csv twice. Die größten Häuser; les élèves "
    "étudiaient; las niñas corrían. 東京都の猫がいる。 ภาษาไทย 한국어는 "
    "الكتاب في المدرسة हिन्दी Straße"
)


class _StoredDocuments(Sequence["Document"]):
    """Documents read from files on access; the last few thousand are cached."""

    def __init__(self, ids: Sequence[str], stored: StoredGeneration) -> None:
        self._ids = ids
        self._texts, self._extras = stored.content("texts.bin"), stored.content("extras.bin")
        self._offsets = stored.array("offsets.bin", np.int64, dimensions=2)
        check_offsets(self._offsets, len(ids), [self._texts.size, self._extras.size])
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._read)

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> list[Document]: ...
    def __getitem__(self, index: int | slice) -> Document | list[Document]:
        if isinstance(index, slice):
            return [self._read(row) for row in range(*index.indices(len(self)))]
        return self._remembered(index)

    def _read(self, row: int) -> Document:
        (text, extra), (text_end, extra_end) = self._offsets[:, row : row + 2].T.tolist()
        content = self._texts[text:text_end].tobytes(), self._extras[extra:extra_end].tobytes()
        return read_document(self._ids[row], *content)


def save_snapshot(path: str | os.PathLike[str], snapshot: Snapshot) -> str:
    """Save a merged snapshot and return the name of its generation.

    Raises:
        InvalidArgument: a document's metadata cannot be written as JSON, or the directory has
            other content.
        OSError: something cannot be written.
    """
    main, scoring = snapshot.main, snapshot.scoring
    with publish(path, _KIND) as new:
        sizes: list[list[int]] = []
        for name, encoded in (("texts.bin", text_bytes), ("extras.bin", extra_bytes)):
            sizes.append([0])
            new.write(name, _counted(map(encoded, main.documents), sizes[-1]))
        new.write_array("offsets.bin", np.cumsum(sizes, axis=1, dtype=np.int64))
        new.write_json("ids.json", [*main.ids])
        for prefix, counted in (("", main.postings), ("stop_", main.stops)):
            new.write_json(f"{prefix}terms.json", [*counted.terms])
            for name in ("starts", "rows", "counts", "lengths"):
                kind = np.int64 if name == "starts" else np.int32
                column = getattr(counted, name).astype(kind, copy=False)
                new.write_array(f"{prefix}{name}.bin", column)
        new.facts |= {
            "documents": len(main),
            "analyzer": snapshot.analyzer.name,
            "analyzer_by_name": snapshot.analyzer.by_name,
            "analyzer_probe": _probe(snapshot.analyzer),
            "formula": asdict(snapshot.formula),
        }
        if isinstance(scoring, EagerScores):
            new.write_array("scores.bin", scoring.scores)
            new.write_array("base.bin", scoring.base)
            new.facts["positive"] = scoring.positive
    return new.folder.name


def load_snapshot(
    path: str | os.PathLike[str], *, mmap: bool, verify: bool, analyzer: str | Analyze | None
) -> tuple[Snapshot, str]:
    """Return the saved snapshot, and the name of its generation.

    Raises:
        IndexNotFound: there is no index.
        IndexDamaged: it is foreign, incomplete or altered.
        IndexTooNew: a newer version of runoff wrote it.
        InvalidArgument: the analyzer is missing, or is not the one the index was made with.
    """

    def use(stored: StoredGeneration) -> tuple[Snapshot, str]:
        return _snapshot(stored, _same_analyzer(stored.facts, analyzer, stored.folder)), stored.name

    return read(path, _KIND, use, verify=verify, mmap=mmap)


def saved_generation(path: str | os.PathLike[str]) -> str:
    """Return the name of the generation saved last.

    Raises:
        IndexNotFound, IndexDamaged, IndexTooNew: as for `load_snapshot`.
    """
    return current_generation(path, _KIND)


def _snapshot(stored: StoredGeneration, analyzer: Analyzer) -> Snapshot:
    facts, values = stored.facts, stored.verify
    try:
        formula = _formula(facts.get("formula"))
        ids = stored.json("ids.json")
        postings = _postings(stored, "", ids)
        if "stop_terms.json" in stored.files:
            stops = _postings(stored, "stop_", ids)
        else:
            stops = Postings(
                (),
                np.zeros(1, np.int64),
                *(np.empty(0, np.int32),) * 2,
                np.zeros(len(ids), np.int32),
            )
        kept = _StoredDocuments(ids, stored)
        scoring = None
        if formula.engine == "bm25s":
            scores, base = (stored.array(f"{name}.bin", np.float32) for name in ("scores", "base"))
            positive = facts.get("positive")
            require(
                isinstance(positive, bool), "the index does not say whether its scores are positive"
            )
            scoring = EagerScores(postings, scores, base, positive=positive is True)
            check_scores(scoring, formula, values=values)
    except ValueError as error:
        raise damaged(
            stored.folder, f"contains files that do not belong together: {error}"
        ) from error
    documents = Documents(range(len(kept)), kept) if stored.mmap else Documents(kept[:])
    main = Segment(ids, documents, postings, stops)
    return Snapshot(analyzer, formula, main, scoring=scoring)


def _postings(stored: StoredGeneration, prefix: str, ids: object) -> Postings:
    """Return the counts in the files with this prefix.

    Raises:
        ValueError: they do not belong to these ids, or to each other.
    """
    terms = stored.json(f"{prefix}terms.json")
    check_words(ids, terms)
    starts = stored.array(f"{prefix}starts.bin", np.int64)
    rows, counts, lengths = (
        stored.array(f"{prefix}{name}.bin", np.int32) for name in ("rows", "counts", "lengths")
    )
    postings = Postings(terms, starts, rows, counts, lengths)
    same = isinstance(ids, list) and len(ids) == lengths.size == stored.facts.get("documents")
    require(same, "they have different numbers of documents")
    check_postings(postings, values=stored.verify)
    return postings


def _formula(stored: object) -> Formula:
    """Return the formula that the pointer states.

    Raises:
        ValueError: it states none.
    """
    names = {one.name for one in fields(Formula)}
    if (
        not isinstance(stored, dict)
        or stored.keys() != names
        or not is_text(stored["engine"], stored["method"])
    ):
        raise ValueError("the formula is missing or incomplete")
    return Formula(**stored)


def _same_analyzer(facts: Mapping[str, Any], given: str | Analyze | None, folder: Path) -> Analyzer:
    """Return the analyzer the index was made with."""
    name, by_name = facts.get("analyzer"), facts.get("analyzer_by_name")
    probe = facts.get("analyzer_probe")
    if not isinstance(name, str) or not isinstance(probe, str) or not isinstance(by_name, bool):
        raise damaged(folder, "does not name its analyzer")
    if given is None and not by_name:
        remedy = f"the index was made with the callable {name}: pass it as load(path, analyzer=...)"
        raise InvalidArgument("analyzer", None, remedy)
    analyzer = make_analyzer(name if given is None else given)
    if by_name and analyzer.name != name:
        remedy = f"the index was made with {name!r}: leave the argument out"
        raise InvalidArgument("analyzer", analyzer.name, remedy)
    if _probe(analyzer) != probe:
        remedy = (
            "returns different tokens than when the index was saved (a different function or "
            "version of PyStemmer): build and save the index again"
        )
        raise InvalidArgument("analyzer", analyzer.name, remedy)
    return analyzer


def _probe(analyzer: Analyzer) -> str:
    """Return a checksum of the tokens of a fixed text."""
    return hashlib.sha256(json.dumps(analyzer(_PROBE)).encode("ascii")).hexdigest()


def _counted(chunks: Iterable[bytes], sizes: list[int]) -> Iterator[bytes]:
    """Yield the chunks, and record the size of each."""
    for chunk in chunks:
        sizes.append(len(chunk))
        yield chunk
