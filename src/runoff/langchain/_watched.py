"""Copies of LangChain's retrievers that pass their answers to an observer."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.documents import BaseDocumentCompressor
from langchain_core.documents import Document as LangChainDocument
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableBinding
from langchain_core.runnables.configurable import DynamicRunnable
from pydantic import ConfigDict

from runoff._util.adapters.options import Plain, brief_repr
from runoff._util.display import html_by
from runoff._waiting.drive import ask, run, run_async
from runoff.errors import InvalidArgument
from runoff.langchain._convert import relevance
from runoff.langchain._runoff_rerank import RunoffRerank, as_hits
from runoff.langchain._staged import StagedRetriever
from runoff.pipeline._observers import joined, tell
from runoff.pipeline._replayed import replayed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
        Callbacks,
    )
    from langchain_core.runnables import RunnableConfig

    from runoff._waiting.drive import Asking
    from runoff.pipeline._observers import Observer

_REMEDY = "must be a retriever: watch the one inside, and build the chain from what `watch` returns"


def observed(given: Any, observer: Observer) -> Any:  # noqa: ANN401
    """Return a copy of a retriever that passes its answers to an observer.

    Raises:
        InvalidArgument: it is another kind of runnable.
    """
    if isinstance(given, StagedRetriever | RunoffRerank):
        return given.model_copy(update={"observer": joined(given.observer, observer)})
    if isinstance(given, RunnableBinding):
        return given.model_copy(update={"bound": observed(given.bound, observer)})
    if isinstance(given, DynamicRunnable):
        return given.model_copy(update={"default": observed(given.default, observer)})
    if {"base_compressor", "base_retriever"} <= set(getattr(type(given), "model_fields", ())):
        inner = given.base_compressor
        wrapped = (
            observed(inner, observer)
            if isinstance(inner, RunoffRerank)
            else WatchedCompressor(inner=inner, observer=observer)
        )
        return given.model_copy(update={"base_compressor": wrapped})
    if isinstance(given, BaseRetriever):
        return WatchedRetriever(inner=given, observer=observer)
    raise InvalidArgument("target", given, _REMEDY)


class WatchedRetriever(BaseRetriever):
    """A retriever that gives the answers of another one and has its attributes.

    Attributes:
        inner: the other one.
        observer: is told its answers.
    """

    inner: BaseRetriever
    observer: Any

    _repr_html_ = html_by("repr_html", "_notebook")

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Show what is watched by its class alone: its own `repr` may be long, or hold a key."""
        return [(None, Plain(brief_repr(self.inner)))]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("_") or name == "inner":
            return super().__getattr__(name)  # type: ignore[misc] # pydantic's
        return getattr(self.inner, name)

    def invoke(
        self,
        input: str,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> list[LangChainDocument]:
        return run(self._observing(input, config, kwargs))

    async def ainvoke(
        self,
        input: str,  # noqa: A002 - as above
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> list[LangChainDocument]:
        return await run_async(self._observing(input, config, kwargs))

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
    ) -> list[LangChainDocument]:
        return self.invoke(query, {"callbacks": run_manager.get_child()})

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
    ) -> list[LangChainDocument]:
        return await self.ainvoke(query, {"callbacks": run_manager.get_child()})

    def _observing(
        self, query: str, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> Asking[list[LangChainDocument]]:
        begun, inner = time.perf_counter(), self.inner
        found: list[LangChainDocument] = yield from ask(
            lambda: inner.invoke(query, config, **kwargs),
            lambda: inner.ainvoke(query, config, **kwargs),
        )
        name, spent = type(inner).__name__, (time.perf_counter() - begun) * 1000
        given = tuple(found)
        tell(
            self.observer,
            lambda: replayed(query, as_hits(given), source=name, after=None, latency_ms=spent),
        )
        return found


class WatchedCompressor(BaseDocumentCompressor):
    """A document compressor that gives the answers of another one and has its attributes.

    Attributes:
        inner: the other one.
        observer: is told its answers.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    inner: Any
    observer: Any

    _repr_html_ = html_by("repr_html", "_notebook")

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Show what is watched by its class alone: its own `repr` may be long, or hold a key."""
        return [(None, Plain(brief_repr(self.inner)))]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("_") or name == "inner":
            return super().__getattr__(name)  # type: ignore[misc] # pydantic's
        return getattr(self.inner, name)

    def compress_documents(
        self,
        documents: Sequence[LangChainDocument],
        query: str,
        callbacks: Callbacks | None = None,
    ) -> Sequence[LangChainDocument]:
        return run(self._observing(documents, query, callbacks))

    async def acompress_documents(
        self,
        documents: Sequence[LangChainDocument],
        query: str,
        callbacks: Callbacks | None = None,
    ) -> Sequence[LangChainDocument]:
        return await run_async(self._observing(documents, query, callbacks))

    def _observing(
        self, documents: Sequence[LangChainDocument], query: str, callbacks: Callbacks | None
    ) -> Asking[Sequence[LangChainDocument]]:
        given, begun, inner = tuple(documents), time.perf_counter(), self.inner
        kept: Sequence[LangChainDocument] = yield from ask(
            lambda: inner.compress_documents(documents, query, callbacks=callbacks),
            lambda: inner.acompress_documents(documents, query, callbacks=callbacks),
        )
        spent = (time.perf_counter() - begun) * 1000
        name = type(inner).__name__
        tell(self.observer, partial(_replayed, query, given, tuple(kept), name, spent))
        return kept


def _replayed(
    query: str,
    given: Sequence[LangChainDocument],
    kept: Sequence[LangChainDocument],
    name: str,
    spent: float,
) -> Any:  # noqa: ANN401
    after = [(hit.doc_id, relevance(one)) for hit, one in zip(as_hits(kept), kept, strict=True)]
    return replayed(
        query, as_hits(given), source="input", after=after, reranker=name, latency_ms=spent
    )
