"""What every benchmark shares: where and on what it ran, fair rounds, tables and requirements."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runoff.bench import _machine as measured_on
from runoff.bench._machine import percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "Options",
    "Report",
    "Requirement",
    "Skipped",
    "Table",
    "cache_root",
    "data_root",
    "interleaved",
    "machine",
    "percentile",
    "short",
]

_PACKAGES = (
    "runoff",
    "runoff-models",
    "numpy",
    "onnxruntime",
    "torch",
    "transformers",
    "sentence-transformers",
    "openvino",
    "tokenizers",
    "bm25s",
    "PyStemmer",
    "rank-bm25",
    "ir-measures",
    "pyarrow",
    "llama-index-core",
    "langchain-core",
)


class Skipped(Exception):
    """This benchmark cannot run here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Options:
    """How thoroughly to measure.

    Attributes:
        quick: a handful of queries and rounds, to see that a benchmark works; its figures mean
            nothing.
        collections: names of collections to measure on; empty means the benchmark's own choice.
        queries: judged queries of each collection at most, evenly spread; None takes all.
        stages: names of second stages to measure; empty means the benchmark's own choice.
    """

    quick: bool = False
    collections: tuple[str, ...] = ()
    queries: int | None = None
    stages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Figures in rows and columns, with what they were measured on."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: str = ""

    def lines(self) -> list[str]:
        """Return the table as Markdown."""
        cells = [[_cell(value) for value in row] for row in self.rows]
        widths = [
            max(len(row[at]) for row in [list(self.columns), *cells])
            for at in range(len(self.columns))
        ]
        lines = [
            f"### {self.title}",
            "",
            _row(self.columns, widths),
            _row(["-" * w for w in widths], widths),
        ]
        lines += [_row(row, widths) for row in cells]
        return [*lines, "", self.note, ""] if self.note else [*lines, ""]


@dataclass(frozen=True, slots=True)
class Requirement:
    """A figure, and the bound it has to keep if there is one.

    Attributes:
        what: the figure, in words.
        found: its value.
        bound: what it is held against; None for a figure that nothing is required of.
        at_least: whether it must not be lower; otherwise it must not be higher.
    """

    what: str
    found: float
    bound: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure keeps its bound."""
        if self.bound is None:
            return True
        return self.found >= self.bound if self.at_least else self.found <= self.bound

    def asked(self) -> str:
        """Return the bound in words, or an empty string."""
        if self.bound is None:
            return ""
        return f"at {'least' if self.at_least else 'most'} {short(self.bound)}"

    def line(self) -> str:
        """Return it as a sentence."""
        if self.bound is None:
            return f"- {self.what}: {_cell(self.found)}"
        verdict = "met" if self.met else "MISSED"
        return f"- {verdict}: {self.what}: {_cell(self.found)} ({self.asked()})"


@dataclass(frozen=True, slots=True)
class Report:
    """What one benchmark found."""

    tables: Sequence[Table]
    requirements: Sequence[Requirement] = ()
    notes: Sequence[str] = field(default=())


def data_root() -> Path:
    """Return the folder of collections: `RUNOFF_DATA`, else `../shared/data` beside the repository.

    Raises:
        Skipped: there is no such folder.
    """
    repository = Path(__file__).resolve().parents[1]
    root = Path(os.environ.get("RUNOFF_DATA") or repository.parent / "shared" / "data")
    if not root.is_dir():
        msg = "no collections here: set RUNOFF_DATA to a folder of BEIR-style collections"
        raise Skipped(msg)
    return root


def cache_root() -> Path:
    """Return where embeddings and pair scores are kept between runs, outside the repository."""
    given = os.environ.get("RUNOFF_BENCH_CACHE")
    root = Path(given) if given else Path(tempfile.gettempdir()) / "runoff-benchmarks"
    root.mkdir(parents=True, exist_ok=True)
    return root


def interleaved(
    rounds: int,
    calls: Mapping[str, Callable[[], object]],
    *,
    warmups: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time calls in turn, A B A B, so that whatever else the machine does hits all alike.

    Args:
        rounds: how often each is timed.
        calls: what is timed, by name.
        warmups: rounds before that are not timed.
        clock: returns seconds; `time.process_time` says what calls of one thread take on a quiet
            machine, also on a busy one.

    Returns:
        seconds of every round, by name.
    """
    for _ in range(warmups):
        for call in calls.values():
            call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    gc.collect()
    for at in range(rounds):
        names = list(calls)
        for name in names if at % 2 == 0 else names[::-1]:
            started = clock()
            calls[name]()
            seconds[name].append(clock() - started)
    return seconds


def ratio(seconds: Mapping[str, Sequence[float]], slow: str, fast: str) -> float:
    """Return the median over rounds of `slow / fast`, each round compared with itself."""
    return statistics.median(
        one / other for one, other in zip(seconds[slow], seconds[fast], strict=True)
    )


def machine() -> dict[str, str]:
    """Return what the figures were measured on, and when."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()) + " UTC",
        "cpu": measured_on.processor(),
        "load average": load_average(),
        "os": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(measured_on.versions(_PACKAGES)),
    }


def load_average() -> str:
    """Return the load of the last minute; other work on the machine makes figures worse."""
    load = measured_on.load_average()
    return "unknown" if load is None else f"{load:.1f}"


def short(value: float) -> str:
    """Return a number with at most three digits that say something."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - one more digit


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    size = abs(value)
    if value != 0 and size < 1e-3:  # noqa: PLR2004 - smaller figures need an exponent
        return f"{value:.1e}"
    return f"{value:.4f}" if size < 1 else f"{value:.3g}" if size < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - as above


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def say(text: str) -> None:
    """Tell on standard error how far a benchmark is; standard output has the results alone."""
    print(text, file=sys.stderr, flush=True)
