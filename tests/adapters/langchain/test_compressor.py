"""`RunoffRerank`: what LangChain's users get back."""

import asyncio
import copy
import dataclasses
import json
import pickle
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document
from ticking import ticks_during

from runoff.errors import AuthenticationFailed, InvalidArgument, ScoreKindMismatch
from runoff.langchain import RunoffRerank, TwoStageRetriever, provenance
from runoff.recall import BM25
from runoff.rerank._pointwise import Pointwise
from runoff.scores import ScoreKind, Threshold

QUESTION = "which cascade passes few documents to an expensive model"


def test_results_keep_id_and_metadata_and_add_scores(documents, overlap):
    """A result is its document, with a rerank score and provenance added to its metadata."""
    best = RunoffRerank(reranker=overlap, top_n=2).compress_documents(documents, QUESTION)[0]
    assert (best.id, best.page_content) == (documents[1].id, documents[1].page_content)
    assert {key: best.metadata[key] for key in ("topic", "year")} == documents[1].metadata
    assert type(best.metadata["relevance_score"]) is float
    told = provenance(best)
    assert told["rerank_score"] == best.metadata["relevance_score"]
    assert (told["rank"], told["complete"], told["model"]) == (1, True, "overlap")
    assert told["sources"] == {"input": {"rank": 2, "score": None}}


def test_inputs_are_never_changed(documents, overlap):
    """The documents passed in are unchanged, and results are copies."""
    before = copy.deepcopy(documents)
    results = RunoffRerank(reranker=overlap).compress_documents(documents, QUESTION)
    assert documents == before
    assert not {id(one) for one in results} & {id(one) for one in documents}
    assert not {id(one.metadata) for one in results} & {id(one.metadata) for one in documents}


def test_provenance_is_one_json_string(documents, overlap):
    """Apart from the score runoff adds one string, which any store accepts."""
    for one in RunoffRerank(reranker=overlap).compress_documents(documents, QUESTION):
        assert set(one.metadata) == {"topic", "year", "relevance_score", "runoff"}
        assert isinstance(json.loads(one.metadata["runoff"]), dict)


def test_a_second_pass_replaces_provenance_and_never_shows_it(documents, overlap):
    """Reranking a reranked list changes nothing, and the reranker never reads runoff's metadata."""
    compressor = RunoffRerank(reranker=overlap, text_template="{topic} {page_content}")
    once = compressor.compress_documents(documents, QUESTION)
    overlap.seen.clear()
    twice = compressor.compress_documents(once, QUESTION)
    assert [one.id for one in twice] == [one.id for one in once]
    assert [provenance(one)["rank"] for one in twice] == [1, 2, 3, 4, 5]
    assert not any("runoff" in text or "rerank_score" in text for text in overlap.seen)


def test_the_tail_comes_after_with_none(documents, overlap):
    """Documents below the window keep their order and get None in place of an earlier score."""
    documents[5].metadata["relevance_score"] = 0.99
    results = RunoffRerank(reranker=overlap, top_n=10, window=3).compress_documents(
        documents, QUESTION
    )
    assert overlap.calls == [3]
    assert [one.id for one in results[3:]] == [one.id for one in documents[3:]]
    assert [one.metadata["relevance_score"] for one in results[3:]] == [None] * 7


def test_empty_documents_are_never_sent(documents, overlap):
    """A document without text keeps its place behind the scored ones and is not scored."""
    documents[0].page_content = "  "
    results = RunoffRerank(reranker=overlap, top_n=10).compress_documents(documents, QUESTION)
    assert overlap.calls == [9]
    assert results[-1].id == "otter"
    assert results[-1].metadata["relevance_score"] is None


def test_documents_alike_are_all_kept(overlap):
    """Two documents with the same text or id both come back, each with its own metadata."""
    alike = [
        Document("the same text", metadata={"n": 1}),
        Document("the same text", metadata={"n": 2}),
        Document("another text", id="x", metadata={"n": 3}),
        Document("a third text", id="x", metadata={"n": 4}),
    ]
    results = RunoffRerank(reranker=overlap, top_n=9).compress_documents(alike, "same text")
    assert sorted(one.metadata["n"] for one in results) == [1, 2, 3, 4]
    assert [one.id for one in sorted(results, key=lambda one: one.metadata["n"])] == [
        None, None, "x", "x",
    ]  # fmt: skip


