"""What this machine's processor can do, found out without dependencies."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import cache
from pathlib import Path

__all__ = ["cores", "int8_flavours"]

_CPUINFO = Path("/proc/cpuinfo")
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")  # a link where cpu and cpuacct are one
_WINDOWS_HAS_AVX2 = 40  # PF_AVX2_INSTRUCTIONS_AVAILABLE of IsProcessorFeaturePresent


def cores() -> int:
    """Return how many cores this process may use, at least 1.

    The smallest of the machine's cores, the process's affinity, a container's CPU quota (cgroup v2
    or v1, rounded up) and `OMP_NUM_THREADS`, which Ray sets for its workers: more threads than that
    only wait for each other.
    """
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(count, _quota() or count, int(wanted) if wanted.isdecimal() else count))


def _quota() -> int | None:
    for read in (_quota_v2, _quota_v1):
        try:
            quota, period = (int(number) for number in read())
        except (OSError, ValueError):  # no cgroup of this version, or "max": there is no quota
            continue
        if quota > 0 and period > 0:  # version 1 says -1 for no quota
            return -(-quota // period)
    return None


def _quota_v2() -> list[str]:
    return _CGROUP_QUOTA.read_text("ascii").split()[:2]


def _quota_v1() -> list[str]:
    return [(_CGROUP_V1 / f"cpu.cfs_{name}_us").read_text("ascii") for name in ("quota", "period")]


@cache
def int8_flavours() -> tuple[str, ...]:
    """Return the int8 builds of a model that suit this processor, best first.

    The names are the endings that sentence-transformers gives its quantised exports, such as
    `"qint8_avx512_vnni"`. Signed 8-bit weights saturate in the multiply of x86 processors without
    VNNI, so those get the unsigned build. Empty when nothing is known about the processor.
    """
    machine = platform.machine().lower()
    if machine in {"arm64", "aarch64"}:
        return ("qint8_arm64",)
    if machine not in {"x86_64", "amd64"}:
        return ()
    flags = _x86_flags()
    if flags & {"avx512_vnni", "avx_vnni"}:
        return ("qint8_avx512_vnni", "qint8_avx512", "quint8_avx2")
    if "avx2" in flags:
        return ("quint8_avx2",)
    return ()


def _x86_flags() -> set[str]:
    """Return the processor's feature flags that matter here."""
    if sys.platform == "win32":
        return (
            {"avx2"}
            if ctypes.windll.kernel32.IsProcessorFeaturePresent(_WINDOWS_HAS_AVX2)
            else set()
        )
    if sys.platform == "darwin":
        return {"avx2"}  # every Intel Mac that runs a supported Python has it
    try:
        for line in _CPUINFO.read_text("utf-8", "replace").splitlines():
            if line.startswith("flags"):
                return set(line.partition(":")[2].split())
    except OSError:
        return set()
    return set()
