"""What imports and a first score cost beside NumPy, each in fresh interpreters, in turn.

Their compiled files are in a folder of the run's own, as an installation has them: an environment
that forbids Python to write them (PYTHONDONTWRITEBYTECODE) would have them compiled each time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from harness import Report, Requirement, Table

if TYPE_CHECKING:
    from harness import Options

__all__ = ["run"]

_ROUNDS = 10
_NUMPY, _PIPELINE = "import numpy", "from runoff import TwoStage"
_IMPORTS = (
    _NUMPY,
    "import runoff",
    _PIPELINE,
    "from runoff.recall import BM25",
    "from runoff.rerank import CrossEncoder",
)
_FIRST = {
    "NumPy imported": _NUMPY,
    "TwoStage imported": _PIPELINE,
    "first score of runoff-mini": "from runoff.rerank import CrossEncoder; "
    "CrossEncoder().score([('a query', 'a document')])",
    "first search over BM25, default second stage": "from runoff import TwoStage; "
    "from runoff.recall import BM25; "
    "TwoStage({'bm25': BM25(['a document', 'another'])}).search('a document')",
}


def seconds(code: str, compiled: str) -> tuple[float, float, float]:
    """Return wall clock and CPU seconds of a whole process, and its largest memory in MB."""
    tail = (
        "; import resource, sys; used = resource.getrusage(resource.RUSAGE_SELF); "
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    started = time.perf_counter()
    cpu, memory = _fresh(code + tail, compiled)
    return (
        time.perf_counter() - started,
        cpu,
        memory * (1 if sys.platform == "darwin" else 1024) / 1e6,
    )


def first(rounds: int, compiled: str) -> Table:
    """Measure processes from their start to a first score."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in _FIRST}
    for code in _FIRST.values():
        seconds(code, compiled)  # its files are compiled and in the disk cache from here on
    for _ in range(rounds):
        for name, code in _FIRST.items():
            found[name].append(seconds(code, compiled))
    rows = [
        (name, *(statistics.median(values) for values in zip(*taken, strict=True)))
        for name, taken in found.items()
    ]
    return Table(
        "A process from its start",
        ("until", "seconds", "CPU seconds", "MB"),
        rows,
        f"Medians of {rounds} fresh interpreters each, in turn. CPU seconds are those of all "
        "threads: after NumPy is imported, those of its OpenBLAS wait busily for a moment.",
    )


def milliseconds(code: str, compiled: str) -> tuple[float, float]:
    """Return how long a fresh interpreter takes for an import: wall clock, and its thread's CPU."""
    wall, cpu = _fresh(
        "import time; wall, cpu = time.perf_counter(), time.thread_time(); "
        f"{code}; "
        "print((time.perf_counter() - wall) * 1000, (time.thread_time() - cpu) * 1000)",
        compiled,
    )
    return wall, cpu


def _fresh(code: str, compiled: str) -> tuple[float, float]:
    """Run code in a fresh interpreter, and return the two numbers that it prints."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(  # noqa: S603 - this interpreter and the code above
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=kept | {"PYTHONPYCACHEPREFIX": compiled},
    )
    one, other = map(float, done.stdout.split())
    return one, other


def run(options: Options) -> Report:
    """Measure every import, in turn, and then whole processes."""
    rounds = 2 if options.quick else _ROUNDS
    with tempfile.TemporaryDirectory() as compiled:
        return _measured(rounds, compiled)


def _measured(rounds: int, compiled: str) -> Report:
    walls: dict[str, list[float]] = {code: [] for code in _IMPORTS}
    cpus: dict[str, list[float]] = {code: [] for code in _IMPORTS}
    for code in _IMPORTS:
        milliseconds(code, compiled)  # its files are compiled and in the disk cache from here on
    for _ in range(rounds):
        for code in _IMPORTS:
            wall, cpu = milliseconds(code, compiled)
            walls[code].append(wall)
            cpus[code].append(cpu)
    rows = [
        (
            code,
            statistics.median(walls[code]),
            statistics.median(cpus[code]),
            *(_above(taken, code) for taken in (walls, cpus)),
        )
        for code in _IMPORTS
    ]
    begun = first(rounds, compiled)
    return Report(
        [
            Table(
                "Import time in milliseconds",
                ("code", "median", "CPU", "above numpy", "CPU above numpy"),
                rows,
                f"{rounds} fresh interpreters each; CPU time of the thread that imports.",
            ),
            begun,
        ],
        [
            Requirement(f"{_PIPELINE}, CPU ms above {_NUMPY}", _above(cpus, _PIPELINE), 50.0),
            Requirement(
                "seconds from the start of a process to a first score",
                float(begun.rows[2][1]),  # type: ignore[arg-type] # a number
                0.35,
            ),
        ],
    )


def _above(taken: dict[str, list[float]], code: str) -> float:
    return statistics.median(taken[code]) - statistics.median(taken[_NUMPY])
