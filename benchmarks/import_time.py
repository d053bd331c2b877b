"""What `import runoff` and a first score cost beside NumPy, each in fresh interpreters, in turn."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from harness import Report, Requirement, Table

if TYPE_CHECKING:
    from harness import Options

__all__ = ["run"]

_ROUNDS = 10
_MODULES = ("numpy", "runoff", "runoff.recall", "runoff.rerank", "runoff.fusion")
_FIRST = {
    "NumPy imported": "import numpy",
    "runoff imported": "import runoff",
    "first score of runoff-mini": "from runoff.rerank import CrossEncoder; "
    "CrossEncoder().score([('a query', 'a document')])",
    "first search over BM25, default second stage": "from runoff import TwoStage; "
    "from runoff.recall import BM25; "
    "TwoStage({'bm25': BM25(['a document', 'another'])}).search('a document')",
}


def seconds(code: str) -> tuple[float, float, float]:
    """Return wall clock and CPU seconds of a whole process, and its largest memory in MB."""
    tail = (
        "; import resource, sys; used = resource.getrusage(resource.RUSAGE_SELF); "
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    started = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - this interpreter and the code above
        [sys.executable, "-c", code + tail], check=True, capture_output=True, text=True
    )
    wall = time.perf_counter() - started
    cpu, memory = done.stdout.split()
    return wall, float(cpu), float(memory) * (1 if sys.platform == "darwin" else 1024) / 1e6


def first(rounds: int) -> Table:
    """Measure processes from their start to a first score."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in _FIRST}
    for _ in range(rounds):
        for name, code in _FIRST.items():
            found[name].append(seconds(code))
    rows = [
        (name, *(statistics.median(values) for values in zip(*taken, strict=True)))
        for name, taken in found.items()
    ]
    return Table(
        "A process from its start",
        ("until", "seconds", "CPU seconds", "MB"),
        rows,
        f"Medians of {rounds} fresh interpreters each, in turn.",
    )


def milliseconds(module: str) -> tuple[float, float]:
    """Return how long a fresh interpreter takes to import a module: wall clock and CPU time."""
    code = (
        "import time; wall, cpu = time.perf_counter(), time.process_time(); "
        f"import {module}; "
        "print((time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000)"
    )
    done = subprocess.run(  # noqa: S603 - this interpreter and the code above
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    wall, cpu = done.stdout.split()
    return float(wall), float(cpu)


def run(options: Options) -> Report:
    """Measure every module, in turn."""
    walls: dict[str, list[float]] = {module: [] for module in _MODULES}
    cpus: dict[str, list[float]] = {module: [] for module in _MODULES}
    for module in _MODULES:
        milliseconds(module)  # its files are in the disk cache from here on
    for _ in range(2 if options.quick else _ROUNDS):
        for module in _MODULES:
            wall, cpu = milliseconds(module)
            walls[module].append(wall)
            cpus[module].append(cpu)
    base, base_cpu = statistics.median(walls["numpy"]), statistics.median(cpus["numpy"])
    rows = [
        (
            module,
            statistics.median(walls[module]),
            statistics.median(walls[module]) - base,
            min(walls[module]) - min(walls["numpy"]),
            statistics.median(cpus[module]) - base_cpu,
        )
        for module in _MODULES
    ]
    begun = first(2 if options.quick else _ROUNDS)
    return Report(
        [
            Table(
                "Import time in milliseconds",
                ("module", "median", "above numpy", "least above numpy's", "CPU above numpy"),
                rows,
                f"{len(walls['numpy'])} fresh interpreters each.",
            ),
            begun,
        ],
        [
            Requirement("import runoff, CPU ms above import numpy", float(rows[1][-1]), 50.0),
            Requirement(
                "CPU seconds from the start of a process to a first score",
                float(begun.rows[2][2]),  # type: ignore[arg-type] # a number
                0.35,
            ),
        ],
    )
