"""LangChain's retrievers as pipelines, so that they can be recorded and explained unchanged."""

from __future__ import annotations

from typing import Any

from langchain_core.documents import BaseDocumentCompressor
from langchain_core.runnables import Runnable

from runoff.langchain._filters import as_filter
from runoff.langchain._foreign import CompressorReranker, limit_of
from runoff.langchain._retriever import TwoStageRetriever
from runoff.langchain._runoff_rerank import RunoffRerank
from runoff.langchain._staged import StagedRetriever
from runoff.langchain._watched import observed
from runoff.langchain._widen import recall_of
from runoff.pipeline._systems import System, register_system

_MANY = 100


def register() -> None:
    """Let every retriever of LangChain be recorded."""
    register_system(
        "a LangChain retriever", lambda one: isinstance(one, Runnable), _system, observed
    )


def _system(given: Any) -> System:  # noqa: ANN401
    if isinstance(given, StagedRetriever):
        return _staged(given)
    if {"base_compressor", "base_retriever"} <= set(getattr(type(given), "model_fields", ())):
        return _staged(_compressing(given.base_retriever, given.base_compressor))
    many = recall_of(given) or _MANY
    return _staged(TwoStageRetriever(retriever=given, reranker=None, top_n=many, depth=many))


def _compressing(retriever: Any, compressor: Any) -> TwoStageRetriever:  # noqa: ANN401
    """Return a retriever that returns what a compression retriever would."""
    many = recall_of(retriever) or _MANY
    if isinstance(compressor, RunoffRerank):
        names = ("reranker", "window", "on_error", "threshold", "blend", "text_template", "group")
        options = {name: getattr(compressor, name) for name in names}
    else:
        is_compressor = isinstance(compressor, BaseDocumentCompressor)
        reranker = CompressorReranker(compressor) if is_compressor else compressor
        options = {"reranker": reranker, "window": many}
    top_n = limit_of(compressor) or many
    return TwoStageRetriever(retriever=retriever, top_n=top_n, depth=many, **options)


def _staged(given: StagedRetriever) -> System:
    return System(given.pipeline, given.top_n, as_filter(given.filters))
