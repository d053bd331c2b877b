"""A blank query: servers reject it, so it is never sent."""

import numpy as np
import pytest
from parts import Listed, both, ids

httpx = pytest.importorskip("httpx", reason="the http extra is not installed")
from runoff import Query, TwoStage  # noqa: E402 - see above
from runoff.errors import RequestRejected  # noqa: E402 - see above
from runoff.rerank import (  # noqa: E402 - see above
    Cascade,
    CrossEncoder,
    Fallback,
    HTTPRerank,
    Pointwise,
)
from runoff.scores import ModelIdentity, PairScores, ScoreKind  # noqa: E402 - see above
from runoff.testing.chaos import ChaosServer  # noqa: E402 - see above

BLANK = [("", "green tea"), ("\u3000\n", "a river")]
DIALECTS = ("tei", "vllm", "jina", "infinity", "cohere", "nvidia")


@pytest.fixture(params=[*DIALECTS, "CohereRerank", "CohereRerank, client given"])
def asked(request):
    """A server of each kind, and what asks it."""
    dialect = request.param if request.param in DIALECTS else "cohere"
    with ChaosServer(dialect=dialect) as server, httpx.Client() as client:
        yield server, _scorer(request.param, server.url, client)


def _scorer(name, url, client):
    if name in DIALECTS:
        return HTTPRerank(url, dialect=name, model="m", api_key="key", circuit=None)
    sdk = pytest.importorskip("cohere", reason="the cohere extra is not installed")
    from runoff.rerank import CohereRerank

    if name == "CohereRerank":
        return CohereRerank(base_url=url, api_key="key", circuit=None)
    theirs = sdk.ClientV2(api_key="key", base_url=url, httpx_client=client)
    return CohereRerank(client=theirs, circuit=None)


async def test_nothing_is_sent_and_the_reason_is_given(asked):
    """`score` and `ascore` refuse at once, count nothing as billed, and say what to do."""
    server, scorer = asked
    with pytest.raises(RequestRejected, match="query is blank; give it text"):
        scorer.score(BLANK)
    with pytest.raises(RequestRejected, match="query is blank; give it text"):
        await scorer.ascore(BLANK)
    assert server.requests == []
    estimate = scorer.estimate(BLANK)
    assert (estimate.pairs, estimate.tokens or 0, estimate.billed_units or 0) == (0, 0, 0)


def test_a_search_by_vector_alone_keeps_the_order_of_recall(asked):
    """A query that has an embedding and no text degrades, and loses no document."""
    server, scorer = asked
    pipeline = TwoStage({"s": Listed("one", "two", "three")}, reranker=scorer)
    response = both(pipeline, Query(" ", embedding=(1.0, 0.0)))
    assert len(ids(response)) == 3
    assert ids(response) == ids(TwoStage(pipeline.sources, reranker=None).search("q"))
    (degradation,) = response.outcome.degraded
    assert (degradation.stage, degradation.reason) == ("rerank", "request_rejected")
    assert "give it text" in degradation.detail
    assert server.requests == []


def test_other_queries_of_the_call_are_scored(asked):
    """A blank query affects no other query, and its pairs are unscored with a reason."""
    server, scorer = asked
    scores = scorer.score([*BLANK, ("tea", "green tea")])
    assert scores.scored.tolist() == [False, False, True]
    assert scores.reason == RequestRejected.reason
    assert [one.method for one in server.requests].count("POST") == 1


def _around(inner):
    """A scorer as it is, and in every reranker that takes one."""
    return {
        "scorer": inner,
        "Pointwise": Pointwise(inner, passages="max"),
        "Fallback": Fallback([inner, Reversed()]),
        "Cascade": Cascade([(inner, 2), Reversed()]),
    }


class Reversed:
    """Scores later pairs higher, whatever they say."""

    def score(self, pairs, *, deadline=None):
        del deadline
        values = np.arange(len(pairs), dtype=np.float32)
        whole = np.ones(len(pairs), np.bool_)
        return PairScores(values, whole, ~whole, ScoreKind.LOGIT, ModelIdentity("reversed"))


@pytest.mark.parametrize("kind", ["scorer", "Pointwise", "Fallback", "Cascade"])
@pytest.mark.parametrize("local", [True, False])
def test_a_local_reranker_keeps_the_order_of_recall(kind, local, model):
    """A local model, and a scorer of the user's, order nothing by a blank query and say so."""
    reranker = _around(CrossEncoder(model) if local else Reversed())[kind]
    pipeline = TwoStage({"s": Listed("one", "two", "three")}, reranker=reranker)
    response = both(pipeline, Query(" ", embedding=(1.0, 0.0)))
    assert ids(response) == ids(TwoStage(pipeline.sources, reranker=None).search("q"))
    assert [one.reason for one in response.outcome.degraded] == ["request_rejected"]
    assert "query is blank" in response.outcome.degraded[0].detail
    assert response.outcome.scored == 0