@pytest.mark.filterwarnings("error")
def test_a_degraded_answer_leaves_incoming_scores(documents, failing, caplog):
    """When the reranker is down, order and metadata stay, and provenance and a warning say why."""
    documents[0].metadata["relevance_score"] = 0.5
    results = RunoffRerank(reranker=failing, top_n=3).compress_documents(documents, QUESTION)
    assert [one.id for one in results] == [one.id for one in documents[:3]]
    assert results[0].metadata["relevance_score"] == 0.5
    assert "relevance_score" not in results[1].metadata
    told = provenance(results[0])
    assert told["complete"] is False
    (lacking,) = told["degraded"]
    assert lacking.pop("detail") in caplog.text
    assert lacking == {"stage": "rerank", "source": "failing", "reason": "connection"}
    assert "degraded answer" in caplog.text


def test_permanent_errors_raise_unless_told_otherwise(documents, failing):
    """A refused key raises by default, and degrades only on request."""
    failing.error = AuthenticationFailed("no")
    with pytest.raises(AuthenticationFailed):
        RunoffRerank(reranker=failing).compress_documents(documents, QUESTION)
    results = RunoffRerank(reranker=failing, on_error="degrade").compress_documents(
        documents, QUESTION
    )
    assert provenance(results[0])["complete"] is False


def test_raise_means_raise(documents, failing):
    """With on_error="raise" a fault that may pass is raised unchanged."""
    with pytest.raises(ConnectionError, match="refused"):
        RunoffRerank(reranker=failing, on_error="raise").compress_documents(documents, QUESTION)


def test_a_timeout_gives_the_incoming_order(documents, overlap):
    """A reranker that does not answer in time is left behind, and the answer says so."""
    over = threading.Event()

    class Slow:
        name = "slow"

        def score(self, pairs, *, deadline=None):
            assert over.wait(60)
            return overlap.score(pairs)

    try:
        compressor = RunoffRerank(reranker=Slow(), timeout=0.05)
        results = compressor.compress_documents(documents, QUESTION)
    finally:
        over.set()
    assert [one.id for one in results] == [one.id for one in documents[:5]]
    assert provenance(results[0])["degraded"][0]["reason"] == "timeout"


def test_a_partly_scored_answer_has_one_scale(documents, overlap):
    """What was scored in time comes first with its score; the rest follows with None."""

    class Half:
        name = "half"

        def score(self, pairs, *, deadline=None):
            scores = overlap.score(pairs)
            scored = np.arange(len(pairs)) < 2
            return dataclasses.replace(scores, scored=scored, reason="timeout")

    results = RunoffRerank(reranker=Half()).compress_documents(documents, QUESTION)
    given = [one.metadata["relevance_score"] for one in results]
    assert all(isinstance(one, float) for one in given[:2])
    assert given[2:] == [None] * (len(given) - 2)
    assert provenance(results[0])["degraded"][0]["reason"] == "timeout"


def test_a_threshold_is_bound_to_its_scores(documents, overlap):
    """A threshold for these scores drops what is below; one for other scores is refused."""
    bound = Threshold(0.4, ScoreKind.PROBABILITY, "overlap")
    kept = RunoffRerank(reranker=overlap, top_n=10, threshold=bound).compress_documents(
        documents, QUESTION
    )
    assert 0 < len(kept) < 10
    assert min(one.metadata["relevance_score"] for one in kept) >= 0.4
    other = RunoffRerank(reranker=overlap, threshold=Threshold(0.4, ScoreKind.LOGIT))
    with pytest.raises(ScoreKindMismatch):
        other.compress_documents(documents, QUESTION)


