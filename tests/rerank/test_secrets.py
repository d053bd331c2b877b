"""A planted key is looked for in everything a reranker shows, and is found nowhere."""

import asyncio
import copy
import dataclasses
import json
import logging
import pickle
import traceback

import pytest

pytest.importorskip("httpx")

from runoff import Document, TwoStage
from runoff.errors import InvalidArgument, RunoffError
from runoff.provenance import encode
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
from runoff.rerank.retries import Retries
from runoff.testing.chaos import FAULTS, ChaosServer, Fault

KEY = "sk/planted+0123456789=Zz"  # PHP and others write its first slash as \/
HEADER = "hd/planted+9876543210=Yy"
PARTS = ("planted+0123456789", "planted+9876543210")
OURS = {"api_key": KEY, "headers": {"X-Token": HEADER}}
ONCE = {"retries": Retries(1), "circuit": None}

DOCUMENTS = [Document(f"d{n}", f"otters sleep afloat {'and dream ' * n}") for n in range(3)]
SOURCES = {"bm25": BM25(DOCUMENTS)}


def http(dialect, **changes):
    model = "m" if dialect in {"jina", "cohere"} else None
    return lambda url: HTTPRerank(
        url, dialect=dialect, model=model, **ONCE, **({**OURS} | changes)
    )


def sdk(url):
    pytest.importorskip("cohere")
    return CohereRerank(base_url=url, api_key=KEY, **ONCE)


def sdk_of_the_user(url):
    cohere = pytest.importorskip("cohere")
    return CohereRerank(client=cohere.ClientV2(api_key=KEY, base_url=url), **ONCE)


tei = http("tei")

RERANKERS = {
    **{name: http(name) for name in ("tei", "vllm", "jina", "infinity", "cohere")},
    "called for": http("tei", api_key=lambda: KEY),
    "sdk": sdk,
    "sdk of the user": sdk_of_the_user,
    "pointwise": lambda url: Pointwise(tei(url)),
    "cached": lambda url: Cached(tei(url)),
    "metered": lambda url: Metered(tei(url)),
    "cascade": lambda url: Cascade([Step(tei(url), keep=2), http("infinity")(url)]),
    "fallback": lambda url: Fallback([tei(url), http("infinity")(url)]),
}


def echo(status, form):
    """Make a fault that repeats what it was sent, as `form` writes it."""

    def act(exchange):
        body, headers = form
        exchange.send(status, body.encode(), headers)

    return Fault(f"echo {status}", RunoffError, act)


BOTH = f"{KEY} {HEADER}"
ECHOES = {
    "plain": (json.dumps({"message": f"no such key: {BOTH}"}), {}),
    "escaped": (json.dumps({"error": f"no such key: {BOTH}"}).replace("/", "\\/"), {}),
    "nested": (json.dumps({"detail": [{"input": {KEY: HEADER}}]}), {}),
    "cut": (json.dumps({"message": "x" * 185 + BOTH}), {}),
    "html": (f"<h1>{BOTH}</h1>", {"Content-Type": "text/html"}),
    "type": ("{", {"Content-Type": f"x/{KEY[3:]}"}),
    "coding": ("{}", {"Content-Encoding": KEY[:20]}),
    "place": ("{}", {"Location": f"https://{KEY[3:10]}.org/{KEY}"}),
}
SITUATIONS = {
    "success": None,
    **{name: FAULTS[name] for name in ("401", "503", "hang", "reset", "nan")},
    **{
        f"{status} {form}": echo(status, body)
        for form, body in ECHOES.items()
        for status in (200, 307, 401, 418, 422, 500)
    },
}


def texts(value):
    """Yield all that Python shows of a value, and what it was."""
    yield "repr", repr(value)
    yield "str", str(value)
    yield "format", f"{value}"
    yield "in a list", repr([value])
    names = getattr(value, "__slots__", ())
    yield "fields", repr({name: getattr(value, name, None) for name in names})
    yield "vars", repr(getattr(value, "__dict__", {}))
    for way in (copy.copy, copy.deepcopy):
        yield "copy", repr(way(value))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        try:
            yield "pickle", repr(pickle.dumps(value, protocol))
        except (InvalidArgument, pickle.PicklingError, TypeError, AttributeError) as error:
            yield "no pickle", f"{error!r}"
    if dataclasses.is_dataclass(value):
        for way in (dataclasses.asdict, dataclasses.astuple):
            try:
                plain = way(value)
            except TypeError as error:  # a lock, or another part that is not copied
                yield way.__name__, repr(error)
                continue
            yield way.__name__, repr(plain)
            yield f"{way.__name__} as JSON", json.dumps(plain, default=repr)


def told(error):
    """Yield all that an error and those behind it say."""
    yield "traceback", "".join(traceback.format_exception(error))
    seen = set()
    left = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield "error", f"{one!r} {one} {one.args!r} {vars(one)!r}"
        try:
            yield "pickled error", repr(pickle.dumps(one))
        except Exception:
            assert not isinstance(one, RunoffError)
        left += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]


def answered(response):
    """Yield all that an answer says of how it came about."""
    yield "response", f"{response!r} {response}"
    yield "outcome", repr(response.outcome)
    yield "trace", repr(response.trace)
    yield "explained", response.explain()
    yield "explained", response.explain("d0")
    yield "html", response._repr_html_()
    yield "pickle", repr(pickle.dumps(response))
    for one in response:
        yield "provenance", encode(response, one)


def logged(records):
    for record in records:
        yield f"log of {record.name}", f"{record.getMessage()} {record.args!r} {vars(record)!r}"


def check(found, where=""):
    leaks = {f"{where} {what}: {text[:300]}" for what, text in found for p in PARTS if p in text}
    assert leaks == set()


@pytest.fixture(scope="module")
def server():
    with ChaosServer() as server:
        yield server


@pytest.fixture(scope="module")
def made(server):
    return {}


@pytest.mark.parametrize("name", RERANKERS)
def test_what_python_shows_of_a_reranker_holds_no_key(server, name):
    """Neither repr, str, format, fields, copies, pickles nor asdict, before and after use."""
    reranker = RERANKERS[name](server.url)
    server.clear()
    check(texts(reranker))
    TwoStage(SOURCES, reranker=reranker).search("otters sleep", timeout=5)
    assert any(KEY in repr(one.headers) for one in server.requests)  # it was there to be found
    check(texts(reranker))


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("name", RERANKERS)
def test_neither_answer_error_nor_log_holds_a_key(server, name, situation, caplog):
    """Whatever the server does, and even where it repeats the key: every logger at DEBUG."""
    server.clear()
    server.fault = SITUATIONS[situation]
    pipeline = TwoStage(SOURCES, reranker=RERANKERS[name](server.url))
    seconds = 0.15 if situation == "hang" else 5
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
