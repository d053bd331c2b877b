"""What `TwoStage` returns when a source, a score or the second stage is missing."""

import asyncio
import dataclasses
import logging
import threading
import time

import numpy as np
import pytest
from parts import Backwards, Fixed, Listed, both, ids

from runoff.errors import (
    AuthenticationFailed,
    DeadlineExceeded,
    InvalidArgument,
    RecallFailed,
    ServerFailed,
)
from runoff.fusion import RRF, Convex
from runoff.pipeline import TwoStage
from runoff.rerank import Pointwise
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Threshold
from runoff.types import Dropped, Ranked, Reranking


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
    """A weight for a failed source is accepted; one for an unknown source is refused at once."""
    sources = {"a": Listed("x", "y"), "b": Listed(error=OSError("down"))}
    response = both(TwoStage(sources, fusion=fusion, reranker=None), "q")
    assert ids(response) == ["x", "y"]
    assert not response.outcome.complete
    with pytest.raises(InvalidArgument, match="weights"):
        TwoStage({"a": Listed("x"), "c": Listed("y")}, fusion=fusion, reranker=None)


def test_when_every_source_fails_it_raises():
    """If no source answers, the error names every source and keeps its error."""
    sources = {"a": Listed(error=ValueError("one")), "b": Listed(error=OSError("two"))}
    with pytest.raises(RecallFailed, match=r"a: ValueError: one; b: OSError: two") as caught:
        TwoStage(sources, reranker=None).search("q")
    assert isinstance(caught.value.failures["b"], OSError)


class Clocked(Backwards):
    """The same, and it notes how many seconds it was left."""

    def __init__(self):
        super().__init__()
        self.left = []

    def rerank(self, query, candidates, *, deadline=None):
        self.left.append(deadline.remaining())
        return super().rerank(query, candidates, deadline=deadline)


def test_a_late_source_is_left_out_at_half_the_budget():
    """Once a source has answered, recall takes no more than half the budget."""
    sources = {"quick": Listed("a"), "hung": Listed("b", wait=10)}
    second = Clocked()
    pipeline = TwoStage(sources, reranker=second)
    for response in (
        pipeline.search("q", timeout=1),
        asyncio.run(pipeline.asearch("q", timeout=1)),
    ):
        assert ids(response) == ["a"]
        assert response[0].rerank_rank == 1
        assert [one.source for one in response.outcome.degraded] == ["hung"]
        assert response.outcome.degraded[0].reason == "timeout"
    assert len(second.left) == 2
    assert all(0.1 < left <= 0.5 for left in second.left)  # .5, but for a busy machine


class Late(Listed):
    """It answers after the reranker was asked, and before the reranker answers."""

    def __init__(self, asked, *documents, error=None):
        super().__init__(*documents, error=error)
        self.after = asked
        self.answered = threading.Event()

    def retrieve(self, query, *, depth, deadline=None):
        self.after.wait(10)
        self.answered.set()
        return super().retrieve(query, depth=depth, deadline=deadline)


class AwaitedLate(Late):
    """The same, awaited."""

    async def aretrieve(self, query, *, depth, deadline=None):
        while not self.after.is_set():  # noqa: ASYNC110 - it is set by another thread
            await asyncio.sleep(0.005)
        self.answered.set()
        if self.error is not None:
            raise self.error
        return self.hits


def asking(asked, late, answer):
    """Return a reranker that sets `asked`, waits for the late source, and answers."""

    def make(given):
        asked.set()
        late.answered.wait(0.2)
        time.sleep(0.02)
        return answer(given)

    return Fixed(make)


def fails(given):
    raise ServerFailed("503")


NO_SCORES = {
    "hung": lambda given: time.sleep(2),
    "nothing scored": lambda given: Reranking(
        (), tuple(given), reason="timeout", detail="scored 0"
    ),
    "failed": fails,
}


def searched(answer, source, *documents, error=None):
    """Search both ways where one source answers only once the reranker has been asked."""
    for asynchronous in (False, True):
        asked = threading.Event()
        late = source(asked, *documents, error=error)
        sources = {"quick": Listed(*"ab"), "late": late}
        pipeline = TwoStage(sources, RRF(), reranker=asking(asked, late, answer))
        if asynchronous:
            yield asyncio.run(pipeline.asearch("q", timeout=0.6))
        else:
            yield pipeline.search("q", timeout=0.6)


