"""How many nodes a LlamaIndex retriever returns, and copies of it that return more.

Retrievers are never changed: widening copies a retriever and the retrievers that it wraps.
"""

from __future__ import annotations

import copy
import sys
from typing import TYPE_CHECKING, Protocol, TypeGuard, runtime_checkable

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.indices.empty.retrievers import EmptyIndexRetriever
from llama_index.core.indices.list.retrievers import SummaryIndexRetriever
from llama_index.core.indices.tree.all_leaf_retriever import TreeAllLeafRetriever
from llama_index.core.indices.vector_store.retrievers import VectorIndexRetriever
from llama_index.core.retrievers import (
    AutoMergingRetriever,
    QueryFusionRetriever,
    RecursiveRetriever,
    RouterRetriever,
    TransformRetriever,
)
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from runoff.errors import FilterNotSupported, InvalidArgument
from runoff.filters import Filter
from runoff.llama_index._filters import as_filter
from runoff.llama_index._pushed import pushed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llama_index.core.vector_stores.types import MetadataFilters

# they return all nodes (or none), so there is nothing to widen
_WHOLE = (SummaryIndexRetriever, TreeAllLeafRetriever, EmptyIndexRetriever)
_KNOBS = ("similarity_top_k", "_similarity_top_k")
_PARTS = {
    *("where", "where_document", "namespace", "tenant", "partition_name", "partition_names"),
    *("shard_identifier", "string_expr", "expr"),
}
_LIMITS = ("_hybrid_top_k", "_sparse_top_k", "_image_similarity_top_k")


@runtime_checkable
class Widenable(Protocol):
    """A retriever of runoff's, which makes its own widened copy."""

    def widened(self, depth: int) -> BaseRetriever:
        """Return a copy that returns `depth` nodes."""
        ...

    def narrowed(self, filters: Filter) -> BaseRetriever:
        """Return a copy with one more filter."""
        ...

    @property
    def filters(self) -> Filter | None:
        """Which nodes may be returned by any query."""
        ...


def recall_of(retriever: BaseRetriever) -> int | None:
    """Return how many nodes a retriever is set to return; None if it does not say."""
    knob = _knob(retriever)
    if knob:
        return int(getattr(retriever, knob))
    known = [count for count in map(recall_of, _inner(retriever)) if count is not None]
    return max(known, default=None)


def widened(retriever: BaseRetriever, depth: int) -> BaseRetriever | None:
    """Return a copy that returns `depth` nodes; None if the retriever cannot be widened.

    The retrievers inside a composite are widened too: all of a `QueryFusionRetriever` and a
    `RouterRetriever`, the leaves below an `AutoMergingRetriever`, the root of a
    `RecursiveRetriever` (each of its hits may be a search of its own).
    """
    if isinstance(retriever, _WHOLE):
        return retriever
    if isinstance(retriever, Widenable):
        return retriever.widened(depth)
    clone = copy.copy(retriever)
    inner = _inner(retriever)
    if inner:
        wide = [found for one in inner if (found := widened(one, depth)) is not None]
        if len(wide) < len(inner):
            return None
        _rewrap(clone, wide)
    knob = _knob(retriever)
    if knob:
        setattr(clone, knob, min(depth, _ceiling(retriever)))
        for limit in _LIMITS:
            value = getattr(clone, limit, None)
            if isinstance(value, int) and value < depth:
                setattr(clone, limit, depth)
    return clone if knob or inner else None


def _knob(retriever: BaseRetriever) -> str:
    return next((name for name in _KNOBS if isinstance(getattr(retriever, name, None), int)), "")


def _inner(retriever: BaseRetriever) -> list[BaseRetriever]:
    if isinstance(retriever, AutoMergingRetriever):
        return [retriever._vector_retriever]  # noqa: SLF001
    if isinstance(retriever, TransformRetriever):
        return [retriever._retriever]  # noqa: SLF001
    if isinstance(retriever, RecursiveRetriever):
        return [retriever._retriever_dict[retriever._root_id]]  # noqa: SLF001
    if isinstance(retriever, QueryFusionRetriever | RouterRetriever):
        return list(retriever._retrievers)  # noqa: SLF001
    return []


def _rewrap(clone: BaseRetriever, inner: list[BaseRetriever]) -> None:
    """Replace the retrievers that `_inner` finds in a copy."""
    if isinstance(clone, RecursiveRetriever):
        clone._retriever_dict = {**clone._retriever_dict, clone._root_id: inner[0]}  # noqa: SLF001
        return
    attribute = next(
        name for name in ("_vector_retriever", "_retriever", "_retrievers") if hasattr(clone, name)
    )
    setattr(clone, attribute, inner if attribute == "_retrievers" else inner[0])


def _ceiling(retriever: BaseRetriever) -> int:
    """Return the most nodes a retriever can return: bm25s refuses more than it has indexed."""
    scores = getattr(getattr(retriever, "bm25", None), "scores", None)
    known = scores.get("num_docs") if isinstance(scores, dict) else None
    return int(known) if known else sys.maxsize


