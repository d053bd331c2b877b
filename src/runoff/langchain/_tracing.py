"""The second stage as a run of its own in LangChain's traces.

The run's inputs and outputs hold ids, ranks and scores of documents; their texts are already in the
runs of the retrievers.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.runnables.config import (
    get_async_callback_manager_for_config,
    get_callback_manager_for_config,
    patch_config,
    set_config_context,
)

from runoff._waiting import workers
from runoff._waiting.drive import ask, run, run_async
from runoff.langchain._convert import shown
from runoff.pipeline._second_stage import Wrapped
from runoff.protocols import AsyncReranker
from runoff.rerank._passages import within
from runoff.types import Dropped, Ranked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.runnables import RunnableConfig

    from runoff._util.adapters.template import Template
    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.protocols import Reranker
    from runoff.types import Candidate, Query, Reranking, Response

RUN_NAME = "RunoffRerank"

_T = TypeVar("_T")
_Judged = TypeVar("_Judged", Ranked, Dropped)


def run_inputs(query: str, ids: Sequence[str | None]) -> dict[str, Any]:
    return {"query": query, "documents": list(ids)}


def run_outputs(response: Response) -> dict[str, Any]:
    """Return the outputs of a run that covers the whole search."""
    outcome = response.outcome
    return {
        "documents": [
            {"doc_id": one.doc_id, "rank": one.rank, "rerank_score": one.rerank_score}
            for one in response
        ],
        "model": response.trace.model.name,
        "complete": outcome.complete,
        "degraded": [
            {"stage": one.stage, "source": one.source, "reason": one.reason}
            for one in outcome.degraded
        ],
        "scored": outcome.scored,
        "total": outcome.total,
        "truncated": response.trace.truncated,
        "spent_ms": round(outcome.spent_ms, 3),
        "load_ms": round(response.trace.load_ms, 3),
        "notes": list(outcome.notes),
    }


def _ordered(reranking: Reranking) -> dict[str, Any]:
    return {
        "documents": [
            {
                "doc_id": one.candidate.document.doc_id,
                "rank": rank,
                "rerank_score": one.rerank_score,
            }
            for rank, one in enumerate(reranking.ordered, 1)
        ],
        "model": reranking.model.name,
        "unscored": len(reranking.unscored),
        "dropped": len(reranking.dropped),
        "truncated": sum(one.truncated for one in reranking.ordered),
        "billed_units": reranking.usage.billed_units,
        "load_ms": round(reranking.load_ms, 3),
        "notes": list(reranking.notes),
    }


def in_run(
    config: RunnableConfig,
    inputs: dict[str, Any],
    work: Callable[[RunnableConfig], Asking[_T]],
    outputs: Callable[[_T], dict[str, Any]],
) -> Asking[_T]:
    """Do some work in a run of its own, which the config that it gets reports to."""
    named: Any = {"serialized": None, "inputs": inputs, "name": RUN_NAME}
    manager: Any = yield from ask(
        lambda: get_callback_manager_for_config(config).on_chain_start(**named),
        lambda: get_async_callback_manager_for_config(config).on_chain_start(**named),
    )
    try:
        made = yield from work(patch_config(config, callbacks=manager.get_child()))
    except BaseException as error:
        failed = partial(manager.on_chain_error, error)
        yield from ask(failed, failed)
        raise
    ended = partial(manager.on_chain_end, outputs(made))
    yield from ask(ended, ended)
    return made


@dataclass(frozen=True, slots=True)
class Observed(Wrapped):
    """A reranker that runs under LangChain's callbacks and reads documents through a template.

    Attributes:
        inner: the reranker.
        config: its callbacks, tags and `configurable` reach LangChain parts inside.
        run: whether to open a run of its own.
        template: the layout in which the reranker reads a document; None for its text.
    """

    inner: Reranker
    config: RunnableConfig
    run: bool = True
    template: Template | None = None

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Order the candidates inside a run; see `Reranker.rerank`."""
        return run(self._asking(query, candidates, deadline))

    async def arerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Order the candidates inside a run without blocking the loop; see `rerank`."""
        return await run_async(self._asking(query, candidates, deadline))

    def _asking(
        self, query: Query, candidates: Sequence[Candidate], deadline: Deadline | None
    ) -> Asking[Reranking]:
        work = partial(self._reranking, query, candidates, deadline)
        if not self.run:
            return (yield from work(self.config))
        inputs = run_inputs(query.text, [one.document.doc_id for one in candidates])
        return (yield from in_run(self.config, inputs, work, _ordered))

    def _reranking(
        self,
        query: Query,
        candidates: Sequence[Candidate],
        deadline: Deadline | None,
        config: RunnableConfig,
    ) -> Asking[Reranking]:
        inner, given = self.inner, self._shown(candidates)
        call = partial(inner.rerank, query, given, deadline=deadline)

        def wait() -> Reranking:
            with set_config_context(config) as context:
                return context.run(call)

        async def wait_async() -> Reranking:
            with set_config_context(config) as context:
                if not isinstance(inner, AsyncReranker):
                    own = context.copy()
                    return await workers.run_async(lambda: own.run(call), None, "rerank")
                reranking = _awaitable(inner.arerank(query, given, deadline=deadline))
                return await asyncio.create_task(reranking, context=context)

        return self._restored((yield from ask(wait, wait_async)), candidates, given)

    def _shown(self, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        if self.template is None:
            return candidates
        return [shown(self.template, candidate) for candidate in candidates]

    def _restored(
        self, reranking: Reranking, candidates: Sequence[Candidate], given: Sequence[Candidate]
    ) -> Reranking:
        """Put the original candidates back, after a template has changed their text.

        A text that the reranker has rewritten stays.
        """
        if self.template is None:
            return reranking
        texts = {one.key: one.document.text for one in given}
        back = {candidate.key: candidate for candidate in candidates}
        for one in reranking.ordered:
            shown = one.candidate
            if shown.document.text != texts.get(shown.key):
                back[shown.key] = shown
        return replace(
            reranking,
            ordered=tuple(_put_back(one, back) for one in reranking.ordered),
            unscored=tuple(back.get(one.key, one) for one in reranking.unscored),
            dropped=tuple(_put_back(one, back) for one in reranking.dropped),
        )


def _put_back(one: _Judged, back: dict[str, Candidate]) -> _Judged:
    shown = one.candidate
    own = back.get(shown.key, shown)
    passages = within(one.passages, shown.document.text, own.document.text)
    return replace(one, candidate=own, passages=passages)


async def _awaitable(reranking: Any) -> Any:  # noqa: ANN401
    return await reranking
