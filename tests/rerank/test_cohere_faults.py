"""CohereRerank when Cohere fails, refuses, or takes its time."""

import asyncio
import subprocess
import sys
import time

import numpy as np
import pytest
from servers import good, serving

from runoff.deadline import Deadline
from runoff.errors import (
    BadReply,
    PermanentError,
    ServerFailed,
    TransientError,
)
from runoff.rerank import CohereRerank, Retries
from runoff.testing.chaos import FAULTS, ChaosServer

pytest.importorskip("cohere", reason="the cohere extra is not installed")

PAIRS = [("green tea", text) for text in ("green tea", "a river", "tea", "a green sea")]
HUGE = {"oversized", "oversized_chunked", "gzip_bomb"}


def make(url, **arguments):
    return CohereRerank(**{"base_url": url, "api_key": "key", "circuit": None} | arguments)


@pytest.fixture
def server():
    with ChaosServer(dialect="cohere") as chaos:
        yield chaos


@pytest.mark.parametrize("bad", [{0}, {3, 21, 30}])
def test_rejected_texts_cost_no_other_its_score(bad):
    """Of 40 texts, only those that Cohere will not read stay unscored."""

    def answer(asked):
        if any(text.startswith("bad") for text in asked.body["documents"]):
            return 400, {"message": "invalid request"}
        return 200, good(asked.body["documents"])

    pairs = [("q", f"bad {n}" if n in bad else f"text {n}") for n in range(40)]
    with serving(answer) as server:
        scores = make(server.url).score(pairs)
    assert set(np.flatnonzero(~scores.scored)) == bad
    assert scores.reason == "request_rejected"


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - HUGE))
def test_every_fault_is_what_it_is(server, fault):
    """Each fault becomes the error that its entry names, through the SDK as without it."""
    fault = FAULTS[fault]
    scorer = make(server.url, retries=Retries(1))
    scorer.score(PAIRS)
    server.fault = fault
    scores, raised = None, None
    try:
        scores = scorer.score(PAIRS, deadline=Deadline(0.1 if fault.reason == "timeout" else 10))
    except (TransientError, PermanentError) as error:
        raised = error
    if scores is None:
        assert type(raised) is fault.error
        assert str(raised).startswith("rerank-v4.0-fast")
    else:
        assert scores.reason == fault.reason
        assert fault.error is None or 0 < scores.scored.sum() < len(PAIRS)
    assert len([one for one in server.requests if one.fault]) == 1 or fault.reason == (
        "request_rejected"
    )


@pytest.mark.parametrize("fault", sorted(HUGE))
def test_huge_replies_are_left_early(server, fault):
    """A reply of 200 MB is refused after a few, by the SDK's client too."""
    server.fault = FAULTS[fault]
    with pytest.raises(BadReply):
        make(server.url, retries=Retries(1)).score(PAIRS)
    assert server.requests[0].sent < 20e6


def test_retries_are_ours_and_keep_the_deadline(server):
    """The SDK's retries are off: ours try again, and Retry-After is honoured or reported."""
    scorer = make(server.url)
    server.script(["503", "429_ms"])
    assert scorer.score(PAIRS).usage.requests == 3
    server.fault = FAULTS["429_seconds"]
    left = Deadline(0.9)
    with pytest.raises(ServerFailed) as caught:
        scorer.score(PAIRS, deadline=left)
    assert not left.expired
    assert caught.value.retry_after == 1


@pytest.mark.slow("2 s: deadlines by the clock, to 50 ms")
@pytest.mark.parametrize("fault", ["hang", "drip"])
@pytest.mark.parametrize("how", ["score", "ascore"])
async def test_the_deadline_is_kept(server, fault, how):
    """250 ms are kept to within 50 ms, whatever the server does, and what came in time counts."""
    scorer = make(server.url, batch=1)
    scorer.score(PAIRS)
    took = []
    while not took or (took[-1] >= 0.3 and len(took) < 3):  # the machine has others to serve
        server.script([None, None])
        server.fault = FAULTS[fault]
        began = time.perf_counter()
        if how == "score":
            scores = scorer.score(PAIRS, deadline=Deadline(0.25))
        else:
            scores = await scorer.ascore(PAIRS, deadline=Deadline(0.25))
        took.append(time.perf_counter() - began)
        assert (scores.scored.sum(), scores.reason) == (2, "timeout")
    assert min(took) < 0.3


def test_the_first_call_is_not_judged_by_the_import():
    """Importing the SDK takes longer than many a deadline, and stops the deadline's clock."""
    code = """if True:
        from runoff.deadline import Deadline
        from runoff.rerank import CohereRerank
        from runoff.testing.chaos import ChaosServer
        with ChaosServer() as server:
            scorer = CohereRerank(base_url=server.url, api_key="key")
            deadline = Deadline(30)
            scores = scorer.score([("q", "text")], deadline=deadline)
            assert scores.scored.all(), scores
            assert scores.load_ms > 50, scores.load_ms
            assert deadline.paused_for * 1000 > 0.9 * scores.load_ms, deadline.paused_for
        """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


async def test_a_cancelled_call_cancels_its_requests(server):
    """Cancelling `ascore` closes the connection."""
    server.fault = FAULTS["hang"]
    task = asyncio.create_task(make(server.url).ascore(PAIRS))
    await asyncio.to_thread(lambda: [time.sleep(0.01) for _ in range(500) if not server.requests])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(
        lambda: [time.sleep(0.01) for _ in range(200) if server.open_connections]
    )
    assert server.open_connections == 0
