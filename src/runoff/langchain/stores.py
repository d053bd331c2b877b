"""What is known of LangChain's vector stores beyond what they have in common.

Stores are told by the names of their class and its package, so that none has to be installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document as LangChainDocument
from langchain_core.vectorstores import InMemoryVectorStore

from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore

__all__ = ["content", "is_chroma", "is_faiss", "is_qdrant"]

_PAGE = 1000  # points that Qdrant is asked for at a time


def _is(store: object, package: str, name: str) -> bool:
    return any(
        (kind.__module__.partition(".")[0], kind.__name__) == (package, name)
        for kind in type(store).__mro__
    )


def is_chroma(store: object) -> bool:
    """Whether it is langchain-chroma's `Chroma`."""
    return _is(store, "langchain_chroma", "Chroma")


def is_faiss(store: object) -> bool:
    """Whether it is langchain-community's `FAISS`."""
    return _is(store, "langchain_community", "FAISS")


def is_qdrant(store: object) -> bool:
    """Whether it is langchain-qdrant's `QdrantVectorStore`."""
    return _is(store, "langchain_qdrant", "QdrantVectorStore")


def content(store: VectorStore) -> list[LangChainDocument]:
    """Return everything a store holds, with the ids it holds them by.

    Raises:
        InvalidArgument: it does not list its content.
    """
    if isinstance(store, InMemoryVectorStore):
        return store.get_by_ids(list(store.store))
    if is_qdrant(store):
        return _of_qdrant(store)
    if callable(get := getattr(store, "get", None)):  # Chroma, and what imitates it
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


def _of_qdrant(store: Any) -> list[LangChainDocument]:  # noqa: ANN401 - known by its name
    found, page = [], None
    while True:
        points, page = store.client.scroll(
            store.collection_name, limit=_PAGE, offset=page, with_payload=True
        )
        for point in points:
            payload = point.payload or {}
            text = payload.get(store.content_payload_key)
            if isinstance(text, str):
                metadata = payload.get(store.metadata_payload_key) or {}
                found.append(
                    LangChainDocument(id=str(point.id), page_content=text, metadata=metadata)
                )
        if page is None:
            return found
