"""The demo's index on disk: BM25 and a Chroma collection over the same documents.

It is built once, and again when its documents, Python or the models change. A marker file is
written last, so that an index whose building was interrupted is recognised and built again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runoff import __version__
from runoff._util import optout
from runoff._util.stored import parse_json
from runoff.demo._chroma_files import digest
from runoff.errors import (
    IndexDamaged,
    IndexNotFound,
    IndexTooNew,
    InvalidArgument,
    MissingExtra,
    RunoffError,
)
from runoff.recall._bm25.bm25 import BM25
from runoff.recall._dense.embedder import Embedder
from runoff.recall._stores.chroma import Chroma

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

    from runoff._util.progress import Shown
    from runoff.types import Document


_MARKER = "index.json"
_COLLECTION = "runoff-demo"
_BATCH = 500
_CHROMA = "chroma"
_OURS = {"bm25", _CHROMA, _MARKER, "recording", "report.html", "evaluation.json"}
_UNFINISHED = ".recording."


@dataclass(frozen=True, slots=True)
class DemoIndex:
    """An open index.

    Attributes:
        path: its folder.
        bm25: the lexical source.
        dense: the embedding source, over `collection`.
        client: the Chroma client of `collection`.
        collection: the Chroma collection, for the frameworks' own integrations.
        embedder: the embedder of its documents.
        built_s: seconds it took to build; 0.0 if it existed already.
    """

    path: Path
    bm25: BM25
    dense: Chroma
    client: ClientAPI
    collection: Collection
    embedder: Embedder
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
    for part in (*parts, __version__, runoff_models.__version__):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    for name in runoff_models.names():
        digest.update(name.encode() + (runoff_models.path(name) / "checksums.json").read_bytes())
    return digest.hexdigest()


def open_index(
    path: Path, key: str, documents: Callable[[], Sequence[Document]], progress: Shown
) -> DemoIndex:
    """Open the index at a path, building it first if it is missing, damaged or out of date.

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
    marker = _recorded(path)
    if str(marker.get("key", "")) == key:
        try:
            _check_chroma(path, marker)
            return _opened(path)
        except BaseException as error:
            if not _is_damage(error):
                raise
    _built(path, key, documents, progress)
    return replace(_opened(path), built_s=time.perf_counter() - started)


def _check_chroma(path: Path, marker: dict[str, Any]) -> None:
    if marker.get("chroma") != digest(path / _CHROMA):
        raise IndexDamaged(f"{path}: the Chroma database was changed after it was written")


def _opened(path: Path) -> DemoIndex:
    bm25 = BM25.load(path / "bm25")
    embedder = Embedder()
    client = _client(path)
    collection = client.get_collection(_COLLECTION, embedding_function=None)
    if collection.count() != len(bm25):
        raise IndexDamaged(f"{path}: the two indexes have different numbers of documents")
    return DemoIndex(path, bm25, Chroma(collection, embed=embedder), client, collection, embedder)


def _is_damage(error: BaseException) -> bool:
    """Whether an error means that a finished index is damaged.

    Chroma raises almost anything for a damaged database, and its native part panics.
    """
    if isinstance(error, RunoffError):
        return isinstance(error, IndexDamaged | IndexNotFound | IndexTooNew)
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _recorded(path: Path) -> dict[str, Any]:
    try:
        marker = parse_json((path / _MARKER).read_bytes())
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def _built(
    path: Path, key: str, documents: Callable[[], Sequence[Document]], progress: Shown
) -> None:
    progress("reading", 0, 1)
    found = documents()
    progress("reading", 1, 1)
    if not found:
        raise RunoffError("the documents have no text to index")
    try:
        _emptied(path)
        _build(path, key, found, progress)
    except Exception as error:
        if not isinstance(error, OSError) and not type(error).__module__.startswith("chromadb."):
            raise
        why = getattr(error, "strerror", None) or error
        raise RunoffError(
            f"cannot write the demo's index to {path} ({why}): choose another folder with --cache"
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


def _build(path: Path, key: str, found: Sequence[Document], progress: Shown) -> None:
    _mark(path, key="")  # the folder is known as the demo's from now on, and may be emptied again
    progress("BM25", 0, 1)
    BM25(found).save(path / "bm25")
    progress("BM25", 1, 1)
    _forget_clients()
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
    _mark(path, key=key, documents=len(found), chroma=digest(path / _CHROMA))


def _mark(path: Path, **marker: object) -> None:
    (path / _MARKER).write_text(json.dumps(marker), encoding="utf-8")


def _forget_clients() -> None:
    """Let go of clients that have a deleted index open, or failed to open a damaged one."""
    optout.apply()
    try:
        from chromadb.api.shared_system_client import SharedSystemClient  # noqa: PLC0415 - as below
    except ImportError:
        raise MissingExtra("chromadb", "demo") from None
    SharedSystemClient.clear_system_cache()


def _client(path: Path) -> ClientAPI:
    optout.apply()
    try:
        import chromadb  # noqa: PLC0415 - a large package, for the demo only
        from chromadb.config import Settings  # noqa: PLC0415 - as above
    except ImportError:
        raise MissingExtra("chromadb", "demo") from None
    settings = Settings(anonymized_telemetry=False)
    return chromadb.PersistentClient(path=str(path / _CHROMA), settings=settings)
