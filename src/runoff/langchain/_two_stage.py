"""`two_stage`: what a user has, with its recall widened and a second stage behind it."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from runoff.langchain._filters import as_filter, filters_of
from runoff.langchain._retriever import TwoStageRetriever
from runoff.langchain._staged import StagedRetriever
from runoff.langchain._widen import recall_of
from runoff.pipeline._boundary import joined

_DEPTH = 100


_Ours = TypeVar("_Ours", bound=StagedRetriever)


@overload
def two_stage(target: _Ours, top_n: int = ..., **options: object) -> _Ours: ...  # type: ignore[overload-overlap] # ours are retrievers too
@overload
def two_stage(target: object, top_n: int = ..., **options: object) -> TwoStageRetriever: ...
def two_stage(target: Any, top_n: int = 5, **options: Any) -> Any:
    """Return a retriever with a second stage, and its recall widened.

    - A retriever, a vector store, or several of them become a `TwoStageRetriever`.
    - A retriever of runoff's, such as a `HybridRetriever`, becomes a copy with other options.
    - A retriever that compresses (it has a `base_compressor` and a `base_retriever`) keeps its
      compressor as the second stage unless `reranker=` replaces it.

    Args:
        target: a LangChain retriever, a runnable that answers like one, a vector store, or several
            of them in a list or by name; it is not changed.
        top_n: documents to return; `k` is another name for it.
        options: `depth` (100, or what the target retrieves already if that is more), and what
            `TwoStageRetriever` takes; `filters` are added to those the target has.

    Raises:
        InvalidArgument: names the argument, its value and what would be right.
    """
    options["top_n"] = options.pop("k", top_n)
    if isinstance(target, StagedRetriever):
        kept = {name: getattr(target, name) for name in type(target).model_fields}
        kept.pop("filter")
        more = (options.pop("filter", None), options.pop("filters", None))
        kept["filters"] = joined(*map(as_filter, (filters_of(target), *more)))
        return type(target)(**{**kept, **options})
    fields = getattr(type(target), "model_fields", {})
    if {"base_compressor", "base_retriever"} <= fields.keys():
        options.setdefault("reranker", target.base_compressor)
        target = target.base_retriever
    if options.get("depth") is None:
        options["depth"] = max(_DEPTH, recall_of(target) or 0)
    return TwoStageRetriever(retriever=target, **options)
