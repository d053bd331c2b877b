"""A planted key is looked for in everything a reranker shows, and is found nowhere."""

import asyncio
import dataclasses
import logging

import pytest
from planted import HEADER, KEY, SITUATIONS, answered, check, framed, logged, texts, told

pytest.importorskip("httpx")

import httpx

from runoff import Document, TwoStage
from runoff.errors import RunoffError
from runoff.recall import BM25
from runoff.rerank import (
    Cached,
    Cascade,
    CohereRerank,
    Fallback,
    HTTPRerank,
    Metered,
    Pointwise,
    Step,
)
from runoff.rerank._remote.retries import Retries
from runoff.testing.chaos import ChaosServer

OURS = {"api_key": KEY, "headers": {"X-Token": HEADER}}
ONCE = {"retries": Retries(1), "circuit": None}
USERS = httpx.Client()

DOCUMENTS = [Document(f"d{n}", f"otters sleep afloat {'and dream ' * n}") for n in range(3)]
SOURCES = {"bm25": BM25(DOCUMENTS)}


def http(dialect, **changes):
    model = "m" if dialect in {"jina", "cohere", "nvidia"} else None
    return lambda url: HTTPRerank(url, dialect=dialect, model=model, **ONCE, **({**OURS} | changes))


def sdk(url):
    pytest.importorskip("cohere")
    return CohereRerank(base_url=url, api_key=KEY, **ONCE)


def sdk_of_the_user(url):
    cohere = pytest.importorskip("cohere")
    client = cohere.ClientV2(api_key=KEY, base_url=url, httpx_client=USERS)
    return CohereRerank(client=client, **ONCE)


tei = http("tei")

ALONE = {
    **{name: http(name) for name in ("tei", "vllm", "jina", "infinity", "cohere", "nvidia")},
    "called for": http("tei", api_key=lambda: KEY),
    "sdk": sdk,
    "sdk of the user": sdk_of_the_user,
}
AROUND = {
    "pointwise": lambda url: Pointwise(tei(url)),
    "cached": lambda url: Cached(tei(url)),
    "metered": lambda url: Metered(tei(url)),
    "cascade": lambda url: Cascade([Step(tei(url), keep=2), http("infinity")(url)]),
    "fallback": lambda url: Fallback([tei(url), http("infinity")(url)]),
}
RERANKERS = ALONE | AROUND
FEW = ("success", "401", "503", "hang", "401 plain", "422 plain", "500 plain")
CASES = [(name, one) for name in ALONE for one in SITUATIONS]
CASES += [(name, one) for name in AROUND for one in FEW]


@pytest.fixture(scope="module")
def server():
    with ChaosServer() as server, USERS:
        yield server


@pytest.mark.parametrize("name", RERANKERS)
def test_what_python_shows_of_a_reranker_holds_no_key(server, name):
    """Neither repr, str, format, fields, copies, pickles nor asdict, before and after use."""
    reranker = RERANKERS[name](server.url)
    server.clear()
    check(texts(reranker))
    TwoStage(SOURCES, reranker=reranker).search("otters sleep", timeout=5)
    assert any(KEY in repr(one.headers) for one in server.requests)  # it was there to be found
    check(texts(reranker))


@pytest.mark.parametrize(("name", "situation"), CASES)
def test_neither_answer_error_nor_log_holds_a_key(server, name, situation, caplog):
    """For every fault, even where the server repeats the key, and with every logger at DEBUG."""
    server.clear()
    server.fault = SITUATIONS[situation]
    pipeline = TwoStage(SOURCES, reranker=RERANKERS[name](server.url))
    seconds = 0.08 if situation == "hang" else 5
    with caplog.at_level(logging.DEBUG):
        for search in (pipeline.search, lambda *a, **k: asyncio.run(pipeline.asearch(*a, **k))):
            try:
                response = search("otters sleep", timeout=seconds)
            except RunoffError as error:
                check(told(error), "raised")
            else:
                check(answered(response), "answered")
                assert [one.doc_id for one in response]
    check(logged(caplog.records), "logged")


FAULTY = ("401", "503", "hang", "reset", "nan", "200 html", "200 coding", "307 place", "422 plain")


@pytest.mark.parametrize("situation", FAULTY)
@pytest.mark.parametrize("name", ALONE)
def test_no_variable_of_what_raises_holds_a_key(server, name, situation):
    """Error reporters write out the variables of each frame: none there shows key or header."""
    server.clear()
    server.fault = SITUATIONS[situation]
    reranker = dataclasses.replace(RERANKERS[name](server.url), timeout=0.3)
    with pytest.raises(RunoffError) as caught:
        reranker.score([("otters", "otters sleep afloat")])
    check(framed(caught.value), "frame")
    with pytest.raises(RunoffError) as caught:
        asyncio.run(reranker.ascore([("otters", "otters sleep afloat")]))
    check(framed(caught.value), "frame")


@pytest.mark.parametrize("key", [KEY + "\n\u2026", lambda: KEY + "\u2026"])
def test_a_key_that_cannot_be_sent_is_in_no_variable(server, key):
    """The error about the key is raised where no variable holds it."""
    with pytest.raises(RunoffError) as caught:
        http("tei", api_key=key)(server.url).score([("otters", "otters sleep afloat")])
    check(framed(caught.value), "frame")
