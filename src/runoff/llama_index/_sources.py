"""LlamaIndex's retrievers and indexes as sources of a runoff pipeline."""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runoff._util.messages import error_text
from runoff.errors import FilterNotSupported, RunoffError
from runoff.llama_index._convert import Reading, to_bundle, to_hits
from runoff.llama_index._filters import to_metadata_filters
from runoff.llama_index._widen import (
    awaitable,
    check_negation,
    filtered,
    narrowed,
    returns_all_it_finds,
    takes_filters,
    widened,
)
from runoff.pipeline._sources import cannot_widen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.indices.base import BaseIndex
    from llama_index.core.schema import NodeWithScore

    from runoff.deadline import Deadline
    from runoff.types import Hit, Query

_WIDEN = 4
_MOST = 10_000  # nodes asked for to find what a filter keeps

__all__ = ["AwaitableSource", "RetrieverSource", "index_source", "source_of"]


@dataclass(frozen=True, slots=True, eq=False)
class RetrieverSource:
    """A LlamaIndex retriever as a source; the pipeline runs it in a worker thread.

    Its public `retrieve` is called, so that index nodes are followed before reranking. Every call
    gets its own query bundle and its own copy of the retriever.

    Attributes:
        retriever: the retriever.
        reading: how its nodes become text.
    """

    retriever: BaseRetriever
    reading: Reading = field(default_factory=Reading)

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Return at most `depth` hits in the retriever's order.

        If the store refuses a filter, or LlamaIndex cannot express it, more nodes are retrieved
        without it and filtered here, until there are enough or no more. So it is with retrievers
        that take no filters, and with those that combine others.

        Raises:
            FilterNotSupported: the query has filters, and the retriever takes none and cannot be
                widened, or they keep too few of 10,000 nodes, or the nodes have no metadata.
        """
        del deadline  # LlamaIndex's retrievers take none; the pipeline leaves a late one behind
        bundle = to_bundle(query)
        if query.filters is not None and self._combines:
            before, push = 0, True
            for wide in (depth, *_wider(depth)):
                try:
                    with _named(query):
                        nodes = self._narrowed(query, wide, push=push).retrieve(bundle)
                except FilterNotSupported:
                    if not push:
                        raise
                    push = False  # a store inside refuses it
                    nodes = self._narrowed(query, wide, push=push).retrieve(bundle)
                if self._complete(nodes, query, (depth, wide, before)):
                    break
                before = len(nodes)
            return self._hits(nodes, query, depth)
        try:
            with _named(query):
                nodes = self._prepared(query, depth).retrieve(bundle)
        except AssertionError as error:
            nodes = _nothing_found(error)
        except FilterNotSupported as refused:
            for wide in _wider(depth):
                nodes = self._unfiltered(wide, refused).retrieve(bundle)
                if _enough(nodes, query, depth, wide):
                    break
            else:
                raise
        return self._hits(nodes, query, depth)

    def _prepared(self, query: Query, depth: int) -> BaseRetriever:
        retriever = widened(self.retriever, depth) or self.retriever
        if query.filters is not None:
            retriever = filtered(retriever, query.filters, to_metadata_filters(query.filters))
        return retriever

    @property
    def _combines(self) -> bool:
        """Whether filters are passed on to retrievers inside, and results sifted."""
        return not takes_filters(self.retriever)

    def _narrowed(self, query: Query, depth: int, *, push: bool) -> BaseRetriever:
        retriever, wanted = widened(self.retriever, depth), query.filters
        assert wanted is not None  # noqa: S101 - for mypy: it is only called with a filter
        if retriever is None:
            remedy = (
                f"{type(self.retriever).__name__} takes no filters, and cannot be asked for more "
                "nodes to choose from: set them when you make it"
            )
            raise FilterNotSupported("filters", wanted, remedy)
        if not push:
            return retriever
        try:
            more = to_metadata_filters(wanted)
        except FilterNotSupported:
            more = None  # LlamaIndex cannot express it: all results are checked anyway
        return narrowed(retriever, wanted, more)

    def _complete(
        self, nodes: Sequence[NodeWithScore], query: Query, counts: tuple[int, int, int]
    ) -> bool:
        """Return whether enough nodes pass the filter, or there are no more.

        Args:
            nodes: what was found.
            query: the query, with the filter.
            counts: how many are wanted, how many were asked for, and how many the call before
                found.
        """
        depth, wide, before = counts
        keep = query.filters
        if nodes and not any(one.node.metadata for one in nodes):
            remedy = "the nodes have no metadata, which a filter could check"
            raise FilterNotSupported("filters", keep, remedy)
        if sum(keep is None or keep.matches(one.node.metadata) for one in nodes) >= depth:
            return True
        if returns_all_it_finds(self.retriever):
            return len(nodes) < wide
        return len(nodes) <= before

    def _unfiltered(self, depth: int, refused: FilterNotSupported) -> BaseRetriever:
        """Return a retriever without the query's filters, whose results can be filtered here."""
        retriever = widened(self.retriever, depth)
        if retriever is None or not takes_filters(retriever):
            raise refused
        return retriever

    def _hits(self, nodes: Sequence[NodeWithScore], query: Query, depth: int) -> Sequence[Hit]:
        if query.filters is not None:  # stores differ in how they treat a missing field
            nodes = [one for one in nodes if query.filters.matches(one.node.metadata)]
        return to_hits(nodes[:depth], self.reading)


