"""`TwoStageRetriever`: any LangChain retrievers, recalled wide and reranked sharp."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable
from langchain_core.vectorstores import VectorStore
from pydantic import model_validator

from runoff.errors import InvalidArgument
from runoff.langchain._sources import as_retriever
from runoff.langchain._staged import StagedRetriever
from runoff.langchain._widen import widened
from runoff.protocols import RecallSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langchain_core.documents import Document as LangChainDocument

__all__ = ["TwoStageRetriever", "two_stage"]

# what sources of these classes are called where nobody names them
_FAMILIAR = {"BM25": "bm25", "BM25Retriever": "bm25", "VectorStoreRetriever": "dense"}


class TwoStageRetriever(StagedRetriever):
    """Recall wide with one or several retrievers, rerank, and return the best.

    The retrievers are asked for `depth` documents each, through copies whose own limits (`k`, MMR's
    `fetch_k`) are raised; one that cannot be widened is named in a warning. What several of them
    find is fused. Results are copies; `metadata["relevance_score"]` and provenance are as described
    for `RunoffRerank`. A retriever that fails or is late is left out, if another answered.

    Args:
        retriever: a LangChain retriever, a runnable that answers like one, a vector store, or one
            of runoff's sources.
        retrievers: several of them, by name or in a list.
        reranker: as for `RunoffRerank`; None for recall and fusion alone.
        fusion: how several retrievers' orders become one; RRF by default.
        k: documents to return; `top_n` is another name for it.
        depth: documents asked of each retriever.
        window: candidates the reranker reads.
        timeout: seconds for the whole call; the answer is the best that fits. None for no limit.
        on_error, threshold, blend, text_template, group: as for `RunoffRerank`.
        id_key: the metadata field that identifies a document across retrievers; without it ids do
            when every retriever supplies them, else the texts.
        translate_filter: makes a vector store's search arguments of one of `runoff.filters`, for
            stores that are not known here (Chroma, FAISS, Qdrant and `InMemoryVectorStore` are).

    Raises:
        InvalidArgument: names the argument, its value and what would be right.
    """

    retriever: Any = None
    retrievers: Any = None
    id_key: str | None = None
    translate_filter: Any = None

    @model_validator(mode="after")
    def _check_retrievers(self) -> TwoStageRetriever:
        if (self.retriever is None) == (self.retrievers is None):
            remedy = "give either retriever= or retrievers="
            raise InvalidArgument("retriever", self.retriever, remedy)
        if self.translate_filter is not None and not callable(self.translate_filter):
            remedy = "must be a function from a filter to search arguments"
            raise InvalidArgument("translate_filter", self.translate_filter, remedy)
        if self.retrievers is None:
            self.__dict__["retriever"] = _checked("retriever", self.retriever)
        else:
            self.__dict__["retrievers"] = _named(self.retrievers)
        for name, part in self._parts().items():
            if _is_fixed(part, self.depth):
                warnings.warn(
                    f"{name} ({type(part).__name__}) cannot be asked for more documents: the "
                    "second stage sees only as many as it returns by itself",
                    stacklevel=5,
                )
        return self

    def _parts(self) -> Mapping[str, Runnable[str, list[LangChainDocument]] | RecallSource]:
        if self.retrievers is not None:
            parts: dict[str, Any] = self.retrievers
            return parts
        return {_name(self.retriever): self.retriever}

    def _source(self, name: str, part: Any, **how: Any) -> RecallSource:  # noqa: ANN401 - as above
        if isinstance(part, Runnable):
            how |= {"id_key": self.id_key, "translate": self.translate_filter}
        return super()._source(name, part, **how)


def _checked(argument: str, part: object) -> object:
    if isinstance(part, RecallSource) and not isinstance(part, type | Runnable):
        return part
    return as_retriever(argument, part)


def _named(parts: object) -> dict[str, object]:
    if isinstance(parts, dict):
        named = parts
        unfit = next((name for name in named if not isinstance(name, str) or not name), None)
        if unfit is not None:
            raise InvalidArgument("retrievers", unfit, "a name must be a non-empty string")
    elif isinstance(parts, list | tuple):
        named = _by_class(parts)
    else:
        remedy = "must be a list of retrievers, or a dict of names and retrievers"
        raise InvalidArgument("retrievers", parts, remedy)
    if not named:
        raise InvalidArgument("retrievers", parts, "needs at least one retriever")
    return {name: _checked(f"retrievers[{name!r}]", part) for name, part in named.items()}


def _by_class(parts: Iterable[object]) -> dict[str, object]:
    named: dict[str, object] = {}
    for part in parts:
        name, seen = _name(part), 1
        while name in named:
            seen += 1
            name = f"{_name(part)}#{seen}"
        named[name] = part
    return named


def _name(part: object) -> str:
    if isinstance(part, VectorStore):
        return "dense"
    name = part.get_name() if isinstance(part, BaseRetriever) else type(part).__name__
    return _FAMILIAR.get(name, name)


def _is_fixed(part: object, depth: int) -> bool:
    return (
        isinstance(part, Runnable)
        and not getattr(part, "takes_depth", False)
        and widened(part, depth) is None
    )


def two_stage(retriever: Any, *, top_n: int = 5, **options: Any) -> TwoStageRetriever:  # noqa: ANN401 - many kinds
    """Give a retriever a second stage, and widen its recall.

    A retriever that compresses (it has a `base_compressor` and a `base_retriever`) keeps its
    compressor as the second stage unless `reranker=` replaces it, and its recall is widened.

    Args:
        retriever: a LangChain retriever, a runnable that answers like one, a vector store, or
            several of them in a list or a dict.
        top_n: documents to return.
        options: everything else `TwoStageRetriever` takes: `reranker`, `depth`, `window`,
            `timeout`, `fusion`, `on_error`, `threshold`, `blend`, `text_template`, ...

    Returns:
        A new retriever; what was given is not changed.

    Raises:
        InvalidArgument: names the argument, its value and what would be right.
    """
    options["k"] = options.pop("k", top_n)
    if isinstance(retriever, dict | list | tuple):
        return TwoStageRetriever(retrievers=retriever, **options)
    if isinstance(retriever, TwoStageRetriever):
        kept = {name: getattr(retriever, name) for name in type(retriever).model_fields}
        return type(retriever)(**{**kept, **options})
    fields = getattr(type(retriever), "model_fields", {})
    if {"base_compressor", "base_retriever"} <= fields.keys():
        options.setdefault("reranker", retriever.base_compressor)
        return TwoStageRetriever(retriever=retriever.base_retriever, **options)
    return TwoStageRetriever(retriever=retriever, **options)
