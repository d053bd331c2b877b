"""What `watch` adds to an answer: wall clock and processor time, side by side in one process.

Four pipelines answer in turn, a block of searches each, in random order: one that is not watched,
the same once more (what the machine's noise adds), and two that are watched, with a twentieth of
the answers kept and with all. The writer of a watched pipeline has ended its work before the next
block begins, so that it slows down none but its own.
"""

from __future__ import annotations

import gc
import hashlib
import random
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from harness import Report, Requirement, Skipped, Table, say

from runoff import Document, TwoStage
from runoff.types import Hit, Ranked, Reranking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness import Options
    from numpy.typing import NDArray

    from runoff.deadline import Deadline
    from runoff.types import Candidate, Query

__all__ = ["run"]

_SEARCHES, _BLOCK = 20_000, 250
_CANDIDATES, _RUNS = 100, 10
_WORK = bytes(100_000)  # hashing it takes about as long as a small model takes for a short pair
_PLAIN, _CONTROL, _SOME, _EVERY = (
    "not watched",
    "not watched, again",
    "watched, sample .05",
    "watched, sample 1",
)
_RESAMPLES = 400


class _Ready:
    """A source whose hits are made already."""

    def __init__(self) -> None:
        documents = [Document(f"d{at}", f"text {at} " * 100) for at in range(_CANDIDATES)]
        self._hits = [Hit(one, 1 - at / _CANDIDATES) for at, one in enumerate(documents)]

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        del query, deadline
        return self._hits[:depth]


class _Working:
    """Reverses its candidates after runs of work that let other threads go on, as a model does."""

    keeps_deadline = True

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        del query, deadline
        for _ in range(_RUNS):
            hashlib.sha256(_WORK).digest()
        ordered = sorted(enumerate(candidates), reverse=True, key=lambda one: one[0])
        return Reranking(tuple(Ranked(one, float(at), float(at)) for at, one in ordered))


def run(options: Options) -> Report:
    """Measure searches that are watched and searches that are not."""
    try:
        from runoff.live import watch  # noqa: PLC0415 - an extra
        from runoff.live._writer import flush  # noqa: PLC0415 - an extra
    except ImportError as missing:
        raise Skipped(str(missing)) from None
    rounds = 2 if options.quick else max(2, (options.queries or _SEARCHES) // _BLOCK)
    plain = TwoStage({"ready": _Ready()}, reranker=_Working())
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: (Path(folder) / name).absolute() for name in (_SOME, _EVERY)}
        pipelines = {
            _PLAIN: plain,
            _CONTROL: plain,
            _SOME: watch(plain, paths[_SOME], 0.05),
            _EVERY: watch(plain, paths[_EVERY], 1.0),
        }
        taken = _measured(
            pipelines, rounds, lambda name: name not in paths or flush(paths[name], 60)
        )
        dropped = {name: _dropped(path) for name, path in paths.items()}
    return _report(taken, dropped, quick=options.quick)


def _dropped(path: Path) -> int:
    from runoff.live._store import Store  # noqa: PLC0415 - an extra

    return sum(counts.dropped for _, counts in Store(path).counts())


class _Taken:
    """What the searches of one pipeline took, a row for each block, in milliseconds.

    Attributes:
        wall: by the clock.
        mine: of the processor, in the thread that answers.
        all: of the processor, in the whole process until the writer had ended; of each block.
    """

    def __init__(self) -> None:
        self.wall: list[NDArray[np.float64]] = []
        self.mine: list[NDArray[np.float64]] = []
        self.all: list[float] = []


def _measured(
    pipelines: dict[str, TwoStage], rounds: int, settle: Callable[[str], object]
) -> dict[str, _Taken]:
    taken = {name: _Taken() for name in pipelines}
    chance = random.Random(0)  # noqa: S311 - no secret
    for name, pipeline in pipelines.items():
        for _ in range(20):
            pipeline.search("tea")
        settle(name)
    names = list(pipelines)
    for at in range(rounds):
        if not at % 10:
            say(f"watching: {at * _BLOCK:,} of {rounds * _BLOCK:,} searches of each")
        chance.shuffle(names)
        for name in names:
            gc.collect()
            _block(pipelines[name], taken[name], partial(settle, name))
    return taken


