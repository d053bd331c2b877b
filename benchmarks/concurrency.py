"""One real pipeline used from 64 threads and 4 event loops at once, and what a busy loop feels.

Results must be those of one search after another. A ticker on the event loop tells how late the
loop wakes while 50 searches run on it, beside the same ticker on an idle loop.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from harness import Report, Requirement, Skipped, Table, percentile
from judged import Collection

from runoff import TwoStage
from runoff._onnx import cpu
from runoff.errors import MissingExtra
from runoff.recall import BM25, Dense, Embedder
from runoff.rerank import CrossEncoder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from harness import Options

    from runoff.types import Response

__all__ = ["SEARCHES", "Ask", "lateness", "run"]

_THREADS, _LOOPS, SEARCHES = 64, 4, 50
_TICK = 0.005  # seconds
Ask: TypeAlias = "Callable[[str], Awaitable[object]]"
Answer = tuple[tuple[str, float | None, float], ...]


def run(options: Options) -> Report:
    """Measure both."""
    collection = Collection.load("scifact", 8 if options.quick else 24)
    pipeline = _made(collection, 20 if options.quick else 300)
    texts = list(collection.queries.values())
    serial = {text: _answer(pipeline.search(text)) for text in texts}
    wrong, searches, seconds = _crowd(pipeline, texts, serial, 8 if options.quick else _THREADS)
    idle, beside, busy = [], [], []
    rounds, span = (1, 0.1) if options.quick else (5, 2.0)
    for _ in range(rounds):
        idle += asyncio.run(lateness(pipeline.asearch, [], span))
        with _busy_processes():
            beside += asyncio.run(lateness(pipeline.asearch, [], span))
        asked = [texts[at % len(texts)] for at in range(4 if options.quick else SEARCHES)]
        busy += asyncio.run(lateness(pipeline.asearch, asked, 0.0))
    rows = [
        (name, len(late), *(percentile(late, percent) for percent in (50, 95, 99)), max(late))
        for name, late in (
            ("idle", idle),
            ("idle, other processes keep every core busy", beside),
            (f"{SEARCHES} searches", busy),
        )
    ]
    return Report(
        [
            Table(
                "Searches at once against one after another",
                ("searches", "other results", "seconds"),
                [(searches, wrong, seconds)],
                f"{_THREADS} threads and {_LOOPS} event loops on one pipeline: BM25, dense and "
                f"cross-encoder over {len(pipeline.sources['bm25'])} documents, window 10; ids, "  # type: ignore[arg-type]
                "rerank and fusion scores compared exactly.",
            ),
            Table(
                "How late a 5 ms ticker wakes, in ms",
                ("event loop", "ticks", "p50", "p95", "p99", "most"),
                rows,
                f"{rounds} interleaved rounds of each. The second row is what the operating system "
                "alone does to a loop whose cores are taken.",
            ),
        ],
        [
            Requirement("results that differ from serial ones", float(wrong), 0.0),
            Requirement(
                "ticker's p99 in ms above idle", percentile(busy, 99) - percentile(idle, 99), 25.0
            ),
        ],
    )


def _made(collection: Collection, size: int) -> TwoStage:
    judged = {doc_id for grades in collection.qrels.values() for doc_id in grades}
    documents = [one for one in collection.documents if one.doc_id in judged]
    documents += [one for one in collection.documents if one.doc_id not in judged][:size]
    embedder = Embedder()
    pipeline = TwoStage(
        {
            "bm25": BM25(documents),
            "dense": Dense(
                documents,
                embedder,
                embed_query=embedder.embed_query,
                aembed_query=embedder.aembed_query,
            ),
        },
        reranker=CrossEncoder(max_length=128),
        window=10,
    )
    try:
        pipeline.warmup()
    except MissingExtra as missing:
        raise Skipped(str(missing)) from missing
    return pipeline


def _answer(response: Response) -> Answer:
    return tuple((one.doc_id, one.rerank_score, one.fusion_score) for one in response)


def _crowd(
    pipeline: TwoStage, texts: list[str], serial: dict[str, Answer], threads: int
) -> tuple[int, int, float]:
    """Return how many answers differ, how many searches there were, and how long they took."""
    found: list[tuple[str, Answer]] = []
    gate = threading.Barrier(threads + _LOOPS)

    def search(at: int) -> None:
        gate.wait()
        for step in range(2):
            text = texts[(at + step * 7) % len(texts)]
            found.append((text, _answer(pipeline.search(text))))

    def loop(at: int) -> None:
        async def searches() -> None:
            asked = [texts[(at * 5 + step) % len(texts)] for step in range(16)]
            answers = await asyncio.gather(*(pipeline.asearch(text) for text in asked))
            found.extend((text, _answer(one)) for text, one in zip(asked, answers, strict=True))

        gate.wait()
        asyncio.run(searches())

    crowd = [threading.Thread(target=search, args=(at,)) for at in range(threads)]
    crowd += [threading.Thread(target=loop, args=(at,)) for at in range(_LOOPS)]
    started = time.perf_counter()
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    seconds = time.perf_counter() - started
    expected = threads * 2 + _LOOPS * 16
    wrong = sum(answer != serial[text] for text, answer in found) + expected - len(found)
    return wrong, expected, seconds


@contextmanager
def _busy_processes() -> Iterator[None]:
    """Keep every core busy from outside, as the searches' own model runs do."""
    burn = [sys.executable, "-c", "while True: pass"]
    burning = [subprocess.Popen(burn) for _ in range(cpu.cores())]  # noqa: S603 - this interpreter
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


async def lateness(ask: Ask, texts: Sequence[str], seconds: float) -> list[float]:
    """Return by how many ms each tick was late, while the searches ran or for some seconds."""
    late: list[float] = []
    done = asyncio.Event()

    async def tick() -> None:
        loop = asyncio.get_running_loop()
        while not done.is_set():
            due = loop.time() + _TICK
            await asyncio.sleep(_TICK)
            late.append((loop.time() - due) * 1000)

    ticking = asyncio.ensure_future(tick())
    await asyncio.gather(*(ask(text) for text in texts), asyncio.sleep(seconds))
    done.set()
    await ticking
    return late
