"""LangChain's retrievers as sources of a runoff pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.documents import Document as LangChainDocument
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.runnables.config import merge_configs, patch_config
from langchain_core.runnables.configurable import DynamicRunnable
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever

from runoff._waiting import workers
from runoff.errors import FilterNotSupported, InvalidArgument
from runoff.langchain._convert import carried
from runoff.langchain._filters import as_filter, joined, store_kwargs
from runoff.langchain._scoring import (
    ScoredRetriever,
    gives_scores,
    oriented,
    scored,
    searches_natively_async,
)
from runoff.langchain._widen import search_kwargs, widened
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.callbacks import BaseCallbackManager
    from langchain_core.runnables import RunnableConfig

    from runoff.deadline import Deadline
    from runoff.langchain._filters import Translate
    from runoff.protocols import RecallSource
    from runoff.types import Query

__all__ = ["RetrieverSource", "Retrievers", "as_retriever"]

_WIDEN = 4

RetrieverLike = Runnable[str, list[LangChainDocument]]
_One: TypeAlias = "RetrieverLike | VectorStore | RecallSource"
Retrievers: TypeAlias = "_One | Mapping[str, _One] | Sequence[_One]"


def as_retriever(argument: str, part: object) -> RetrieverLike:
    """Return a retriever: as given, or made of a vector store.

    Raises:
        InvalidArgument: it is not a retriever, a runnable or a vector store.
    """
    if isinstance(part, VectorStore):
        return part.as_retriever()
    if isinstance(part, Runnable):
        return part
    remedy = (
        "must be a LangChain retriever, a runnable from str to documents, a vector store, or "
        "several of them in a list or by name"
    )
    raise InvalidArgument(argument, part, remedy)


@dataclass(frozen=True, slots=True)
class _Asking:
    """A retriever, ready to be called: the copy, its config and its arguments."""

    retriever: RetrieverLike
    config: RunnableConfig
    arguments: dict[str, Any]
    filtered: bool = False


@dataclass(frozen=True, slots=True)
class RetrieverSource:
    """One retriever for one call, under that call's config.

    Attributes:
        name: what the pipeline calls it.
        retriever: the retriever; a widened copy of it is called.
        config: the call's config; its tags, metadata and `configurable` reach the retriever.
        callbacks: makes the callbacks of the retriever's own run.
        acallbacks: the same for a run that is awaited.
        id_key: the metadata field that holds a document's id; None for `Document.id`.
        translate: makes search arguments of a filter, for stores without built-in filters.
    """

    name: str
    retriever: RetrieverLike
    config: RunnableConfig
    callbacks: Callable[[], BaseCallbackManager]
    acallbacks: Callable[[], BaseCallbackManager]
    id_key: str | None = None
    translate: Translate | None = None

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Return up to `depth` documents of the retriever; see `RecallSource.retrieve`.

        Raises:
            FilterNotSupported: the request has a filter this retriever cannot honour exactly.
            InvalidArgument: the retriever did not return a list of documents.
        """
        wide = depth
        while True:
            if deadline is not None:
                deadline.check(self.name)
            asking = self._asking(query, wide)
            if asking is None:
                return []
            config = patch_config(asking.config, callbacks=self.callbacks())
            found = asking.retriever.invoke(query.text, config, **asking.arguments)
            hits = self._hits(asking.retriever, found, query)
            if self._enough(asking, len(hits), len(found), wide, depth):
                return hits[:depth]
            wide *= _WIDEN

    async def aretrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Do the same without blocking the loop.

        Retrievers that only search synchronously run in runoff's bounded pool of daemon threads.
        """
        wide = depth
        while True:
            asking = self._asking(query, wide)
            if asking is None:
                return []
            if not _natively_async(asking.retriever):
                return await workers.run_async(
                    lambda: self.retrieve(query, depth=depth, deadline=deadline),
                    deadline,
                    self.name,
                )
            config = patch_config(asking.config, callbacks=self.acallbacks())
            found = await asking.retriever.ainvoke(query.text, config, **asking.arguments)
            hits = self._hits(asking.retriever, found, query)
            if self._enough(asking, len(hits), len(found), wide, depth):
                return hits[:depth]
            wide *= _WIDEN

    @staticmethod
    def _enough(asking: _Asking, kept: int, found: int, wide: int, depth: int) -> bool:
        """Whether there are enough, or no more; only a filtered answer is ever asked for again."""
        return kept >= depth or found < wide or not asking.filtered

    def _asking(self, query: Query, depth: int) -> _Asking | None:
        """Return the copy to call and how; None if no document can pass the filter.

        Bindings and configurable fields are resolved first, so that what they hold can be widened
        and filtered.
        """
        retriever, config, arguments = _resolved(self.retriever, self.config)
        wanted = query.filters
        if getattr(retriever, "takes_depth", False):  # another one of ours
            bound = [as_filter(arguments.pop(name, None)) for name in ("filter", "filters")]
            arguments |= {"top_n": depth, "k": depth, "depth": depth}
            arguments["filters"] = joined(*bound, wanted)
            return _Asking(retriever, config, arguments)
        if isinstance(retriever, VectorStoreRetriever):
            given = {**retriever.search_kwargs, **arguments}
            given = search_kwargs(given, retriever.search_type, depth)
            if wanted is not None:
                store = retriever.vectorstore
                filtered = store_kwargs(store, given, wanted, self.translate, self.name)
                if filtered is None:
                    return None
                given = filtered
            copy = scored(retriever) if gives_scores(retriever) else retriever.model_copy()
            copy.search_kwargs = given
            return _Asking(copy, config, {}, filtered=wanted is not None)
        if wanted is not None:
            remedy = (
                f"{self.name} ({type(retriever).__name__}) takes no filter per request; give the "
                "retriever its own filter, or use its vector store"
            )
            raise FilterNotSupported("filter", wanted, remedy)
        return _Asking(widened(retriever, depth) or retriever, config, arguments)

    def _hits(self, retriever: RetrieverLike, found: object, query: Query) -> list[Hit]:
        if not isinstance(found, list | tuple) or not all(
            isinstance(one, LangChainDocument) for one in found
        ):
            remedy = f"returned {type(found).__name__}, not a list of documents"
            raise InvalidArgument(f"retrievers[{self.name!r}]", self.retriever, remedy)
        scores: Sequence[float] | None = None
        score_range: tuple[float | None, float | None] = (None, None)
        if isinstance(retriever, ScoredRetriever) and len(retriever.scores) == len(found):
            if retriever.search_type == "similarity":
                scores = oriented(retriever.vectorstore, retriever.scores)
            else:
                scores = retriever.scores
        if scores is None:
            scores = [1 / rank for rank in range(1, len(found) + 1)]
            score_range = (0.0, 1.0)
        wanted = query.filters
        return [
            Hit(carried(document, self.id_key), score, score_range)
            for document, score in zip(found, scores, strict=True)
            if wanted is None or wanted.matches(document.metadata)
        ]


def _resolved(
    retriever: RetrieverLike, config: RunnableConfig
) -> tuple[RetrieverLike, RunnableConfig, dict[str, Any]]:
    """Return the retriever inside bindings and configurable fields, and the config they add."""
    arguments: dict[str, Any] = {}
    while True:
        if isinstance(retriever, DynamicRunnable):
            retriever, config = retriever.prepare(config)
        elif type(retriever) is RunnableBinding and not retriever.config_factories:
            config = merge_configs(retriever.config, config)
            arguments = {**retriever.kwargs, **arguments}
            retriever = retriever.bound
        else:
            return retriever, config, arguments


def _natively_async(retriever: RetrieverLike) -> bool:
    if isinstance(retriever, VectorStoreRetriever):
        own = type(retriever)._aget_relevant_documents  # noqa: SLF001 - whether it is overridden
        if isinstance(retriever, ScoredRetriever):
            return searches_natively_async(retriever, scores=True)
        if own is VectorStoreRetriever._aget_relevant_documents:  # noqa: SLF001 - as above
            return searches_natively_async(retriever, scores=False)
    if isinstance(retriever, BaseRetriever):
        default = BaseRetriever._aget_relevant_documents  # noqa: SLF001 - as above
        return (
            type(retriever)._aget_relevant_documents is not default  # noqa: SLF001 - as above
            or type(retriever).ainvoke is not BaseRetriever.ainvoke
        )
    return True
