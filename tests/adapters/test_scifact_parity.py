"""A question has the same answer in the core, through LlamaIndex and through LangChain."""

import re
import zlib

import numpy as np
import pytest
from beir import folder, judgments, lines

from runoff import TwoStage
from runoff.recall import BM25, Chroma
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage

_QUERIES = 300
_TOP = 10
_DIMENSIONS = 256


def words(text):
    return re.findall(r"\w+", text.lower())


def embed(texts):
    """Return word counts, each word at a place of its own, as unit vectors of shape (n, 256)."""
    vectors = np.full((len(texts), _DIMENSIONS), 1e-3)
    for row, text in enumerate(texts):
        for word in words(text):
            vectors[row, zlib.crc32(word.encode()) % _DIMENSIONS] += 1.0
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class Share:
    """Scores a pair by the share of the document's words that the query has."""

    keeps_deadline = True

    def score(self, pairs, *, deadline=None):
        read = [(set(words(query)), words(text)) for query, text in pairs]
        values = [sum(word in asked for word in held) / max(1, len(held)) for asked, held in read]
        count = len(values)
        return PairScores(
            np.array(values, np.float32),
            np.ones(count, np.bool_),
            np.zeros(count, np.bool_),
            ScoreKind.PROBABILITY,
            ModelIdentity("share"),
            Usage(pairs=count),
        )


@pytest.fixture(scope="module")
def scifact():
    path = folder("scifact")
    judged = {query for query, _, _ in judgments(path / "qrels.tsv")}
    corpus = {
        one["_id"]: f"{one['title']}. {one['text']}" for one in lines(path / "corpus.jsonl.gz")
    }
    queries = [one["text"] for one in lines(path / "queries.jsonl.gz") if one["_id"] in judged]
    return corpus, queries


@pytest.fixture(scope="module")
def collection(scifact, tmp_path_factory):
    """One Chroma collection, written by LlamaIndex and read by all three."""
    chromadb = pytest.importorskip("chromadb")
    settings = pytest.importorskip("chromadb.config").Settings(anonymized_telemetry=False)
    theirs = pytest.importorskip("llama_index.vector_stores.chroma")
    schema = pytest.importorskip("llama_index.core.schema")
    client = chromadb.PersistentClient(str(tmp_path_factory.mktemp("scifact")), settings)
    made = client.create_collection(
        "scifact", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
    )
    corpus, _ = scifact
    vectors = embed(list(corpus.values())).tolist()
    theirs.ChromaVectorStore(chroma_collection=made).add(
        [
            schema.TextNode(id_=doc_id, text=text, embedding=vector)
            for (doc_id, text), vector in zip(corpus.items(), vectors, strict=True)
        ]
    )
    return client, made


@pytest.mark.data
@pytest.mark.slow("120 s: SciFact, embedded and searched three ways")
def test_three_ways_one_answer(scifact, collection):
    """On SciFact's 300 judged queries core, LlamaIndex and LangChain give the same ids in order."""
    core = pytest.importorskip("llama_index.core")
    theirs = pytest.importorskip("llama_index.vector_stores.chroma")
    langchain_chroma = pytest.importorskip("langchain_chroma")
    from langchain_core.embeddings import Embeddings
    from llama_index.core.embeddings import BaseEmbedding

    from runoff import langchain, llama_index

    class ForLlamaIndex(BaseEmbedding):
        def _get_text_embedding(self, text):
            return embed([text])[0].tolist()

        _get_query_embedding = _get_text_embedding

        async def _aget_query_embedding(self, query):
            return self._get_text_embedding(query)

    class ForLangChain(Embeddings):
        def embed_documents(self, texts):
            return embed(texts).tolist()

        def embed_query(self, text):
            return embed([text])[0].tolist()

    corpus, queries = scifact
    client, made = collection
    assert len(queries) == _QUERIES
    words_source = BM25(list(corpus.items()))
    scorer = Share()
    by_core = TwoStage({"bm25": words_source, "dense": Chroma(made, embed=embed)}, reranker=scorer)
    index = core.VectorStoreIndex.from_vector_store(
        theirs.ChromaVectorStore(chroma_collection=made), embed_model=ForLlamaIndex()
    )
    by_llama_index = llama_index.TwoStageRetriever(
        {"bm25": words_source, "dense": index.as_retriever()}, reranker=scorer, top_n=_TOP
    )
    store = langchain_chroma.Chroma(
        client=client, collection_name="scifact", embedding_function=ForLangChain()
    )
    by_langchain = langchain.TwoStageRetriever(
        retrievers={"bm25": words_source, "dense": store}, reranker=scorer, k=_TOP
    )
    different = []
    for query in queries:
        expected = [one.doc_id for one in by_core.search(query, top_k=_TOP)]
        answers = (
            [one.node_id for one in by_llama_index.retrieve(query)],
            [one.id for one in by_langchain.invoke(query)],
        )
        assert len(expected) == _TOP
        if answers != (expected, expected):
            different.append((query, expected, *answers))
    assert different == []
