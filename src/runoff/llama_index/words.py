"""Nodes as documents of a BM25 index, which carries them to the disk and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llama_index.core.schema import NodeWithScore

from runoff.llama_index.convert import NodeDocument, plain_node
from runoff.llama_index.stored import NODE, to_json
from runoff.provenance import without

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llama_index.core.schema import BaseNode

    from runoff.llama_index.convert import Reading
    from runoff.recall.bm25 import BM25

__all__ = ["nodes_of", "to_documents"]


class NodeMetadata(Mapping[str, Any]):
    """A node's metadata, and under one more key the whole node as JSON, made when asked for.

    BM25 filters by its documents' metadata and saves them: that way one directory holds words and
    nodes, and memory holds each node once.

    Args:
        node: the node.
    """

    __slots__ = ("_node",)

    def __init__(self, node: BaseNode) -> None:
        self._node = node

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - any metadata
        return to_json(self._node) if name == NODE else self._node.metadata[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._node.metadata
        yield NODE

    def __len__(self) -> int:
        return len(self._node.metadata) + 1


def to_documents(nodes: Iterable[BaseNode], reading: Reading) -> list[NodeDocument]:
    """Return a document for each node, over a copy without embedding and provenance."""
    documents = []
    for node in nodes:
        own = node.model_copy(update={"metadata": without(node.metadata), "embedding": None})
        read = reading.document(NodeWithScore(node=own))
        documents.append(
            NodeDocument(
                read.doc_id, read.text, NodeMetadata(own), image=read.image, node=read.node
            )
        )
    return documents


def nodes_of(bm25: BM25, ref_doc_id: str) -> list[str]:
    """Return the ids of the nodes that were made of one source document."""
    return [
        document.doc_id
        for document in bm25.documents()
        if plain_node(document).node.ref_doc_id == ref_doc_id
    ]
