"""What figures are measured on: the processor, how busy it is, the versions, the memory."""

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

__all__ = ["is_busy", "load_average", "memory", "percentile", "processor", "versions"]

_STATUS = Path("/proc/self/status")
_BUSY = 0.5  # of the cores, by other work


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile by linear interpolation; `percent` is within 0 and 100."""
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
    """Return how many processes wanted a core in the last minute; None where nothing tells."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def is_busy(load: float | None) -> bool:
    """Whether a load average, taken before measuring, makes the figures worse."""
    return load is not None and load > _BUSY * cpu.cores()


def versions(packages: Iterable[str]) -> list[str]:
    """Return name and version of those of the packages that are installed."""
    found = []
    for name in packages:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return found


def memory() -> tuple[int, int] | None:
    """Return the bytes of this process that are in memory, now and at most so far.

    Both are the most so far where the system tells no more; None where it tells nothing.
    """
    try:
        told = dict(
            line.split(":", 1) for line in _STATUS.read_text("ascii", "replace").split("\n")[:-1]
        )
        return tuple(int(told[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value] # two
    except (OSError, KeyError, ValueError):
        pass
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (most, most) if sys.platform == "darwin" else (most * 1024, most * 1024)
