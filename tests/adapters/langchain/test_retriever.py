"""`TwoStageRetriever` and `two_stage`: recall widened, reranked, and LangChain's plumbing kept."""

import asyncio
import copy
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import ConfigurableField, RunnableLambda
from ticking import ticks_during

from runoff.errors import InvalidArgument, RecallFailed
from runoff.fusion import RRF
from runoff.langchain import TwoStageRetriever, provenance, two_stage
from runoff.recall import BM25
from runoff.types import Document as CoreDocument

QUESTION = "which cascade passes few documents to an expensive model"


class Fixed(BaseRetriever):
    """Returns given documents, and keeps the config it was called with."""

    found: list[Document] = []  # noqa: RUF012 - pydantic copies it
    k: int = 4
    error: Exception | None = None
    delay: float = 0.0
    asked: list = []  # noqa: RUF012 - pydantic copies it

    def _get_relevant_documents(self, query, *, run_manager):
        time.sleep(self.delay)
        self.asked.append({"k": self.k, "tags": run_manager.tags, "metadata": run_manager.metadata})
        if self.error:
            raise self.error
        return self.found[: self.k]


def ids(documents):
    return [one.id for one in documents]


def test_one_line_widens_recall_and_reranks(store, overlap):
    """`two_stage` finds and puts first what the retriever alone, asked for 4, does not return."""
    plain = store.as_retriever(search_kwargs={"k": 1})
    question = "hold hands afloat, says the cascade of few expensive documents query"
    chain = two_stage(plain, top_n=10, reranker=overlap)
    assert len(plain.invoke(question)) == 1
    results = chain.invoke(question)
    assert len(results) == 10
    scores = [one.metadata["relevance_score"] for one in results]
    assert scores == sorted(scores, reverse=True)
    assert overlap.calls == [10]


def test_a_vector_store_will_do(store, overlap):
    """A vector store may stand for its retriever."""
    by_store = two_stage(store, reranker=overlap).invoke(QUESTION)
    assert by_store == two_stage(store.as_retriever(), reranker=overlap).invoke(QUESTION)


def test_the_given_retriever_is_not_changed(store, overlap):
    """Widening happens on copies: the retriever still returns what it was made to return."""
    retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "fetch_k": 5})
    before = copy.deepcopy(retriever.search_kwargs)
    two_stage(retriever, reranker=overlap).invoke(QUESTION)
    assert retriever.search_kwargs == before


def test_stage_one_scores_are_the_stores_own(store, overlap):
    """Provenance carries the store's similarity and rank, under the source's name."""
    results = two_stage(store, reranker=overlap, top_n=10).invoke(QUESTION)
    expected = {
        one.id: (rank, score)
        for rank, (one, score) in enumerate(store.similarity_search_with_score(QUESTION, k=10), 1)
    }
    for one in results:
        placed = provenance(one)["sources"]["dense"]
        assert (placed["rank"], placed["score"]) == pytest.approx(expected[one.id])


def test_k_at_construction_per_call_and_by_both_names(store, overlap):
    """`k` and `top_n` mean the same, at construction and for one call."""
    assert len(TwoStageRetriever(retriever=store, reranker=overlap, k=3).invoke(QUESTION)) == 3
    retriever = TwoStageRetriever(retriever=store, reranker=overlap, top_n=2)
    assert len(retriever.invoke(QUESTION)) == 2
    assert len(retriever.invoke(QUESTION, k=1)) == 1
    assert len(retriever.invoke(QUESTION, top_n=4)) == 4
    with pytest.raises(InvalidArgument, match=r"k=1: is another name for top_n, .* as 2: pass one"):
        retriever.invoke(QUESTION, k=1, top_n=2)


def test_depth_window_and_timeout_per_call(store, overlap):
    """A call may set depth and window for itself."""
    retriever = TwoStageRetriever(retriever=store, reranker=overlap, k=10)
    assert len(retriever.invoke(QUESTION, depth=3)) == 3
    retriever.invoke(QUESTION, window=2)
    assert overlap.calls == [3, 2]
    assert len(retriever.invoke(QUESTION, timeout=5.0)) == 10


def test_k_beyond_depth_widens_depth(store, overlap):
    """Asking for more results than the depth asks the retriever for as many."""
    retriever = TwoStageRetriever(retriever=store, reranker=overlap, depth=2)
    assert len(retriever.invoke(QUESTION, k=7)) == 7


