"""What `TwoStage` does with sources and rerankers that break their contract."""

import asyncio
import threading
import time

import numpy as np
import pytest
from parts import Fixed, Found, ids
from parts import both as both_ways

from runoff._util.provenance import KEY, decode, encode
from runoff._waiting import workers
from runoff.errors import BadReply, InvalidArgument, RecallFailed
from runoff.fusion import RRF
from runoff.pipeline import TwoStage
from runoff.types import Document, Hit, Ranked, Reranking

FOUND = [Hit(Document("a", "text a"), 1.0), Hit(Document("b", "text b"), 0.5)]


def both(pipeline, **options):
    """Search for "q" both ways."""
    return both_ways(pipeline, "q", **options)


NO_RERANKINGS = {
    "nothing": lambda given: None,
    "a list": list,
    "candidates in place of ranked ones": lambda given: Reranking(tuple(given)),
    "no number": lambda given: Reranking(tuple(Ranked(one, None) for one in given)),
    "text": lambda given: Reranking(tuple(Ranked(one, "0.5") for one in given)),
}


@pytest.mark.parametrize("fault", NO_RERANKINGS)
@pytest.mark.parametrize("timeout", [None, 20])
def test_a_reranker_that_returns_no_reranking_is_no_second_stage(fault, timeout):
    """The fused order comes back degraded, and never as if it had been reranked."""
    pipeline = TwoStage({"a": Found(FOUND)}, reranker=Fixed(NO_RERANKINGS[fault]))
    response = both(pipeline, timeout=timeout)
    assert ids(response) == ["a", "b"]
    assert [one.reason for one in response.outcome.degraded] == ["bad_reply"]
    assert response.outcome.scored == 0
    with pytest.raises(BadReply):
        TwoStage(
            {"a": Found(FOUND)}, reranker=Fixed(NO_RERANKINGS[fault]), on_error="raise"
        ).search("q")


NO_HITS = {
    "nothing": None,
    "an iterator": iter(FOUND),
    "text": "ab",
    "documents": [hit.document for hit in FOUND],
    "a hit and nothing": [FOUND[0], None],
}


@pytest.mark.parametrize("fault", NO_HITS)
def test_a_source_that_returns_no_hits_is_left_out_by_name(fault):
    """It is named and the other's answer returned; alone, nothing is left to answer with."""
    broken = Found(NO_HITS[fault])
    response = both(TwoStage({"broken": broken, "good": Found(FOUND)}, reranker=None))
    assert ids(response) == ["a", "b"]
    assert [(one.source, one.reason) for one in response.outcome.degraded] == [
        ("broken", "bad_reply")
    ]
    with pytest.raises(RecallFailed, match="broken: BadReply"):
        TwoStage({"broken": broken}, reranker=None).search("q")


@pytest.mark.parametrize("score", [None, "1.0", [1.0]])
def test_a_hit_needs_a_number_as_score(score):
    """The error names the document."""
    with pytest.raises(InvalidArgument, match=r"score=.*must be a number \(id 'a'\)"):
        Hit(Document("a", "text"), score)


@pytest.mark.parametrize("number", [np.float32, np.float64, np.int64, int])
def test_any_number_may_be_a_score(number):
    """NumPy scores become Python numbers, so that provenance can be written as JSON."""
    source = Found([Hit(Document("a", "text"), number(2))])
    rank = Fixed(lambda given: Reranking(tuple(Ranked(one, number(3)) for one in given)))
    response = both(TwoStage({"a": source}, fusion=Scores(number), reranker=rank))
    record = decode({KEY: encode(response, response[0])})
    assert record["sources"] == {"a": {"rank": 1, "score": 2.0}}
    assert (record["fusion_score"], record["rerank_score"]) == (5.0, 3.0)


class Scores:
    """A fusion that gives every hit the number five."""

    def __init__(self, number):
        self.number = number

    def fuse(self, rankings):
        return {hit.key: self.number(5) for hits in rankings.values() for hit in hits}


@pytest.mark.parametrize("doc_id", ["\ud800", "文書", "a\0b"])
def test_provenance_is_plain_text_whatever_the_id(doc_id):
    """It can be written as UTF-8, even where the id cannot, and gives the id back."""
    source = Found([Hit(Document(doc_id, "text"), float("nan"))])
    response = both(TwoStage({"a": source}, reranker=None))
    told = encode(response, response[0])
    assert decode({KEY: told.encode().decode()})["doc_id"] == doc_id
    assert decode({KEY: told})["sources"]["a"]["score"] is None


