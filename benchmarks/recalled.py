"""The first stage of a judged collection: BM25 and dense hits, found once for all systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import Skipped
from judged import Given, embeddings

from runoff import Query
from runoff.errors import MissingExtra
from runoff.recall import BM25, Dense, Embedder
from runoff.types import Hit

if TYPE_CHECKING:
    import numpy as np
    from judged import Collection

    from runoff.protocols import RecallSource

__all__ = ["sources"]


def sources(collection: Collection, depth: int = 100) -> dict[str, Given]:
    """Return the sources `"bm25"` and `"dense"` with ready hits for every judged query.

    Where the collection brings a first stage of its own, that is `"bm25"`, and `"dense"` orders the
    same documents.

    Raises:
        Skipped: the embedded models are not installed.
    """
    embedder = Embedder()
    try:
        embedder.warmup()
    except MissingExtra as error:
        raise Skipped(str(error)) from error
    texts = list(collection.queries.values())
    vectors = embeddings(f"{collection.name}-queries", texts, embedder)
    if collection.given:
        return _reordered(collection, dict(zip(texts, vectors, strict=True)), embedder)
    bm25 = BM25(collection.documents)
    stored = embeddings(collection.name, [one.text for one in collection.documents], embedder)
    dense = Dense(collection.documents, embedder, embeddings=stored)
    asked = {
        text: Query(text, embedding=tuple(vector.tolist()))
        for text, vector in zip(texts, vectors, strict=True)
    }
    return {
        name: Given(
            {text: source.retrieve(query, depth=depth) for text, query in asked.items()},
            getattr(source, "score_spread", None),
        )
        for name, source in (("bm25", bm25), ("dense", dense))
    }


def live_sources(collection: Collection) -> dict[str, RecallSource]:
    """Return BM25 and dense sources that search on every call, for measuring time."""
    embedder = Embedder()
    stored = embeddings(collection.name, [one.text for one in collection.documents], embedder)
    dense = Dense(
        collection.documents, embedder, embed_query=embedder.embed_query, embeddings=stored
    )
    return {"bm25": BM25(collection.documents), "dense": dense}


def _reordered(
    collection: Collection, asked: dict[str, np.ndarray], embedder: Embedder
) -> dict[str, Given]:
    documents = {one.doc_id: one for one in collection.documents}
    wanted = sorted({doc_id for found in collection.given.values() for doc_id, _ in found})
    stored = embeddings(collection.name, [documents[one].text for one in wanted], embedder)
    row = {doc_id: at for at, doc_id in enumerate(wanted)}
    bm25: dict[str, list[Hit]] = {}
    dense: dict[str, list[Hit]] = {}
    for query_id, found in collection.given.items():
        text = collection.queries[query_id]
        bm25[text] = [Hit(documents[doc_id], score, (0.0, None)) for doc_id, score in found]
        cosines = stored[[row[doc_id] for doc_id, _ in found]] @ asked[text]
        dense[text] = sorted(
            (
                Hit(documents[doc_id], float(cosine), (-1.0, 1.0))
                for (doc_id, _), cosine in zip(found, cosines, strict=True)
            ),
            key=lambda hit: -hit.score,
        )
    return {"bm25": Given(bm25), "dense": Given(dense)}
