"""One `TwoStage` in many threads, event loops and contexts at once."""

import asyncio
import concurrent.futures
import subprocess
import sys
import threading
import time

import pytest
from parts import Backwards, Listed, ids

from runoff._waiting import workers
from runoff.errors import (
    PoolFull,
    RecallFailed,
)
from runoff.pipeline import TwoStage


def test_threads_and_loops_share_one_pipeline():
    """64 threads and 4 event loops get exactly what a serial caller gets."""
    pipeline = TwoStage(
        {"a": Listed(*"abcdef", wait=0.001), "b": Listed(*"fedxyz")},
        reranker=Backwards(),
        window=4,
    )
    expected = pipeline.search("q").results

    async def loop():
        answers = await asyncio.gather(*(pipeline.asearch("q") for _ in range(12)))
        return [one.results for one in answers]

    with concurrent.futures.ThreadPoolExecutor(64) as threads:
        sync = [threads.submit(lambda: pipeline.search("q").results) for _ in range(256)]
        loops = [threads.submit(lambda: asyncio.run(loop())) for _ in range(4)]
        assert all(future.result() == expected for future in sync)
        for future in loops:
            assert all(one == expected for one in future.result())


def test_a_process_exits_at_once_with_calls_hanging():
    """A hung source and a hung reranker do not delay interpreter exit."""
    code = """
import time
from runoff.pipeline import TwoStage
from runoff.types import Document, Hit
class Hung:
    def retrieve(self, query, *, depth, deadline=None):
        time.sleep(120)
class Quick:
    def retrieve(self, query, *, depth, deadline=None):
        return [Hit(Document("a", "a"), 1.0)]
class HungReranker:
    def rerank(self, query, candidates, *, deadline=None):
        time.sleep(120)
print(len(TwoStage({"q": Quick(), "h": Hung()}, reranker=HungReranker()).search("q", timeout=.1)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "1"


def test_a_cancelled_search_stops_waiting():
    """Cancelling `asearch` raises CancelledError while a source has not answered."""
    released = threading.Event()

    class Hung(Listed):
        def retrieve(self, query, *, depth, deadline=None):
            released.wait(20)
            return self.hits

    async def main():
        task = asyncio.ensure_future(TwoStage({"a": Hung("a")}, reranker=None).asearch("q"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)

    asyncio.run(main())
    released.set()


def test_context_variables_reach_sources_in_threads():
    """What the caller has set in its context is seen by sources run in worker threads."""
    import contextvars

    who = contextvars.ContextVar("who", default="nobody")
    seen = []

    class Asking(Listed):
        def retrieve(self, query, *, depth, deadline=None):
            seen.append((who.get(), threading.current_thread().name))
            return self.hits

    who.set("caller")
    TwoStage({"a": Asking("a"), "b": Asking("b")}, reranker=None).search("q", timeout=1)
    assert [name for name, _ in seen] == ["caller", "caller"]


def test_calls_left_behind_fill_the_pool_and_then_degrade_at_once(monkeypatch):
    """Busy threads queue calls; once abandoned calls hold them all, a source degrades at once."""
    monkeypatch.setattr(workers, "_pools", [workers._Pool(2)])
    released = threading.Event()

    class Hung(Listed):
        def retrieve(self, query, *, depth, deadline=None):
            released.wait(20)
            return self.hits

    hung = TwoStage({"hung": Hung("a")}, reranker=None)
    for _ in range(2):
        with pytest.raises(RecallFailed):
            hung.search("q", timeout=0.05)
    with pytest.raises(RecallFailed) as caught:
        hung.search("q", timeout=5)
    assert isinstance(caught.value.failures["hung"], PoolFull)
    released.set()
    time.sleep(0.1)
    assert ids(hung.search("q", timeout=5)) == ["a"]
