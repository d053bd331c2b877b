"""What `TwoStage` promises, with small sources and rerankers whose behaviour is known exactly."""

import asyncio
import concurrent.futures
import dataclasses
import logging
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff import _workers
from runoff.errors import (
    AuthenticationFailed,
    DeadlineExceeded,
    InvalidArgument,
    PoolFull,
    RecallFailed,
    ServerFailed,
)
from runoff.filters import And, Eq
from runoff.fusion import RRF, Convex
from runoff.pipeline import TwoStage
from runoff.rerank import Pointwise
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Threshold
from runoff.types import Document, Dropped, Hit, Query, Ranked, Reranking


class Listed:
    """A source that always finds the same documents."""

    def __init__(self, *documents, wait=0.0, error=None):
        self.hits = [
            Hit(
                one if isinstance(one, Document) else Document(one, f"text of {one}"),
                1 / rank,
            )
            for rank, one in enumerate(documents, 1)
        ]
        self.wait = wait
        self.error = error
        self.asked = []

    def retrieve(self, query, *, depth, deadline=None):
        self.asked.append((query, depth))
        time.sleep(self.wait)
        if self.error is not None:
            raise self.error
        return self.hits


class Backwards:
    """A reranker that turns its candidates round."""

    name = "backwards"

    def __init__(self, wait=0.0, error=None):
        self.wait = wait
        self.error = error
        self.read = []

    def rerank(self, query, candidates, *, deadline=None):
        self.read.append([one.document.doc_id for one in candidates])
        time.sleep(self.wait)
        if self.error is not None:
            raise self.error
        ordered = tuple(
            Ranked(one, float(place), float(place))
            for place, one in sorted(enumerate(candidates), reverse=True)
        )
        return Reranking(ordered, model=ModelIdentity("backwards"), kind=ScoreKind.LOGIT)


class Fixed:
    """A reranker that answers with whatever a function makes of the candidates."""

    def __init__(self, make):
        self.make = make

    def rerank(self, query, candidates, *, deadline=None):
        return self.make(candidates)


def ids(response):
    return [result.doc_id for result in response]


def both(pipeline, *args, **kwargs):
    """Search synchronously and asynchronously; the two must agree on everything but time."""
    first = pipeline.search(*args, **kwargs)
    second = asyncio.run(pipeline.asearch(*args, **kwargs))
    assert first.results == second.results
    assert first.outcome.degraded == second.outcome.degraded
    assert first.trace.fates == second.trace.fates
    return first


def test_reranked_window_comes_before_the_tail_in_fused_order():
    """The window is reranked, the tail keeps its fused order behind it, and top_k cuts."""
    pipeline = TwoStage({"a": Listed(*"abcdef")}, reranker=Backwards(), window=3)
    response = both(pipeline, "q", top_k=5)
    assert ids(response) == ["c", "b", "a", "d", "e"]
    assert [result.rerank_rank for result in response] == [1, 2, 3, None, None]
    assert [result.fusion_rank for result in response] == [3, 2, 1, 4, 5]
    assert response.trace.fate("f").fate == "cut"
    assert response.trace.fate("f").scoring == "tail"
    assert response.outcome.complete
    assert (response.outcome.scored, response.outcome.total) == (3, 3)


def test_two_sources_are_fused_by_the_papers_formula():
    """A document both sources place first scores 2/61, and its placements name both."""
    pipeline = TwoStage({"a": Listed("x", "y"), "b": Listed("x", "z")}, reranker=None)
    response = both(pipeline, "q")
    assert ids(response) == ["x", "y", "z"]
    assert response[0].fusion_score == pytest.approx(2 / 61)
    assert [(one.source, one.rank) for one in response[0].placements] == [("a", 1), ("b", 1)]


def test_depth_and_window_reach_sources_and_reranker():
    """Sources are asked for `depth` hits, longer answers are cut, the reranker reads `window`."""
    source, reranker = Listed(*"abcdef"), Backwards()
    pipeline = TwoStage({"a": source}, reranker=reranker, depth=4, window=2)
    response = pipeline.search("q", top_k=9)
    assert source.asked[0][1] == 4
    assert reranker.read == [["a", "b"]]
    assert len(response) == 4
    assert len(pipeline.search("q", depth=2, window=9, top_k=9)) == 2