def _wider(depth: int) -> Iterator[int]:
    """Yield how many nodes to retrieve when the filter is applied afterwards."""
    while depth < _MOST:
        depth *= _WIDEN
        yield depth


def _enough(nodes: Sequence[NodeWithScore], query: Query, depth: int, wide: int) -> bool:
    """Whether the filter keeps enough nodes, or the store has no more."""
    keep = query.filters
    kept = sum(keep is None or keep.matches(one.node.metadata) for one in nodes)
    return kept >= depth or len(nodes) < wide


def _nothing_found(error: AssertionError) -> list[NodeWithScore]:
    """Return no nodes if LlamaIndex 0.13 asserted, for its log, that a store is not empty."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or last.tb_frame.f_code.co_name != "log_vector_store_query_result":
        raise error
    return []


@contextmanager
def _named(query: Query) -> Iterator[None]:
    """Raise a store's refusal of a filter as `FilterNotSupported`; stores raise various errors."""
    try:
        yield
    except (ValueError, NotImplementedError, AttributeError, AssertionError) as error:
        # an old core asserts, without a message, that a filter keeps something
        refused = isinstance(error, AssertionError) or re.search(
            "filter|operator|operand", str(error), re.IGNORECASE
        )
        if query.filters is None or isinstance(error, RunoffError) or not refused:
            raise
        remedy = f"this store cannot apply it: {error_text(error)}"
        raise FilterNotSupported("filters", query.filters, remedy) from error


@dataclass(frozen=True, slots=True, eq=False)
class AwaitableSource(RetrieverSource):
    """A LlamaIndex retriever whose `aretrieve` does not block the event loop."""

    async def aretrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Do what `retrieve` does, awaited."""
        del deadline  # as in `retrieve`
        bundle = to_bundle(query)
        if query.filters is not None and self._combines:
            before, push = 0, True
            for wide in (depth, *_wider(depth)):
                try:
                    with _named(query):
                        nodes = await self._narrowed(query, wide, push=push).aretrieve(bundle)
                except FilterNotSupported:
                    if not push:
                        raise
                    push = False  # a store inside refuses it
                    nodes = await self._narrowed(query, wide, push=push).aretrieve(bundle)
                if self._complete(nodes, query, (depth, wide, before)):
                    break
                before = len(nodes)
            return self._hits(nodes, query, depth)
        try:
            with _named(query):
                nodes = await self._prepared(query, depth).aretrieve(bundle)
        except AssertionError as error:
            nodes = _nothing_found(error)
        except FilterNotSupported as refused:
            for wide in _wider(depth):
                nodes = await self._unfiltered(wide, refused).aretrieve(bundle)
                if _enough(nodes, query, depth, wide):
                    break
            else:
                raise
        return self._hits(nodes, query, depth)


@dataclass(frozen=True, slots=True, eq=False)
class IndexSource(RetrieverSource):
    """A LlamaIndex index as a source, with a new retriever for each search.

    A retriever of an index over a store without text finds only the nodes that existed when it was
    made.

    Attributes:
        index: the index.
    """

    index: BaseIndex[Any] = field(kw_only=True)

    def _prepared(self, query: Query, depth: int) -> BaseRetriever:
        wanted: dict[str, Any] = {"similarity_top_k": depth}
        if query.filters is not None:
            check_negation(getattr(self.index, "vector_store", None), query.filters)
            wanted["filters"] = to_metadata_filters(query.filters)
        return self.index.as_retriever(**wanted)

    def _unfiltered(self, depth: int, refused: FilterNotSupported) -> BaseRetriever:  # noqa: ARG002 - see above
        return self.index.as_retriever(similarity_top_k=depth)


@dataclass(frozen=True, slots=True, eq=False)
class AwaitableIndexSource(IndexSource, AwaitableSource):
    """An index whose retrievers' `aretrieve` does not block the event loop."""


def index_source(index: BaseIndex[Any], reading: Reading) -> IndexSource:
    """Return an index as a source."""
    retriever = index.as_retriever()
    kind = AwaitableIndexSource if awaitable(retriever) else IndexSource
    return kind(retriever, reading, index=index)


def source_of(retriever: BaseRetriever, reading: Reading, name: str, depth: int) -> RetrieverSource:
    """Return a retriever as a source; warn if its recall cannot be widened.

    Args:
        retriever: the retriever.
        reading: how its nodes become text.
        name: its name in the pipeline.
        depth: how many hits will be asked of it.
    """
    if widened(retriever, depth) is None:
        warnings.warn(cannot_widen(name, retriever, depth), UserWarning, stacklevel=6)
    return (AwaitableSource if awaitable(retriever) else RetrieverSource)(retriever, reading)
