"""Full-text search by size: BM25 in this process beside PostgreSQL's and LanceDB's.

Texts of 55 made-up words follow Zipf's law over 200,000 words. Every size and engine runs in a
process of its own, which makes the texts, so that its memory is that of the index. PostgreSQL runs
in processes of its own, whose memory is not counted.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from engine_tables import words_alone
from harness import Report, Table, percentile, say

from runoff import Document, Query
from runoff.recall import BM25

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness import Options

__all__ = ["run"]

DEPTH = 100
_SIZES = (10_000, 100_000, 1_000_000)
_IN_ENGINES = 100_000  # filling them with more takes long
_QUERIES = 50
_WORDS = 55
_VOCABULARY = 200_000
_MB = 1e6
_PACKAGES = {"LanceDB": "lancedb", "Postgres": "pgserver"}


def run(options: Options) -> Report:
    """Measure every size and engine that is installed."""
    rows = []
    for size in (1000,) if options.quick else _SIZES:
        names = ["BM25"]
        if size <= _IN_ENGINES:
            names += [
                one for one, package in _PACKAGES.items() if importlib.util.find_spec(package)
            ]
        for name in names:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                rows.append((f"{size:,}", name, *pool.apply(_measured, (name, size))))
            say(f"scale: {rows[-1]}")
    columns = ("documents", "engine", "memory MB", "to fill, CPU s", "p50 ms", "p95 ms", "CPU ms")
    note = (
        f"{_QUERIES} queries of 3 words drawn as the texts' words are, depth {DEPTH}; CPU is that "
        "of the process that asks, and memory what it gained."
    )
    return Report([Table("Full-text search by size", columns, rows, note)])


def _measured(name: str, size: int) -> tuple[object, ...]:
    before = _memory()
    started = time.process_time()
    if name == "BM25":
        return (*_asked(BM25(_documents(size)), before, started),)
    with words_alone(name, _documents(size)) as source:
        return (*_asked(source, before, started),)


def _asked(source: object, before: float, started: float) -> Iterator[object]:
    retrieve = source.retrieve  # type: ignore[attr-defined] # a source of any kind
    retrieve(Query("w1"), depth=DEPTH)
    yield _memory() - before
    yield time.process_time() - started
    taken = []
    for text in _texts(_QUERIES, 3, 7):
        wall, cpu = time.perf_counter(), time.process_time()
        retrieve(Query(text), depth=DEPTH)
        taken.append((time.perf_counter() - wall, time.process_time() - cpu))
    walls = [wall * 1000 for wall, _ in taken]
    yield percentile(walls, 50)
    yield percentile(walls, 95)
    yield statistics.median(cpu for _, cpu in taken) * 1000


def _documents(count: int) -> Iterator[Document]:
    return (Document(f"d{place:07}", text) for place, text in enumerate(_texts(count, _WORDS, 1)))


def _texts(count: int, length: int, seed: int) -> Iterator[str]:
    generator = np.random.default_rng(seed)
    names = np.array([f"w{rank}" for rank in range(_VOCABULARY)], dtype=object)
    upto = np.cumsum(1 / (np.arange(_VOCABULARY) + 3.7) ** 1.1)
    for _ in range(count):
        drawn = np.searchsorted(upto, generator.random(length) * upto[-1])
        yield " ".join(names[drawn])


def _memory() -> float:
    """Return what this process has in memory, MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MB
