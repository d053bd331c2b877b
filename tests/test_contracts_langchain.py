"""The contracts, run on what the LangChain adapter makes of LangChain's own parts."""

import re
import uuid
import zlib

import pytest

pytest.importorskip("langchain_core")

from cross_encoders import BaseCrossEncoder
from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.documents import BaseDocumentCompressor
from langchain_core.documents import Document as LangChainDocument
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore

import runoff.langchain  # noqa: F401 - registers the converters
from runoff.langchain._sources import RetrieverSource
from runoff.rerank._as_reranker import as_reranker
from runoff.testing.contracts import PairScorerContract, RecallSourceContract, RerankerContract


def words(text):
    return re.findall(r"\w+", text.lower())


class WordCounts(Embeddings):
    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        vector = [0.0] * 64
        for word in words(text):
            vector[zlib.crc32(word.encode()) % 64] += 1.0
        return vector


def source(retriever):
    return RetrieverSource(
        "store", retriever, {}, lambda: CallbackManager([]), lambda: AsyncCallbackManager([])
    )


def filled(store, documents):
    store.add_texts(
        [one.text for one in documents],
        [dict(one.metadata) for one in documents],
        ids=[one.doc_id for one in documents],
    )
    return store


class TestInMemoryVectorStore(RecallSourceContract):
    def make(self, documents):
        return source(filled(InMemoryVectorStore(WordCounts()), documents).as_retriever())


class TestChroma(RecallSourceContract):
    def make(self, documents):
        langchain_chroma = pytest.importorskip("langchain_chroma")
        chromadb = pytest.importorskip("chromadb")
        store = langchain_chroma.Chroma(
            f"contract-{uuid.uuid4().hex}",
            WordCounts(),
            client=chromadb.EphemeralClient(chromadb.Settings(anonymized_telemetry=False)),
        )
        return source(filled(store, documents).as_retriever())


class OwnRetriever(BaseRetriever):
    """A retriever as users write them: without scores, filters or async methods."""

    held: list[LangChainDocument]
    k: int = 4

    def _get_relevant_documents(self, query, *, run_manager):
        asked = set(words(query))
        shared = [(len(asked & set(words(one.page_content))), one) for one in self.held]
        kept = sorted((pair for pair in shared if pair[0]), key=lambda pair: -pair[0])
        return [one for _, one in kept[: self.k]]


class TestOwnRetriever(RecallSourceContract):
    def make(self, documents):
        held = [
            LangChainDocument(id=one.doc_id, page_content=one.text, metadata=dict(one.metadata))
            for one in documents
        ]
        return source(OwnRetriever(held=held))


class SharedWords(BaseCrossEncoder):
    def score(self, text_pairs):
        return [float(len(set(words(a)) & set(words(b)))) for a, b in text_pairs]


class TestCrossEncoder(PairScorerContract):
    token_limit = False

    def make(self):
        return as_reranker(SharedWords()).scorer


class TestRerankingCrossEncoder(RerankerContract):
    def make(self):
        return as_reranker(SharedWords())


class BestFour(BaseDocumentCompressor):
    """A compressor that keeps four documents and writes a score into them."""

    scores: bool = True

    def compress_documents(self, documents, query, callbacks=None):
        asked = set(words(query))
        kept = sorted(documents, key=lambda one: -len(asked & set(words(one.page_content))))[:4]
        for one in kept if self.scores else ():
            one.metadata["relevance_score"] = float(len(asked & set(words(one.page_content))))
        return kept


class TestCompressor(RerankerContract):
    def make(self):
        return as_reranker(BestFour())


class TestCompressorWithoutScores(RerankerContract):
    def make(self):
        return as_reranker(BestFour(scores=False))
