"""What this machine's processor can do, found out without dependencies."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")
_VNNI = {"avx512_vnni", "avx_vnni"}
_WINDOWS_HAS_AVX2 = 40  # PF_AVX2_INSTRUCTIONS_AVAILABLE of IsProcessorFeaturePresent


def cores() -> int:
    """Return how many cores this process may use, at least 1.

    The smallest of the machine's cores, the process's affinity, the CPU quota of its control group
    and of those above it (cgroup v2 or v1, rounded up) and `OMP_NUM_THREADS`, which Ray sets for
    its workers: more threads than that only wait for each other.
    """
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(count, _quota() or count, int(wanted) if wanted.isdecimal() else count))


def _quota() -> int | None:
    quotas = [found for folder in _groups() if (found := _quota_of(folder)) is not None]
    return min(quotas, default=None)


def _groups() -> list[Path]:
    """Return the folders of the process's control groups and of those above.

    A container sees its own group as the root, so a path that is not there is no mistake.
    """
    own = {"", "cpu"}
    try:
        lines = _OWN_GROUPS.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, kinds, path = line.split(":", 2) if line.count(":") > 1 else ("", "-", "")
        place = "" if not kinds else "cpu" if "cpu" in kinds.split(",") else None
        while place is not None and path.strip("/"):
            own.add(f"{place}/{path.strip('/')}".strip("/"))
            path = path.rpartition("/")[0]
    return [_CGROUPS / one for one in own]


def _quota_of(group: Path) -> int | None:
    """Return how many cores one control group may use; None without a quota."""
    names = ("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")  # version 2, version 1
    for files in names:
        try:
            texts = [(group / name).read_text("ascii") for name in files]
            quota, period = (int(number) for number in " ".join(texts).split())
        except (OSError, ValueError):  # no group of this version, or "max": there is no quota
            continue
        if quota > 0 and period > 0:  # version 1 says -1 for no quota
            return -(-quota // period)
    return None


@cache
def int8_flavours() -> tuple[str, ...]:
    """Return the int8 builds of a model that suit this processor, best first.

    The names are the endings that sentence-transformers gives its quantised exports, such as
    `"qint8_avx512_vnni"`. Signed 8-bit weights saturate in the multiply of x86 processors without
    VNNI, so those get the unsigned build. Empty when nothing is known about the processor.
    """
    if platform.machine().lower() in {"arm64", "aarch64"}:
        return ("qint8_arm64",)
    flags = _x86_flags()
    if flags & _VNNI:
        return ("qint8_avx512_vnni", "qint8_avx512", "quint8_avx2")
    if "avx2" in flags:
        return ("quint8_avx2",)
    return ()


@cache
def cuts_int8_sums() -> bool:
    """Return whether this processor adds products of signed 8-bit weights in 16 bits.

    Sums of products with weights outside -64 and 64 are then cut off, unless the runtime takes the
    weights as unsigned, which takes a fifth longer. It would do that on processors with VNNI, too,
    if asked to. True on x86 unless it is known to have VNNI.
    """
    flags = _x86_flags()
    return bool(flags) and not flags & _VNNI


def _x86_flags() -> set[str]:
    """Return the feature flags of an x86 processor that matter here; empty for any other."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return set()
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
