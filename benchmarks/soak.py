"""Searches without end from 32 threads while one request in ten meets a fault.

The rerank server runs in a process of its own and misbehaves in every way that may pass. Five
clients ask it, each with a circuit breaker and without, within 250 ms; 8 of the 32 threads are
event loops. What the searching process holds is read every 1,000 searches.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from harness import Report, Requirement, Skipped, Table, percentile, say

from runoff import Document, TwoStage
from runoff.errors import MissingExtra
from runoff.recall import BM25
from runoff.rerank import CohereRerank, HTTPRerank
from runoff.rerank._remote.breaker import Circuit
from runoff.testing.chaos import FAULTS, ChaosServer, expected_score

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness import Options

    from runoff.types import Response

__all__ = ["run"]

_THREADS, _LOOPS = 32, 8
_TIMEOUT, _QUICK_TIMEOUT = 250.0, 1000.0  # ms; a quick one may run on a machine that is busy
_RATE = 0.1  # of the requests
_DEPTH, _WINDOW = 20, 10
_PAUSE = 0.4  # seconds between two searches of one thread, at most
_REST = 2.0  # seconds, for what the last searches left behind to end
_KEPT_THREADS, _KEPT_SOCKETS = 64 + 1, 64 + 2  # at most: pools, and the private loop's own
_TIES = 0.5  # what two faults that are none score every text
_WORDS = ("river", "otter", "bread", "yeast", "star", "clock", "bridge", "train", "copper", "lamp")


class Held(NamedTuple):
    """What the process holds: MiB resident, threads, sockets."""

    resident: float
    threads: int
    sockets: int


def run(options: Options) -> Report:
    """Search, and report what was lost, what leaked and what was late."""
    if not Path("/proc/self/statm").exists():
        msg = "it reads /proc, which only Linux has"
        raise Skipped(msg)
    searches, every = (600, 100) if options.quick else (20_000, 1_000)
    logging.getLogger("runoff").addHandler(logging.NullHandler())  # a warning each would be many
    try:
        with _server() as url:
            before = _held()
            soak = _Soak(url, _QUICK_TIMEOUT if options.quick else _TIMEOUT)
            soak.search(every, every)  # whatever is made once is made here
            began = time.perf_counter()
            soak.search(searches, every)
            seconds = time.perf_counter() - began
            time.sleep(_REST)
            return _report(soak, before, _held(), searches / seconds, quick=options.quick)
    except MissingExtra as missing:
        raise Skipped(str(missing)) from missing


class _Soak:
    """Searches over one small BM25 through every client of one server."""

    def __init__(self, url: str, budget: float) -> None:
        self.budget = budget
        bm25 = BM25(_documents())
        bare = TwoStage({"bm25": bm25}, reranker=None, depth=_DEPTH)
        self.queries = [" ".join(pair) for pair in itertools.combinations(_WORDS, 2)]
        self.found = {text: _ids(bare.search(text, top_k=_DEPTH)) for text in self.queries}
        self.pipelines = [
            TwoStage({"bm25": bm25}, reranker=client, depth=_DEPTH, window=_WINDOW)
            for circuit in (Circuit(2, cooldown=0.2), None)
            for client in _clients(url, circuit)
        ]
        self.lock = threading.Lock()

    def search(self, searches: int, every: int) -> None:
        """Search from all threads; what a former call found is forgotten."""
        self.answers: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.raised: dict[str, int] = {}
        self.ms = np.full(searches, np.nan)  # all at once: a list would look like a leak
        self.samples = [(0, _held())]
        self.every = every
        numbers = iter(range(searches))
        threads = [
            threading.Thread(target=self._loop if at < _LOOPS else self._thread, args=(numbers,))
            for at in range(_THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _thread(self, numbers: Iterator[int]) -> None:
        while (number := self._next(numbers)) is not None:
            began = time.perf_counter()
            with self._told(number):
                response = self._pipeline(number).search(
                    self._text(number), top_k=_DEPTH, timeout=self.budget / 1000
                )
                self._take(number, response, began)
            time.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - no secret

    def _loop(self, numbers: Iterator[int]) -> None:
        async def searches() -> None:
            while (number := self._next(numbers)) is not None:
                began = time.perf_counter()
                with self._told(number):
                    response = await self._pipeline(number).asearch(
                        self._text(number), top_k=_DEPTH, timeout=self.budget / 1000
                    )
                    self._take(number, response, began)
                await asyncio.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - no secret

        asyncio.run(searches())

    def _next(self, numbers: Iterator[int]) -> int | None:
        with self.lock:
            return next(numbers, None)

    def _pipeline(self, number: int) -> TwoStage:
        return self.pipelines[number % len(self.pipelines)]

    def _text(self, number: int) -> str:
        return self.queries[number // len(self.pipelines) % len(self.queries)]

    @contextmanager
    def _told(self, number: int) -> Iterator[None]:
        """Count an error instead of ending the thread, and look at the process now and then."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - none should come
            with self.lock:
                name = f"{type(error).__name__}: {error}"
                self.raised[name] = self.raised.get(name, 0) + 1
        if (number + 1) % self.every == 0:
            held = _held()
            with self.lock:
                self.samples.append((number + 1, held))
            say(f"soak: {number + 1} searches, {held.resident:.1f} MiB")

    def _take(self, number: int, response: Response, began: float) -> None:
        self.ms[number] = (time.perf_counter() - began) * 1000
        text = self._text(number)
        faults = [one.reason for one in response.outcome.degraded]
        with self.lock:
            self.answers["complete" if response.outcome.complete else "degraded"] += 1
            self.answers["partly scored"] += 0 < response.outcome.scored < response.outcome.total
            self.answers["lost"] += sorted(_ids(response)) != sorted(self.found[text])
            self.answers["mispaired"] += not _paired(text, response)
            self.faults.update(faults)


