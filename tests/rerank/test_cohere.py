"""CohereRerank with Cohere's own SDK, and with clients of other kinds."""

import asyncio
import copy
import dataclasses
import gc
import inspect
import logging
import os
import pickle
import subprocess
import sys
import threading
import traceback

import numpy as np
import pytest
from cohere_clients import Client
from servers import serving

from runoff.errors import (
    AuthenticationFailed,
    BadReply,
    InvalidArgument,
    RunoffError,
)
from runoff.rerank import Cap, CohereRerank, MemoryCache, Pointwise, Price, Retries
from runoff.scores import ScoreKind
from runoff.testing._contracts import samples
from runoff.testing.chaos import FAULTS, ChaosServer, expected_score
from runoff.testing.contracts import PairScorerContract
from runoff.types import Query

cohere = pytest.importorskip("cohere", reason="the cohere extra is not installed")

PLANTED = "co-planted-0123456789abcdef"
PAIRS = [("green tea", text) for text in ("green tea", "a river", "tea", "a green sea")]
EXPECTED = [expected_score(*pair) for pair in PAIRS]
KNOWN = set(inspect.signature(cohere.AsyncClientV2.rerank).parameters)


def make(url, **arguments):
    return CohereRerank(**{"base_url": url, "api_key": PLANTED, "circuit": None} | arguments)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in ("CO_API_KEY", "COHERE_API_KEY", "CO_API_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with ChaosServer(dialect="cohere") as chaos:
        yield chaos


def test_scores_are_right_and_in_input_order(server):
    """Probabilities come in the order of the pairs, with what was billed."""
    scores = make(server.url).score(PAIRS)
    assert np.allclose(scores.values, EXPECTED, atol=1e-6)
    assert scores.kind is ScoreKind.PROBABILITY
    assert scores.model.name == "rerank-v4.0-fast"
    assert (scores.usage.pairs, scores.usage.requests, scores.usage.billed_units) == (4, 1, 1)
    sent = server.requests[0]
    assert sent.path == "/v2/rerank"
    assert sent.headers["authorization"] == f"Bearer {PLANTED}"
    assert sent.body["model"] == "rerank-v4.0-fast"


async def test_it_is_the_sdk_that_asks(server):
    """Requests carry the SDK's name for its clients, and `ascore` gives what `score` gives."""
    scorer = make(server.url)
    assert (await scorer.ascore(PAIRS)).values.tolist() == scorer.score(PAIRS).values.tolist()
    assert server.requests[0].headers["x-client-name"] == "runoff"
    assert server.total_connections == 1


def test_ties_keep_their_texts(server):
    """Equal scores that come backwards stay with their texts."""
    for fault in ("all_equal", "reversed_ties"):
        server.fault = FAULTS[fault]
        assert make(server.url).score(PAIRS).values.tolist() == [0.5] * 4


def test_more_documents_than_a_batch_are_split_and_merged(server):
    """Each query's documents go in batches, with the units of all replies summed."""
    pairs = [(f"tea {n}", f"text {m} tea") for n in range(2) for m in range(250)]
    scorer = make(server.url, batch=120)
    scores = scorer.score(pairs)
    assert np.allclose(scores.values, [expected_score(*pair) for pair in pairs], atol=1e-6)
    assert sorted(len(one.body["documents"]) for one in server.requests) == [10, 10, *[120] * 4]
    assert scores.usage.billed_units == scorer.estimate(pairs).billed_units == 10


def test_odd_texts_cost_no_other_its_score(server):
    """Blank texts are not sent; half a surrogate pair does not break the SDK's request."""
    odd = ["", " \n", "green \ud83d tea", "🫖 tea"]
    scores = make(server.url).score([*PAIRS, *(("green \udc00 tea", one) for one in odd)])
    assert scores.scored.tolist() == [True] * 4 + [False, False, True, True]
    assert {one.body["query"] for one in server.requests} == {"green tea", "green \ufffd tea"}


def test_long_texts_are_marked(server):
    """What is longer than 4,096 tokens, or than was asked for, is marked by an estimate."""
    pairs = [("tea", "tea " * 50), ("tea", "tea " * 5000)]
    scores = make(server.url).score(pairs)
    assert scores.truncated.tolist() == [False, True]
    assert "see max_tokens_per_doc=" in scores.notes[0]
    assert "max_tokens_per_doc" not in server.requests[-1].body
    assert make(server.url, max_tokens_per_doc=30).score(pairs).truncated.all()
    assert server.requests[-1].body["max_tokens_per_doc"] == 30


def test_keys_and_url_are_read_from_the_environment(server, monkeypatch):
    """`CO_API_URL`, and `CO_API_KEY` before `COHERE_API_KEY`, at each use."""
    scorer = CohereRerank(circuit=None)
    with pytest.raises(AuthenticationFailed, match="set CO_API_KEY or COHERE_API_KEY"):
        scorer.score(PAIRS)
    monkeypatch.setenv("CO_API_URL", server.url)
    monkeypatch.setenv("COHERE_API_KEY", "second")
    scorer.score(PAIRS)
    monkeypatch.setenv("CO_API_KEY", "first")
    scorer.score(PAIRS)
    sent = [one.headers["authorization"] for one in server.requests]
    assert sent == ["Bearer second", "Bearer first"]


@pytest.mark.parametrize("status", [400, 401, 402, 404, 429, 500, 200])
@pytest.mark.parametrize("kind", ["text", "callable", "environment"])
def test_a_server_that_repeats_the_key_does_not_make_us_do_so(status, kind, monkeypatch):
    """Neither error nor traceback contains the key, wherever it was read from."""
    monkeypatch.setenv("CO_API_KEY", PLANTED if kind == "environment" else "")
    key = {"text": PLANTED, "callable": lambda: PLANTED, "environment": None}[kind]

    def answer(asked):
        said = {"message": f"{'x' * 180} {asked.headers['authorization']}"}
        return status, PLANTED.encode() if status == 200 else said

    with serving(answer) as server:
        scorer = make(server.url, api_key=key, retries=Retries(1))
        with pytest.raises(RunoffError) as caught:
            scorer.score(PAIRS[:1])
    said = "".join(traceback.format_exception(caught.value))
    assert PLANTED[:10] not in said
    assert PLANTED[:10] not in repr(scorer)


def test_a_redirect_is_not_followed(server):
    """The second host is never asked, so it never gets key or texts."""
    server.fault = FAULTS["redirect"]
    with pytest.raises(BadReply, match="redirects to localhost"):
        make(server.url).score(PAIRS)
    assert server.elsewhere.requests == []


def test_pickles_hold_no_key_and_read_the_environment(server, monkeypatch):
    """An unpickled scorer reads its key from the environment, or says that it was left out."""
    scorer = make(server.url, relevant_spans={})
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert PLANTED.encode() not in pickle.dumps(scorer, protocol)
    back = pickle.loads(pickle.dumps(scorer))
    with pytest.raises(AuthenticationFailed, match="not copied to this process"):
        back.score(PAIRS)
    monkeypatch.setenv("CO_API_KEY", "again")
    assert back.score(PAIRS).scored.all()
    with pytest.raises(InvalidArgument, match=r"client=.*not pickled"):
        pickle.dumps(CohereRerank(client=Client()))


def test_copies_within_a_process_work(server):
    """copy, deepcopy and `dataclasses.replace` keep the key, with and without a client."""
    scorer = make(server.url)
    for one in (copy.copy(scorer), copy.deepcopy(scorer), dataclasses.replace(scorer, batch=3)):
        assert one.score(PAIRS).scored.all()
    own = dataclasses.replace(CohereRerank(), client=Client())
    assert copy.deepcopy(own).client is own.client
    assert own.score(PAIRS).scored.all()
    with pytest.raises(InvalidArgument, match="cannot be given with client="):
        dataclasses.replace(scorer, client=Client(), base_url=None)


def test_many_threads_and_loops_share_one_scorer(server):
    """One instance serves threads and event loops at once."""
    scorer, answers = make(server.url), []

    async def several():
        return await asyncio.gather(*(scorer.ascore(PAIRS) for _ in range(4)))

    def asynchronous():
        answers.extend(asyncio.run(several()))

    def synchronous():
        answers.append(scorer.score(PAIRS))

    threads = [threading.Thread(target=one) for one in (asynchronous, synchronous) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert all(np.allclose(one.values, EXPECTED) for one in answers)


async def test_a_failure_is_logged_by_nobody(server, caplog):
    """An error that `ascore` raises is not reported as never retrieved besides."""
    server.fault = FAULTS["401"]
    with caplog.at_level(logging.DEBUG, "asyncio"):
        with pytest.raises(AuthenticationFailed):
            await make(server.url).ascore(PAIRS)
        gc.collect()
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    ("name", "value"), [("priority", 0), ("relevant_spans", True), ("max_tokens_per_doc", 100)]
)
def test_what_the_installed_sdk_takes_is_sent_and_the_rest_is_named(server, name, value):
    """An argument is sent where this SDK knows it; else the error names the version that does."""
    scorer = make(server.url, **{name: value})
    if name in KNOWN:
        scorer.warmup()
        scorer.score(PAIRS)
        assert name in server.requests[-1].body
    else:
        for use in (scorer.warmup, lambda: scorer.score(PAIRS)):
            with pytest.raises(InvalidArgument, match=f"{name}=.*needs cohere \\d"):
                use()
        assert server.requests == []


@pytest.mark.skipif("relevant_spans" not in KNOWN, reason="needs cohere 7.3")
def test_spans_become_passages(server):
    """With the newest SDK, the parts that a score came from are the document's passages."""
    scores = make(server.url, relevant_spans=True).score(PAIRS)
    assert [(one.start, one.end) for one in scores.passages[0]] == [(0, 5), (6, 9)]
    assert scores.passages[1] == ()


def test_cache_price_and_cap_work(server):
    """Wrapped in Pointwise: known pairs are not asked again, and units are priced and capped."""
    price = Price(per_search_unit=0.002)
    reranker = Pointwise(make(server.url), cache=MemoryCache(), price=price)
    candidates = samples.candidates()
    first, second = (reranker.rerank(Query("green tea"), candidates) for _ in range(2))
    assert first.usage.cost == 0.002
    assert second.usage.requests == 0
    cap = Cap(pairs=2)
    assert len(Pointwise(make(server.url), cap=cap).rerank(Query("tea"), candidates).ordered) == 2


def test_a_key_says_what_scores_depend_on(monkeypatch):
    """Model, place and token limit change the cache's key; keys and batches do not."""
    scorer = CohereRerank()
    assert dataclasses.replace(scorer, api_key=PLANTED, batch=7).cache_key == scorer.cache_key
    assert PLANTED not in dataclasses.replace(scorer, api_key=PLANTED).cache_key
    others = [
        dataclasses.replace(scorer, model="rerank-v3.5"),
        dataclasses.replace(scorer, base_url="http://localhost"),
        dataclasses.replace(scorer, max_tokens_per_doc=100),
    ]
    keys = {scorer.cache_key, *(one.cache_key for one in others)}
    monkeypatch.setenv("CO_API_URL", "http://elsewhere")
    assert len(keys | {scorer.cache_key}) == 5
    with pytest.raises(InvalidArgument, match="scores cannot be cached"):
        _ = CohereRerank(client=Client()).cache_key


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"model": ""}, "model"),
        ({"client": object()}, "client"),
        ({"client": Client(), "api_key": "k"}, "api_key"),
        ({"client": Client(), "base_url": "http://localhost"}, "base_url"),
        ({"api_key": ""}, "api_key"),
        ({"base_url": "localhost"}, "base_url"),
        ({"batch": 0}, "batch"),
        ({"concurrency": 0}, "concurrency"),
        ({"max_tokens_per_doc": 0}, "max_tokens_per_doc"),
        ({"relevant_spans": "enabled"}, "relevant_spans"),
        ({"timeout": -1}, "timeout"),
        ({"retries": None}, "retries"),
        ({"circuit": 1}, "circuit"),
    ],
)
def test_wrong_arguments_are_named(arguments, named):
    """Each wrong argument is refused at once, by name."""
    with pytest.raises(InvalidArgument) as caught:
        CohereRerank(**arguments)
    assert caught.value.argument == named


class TestCohereRerank(PairScorerContract):
    secrets = (PLANTED,)
    patience = 0.3  # on a busy machine; the bound itself is tested elsewhere

    @pytest.fixture(autouse=True)
    def _serve(self, monkeypatch):
        monkeypatch.setenv("CO_API_KEY", "what unpickled ones read")
        with ChaosServer() as self.server:
            yield

    def make(self):
        return make(self.server.url)


def test_importing_the_class_imports_no_sdk():
    """The SDK is imported on first use, which `warmup` is."""
    code = """if True:
        import sys
        from runoff.rerank import CohereRerank
        scorer = CohereRerank(api_key="key")
        assert "cohere" not in sys.modules
        scorer.warmup()
        assert "cohere" in sys.modules
        """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=dict(os.environ))
