"""The demo's index on disk: BM25, embeddings and token vectors of the same documents.

It is built once, and again when its documents, Python or the models change. BM25 takes a second and
comes first, so that a question can be answered while there are no vectors. A marker file says what
is finished, so that the rest of an interrupted index is built the next time.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff import __version__
from runoff._util.stored import parse_json
from runoff.errors import (
    IndexDamaged,
    IndexNotFound,
    IndexTooNew,
    InvalidArgument,
    MissingExtra,
    RunoffError,
)
from runoff.recall._bm25.bm25 import BM25
from runoff.recall._dense.dense import Dense
from runoff.recall._dense.embedder import Embedder
from runoff.rerank import LateInteraction, TokenStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from runoff._util.progress import Shown
    from runoff.types import Document


_LAYOUT = "2"  # of the files; 1 had a Chroma database
_MARKER = "index.json"
_VECTORS = "vectors.npy"
_TOKENS = "tokens"
_PAGES = ("report.html", "explorer.html")
_OURS = {"bm25", _VECTORS, _TOKENS, _MARKER, "recording", *_PAGES, "chroma", "evaluation.json"}
_BATCH = 500
_UNFINISHED = (".recording.", *(f".{page}." for page in _PAGES))
MODEL = "all-MiniLM-L6-v2"
"""The model of both stages, which reads a document once for both.

It is the first stage's default. `runoff-late`, the second stage's, could be both, too, but its own
embeddings are worse here, and the second stage would be compared with a weaker first stage than
users have.
"""


@dataclass(frozen=True, slots=True)
class Words:
    """An index that may lack vectors still.

    Attributes:
        path: its folder.
        key: its `fingerprint`.
        bm25: the lexical source.
        late: the second stage, which keeps its token vectors in the folder.
        built_s: seconds it took to build; 0.0 if it existed already.
    """

    path: Path
    key: str
    bm25: BM25
    late: LateInteraction
    built_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DemoIndex:
    """An open index.

    Attributes:
        path: its folder.
        bm25: the lexical source.
        dense: the embedding source.
        late: the second stage, whose store has the token vectors of every document.
        vectors: the embeddings of `bm25.documents()`, float32, shape (n, d).
        built_s: seconds it took to build; 0.0 if it existed already.
    """

    path: Path
    bm25: BM25
    dense: Dense
    late: LateInteraction
    vectors: NDArray[np.float32]
    built_s: float = 0.0


def cache_root() -> Path:
    """Return the folder of the demo's indexes, in the user's cache folder.

    Raises:
        MissingExtra: platformdirs is not installed.
    """
    try:
        import platformdirs  # noqa: PLC0415 - only the demo needs it
    except ImportError:
        raise MissingExtra("platformdirs", "demo") from None
    return platformdirs.user_cache_path("runoff") / "demo"


def fingerprint(*parts: str) -> str:
    """Return a key of an index's contents, this version of runoff and the embedded models."""
    try:
        import runoff_models  # noqa: PLC0415 - only the embedded models need it
    except ImportError:
        raise MissingExtra("runoff-models", "demo") from None
    digest = hashlib.sha256()
    for part in (_LAYOUT, *parts, __version__, runoff_models.__version__):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    for name in runoff_models.names():
        digest.update(name.encode() + (runoff_models.path(name) / "checksums.json").read_bytes())
    return digest.hexdigest()


