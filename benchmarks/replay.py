"""Replay against the live pipeline, and what a recording costs in time and memory by its size.

With `RUNOFF_BENCH_PLOTS` the growth is drawn into that folder (`pip install altair
vl-convert-python`).
"""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from harness import Report, Requirement, Table, say
from judged import Collection
from recalled import live_sources, sources

from runoff import Document, TwoStage
from runoff.evaluation import Recording, record, replay
from runoff.fusion import RRF, Convex
from runoff.rerank import CrossEncoder
from runoff.scores import ModelIdentity, PairScores, ScoreKind
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness import Options

    from runoff.deadline import Deadline
    from runoff.types import Query

_DEPTH = 100
_LIVE = 6  # queries timed live


def run(options: Options) -> Report:
    """Time 100 configurations, and recordings of growing size."""
    collection = Collection.load(
        next(iter(options.collections), "nfcorpus"), 5 if options.quick else options.queries
    )
    first = sources(collection, _DEPTH)
    say(f"recording {len(collection.queries)} queries of {collection.name}")
    # which scores are replayed makes no difference to the time
    recording = record(
        TwoStage(first, reranker=_Instant()), collection, _DEPTH, progress=False, workers=1
    )
    settings = _settings()
    started = time.perf_counter()
    replay(recording, **settings[0])
    prepared = time.perf_counter() - started
    started, worked = time.perf_counter(), time.process_time()
    for one in settings:
        replay(recording, **one)
    replayed, worked = time.perf_counter() - started, time.process_time() - worked
    live = TwoStage(live_sources(collection), reranker=CrossEncoder("runoff-mini"))
    live.warmup()
    texts = list(collection.queries.values())[:_LIVE]
    started = time.perf_counter()
    for text in texts:
        live.search(text, depth=_DEPTH, window=_DEPTH)
    seconds = (time.perf_counter() - started) / len(texts) * len(collection.queries)
    each = replayed / len(settings)
    rows = [
        ("live, window 100 (from a few queries)", seconds),
        ("replay, first (prepares the recording)", prepared),
        ("replay, mean of 100 settings", each),
        ("replay, 100 settings", replayed),
        ("the same, of this process alone on a busy machine (CPU)", worked),
    ]
    title = f"{collection.name}: {len(recording)} queries, {recording.pairs} recorded pairs"
    sizes = (2_000, 4_000) if options.quick else (10_000, 30_000, 100_000, 300_000, 1_000_000)
    grown = [_grown(size) for size in sizes]
    if folder := os.environ.get("RUNOFF_BENCH_PLOTS"):
        _plot(grown, Path(folder) / "growth.svg")
    requirements = [
        Requirement("100 configurations, seconds", replayed, 10.0),
        Requirement("live / replay", seconds / each, 100.0, at_least=True),
        Requirement("CPU time of a pair, largest recording / second", _growth(grown), 1.5),
    ]
    columns = (
        "pairs", "record s", "CPU µs a pair", "MB on disk", "open and read s", "replay s",
        "peak MB", "peak MB without replay",
    )  # fmt: skip
    return Report(
        [
            Table(title, ("what", "seconds"), rows),
            Table(
                "Recordings by size: 200 pairs a query, a scorer that takes no time, one process "
                "each",
                columns,
                grown,
                "Peak is the resident memory of the process above what it had before recording. "
                "Up to a million pairs, replay keeps a recording in memory for the next replay.",
            ),
        ],
        requirements if not options.quick else (),
    )


def _settings() -> list[dict[str, object]]:
    """Return 100 configurations: fusions and weights, windows, blends and depths."""
    fusions = [RRF({"bm25": one}) for one in (0.25, 0.5, 1.0, 2.0, 4.0)]
    fusions += [
        Convex({"bm25": share, "dense": 1 - share}, normalizer=normalizer)  # type: ignore[arg-type,list-item] # its names
        for share, normalizer in itertools.product((0.2, 0.4, 0.6, 0.8), ("minmax", "theoretical"))
    ][:5]
    return [
        {"fusion": fusion, "window": window, "blend": blend, "depth": depth}
        for fusion, window, blend, depth in itertools.product(
            fusions, (10, 20, 30, 50, 100), (None, 0.6), (_DEPTH,)
        )
    ]


