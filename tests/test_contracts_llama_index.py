"""The contracts, run on what the LlamaIndex adapter makes of LlamaIndex's own parts."""

import re
import uuid
import zlib

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, TextNode

import runoff.llama_index  # noqa: F401 - registers the converters
from runoff.llama_index._convert import Reading
from runoff.llama_index._sources import source_of
from runoff.pipeline._sources import Given
from runoff.rerank._as_reranker import as_reranker
from runoff.testing.contracts import RecallSourceContract, RerankerContract
from runoff.types import Hit


def words(text):
    return re.findall(r"\w+", text.lower())


class WordCounts(BaseEmbedding):
    def _vector(self, text):
        vector = [0.0] * 64
        for word in words(text):
            vector[zlib.crc32(word.encode()) % 64] += 1.0
        return vector

    def _get_query_embedding(self, query):
        return self._vector(query)

    def _get_text_embedding(self, text):
        return self._vector(text)

    async def _aget_query_embedding(self, query):
        return self._vector(query)


def nodes(documents):
    return [
        TextNode(id_=one.doc_id, text=one.text, metadata=dict(one.metadata)) for one in documents
    ]


class TestSimpleVectorStore(RecallSourceContract):
    def make(self, documents):
        index = VectorStoreIndex(nodes(documents), embed_model=WordCounts())
        return source_of(index.as_retriever(), Reading(metadata_mode="none"), "index", 100)


class TestChroma(RecallSourceContract):
    def make(self, documents):
        chromadb = pytest.importorskip("chromadb")
        stores = pytest.importorskip("llama_index.vector_stores.chroma")
        client = chromadb.EphemeralClient(chromadb.Settings(anonymized_telemetry=False))
        collection = client.create_collection(
            f"contract-{uuid.uuid4().hex}", embedding_function=None
        )
        index = VectorStoreIndex(
            nodes(documents),
            storage_context=StorageContext.from_defaults(
                vector_store=stores.ChromaVectorStore(chroma_collection=collection)
            ),
            embed_model=WordCounts(),
        )
        return source_of(index.as_retriever(), Reading(metadata_mode="none"), "index", 100)

    @pytest.mark.xfail(reason="LlamaIndex's ChromaVectorStore cannot be unpickled", strict=False)
    def test_pickle(self):
        super().test_pickle()


class TestGiven(RecallSourceContract):
    def make(self, documents):
        return Given([Hit(one, 1.0 / rank) for rank, one in enumerate(documents, start=1)])


class BestFour(BaseNodePostprocessor):
    """A postprocessor that keeps four nodes and overwrites the scores of what it was handed."""

    def _postprocess_nodes(self, nodes, query_bundle=None):
        asked = set(words(query_bundle.query_str))
        for one in nodes:
            one.score = float(len(asked & set(words(one.node.get_content()))))
        return sorted(nodes, key=lambda one: -one.score)[:4]


class OrderOnly(BaseNodePostprocessor):
    """A postprocessor that reorders and gives no scores."""

    def _postprocess_nodes(self, nodes, query_bundle=None):
        asked = set(words(query_bundle.query_str))
        ordered = sorted(nodes, key=lambda one: -len(asked & set(words(one.node.get_content()))))
        return [NodeWithScore(node=one.node) for one in ordered]


class TestPostprocessor(RerankerContract):
    def make(self):
        return as_reranker(BestFour())


class TestPostprocessorWithoutScores(RerankerContract):
    def make(self):
        return as_reranker(OrderOnly())