def takes_filters(retriever: BaseRetriever) -> TypeGuard[VectorIndexRetriever]:
    """Whether a retriever takes filters; its store may still refuse them."""
    return isinstance(retriever, VectorIndexRetriever)


def narrowed(retriever: BaseRetriever, wanted: Filter) -> BaseRetriever:
    """Return a copy in which every retriever that takes a filter honours it, in addition.

    Those that take none, or whose store cannot be asked, are left as they are: the results must be
    checked.
    """
    if isinstance(retriever, Widenable):
        return retriever.narrowed(wanted)
    if takes_filters(retriever):
        asked = pushed(retriever, wanted)
        return retriever if asked is None or asked.empty else asked.retriever
    inner = _inner(retriever)
    if not inner:
        return retriever
    clone = copy.copy(retriever)
    _rewrap(clone, [narrowed(part, wanted) for part in inner])
    return clone


def check_own_filters(named: Mapping[str, object], shared: Filter | None) -> None:
    """Refuse several retrievers, or one that combines several, if a filter does not reach all.

    Args:
        named: the retrievers and sources by name.
        shared: the filter that reaches all of them anyway.

    Raises:
        InvalidArgument: names the filter and its retriever.
    """
    leaves = [leaf for name, one in named.items() for leaf in _leaves(name, one)]
    held = [(name, None if own == shared else own) for name, own in leaves]
    if any(own != held[0][1] for _, own in held):
        name, own = next(leaf for leaf in held if leaf[1] is not None)
        argument = next(iter(own)) if isinstance(own, dict) else "filters"
        remedy = (
            "filters only this retriever and not those beside it: pass filters= to the two-stage "
            "retriever instead, which reaches all of them"
        )
        raise InvalidArgument(f"{name}: {argument}", own, remedy)


def own_filter(retriever: BaseRetriever) -> Filter | None:
    """Return the filter that a retriever has, if runoff has such a filter."""
    own = next(_leaves("", retriever))[1]
    return own if isinstance(own, Filter) else None


def _leaves(name: str, one: object) -> Iterator[tuple[str, object]]:
    """Yield the retrievers that are asked in the end, by name, with the filters they have."""
    if not isinstance(one, BaseRetriever):
        yield name, None
    elif isinstance(one, Widenable):
        yield name, one.filters
    elif takes_filters(one):
        yield name, _restriction(one)
    elif inner := _inner(one):
        for part in inner:
            yield from _leaves(f"{name} ({type(part).__name__})", part)
    else:
        yield name, None


def _restriction(one: VectorIndexRetriever) -> object:
    """Return a filter to compare, with what else makes a retriever return only some nodes."""
    own, given = _read(one._filters), one._kwargs  # noqa: SLF001
    parts = {"node_ids": _chosen(one), "doc_ids": one._doc_ids}  # noqa: SLF001
    parts |= {name: value for name, value in given.items() if _is_restriction(name)}
    held = {name: value for name, value in parts.items() if value is not None}
    return held | ({} if own is None else {"filters": own}) if held else own


def _chosen(one: VectorIndexRetriever) -> object:
    """Return the ids of the nodes it may return, unless those are all that its index had.

    An index over a store without text gives each of its retrievers the ids of all nodes; since then
    nodes may have been added behind them, and removed.
    """
    asked = one._node_ids  # noqa: SLF001
    if asked is None:
        return None
    every = list(one._index.index_struct.nodes_dict.values())  # noqa: SLF001
    there = set(every)
    left = [node_id for node_id in asked if node_id in there]
    return None if left == every[: len(left)] else asked


def _is_restriction(name: str) -> bool:
    """Whether an argument of a vector store says which nodes it returns, or chooses its part."""
    return "filter" in name or name in _PARTS


def _read(own: MetadataFilters | None) -> object:
    """Return a filter to compare: runoff's, or LlamaIndex's own if runoff has no such filter."""
    try:
        return as_filter(own)
    except FilterNotSupported:
        return own


def returns_all_it_finds(retriever: BaseRetriever) -> bool:
    """Return whether fewer nodes than asked for mean that there are no more.

    That is not so where nodes are merged into their parents, or stand for others.
    """
    if isinstance(retriever, AutoMergingRetriever | RecursiveRetriever):
        return False
    return all(map(returns_all_it_finds, _inner(retriever)))


def awaitable(retriever: BaseRetriever) -> bool:
    """Whether awaiting a retriever leaves the event loop free, judged by its classes.

    LlamaIndex's defaults run synchronous code on the loop: `BaseRetriever._aretrieve`, and the
    `aquery` that a vector store inherits, such as Chroma's.
    """
    if type(retriever)._aretrieve is BaseRetriever._aretrieve:  # noqa: SLF001
        return False
    if isinstance(retriever, VectorIndexRetriever):
        store = retriever._vector_store  # noqa: SLF001
        if getattr(store, "_aclient", store) is None:  # Qdrant's, made with a synchronous client
            return False
        return getattr(type(store), "aquery", None) is not BasePydanticVectorStore.aquery
    if isinstance(retriever, QueryFusionRetriever | RouterRetriever):
        return all(map(awaitable, retriever._retrievers))  # noqa: SLF001
    return True
