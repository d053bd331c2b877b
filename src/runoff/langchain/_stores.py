"""What is known of single vector stores: their names, what they hold, and the ids they take."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.documents import Document as LangChainDocument
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["content", "deletable", "kind_of", "replaced", "stored_id"]

Kind = Literal["memory", "chroma", "faiss", "qdrant"]

_KINDS: dict[tuple[str, str], Kind] = {
    ("langchain_core", "InMemoryVectorStore"): "memory",
    ("langchain_chroma", "Chroma"): "chroma",
    ("langchain_community", "FAISS"): "faiss",
    ("langchain_qdrant", "QdrantVectorStore"): "qdrant",
}
_PAGE = 1000


def kind_of(store: VectorStore) -> Kind | None:
    """Return which of the known stores this is, by its class or one above; None for another."""
    for one in type(store).__mro__:
        kind = _KINDS.get((one.__module__.split(".")[0], one.__name__))
        if kind is not None:
            return kind
    return None


def content(store: VectorStore) -> list[LangChainDocument]:
    """Return everything a store holds, where it says so, with the ids it holds it by.

    Raises:
        InvalidArgument: it does not.
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
    remedy = f"{type(store).__name__} does not list its documents: pass documents= with their ids"
    raise InvalidArgument("vectorstore", store, remedy)


def _points(store: Any) -> list[LangChainDocument]:  # noqa: ANN401 - Qdrant's class is not imported
    """Return what a Qdrant collection holds, page by page."""
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


def stored_id(store: VectorStore, doc_id: str) -> str:
    """Return the form of an id in which the store gives it back.

    Raises:
        InvalidArgument: the store takes no such ids.
    """
    if kind_of(store) != "qdrant":
        return doc_id
    try:
        return str(uuid.UUID(doc_id))
    except ValueError:
        remedy = (
            "Qdrant takes UUIDs: leave the id out to get one, and keep yours in a metadata field"
        )
        raise InvalidArgument("documents.id", doc_id, remedy) from None


def deletable(store: VectorStore, ids: Sequence[str]) -> list[Any]:
    """Return the ids that a store can be asked to delete, in the form it takes them.

    FAISS fails on ids it does not hold, and Qdrant on those that are neither UUIDs nor numbers.
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
    """Return the ids to delete before they are added again: FAISS refuses those it holds."""
    return deletable(store, ids) if kind_of(store) == "faiss" else []