def test_configurable_k_uses_the_same_reranker(store, overlap):
    """`k` through configurable fields works per call, and the reranker object stays the same."""
    retriever = TwoStageRetriever(retriever=store, reranker=overlap, k=5).configurable_fields(
        k=ConfigurableField(id="k")
    )
    assert len(retriever.invoke(QUESTION)) == 5
    assert len(retriever.invoke(QUESTION, config={"configurable": {"k": 2}})) == 2
    assert len(retriever.with_config(configurable={"k": 3}).invoke(QUESTION)) == 3
    rebuilt, _ = retriever.prepare({"configurable": {"k": 2}})
    assert rebuilt.reranker is retriever.default.reranker
    assert len(overlap.calls) == 3


def test_configurable_reaches_the_base_retriever(store, documents, overlap):
    """Fields configured on a base retriever are declared by and configured through ours."""
    base = store.as_retriever(search_kwargs={"k": 1}).configurable_fields(
        search_kwargs=ConfigurableField(id="search")
    )
    retriever = TwoStageRetriever(retriever=base, reranker=overlap, k=10)
    assert [spec.id for spec in retriever.config_specs] == ["search"]
    only = {"filter": lambda document: document.id in {"tea", "ship"}}
    results = retriever.invoke(QUESTION, config={"configurable": {"search": only}})
    assert sorted(ids(results)) == ["ship", "tea"]
    assert len(retriever.invoke(QUESTION)) == 10


def test_configurable_reaches_a_runnable(documents, overlap):
    """A runnable that answers like a retriever sees the call's `configurable`."""

    def find(query, config):
        return documents[: config["configurable"].get("many", 2)]

    with pytest.warns(UserWarning, match="RunnableLambda"):
        retriever = TwoStageRetriever(retriever=RunnableLambda(find), reranker=overlap, k=10)
    assert len(retriever.invoke(QUESTION)) == 2
    assert len(retriever.invoke(QUESTION, config={"configurable": {"many": 6}})) == 6
    assert len(asyncio.run(retriever.ainvoke(QUESTION, {"configurable": {"many": 7}}))) == 7


def test_tags_and_metadata_reach_the_base_retrievers(documents, overlap):
    """A call's tags reach its retrievers, in whichever thread they run."""
    one, two = Fixed(found=documents[:5]), Fixed(found=documents[5:])
    retriever = TwoStageRetriever(retrievers={"one": one, "two": two}, reranker=overlap)
    retriever.invoke(QUESTION, {"tags": ["outer"], "metadata": {"user": "u1"}})
    for name, base in (("one", one), ("two", two)):
        (asked,) = base.asked
        assert {"outer", f"source:{name}"} <= set(asked["tags"])
        assert asked["metadata"]["user"] == "u1"
        assert asked["k"] == 100


def test_several_retrievers_are_fused(documents, store, overlap):
    """What several retrievers find is fused by rank, once per document, and reranked."""
    retriever = TwoStageRetriever(
        retrievers=[Fixed(found=documents), store.as_retriever()], reranker=None, k=10
    )
    results = retriever.invoke(QUESTION)
    assert sorted(ids(results)) == sorted(ids(documents))
    told = provenance(results[0])
    assert set(told["sources"]) == {"Fixed", "dense"}
    expected = sum(1 / (60 + one["rank"]) for one in told["sources"].values())
    assert told["fusion_score"] == pytest.approx(expected)
    assert "relevance_score" not in results[0].metadata


def test_runoff_sources_stand_beside_retrievers(documents, store, overlap):
    """A source of runoff's own is taken as it is, and its documents become LangChain's."""
    bm25 = BM25(CoreDocument(one.id, one.page_content, one.metadata) for one in documents)
    retriever = TwoStageRetriever(retrievers={"bm25": bm25, "dense": store}, reranker=overlap)
    results = retriever.invoke("expensive cascade", filter={"topic": "search"})
    assert {one.metadata["topic"] for one in results} == {"search"}
    assert set(provenance(results[0])["sources"]) == {"bm25", "dense"}
    alone = TwoStageRetriever(retriever=bm25, reranker=None).invoke("otters")
    assert [(one.id, one.page_content) for one in alone] == [("otter", documents[0].page_content)]


def test_warmup_reaches_sources_and_second_stage(documents, overlap):
    """`warmup` warms what can be warmed, and passes over what cannot."""
    warmed = []

    class Warm(BM25):
        def warmup(self):
            warmed.append("source")

    overlap.warmup = lambda: warmed.append("reranker")
    retrievers = {"bm25": Warm(), "fixed": Fixed(found=documents)}
    TwoStageRetriever(retrievers=retrievers, reranker=overlap).warmup()
    assert warmed == ["reranker", "source"]


def test_weights_count(documents):
    """RRF weights given to the fusion decide the order."""
    forward, backward = Fixed(found=documents, k=1), Fixed(found=documents[::-1], k=1)
    for weights, first in (({"a": 2.0, "b": 1.0}, "otter"), ({"a": 1.0, "b": 2.0}, "apple")):
        retriever = TwoStageRetriever(
            retrievers={"a": forward, "b": backward}, reranker=None, fusion=RRF(weights=weights)
        )
        assert retriever.invoke(QUESTION)[0].id == first