@dataclass(frozen=True, slots=True)
class _Instant:
    """A scorer that takes no time."""

    name: str = "instant"
    keeps_deadline = True

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Score by the length of the texts."""
        del deadline
        count = len(pairs)
        return PairScores(
            np.array([len(query) * len(text) % 97 for query, text in pairs], np.float32),
            np.ones(count, np.bool_),
            np.zeros(count, np.bool_),
            ScoreKind.UNKNOWN,
            ModelIdentity(self.name),
        )


class _Shifted:
    """A source that returns documents from a place that depends on the query."""

    def __init__(self, documents: Sequence[Document], step: int) -> None:
        self._documents = documents
        self._step = step

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Return 100 documents."""
        del deadline
        start = int(query.text.rpartition(" ")[2]) * self._step % len(self._documents)
        found = (*self._documents[start:], *self._documents[:start])[:depth]
        return [Hit(one, 1 / rank) for rank, one in enumerate(found, 1)]


@dataclass(frozen=True, slots=True)
class _Questions:
    queries: dict[str, str]


def _grown(pairs: int) -> list[object]:
    """Record so many pairs in a process of its own, and return a row of the table."""
    command = [sys.executable, str(Path(__file__).resolve()), str(pairs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this very file
    say(f"recorded {pairs} pairs: {done.stdout.strip()}")
    told = [float(one) for one in done.stdout.split()]
    return [int(told[0]), *told[1:]]


def _growth(grown: Sequence[Sequence[object]]) -> float:
    each = [float(str(row[2])) for row in grown]
    return each[-1] / each[min(1, len(each) - 1)]


def _plot(grown: Sequence[Sequence[object]], path: Path) -> None:
    import altair as alt  # noqa: PLC0415 - for who wants the picture

    points = []
    for pairs, seconds, _, _, read, replayed, peak, streamed in grown:
        for panel, line, value in (
            ("seconds", "record", seconds),
            ("seconds", "open and read", read),
            ("seconds", "replay", replayed),
            ("peak memory, MB", "record and read", streamed),
            ("peak memory, MB", "and replay", peak),
        ):
            points.append({"panel": panel, "line": line, "pairs": pairs, "value": value})
    linear = alt.Scale(zero=True)
    panels = [
        alt.Chart(alt.Data(values=[one for one in points if one["panel"] == panel]))
        .mark_line(point=True)
        .encode(
            x=alt.X("pairs:Q", title="recorded pairs", axis=alt.Axis(format="~s"), scale=linear),
            y=alt.Y("value:Q", title=panel, scale=linear),
            color=alt.Color("line:N", title=None, sort=None),
        )
        .properties(width=260, height=180)
        for panel in dict.fromkeys(one["panel"] for one in points)
    ]
    alt.hconcat(*panels).resolve_scale(color="independent").save(str(path))


def _measure(pairs: int) -> None:
    """Record, read and replay in this process, and print what it took."""
    documents = [Document(f"doc-{at:05}", f"text {at} " * 8) for at in range(5_000)]
    live = TwoStage(
        {"one": _Shifted(documents, 7), "two": _Shifted(documents[::-1], 11)}, reranker=_Instant()
    )
    questions = _Questions({f"q{at}": f"question number {at}" for at in range(pairs // 200)})
    before = _peak()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording"
        started, worked = time.perf_counter(), time.process_time()
        record(live, questions, 100, path=path, progress=False, workers=1)
        recorded, worked = time.perf_counter() - started, time.process_time() - worked
        size = sum(one.stat().st_size for one in path.iterdir()) / 1e6
        started = time.perf_counter()
        made = Recording.open(path)
        held = sum(map(len, made))
        read = time.perf_counter() - started
        streamed = _peak() - before
        started = time.perf_counter()
        replay(made)
        replayed = time.perf_counter() - started
    each = worked / held * 1e6
    print(held, recorded, each, size, read, replayed, _peak() - before, streamed)


def _peak() -> float:
    """Return the most memory this process has had resident, in MB."""
    status = Path("/proc/self/status")
    if status.is_file():  # elsewhere a child starts with its parent's
        (kilobytes,) = (
            line.split()[1] for line in status.read_text().splitlines() if "VmHWM" in line
        )
        return int(kilobytes) / 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


if __name__ == "__main__":
    _measure(int(sys.argv[1]))
