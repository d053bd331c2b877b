"""HTTPRerank in a cache, with a price and under a cap."""

import dataclasses
import pickle
import subprocess
import sys
import threading
import time

import pytest
from servers import serving

from runoff.errors import ServerFailed
from runoff.rerank import Cap, HTTPRerank, MemoryCache, Pointwise, Price, Retries
from runoff.rerank._remote import about
from runoff.scores import Usage
from runoff.testing._contracts import samples
from runoff.testing.chaos import FAULTS, ChaosServer
from runoff.types import Query


def make(url, dialect="jina", **arguments):
    arguments = {"model": "m", "api_key": "sk-chaos", "circuit": None} | arguments
    return HTTPRerank(url, dialect=dialect, **arguments)


@pytest.fixture
def server():
    with ChaosServer() as chaos:
        yield chaos


def test_a_key_says_what_scores_depend_on(server):
    """Model, scale, server and what it says of itself change the key; keys and batches do not."""
    scorer = make(server.url, "tei")
    assert '"chaos", "float32"' in scorer.cache_key
    same = {
        dataclasses.replace(scorer, api_key="other"),
        dataclasses.replace(scorer, batch=5, concurrency=2, timeout=1.0, max_length=100),
        dataclasses.replace(scorer, url=server.url + "/rerank"),
        pickle.loads(pickle.dumps(scorer)),
    }
    assert {one.cache_key for one in same} == {scorer.cache_key}
    other = {
        dataclasses.replace(scorer, model="n"),
        dataclasses.replace(scorer, activation="sigmoid"),
        dataclasses.replace(scorer, dialect="infinity"),
        dataclasses.replace(scorer, url=server.url + "/elsewhere"),
        dataclasses.replace(scorer, url=server.url + "/rerank?deployment=a"),
        dataclasses.replace(scorer, url=server.url + "/rerank?deployment=b"),
        make(server.url, "cohere"),
        make(server.url, "cohere", max_length=10),
    }
    assert len({scorer.cache_key, *(one.cache_key for one in other)}) == 9


def test_a_key_is_the_same_in_another_process():
    """So that a cache on disk serves the next process."""
    made = "HTTPRerank('http://127.0.0.1:9', dialect='tei', model='m').cache_key"
    code = f"from runoff.rerank import HTTPRerank; print({made})"
    other = subprocess.check_output([sys.executable, "-c", code], text=True).strip()
    assert other == HTTPRerank("http://127.0.0.1:9", dialect="tei", model="m").cache_key


def test_a_server_that_hangs_holds_up_no_key_twice(monkeypatch):
    """The key waits for a server to describe itself, and much less once it did not."""
    monkeypatch.setattr(about, "_SECONDS", 0.5)
    over = threading.Event()

    def answer(_):
        over.wait(30)
        return 404, {}

    with serving(answer) as server:
        scorer, took = make(server.url, "tei"), []
        for _ in range(2):
            began = time.perf_counter()
            assert '["", ""]' in scorer.cache_key
            took.append(time.perf_counter() - began)
        over.set()
    assert took[1] < took[0] < 15


def test_the_first_key_holds_the_revision():
    """A new process has the same key, even if the server takes a while to describe itself."""

    def answer(_):
        time.sleep(0.2)
        return 200, {"model_id": "m", "model_sha": "abc", "model_dtype": "float16"}

    with serving(answer) as server:
        code = (
            "from runoff.rerank import HTTPRerank; "
            f"print(HTTPRerank({server.url!r}, dialect='tei').cache_key)"
        )
        said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert '"m@abc", "float16"' in said


def test_what_a_server_said_before_holds_while_it_is_asked_again(monkeypatch):
    """A server that is slow to repeat itself, or fails to, changes neither model nor key."""
    replies = iter([(200, 0), (200, 0.2), (503, 0)])

    def answer(_):
        status, seconds = next(replies)
        time.sleep(seconds)
        return status, {"model_id": "m", "model_sha": "abc"}

    monkeypatch.setattr(about, "_KEPT", 0.0)
    monkeypatch.setattr(about, "_MISSED", 0.0)
    with serving(answer) as server:
        scorer = make(server.url, "tei")
        keys = []
        for _ in range(3):
            keys.append(scorer.cache_key)
            while not all(one.task.done() for one in about._asked.values()):
                time.sleep(0.01)
        assert len(server.asked) == 3
    assert "m@abc" in keys[0]
    assert len(set(keys)) == 1


def test_the_estimate_agrees_with_the_bill(server):
    """For Cohere's dialect units are predicted as the server bills them; blank texts cost none."""
    pairs = [(f"query {n}", f"text {m}") for n in range(2) for m in range(150)]
    scorer = make(server.url, "cohere")
    usage = scorer.estimate([*pairs, ("query 0", " ")])
    assert (usage.pairs, usage.billed_units) == (300, 4)
    assert scorer.score(pairs).usage.billed_units == 4
    assert 0 < usage.tokens < 300 * 20
    assert make(server.url, "tei").estimate(pairs).billed_units is None
    assert make(server.url, "cohere", max_length=5).estimate([("q", "x" * 999)]).tokens == 5
    assert scorer.estimate([]) == Usage(tokens=0, billed_units=0)


@pytest.mark.parametrize("dialect", ["tei", "cohere", "jina"])
def test_cache_price_and_cap_work(server, dialect):
    """Wrapped in Pointwise: known pairs are not asked again, and units are priced and capped."""
    scorer = make(server.url, dialect)
    price = Price(per_search_unit=0.002) if dialect == "cohere" else Price(per_1k_pairs=1)
    reranker = Pointwise(scorer, cache=MemoryCache(), price=price)
    candidates = samples.candidates()
    first = reranker.rerank(Query("green tea"), candidates)
    second = reranker.rerank(Query("green tea"), candidates)
    assert first.usage.requests == 1
    assert (second.usage.requests, second.usage.cached) == (0, len(candidates))
    assert first.usage.cost == (0.002 if dialect == "cohere" else len(candidates) / 1000)
    assert [one.candidate for one in first.ordered] == [one.candidate for one in second.ordered]

    capped = Pointwise(scorer, cap=Cap(pairs=2)).rerank(Query("green tea"), candidates)
    assert (len(capped.ordered), capped.reason) == (2, "cap")


def test_a_failing_server_costs_only_the_unknown_pairs(server):
    """What the cache knows is given while the server fails."""
    reranker = Pointwise(make(server.url, retries=Retries(1)), cache=MemoryCache())
    candidates = samples.candidates()
    reranker.rerank(Query("green tea"), candidates[:3])
    server.fault = FAULTS["503"]
    again = reranker.rerank(Query("green tea"), candidates)
    assert len(again.ordered) == 3
    assert again.reason == ServerFailed.reason
