"""What differs from one vector store to another: listing documents, ids, deleting."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.documents import Document as LangChainDocument
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["absent", "content", "count", "deletable", "kind_of", "replaced", "stored", "stored_id"]

Kind = Literal[
    "memory", "chroma", "faiss", "qdrant", "pgvector", "pgvectorstore", "milvus", "lancedb",
    "elasticsearch", "opensearch", "weaviate", "redis", "mongodb", "duckdb", "sqlitevec",
]  # fmt: skip

_KINDS: dict[tuple[str, str], Kind] = {
    ("langchain_core", "InMemoryVectorStore"): "memory",
    ("langchain_chroma", "Chroma"): "chroma",
    ("langchain_community", "FAISS"): "faiss",
    ("langchain_qdrant", "QdrantVectorStore"): "qdrant",
    ("langchain_postgres", "PGVector"): "pgvector",
    ("langchain_postgres", "PGVectorStore"): "pgvectorstore",
    ("langchain_milvus", "Milvus"): "milvus",
    ("langchain_community", "LanceDB"): "lancedb",
    ("langchain_elasticsearch", "ElasticsearchStore"): "elasticsearch",
    ("langchain_elasticsearch", "AsyncElasticsearchStore"): "elasticsearch",
    ("langchain_community", "OpenSearchVectorSearch"): "opensearch",
    ("langchain_weaviate", "WeaviateVectorStore"): "weaviate",
    ("langchain_redis", "RedisVectorStore"): "redis",
    ("langchain_mongodb", "MongoDBAtlasVectorSearch"): "mongodb",
    ("langchain_community", "DuckDB"): "duckdb",
    ("langchain_community", "SQLiteVec"): "sqlitevec",
}
_PAGE = 1000


def kind_of(store: VectorStore) -> Kind | None:
    """Return which of these stores it is, by its class or a base class; None for another store."""
    for one in type(store).__mro__:
        kind = _KINDS.get((one.__module__.split(".")[0], one.__name__))
        if kind is not None:
            return kind
    return None


def content(store: VectorStore) -> list[LangChainDocument]:
    """Return all documents of a store, with the ids they have there.

    Raises:
        InvalidArgument: the store cannot list them.
    """
    if isinstance(store, InMemoryVectorStore):
        return store.get_by_ids(list(store.store))
    known: Any = store
    if kind_of(store) == "qdrant":
        return _points(known)
    if callable(get := getattr(store, "get", None)):  # Chroma
        held = get(include=["documents", "metadatas"])
        return [
            LangChainDocument(id=doc_id, page_content=text, metadata=metadata or {})
            for doc_id, text, metadata in zip(
                held["ids"], held["documents"], held["metadatas"], strict=True
            )
            if text is not None
        ]
    by_row = getattr(store, "index_to_docstore_id", None)
    docstore = getattr(store, "docstore", None)
    if isinstance(by_row, dict) and docstore is not None:  # FAISS
        found = [(doc_id, docstore.search(doc_id)) for doc_id in by_row.values()]
        return [
            one.model_copy(update={"id": doc_id})
            for doc_id, one in found
            if isinstance(one, LangChainDocument)
        ]
    remedy = f"{type(store).__name__} cannot list its documents: pass documents= with their ids"
    raise InvalidArgument("vectorstore", store, remedy)


def _points(store: Any) -> list[LangChainDocument]:  # noqa: ANN401 - Qdrant's class is not imported
    """Return all documents of a Qdrant collection, read page by page."""
    documents: list[LangChainDocument] = []
    offset = None
    while True:
        points, offset = store.client.scroll(store.collection_name, limit=_PAGE, offset=offset)
        documents += [
            LangChainDocument(
                id=str(point.id),
                page_content=point.payload.get(store.content_payload_key) or "",
                metadata=point.payload.get(store.metadata_payload_key) or {},
            )
            for point in points
        ]
        if offset is None:
            return documents


def count(store: VectorStore) -> int | None:
    """Return how many documents a store in this process has; None for another store."""
    if isinstance(store, InMemoryVectorStore):
        return len(store.store)
    rows = getattr(store, "index_to_docstore_id", None)  # FAISS
    return len(rows) if isinstance(rows, dict) else None


def absent(store: VectorStore, ids: list[str]) -> set[str]:
    """Return which ids a store does not have; empty for one that cannot say it at no cost."""
    if isinstance(store, InMemoryVectorStore):
        return {one for one in ids if one not in store.store}
    held = getattr(getattr(store, "docstore", None), "_dict", None)  # FAISS
    return {one for one in ids if one not in held} if isinstance(held, dict) else set()


def stored(store: VectorStore, ids: list[str]) -> dict[str, dict[str, Any]]:
    """Return the store's metadata by id; empty for a store that cannot be asked by id."""
    try:
        found = store.get_by_ids(ids)
    except NotImplementedError:
        return {}
    return {str(one.id): one.metadata for one in found if one.id is not None}


def stored_id(store: VectorStore, doc_id: str) -> str:
    """Return an id as the store will return it.

    Raises:
        InvalidArgument: the store does not accept such ids.
    """
    if kind_of(store) != "qdrant":
        return doc_id
    try:
        return str(uuid.UUID(doc_id))
    except ValueError:
        remedy = (
            "Qdrant accepts UUIDs only: leave the id out to get one, and keep yours in the metadata"
        )
        raise InvalidArgument("documents.id", doc_id, remedy) from None


def deletable(store: VectorStore, ids: Sequence[str]) -> list[Any]:
    """Return the ids that a store can delete, in the form it accepts.

    FAISS fails on unknown ids, and Qdrant on ids that are neither UUIDs nor numbers.
    """
    kind = kind_of(store)
    if kind == "faiss":
        there = set(getattr(store, "index_to_docstore_id").values())  # noqa: B009 - not imported
        return [one for one in dict.fromkeys(ids) if one in there]
    if kind == "qdrant":
        return [form for one in ids if (form := _point_id(one)) is not None]
    return list(ids)


def _point_id(doc_id: str) -> str | int | None:
    if doc_id.isascii() and doc_id.isdigit():
        return int(doc_id)
    try:
        return str(uuid.UUID(doc_id))
    except ValueError:
        return None


def replaced(store: VectorStore, ids: Sequence[str]) -> list[Any]:
    """Return the ids to delete before they are added again: FAISS refuses existing ids."""
    return deletable(store, ids) if kind_of(store) == "faiss" else []
