import platform

import pytest

from runoff._onnx import cpu


@pytest.fixture(autouse=True)
def fresh():
    known = (cpu.int8_flavours, cpu.cuts_int8_sums)
    for one in known:
        one.cache_clear()
    yield
    for one in known:
        one.cache_clear()


def flavours(monkeypatch, tmp_path, machine, flags, system="linux"):
    pretend(monkeypatch, tmp_path, machine, flags, system)
    return cpu.int8_flavours()


def pretend(monkeypatch, tmp_path, machine, flags, system="linux"):
    """Have the processor found be another one."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: fpu {flags} sse2\nbugs\t:\n")
    monkeypatch.setattr(cpu, "_CPUINFO", cpuinfo)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(cpu.sys, "platform", system)


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
    ("machine", "flags", "system", "cut"),
    [
        ("x86_64", "avx2", "linux", True),
        ("AMD64", "avx2 avx512f", "linux", True),
        ("x86_64", "", "darwin", True),
        ("x86_64", "avx2 avx512f avx512_vnni", "linux", False),
        ("x86_64", "avx2 avx_vnni", "linux", False),
        ("aarch64", "avx2", "linux", False),
    ],
)
def test_sums_are_cut_on_x86_without_vnni(monkeypatch, tmp_path, machine, flags, system, cut):
    """Only x86 processors without VNNI add int8 products in 16 bits."""
    pretend(monkeypatch, tmp_path, machine, flags, system)
    assert cpu.cuts_int8_sums() is cut


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """A machine of 8 cores whose control groups are in a folder; the process is in none yet."""
    monkeypatch.setattr(cpu, "_CGROUPS", tmp_path)
    monkeypatch.setattr(cpu, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(cpu.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return tmp_path


def limit_v1(group, quota):
    group.mkdir(parents=True, exist_ok=True)
    (group / "cpu.cfs_quota_us").write_text(quota + "\n")
    (group / "cpu.cfs_period_us").write_text("100000\n")


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 8), ("6400000 100000", 8)],
)
def test_a_containers_quota_bounds_the_cores(groups, quota, expected):
    """Cores are the affinity, bounded by the container's quota rounded up."""
    (groups / "cpu.max").write_text(quota + "\n")
    assert cpu.cores() == expected


@pytest.mark.parametrize(("quota", "expected"), [("150000", 2), ("50000", 1), ("-1", 8)])
def test_a_quota_of_cgroup_v1_bounds_the_cores(groups, quota, expected):
    """Where there is no cgroup v2, version 1 tells the quota; -1 means none."""
    limit_v1(groups / "cpu", quota)
    assert cpu.cores() == expected


@pytest.mark.parametrize("version", [1, 2])
def test_the_quotas_of_groups_above_count(groups, version):
    """A service's quota is in its own group or a group above; the smallest holds."""
    slices = groups / "cpu/system.slice" if version == 1 else groups / "system.slice"
    if version == 1:
        limit_v1(slices / "app.service", "400000")
        limit_v1(slices, "200000")
        own = "5:cpu,cpuacct:/system.slice/app.service\n4:memory:/elsewhere\n"
    else:
        (slices / "app.service").mkdir(parents=True)
        (slices / "app.service/cpu.max").write_text("max 100000\n")
        (slices / "cpu.max").write_text("200000 100000\n")
        own = "0::/system.slice/app.service\n"
    assert cpu.cores() == 8
    (groups / "own").write_text(own)
    assert cpu.cores() == 2


def test_a_group_that_the_container_does_not_see_is_no_fault(groups):
    """The path outside the container is not there inside; the root's quota holds."""
    (groups / "own").write_text("0::/docker/0123\nnonsense\n")
    (groups / "cpu.max").write_text("100000 100000\n")
    assert cpu.cores() == 1


def test_cores_without_affinity(groups, monkeypatch):
    """Systems without affinity count their cores."""
    monkeypatch.delattr(cpu.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(cpu.os, "cpu_count", lambda: 6)
    assert cpu.cores() == 6
