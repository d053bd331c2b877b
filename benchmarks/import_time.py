"""What `import runoff` costs beside `import numpy`, each in fresh interpreters, in turn."""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

from harness import Report, Requirement, Table

if TYPE_CHECKING:
    from harness import Options

__all__ = ["run"]

_ROUNDS = 10
_MODULES = ("numpy", "runoff", "runoff.recall", "runoff.rerank", "runoff.fusion")


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
    return Report(
        [
            Table(
                "Import time in milliseconds",
                ("module", "median", "above numpy", "least above numpy's", "CPU above numpy"),
                rows,
                f"{len(walls['numpy'])} fresh interpreters each.",
            )
        ],
        [
            Requirement(
                "import runoff, ms above import numpy",
                statistics.median(walls["runoff"]) - base,
                60.0,
            )
        ],
    )
