"""The demo's index: BM25 and a persistent Chroma collection over the same documents, kept on disk.

It is built once and rebuilt when its documents, Python or the models change. A marker written last
tells a finished index from one whose building was interrupted; an unfinished one is built again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runoff import __version__
from runoff.errors import MissingExtra, RunoffError
from runoff.recall.bm25 import BM25
from runoff.recall.chroma import Chroma
from runoff.recall.embedder import Embedder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

    from runoff.types import Document

    Progress = Callable[[str, int, int], None]

__all__ = ["DemoIndex", "cache_root", "fingerprint", "open_index"]

_MARKER = "index.json"
_COLLECTION = "runoff-demo"
_BATCH = 500


@dataclass(frozen=True, slots=True)
class DemoIndex:
    """An open index.

    Attributes:
        path: where it lies on disk.
        bm25: the lexical source.
        dense: the embedding source, over `collection`.
        client: the Chroma client of `collection`.
        collection: the Chroma collection, for the frameworks' own integrations.
        embedder: what embedded it.
        built_s: seconds the building took; 0.0 when it was there already.
    """

    path: Path
    bm25: BM25
    dense: Chroma
    client: ClientAPI
    collection: Collection
    embedder: Embedder
    built_s: float


def cache_root() -> Path:
    """Return where the demo keeps its indexes: the user's cache folder on this system.

    Raises:
        MissingExtra: platformdirs is not installed.
    """
    try:
        import platformdirs  # noqa: PLC0415 - only the demo needs it
    except ImportError:
        raise MissingExtra("platformdirs", "demo") from None
    return platformdirs.user_cache_path("runoff") / "demo"


def fingerprint(*parts: str) -> str:
    """Return a key for an index: what it holds, this version of runoff and the embedded models."""
    try:
        import runoff_models  # noqa: PLC0415 - only the embedded models need it
    except ImportError:
        raise MissingExtra("runoff-models", "demo") from None
    digest = hashlib.sha256()
    for part in (*parts, __version__, runoff_models.__version__):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    for name in runoff_models.names():
        digest.update(name.encode() + (runoff_models.path(name) / "checksums.json").read_bytes())
    return digest.hexdigest()


def open_index(
    path: Path, key: str, documents: Callable[[], Sequence[Document]], progress: Progress
) -> DemoIndex:
    """Open the index at a path, building it first where it is absent, unfinished or out of date.

    Args:
        path: its folder; a folder that is rebuilt is emptied first.
        key: its `fingerprint`.
        documents: makes the documents; called only when the index is built.
        progress: called with what is being done, how much of it is done and how much there is.

    Raises:
        RunoffError: there are no documents, or the folder cannot be written.
    """
    started = time.perf_counter()
    built = _recorded_key(path) != key
    if built:
        try:
            _build(path, key, documents, progress)
        except OSError as error:
            raise RunoffError(
                f"cannot write the demo's index to {path} ({error.strerror}): "
                "choose another folder with --cache"
            ) from error
    embedder = Embedder()
    client = _client(path)
    collection = client.get_collection(_COLLECTION, embedding_function=None)
    return DemoIndex(
        path,
        BM25.load(path / "bm25"),
        Chroma(collection, embed=embedder),
        client,
        collection,
        embedder,
        time.perf_counter() - started if built else 0.0,
    )


def _recorded_key(path: Path) -> str:
    try:
        marker = json.loads((path / _MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(marker.get("key", ""))


def _build(
    path: Path, key: str, documents: Callable[[], Sequence[Document]], progress: Progress
) -> None:
    progress("reading", 0, 1)
    found = documents()
    progress("reading", 1, 1)
    if not found:
        raise RunoffError("there is no text to index")
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    progress("BM25", 0, 1)
    BM25(found).save(path / "bm25")
    progress("BM25", 1, 1)
    collection = _client(path).create_collection(
        _COLLECTION, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
    )
    embedder = Embedder()
    for start in range(0, len(found), _BATCH):
        batch = found[start : start + _BATCH]

        def step(done: int, _: int, start: int = start) -> None:
            progress("embedding", start + done, len(found))

        values = embedder.embed([document.text for document in batch], progress=step).values
        collection.add(
            ids=[document.doc_id for document in batch],
            embeddings=values,
            documents=[document.text for document in batch],
            metadatas=[dict(document.metadata) for document in batch],
        )
    marker = {"key": key, "documents": len(found)}
    (path / _MARKER).write_text(json.dumps(marker), encoding="utf-8")


def _client(path: Path) -> ClientAPI:
    try:
        import chromadb  # noqa: PLC0415 - a large package, for the demo only
        from chromadb.config import Settings  # noqa: PLC0415 - as above
    except ImportError:
        raise MissingExtra("chromadb", "demo") from None
    settings = Settings(anonymized_telemetry=False)
    return chromadb.PersistentClient(path=str(path / "chroma"), settings=settings)
