"""LlamaIndex's reranking events: the dispatcher's and the callback manager's, sent together."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.schema import NodeWithScore
from llama_index_instrumentation import get_dispatcher

from runoff.llama_index._convert import plain_node, to_bundle
from runoff.pipeline._second_stage import Wrapped, model_name
from runoff.protocols import AsyncReranker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.schema import QueryBundle

    from runoff.deadline import Deadline
    from runoff.protocols import Reranker
    from runoff.types import Candidate, Query, Reranking

dispatcher = get_dispatcher("runoff.llama_index")


@contextmanager
def reranking(
    callback_manager: CallbackManager,
    query: QueryBundle,
    nodes: Sequence[NodeWithScore],
    top_n: int,
    model: str,
) -> Iterator[list[NodeWithScore]]:
    """Send both start events, and both end events after the block.

    Fill the list it yields with the reranked nodes; the end events carry it. When the block raises,
    the callback manager gets the error and no end event is dispatched, as LlamaIndex does.
    """
    given = list(nodes)
    dispatcher.event(ReRankStartEvent(query=query, nodes=given, top_n=top_n, model_name=model))
    payload: dict[str, Any] = {
        EventPayload.NODES: given,
        EventPayload.MODEL_NAME: model,
        EventPayload.QUERY_STR: query.query_str,
        EventPayload.TOP_K: top_n,
    }
    with callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
        found: list[NodeWithScore] = []
        yield found
        event.on_end(payload={EventPayload.NODES: found})
    dispatcher.event(ReRankEndEvent(nodes=found))


def observed(reranker: Reranker, callback_manager: CallbackManager, top_n: int) -> ObservedReranker:
    """Return a reranker that does the same and sends LlamaIndex's events."""
    kind = AwaitableObserved if isinstance(reranker, AsyncReranker) else ObservedReranker
    return kind(reranker, callback_manager, top_n)


@dataclass(frozen=True, slots=True, eq=False)
class ObservedReranker(Wrapped):
    """A reranker that sends LlamaIndex's reranking events around its work."""

    inner: Reranker
    callback_manager: CallbackManager
    top_n: int

    @dispatcher.span
    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Do what the reranker does."""
        model = model_name(self.inner)
        nodes = [_node(one, one.fusion_score) for one in candidates]
        with reranking(self.callback_manager, to_bundle(query), nodes, self.top_n, model) as found:
            made = self.inner.rerank(query, candidates, deadline=deadline)
            found += [_node(one.candidate, one.rerank_score) for one in made.ordered]
        return made


@dataclass(frozen=True, slots=True, eq=False)
class AwaitableObserved(ObservedReranker):
    """The same for a reranker that can be awaited."""

    @dispatcher.span
    async def arerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        inner: Any = self.inner  # `observed` has seen that it can be awaited
        model = model_name(inner)
        nodes = [_node(one, one.fusion_score) for one in candidates]
        with reranking(self.callback_manager, to_bundle(query), nodes, self.top_n, model) as found:
            made = await inner.arerank(query, candidates, deadline=deadline)
            found += [_node(one.candidate, one.rerank_score) for one in made.ordered]
        return made  # type: ignore[no-any-return] # see `inner`


def _node(candidate: Candidate, score: float | None) -> NodeWithScore:
    given = None if score is None else float(score)
    return NodeWithScore(node=plain_node(candidate.document).node, score=given)
