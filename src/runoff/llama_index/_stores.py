"""Which nodes a vector index holds: in its docstore, or in its vector store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runoff.errors import InvalidArgument
from runoff.llama_index._kinds import kind_of

if TYPE_CHECKING:
    from llama_index.core import VectorStoreIndex
    from llama_index.core.schema import BaseNode

_PAGE = 1000


def content(index: VectorStoreIndex) -> list[BaseNode]:
    """Return the nodes an index searches.

    If the store keeps no text, the nodes are in the docstore, which may hold others too (parents of
    hierarchical nodes, nodes of other indexes): only those the index names are returned. If it
    keeps text, it lists its nodes itself; nodes that are in the docstore too, such as images, are
    taken from there, as LlamaIndex's retriever does.

    Raises:
        InvalidArgument: neither can list them.
    """
    docstore, store = index.docstore, index.vector_store
    if not store.stores_text:
        ids = list(index.index_struct.nodes_dict.values())
        return docstore.get_nodes(ids, raise_error=False)
    kept: dict[str, BaseNode] = dict(docstore.docs)
    try:
        found = _listed(store)
    except (NotImplementedError, ValueError, AssertionError, AttributeError) as error:
        if kept:
            return list(kept.values())
        remedy = f"{type(store).__name__} cannot list its nodes: pass nodes= or docstore= too"
        raise InvalidArgument("vector_store", type(store).__name__, remedy) from error
    return [kept.get(node.node_id, node) for node in found]


def _listed(store: Any) -> Any:  # noqa: ANN401
    """Return all nodes of a store that keeps their texts."""
    kind = kind_of(store)
    if kind == "qdrant":
        return _of_qdrant(store)
    if kind == "milvus":
        return _of_milvus(store)
    if kind == "postgres":
        return store.get_nodes(node_ids=[])  # it refuses to be given nothing
    return store.get_nodes(None)  # Chroma's has no default


def _by_ids(store: Any, ids: list[str]) -> Any:  # noqa: ANN401
    """Return the nodes with these ids; LanceDB's store writes ids as names of columns."""
    if not ids:
        return []
    if kind_of(store) != "lancedb":
        return store.get_nodes(ids)
    return store.get_nodes(None, where=_in_sql(ids))


def _in_sql(ids: list[str]) -> str:
    quoted = ", ".join("'" + one.replace("'", "''") + "'" for one in ids)
    return f"id IN ({quoted})"


def delete(index: VectorStoreIndex, ids: list[str]) -> None:
    """Delete nodes from an index's store and docstore.

    Raises:
        NotImplementedError: the store cannot delete nodes.
    """
    store: Any = index.vector_store
    if kind_of(store) != "lancedb":
        index.delete_nodes(ids, delete_from_docstore=True)
        return
    store.table.delete(_in_sql(ids))
    for one in ids:
        if index.docstore.document_exists(one):
            index.docstore.delete_document(one)


def count(index: VectorStoreIndex) -> int | None:
    """Return how many nodes an index in this process has; None if its store would be asked."""
    return None if index.vector_store.stores_text else len(index.index_struct.nodes_dict)


def absent(index: VectorStoreIndex, ids: list[str]) -> set[str]:
    """Return which ids an index does not have; empty if its store would be asked."""
    if index.vector_store.stores_text:
        return set()
    return {one for one in ids if not index.docstore.document_exists(one)}


def unknown(index: VectorStoreIndex, ids: list[str]) -> set[str]:
    """Return which ids are neither in an index nor in its store; empty if that cannot be asked."""
    if not index.vector_store.stores_text:
        known = set(index.index_struct.nodes_dict.values())
        return {one for one in ids if one not in known}
    try:
        found = {node.node_id for node in _by_ids(index.vector_store, ids)}
    except (NotImplementedError, ValueError):
        return set()
    return set(ids) - found


def stored(index: VectorStoreIndex, ids: list[str]) -> dict[str, dict[str, Any]]:
    """Return the index's metadata by node id; empty for a store that cannot be asked by id."""
    if not index.vector_store.stores_text:
        found = index.docstore.get_nodes(ids, raise_error=False)
    else:
        try:
            found = _by_ids(index.vector_store, ids)
        except (NotImplementedError, ValueError):
            return {}
    return {node.node_id: node.metadata for node in found}


def _of_qdrant(store: Any) -> list[BaseNode]:  # noqa: ANN401
    """Return all nodes of a collection; LlamaIndex lists 9,999 unless a limit is given."""
    if not store.client.collection_exists(store.collection_name):
        return []  # it is made when the first node is added
    held = store.client.count(store.collection_name).count
    nodes: list[BaseNode] = store.get_nodes(limit=held) if held else []
    return nodes


def _of_milvus(store: Any) -> list[BaseNode]:  # noqa: ANN401
    """Return all nodes of a collection; one query of Milvus returns 16,384 at most."""
    pages = store.client.query_iterator(
        store.collection_name, filter='id != ""', output_fields=["id"], batch_size=_PAGE
    )
    nodes: list[BaseNode] = []
    while rows := pages.next():
        nodes += store.get_nodes(node_ids=[row["id"] for row in rows])
    pages.close()
    return nodes
