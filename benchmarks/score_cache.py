"""What a cache of pair scores costs to ask, full of ten thousand pairs, and what it saves."""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from harness import Report, Requirement, Table, percentile

from runoff.rerank import Cached, DiskCache, MemoryCache
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness import Options

    from runoff.deadline import Deadline

__all__ = ["run"]

_QUERIES = 200
_WINDOW = 50
_ROUNDS = 400
_TEXT = "a passage of some thirty words, long enough to look like what people put in their indexes "


class _Free:
    """A scorer that takes no time."""

    name = "free"
    cache_key = "free"
    keeps_deadline = True

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        del deadline
        values = np.arange(len(pairs), dtype=np.float32)
        marks = np.ones(len(pairs), np.bool_)
        model = ModelIdentity("free", "0123456789abcdef", "int8")
        return PairScores(values, marks, ~marks, ScoreKind.LOGIT, model, Usage(pairs=len(pairs)))


def run(options: Options) -> Report:
    """Fill a cache in memory and one in a file, and ask each for 50 pairs at a time."""
    queries = 4 if options.quick else _QUERIES
    rounds = 5 if options.quick else _ROUNDS
    asked = [
        [(f"question {query}?", f"{query} {at} {_TEXT * 8}") for at in range(_WINDOW)]
        for query in range(queries)
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = DiskCache(Path(folder) / "scores.db")
        scorers = {
            "memory": Cached(_Free(), store=MemoryCache()),
            "file": Cached(_Free(), store=file),
        }
        written = {}
        for name, scorer in scorers.items():
            began = time.perf_counter()
            for pairs in asked:
                scorer.score(pairs)
            written[name] = (time.perf_counter() - began) * 1000 / len(asked)
        size = len(file)
        taken: dict[str, list[float]] = {
            name: [] for name in (*scorers, "memory, await", "file, await")
        }
        asyncio.run(_measure(scorers, asked, rounds, taken))
        file.close()
        stored = (Path(folder) / "scores.db").stat().st_size
    rows = [
        (name, statistics.median(one), percentile(one, 95), written.get(name, "-"))
        for name, one in taken.items()
    ]
    note = f"{size:,} pairs kept, {stored / size:.0f} bytes each in the file; texts of 720 letters."
    columns = ("cache", "p50", "p95", "scored and kept, mean")
    return Report(
        [Table(f"Milliseconds for {_WINDOW} known pairs", columns, rows, note)],
        [Requirement("50 pairs from the file, p50 in ms", statistics.median(taken["file"]), 5.0)],
    )


async def _measure(
    scorers: dict[str, Cached],
    asked: list[list[tuple[str, str]]],
    rounds: int,
    taken: dict[str, list[float]],
) -> None:
    chance = random.Random(0)  # noqa: S311 - an order to ask in
    for _ in range(rounds):
        pairs = chance.choice(asked)
        for name, scorer in scorers.items():
            began = time.perf_counter()
            scores = scorer.score(pairs)
            taken[name].append((time.perf_counter() - began) * 1000)
            if scores.usage.cached != _WINDOW:
                msg = f"{name} knew {scores.usage.cached} of {_WINDOW} pairs"
                raise RuntimeError(msg)
            began = time.perf_counter()
            await scorer.ascore(pairs)
            taken[f"{name}, await"].append((time.perf_counter() - began) * 1000)
