"""The pipeline that is evaluated when no system is named: the embedded models over a collection."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.progress import bars
from runoff.errors import InvalidArgument, MissingExtra

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from runoff._labels.collection import Collection
    from runoff._util.progress import Shown
    from runoff.pipeline import TwoStage
    from runoff.protocols import RecallSource
    from runoff.recall._dense.embedder import Embedder
    from runoff.types import Document

_SOURCES = ("bm25", "dense")


def built_in_pipeline(
    collection: Collection,
    *,
    sources: str,
    reranker: str,
    window: int,
    depth: int,
    cache: Path | None,
) -> TwoStage:
    """Return a pipeline of the embedded models over a collection's documents.

    Args:
        collection: has the documents.
        sources: `bm25`, `dense`, or both, separated by a comma.
        reranker: a cross-encoder's name, or `"none"`.
        window: candidates to rerank; a larger value than the pipeline's default has no effect.
        depth: hits to ask of each source; likewise.
        cache: folder for cached embeddings; None is the user's cache folder.

    Raises:
        InvalidArgument: the collection has no documents, or a source is unknown.
    """
    if collection.documents is None:
        remedy = f"{collection.name} has no documents to search: name a system with --system"
        raise InvalidArgument("system", None, remedy)
    names = [name.strip() for name in sources.split(",")]
    if set(names) - set(_SOURCES):
        remedy = f"must be {' or '.join(_SOURCES)}, or both, separated by a comma"
        raise InvalidArgument("sources", sources, remedy)
    from runoff.pipeline import TwoStage  # noqa: PLC0415 - --help needs none of this

    documents = list(collection.documents.values())
    made: dict[str, RecallSource] = {}
    with bars() as progress:
        for name in names:
            made[name] = _bm25(documents) if name == "bm25" else _dense(documents, cache, progress)
    usual = TwoStage(made, reranker=None if reranker == "none" else reranker)
    return replace(usual, window=min(window, usual.window), depth=min(depth, usual.depth))


def _bm25(documents: list[Document]) -> RecallSource:
    from runoff.recall._bm25.bm25 import BM25  # noqa: PLC0415 - as above

    return BM25(documents)


def _dense(documents: list[Document], cache: Path | None, progress: Shown) -> RecallSource:
    from runoff.recall._dense.dense import Dense  # noqa: PLC0415 - as above
    from runoff.recall._dense.embedder import Embedder  # noqa: PLC0415 - as above

    embedder = Embedder()
    found = [one for one in documents if one.text.strip()]  # `Dense` embeds no blank text either
    vectors = _embeddings(embedder, found, cache or _user_cache(), progress)
    return Dense(found, embedder, embeddings=vectors)


def _embeddings(
    embedder: Embedder,
    documents: list[Document],
    cache: Path,
    progress: Shown,
) -> NDArray[np.float32]:
    """Return embeddings, cached by the model's identity and the texts, since they take minutes."""
    digest = hashlib.sha256(repr(embedder.identity).encode())
    for document in documents:
        digest.update(document.text.encode("utf-8", "surrogatepass") + b"\0")
    file = cache / f"embeddings-{digest.hexdigest()[:32]}.npy"
    if file.is_file():
        try:
            vectors: NDArray[np.float32] = np.load(file, allow_pickle=False)
        except (OSError, ValueError):
            vectors = np.empty((0, 0), np.float32)
        if vectors.shape == (len(documents), embedder.dims):
            return vectors
    vectors = embedder.embed(
        [document.text for document in documents],
        progress=lambda done, total: progress("embedding", done, total),
    ).values
    try:
        cache.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        with partial.open("wb") as stream:
            np.save(stream, vectors, allow_pickle=False)
        partial.replace(file)
    except OSError as error:  # the evaluation goes on without the cache
        sys.stderr.write(f"runoff: cannot cache the embeddings in {file}: {error.strerror}\n")
    return vectors


def _user_cache() -> Path:
    try:
        import platformdirs  # noqa: PLC0415 - of an extra
    except ImportError:
        raise MissingExtra("platformdirs", "cli") from None
    return platformdirs.user_cache_path("runoff") / "evaluate"
