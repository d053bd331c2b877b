"""Do many callers at once get their share: throughput, the spread of waiting, and one slow caller?

Eight threads share one cross-encoder. Each request asks for the same documents, so what differs
between requests is waiting alone.
"""

from __future__ import annotations

import statistics
import threading
import time
from typing import TYPE_CHECKING

from harness import Report, Requirement, Table, percentile

from runoff._onnx import cpu
from runoff._util.prose import stretches
from runoff.rerank import CrossEncoder

if TYPE_CHECKING:
    from harness import Options

__all__ = ["run"]

_CALLERS = 8
_DOCUMENTS, _WORDS = 20, 40
_SLOW = 20  # times the documents of the others


def run(options: Options) -> Report:
    """Measure one caller, eight, and eight beside one whose request is twenty times as long."""
    scorer = CrossEncoder()
    scorer.warmup()
    query = "how do I read a file line by line?"
    pairs = [(query, text) for text in stretches([_WORDS] * _DOCUMENTS, seed=1)]
    rounds, requests = (1, 1) if options.quick else (4, 3)
    kinds = ("one caller", f"{_CALLERS} callers", f"{_CALLERS} callers beside a slow one")
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    waits: dict[str, list[float]] = {kind: [] for kind in kinds}
    spreads = []
    for at in range(rounds):
        for kind in kinds if at % 2 == 0 else kinds[::-1]:
            callers = 1 if kind == kinds[0] else _CALLERS
            slow = pairs * _SLOW if kind == kinds[2] else []
            found, busy = _round(scorer, pairs, callers, requests * _CALLERS // callers, slow)
            waits[kind] += found
            rates[kind].append(len(found) / busy)
            if kind == kinds[1]:
                spreads.append(percentile(found, 95) / percentile(found, 50))
    ratios = [many / one for many, one in zip(rates[kinds[1]], rates[kinds[0]], strict=True)]
    beside = statistics.median(waits[kinds[2]]) / statistics.median(waits[kinds[1]])
    rows = [
        (
            kind,
            len(waits[kind]),
            statistics.median(rates[kind]),
            *(percentile(waits[kind], percent) * 1000 for percent in (50, 95, 99)),
        )
        for kind in kinds
    ]
    return Report(
        [
            Table(
                "Callers at once",
                ("callers", "requests", "requests per CPU second", "p50 ms", "p95 ms", "p99 ms"),
                rows,
                f"{_DOCUMENTS} documents of {_WORDS} words a request, {scorer.name}, "
                f"{cpu.cores()} cores, {rounds} interleaved rounds. The slow caller asks for "
                f"{_DOCUMENTS * _SLOW} documents at once.",
            )
        ],
        [
            Requirement(
                f"throughput of {_CALLERS} callers, of one caller's (per CPU second)",
                statistics.median(ratios),
                0.95,
                at_least=True,
            ),
            Requirement("p95 of p50, identical requests", statistics.median(spreads), 2.5),
            Requirement("p50 beside a slow caller, of p50 without", beside, 1.5),
        ],
    )


def _round(
    scorer: CrossEncoder,
    pairs: list[tuple[str, str]],
    callers: int,
    requests: int,
    slow: list[tuple[str, str]],
) -> tuple[list[float], float]:
    """Return how long each request of the callers took, and the process's CPU time for them."""
    waits: list[float] = []
    gate = threading.Barrier(callers)

    def ask() -> None:
        gate.wait()
        for _ in range(requests):
            started = time.perf_counter()
            scorer.score(pairs)
            waits.append(time.perf_counter() - started)

    crowd = [threading.Thread(target=ask) for _ in range(callers)]
    other = threading.Thread(target=scorer.score, args=(slow,))
    began = time.process_time()
    other.start()
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    busy = time.process_time() - began
    other.join()
    return waits, busy
