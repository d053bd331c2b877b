"""What does Ray cost on one machine, and what does a second worker bring?

`runoff.bulk.rerank` scores the same pairs on this machine and on a Ray cluster that is started
here, with one worker and with two, each on one core. A pair for each worker shows first what the
start takes: of the worker's process, its imports and its model. What a whole job takes beyond that
shows what scoring costs there. Processor time is that of this process and of all that Ray started,
to a few tenths of a second.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from harness import Report, Requirement, Skipped, Table, say

from runoff._util.prose import stretches
from runoff.bulk import rerank
from runoff.rerank import CrossEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness import Options

__all__ = ["run"]

_PAIRS, _WORDS, _PARTS = 2560, 60, 32
_QUESTION = "how do I read a file line by line?"
_MOST_OVERHEAD = 1.25  # of processor time
_LEAST_SCALING = 1.6  # from one worker to two


def run(options: Options) -> Report:
    """Measure each way once."""
    if not importlib.util.find_spec("ray"):
        raise Skipped("Ray is not installed: pip install 'runoff[ray]'")
    import ray  # noqa: PLC0415 - an extra

    pairs = 32 if options.quick else _PAIRS
    scorer = CrossEncoder()
    scorer.warmup()
    with tempfile.TemporaryDirectory() as folder, _Processors() as processors:
        jobs = _Jobs(scorer, Path(folder), processors)
        alone = jobs.spent("this machine", pairs, None)
        with processors.measured() as cluster:
            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        try:
            starts = [jobs.spent("Ray, start", workers, workers) for workers in (1, 2)]
            wholes = [jobs.spent("Ray", pairs, workers) for workers in (1, 2)]
        finally:
            ray.shutdown()
    one, two = (
        _Spent(whole.wall - start.wall, whole.busy - start.busy)
        for whole, start in zip(wholes, starts, strict=True)
    )
    table = Table(
        f"{pairs:,} pairs of {_WORDS} words, CrossEncoder()",
        ("executor", "pairs", "workers", "wall s", "processor s"),
        [
            *jobs.rows[:1],
            ("Ray, the cluster's start", "", "", *cluster[0]),
            *jobs.rows[1:],
            ("Ray, beyond the start", pairs, 1, *one),
            ("Ray, beyond the start", pairs, 2, *two),
        ],
        f"Beyond the start of Ray and of its workers, one worker takes {one.busy / alone.busy:.2f} "
        f"of the processor time without Ray, and two workers are {one.wall / two.wall:.2f} times "
        f"as fast as one. With the workers' start these are {wholes[0].busy / alone.busy:.2f} and "
        f"{wholes[0].wall / wholes[1].wall:.2f}.",
    )
    return Report(
        [table],
        [
            Requirement(
                "processor time of one Ray worker against none, beyond the start",
                one.busy / alone.busy,
                _MOST_OVERHEAD,
            ),
            Requirement(
                "processor time of one Ray worker against none, with its start",
                wholes[0].busy / alone.busy,
                _MOST_OVERHEAD,
            ),
            Requirement(
                "speed of two Ray workers against one, beyond the start",
                one.wall / two.wall,
                _LEAST_SCALING,
                at_least=True,
            ),
        ],
    )


class _Spent(NamedTuple):
    """Seconds by the clock, and of processors."""

    wall: float
    busy: float


class _Jobs:
    """Scores pairs, and keeps a row of each run."""

    def __init__(self, scorer: CrossEncoder, folder: Path, processors: _Processors) -> None:
        self.rows: list[tuple[object, ...]] = []
        self._scorer, self._folder, self._processors = scorer, folder, processors

    def spent(self, name: str, pairs: int, workers: int | None) -> _Spent:
        """Score some pairs, on Ray if there are workers, and return what that took."""
        import pyarrow as pa  # noqa: PLC0415 - comes with the extra
        import pyarrow.parquet as pq  # noqa: PLC0415 - as above

        texts = list(stretches([_WORDS] * pairs, seed=1))
        source = self._folder / f"{pairs}.parquet"
        pq.write_table(pa.table({"query": [_QUESTION] * pairs, "text": texts}), source)
        with self._processors.measured() as found:
            rerank(
                source,
                self._folder / str(len(self.rows)),
                reranker=self._scorer,
                rows=-(-pairs // min(pairs, _PARTS)),
                executor="ray" if workers else "local",
                workers=workers,
            )
        self.rows.append((name, pairs, workers or "", *found[0]))
        say(f"cluster: {self.rows[-1]}")
        return found[0]


class _Processors:
    """Adds up the processor time of this process and of all below it, also of those that end."""

    def __init__(self) -> None:
        self._ticks: dict[int, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @contextlib.contextmanager
    def measured(self) -> Iterator[list[_Spent]]:
        """Put what the block took into the list."""
        found: list[_Spent] = []
        started, worked = time.perf_counter(), self._seconds()
        yield found
        found.append(_Spent(time.perf_counter() - started, self._seconds() - worked))

    def _seconds(self) -> float:
        self._look()
        return sum(self._ticks.values()) / os.sysconf("SC_CLK_TCK")

    def _watch(self) -> None:
        while not self._ended.wait(0.3):
            self._look()

    def _look(self) -> None:
        children: dict[int, list[int]] = {}
        ticks: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):  # it has ended
                    stat = (entry / "stat").read_text("utf-8", "replace")
                    fields = stat.rpartition(")")[2].split()
                    children.setdefault(int(fields[1]), []).append(int(entry.name))
                    ticks[int(entry.name)] = int(fields[11]) + int(fields[12])
        below = [os.getpid()]
        while below:
            process = below.pop()
            self._ticks[process] = ticks.get(process, 0)
            below += children.get(process, [])
