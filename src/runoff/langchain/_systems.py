"""LangChain's retrievers as systems that can be recorded, as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import CallbackManager
from langchain_core.documents import BaseDocumentCompressor
from langchain_core.runnables import Runnable

from runoff.langchain._convert import Template
from runoff.langchain._foreign import CompressorReranker
from runoff.langchain._retriever import TwoStageRetriever
from runoff.langchain._runoff_rerank import RunoffRerank
from runoff.langchain._staged import StagedRetriever
from runoff.langchain._tracing import Observed
from runoff.langchain._widen import recall_of
from runoff.pipeline._systems import System, register_system
from runoff.rerank._as_reranker import as_reranker
from runoff.rerank._pointwise import Pointwise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.deadline import Deadline
    from runoff.protocols import Reranker
    from runoff.types import Candidate, Document, Query, Reranking

__all__ = ["register"]

_MANY = 100


@dataclass(frozen=True, slots=True)
class _Rendered:
    """What a template shows of a document.

    Attributes:
        text: the template.
    """

    text: str

    def __call__(self, document: Document) -> str:
        return Template(self.text).render(document.text, document.metadata)


@dataclass(frozen=True, slots=True)
class _Whole:
    """A compressor with a `top_n`, asked on a copy for all it is given: the pipeline cuts.

    Attributes:
        compressor: a document compressor.
    """

    compressor: Any

    @property
    def name(self) -> str:
        """The compressor's class."""
        return type(self.compressor).__name__

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Order the candidates; see `CompressorReranker.rerank`."""
        asked = self.compressor.model_copy(update={"top_n": len(candidates)})
        return CompressorReranker(asked).rerank(query, candidates, deadline=deadline)


def _is_cut(compressor: object) -> bool:
    if not isinstance(compressor, BaseDocumentCompressor):
        return False
    return "top_n" in type(compressor).model_fields


def register() -> None:
    """Let every retriever of LangChain be recorded."""
    register_system("a LangChain retriever", lambda one: isinstance(one, Runnable), _system)


def _system(given: Any) -> System:  # noqa: ANN401 - any runnable
    if isinstance(given, StagedRetriever):
        return _staged(given)
    if {"base_compressor", "base_retriever"} <= set(getattr(type(given), "model_fields", ())):
        return _staged(_compressing(given.base_retriever, given.base_compressor))
    many = recall_of(given) or _MANY
    return _staged(TwoStageRetriever(retriever=given, reranker=None, k=many, depth=many))


def _compressing(retriever: Any, compressor: Any) -> TwoStageRetriever:  # noqa: ANN401 - LangChain's
    """Return the retriever that answers as a compression retriever does."""
    many = recall_of(retriever) or _MANY
    if isinstance(compressor, RunoffRerank):
        names = ("reranker", "window", "on_error", "threshold", "blend", "text_template", "group")
        options = {name: getattr(compressor, name) for name in names}
    else:
        reranker = _Whole(compressor) if _is_cut(compressor) else as_reranker(compressor)
        options = {"reranker": reranker, "window": many}
    top_n = getattr(compressor, "top_n", None)
    k = top_n if isinstance(top_n, int) else many
    return TwoStageRetriever(retriever=retriever, k=k, depth=many, **options)


def _staged(given: StagedRetriever) -> System:
    def child(**_: Any) -> CallbackManager:  # noqa: ANN401 - a tag
        return CallbackManager([])

    pipeline = given._pipeline(child, child, given.k)  # noqa: SLF001 - this adapter's own
    return System(replace(pipeline, reranker=_second(given)), given.k)


def _second(given: StagedRetriever) -> Reranker | None:
    """Return the second stage without what LangChain's callbacks hear of it."""
    reranker = given._reranker()  # noqa: SLF001 - as above
    template = given.text_template
    if template is None or reranker is None:
        return reranker
    if isinstance(reranker, Pointwise):
        return replace(reranker, text=_Rendered(template))
    return Observed(reranker, {}, run=False, template=Template(template))