def _clients(url: str, circuit: Circuit | None) -> list[HTTPRerank | CohereRerank]:
    return [
        HTTPRerank(url, dialect="tei", circuit=circuit),
        HTTPRerank(url, dialect="jina", model="m", circuit=circuit),
        HTTPRerank(url, dialect="infinity", circuit=circuit, batch=4),
        HTTPRerank(url, dialect="cohere", model="m", api_key="none", circuit=circuit),
        CohereRerank(base_url=url, api_key="none", circuit=circuit),
    ]


def _documents() -> list[Document]:
    dice = random.Random(5)  # noqa: S311 - no secret
    return [
        Document(f"d{at}", f"{' '.join(dice.choices(_WORDS, k=6))} note {at}") for at in range(300)
    ]


def _ids(response: Response) -> list[str]:
    return [one.doc_id for one in response]


def _paired(text: str, response: Response) -> bool:
    """Whether every score is that of its own text."""
    for one in response:
        if one.pair_score is None:
            continue
        own = expected_score(text, one.text)
        right = (own, math.log(own / (1 - own)), _TIES)
        if not any(math.isclose(one.pair_score, score, abs_tol=1e-6) for score in right):
            return False
    return True


def _held() -> Held:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    sockets = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            sockets += str(entry.readlink()).startswith("socket:")
    threads = sum(1 for _ in Path("/proc/self/task").iterdir())
    return Held(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, threads, sockets)


def _slope(samples: Sequence[tuple[int, Held]]) -> tuple[float, float]:
    """Return MiB per 1,000 searches, and two standard errors of it, by least squares."""
    x = [searches / 1000 for searches, _ in samples]
    y = [held.resident for _, held in samples]
    line = statistics.linear_regression(x, y)
    left = sum((b - line.slope * a - line.intercept) ** 2 for a, b in zip(x, y, strict=True))
    spread = sum((a - statistics.fmean(x)) ** 2 for a in x)
    return line.slope, 2 * math.sqrt(left / (len(x) - 2) / spread)


def _report(soak: _Soak, before: Held, rest: Held, rate: float, *, quick: bool) -> Report:
    samples = sorted(soak.samples)
    half = samples[len(samples) // 2 :]
    slope, error = _slope(half)
    count, answers = len(soak.ms), soak.answers
    took = sorted(soak.ms[~np.isnan(soak.ms)])
    rows = [(name, answers[name]) for name in ("complete", "degraded", "partly scored")]
    rows += [(f"reason: {name}", number) for name, number in soak.faults.most_common()]
    table = [(searches, *held) for searches, held in samples]
    over = sum(one > soak.budget for one in took)
    p50, p95, p99 = (percentile(took, percent) for percent in (50, 95, 99))
    flat = Requirement("KiB of memory a search, less its error", 1.024 * (slope - error), 0.5)
    threads, sockets = rest.threads - before.threads, rest.sockets - before.sockets
    return Report(
        [
            Table(
                "What the searching process holds",
                ("searches", "resident MiB", "threads", "sockets"),
                [("before", *before), *table, (f"{_REST:g} s after", *rest)],
                f"Resident memory over the second half: {slope:+.3f} MiB per 1,000 searches, give "
                f"or take {error:.3f} (least squares, two standard errors).",
            ),
            Table(
                "Answers",
                ("answer", "searches", "%"),
                [(name, number, 100 * number / count) for name, number in rows],
                "An answer may have several reasons.",
            ),
            Table(
                "Milliseconds of a search",
                ("budget", "p50", "p95", "p99", "most", "% above budget", "searches a second"),
                [(soak.budget, p50, p95, p99, took[-1], 100 * over / count, rate)],
            ),
        ],
        [
            Requirement("searches that raised", float(sum(soak.raised.values())), 0.0),
            Requirement("searches without an answer", float(count - len(took)), 0.0),
            Requirement("searches that lost or repeated a document", float(answers["lost"]), 0.0),
            Requirement("searches with another text's score", float(answers["mispaired"]), 0.0),
            Requirement("threads at rest, beside those before", float(threads), _KEPT_THREADS),
            Requirement("sockets at rest, beside those before", float(sockets), _KEPT_SOCKETS),
            *(() if quick else (flat,)),  # memory settles after some thousands
        ],
        [f"raised {number} times: {name}" for name, number in soak.raised.items()],
    )


@contextmanager
def _server() -> Iterator[str]:
    """Run a server of faults in a process of its own; its URL is what it prints."""
    command = [sys.executable, __file__]
    process = subprocess.Popen(  # noqa: S603 - this file
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None  # noqa: S101 - for the type checker
    try:
        yield process.stdout.readline().strip()
    finally:
        process.communicate()  # it ends when its input does


def _serve() -> None:
    with ChaosServer() as server:
        among = [name for name, fault in FAULTS.items() if not fault.permanent]
        server.faults(rate=_RATE, among=among)
        print(server.url, flush=True)
        ended = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
        while not ended.wait(1.0):
            server.requests.clear()  # or it would grow


if __name__ == "__main__":
    _serve()
