"""Which nodes a vector index holds: in its docstore, or in its vector store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from llama_index.core import VectorStoreIndex
    from llama_index.core.schema import BaseNode

__all__ = ["absent", "content", "count", "stored", "unknown"]


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
        # Chroma's has no default
        found = _of_qdrant(store) if _is_qdrant(store) else store.get_nodes(None)
    except NotImplementedError:
        if kept:
            return list(kept.values())
        remedy = f"{type(store).__name__} cannot list its nodes: pass nodes= or docstore= too"
        raise InvalidArgument("vector_store", type(store).__name__, remedy) from None
    return [kept.get(node.node_id, node) for node in found]


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
        found = {node.node_id for node in index.vector_store.get_nodes(ids)}
    except (NotImplementedError, ValueError):
        return set()
    return set(ids) - found


def stored(index: VectorStoreIndex, ids: list[str]) -> dict[str, dict[str, Any]]:
    """Return the index's metadata by node id; empty for a store that cannot be asked by id."""
    if not index.vector_store.stores_text:
        found = index.docstore.get_nodes(ids, raise_error=False)
    else:
        try:
            found = index.vector_store.get_nodes(ids)
        except NotImplementedError:
            return {}
    return {node.node_id: node.metadata for node in found}


def _is_qdrant(store: object) -> bool:
    return any(kind.__name__ == "QdrantVectorStore" for kind in type(store).__mro__)


def _of_qdrant(store: Any) -> list[BaseNode]:  # noqa: ANN401 - Qdrant's class is not imported
    """Return all nodes of a collection; LlamaIndex lists 9,999 unless a limit is given."""
    if not store.client.collection_exists(store.collection_name):
        return []  # it is made when the first node is added
    held = store.client.count(store.collection_name).count
    nodes: list[BaseNode] = store.get_nodes(limit=held) if held else []
    return nodes
