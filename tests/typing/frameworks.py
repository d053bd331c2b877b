"""A program of both adapters as a user writes it: mypy reads it, nothing runs it."""

from __future__ import annotations

from typing import Any, assert_type

from langchain_core.documents import Document as LangChainDocument
from langchain_core.vectorstores import VectorStore
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import NodeWithScore
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

import runoff.langchain
import runoff.llama_index
from runoff.filters import Eq, Filter
from runoff.langchain import HybridRetriever as LangChainHybrid
from runoff.langchain import RunoffEmbeddings
from runoff.langchain import RunoffRerank as LangChainRerank
from runoff.langchain import TwoStageRetriever as LangChainRetriever
from runoff.langchain import as_filter as langchain_filter
from runoff.langchain import provenance as langchain_provenance
from runoff.langchain import two_stage as langchain_two_stage
from runoff.llama_index import (
    FilteredQueryBundle,
    HybridRetriever,
    RunoffEmbedding,
    RunoffRerank,
    TwoStageRetriever,
    as_filter,
    provenance,
    two_stage,
)
from runoff.rerank import CrossEncoder, LateInteraction, Pointwise


def llama_index(index: VectorStoreIndex) -> list[NodeWithScore]:
    rerank = RunoffRerank(top_n=5, reranker=CrossEncoder(), window=50, timeout=0.25, blend="auto")
    engine = index.as_query_engine(similarity_top_k=100, node_postprocessors=[rerank])
    two_stage(engine, top_n=5)
    retriever = TwoStageRetriever({"dense": index.as_retriever()}, top_n=5, on_error="degrade")
    assert_type(retriever.replace(top_n=3), TwoStageRetriever)
    hybrid = HybridRetriever.from_defaults(
        index=index, embed_model=RunoffEmbedding("runoff-late", late=LateInteraction()), window=20
    )
    assert_type(hybrid, HybridRetriever)
    condition = as_filter(MetadataFilters(filters=[MetadataFilter(key="lang", value="en")]))
    assert_type(condition, Filter | None)
    found = hybrid.retrieve(FilteredQueryBundle("a question", filters=condition))
    assert_type(provenance(found[0]), dict[str, Any] | None)
    return rerank.postprocess_nodes(found, query_str="a question")


def langchain(store: VectorStore, documents: list[LangChainDocument]) -> list[LangChainDocument]:
    rerank = LangChainRerank(top_n=5, reranker=Pointwise(CrossEncoder()), timeout=0.25)
    assert_type(rerank.compress_documents(documents, "a question"), list[LangChainDocument])
    retriever = langchain_two_stage(store.as_retriever(), top_n=5, window=20)
    assert_type(retriever, LangChainRetriever)
    hybrid = LangChainHybrid.from_documents(
        documents, RunoffEmbeddings("runoff-late", late=LateInteraction()), k=5, depth=100
    )
    assert_type(hybrid, LangChainHybrid)
    assert_type(langchain_filter({"lang": "en"}), Filter | None)
    assert_type(langchain_provenance(documents[0]), dict[str, Any] | None)
    return hybrid.invoke("a question", filters=Eq("lang", "en"))


def by_module() -> tuple[object, object]:
    return runoff.langchain.RunoffRerank(), runoff.llama_index.RunoffRerank()
