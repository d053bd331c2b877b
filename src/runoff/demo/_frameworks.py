"""Results before and after a second stage: without a framework, in LlamaIndex and in LangChain.

Each framework searches the demo's embeddings in the vector store that it brings along.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from runoff._util.provenance import KEY, decode, encode
from runoff.demo._index import MODEL
from runoff.errors import MissingExtra
from runoff.pipeline import TwoStage

if TYPE_CHECKING:
    from collections.abc import Callable

    from runoff.demo._index import DemoIndex
    from runoff.recall._bm25.bm25 import BM25
    from runoff.types import Response

_PACKAGES = {
    "llama_index.core": "llama-index-core",
    "langchain_core": "langchain-core",
    "ir_measures": "ir-measures",
    "pyarrow": "pyarrow",
}
LLAMA_INDEX_LINE = (
    'retriever = TwoStageRetriever({"dense": retriever, "bm25": bm25}, reranker=late, top_n=5)'
)
LANGCHAIN_LINE = (
    'retriever = TwoStageRetriever(retrievers={"dense": retriever, "bm25": bm25}, '
    "reranker=late, k=5)"
)
ALONE_LINE = 'pipeline = TwoStage({"bm25": bm25})  # it was reranker=None'
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


def alone(bm25: BM25, question: str) -> BeforeAfter:
    """Ask without a framework and without embeddings: BM25's order, then the second stage's.

    The second stage reads its texts for the first time, and the time shown includes that.
    """
    two_stage = TwoStage({"bm25": bm25})
    words = replace(two_stage, reranker=None)
    before, before_ms = _asked(partial(words.search, top_k=_TOP), question)
    two_stage.warmup()
    after, after_ms = _timed(partial(two_stage.search, top_k=_TOP), question)

    def rows(response: Response) -> list[Row]:
        return [Row(one.doc_id, one.text, decode({KEY: encode(response, one)})) for one in response]

    return BeforeAfter(
        "TwoStage", ALONE_LINE, question, rows(before), before_ms, rows(after), after_ms
    )


def check_installed() -> None:
    """Raise, before anything is indexed, if a later part of the demo would not find its package.

    Raises:
        MissingExtra: names the package.
    """
    for module, package in _PACKAGES.items():
        try:
            found = find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise MissingExtra(package, "demo")


def llama_index(index: DemoIndex, question: str) -> BeforeAfter:
    """Ask a LlamaIndex `VectorStoreIndex` with the vectors of the index.

    Raises:
        MissingExtra: LlamaIndex is not installed.
    """
    try:
        from llama_index.core import VectorStoreIndex  # noqa: PLC0415 - seconds to import
        from llama_index.core.schema import TextNode  # noqa: PLC0415 - as above
    except ImportError:
        raise MissingExtra("llama-index-core", "demo") from None
    from runoff.llama_index import TwoStageRetriever  # noqa: PLC0415 - as above
    from runoff.llama_index._embedding import RunoffEmbedding  # noqa: PLC0415 - as above

    nodes = [
        TextNode(id_=one.doc_id, text=one.text, metadata=dict(one.metadata), embedding=vector)
        for one, vector in zip(index.bm25.documents(), index.vectors.tolist(), strict=True)
    ]
    vectors = VectorStoreIndex(nodes, embed_model=RunoffEmbedding(MODEL))
    bm25 = index.bm25

    retriever = vectors.as_retriever(similarity_top_k=_TOP)
    before, before_ms = _asked(retriever.retrieve, question)
    two_stage = TwoStageRetriever(
        {"dense": retriever, "bm25": bm25}, reranker=index.late, top_n=_TOP
    )
    two_stage.warmup()
    after, after_ms = _asked(two_stage.retrieve, question)

    def rows(nodes: list[Any]) -> list[Row]:
        return [Row(one.node.node_id, one.node.text, decode(one.node.metadata)) for one in nodes]

    return BeforeAfter(
        "LlamaIndex", LLAMA_INDEX_LINE, question, rows(before), before_ms, rows(after), after_ms
    )


def langchain(index: DemoIndex, question: str) -> BeforeAfter:
    """Ask a LangChain `InMemoryVectorStore` with the vectors of the index.

    Raises:
        MissingExtra: LangChain is not installed.
    """
    try:
        from langchain_core.vectorstores import InMemoryVectorStore  # noqa: PLC0415 - as above
    except ImportError:
        raise MissingExtra("langchain-core", "demo") from None
    from runoff.langchain import TwoStageRetriever  # noqa: PLC0415 - as above
    from runoff.langchain._embedding import RunoffEmbeddings  # noqa: PLC0415 - as above

    store = InMemoryVectorStore(RunoffEmbeddings(MODEL))
    for one, vector in zip(index.bm25.documents(), index.vectors.tolist(), strict=True):
        # as `add_documents` does, which would embed it again
        store.store[one.doc_id] = {
            "id": one.doc_id,
            "vector": vector,
            "text": one.text,
            "metadata": dict(one.metadata),
        }
    bm25 = index.bm25

    retriever = store.as_retriever(search_kwargs={"k": _TOP})
    before, before_ms = _asked(retriever.invoke, question)
    two_stage = TwoStageRetriever(
        retrievers={"dense": retriever, "bm25": bm25}, reranker=index.late, k=_TOP
    )
    two_stage.warmup()
    after, after_ms = _asked(two_stage.invoke, question)

    def rows(documents: list[Any]) -> list[Row]:
        return [Row(one.id, one.page_content, decode(one.metadata)) for one in documents]

    return BeforeAfter(
        "LangChain", LANGCHAIN_LINE, question, rows(before), before_ms, rows(after), after_ms
    )


def _asked(ask: Callable[[str], Any], question: str) -> tuple[Any, float]:
    ask(question)  # the first call opens the index and loads the model
    return _timed(ask, question)


def _timed(ask: Callable[[str], Any], question: str) -> tuple[Any, float]:
    started = time.perf_counter()
    found = ask(question)
    return found, (time.perf_counter() - started) * 1000
