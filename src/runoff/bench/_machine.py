"""The machine that figures are measured on: processor, load, versions, memory."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from runoff._onnx import cpu

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_STATUS = Path("/proc/self/status")
_BUSY = 0.5  # of the cores, by other work


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile by linear interpolation; `percent` is from 0 to 100."""
    return float(np.percentile(values, percent))


def processor() -> str:
    """Return the processor's name and how many cores this process may use."""
    return f"{_name()}, {cpu.cores()} cores"


def _name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def load_average() -> float | None:
    """Return the load average of the last minute; None if the system has none."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def is_busy(load: float | None) -> bool:
    """Whether a load average, taken before measuring, is high enough to distort the figures."""
    return load is not None and load > _BUSY * cpu.cores()


def versions(packages: Iterable[str]) -> list[str]:
    """Return name and version of each package that is installed."""
    found = []
    for name in packages:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return found


def memory() -> tuple[int, int] | None:
    """Return the resident bytes of this process, now and at most so far.

    Both are the maximum if the system knows only that one; None if it knows neither.
    """
    try:
        fields = dict(
            line.split(":", 1) for line in _STATUS.read_text("ascii", "replace").split("\n")[:-1]
        )
        return tuple(int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value] # two
    except (OSError, KeyError, ValueError):
        pass
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (most, most) if sys.platform == "darwin" else (most * 1024, most * 1024)
