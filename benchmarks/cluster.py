"""What does Ray cost on one machine, and what does a second worker bring?

`runoff.bulk.rerank` scores the same pairs on this machine and on a Ray cluster that is started
here, with one worker and with two, each on one core. Processor time is that of this process and of
all that Ray started, to a few tenths of a second. A first run, of one pair, shows what a worker's
start takes.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness import Report, Requirement, Skipped, Table, say

from runoff._util.prose import stretches
from runoff.bulk import rerank
from runoff.rerank import CrossEncoder

if TYPE_CHECKING:
    from harness import Options

__all__ = ["run"]

_PAIRS, _WORDS, _PARTS = 400, 60, 8
_MOST_OVERHEAD = 1.25  # of processor time


def run(options: Options) -> Report:
    """Measure each way once; a worker's start is in the figures."""
    if not importlib.util.find_spec("ray"):
        raise Skipped("Ray is not installed: pip install 'runoff[ray]'")
    import pyarrow as pa  # noqa: PLC0415 - comes with the extra
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above
    import ray  # noqa: PLC0415 - as above

    pairs = 24 if options.quick else _PAIRS
    texts = list(stretches([_WORDS] * pairs, seed=1))
    scorer = CrossEncoder()
    scorer.warmup()
    rows: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory() as folder, _Processors() as processors:
        question = "how do I read a file line by line?"
        for name, several in (("pairs", texts), ("one", texts[:1])):
            table = pa.table({"query": [question] * len(several), "text": several})
            pq.write_table(table, Path(folder) / f"{name}.parquet")

        def measured(name: str, source: str, workers: int | None) -> tuple[float, float]:
            started, worked = time.perf_counter(), processors.seconds()
            found = rerank(
                Path(folder) / f"{source}.parquet",
                Path(folder) / name,
                reranker=scorer,
                rows=-(-pairs // _PARTS),
                executor="ray" if workers else "local",
                workers=workers,
            )
            taken = time.perf_counter() - started
            busy = processors.seconds() - worked
            rows.append((name, found.rows, workers or "", taken, busy, found.rows / busy))
            say(f"cluster: {rows[-1]}")
            return taken, busy

        _, alone = measured("this machine", "pairs", None)
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        try:
            measured("Ray, one pair", "one", 1)
            one_taken, one_busy = measured("Ray, one worker", "pairs", 1)
            two_taken, two_busy = measured("Ray, two workers", "pairs", 2)
        finally:
            ray.shutdown()
    table = Table(
        f"{pairs:,} pairs of {_WORDS} words, CrossEncoder()",
        ("executor", "pairs", "workers", "wall s", "processor s", "pairs per processor s"),
        rows,
        f"Two workers take {two_taken / one_taken:.2f} of the wall clock of one, and "
        f"{two_busy / one_busy:.2f} of its processor time; one takes {one_busy / alone:.2f} of the "
        "processor time without Ray.",
    )
    what = "processor time with one worker against none"
    return Report([table], [Requirement(what, one_busy / alone, _MOST_OVERHEAD)])


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

    def seconds(self) -> float:
        """Return the seconds until now."""
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
