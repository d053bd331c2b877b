"""Failed and cancelled requests lose no connection and leave none open."""

import asyncio
import threading
import time

import pytest

pytest.importorskip("httpx", reason="the http extra is not installed")
from runoff import Deadline
from runoff._waiting import private_loop
from runoff.errors import TransientError
from runoff.rerank import HTTPRerank
from runoff.rerank._remote import transport
from runoff.testing.chaos import FAULTS, ChaosServer

PAIRS = [("query words", f"text words {at}") for at in range(20)]


@pytest.fixture
def server():
    with ChaosServer(dialect="tei") as server:
        yield server


def scorer(server):
    return HTTPRerank(server.url, dialect="tei", circuit=None, batch=5)


def settled(server, most):
    """Wait until no more than these connections are open; return how many there are."""
    rested(lambda: server.open_connections <= most)
    return server.open_connections


def rested(is_so):
    """Whether something is so within a few seconds."""
    for _ in range(100):
        if is_so():
            return True
        time.sleep(0.05)
    return False


def hammered(server, seconds, threads=8, calls=10):
    """Score from several threads with little time; return how many calls were complete."""
    one, complete = scorer(server), []

    def calling():
        for _ in range(calls):
            try:
                scores = one.score(PAIRS, deadline=Deadline(seconds))
            except TransientError:
                continue
            complete.append(bool(scores.scored.all()))

    workers = [threading.Thread(target=calling) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(complete)


@pytest.mark.parametrize("seconds", [0.01, 0.03, 0.1])
def test_what_deadlines_cut_off_is_closed(server, seconds):
    """However far requests came when time was up, only idle connections are left."""
    hammered(server, seconds)
    idle = transport.client()._transport._idle.get(server.url, [])
    assert settled(server, len(idle)) <= len(idle) <= 16
    assert rested(lambda: not transport.client()._transport._closing)
    assert rested(lambda: not asyncio.all_tasks(private_loop.running()))


@pytest.mark.parametrize("fault", ["hang", "drip", "reset_midway", "length_too_long", "truncated"])
def test_what_breaks_is_closed(server, fault):
    """A connection that broke or hangs is closed, and the next request has a new one."""
    server.fault = FAULTS[fault]
    hammered(server, 0.05, threads=4, calls=5)
    idle = transport.client()._transport._idle.get(server.url, [])
    assert settled(server, len(idle)) <= len(idle)
    server.fault = None
    assert scorer(server).score(PAIRS).scored.all()


def test_connections_are_used_again(server):
    """One call after another takes the connections that are there."""
    one = scorer(server)
    for _ in range(10):
        one.score(PAIRS)
    assert server.total_connections <= 5  # four batches at once, and the description


def test_awaited_and_abandoned(server):
    """A caller that leaves takes its requests along, and later calls are not harmed."""

    async def leave():
        task = asyncio.ensure_future(scorer(server).ascore(PAIRS))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    scorer(server).score(PAIRS)
    server.latency = 0.2
    for _ in range(5):
        asyncio.run(leave())
    server.latency = 0.0
    idle = transport.client()._transport._idle.get(server.url, [])
    assert settled(server, len(idle)) <= len(idle)
    assert scorer(server).score(PAIRS).scored.all()
