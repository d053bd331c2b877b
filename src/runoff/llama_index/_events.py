"""LlamaIndex's two kinds of reranking events, both sent, in one place."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index_instrumentation import get_dispatcher

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.schema import NodeWithScore, QueryBundle

__all__ = ["dispatcher", "model_name", "reranking"]

dispatcher = get_dispatcher("runoff.llama_index")


@contextmanager
def reranking(
    callback_manager: CallbackManager,
    query: QueryBundle,
    nodes: Sequence[NodeWithScore],
    top_n: int,
    model: str,
) -> Iterator[list[NodeWithScore]]:
    """Tell LlamaIndex's dispatcher and callback manager that nodes are being reranked.

    Fill the list it yields with what came out; the end events carry it. When the block raises, the
    callback manager is given the error and no end event is dispatched, as LlamaIndex does.
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
        came: list[NodeWithScore] = []
        yield came
        event.on_end(payload={EventPayload.NODES: came})
    dispatcher.event(ReRankEndEvent(nodes=came))


def model_name(reranker: object) -> str:
    """Return what to call a reranker in an event: its model where it says, else its class."""
    if isinstance(reranker, str):
        return reranker
    for attribute in ("model", "model_name"):
        name = getattr(reranker, attribute, None)
        if isinstance(name, str | PurePath) and str(name):
            return str(name)
    inner = getattr(reranker, "scorer", None)
    return type(reranker).__name__ if inner is None else model_name(inner)
