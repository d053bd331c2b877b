import platform

import pytest

from runoff._onnx import cpu


@pytest.fixture(autouse=True)
def fresh():
    cpu.int8_flavours.cache_clear()
    yield
    cpu.int8_flavours.cache_clear()


def flavours(monkeypatch, tmp_path, machine, flags, system="linux"):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: fpu {flags} sse2\nbugs\t:\n")
    monkeypatch.setattr(cpu, "_CPUINFO", cpuinfo)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(cpu.sys, "platform", system)
    return cpu.int8_flavours()


@pytest.mark.parametrize(
    ("machine", "flags", "best"),
    [
        ("x86_64", "avx2 avx512f avx512_vnni", "qint8_avx512_vnni"),
        ("AMD64", "avx2 avx_vnni", "qint8_avx512_vnni"),
        ("x86_64", "avx2 avx512f", "quint8_avx2"),
        ("x86_64", "avx2", "quint8_avx2"),
        ("aarch64", "", "qint8_arm64"),
        ("arm64", "", "qint8_arm64"),
    ],
)
def test_flavour_follows_the_processor(monkeypatch, tmp_path, machine, flags, best):
    """Signed weights go to processors with VNNI, unsigned ones to older x86, ARM has its own."""
    assert flavours(monkeypatch, tmp_path, machine, flags)[0] == best


@pytest.mark.parametrize(("machine", "flags"), [("x86_64", "sse4_2"), ("riscv64", "avx2")])
def test_unknown_processors_have_no_flavour(monkeypatch, tmp_path, machine, flags):
    """Where nothing is known about a processor, no special build is claimed."""
    assert flavours(monkeypatch, tmp_path, machine, flags) == ()


def test_an_unreadable_cpuinfo_claims_nothing(monkeypatch, tmp_path):
    """Without /proc/cpuinfo the answer is that nothing is known."""
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "absent")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert cpu.int8_flavours() == ()


def test_intel_macs_have_avx2(monkeypatch, tmp_path):
    """A Mac has no /proc/cpuinfo and AVX2 all the same."""
    assert flavours(monkeypatch, tmp_path, "x86_64", "", "darwin") == ("quint8_avx2",)


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 8), ("6400000 100000", 8)],
)
def test_a_containers_quota_bounds_the_cores(monkeypatch, tmp_path, quota, expected):
    """Cores are the affinity, bounded by the container's quota rounded up."""
    (tmp_path / "cpu.max").write_text(quota + "\n")
    monkeypatch.setattr(cpu, "_CGROUP_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(cpu, "_CGROUP_V1", tmp_path / "absent")
    monkeypatch.setattr(cpu.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert cpu.cores() == expected


@pytest.mark.parametrize(("quota", "expected"), [("150000", 2), ("50000", 1), ("-1", 8)])
def test_a_quota_of_cgroup_v1_bounds_the_cores(monkeypatch, tmp_path, quota, expected):
    """Where there is no cgroup v2, version 1 tells the quota; -1 means none."""
    (tmp_path / "cpu.cfs_quota_us").write_text(quota + "\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    monkeypatch.setattr(cpu, "_CGROUP_QUOTA", tmp_path / "absent")
    monkeypatch.setattr(cpu, "_CGROUP_V1", tmp_path)
    monkeypatch.setattr(cpu.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert cpu.cores() == expected


def test_cores_without_affinity(monkeypatch, tmp_path):
    """Systems without affinity count their cores."""
    monkeypatch.setattr(cpu, "_CGROUP_QUOTA", tmp_path / "absent")
    monkeypatch.setattr(cpu, "_CGROUP_V1", tmp_path / "absent")
    monkeypatch.delattr(cpu.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(cpu.os, "cpu_count", lambda: 6)
    assert cpu.cores() == 6