def test_filters_of_query_and_call_are_joined():
    """A filter given to `search` narrows the query's own."""
    source = Listed("a")
    query = Query("q", filters=Eq("x", 1))
    TwoStage({"a": source}, reranker=None).search(query, filters=Eq("y", 2))
    assert source.asked[0][0].filters == And(Eq("x", 1), Eq("y", 2))
    assert query.filters == Eq("x", 1)


def test_documents_without_own_ids_are_merged_by_text():
    """Invented ids do not keep one text apart; the first-declared source's copy is used."""
    mine = Document("doc-1", "same words")
    theirs = Document("5a2e-uuid", "same words", own_id=False)
    pipeline = TwoStage({"bm25": Listed(mine), "store": Listed(theirs)}, reranker=None)
    response = both(pipeline, "q")
    assert ids(response) == ["doc-1"]
    assert len(response[0].placements) == 2


def test_same_id_with_different_text_is_reported():
    """The first-declared source's text is used, and the outcome says so."""
    pipeline = TwoStage(
        {"a": Listed(Document("1", "old")), "b": Listed(Document("1", "new"))}, reranker=None
    )
    response = both(pipeline, "q")
    assert response[0].text == "old"
    assert "different texts for '1'" in response.outcome.notes[0]


def test_id_of_decides_identity():
    """`id_of` overrides ids and texts, and must return a string."""
    first, second = Document("1", "x", {"url": "u"}), Document("2", "y", {"url": "u"})
    sources = {"a": Listed(first), "b": Listed(second)}
    pipeline = TwoStage(sources, reranker=None, id_of=lambda one: one.metadata["url"])
    assert ids(both(pipeline, "q")) == ["1"]
    with pytest.raises(InvalidArgument, match="id_of"):
        TwoStage(sources, reranker=None, id_of=lambda one: None).search("q")


def test_one_source_merges_nothing():
    """Two documents of one source with the same text, even the same id, both come back."""
    same = [Document.without_id("twice"), Document.without_id("twice")]
    assert len(both(TwoStage({"a": Listed(*same)}, reranker=Backwards()), "q")) == 2


def test_images_keep_their_place_and_empty_texts_follow():
    """An image without text stays at its fused rank; an empty text is never sent to be scored."""
    image = Document("img", "", image=True)
    reranker = Backwards()
    source = Listed("a", image, Document("empty", " \n"), "b", "c")
    response = both(TwoStage({"a": source}, reranker=reranker), "q")
    assert ids(response) == ["c", "img", "b", "a", "empty"]
    assert reranker.read[0] == ["a", "b", "c"]
    assert response.trace.fate("img").scoring == "image"
    assert response.trace.fate("empty").scoring == "empty"


@pytest.mark.parametrize("error", [ServerFailed("503"), TimeoutError(), ConnectionResetError()])
def test_transient_reranker_faults_degrade(error, caplog):
    """The fused order is returned, the outcome names stage and reason, and a WARNING is logged."""
    pipeline = TwoStage({"a": Listed(*"abc")}, reranker=Backwards(error=error))
    with caplog.at_level(logging.WARNING, "runoff"):
        response = both(pipeline, "q")
    assert ids(response) == ["a", "b", "c"]
    assert all(result.rerank_score is None for result in response)
    (fault,) = response.outcome.degraded
    assert (fault.stage, fault.source) == ("rerank", "backwards")
    assert fault.reason in {"server_error", "timeout", "connection"}
    assert "degraded answer: rerank backwards" in caplog.text