def test_documents_without_scores_are_fused_by_rank(documents, store):
    """One retriever without scores: RRF takes the default's place, and the answer says so."""
    given = {"fixed": Fixed(found=documents, k=9), "dense": store}
    default = TwoStageRetriever(retrievers=given, reranker=None, top_n=9)
    found = default.invoke(QUESTION)
    by_rank = default.model_copy(update={"fusion": RRF()}).invoke(QUESTION)
    assert ids(found) == ids(by_rank)
    told = [provenance(one) for one in found]
    assert {one["fusion"] for one in told} == {"RRF"}
    assert {one["sources"]["fixed"]["score"] for one in told if "fixed" in one["sources"]} == {None}
    response = default.pipeline.search(QUESTION)
    assert response.outcome.notes == (
        "fused by rank (RRF) instead of by score: fixed gave no scores",
    )


def test_documents_without_ids_merge_by_text(documents, store, overlap):
    """A store's invented ids and documents without any are one document when texts are the same."""
    bare = [Document(page_content=one.page_content) for one in documents]
    retriever = TwoStageRetriever(
        retrievers={"dense": store, "fixed": Fixed(found=bare)}, reranker=overlap, k=20
    )
    results = retriever.invoke(QUESTION)
    assert len(results) == 10
    assert sorted(ids(results)) == sorted(ids(documents))  # the first-declared source's copies


def test_an_id_in_the_metadata_is_an_id(documents):
    """Stores that keep the id as `_id` in the metadata merge by it with those that set it."""
    one = [Document("text one", id="a")]
    two = [Document("text one, a later version", metadata={"_id": "a"})]
    retriever = TwoStageRetriever(
        retrievers=[Fixed(found=one), Fixed(found=two)], reranker=None, k=9
    )
    assert [result.page_content for result in retriever.invoke(QUESTION)] == ["text one"]


def test_id_key_identifies_and_tolerates_absence(documents):
    """`id_key` merges by a metadata field; documents without it merge by text, none is lost."""
    one = [Document("text one", id="a", metadata={"key": "1"}), Document("text two", id="b")]
    two = [Document("text one!", id="c", metadata={"key": "1"}), Document("text two", id="d")]
    keyed = TwoStageRetriever(
        retrievers=[Fixed(found=one[:1]), Fixed(found=two[:1])], reranker=None, id_key="key"
    )
    assert len(keyed.invoke(QUESTION)) == 1
    mixed = TwoStageRetriever(
        retrievers=[Fixed(found=one), Fixed(found=two)], reranker=None, id_key="key"
    )
    assert len(mixed.invoke(QUESTION)) == 3


def test_a_failing_retriever_is_left_out_by_name(documents, overlap, caplog):
    """If one of two retrievers fails, the other's documents are reranked; provenance says so."""
    retriever = TwoStageRetriever(
        retrievers={"good": Fixed(found=documents), "bad": Fixed(error=ConnectionError("down"))},
        reranker=overlap,
    )
    results = retriever.invoke(QUESTION)
    assert results[0].metadata["relevance_score"] > 0
    told = provenance(results[0])
    why = {"stage": "recall", "source": "bad", "reason": "connection"}
    assert told["degraded"] == [{**why, "detail": "ConnectionError: down"}]
    assert "bad" in caplog.text


def test_when_all_fail_it_raises(overlap):
    """With no retriever left, RecallFailed names each one's error."""
    retriever = TwoStageRetriever(
        retrievers={"a": Fixed(error=ConnectionError("x")), "b": Fixed(error=TimeoutError("y"))},
        reranker=overlap,
    )
    with pytest.raises(RecallFailed, match=r"a: ConnectionError: x; b: TimeoutError: y"):
        retriever.invoke(QUESTION)


def test_fallbacks_and_retries_see_the_error(documents, store, overlap):
    """`with_fallbacks` and `with_retry` work as for any runnable."""
    broken = Fixed(error=ConnectionError("down"))
    retriever = TwoStageRetriever(retriever=broken, reranker=overlap)
    spare = two_stage(store, reranker=overlap)
    assert retriever.with_fallbacks([spare]).invoke(QUESTION) == spare.invoke(QUESTION)
    retrying = retriever.with_retry(
        stop_after_attempt=3, wait_exponential_jitter=False, retry_if_exception_type=(RecallFailed,)
    )
    broken.asked.clear()
    with pytest.raises(RecallFailed):
        retrying.invoke(QUESTION)
    assert len(broken.asked) == 3