def test_a_text_template_shows_metadata_to_the_reranker_alone(documents, overlap):
    """The reranker reads the template; results keep their text; absent fields read as nothing."""
    del documents[1].metadata["topic"]
    compressor = RunoffRerank(
        reranker=overlap, top_n=10, text_template="{topic}: {page_content} {absent}"
    )
    results = compressor.compress_documents(documents, "life")
    assert overlap.seen[0] == "life: River otters sleep afloat and hold hands"
    assert overlap.seen[1].startswith(": A cascade")
    assert results[0].page_content == "River otters sleep afloat and hold hands"


@pytest.mark.parametrize(
    ("relevance", "fusion", "counted"),
    [
        ((9.0, 8.0, 1.0), "Convex", (9.0, 8.0, 1.0)),
        (("9", 8, np.float32(1)), "Convex", (9.0, 8.0, 1.0)),
        ((0.1, 0.2, 0.9), "Convex", (-0.1, -0.2, -0.9)),  # distances
        ((None, None, None), "RRF", None),
        ((9.0, None, 1.0), "RRF", (9.0, None, 1.0)),
        ((9.0, float("nan"), 1.0), "RRF", (9.0, None, 1.0)),
        ((1.0, 9.0, 8.0), "RRF", (1.0, 9.0, 8.0)),
    ],
)
def test_incoming_scores_reach_the_blend(documents, overlap, relevance, fusion, counted):
    """Scores of the list count where they agree with its order, and its ranks where they do not."""
    given = documents[:3]
    for one, score in zip(given, relevance, strict=True):
        one.metadata["relevance_score"] = score
    compressor = RunoffRerank(reranker=overlap, blend=0.0, top_n=3)
    found = [provenance(one) for one in compressor.compress_documents(given, QUESTION)]
    assert [one["fusion"] for one in found] == [fusion] * 3
    assert [one["fusion_rank"] for one in found] == [1, 2, 3]
    known = (None, None, None) if counted is None else counted
    assert [one["sources"]["input"]["score"] for one in found] == list(known)
    if fusion == "RRF":
        expected = [1 / 61, 1 / 62, 1 / 63]
    else:
        expected = (np.array(counted) - np.mean(counted)) / np.std(counted)
    assert [one["fusion_score"] for one in found] == pytest.approx(list(expected))


def test_blend_reaches_the_pointwise_reranker(documents, overlap):
    """A blend of zero leaves the incoming order as it was."""
    results = RunoffRerank(reranker=overlap, blend=0.0).compress_documents(documents, QUESTION)
    assert [one.id for one in results] == [one.id for one in documents[:5]]


async def test_async_gives_the_same(documents, overlap):
    """Awaited or called, the compressor gives the same answer."""
    compressor = RunoffRerank(reranker=overlap)
    awaited = await compressor.acompress_documents(documents, QUESTION)
    assert awaited == compressor.compress_documents(documents, QUESTION)


async def test_async_does_not_block_the_loop(documents, overlap):
    """While a synchronous scorer works for 0.2 s, the event loop goes on."""

    class Slow:
        name = "slow"

        def score(self, pairs, *, deadline=None):
            time.sleep(0.2)
            return overlap.score(pairs)

    work = RunoffRerank(reranker=Slow()).acompress_documents(documents, QUESTION)
    assert await ticks_during(work) >= 5


def test_one_instance_serves_two_event_loops(documents, overlap):
    """One instance works in two event loops, one after the other."""
    compressor = RunoffRerank(reranker=overlap)
    first, second = (
        asyncio.run(compressor.acompress_documents(documents, QUESTION)) for _ in range(2)
    )
    assert first == second


def test_no_documents_no_work(overlap):
    """An empty list is answered with an empty list."""
    assert RunoffRerank(reranker=overlap).compress_documents([], QUESTION) == []
    assert overlap.calls == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_n": 0}, "top_n=0: must be a whole number, 1 or more"),
        ({"window": 2.5}, "window=2.5"),
        ({"timeout": -1}, "timeout=-1"),
        ({"on_error": "ignore"}, "on_error='ignore'"),
        ({"threshold": 0.5}, "threshold=0.5: must be a runoff Threshold"),
        ({"reranker": 3}, "reranker=3: must be one of"),
        ({"text_template": "{title}"}, r"must contain \{page_content\}"),
        ({"text_template": "{page_content} {runoff}"}, "runoff"),
        ({"text_template": "{page_content.__class__}{page_content}"}, "plain placeholders"),
    ],
)
def test_bad_arguments_are_named(options, message):
    """Every wrong argument raises InvalidArgument with its name, its value and a remedy."""
    with pytest.raises(InvalidArgument, match=message):
        RunoffRerank(**options)


