"""Copies of LangChain's retrievers that return more documents.

A multi-query retriever puts the answers to its queries behind each other. With 100 documents each,
the second stage would read those of the first query alone, so a copy interleaves them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableBinding, RunnableWithFallbacks
from langchain_core.runnables.configurable import RunnableConfigurableFields
from langchain_core.vectorstores import VectorStoreRetriever
from pydantic import BaseModel

from runoff.langchain._convert import carried

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.documents import Document

# how retrievers name the number of documents they return
_COUNTS = ("k", "top_k", "top_n", "top_k_results", "limit")
# what MMR may choose from, for each document it returns
_FETCHED_PER_DOCUMENT = 2
_DEFAULT_FETCH_K = 20
_DEFAULT_K = 4  # of a vector store
_MULTI_QUERY = ("generate_queries", "retrieve_documents", "aretrieve_documents", "unique_union")


def search_kwargs(given: dict[str, Any], search_type: str, depth: int) -> dict[str, Any]:
    """Return a vector store's search arguments with `k` set to the depth.

    MMR chooses among `fetch_k` documents, 20 by default, so it is raised to twice the depth.
    """
    wide = {**given, "k": depth}
    if search_type == "mmr":
        fetched = max(given.get("fetch_k", _DEFAULT_FETCH_K), _FETCHED_PER_DOCUMENT * depth)
        wide["fetch_k"] = fetched
    return wide


def widened(retriever: Runnable[Any, Any], depth: int) -> Runnable[Any, Any] | None:
    """Return a copy of a retriever that returns up to `depth` documents; None if it cannot.

    It can widen LangChain's vector store retrievers, retrievers with a count of their own (`k`,
    `top_k`, `top_n`, ...), and what wraps them: ensembles, multi-query and multi-vector retrievers,
    fallbacks, retries, bindings and configurable fields.
    """
    if not isinstance(retriever, BaseModel):
        return None
    if isinstance(retriever, VectorStoreRetriever) or _has_search_kwargs(retriever):
        kind = getattr(retriever, "search_type", "similarity")
        kind = str(kind.value if isinstance(kind, Enum) else kind)
        wide = search_kwargs(getattr(retriever, "search_kwargs"), kind, depth)  # noqa: B009 - checked
        return changed_copy(retriever, {"search_kwargs": wide})
    if count := _counts(retriever):
        return changed_copy(retriever, {count: depth})
    parts = {
        name: [widened(one, depth) for one in several]
        for name, several in parts_of(retriever).items()
    }
    if not parts or any(one is None for several in parts.values() for one in several):
        return None
    copy = replaced_parts(retriever, parts)
    return _interleaved_queries(copy) if copy and _is_multi_query(copy) else copy


def _counts(retriever: BaseModel) -> str:
    """Return the name of the field that says how many documents a retriever returns."""
    fields = type(retriever).model_fields
    return next(
        (name for name in _COUNTS if name in fields and type(getattr(retriever, name)) is int), ""
    )


def _has_search_kwargs(retriever: BaseModel) -> bool:
    fields = type(retriever).model_fields
    return {"vectorstore", "search_kwargs"} <= fields.keys() and isinstance(
        getattr(retriever, "search_kwargs", None), dict
    )


def _holds(*names: str) -> Callable[[BaseModel], bool]:
    return lambda retriever: set(names) <= type(retriever).model_fields.keys()


_WRAPPERS: tuple[tuple[Callable[[BaseModel], bool], tuple[str, ...]], ...] = (
    (lambda one: isinstance(one, RunnableWithFallbacks), ("runnable", "fallbacks")),
    (lambda one: isinstance(one, RunnableConfigurableFields), ("default",)),
    (lambda one: isinstance(one, RunnableBinding) or _holds("bound")(one), ("bound",)),
    (_holds("retrievers"), ("retrievers",)),  # EnsembleRetriever, MergerRetriever
    (_holds("base_compressor", "base_retriever"), ("base_retriever",)),
    (_holds("retriever"), ("retriever",)),  # MultiQueryRetriever, RePhraseQueryRetriever
)


def parts_of(retriever: object) -> dict[str, list[Runnable[Any, Any]]]:
    """Return the retrievers inside one that only combines them, by field; empty for any other."""
    if not isinstance(retriever, BaseModel) or _counts(retriever) or _has_search_kwargs(retriever):
        return {}
    fields = next((fields for kind_of, fields in _WRAPPERS if kind_of(retriever)), ())
    held = {name: getattr(retriever, name) for name in fields}
    return {
        name: list(inner) if isinstance(inner, list | tuple) else [inner]
        for name, inner in held.items()
    }


def replaced_parts(
    retriever: Runnable[Any, Any], parts: dict[str, list[Any]]
) -> Runnable[Any, Any]:
    """Return a copy of a retriever with other retrievers inside, as `parts_of` returns them."""
    changes = {}
    for name, made in parts.items():
        held = getattr(retriever, name)
        changes[name] = type(held)(made) if isinstance(held, list | tuple) else made[0]
    assert isinstance(retriever, BaseModel)  # noqa: S101 - for mypy: only those have parts
    return changed_copy(retriever, changes)


def changed_copy(retriever: BaseModel, changes: dict[str, Any]) -> Runnable[Any, Any]:
    """Return a copy of a retriever with other values in some fields."""
    copy = retriever.model_copy(update=changes)
    if not isinstance(copy, Runnable):  # nothing else gets here
        raise TypeError(f"expected a runnable, got {type(copy).__name__}")
    return copy


def recall_of(retriever: object) -> int | None:
    """Return how many documents a retriever is set to return; None if it does not say.

    A retriever that merges several returns at most the sum of theirs.
    """
    if not isinstance(retriever, BaseModel):
        return None
    if isinstance(retriever, VectorStoreRetriever) or _has_search_kwargs(retriever):
        return int(getattr(retriever, "search_kwargs").get("k", _DEFAULT_K))  # noqa: B009 - checked
    if count := _counts(retriever):
        return int(getattr(retriever, count))
    for kind_of, fields in _WRAPPERS:
        if kind_of(retriever):
            inner = getattr(retriever, fields[0])
            several = inner if isinstance(inner, list | tuple) else (inner,)
            known = [count for count in map(recall_of, several) if count is not None]
            return sum(known) or None
    return None


def _is_multi_query(retriever: object) -> bool:
    """Whether a retriever is LangChain's `MultiQueryRetriever` or derives from it.

    That class has moved between LangChain's packages, so it is recognised by its methods.
    """
    return all(callable(getattr(type(retriever), name, None)) for name in _MULTI_QUERY)


def _interleaved_queries(retriever: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """Return a copy of a multi-query retriever whose answer begins with the best of every query."""
    copy: Any = retriever.model_copy()  # type: ignore[attr-defined] # it is a pydantic model
    object.__setattr__(copy, "__class__", _interleaving(type(retriever)))
    return copy  # type: ignore[no-any-return] # as above


@cache
def _interleaving(kind: Any) -> type:  # noqa: ANN401
    def retrieve_documents(self: Any, queries: list[str], run_manager: Any) -> list[Document]:  # noqa: ANN401
        lists = [kind.retrieve_documents(self, [query], run_manager) for query in queries]
        return _interleaved(lists)

    async def aretrieve_documents(
        self: Any,  # noqa: ANN401
        queries: list[str],
        run_manager: Any,  # noqa: ANN401
    ) -> list[Document]:
        lists = await asyncio.gather(
            *(kind.aretrieve_documents(self, [query], run_manager) for query in queries)
        )
        return _interleaved(lists)

    methods = {"retrieve_documents": retrieve_documents, "aretrieve_documents": aretrieve_documents}
    return type(kind.__name__, (kind,), {"__module__": __name__, **methods})


def _interleaved(lists: Sequence[Sequence[Document]]) -> list[Document]:
    """Return the documents of all lists, each once, by their best rank in any of them.

    Of documents with the same best rank, those that more queries found come first.
    """
    counts: Counter[str] = Counter()
    best: dict[str, tuple[int, int, Document]] = {}
    for number, found in enumerate(lists):
        keys = [carried(document).doc_id for document in found]
        counts.update(set(keys))
        for rank, (key, document) in enumerate(zip(keys, found, strict=True)):
            if key not in best or rank < best[key][0]:
                best[key] = (rank, number, document)
    order = sorted(best, key=lambda key: (best[key][0], -counts[key], best[key][1]))
    return [best[key][2] for key in order]