@pytest.mark.parametrize("error", [AuthenticationFailed("bad key"), KeyError("bug")])
def test_permanent_reranker_faults_raise_unless_asked_otherwise(error):
    """A bad key or a bug is raised at once; `on_error="degrade"` degrades even then."""
    pipeline = TwoStage({"a": Listed("a")}, reranker=Backwards(error=error))
    with pytest.raises(type(error)):
        pipeline.search("q")
    with pytest.raises(type(error)):
        asyncio.run(pipeline.asearch("q"))
    lenient = dataclasses.replace(pipeline, on_error="degrade")
    assert not both(lenient, "q").outcome.complete


def test_on_error_raise_raises_every_fault():
    """With `on_error="raise"` a transient fault of a source or the reranker is raised."""
    bad = ServerFailed("503")
    with pytest.raises(ServerFailed):
        TwoStage({"a": Listed("a")}, reranker=Backwards(error=bad), on_error="raise").search("q")
    sources = {"a": Listed("a"), "b": Listed(error=bad)}
    with pytest.raises(ServerFailed):
        TwoStage(sources, reranker=None, on_error="raise").search("q")


def test_a_failed_source_is_left_out_by_name():
    """The other source's answer is returned and the failed one named."""
    sources = {"a": Listed("a"), "b": Listed(error=ValueError("broken"))}
    response = both(TwoStage(sources, reranker=None), "q")
    assert ids(response) == ["a"]
    (fault,) = response.outcome.degraded
    assert (fault.stage, fault.source, fault.reason) == ("recall", "b", "error")


@pytest.mark.parametrize("fusion", [RRF({"a": 1, "b": 2}), Convex({"a": 1, "b": 2})])
def test_a_weighted_source_that_fails_is_left_out_too(fusion):
    """A weight for a source that did not answer is no error; one for no source is, at once."""
    sources = {"a": Listed("x", "y"), "b": Listed(error=OSError("down"))}
    response = both(TwoStage(sources, fusion=fusion, reranker=None), "q")
    assert ids(response) == ["x", "y"]
    assert not response.outcome.complete
    with pytest.raises(InvalidArgument, match="weights"):
        TwoStage({"a": Listed("x"), "c": Listed("y")}, fusion=fusion, reranker=None)


def test_when_every_source_fails_it_raises():
    """No source, no answer: the error names every source and keeps its error."""
    sources = {"a": Listed(error=ValueError("one")), "b": Listed(error=OSError("two"))}
    with pytest.raises(RecallFailed, match=r"a: ValueError: one; b: OSError: two") as caught:
        TwoStage(sources, reranker=None).search("q")
    assert isinstance(caught.value.failures["b"], OSError)


def test_a_late_source_is_left_out_at_half_the_budget():
    """Once a source has answered, recall takes no more than half the budget."""
    sources = {"quick": Listed("a"), "hung": Listed("b", wait=5)}
    pipeline = TwoStage(sources, reranker=Backwards())
    for run in (pipeline.search, lambda *a, **k: asyncio.run(pipeline.asearch(*a, **k))):
        started = time.perf_counter()
        response = run("q", timeout=0.4)
        assert 0.18 < time.perf_counter() - started < 0.35
        assert ids(response) == ["a"]
        assert response[0].rerank_rank == 1
        assert [one.source for one in response.outcome.degraded] == ["hung"]
        assert response.outcome.degraded[0].reason == "timeout"


def test_a_hung_reranker_is_left_behind_at_the_deadline():
    """The fused answer comes back within the budget although the reranker never returns."""
    pipeline = TwoStage({"a": Listed(*"ab")}, reranker=Backwards(wait=5))
    for run in (pipeline.search, lambda *a, **k: asyncio.run(pipeline.asearch(*a, **k))):
        started = time.perf_counter()
        response = run("q", timeout=0.2)
        assert time.perf_counter() - started < 0.35
        assert ids(response) == ["a", "b"]
        assert response.outcome.degraded[0].reason == "timeout"
        assert response.outcome.budget_ms == 200


def test_no_time_left_for_the_only_source_raises():
    """A search whose only source is late has no answer to give."""
    with pytest.raises(RecallFailed) as caught:
        TwoStage({"a": Listed("a", wait=1)}, reranker=None).search("q", timeout=0.02)
    assert isinstance(caught.value.failures["a"], DeadlineExceeded)


