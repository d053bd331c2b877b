"""The adapter adds nothing to an answer: the core alone gives the same."""

import random
import re

import pytest
from langchain_core.documents import Document

from runoff import TwoStage
from runoff.langchain import HybridRetriever, RunoffRerank, provenance, two_stage
from runoff.recall import BM25, Function
from runoff.types import Document as CoreDocument
from runoff.types import Hit


@pytest.fixture
def corpus(documents):
    """Sixty documents of words drawn from the small ones."""
    rng = random.Random(7)
    words = sorted({word for one in documents for word in re.findall(r"\w+", one.page_content)})
    return [
        Document(id=f"d{n}", page_content=" ".join(rng.choices(words, k=12)), metadata={"n": n})
        for n in range(60)
    ]


@pytest.fixture
def questions(corpus):
    rng = random.Random(8)
    return [" ".join(rng.sample(one.page_content.split(), 3)) for one in corpus[:40]]


def core_of(one):
    return CoreDocument(one.id, one.page_content, one.metadata)


def dense(store):
    """The store as a source of the core, with the scores it gives."""
    return Function(
        lambda query, depth: [
            Hit(core_of(one), score)
            for one, score in store.similarity_search_with_score(query.text, k=depth)
        ]
    )


def told(results):
    return [
        (one["doc_id"], one["rerank_score"], one["fusion_rank"]) for one in map(provenance, results)
    ]


def expected(response):
    return [(one.doc_id, one.rerank_score, one.fusion_rank) for one in response]


async def test_retrievers_answer_as_the_core_does(corpus, questions, embeddings, overlap):
    """Over one source and over two, ids, order, scores and fused ranks are the core's own."""
    hybrid = HybridRetriever.from_documents(corpus, embeddings, reranker=overlap, k=10)
    store = hybrid.vectorstore
    single = two_stage(store, reranker=overlap, top_n=10)
    two = {"bm25": BM25(map(core_of, corpus)), "dense": dense(store)}
    pairs = (
        (single, TwoStage({"dense": dense(store)}, reranker=overlap)),
        (hybrid, TwoStage(two, reranker=overlap)),
    )
    for question in questions:
        for retriever, core in pairs:
            answer = expected(core.search(question, top_k=10))
            assert told(retriever.invoke(question)) == answer
            assert told(await retriever.ainvoke(question)) == answer


def test_the_compressor_answers_as_the_retriever_does(corpus, questions, embeddings, overlap):
    """Reranking what a retriever found gives what the two-stage retriever gives."""
    store = HybridRetriever.from_documents(corpus, embeddings, reranker=None).vectorstore
    retriever = two_stage(store, reranker=overlap, top_n=10)
    compressor = RunoffRerank(reranker=overlap, top_n=10)
    for question in questions:
        found = store.similarity_search(question, k=100)
        assert told(compressor.compress_documents(found, question)) == told(
            retriever.invoke(question)
        )