def _block(pipeline: TwoStage, into: _Taken, settle: Callable[[], object]) -> None:
    wall, mine = np.empty(_BLOCK), np.empty(_BLOCK)
    clock, processor, search = time.perf_counter_ns, time.thread_time_ns, pipeline.search
    every = time.process_time_ns()
    for at in range(_BLOCK):
        begun, used = clock(), processor()
        search("tea")
        mine[at], wall[at] = processor() - used, clock() - begun
    settle()
    into.all.append((time.process_time_ns() - every) / 1e6 / _BLOCK)
    into.wall.append(wall / 1e6)
    into.mine.append(mine / 1e6)


def _report(taken: dict[str, _Taken], dropped: dict[str, int], *, quick: bool) -> Report:
    clock = _rows(taken, "wall")
    processor = [(*row, float(np.mean(taken[str(row[0])].all))) for row in _rows(taken, "mine")]
    columns = ("pipeline", "p50", "p95", "p99", "p99.9", "p50 added", "p99 added", "95% interval")
    many = len(taken[_PLAIN].wall) * _BLOCK
    note = (
        f"{many:,} searches of each, in blocks of {_BLOCK} in turn; {_CANDIDATES} candidates of "
        "1 kB; the interval is that of a bootstrap of blocks."
    )
    tables = [
        Table("Milliseconds of a search, by the clock", columns, clock, note),
        Table(
            "Milliseconds of the processor, in the thread that answers",
            (*columns, "whole process, mean"),
            processor,
            "The last column includes the writer's work, to its end.",
        ),
        Table(
            "A search less one that is not watched, at the same place in its block",
            ("pipeline", "p1", "p50", "p99", "p99 in the control"),
            [
                (
                    name,
                    *_paired(taken[name], taken[_PLAIN]),
                    _paired(taken[_CONTROL], taken[_PLAIN])[2],
                )
                for name in (_SOME, _EVERY)
            ],
            "Milliseconds by the clock. Most of p1 and p99 is the difference of any two searches.",
        ),
    ]
    notes = [f"{name}: {lost} observations were dropped." for name, lost in dropped.items()]
    required = []
    for name in (_SOME, _EVERY):
        for rows, what in ((clock, "by the clock"), (processor, "of the processor")):
            added = next(float(str(row[6])) for row in rows if row[0] == name)
            required.append(Requirement(f"{name}: p99 added, ms {what}", added, 1.0))
    return Report(tables, () if quick else required, notes)


def _rows(taken: dict[str, _Taken], which: str) -> list[tuple[object, ...]]:
    plain = np.array(getattr(taken[_PLAIN], which))
    rows: list[tuple[object, ...]] = []
    for name, one in taken.items():
        mine = np.array(getattr(one, which))
        p50, p95, p99, most = np.percentile(mine, (50, 95, 99, 99.9)).tolist()
        before = np.percentile(plain, (50, 99)).tolist()
        low, high = _interval(mine, plain)
        added = (p50 - before[0], p99 - before[1], f"{low:+.3f} to {high:+.3f}")
        rows.append((name, p50, p95, p99, most, *(added if name != _PLAIN else ("", "", ""))))
    return rows


def _interval(mine: NDArray[np.float64], plain: NDArray[np.float64]) -> tuple[float, float]:
    rng, found = np.random.default_rng(0), []
    for _ in range(_RESAMPLES):
        drawn = rng.integers(0, len(mine), len(mine))
        found.append(float(np.percentile(mine[drawn], 99) - np.percentile(plain[drawn], 99)))
    low, high = np.percentile(found, (2.5, 97.5)).tolist()
    return low, high


def _paired(mine: _Taken, plain: _Taken) -> tuple[float, ...]:
    apart = np.array(mine.wall) - np.array(plain.wall)
    return tuple(np.percentile(apart, (1, 50, 99)).tolist())