BAD_RERANKINGS = {
    "missing": lambda given: Reranking(tuple(Ranked(one, 1.0) for one in given[1:])),
    "repeated": lambda given: Reranking(tuple(Ranked(one, 1.0) for one in (*given, given[0]))),
    "unknown": lambda given: Reranking(
        tuple(Ranked(dataclasses.replace(one, key="other"), 1.0) for one in given)
    ),
    "nan": lambda given: Reranking(tuple(Ranked(one, float("nan")) for one in given)),
}


@pytest.mark.parametrize("fault", BAD_RERANKINGS)
def test_a_reranking_that_is_no_partition_is_not_trusted(fault):
    """A reranker that loses, repeats or invents candidates, or scores NaN, degrades the answer."""
    pipeline = TwoStage({"a": Listed(*"abc")}, reranker=Fixed(BAD_RERANKINGS[fault]))
    response = both(pipeline, "q")
    assert ids(response) == ["a", "b", "c"]
    assert response.outcome.degraded[0].reason == "bad_reply"


def test_a_partly_scored_answer_says_so():
    """Scored candidates come first in the reranker's order, the unscored follow in fused order."""

    def half(given):
        return Reranking(
            (Ranked(given[3], 9.0), Ranked(given[1], 8.0)), (given[0], given[2]), reason="timeout"
        )

    response = both(TwoStage({"a": Listed(*"abcd")}, reranker=Fixed(half), window=9), "q")
    assert ids(response) == ["d", "b", "a", "c"]
    assert (response.outcome.scored, response.outcome.total) == (2, 4)
    assert response.outcome.degraded[0].reason == "timeout"
    assert response.trace.fate("a").scoring == "unscored: timeout"


def test_after_a_threshold_nothing_unscored_follows():
    """With a threshold the tail and empty texts are dropped, and their fate says why."""

    def keep_first(given):
        return Reranking(
            (Ranked(given[0], 1.0),),
            dropped=tuple(Dropped(one, "below threshold", -1.0) for one in given[1:]),
            thresholded=True,
        )

    pipeline = TwoStage({"a": Listed(*"abcd")}, reranker=Fixed(keep_first), window=2)
    response = both(pipeline, "q")
    assert ids(response) == ["a"]
    assert response.trace.fate("b").fate == "dropped: below threshold"
    assert response.trace.fate("c").fate.startswith("dropped: without a score")


def test_a_threshold_drops_nothing_from_a_degraded_answer():
    """With a source left out, what lies below the threshold comes back at its place."""

    class Scores:
        def score(self, pairs, *, deadline=None):
            values = np.arange(len(pairs), dtype=np.float32)
            return PairScores(
                values, values >= 0, values < 0, ScoreKind.LOGIT, ModelIdentity("scores")
            )

    strict = Pointwise(Scores(), threshold=Threshold(1.5, ScoreKind.LOGIT))
    healthy = TwoStage({"a": Listed(*"abcd")}, reranker=strict)
    assert ids(both(healthy, "q")) == ["d", "c"]
    sources = {"a": Listed(*"abcd"), "b": Listed(error=OSError("down"))}
    response = both(TwoStage(sources, reranker=strict), "q")
    assert ids(response) == ["d", "c", "b", "a"]
    assert [result.rerank_rank for result in response] == [1, 2, 3, 4]


def test_a_sources_refused_key_is_raised():
    """401 and its like will not pass: the source is not just left out."""

    class Refused(Exception):
        status_code = 401

    sources = {"a": Listed("a"), "b": Listed(error=Refused("bad key"))}
    with pytest.raises(Refused):
        TwoStage(sources, reranker=None).search("q")
    lenient = TwoStage(sources, reranker=None, on_error="degrade")
    assert not both(lenient, "q").outcome.complete


