"""LangChain's own conformance tests for retrievers, which know nothing of runoff."""

from typing import Any

import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests

from runoff.langchain import HybridRetriever, TwoStageRetriever


class _Standard(RetrieversIntegrationTests):
    params: dict[str, Any]

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return self.params

    @property
    def retriever_query_example(self) -> str:
        return "which documents does a query find"


class TestTwoStageRetriever(_Standard):
    """`TwoStageRetriever` is a LangChain retriever in every respect."""

    @pytest.fixture(autouse=True)
    def _params(self, store, overlap):
        self.params = {"retriever": store.as_retriever(), "reranker": overlap}

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return TwoStageRetriever


class TestHybridRetriever(_Standard):
    """`HybridRetriever` is a LangChain retriever in every respect."""

    @pytest.fixture(autouse=True)
    def _params(self, store, overlap):
        made = HybridRetriever.from_vectorstore(store)
        self.params = {"bm25": made.bm25, "vectorstore": store, "reranker": overlap}

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return HybridRetriever
