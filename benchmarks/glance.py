"""What `runoff watch` takes over a directory of observations, by their number.

Answers with 100 candidates each are watched, and written again under the names of two processes
with other times over a week. The command reads them in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from harness import Report, Requirement, Table, say

from runoff import Document, TwoStage
from runoff.types import Hit, Ranked, Reranking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness import Options

    from runoff.deadline import Deadline
    from runoff.types import Candidate, Query

__all__ = ["run"]

_SIZES = (10_000, 200_000)
_CANDIDATES, _SHARD, _DOCUMENTS = 100, 250, 20_000
_WEEK = 7 * 86_400.0
_COMMAND = """
import json, sys, time
from runoff.bench._machine import memory
from runoff.cli import app
try:
    app()
finally:
    print(json.dumps([time.process_time(), memory()[1]]), file=sys.stderr)
"""


class _Drawn:
    """Finds other documents for each question."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        del query, deadline
        scores = -np.sort(-self._rng.random(depth))
        return [
            Hit(Document(f"document-{at}", f"text {at}"), float(score))
            for at, score in zip(self._rng.integers(0, _DOCUMENTS, depth), scores, strict=True)
        ]


class _Random:
    """Orders its candidates at random."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        del query, deadline
        scores = self._rng.random(len(candidates))
        found = sorted(zip(scores, candidates, strict=True), key=lambda one: -one[0])
        return Reranking(tuple(Ranked(one, float(by), float(by)) for by, one in found))


def run(options: Options) -> Report:
    """Measure the command on a small and on a large directory."""
    rows: list[tuple[object, ...]] = []
    for size in (250, 500) if options.quick else _SIZES:
        say(f"{size:,} observations")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kept"
            _write(path, size)
            megabytes = sum(one.stat().st_size for one in path.iterdir()) / 1e6
            rows.append((f"{size:,}", megabytes, *_used("watch", str(path))))
    alone = _used("--help")
    rows.append(("`runoff --help`", 0.0, *alone))
    small, large = (float(str(row[3])) for row in rows[:2])
    required = [
        Requirement("peak memory, 200,000 observations / 10,000", large / small, 1.25),
        Requirement("200,000 observations, seconds of the processor", float(str(rows[1][2])), 60.0),
    ]
    columns = ("observations", "MB on disk", "seconds of the processor", "peak MB")
    note = f"{_CANDIDATES} candidates of two sources in each; shards of {_SHARD} by two processes."
    table = Table("`runoff watch` over a directory", columns, rows, note)
    return Report([table], () if options.quick else required)


def _write(path: Path, size: int) -> None:
    import pyarrow as pa  # noqa: PLC0415 - an extra

    from runoff.live import watch  # noqa: PLC0415 - an extra
    from runoff.live._shards import new_writer, shard_at  # noqa: PLC0415 - an extra
    from runoff.live._store import Store  # noqa: PLC0415 - an extra
    from runoff.live._table import Counts, shard_bytes  # noqa: PLC0415 - an extra
    from runoff.live._writer import flush  # noqa: PLC0415 - an extra

    sources = {"one": _Drawn(1), "two": _Drawn(2)}
    plain = TwoStage(sources, reranker=_Random(), depth=_CANDIDATES // 2, window=50)
    with tempfile.TemporaryDirectory() as folder:
        first = (Path(folder) / "first").absolute()
        watched = watch(plain, first, 1.0)
        for at in range(_SHARD):
            watched.search(f"question {at}")
            if not at % 50:
                flush(first, 60)
        flush(first, 60)
        whole = pa.concat_tables([table for _, table in Store(first).tables()])
    Store(path).prepare()
    begun, many = time.time() - _WEEK, size // _SHARD
    writers = new_writer(), new_writer()
    place = whole.schema.get_field_index("time")
    for at in range(many):
        times = begun + _WEEK * (at + np.linspace(0, 1, len(whole))) / many
        table = whole.set_column(place, whole.schema.field(place), pa.array(times))
        counts = Counts(20 * len(table), len(table), first=times[0], last=times[-1])
        shard = shard_at(path, writers[at % 2], at // 2 + 1, at // 2 + 1)
        shard.path.write_bytes(shard_bytes(table, counts))


def _used(*arguments: str) -> tuple[float, float]:
    """Return the seconds of the processor and the most megabytes that a command used."""
    done = subprocess.run(  # noqa: S603 - this benchmark's own
        [sys.executable, "-c", _COMMAND, *arguments], check=True, capture_output=True, text=True
    )
    seconds, peak = json.loads(done.stderr.splitlines()[-1])
    return float(seconds), float(peak) / 1e6
