"""What `TwoStage` makes of sources and rerankers that break their contract."""

import asyncio

import pytest

from runoff.errors import BadReply
from runoff.pipeline import TwoStage
from runoff.types import Document, Hit, Ranked, Reranking

FOUND = [Hit(Document("a", "text a"), 1.0), Hit(Document("b", "text b"), 0.5)]


class Source:
    """A source that returns what it was made with."""

    def __init__(self, found):
        self.found = found

    def retrieve(self, query, *, depth, deadline=None):
        return self.found


class Reranker:
    """A reranker that returns what a function makes of its candidates."""

    name = "broken"

    def __init__(self, make):
        self.make = make

    def rerank(self, query, candidates, *, deadline=None):
        return self.make(candidates)


def ids(response):
    return [result.doc_id for result in response]


def both(pipeline, **kwargs):
    """Search synchronously and asynchronously; the two must agree."""
    first = pipeline.search("q", **kwargs)
    second = asyncio.run(asyncio.wait_for(pipeline.asearch("q", **kwargs), 20))
    assert first.results == second.results
    assert first.outcome.degraded == second.outcome.degraded
    return first


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
    pipeline = TwoStage({"a": Source(FOUND)}, reranker=Reranker(NO_RERANKINGS[fault]))
    response = both(pipeline, timeout=timeout)
    assert ids(response) == ["a", "b"]
    assert [one.reason for one in response.outcome.degraded] == ["bad_reply"]
    assert response.outcome.scored == 0
    with pytest.raises(BadReply):
        TwoStage(
            {"a": Source(FOUND)}, reranker=Reranker(NO_RERANKINGS[fault]), on_error="raise"
        ).search("q")
