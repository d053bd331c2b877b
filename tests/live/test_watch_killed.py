"""Processes that are killed while they are watched, and disks that are full."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("resource")  # not on Windows

SCRIPT = Path(__file__).with_name("watch_until_killed.py")


def killed(path, queries, seed):
    import os

    support = Path(__file__).parents[1] / "support"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(path), str(queries), str(seed)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(support), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_kills_and_full_disks_corrupt_nothing(tmp_path):
    """Two processes at a time, killed at random, some with a full disk: every answer is right."""
    found = killed(tmp_path / "kept", 300, 1)
    assert found["kills"] >= 2
    assert found["observations"] > 0


@pytest.mark.slow("320 s: 200,000 queries, kills at random, full disks, memory")
@pytest.mark.timeout(3600)
def test_200_000_queries(tmp_path):
    """Over 200,000 queries every answer is right, every shard can be read, and memory is flat.

    It is flat, too, while the disk is full.
    """
    found = killed(tmp_path / "kept", 200_000, 1)
    assert found["kills"] >= 20
    assert found["full"] >= 5
    assert found["grown_mb"] < 20
    assert found["grown_full_mb"] < 20
    assert found["dropped"] > 0  # what a full disk leaves no room for in memory


@pytest.mark.slow("200 s: 20,000 searches of each of four pipelines")
@pytest.mark.timeout(3600)
def test_an_answer_is_a_millisecond_later_at_most():
    """p99 grows by no more, by the clock and of the processor; the machine must be idle."""
    script = Path(__file__).parents[2] / "benchmarks" / "run.py"
    done = subprocess.run(
        [sys.executable, str(script), "watching"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