def test_urls_in_foreign_errors_lose_their_secrets():
    """A key in a URL's query, or a password, is in no detail, trace or message."""
    said = "GET https://me:pass@host/rerank?key=sk-123&x=1 failed"
    sources = {"a": Listed("a"), "b": Listed(error=OSError(said))}
    response = TwoStage(sources, reranker=None).search("q")
    text = repr(response) + response.explain()
    assert "https://host/rerank failed" in text
    assert "sk-123" not in text
    assert "pass" not in text
    with pytest.raises(RecallFailed) as caught:
        TwoStage({"b": Listed(error=OSError(said))}, reranker=None).search("q")
    assert "sk-123" not in str(caught.value)


def test_nothing_found_is_an_answer():
    """No hits: an empty, complete response; the reranker is not called."""
    reranker = Backwards()
    response = both(TwoStage({"a": Listed()}, reranker=reranker), "q")
    assert len(response) == 0
    assert response.outcome.complete
    assert reranker.read == []


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), unique=True), min_size=1, max_size=3))
def test_every_candidate_has_exactly_one_fate(lists):
    """Whatever sources return, no candidate is lost or doubled, and ranks have no gaps."""
    sources = {f"s{index}": Listed(*found) for index, found in enumerate(lists)}
    response = TwoStage(sources, reranker=Backwards(), window=3).search("q", top_k=4)
    told = [fate.candidate.document.doc_id for fate in response.trace.fates]
    assert sorted(told) == sorted(set().union(*lists))
    assert [fate.rank for fate in response.trace.fates] == list(range(1, len(told) + 1))
    assert ids(response) == told[:4]


@given(st.permutations([0, 1, 2]))
def test_the_order_of_sources_changes_no_rank(order):
    """Sources declared in another order give the same documents in the same order."""
    found = ["abcdef", "badgfe", "fghab"]
    sources = {f"s{index}": Listed(*found[index]) for index in order}
    expected = {f"s{index}": Listed(*found[index]) for index in range(3)}
    assert ids(TwoStage(sources, reranker=None).search("q")) == ids(
        TwoStage(expected, reranker=None).search("q")
    )


def test_threads_and_loops_share_one_pipeline():
    """64 threads and 4 event loops get exactly what a serial caller gets."""
    pipeline = TwoStage(
        {"a": Listed(*"abcdef", wait=0.001), "b": Listed(*"fedxyz")},
        reranker=Backwards(),
        window=4,
    )
    expected = pipeline.search("q").results

    async def loop():
        answers = await asyncio.gather(*(pipeline.asearch("q") for _ in range(12)))
        return [one.results for one in answers]

    with concurrent.futures.ThreadPoolExecutor(64) as threads:
        sync = [threads.submit(lambda: pipeline.search("q").results) for _ in range(256)]
        loops = [threads.submit(lambda: asyncio.run(loop())) for _ in range(4)]
        assert all(future.result() == expected for future in sync)
        for future in loops:
            assert all(one == expected for one in future.result())


def test_a_process_exits_at_once_with_calls_hanging():
    """A hung source and a hung reranker do not delay interpreter exit."""
    code = """
import time
from runoff.pipeline import TwoStage
from runoff.types import Document, Hit
class Hung:
    def retrieve(self, query, *, depth, deadline=None):
        time.sleep(60)
class Quick:
    def retrieve(self, query, *, depth, deadline=None):
        return [Hit(Document("a", "a"), 1.0)]
class HungReranker:
    def rerank(self, query, candidates, *, deadline=None):
        time.sleep(60)
print(len(TwoStage({"q": Quick(), "h": Hung()}, reranker=HungReranker()).search("q", timeout=.1)))
"""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "1"
    assert time.perf_counter() - started < 10


def test_a_cancelled_search_stops_waiting():
    """Cancelling `asearch` raises CancelledError in the caller at once."""
    pipeline = TwoStage({"a": Listed("a", wait=3)}, reranker=None)

    async def main():
        task = asyncio.ensure_future(pipeline.asearch("q"))
        await asyncio.sleep(0.05)
        task.cancel()
        started = time.perf_counter()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.perf_counter() - started

    assert asyncio.run(main()) < 0.5


