"""`RunoffRerank`: the second stage as a LangChain document compressor."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.documents import BaseDocumentCompressor
from langchain_core.documents import Document as LangChainDocument
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.config import ensure_config
from pydantic import field_validator

from runoff._util.adapters.trend import as_similarities
from runoff._waiting.drive import run, run_async
from runoff.errors import InvalidArgument
from runoff.langchain._convert import answer, carried, relevance
from runoff.langchain._settings import SecondStage
from runoff.langchain._tracing import RUN_NAME, in_run, run_inputs, run_outputs
from runoff.pipeline import TwoStage
from runoff.pipeline._sources import Given
from runoff.pipeline._two_stage import searching
from runoff.rerank._as_reranker import DEFAULT_RERANKER
from runoff.types import Hit, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.callbacks import Callbacks

    from runoff._waiting.drive import Asking
    from runoff.protocols import Reranker

_Asked: TypeAlias = "Asking[list[LangChainDocument]]"


class RunoffRerank(SecondStage, BaseDocumentCompressor):
    r"""Rerank documents and keep the best: a document compressor.

    Results are copies with `Document.id` and metadata kept. `metadata["relevance_score"]` is the
    rerank score, a float, or None for a document without one: below the window, without text, or
    not scored in time; such documents follow in their incoming order. If the reranker scored
    nothing (see `on_error` and `timeout`), order and `relevance_score` stay as they were.
    `runoff.langchain.provenance(document)` shows ranks and scores of each stage.

    Args:
        reranker: a model name, a reranker or scorer of `runoff.rerank`, or any LangChain document
            compressor or cross-encoder; None is the embedded model.
        top_n: documents to return.
        window: documents the reranker reads; those below follow in their incoming order.
        timeout: seconds for one call; the answer is the best that fits. None for no limit. Loading
            a model does not count.
        on_error: `"transient"` degrades the answer for faults that may pass and raises the others;
            `"degrade"` degrades it for every fault; `"raise"` raises every fault.
        threshold: a `runoff.scores.Threshold`: documents whose rerank score is below it are left
            out of a complete answer.
        blend: the weight of the rerank score, within 0 and 1, against the incoming one; None or 1
            leaves the incoming one out, and `"auto"` does what suits the model, as in
            `runoff.rerank.Pointwise`. The incoming `relevance_score`s count if every document has
            one and they fall along the order, or rise, as distances do; otherwise the ranks.
        text_template: what the reranker reads of a document, such as
            `"{title}\n{page_content}"`: `{page_content}`, or `{text}`, is the text, other names are
            metadata fields. None for the text alone.
        group: which documents are put under one of them before reranking: a metadata field such as
            `"parent_id"`, a callable from runoff's document to group, or a
            `runoff.grouping.Grouping`, which finds duplicates too. None groups nothing.
        provenance: whether results carry provenance; `relevance_score` is there in any case.
        observer: called with every answer, as `runoff.live.watch` needs it.

    Raises:
        InvalidArgument: names the argument, its value and what would be right.
    """

    top_n: int = 5

    @field_validator("reranker", mode="before")
    @classmethod
    def _default_reranker(cls, value: object) -> object:
        return DEFAULT_RERANKER if value is None else value

    @property
    def stage(self) -> Reranker:
        """The second stage: the reranker with this compressor's threshold and blend."""
        reranker = self._reranker()
        if reranker is None:
            raise InvalidArgument("reranker", self.reranker, "a compressor needs a reranker")
        return reranker

    def compress_documents(
        self,
        documents: Sequence[LangChainDocument],
        query: str,
        callbacks: Callbacks | None = None,
    ) -> list[LangChainDocument]:
        """Rerank documents, as a run of its own under the callbacks.

        Args:
            documents: the documents, best first; they are not changed.
            query: the query.
            callbacks: LangChain's; by default those of the surrounding run.

        Returns:
            At most `top_n` copies, best first.

        Raises:
            InvalidArgument: the query is blank, or `documents` has something else in it.
            PermanentError: trying again cannot help (unless `on_error` is `"degrade"`).
        """
        return run(self._compressing(documents, query, callbacks))

    async def acompress_documents(
        self,
        documents: Sequence[LangChainDocument],
        query: str,
        callbacks: Callbacks | None = None,
    ) -> list[LangChainDocument]:
        """Rerank documents without blocking the event loop; see `compress_documents`."""
        return await run_async(self._compressing(documents, query, callbacks))

    def as_runnable(self) -> Runnable[dict[str, Any], list[LangChainDocument]]:
        """Return a runnable from `{"query": str, "documents": list}` to documents.

        LangChain's traces show its run, with the documents, under this class's name.
        """

        def asking(inputs: dict[str, Any], config: RunnableConfig) -> _Asked:
            query, given = _inputs(inputs)
            if not given:
                return []
            found = yield from self._searching(query, given, config)
            return answer(found, reranked=True, marked=self.provenance)

        def call(inputs: dict[str, Any], config: RunnableConfig) -> list[LangChainDocument]:
            return run(asking(inputs, config))

        async def acall(inputs: dict[str, Any], config: RunnableConfig) -> list[LangChainDocument]:
            return await run_async(asking(inputs, config))

        return RunnableLambda(call, acall, name=RUN_NAME)

    def _compressing(
        self, documents: Sequence[LangChainDocument], query: str, callbacks: Callbacks | None
    ) -> _Asked:
        given = _documents(documents)
        if not given:
            return []
        config = ensure_config({"callbacks": callbacks} if callbacks is not None else None)
        inputs = run_inputs(query, [one.id for one in given])
        found = yield from in_run(
            config, inputs, partial(self._searching, query, given), run_outputs
        )
        return answer(found, reranked=True, marked=self.provenance)

    def _searching(
        self, query: str, given: Sequence[LangChainDocument], config: RunnableConfig
    ) -> Asking[Response]:
        pipeline = self._pipeline(given, config)
        return searching(pipeline, query, top_k=self.top_n, timeout=self.timeout)

    def _pipeline(self, given: Sequence[LangChainDocument], config: RunnableConfig) -> TwoStage:
        return TwoStage(
            sources={"input": Given(as_hits(given))},
            reranker=self._observed(config, run=False),
            depth=max(1, len(given)),
            window=self.window,
            on_error=self.on_error,
            group=self.group,
            observer=self.observer,
        )


def as_hits(documents: Sequence[LangChainDocument]) -> list[Hit]:
    """Return documents as hits in their order, with their `relevance_score` or NaN."""
    scores = [math.nan if (one := relevance(document)) is None else one for document in documents]
    pairs = zip(documents, as_similarities(scores), strict=True)
    return [Hit(carried(document), score) for document, score in pairs]


def _documents(documents: object) -> list[LangChainDocument]:
    remedy = "must be a list of langchain_core.documents.Document"
    if isinstance(documents, str) or not hasattr(documents, "__iter__"):
        raise InvalidArgument("documents", documents, remedy)
    given = list(documents)
    wrong = next((one for one in given if not isinstance(one, LangChainDocument)), None)
    if wrong is not None:
        raise InvalidArgument("documents", wrong, remedy)
    return given


def _inputs(inputs: object) -> tuple[str, list[LangChainDocument]]:
    if not isinstance(inputs, dict) or not {"query", "documents"} <= inputs.keys():
        keys = sorted(map(str, inputs)) if isinstance(inputs, dict) else type(inputs).__name__
        raise InvalidArgument("input", keys, 'must be {"query": str, "documents": list}')
    return inputs["query"], _documents(inputs["documents"])
