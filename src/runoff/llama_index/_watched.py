"""Copies of LlamaIndex's retrievers and engines that pass their answers to an observer."""

from __future__ import annotations

import copy
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.bridge.pydantic import Field
from llama_index.core.postprocessor.types import BaseNodePostprocessor

from runoff._util.adapters.options import brief_repr
from runoff._util.display import html_by
from runoff._util.plain import finite
from runoff._waiting.drive import ask, run, run_async
from runoff.llama_index._convert import Reading, to_hits
from runoff.llama_index._retriever import TwoStageRetriever
from runoff.llama_index._runoff_rerank import RunoffRerank
from runoff.llama_index._shown import described, shown
from runoff.pipeline._observers import joined, tell
from runoff.pipeline._replayed import replayed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.schema import NodeWithScore, QueryBundle

    from runoff._waiting.drive import Asking
    from runoff.llama_index._shown import Settings
    from runoff.pipeline._observers import Observer
    from runoff.types import Response


def observed(given: Any, observer: Observer) -> Any:  # noqa: ANN401
    """Copy a retriever, or an engine over one, so that it passes its answers to an observer.

    In an engine with a second stage, that is what is observed; else its retriever.
    """
    if isinstance(given, TwoStageRetriever):
        return given.replace(observer=joined(given.pipeline.observer, observer))
    if isinstance(given, BaseRetriever):
        return WatchedRetriever(given, observer)
    clone = copy.copy(given)
    after = list(getattr(given, "_node_postprocessors", None) or [])
    at = next((at for at, one in enumerate(after) if isinstance(one, RunoffRerank)), None)
    if at is not None:
        more = joined(after[at].observer, observer)
        after[at] = after[at].model_copy(update={"observer": more})
    elif after and not isinstance(given._retriever, TwoStageRetriever):  # noqa: SLF001
        after = [WatchedPostprocessors(inner=after, observer=observer)]
    else:
        clone._retriever = observed(given._retriever, observer)  # noqa: SLF001
    if after:
        clone._node_postprocessors = after  # noqa: SLF001
    return shown(clone)


class WatchedRetriever(BaseRetriever):
    """A retriever that gives the answers of another one and has its attributes.

    Args:
        retriever: the other one.
        observer: is told its answers.
    """

    def __init__(self, retriever: BaseRetriever, observer: Observer) -> None:
        self._retriever = retriever
        self._observer = observer
        super().__init__(
            callback_manager=retriever.callback_manager, object_map=retriever.object_map
        )

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("__") or name == "_retriever":
            raise AttributeError(name)
        return getattr(self._retriever, name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({described(self._retriever)['retriever'][0]})"

    _repr_html_ = html_by("configured_html", "_notebook")

    def _settings(self) -> Settings:
        """Return what is shown of it, in an engine too."""
        return {**described(self._retriever), "watched": ("True", False)}

    def retrieve(self, str_or_query_bundle: str | QueryBundle) -> list[NodeWithScore]:
        return run(self._observing(str_or_query_bundle))

    async def aretrieve(self, str_or_query_bundle: str | QueryBundle) -> list[NodeWithScore]:
        return await run_async(self._observing(str_or_query_bundle))

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self.retrieve(query_bundle)

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await self.aretrieve(query_bundle)

    def _observing(self, asked: str | QueryBundle) -> Asking[list[NodeWithScore]]:
        begun, inner = time.perf_counter(), self._retriever
        found = yield from ask(lambda: inner.retrieve(asked), lambda: inner.aretrieve(asked))
        spent = (time.perf_counter() - begun) * 1000
        query = asked if isinstance(asked, str) else asked.query_str
        name, kept = type(inner).__name__, _held(found)
        tell(self._observer, partial(_answer, query, kept, None, name, "", spent))
        return found


class WatchedPostprocessors(BaseNodePostprocessor):
    """Postprocessors one after the other, seen as one second stage.

    Attributes:
        inner: the postprocessors, first to last.
        observer: is told their answers.
    """

    inner: list[Any]
    observer: Any = Field(exclude=True)

    @classmethod
    def class_name(cls) -> str:
        """Return the name that serialised components carry."""
        return "WatchedPostprocessors"

    def _settings(self) -> Settings:
        """Return what is shown of it in an engine."""
        return {"postprocessors": (brief_repr(self.inner), False), "watched": ("True", False)}

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        return run(self._observing(nodes, query_bundle))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        return await run_async(self._observing(nodes, query_bundle))

    def _observing(
        self, nodes: list[NodeWithScore], bundle: QueryBundle | None
    ) -> Asking[list[NodeWithScore]]:
        given, begun = _held(nodes), time.perf_counter()
        for one in self.inner:
            nodes = yield from ask(
                partial(one.postprocess_nodes, nodes, query_bundle=bundle),
                partial(one.apostprocess_nodes, nodes, query_bundle=bundle),
            )
        if bundle is not None:
            spent = (time.perf_counter() - begun) * 1000
            after = [(one.node_id, finite(one.score)) for one in nodes]
            name = " > ".join(type(one).__name__ for one in self.inner)
            query = bundle.query_str
            tell(self.observer, partial(_answer, query, given, after, "input", name, spent))
        return nodes


def _held(nodes: Sequence[NodeWithScore]) -> list[NodeWithScore]:
    """Return nodes with the scores they have now: later steps of an engine set others."""
    return [one.model_copy() for one in nodes]


def _answer(
    query: str,
    given: Sequence[NodeWithScore],
    after: Sequence[tuple[str, float | None]] | None,
    source: str,
    reranker: str,
    spent: float,
) -> Response:
    hits = to_hits(given, Reading())
    return replayed(query, hits, source=source, after=after, reranker=reranker, latency_ms=spent)
