"""Results before and after a second stage: in LlamaIndex, in LangChain, and without a framework.

Both frameworks search the demo's Chroma collection as their users would.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from runoff._util.provenance import KEY, decode, encode
from runoff.errors import MissingExtra
from runoff.pipeline import TwoStage

if TYPE_CHECKING:
    from collections.abc import Callable

    from runoff.demo._index import DemoIndex
    from runoff.types import Response

LLAMA_INDEX_LINE = 'retriever = TwoStageRetriever({"dense": retriever, "bm25": bm25}, top_n=5)'
LANGCHAIN_LINE = 'retriever = TwoStageRetriever(retrievers={"dense": retriever, "bm25": bm25}, k=5)'
ALONE_LINE = 'pipeline = TwoStage({"bm25": bm25, "dense": dense})  # it was reranker=None'
_TOP = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One returned document and, after a second stage, its provenance."""

    doc_id: str
    text: str
    provenance: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """The results of a retriever before and after one line is added or changed."""

    framework: str
    line: str
    question: str
    before: list[Row]
    before_ms: float
    after: list[Row]
    after_ms: float


def llama_index(index: DemoIndex, question: str) -> BeforeAfter:
    """Ask a LlamaIndex `VectorStoreIndex` over the collection.

    Raises:
        MissingExtra: LlamaIndex or its Chroma integration is not installed.
    """
    try:
        from llama_index.core import VectorStoreIndex  # noqa: PLC0415 - seconds to import
        from llama_index.vector_stores.chroma import ChromaVectorStore  # noqa: PLC0415 - as above
    except ImportError:
        raise MissingExtra("llama-index-vector-stores-chroma", "demo") from None
    from runoff.llama_index import TwoStageRetriever  # noqa: PLC0415 - as above
    from runoff.llama_index._embedding import RunoffEmbedding  # noqa: PLC0415 - as above

    store = ChromaVectorStore(chroma_collection=index.collection)
    vectors = VectorStoreIndex.from_vector_store(store, embed_model=RunoffEmbedding())
    bm25 = index.bm25

    retriever = vectors.as_retriever(similarity_top_k=_TOP)
    before, before_ms = _asked(retriever.retrieve, question)
    two_stage = TwoStageRetriever({"dense": retriever, "bm25": bm25}, top_n=_TOP)
    two_stage.warmup()
    after, after_ms = _asked(two_stage.retrieve, question)

    def rows(nodes: list[Any]) -> list[Row]:
        return [Row(one.node.node_id, one.node.text, decode(one.node.metadata)) for one in nodes]

    return BeforeAfter(
        "LlamaIndex", LLAMA_INDEX_LINE, question, rows(before), before_ms, rows(after), after_ms
    )


def langchain(index: DemoIndex, question: str) -> BeforeAfter:
    """Ask a LangChain vector store over the collection.

    Raises:
        MissingExtra: LangChain or its Chroma integration is not installed.
    """
    try:
        from langchain_chroma import Chroma  # noqa: PLC0415 - seconds to import
    except ImportError:
        raise MissingExtra("langchain-chroma", "demo") from None
    from runoff.langchain import TwoStageRetriever  # noqa: PLC0415 - as above
    from runoff.langchain._embedding import RunoffEmbeddings  # noqa: PLC0415 - as above

    store = Chroma(
        client=index.client,
        collection_name=index.collection.name,
        embedding_function=RunoffEmbeddings(),
        create_collection_if_not_exists=False,
    )
    bm25 = index.bm25

    retriever = store.as_retriever(search_kwargs={"k": _TOP})
    before, before_ms = _asked(retriever.invoke, question)
    two_stage = TwoStageRetriever(retrievers={"dense": retriever, "bm25": bm25}, k=_TOP)
    two_stage.warmup()
    after, after_ms = _asked(two_stage.invoke, question)

    def rows(documents: list[Any]) -> list[Row]:
        return [Row(one.id, one.page_content, decode(one.metadata)) for one in documents]

    return BeforeAfter(
        "LangChain", LANGCHAIN_LINE, question, rows(before), before_ms, rows(after), after_ms
    )


def alone(index: DemoIndex, question: str) -> BeforeAfter:
    """Ask both sources without a framework: the fused order, then what the second stage makes."""
    two_stage = TwoStage({"bm25": index.bm25, "dense": index.dense})
    fused = replace(two_stage, reranker=None)
    before, before_ms = _asked(partial(fused.search, top_k=_TOP), question)
    two_stage.warmup()
    after, after_ms = _asked(partial(two_stage.search, top_k=_TOP), question)

    def rows(response: Response) -> list[Row]:
        return [Row(one.doc_id, one.text, decode({KEY: encode(response, one)})) for one in response]

    return BeforeAfter(
        "TwoStage", ALONE_LINE, question, rows(before), before_ms, rows(after), after_ms
    )


def _asked(ask: Callable[[str], Any], question: str) -> tuple[Any, float]:
    ask(question)  # the first call opens the index and loads the model
    started = time.perf_counter()
    found = ask(question)
    return found, (time.perf_counter() - started) * 1000
