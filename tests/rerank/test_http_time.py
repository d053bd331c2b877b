"""HTTPRerank when the server fails: faults, deadlines, threads and event loops."""

import asyncio
import gc
import logging
import threading
import time

import numpy as np
import pytest

from runoff.deadline import Deadline
from runoff.errors import (
    AuthenticationFailed,
    BadReply,
    DeadlineExceeded,
    PermanentError,
    ServerFailed,
    TransientError,
)
from runoff.rerank import Circuit, HTTPRerank, Retries
from runoff.rerank._remote.dialects import DIALECTS
from runoff.testing.chaos import FAULTS, ChaosServer, expected_score

PAIRS = [("green tea", text) for text in ("green tea", "a river", "tea", "a green sea", "clocks")]
HUGE = {"oversized", "oversized_chunked", "gzip_bomb"}


def make(server, dialect="tei", **arguments):
    arguments.setdefault("circuit", None)
    if dialect in {"jina", "cohere", "nvidia"}:
        arguments = {"model": "chaos", "api_key": "sk-chaos", **arguments}
    return HTTPRerank(server.url, dialect=dialect, **arguments)


def posts(server):
    return [one for one in server.requests if one.method == "POST"]


def arrived(server):
    while not posts(server):
        time.sleep(0.005)


@pytest.fixture
def server():
    with ChaosServer() as chaos:
        yield chaos


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", sorted(set(FAULTS) - HUGE))
def test_every_fault_is_what_it_is(dialect, fault):
    """Each fault of the server becomes the error that its entry names, in every dialect."""
    fault = FAULTS[fault]
    with ChaosServer(dialect=dialect) as server:
        server.fault = fault
        scorer = make(server, dialect, retries=Retries(1))
        patience = 0.1 if fault.reason == "timeout" else 10
        scores, raised = None, None
        try:
            scores = scorer.score(PAIRS, deadline=Deadline(patience))
        except (TransientError, PermanentError) as error:
            raised = error
    if scores is None:
        assert type(raised) is fault.error
        assert str(raised).startswith(scorer.name)
    else:
        assert scores.reason == fault.reason
        assert fault.error is None or 0 < scores.scored.sum() < len(PAIRS)


@pytest.mark.parametrize("fault", sorted(HUGE))
def test_huge_replies_are_left_early(server, fault):
    """A reply of 200 MB is refused after a few."""
    server.fault = FAULTS[fault]
    with pytest.raises(BadReply):
        make(server, retries=Retries(1)).score(PAIRS)
    time.sleep(0.05)
    assert posts(server)[0].sent < 20e6


DEADLINES = ["hang", "drip", "drip_head", "429_seconds", "503"]


async def hurried(scorer, how, seconds):
    """Score with so many seconds; return how many have a score, the reason, and what it took."""
    began = time.perf_counter()
    try:
        if how == "score":
            scores = scorer.score(PAIRS, deadline=Deadline(seconds))
        else:
            scores = await scorer.ascore(PAIRS, deadline=Deadline(seconds))
        scored, reason = int(scores.scored.sum()), scores.reason
    except (DeadlineExceeded, ServerFailed) as error:
        scored, reason = 0, error.reason
    return scored, reason, time.perf_counter() - began


@pytest.mark.parametrize("fault", DEADLINES)
@pytest.mark.parametrize("how", ["score", "ascore"])
async def test_what_came_in_time_counts(server, fault, how):
    """At the deadline two of five requests have been answered; no request has its whole 30 s."""
    scorer = make(server, batch=1, retries=Retries(50))
    scorer.score(PAIRS)
    server.script([None, None])
    server.fault = FAULTS[fault]
    scored, reason, took = await hurried(scorer, how, 0.3)
    assert (scored, reason) == (2, FAULTS[fault].reason)
    assert took < 15


@pytest.mark.slow("6 s: deadlines by the clock, to 50 ms")
@pytest.mark.parametrize("fault", DEADLINES)
@pytest.mark.parametrize("how", ["score", "ascore"])
async def test_the_deadline_is_kept(server, fault, how):
    """250 ms are kept to within 50 ms, whatever the server does."""
    scorer = make(server, batch=1, retries=Retries(50))
    scorer.score(PAIRS)
    for script in ([], [None, None]):
        took = []
        while not took or (took[-1] >= 0.3 and len(took) < 3):  # the machine has others to serve
            server.script(script)
            server.fault = FAULTS[fault]
            scored, reason, seconds = await hurried(scorer, how, 0.25)
            took.append(seconds)
            assert reason == FAULTS[fault].reason
        assert min(took) < 0.3
        assert scored == len(script)


async def test_a_cancelled_call_cancels_its_requests(server):
    """Cancelling `ascore` closes the connection, so that the server need not go on."""
    server.fault = FAULTS["hang"]
    scorer = make(server)
    task = asyncio.create_task(scorer.ascore(PAIRS))
    await asyncio.to_thread(arrived, server)
    assert server.open_connections > 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(400):
        if not server.open_connections:
            break
        await asyncio.sleep(0.005)
    assert server.open_connections <= 1  # that of /info is kept


async def test_a_failure_is_logged_by_nobody(server, caplog):
    """An error that `ascore` raises is not reported by asyncio as never retrieved besides."""
    server.fault = FAULTS["401"]
    with caplog.at_level(logging.DEBUG, "asyncio"):
        for _ in range(3):
            with pytest.raises(AuthenticationFailed):
                await make(server).ascore(PAIRS)
        gc.collect()
        await asyncio.sleep(0.01)
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


def test_many_threads_and_loops_share_one_scorer(server):
    """One instance serves threads and event loops at once, with the right scores for each."""
    scorer, answers = make(server), []

    def asynchronous():
        async def several():
            return await asyncio.gather(*(scorer.ascore(PAIRS) for _ in range(4)))

        answers.extend(asyncio.run(several()))

    def synchronous():
        answers.extend(scorer.score(PAIRS) for _ in range(4))

    threads = [threading.Thread(target=one) for one in (asynchronous, synchronous) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 32
    scores = np.array([expected_score(*pair) for pair in PAIRS])
    assert all(np.allclose(one.values, np.log(scores / (1 - scores))) for one in answers)


async def test_score_works_inside_a_running_loop(server):
    """In a notebook, whose cells run in an event loop, `score` works as anywhere."""
    assert make(server).score(PAIRS).scored.all()


async def test_a_slow_callable_key_blocks_nobody(server):
    """A key that is fetched from somewhere is waited for in the deadline, on no event loop."""
    fetched = threading.Event()

    def slow():
        assert fetched.wait(30)
        return "sk-late"

    other = make(server)
    other.score(PAIRS)
    late = asyncio.create_task(make(server, api_key=slow).ascore(PAIRS, deadline=Deadline(0.2)))
    await asyncio.sleep(0.05)
    assert (await other.ascore(PAIRS)).scored.all()
    with pytest.raises(DeadlineExceeded):
        await late
    fetched.set()  # not before: nobody waited for it


def test_an_open_circuit_costs_no_time(server):
    """After a few failures the server gets no requests, from any scorer of that URL."""
    server.fault = FAULTS["503"]
    circuit = Circuit(2, cooldown=60)
    for _ in range(2):
        with pytest.raises(ServerFailed):
            make(server, circuit=circuit, retries=Retries(1)).score(PAIRS)
    seen = len(posts(server))
    with pytest.raises(TransientError, match="no requests for another") as caught:
        make(server, circuit=circuit).score(PAIRS)
    assert caught.value.reason == "circuit_open"
    assert len(posts(server)) == seen