def test_batch_and_abatch_answer_like_invoke(store, overlap):
    """Many questions at once are answered as one by one, called and awaited."""
    retriever = two_stage(store, reranker=overlap)
    questions = ["otters", "tea", "a cascade", "bread and sugar"] * 3
    expected = [retriever.invoke(one) for one in questions]
    assert retriever.batch(questions) == expected
    assert asyncio.run(retriever.abatch(questions)) == expected


def test_one_retriever_serves_many_threads(store, overlap):
    """Eight threads asking different questions get their own answers."""
    retriever = two_stage(store, reranker=overlap)
    questions = ["otters", "tea", "a cascade", "bread and sugar"] * 20
    expected = {one: retriever.invoke(one) for one in set(questions)}
    with ThreadPoolExecutor(8) as pool:
        for question, results in zip(questions, pool.map(retriever.invoke, questions), strict=True):
            assert results == expected[question]


def test_one_retriever_serves_several_loops(store, overlap):
    """Event loops in two threads share one retriever."""
    retriever = two_stage(store, reranker=overlap)
    expected = retriever.invoke(QUESTION)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(asyncio.run(retriever.ainvoke(QUESTION))))
        for _ in range(2)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert results == [expected, expected]


async def test_a_synchronous_retriever_does_not_block_the_loop(documents, overlap):
    """A retriever that blocks does not block the event loop."""
    retriever = TwoStageRetriever(retriever=Fixed(found=documents, delay=0.2), reranker=overlap)
    assert await ticks_during(retriever.ainvoke(QUESTION)) >= 5


async def test_a_late_retriever_is_left_out_in_time(documents, overlap):
    """Recall gets half the budget once one has answered; a late retriever is left out by name."""
    retriever = TwoStageRetriever(
        retrievers={"fast": Fixed(found=documents), "slow": Fixed(found=documents, delay=2.0)},
        reranker=overlap,
        timeout=0.6,
    )
    for results in (retriever.invoke(QUESTION), await retriever.ainvoke(QUESTION)):
        told = provenance(results[0])
        (lacking,) = told["degraded"]
        assert lacking.pop("detail").startswith("DeadlineExceeded: no answer after")
        assert lacking == {"stage": "recall", "source": "slow", "reason": "timeout"}
        assert results[0].metadata["relevance_score"] > 0


def test_ls_params_name_the_store(store, overlap):
    """LangSmith is told which store and embeddings are behind it."""
    assert two_stage(store, reranker=overlap)._get_ls_params() == {
        "ls_retriever_name": "twostage",
        "ls_vector_store_provider": "InMemoryVectorStore",
        "ls_embedding_provider": "WordEmbeddings",
    }


def test_a_two_stage_retriever_nests(store, overlap):
    """One of ours inside another is asked for the outer depth, and passes filters on."""
    inner = two_stage(store, reranker=None, top_n=1)
    outer = TwoStageRetriever(retriever=inner, reranker=overlap, k=10)
    assert len(outer.invoke(QUESTION)) == 10
    assert len(outer.invoke(QUESTION, filter={"topic": "search"})) == 5
    changed = two_stage(outer, top_n=2)
    assert len(changed.invoke(QUESTION)) == 2
    assert changed.retriever is inner


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either retriever= or retrievers="),
        ({"retriever": "bm25"}, "must be a LangChain retriever"),
        ({"retrievers": []}, "at least one"),
        ({"retrievers": "bm25"}, "several of them in a list"),
        ({"retrievers": {"a": 3}}, r"retrievers\['a'\]=3"),
        ({"retrievers": {"": 3}}, "non-empty"),
    ],
)
def test_what_is_no_retriever_is_named(options, message):
    """What is not a retriever raises InvalidArgument with a remedy."""
    with pytest.raises(InvalidArgument, match=message):
        TwoStageRetriever(reranker=None, **options)


@pytest.mark.parametrize("name", ["k", "top_n", "depth", "window"])
def test_counts_below_one_are_refused(store, name):
    """Counts must be 1 or more, at construction and per call."""
    with pytest.raises(InvalidArgument, match="whole number, 1 or more"):
        TwoStageRetriever(retriever=store, reranker=None, **{name: 0})
    retriever = TwoStageRetriever(retriever=store, reranker=None)
    with pytest.raises(InvalidArgument, match="whole number, 1 or more"):
        retriever.invoke(QUESTION, **{name: 0})


def test_a_runnable_that_returns_no_documents_is_named(overlap):
    """A runnable that answers with something else raises InvalidArgument."""
    with pytest.warns(UserWarning, match="cannot be widened"):
        retriever = two_stage(RunnableLambda(lambda query: query), reranker=overlap)
    with pytest.raises(InvalidArgument, match="returned str, not a list of documents"):
        retriever.invoke(QUESTION)