def open_words(
    path: Path, key: str, documents: Callable[[], Sequence[Document]], progress: Shown
) -> Words:
    """Open what an index has besides embeddings, building it first where needed.

    Args:
        path: its folder; an old index there is deleted, but a folder with other files is refused.
        key: its `fingerprint`.
        documents: returns the documents; called only when the index is built.
        progress: called with the name of a step, how much of it is done, and how much there is.

    Raises:
        InvalidArgument: the folder has files that are not of an index.
        RunoffError: there are no documents, or the folder cannot be written.
    """
    started = time.perf_counter()
    if _marker(path).get("key") == key:
        try:
            return _opened(path, key)
        except (IndexDamaged, IndexNotFound, IndexTooNew):
            pass
    progress("reading", 0, 1)
    found = documents()
    progress("reading", 1, 1)
    if not found:
        raise RunoffError("the documents have no text to index")
    with _writing(path):
        _emptied(path)
        _mark(path, key="")  # from now on it is known as the demo's, and may be emptied again
        progress("BM25", 0, 1)
        BM25(found).save(path / "bm25")
        _mark(path, key=key)
        progress("BM25", 1, 1)
    return replace(_opened(path, key), built_s=time.perf_counter() - started)


def _opened(path: Path, key: str) -> Words:
    bm25 = BM25.load(path / "bm25")
    store = TokenStore(path / _TOKENS)
    store.refresh()  # opens its files, so that damage shows here
    return Words(path, key, bm25, LateInteraction(MODEL, store=store))


def open_index(words: Words, progress: Shown) -> DemoIndex:
    """Add the embeddings; where they are missing or damaged, one pass makes all vectors.

    Raises:
        RunoffError: the folder cannot be written.
    """
    started = time.perf_counter()
    documents = words.bm25.documents()
    embedder = Embedder(MODEL, late=words.late)
    vectors, built_s = _read(words, len(documents)), words.built_s
    if vectors is None:
        vectors = _embedded(embedder, [document.text for document in documents], progress)
        with _writing(words.path):
            TokenStore(words.path / _TOKENS).flush()  # the store of `late`, as their paths are one
            written = io.BytesIO()
            np.save(written, vectors, allow_pickle=False)
            (words.path / _VECTORS).write_bytes(written.getvalue())
            _mark(words.path, key=words.key, vectors=_digest(written.getvalue()))
        built_s += time.perf_counter() - started
    dense = Dense(documents, embed=embedder, embeddings=vectors)
    return DemoIndex(words.path, words.bm25, dense, words.late, vectors, built_s)


def _embedded(embedder: Embedder, texts: list[str], progress: Shown) -> NDArray[np.float32]:
    made = []
    for start in range(0, len(texts), _BATCH):  # token vectors go into their store batch by batch

        def step(done: int, _: int, start: int = start) -> None:
            progress("embedding", start + done, len(texts))

        made.append(embedder.embed(texts[start : start + _BATCH], progress=step).values)
    return np.concatenate(made)


def _read(words: Words, count: int) -> NDArray[np.float32] | None:
    """Return the embeddings in the folder; None if they are not those that were written."""
    try:
        written = (words.path / _VECTORS).read_bytes()
    except OSError:
        return None
    if _marker(words.path).get("vectors") != _digest(written):
        return None
    vectors: NDArray[np.float32] = np.load(io.BytesIO(written), allow_pickle=False)
    return vectors if len(vectors) == count else None


def _digest(written: bytes) -> str:
    return hashlib.sha256(written).hexdigest()


def _marker(path: Path) -> dict[str, Any]:
    try:
        marker = parse_json((path / _MARKER).read_bytes())
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunoffError(
            f"cannot write the demo's index to {path} ({error.strerror or error}): choose another "
            "folder with --cache"
        ) from error


def _emptied(path: Path) -> None:
    """Delete an earlier index and make the folder anew; refuse a folder with other files."""
    names = [one.name for one in path.iterdir()] if path.exists() else []
    foreign = sorted(one for one in names if one not in _OURS and not one.startswith(_UNFINISHED))
    if foreign:
        remedy = f"contains {foreign[0]!r}, which is not the demo's: choose another folder"
        raise InvalidArgument("cache", str(path), remedy)
    if names and _MARKER not in names:
        remedy = f"contains {min(names)!r} and no {_MARKER!r}: remove it, or choose another folder"
        raise InvalidArgument("cache", str(path), remedy)
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)


def _mark(path: Path, **marker: object) -> None:
    (path / _MARKER).write_text(json.dumps(marker), encoding="utf-8")
