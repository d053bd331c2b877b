"""LlamaIndex's retrievers and ready lists of nodes as sources of a runoff pipeline."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runoff.llama_index.convert import Reading, to_bundle, to_hits
from runoff.llama_index.filters import to_metadata_filters
from runoff.llama_index.widen import awaitable, filtered, widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.indices.base import BaseIndex
    from llama_index.core.schema import NodeWithScore

    from runoff.deadline import Deadline
    from runoff.types import Hit, Query

__all__ = ["AwaitableSource", "Given", "RetrieverSource", "index_source", "source_of"]


@dataclass(frozen=True, slots=True)
class Given:
    """Hits that are there already, in the order given: what a postprocessor was handed."""

    hits: Sequence[Hit]
    keeps_deadline = True

    def retrieve(
        self,
        query: Query,
        *,
        depth: int,
        deadline: Deadline | None = None,  # noqa: ARG002 - the hits are there already
    ) -> Sequence[Hit]:
        """Return the first `depth` of those that the query's filters keep."""
        hits, keep = self.hits, query.filters
        if keep is not None:
            hits = [hit for hit in hits if keep.matches(hit.document.metadata)]
        return hits[:depth]

    async def aretrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Return the first `depth` of those that the query's filters keep."""
        return self.retrieve(query, depth=depth, deadline=deadline)


@dataclass(frozen=True, slots=True, eq=False)
class RetrieverSource:
    """A LlamaIndex retriever as a source; the pipeline runs it in a worker thread.

    Its public `retrieve` is called, so index nodes are followed before anything is reranked, and
    every call gets a query bundle and a copy of the retriever of its own.

    Attributes:
        retriever: what is asked.
        reading: how its nodes become text.
    """

    retriever: BaseRetriever
    reading: Reading = field(default_factory=Reading)

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Return at most `depth` hits in the retriever's order.

        Raises:
            FilterNotSupported: the query has filters and the retriever takes none.
        """
        del deadline  # LlamaIndex's retrievers know none; the pipeline leaves a late one behind
        nodes = self._prepared(query, depth).retrieve(to_bundle(query))
        return self._hits(nodes, query, depth)

    def _prepared(self, query: Query, depth: int) -> BaseRetriever:
        retriever = widened(self.retriever, depth) or self.retriever
        if query.filters is not None:
            more = to_metadata_filters(query.filters)
            retriever = filtered(retriever, query.filters, more)
        return retriever

    def _hits(self, nodes: Sequence[NodeWithScore], query: Query, depth: int) -> Sequence[Hit]:
        if query.filters is not None:  # stores differ in what they make of a missing field
            nodes = [one for one in nodes if query.filters.matches(one.node.metadata)]
        return to_hits(nodes[:depth], self.reading)


@dataclass(frozen=True, slots=True, eq=False)
class AwaitableSource(RetrieverSource):
    """A LlamaIndex retriever whose `aretrieve` does not block the event loop."""

    async def aretrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Do what `retrieve` does, awaited."""
        del deadline  # as in `retrieve`
        nodes = await self._prepared(query, depth).aretrieve(to_bundle(query))
        return self._hits(nodes, query, depth)


@dataclass(frozen=True, slots=True, eq=False)
class IndexSource(RetrieverSource):
    """A LlamaIndex index as a source, asked through a new retriever each time.

    A retriever of an index over a store without text knows the nodes that were there when it was
    made; a new one knows all.

    Attributes:
        index: what is asked.
    """

    index: BaseIndex[Any] = field(kw_only=True)

    def _prepared(self, query: Query, depth: int) -> BaseRetriever:
        wanted: dict[str, Any] = {"similarity_top_k": depth}
        if query.filters is not None:
            wanted["filters"] = to_metadata_filters(query.filters)
        return self.index.as_retriever(**wanted)


@dataclass(frozen=True, slots=True, eq=False)
class AwaitableIndexSource(IndexSource, AwaitableSource):
    """An index whose retrievers' `aretrieve` does not block the event loop."""


def index_source(index: BaseIndex[Any], reading: Reading) -> IndexSource:
    """Return an index as a source."""
    retriever = index.as_retriever()
    kind = AwaitableIndexSource if awaitable(retriever) else IndexSource
    return kind(retriever, reading, index=index)


def source_of(retriever: BaseRetriever, reading: Reading, name: str, depth: int) -> RetrieverSource:
    """Return a retriever as a source; warn where its recall cannot be widened.

    Args:
        retriever: what is asked.
        reading: how its nodes become text.
        name: what the pipeline calls it.
        depth: the hits that will be asked of it.
    """
    if widened(retriever, depth) is None:
        warnings.warn(
            f"the recall of {name!r} ({type(retriever).__name__}) cannot be widened to {depth}: "
            "make it return more nodes yourself, or the second stage has little to choose from",
            UserWarning,
            stacklevel=4,
        )
    return (AwaitableSource if awaitable(retriever) else RetrieverSource)(retriever, reading)
