"""Recall widened on copies, whatever kind of retriever it is, and its scores told apart."""

import warnings

import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import ConfigurableField
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore, VectorStoreRetriever

from runoff.langchain import TwoStageRetriever, provenance, two_stage
from runoff.langchain._scoring import oriented
from runoff.langchain._widen import widened

QUESTION = "documents"


class Numbers(BaseRetriever):
    """Returns as many documents as its own count."""

    top_k: int = 3

    def _get_relevant_documents(self, query, *, run_manager):
        return [Document(page_content=f"document {number}") for number in range(self.top_k)]


class Stubborn(BaseRetriever):
    """Returns three documents, whatever is asked."""

    def _get_relevant_documents(self, query, *, run_manager):
        return [Document(page_content=f"document {number}") for number in range(3)]


@pytest.fixture
def large(embeddings):
    store = InMemoryVectorStore(embeddings)
    store.add_documents(
        [Document(id=f"{n}", page_content=f"document {n} " + "word " * (n % 7)) for n in range(150)]
    )
    return store


def test_mmr_returns_the_whole_depth(large):
    """MMR's fetch_k, 20 by default, is raised with k; LangChain's own retriever stops at 20."""
    alone = large.as_retriever(search_type="mmr", search_kwargs={"k": 100})
    assert len(alone.invoke(QUESTION)) == 20
    assert len(two_stage(alone, reranker=None, top_n=100).invoke(QUESTION)) == 100


def test_a_larger_fetch_k_is_kept(large):
    """A fetch_k beyond twice the depth stays as it is."""
    retriever = large.as_retriever(search_type="mmr", search_kwargs={"fetch_k": 140})
    assert widened(retriever, 30).search_kwargs == {"fetch_k": 140, "k": 30}


def test_a_score_threshold_still_holds(store):
    """A retriever with a score threshold is widened, keeps its threshold and gives its scores."""
    store._select_relevance_score_fn = lambda: lambda similarity: similarity
    retriever = store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.2, "k": 1}
    )
    results = two_stage(retriever, reranker=None, top_n=10).invoke("a query and documents")
    assert 1 < len(results) < 10
    scores = [provenance(one)["sources"]["dense"]["score"] for one in results]
    assert min(scores) >= 0.2


def test_counts_by_other_names_are_raised():
    """A retriever's own count is raised on a copy, whatever it is called."""
    retriever = Numbers()
    assert len(two_stage(retriever, reranker=None, top_n=40).invoke(QUESTION)) == 40
    assert retriever.top_k == 3


def test_who_cannot_be_widened_is_named_once():
    """A retriever without a count is named in a warning, at construction and not at each call."""
    with pytest.warns(UserWarning, match=r"Stubborn cannot be widened to 100") as seen:
        retriever = TwoStageRetriever(retriever=Stubborn(), reranker=None)
    assert seen[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(retriever.invoke(QUESTION)) == 3


@pytest.mark.parametrize(
    "wrap",
    [
        lambda one: one.with_fallbacks([Numbers()]),
        lambda one: one.with_retry(),
        lambda one: one.with_config(tags=["x"]),
        lambda one: one.configurable_fields(top_k=ConfigurableField(id="top_k")),
        lambda one: one.with_config(tags=["x"]).with_retry().with_fallbacks([one.with_retry()]),
    ],
    ids=["fallbacks", "retry", "config", "configurable", "all"],
)
def test_wrapped_retrievers_are_widened(wrap):
    """Fallbacks, retries, bindings and configurable fields are looked into."""
    retriever = two_stage(wrap(Numbers()), reranker=None, top_n=40)
    assert len(retriever.invoke(QUESTION)) == 40


def test_a_subclass_of_the_store_retriever_keeps_its_ways(store):
    """A retriever with a search of its own is asked through that, and only widened."""

    class Own(VectorStoreRetriever):
        def _get_relevant_documents(self, query, *, run_manager, **kwargs):
            found = super()._get_relevant_documents(query, run_manager=run_manager, **kwargs)
            return found[::-1]

    retriever = two_stage(Own(vectorstore=store), reranker=None, top_n=10)
    results = retriever.invoke("a query and documents")
    plain = two_stage(store, reranker=None, top_n=10).invoke("a query and documents")
    assert [one.id for one in results] == [one.id for one in plain][::-1]
    assert provenance(results[1])["sources"]["Own"] == {"rank": 2, "score": None}


def test_distances_and_similarities_are_told_apart(store, documents, embeddings, chroma_client):
    """Chroma's distances come out negated, memory's similarities as they are: best is highest."""
    chroma = pytest.importorskip("langchain_chroma")
    distant = chroma.Chroma("distances", embedding_function=embeddings, client=chroma_client)
    distant.add_documents(documents)
    for one, sign in ((store, 1), (distant, -1)):
        results = two_stage(one, reranker=None, top_n=10).invoke("a query and documents")
        scores = [provenance(result)["sources"]["dense"]["score"] for result in results]
        assert scores == sorted(scores, reverse=True)
        assert all(score * sign >= 0 for score in scores)


class _Declares(InMemoryVectorStore):
    def __init__(self, embeddings, relevance):
        super().__init__(embeddings)
        self._relevance = relevance

    def _select_relevance_score_fn(self):
        return self._relevance


@pytest.mark.parametrize(
    ("scores", "relevance", "expected"),
    [
        ([0.9, 0.5, 0.5], None, [0.9, 0.5, 0.5]),
        ([0.1, 0.4], None, [-0.1, -0.4]),
        ([0.4], lambda score: score, [0.4]),
        ([0.4], lambda score: 1 - score, [-0.4]),
        ([0.4, 0.4], None, [0.4, 0.4]),
        ([0.4, 0.4], lambda score: 0.0, None),
        ([0.4, 0.1, 0.3], lambda score: score, None),
        ([float("nan"), 0.1], lambda score: score, None),
        ([], None, None),
    ],
)
def test_the_order_tells_what_scores_mean(embeddings, scores, relevance, expected):
    """Falling scores are similarities, rising ones distances; otherwise the store's word counts."""
    store = _Declares(embeddings, relevance) if relevance else InMemoryVectorStore(embeddings)
    assert oriented(store, scores) == expected


async def test_a_store_that_only_awaits_is_awaited(documents, embeddings, overlap):
    """A store that has only an asynchronous search is awaited; without scores it gives order."""

    class OnlyAsync(VectorStore):
        def similarity_search(self, query, k=4, **kwargs):
            raise AssertionError("synchronous")

        async def asimilarity_search(self, query, k=4, **kwargs):
            return documents[:k]

        @classmethod
        def from_texts(cls, texts, embedding, metadatas=None, **kwargs):
            raise NotImplementedError

    results = await two_stage(OnlyAsync(), reranker=None, top_n=10).ainvoke(QUESTION)
    assert [one.id for one in results] == [one.id for one in documents]
    told = provenance(results[3])
    assert told["sources"]["dense"] == {"rank": 4, "score": None}
    assert (told["fusion"], told["fusion_score"]) == ("RRF", 1 / 64)
