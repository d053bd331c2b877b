"""Sources that must be called in the thread that searches."""

import asyncio
import sqlite3
import threading

import pytest

from runoff import TwoStage
from runoff.errors import InvalidArgument
from runoff.recall import BM25, Function

TEXTS = ["green tea", "black tea", "bread"]


@pytest.fixture
def sqlite():
    connection = sqlite3.connect(":memory:")
    connection.execute("create table texts (id text, text text)")
    connection.executemany("insert into texts values (?, ?)", [(one, one) for one in TEXTS])

    def search(query, depth):
        sql = "select id, text, 1.0 from texts where text like ? limit ?"
        return connection.execute(sql, (f"%{query.text}%", depth)).fetchall()

    yield search
    connection.close()


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("order", [("sqlite", "bm25"), ("bm25", "sqlite"), ("sqlite",)])
@pytest.mark.parametrize("awaited", [False, True])
def test_the_callers_thread(sqlite, order, timeout, awaited):
    """A source with `thread="caller"` works at any place, with a timeout, called and awaited."""
    sources = {"sqlite": Function(sqlite, thread="caller"), "bm25": BM25(TEXTS)}
    pipeline = TwoStage({name: sources[name] for name in order})
    response = (
        asyncio.run(pipeline.asearch("tea", timeout=timeout))
        if awaited
        else pipeline.search("tea", timeout=timeout)
    )
    assert response.outcome.complete
    assert {one.document.text for one in response} == {"green tea", "black tea"}
    assert all("sqlite" in {p.source for p in one.placements} for one in response)


def test_two_of_them():
    """Several sources run in the caller's thread, one after the other."""
    seen = []

    def search(query, depth):
        seen.append(threading.current_thread())
        return [("a", "tea", 1.0)]

    source = Function(search, thread="caller")
    TwoStage({"one": source, "two": source, "bm25": BM25(TEXTS)}).search("tea", timeout=5)
    assert seen == [threading.current_thread()] * 2


def event_loop(query, depth):
    asyncio.get_event_loop()
    return []


@pytest.mark.parametrize("bound", ["sqlite", "event loop"])
def test_the_cause_is_told(sqlite, bound):
    """Without the option, the error names the source, the cause and the option."""
    source = Function(sqlite if bound == "sqlite" else event_loop)
    pipeline = TwoStage({bound: source, "bm25": BM25(TEXTS)})
    with pytest.raises(InvalidArgument, match='thread="caller"') as caught:
        pipeline.search("tea")
    assert bound in str(caught.value)
    assert "thread" in str(caught.value.__cause__)


def test_another_error_is_left_alone():
    """An error that is not about threads is not explained away."""

    def search(query, depth):
        raise ConnectionError("refused")

    response = TwoStage({"one": Function(search), "bm25": BM25(TEXTS)}).search("tea")
    assert response.outcome.degraded[0].reason == "connection"


def test_the_option_is_checked():
    """Another value of `thread` is refused by name."""
    with pytest.raises(InvalidArgument, match="thread"):
        Function(event_loop, thread="mine")
