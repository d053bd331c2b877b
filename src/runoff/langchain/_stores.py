"""What differs from one vector store to another: listing documents, ids, deleting."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document as LangChainDocument
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from runoff.errors import InvalidArgument
from runoff.langchain._kinds import kind_of
from runoff.langchain._listing import BY_IDS, LISTED

if TYPE_CHECKING:
    from collections.abc import Sequence

_PAGE = 1000


def content(store: VectorStore) -> list[LangChainDocument]:
    """Return all documents of a store, with the ids they have there.

    Raises:
        InvalidArgument: the store cannot list them.
    """
    if isinstance(store, InMemoryVectorStore):
        return store.get_by_ids(list(store.store))
    kind = kind_of(store)
    if kind == "qdrant":
        return _points(store)
    if kind in LISTED:
        return LISTED[kind](store)
    if callable(get := getattr(store, "get", None)):  # Chroma, PGVectorStore
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


def _points(store: Any) -> list[LangChainDocument]:  # noqa: ANN401
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


def size(store: VectorStore) -> int | None:
    """Return how many documents a store has, where one call counts them; None for another."""
    known: Any = store
    kind = kind_of(store)
    if kind == "chroma":
        return int(known._collection.count())  # noqa: SLF001
    if kind == "qdrant":
        return int(known.client.count(known.collection_name).count)
    if kind == "lancedb":
        return int(known.get_table().count_rows())
    return count(store)


def absent(store: VectorStore, ids: list[str]) -> set[str]:
    """Return which ids a store does not have; empty for one that cannot say it at no cost."""
    if isinstance(store, InMemoryVectorStore):
        return {one for one in ids if one not in store.store}
    held = getattr(getattr(store, "docstore", None), "_dict", None)  # FAISS
    return {one for one in ids if one not in held} if isinstance(held, dict) else set()


def stored(store: VectorStore, ids: list[str]) -> dict[str, dict[str, Any]]:
    """Return the store's metadata by id; empty for a store that cannot be asked by id."""
    kind = kind_of(store)
    try:
        found = BY_IDS[kind](store, ids) if kind in BY_IDS else store.get_by_ids(ids)
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
    """Return the ids to delete before they are added again.

    FAISS refuses existing ids; Milvus and LanceDB keep both documents.
    """
    again = kind_of(store) in {"faiss", "milvus", "lancedb"}
    return deletable(store, ids) if again else []


def numbered(
    store: VectorStore, added: list[LangChainDocument], ids: Sequence[Any]
) -> list[LangChainDocument]:
    """Return documents with the ids that a store gave them: SQLiteVec numbers its rows itself."""
    if kind_of(store) != "sqlitevec":
        return added
    return [
        one.model_copy(update={"id": str(given)}) for one, given in zip(added, ids, strict=True)
    ]


def check_growth(store: VectorStore, known: Sequence[str]) -> None:
    """Refuse to add documents where the store would lose others, or keep both of one id.

    Raises:
        InvalidArgument: names the store and what to do.
    """
    kind = kind_of(store)
    if kind == "lancedb" and getattr(store, "mode", "") == "overwrite":
        remedy = 'replaces its whole table with what is added: make it with mode="append"'
        raise InvalidArgument("vectorstore", type(store).__name__, remedy)
    if known and kind in {"duckdb", "sqlitevec"}:
        remedy = (
            f"cannot delete documents, so {known[0]!r} cannot be replaced: add it to a new store"
        )
        raise InvalidArgument("vectorstore", type(store).__name__, remedy)


def check_deletion(store: VectorStore) -> None:
    """Refuse to delete where the store has no way to.

    Raises:
        InvalidArgument: names the store.
    """
    if type(store).delete is VectorStore.delete:
        remedy = "cannot delete documents: copy what you want to keep to a new store"
        raise InvalidArgument("vectorstore", type(store).__name__, remedy)


def id_field(store: VectorStore) -> str | None:
    """Return the metadata field with the ids of a store's results, where `Document.id` has none."""
    if kind_of(store) == "milvus":
        return str(getattr(store, "_primary_field", "pk"))
    return None