def test_context_variables_reach_sources_in_threads():
    """What the caller has set in its context is seen by sources run in worker threads."""
    import contextvars

    who = contextvars.ContextVar("who", default="nobody")
    seen = []

    class Asking(Listed):
        def retrieve(self, query, *, depth, deadline=None):
            seen.append((who.get(), threading.current_thread().name))
            return self.hits

    who.set("caller")
    TwoStage({"a": Asking("a"), "b": Asking("b")}, reranker=None).search("q", timeout=1)
    assert [name for name, _ in seen] == ["caller", "caller"]


@pytest.mark.parametrize(
    ("argument", "kwargs"),
    [
        ("sources", {"sources": {}}),
        ("sources", {"sources": Listed("a")}),
        ("sources['a']", {"sources": {"a": object()}}),
        ("sources", {"sources": {1: Listed("a")}}),
        ("fusion", {"fusion": RRF}),
        ("depth", {"depth": 0}),
        ("depth", {"depth": -1}),
        ("depth", {"depth": 1.5}),
        ("window", {"window": 0}),
        ("window", {"window": True}),
        ("on_error", {"on_error": "ignore"}),
        ("reranker", {"reranker": object()}),
        ("reranker", {"reranker": Backwards}),
    ],
)
def test_a_wrong_argument_is_named(argument, kwargs):
    """The error names the argument and is a ValueError too."""
    with pytest.raises(InvalidArgument) as caught:
        TwoStage(**({"sources": {"a": Listed("a")}, "reranker": None} | kwargs))
    assert caught.value.argument == argument
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("argument", "kwargs"),
    [
        ("query", {"query": ""}),
        ("query", {"query": " \n\t"}),
        ("query", {"query": None}),
        ("top_k", {"top_k": 0}),
        ("top_k", {"top_k": "5"}),
        ("depth", {"depth": 0}),
        ("window", {"window": -1}),
        ("timeout", {"timeout": -1}),
        ("timeout", {"timeout": float("nan")}),
        ("timeout", {"timeout": "1"}),
    ],
)
def test_a_wrong_search_argument_is_named(argument, kwargs):
    """`search` and `asearch` refuse the same arguments in the same words."""
    pipeline = TwoStage({"a": Listed("a")}, reranker=None)
    kwargs = {"query": "q"} | kwargs
    with pytest.raises(InvalidArgument) as caught:
        pipeline.search(**kwargs)
    assert caught.value.argument == argument
    with pytest.raises(InvalidArgument, match=re.escape(str(caught.value))):
        asyncio.run(pipeline.asearch(**kwargs))


def test_top_k_above_everything_returns_everything():
    """Asking for more than there is gives all there is."""
    assert len(both(TwoStage({"a": Listed(*"abc")}, reranker=Backwards()), "q", top_k=10**9)) == 3


def test_a_long_query_is_passed_on_whole():
    """A query of a megabyte reaches the source as it is and is shown shortened in errors."""
    source = Listed("a")
    text = "words " * 200_000
    TwoStage({"a": source}, reranker=None).search(text)
    assert source.asked[0][0].text == text
    with pytest.raises(InvalidArgument) as caught:
        Query(" " * 1_000_000)
    assert len(str(caught.value)) < 200


def test_calls_left_behind_fill_the_pool_and_then_degrade_at_once(monkeypatch):
    """Busy threads queue; threads held by calls left behind make a source degrade at once."""
    monkeypatch.setattr(_workers, "_pools", [_workers._Pool(2)])
    released = threading.Event()

    class Hung(Listed):
        def retrieve(self, query, *, depth, deadline=None):
            released.wait(20)
            return self.hits

    hung = TwoStage({"hung": Hung("a")}, reranker=None)
    for _ in range(2):
        with pytest.raises(RecallFailed):
            hung.search("q", timeout=0.05)
    started = time.perf_counter()
    with pytest.raises(RecallFailed) as caught:
        hung.search("q", timeout=5)
    assert time.perf_counter() - started < 1
    assert isinstance(caught.value.failures["hung"], PoolFull)
    released.set()
    time.sleep(0.1)
    assert ids(hung.search("q", timeout=5)) == ["a"]
