"""Nodes as documents of a BM25 index, which saves and loads them too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import IndexNode, NodeWithScore

from runoff._util.isolated import frozen
from runoff._util.provenance import without
from runoff.llama_index._convert import (
    NODE,
    NodeDocument,
    plain_node,
    to_bundle,
    to_hits,
    to_json,
)
from runoff.pipeline._drift import Present
from runoff.pipeline._sources import Current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from llama_index.core.schema import BaseNode, QueryBundle

    from runoff.deadline import Deadline
    from runoff.llama_index._convert import Reading
    from runoff.recall._bm25.bm25 import BM25
    from runoff.types import Hit, Query

_FOLLOW = "_runoff_follow"


class NodeMetadata(Mapping[str, Any]):
    """A node's metadata, with the whole node as JSON under one more key, written on access.

    BM25 filters by its documents' metadata and saves it: so one directory holds the BM25 index and
    the nodes, and memory holds each node once.

    Args:
        node: the node.
    """

    __slots__ = ("_node",)

    def __init__(self, node: BaseNode) -> None:
        self._node = node

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        if name == NODE:
            return to_json(self._node)
        if name == _FOLLOW and isinstance(self._node, IndexNode):
            return True
        return self._node.metadata[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._node.metadata
        yield NODE
        if isinstance(self._node, IndexNode):
            yield _FOLLOW

    def __len__(self) -> int:
        return len(self._node.metadata) + 1 + isinstance(self._node, IndexNode)


def to_documents(nodes: Iterable[BaseNode], reading: Reading) -> list[NodeDocument]:
    """Return a document for each node, over a copy without embedding and provenance."""
    documents = []
    for node in nodes:
        metadata = frozen(without(node.metadata))
        own = node.model_copy(update={"metadata": metadata, "embedding": None})
        read = reading.document(NodeWithScore(node=own))
        documents.append(
            NodeDocument(
                read.doc_id, read.text, NodeMetadata(own), image=read.image, node=read.node
            )
        )
    return documents


class _Follower(BaseRetriever):
    """Gives access to LlamaIndex's own code that follows index nodes."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        raise NotImplementedError

    def follow(self, query: Query, nodes: list[NodeWithScore]) -> list[NodeWithScore]:
        return self._handle_recursive_retrieval(to_bundle(query), nodes)


@dataclass(frozen=True, slots=True, eq=False)
class WordSource:
    """A BM25 index over nodes as a source; index nodes that it finds are followed.

    Attributes:
        bm25: the index.
        reading: how nodes become text.
        objects: returns the targets of index nodes without an object of their own, by `index_id`.
        stored: returns the vector index's metadata by node id.
        absent: returns which of these ids the vector index does not have.
    """

    bm25: BM25
    reading: Reading
    objects: Callable[[], dict[str, Any]]
    stored: Callable[[list[str]], Mapping[str, Mapping[str, Any]]]
    absent: Callable[[list[str]], AbstractSet[str]]

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Return at most `depth` hits, best first."""
        current = Current(Present(self.bm25, self.absent), self.stored)
        hits = current.retrieve(query, depth=depth, deadline=deadline)
        if not any(_FOLLOW in hit.document.metadata for hit in hits):
            return hits
        found = [
            plain_node(hit.document).model_copy(update={"score": float(hit.score)}) for hit in hits
        ]
        followed = _Follower(object_map=self.objects()).follow(query, found)
        if query.filters is not None:  # the node behind a reference must pass, too
            followed = [one for one in followed if query.filters.matches(one.node.metadata)]
        return to_hits(followed[:depth], self.reading)

    @property
    def query_characters(self) -> int:
        """How many characters of a query the index reads with a deadline."""
        return self.bm25.query_characters

    def warmup(self) -> None:
        self.bm25.warmup()


def nodes_of(bm25: BM25, ref_doc_id: str) -> list[str]:
    """Return the ids of the nodes made from one source document."""
    return [
        document.doc_id
        for document in bm25.documents()
        if plain_node(document).node.ref_doc_id == ref_doc_id
    ]