class Cancelling(Found):
    """A source whose own task is cancelled from within, as by a scope of its client."""

    async def aretrieve(self, query, *, depth, deadline=None):
        raise asyncio.CancelledError


class CancellingReranker(Fixed):
    async def arerank(self, query, candidates, *, deadline=None):
        raise asyncio.CancelledError


async def test_a_part_that_cancels_itself_cancels_no_search():
    """It degrades the answer like any other part that gives nothing."""
    sources = {"broken": Cancelling(FOUND), "good": Found(FOUND)}
    response = await TwoStage(sources, reranker=CancellingReranker(None)).asearch("q")
    assert ids(response) == ["a", "b"]
    assert [(one.stage, one.reason) for one in response.outcome.degraded] == [
        ("recall", "bad_reply"),
        ("rerank", "bad_reply"),
    ]


@pytest.mark.parametrize("timeout", [None, 20])
def test_a_reranker_that_raises_stop_iteration_hangs_nobody(timeout):
    """Python's loops cannot pass this error on, so that it must not get lost on the way."""
    pipeline = TwoStage({"a": Found(FOUND)}, reranker=Fixed(lambda given: next(iter(()))))
    with pytest.raises((RuntimeError, StopIteration), match=r"StopIteration|^$"):
        pipeline.search("q", timeout=timeout)
    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(asyncio.wait_for(pipeline.asearch("q", timeout=timeout), 20))


def test_a_machine_without_threads_left_is_a_full_pool(monkeypatch):
    """The source degrades by name, and once there are threads again the pool works as before."""
    monkeypatch.setattr(workers, "_pools", [workers._Pool(2)])
    pipeline = TwoStage({"a": Found(FOUND)}, reranker=None)
    with monkeypatch.context() as patched:

        def start(thread):
            raise RuntimeError("can't start new thread")

        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RecallFailed, match="PoolFull: no worker thread can be started"):
            pipeline.search("q", timeout=20)
    assert ids(pipeline.search("q", timeout=20)) == ["a", "b"]


class LoadingLate(Found):
    """A source that begins to load a model once the reranker is asked: too late."""

    def __init__(self, found):
        super().__init__(found)
        self.left = threading.Event()
        self.done = threading.Event()

    def retrieve(self, query, *, depth, deadline=None):
        self.left.wait(20)
        with deadline.paused():
            self.done.wait(20)
        return self.found


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_source_that_was_left_behind_stops_no_clock(asynchronous):
    """Its loading does not stop the clock: the reranker is abandoned at the deadline."""
    late = LoadingLate(FOUND)

    def hangs(given):
        late.left.set()
        late.done.wait(20)

    pipeline = TwoStage({"late": late, "good": Found(FOUND)}, reranker=Fixed(hangs))
    if asynchronous:
        response = asyncio.run(pipeline.asearch("q", timeout=0.4))
    else:
        response = pipeline.search("q", timeout=0.4)
    assert not late.done.is_set()
    late.done.set()
    assert [one.reason for one in response.outcome.degraded] == ["timeout", "timeout"]
    assert response.trace.load_ms == 0


def test_two_sources_that_load_are_timed_apart():
    """Each source's trace shows only its own loading."""

    class Loading(Found):
        def retrieve(self, query, *, depth, deadline=None):
            with deadline.paused():
                time.sleep(0.2)
            return self.found

    class Slow(Found):
        def retrieve(self, query, *, depth, deadline=None):
            time.sleep(0.3)
            return self.found

    pipeline = TwoStage({"loads": Loading(FOUND), "slow": Slow(FOUND)}, reranker=None)
    for response in (pipeline.search("q"), asyncio.run(pipeline.asearch("q"))):
        loads, slow, _ = response.trace.stages
        assert loads.load_ms >= 190
        assert slow.load_ms == 0
        assert slow.latency_ms >= 290