def test_unknown_arguments_are_refused():
    """A misspelt argument is not ignored."""
    with pytest.raises(ValueError, match="top_k"):
        RunoffRerank(top_k=3)


@pytest.mark.parametrize("given", ["text", [1], None])
def test_what_is_no_document_is_refused(given, overlap):
    """Strings and numbers in place of documents raise InvalidArgument."""
    with pytest.raises(InvalidArgument, match="documents="):
        RunoffRerank(reranker=overlap).compress_documents(given, QUESTION)


def test_a_blank_query_is_refused(documents, overlap):
    """A blank query raises InvalidArgument."""
    with pytest.raises(InvalidArgument, match="blank"):
        RunoffRerank(reranker=overlap).compress_documents(documents, "  ")


def test_threshold_needs_a_scorer():
    """A reranker that brings its own order refuses a threshold by name."""

    class Listwise:
        def rerank(self, query, candidates, *, deadline=None):
            raise NotImplementedError

    with pytest.raises(
        InvalidArgument, match="applies only to scorers, and Listwise orders the candidates itself"
    ):
        RunoffRerank(reranker=Listwise(), threshold=Threshold(0.1, ScoreKind.LOGIT))


def test_pickle_and_copies_answer_alike(documents, monkeypatch):
    """A pickled or deep-copied compressor gives the same answer on first use."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    from pickled import Length

    compressor = RunoffRerank(reranker=Length(), top_n=3)
    expected = compressor.compress_documents(documents, QUESTION)
    for other in (
        pickle.loads(pickle.dumps(compressor)),
        copy.deepcopy(compressor),
        compressor.model_copy(),
    ):
        assert other.compress_documents(documents, QUESTION) == expected


def test_a_pickle_of_0_1_0_opens_with_its_settings():
    """A state of 0.1.0 has `k`, lacks newer fields, and None in it is the default blend."""
    new = TwoStageRetriever(retriever=BM25([("a", "tea")]), top_n=3)
    state = new.__getstate__()
    fields = {
        name: value for name, value in new.__dict__.items() if name not in {"top_n", "filters"}
    }
    state["__dict__"] = {**fields, "k": 7, "blend": None}
    state["__pydantic_fields_set__"] = {"retriever", "k"}
    old = TwoStageRetriever.__new__(TwoStageRetriever)
    old.__setstate__(state)
    assert (old.top_n, old.blend, old.filters, old.window) == (7, "auto", None, 50)
    off = RunoffRerank(blend=None)
    assert pickle.loads(pickle.dumps(off)).blend is None
    assert pickle.loads(pickle.dumps(RunoffRerank())).blend == "auto"


def test_as_runnable_takes_query_and_documents(documents, overlap):
    """As a runnable it maps {"query", "documents"} to documents, called, awaited or batched."""
    compressor = RunoffRerank(reranker=overlap)
    runnable = compressor.as_runnable()
    inputs = {"query": QUESTION, "documents": documents}
    expected = compressor.compress_documents(documents, QUESTION)
    assert runnable.invoke(inputs) == expected
    assert asyncio.run(runnable.ainvoke(inputs)) == expected
    assert runnable.batch([inputs, inputs]) == [expected, expected]
    assert runnable.invoke({"query": QUESTION, "documents": []}) == []
    with pytest.raises(InvalidArgument, match="query"):
        runnable.invoke({"question": QUESTION})


def test_a_compressor_is_a_reranker_too(overlap):
    """`stage` is what the compressor reranks with, threshold included."""
    bound = Threshold(0.4, ScoreKind.PROBABILITY)
    second = RunoffRerank(reranker=overlap, threshold=bound).stage
    assert second == Pointwise(overlap, threshold=bound)