@pytest.mark.parametrize("source", [Late, AwaitedLate])
@pytest.mark.parametrize("second", NO_SCORES)
def test_what_a_late_source_found_is_used_when_nothing_was_scored(source, second):
    """When the second stage scores nothing, the hits of a late source are used."""
    for response in searched(NO_SCORES[second], source, *"cb"):
        assert ids(response) == ["b", "a", "c"]
        assert {one.stage for one in response.outcome.degraded} == {"rerank"}
        assert (response.outcome.scored, response.outcome.total) == (0, 3)
        late = next(one for one in response.trace.stages if one.source == "late")
        assert late.latency_ms > 200  # it waited for the reranker to be asked, at half the budget


@pytest.mark.parametrize("source", [Late, AwaitedLate])
def test_a_late_source_does_not_undo_what_was_scored(source):
    """When the second stage scored something, a late source stays left out."""

    def one_scored(given):
        return Reranking((Ranked(given[1], 1.0),), (given[0],), reason="timeout", detail="1 of 2")

    for response in searched(one_scored, source, *"cb"):
        assert ids(response) == ["b", "a"]
        assert [one.source for one in response.outcome.degraded] == ["late", "Fixed"]


class Never(Late):
    """A source that does not answer."""

    def __init__(self, asked, *documents, error=None):
        super().__init__(threading.Event(), *documents, error=error)


class AwaitedNever(AwaitedLate, Never):
    """The same, awaited."""


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (Never, None),
        (AwaitedNever, None),
        (Late, AuthenticationFailed("bad key")),
        (AwaitedLate, AuthenticationFailed("bad key")),
    ],
)
def test_a_late_source_that_has_nothing_to_give_stays_late(source, error):
    """A source that never answers, or fails late, stays left out."""
    for response in searched(fails, source, "c", error=error):
        assert ids(response) == ["a", "b"]
        faults = {one.stage: one.reason for one in response.outcome.degraded}
        assert faults == {"recall": "timeout", "rerank": "server_error"}


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_hung_reranker_is_left_behind_at_the_deadline(asynchronous):
    """The fused answer comes back although the reranker does not return."""
    done = threading.Event()
    pipeline = TwoStage({"a": Listed(*"ab")}, reranker=Fixed(lambda given: done.wait(20)))
    if asynchronous:
        response = asyncio.run(pipeline.asearch("q", timeout=0.2))
    else:
        response = pipeline.search("q", timeout=0.2)
    assert ids(response) == ["a", "b"]
    assert response.outcome.degraded[0].reason == "timeout"
    assert response.outcome.budget_ms == 200
    assert 200 <= response.outcome.spent_ms < 10_000
    done.set()


def test_no_time_left_for_the_only_source_raises():
    """A search whose only source is late raises RecallFailed."""
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
    unscored = response.trace.fate("a")
    assert (unscored.scoring, unscored.reason) == ("unscored", "timeout")


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
    below, unread = response.trace.fate("b"), response.trace.fate("c")
    assert (below.kind, below.scoring) == (unread.kind, "reranked") == ("dropped", "reranked")
    assert below.reason == "below threshold"
    assert unread.scoring == "tail"
    assert unread.reason.startswith("without a score")


def test_a_threshold_drops_nothing_from_a_degraded_answer():
    """With a source left out, candidates below the threshold are put back at their place."""

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
    """401 and other permanent statuses raise instead of leaving the source out."""

    class Refused(Exception):
        status_code = 401

    sources = {"a": Listed("a"), "b": Listed(error=Refused("bad key"))}
    with pytest.raises(Refused):
        TwoStage(sources, reranker=None).search("q")
    lenient = TwoStage(sources, reranker=None, on_error="degrade")
    assert not both(lenient, "q").outcome.complete


def test_urls_in_foreign_errors_lose_their_secrets():
    """A key in a URL's query, or a password, is in no detail, trace or message."""
    said = "GET https://me:s3cret@host/rerank?key=sk-123&x=1 failed"
    sources = {"a": Listed("a"), "b": Listed(error=OSError(said))}
    response = TwoStage(sources, reranker=None).search("q")
    text = repr(response.outcome) + repr(response.trace) + response.explain()
    assert "https://host/rerank failed" in text
    assert "sk-123" not in text
    assert "s3cret" not in text
    with pytest.raises(RecallFailed) as caught:
        TwoStage({"b": Listed(error=OSError(said))}, reranker=None).search("q")
    assert "sk-123" not in str(caught.value)