def test_blank_texts_are_not_one_document():
    """Images and blanks without ids of their own stay apart: a blank text identifies nothing."""
    blanks = [
        Hit(Document("uuid-1", "", own_id=False, image=True), 3.0),
        Hit(Document("uuid-2", "", own_id=False, image=True), 2.0),
        Hit(Document("uuid-3", " \n", own_id=False), 1.0),
    ]
    response = both(TwoStage({"a": Found(blanks), "b": Found(FOUND)}, reranker=None))
    assert sorted(ids(response)) == ["a", "b", "uuid-1", "uuid-2", "uuid-3"]
    assert response.outcome.notes == ()


@pytest.mark.parametrize("many", ["hits", "text"])
def test_fusing_very_much_holds_up_no_loop(many):
    """Thousands of hits, or megabytes that have to be hashed, are fused in a thread."""
    seen = []

    class Threads(RRF):
        def fuse(self, rankings):
            seen.append(threading.current_thread() is threading.main_thread())
            return super().fuse(rankings)

    texts = [f"text {n}" for n in range(600)] if many == "hits" else ["a" * 5_000_000, "b"]
    hits = [Hit(Document.without_id(text), 1.0) for text in texts]
    sources = {"a": Found(hits), "b": Found(FOUND)}
    pipeline = TwoStage(sources, fusion=Threads(), reranker=None, depth=1000)
    seen.clear()
    response = both(pipeline, top_k=1000)
    assert seen == [True, False]
    assert len(response) == len(texts) + 2
    asyncio.run(TwoStage({"b": Found(FOUND)}, fusion=Threads(), reranker=None).asearch("q"))
    assert seen[-1] is True


def test_pipelines_within_pipelines_do_not_starve_each_other(monkeypatch):
    """Sources that are pipelines hold every thread, and the calls they wait for still run."""
    monkeypatch.setattr(workers, "_pools", [workers._Pool(2)])
    inner = TwoStage({"a": Found(FOUND), "b": Found(FOUND)}, reranker=None)

    class Nested(Found):
        def retrieve(self, query, *, depth, deadline=None):
            time.sleep(0.05)  # until every thread is held
            found = inner.search(query, timeout=self.found)
            return [Hit(one.document, one.fusion_score) for one in found]

    async def main():
        outer = [TwoStage({"n": Nested(limit)}, reranker=None) for limit in (None, None, 10, 10)]
        return await asyncio.wait_for(asyncio.gather(*(one.asearch("q") for one in outer)), 20)

    assert [ids(response) for response in asyncio.run(main())] == [["a", "b"]] * 4


class Raises:
    """A source and a reranker whose every call raises."""

    def __init__(self, error):
        self.error = error

    def retrieve(self, query, *, depth, deadline=None):
        raise self.error

    def rerank(self, query, candidates, *, deadline=None):
        raise self.error


@pytest.mark.parametrize("timeout", [None, 20])
def test_a_call_that_cancels_itself_does_not_cancel_the_caller(timeout):
    """`CancelledError` out of a synchronous part is a bad reply, both ways of searching."""
    part = Raises(asyncio.CancelledError())
    response = both(TwoStage({"a": Found(FOUND), "b": part}, reranker=part), timeout=timeout)
    assert ids(response) == ["a", "b"]
    reasons = [(one.stage, one.reason) for one in response.outcome.degraded]
    assert reasons == [("recall", "bad_reply"), ("rerank", "bad_reply")]


LOST = ConnectionResetError("lost")
BUG = AttributeError("no such attribute")


@pytest.mark.parametrize(
    "error",
    [
        ExceptionGroup("tasks", [LOST, TimeoutError("late")]),
        ExceptionGroup("tasks", [ExceptionGroup("more", [LOST])]),
    ],
)
def test_a_group_of_faults_that_may_pass_degrades_the_answer(error):
    """What a task group raises is judged by its errors, and their texts are told."""
    response = both(TwoStage({"a": Found(FOUND)}, reranker=Raises(error)))
    [missing] = response.outcome.degraded
    assert (missing.stage, missing.reason) == ("rerank", "connection")
    assert "ConnectionResetError: lost" in missing.detail


def test_a_group_with_a_fault_that_cannot_pass_is_raised():
    """One bug among lost connections is a bug, in a source beside another, too."""
    error = ExceptionGroup("tasks", [LOST, BUG])
    with pytest.raises(ExceptionGroup):
        TwoStage({"a": Found(FOUND)}, reranker=Raises(error)).search("q")
    with pytest.raises(ExceptionGroup):
        TwoStage({"a": Found(FOUND), "b": Raises(error)}, reranker=None).search("q")
