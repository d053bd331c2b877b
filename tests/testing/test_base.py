import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runoff.fusion import RRF
from runoff.testing._contracts.base import require_free_loop
from runoff.testing.contracts import FusionContract, RecallSourceContract


class Sound(FusionContract):
    def make(self):
        return RRF()


def test_replaced_test_is_refused():
    """A subclass cannot replace a standard test."""
    with pytest.raises(TypeError, match=r"Weak replaces standard tests: test_finite\."):

        class Weak(FusionContract):
            def test_finite(self):
                pass


def test_deleted_test_is_refused():
    """A subclass cannot switch a standard test off, not even one of the common ones."""
    with pytest.raises(TypeError, match="test_pickle"):

        class Weak(RecallSourceContract):
            test_pickle = None


def test_mixin_and_skip_are_refused():
    """A mixin, a skip mark or a subclass of a subclass cannot replace a standard test either."""

    class Mixin:
        def test_agreement(self):
            pass

    with pytest.raises(TypeError, match="test_agreement"):

        class Mixed(Mixin, FusionContract):
            pass

    with pytest.raises(TypeError, match="test_finite"):

        class Skipping(Sound):
            @pytest.mark.skip(reason="no")
            def test_finite(self):
                pass


def test_excuse_needs_a_reason():
    """A test may be expected to fail, with a reason."""
    with pytest.raises(TypeError, match="test_finite"):

        class Silent(Sound):
            @pytest.mark.xfail
            def test_finite(self):
                pass

    class Honest(Sound):
        @pytest.mark.xfail(reason="scores are infinite for an empty source")
        def test_finite(self):
            super().test_finite()

    assert Honest.test_finite is not Sound.test_finite


def test_runs_under_pytest(tmp_path, capsys, monkeypatch):
    """A contract subclass is collected and run by pytest as it is, in a project of its own."""
    (tmp_path / "test_mine.py").write_text(
        "from runoff.fusion import RRF\n"
        "from runoff.testing.contracts import FusionContract\n"
        "class Upside:\n"
        "    def fuse(self, rankings):\n"
        "        return {key: -score for key, score in RRF().fuse(rankings).items()}\n"
        "class TestSound(FusionContract):\n"
        "    def make(self):\n"
        "        return RRF()\n"
        "class TestBroken(FusionContract):\n"
        "    def make(self):\n"
        "        return Upside()\n"
    )
    monkeypatch.chdir(tmp_path)
    options = ["--import-mode=importlib", f"--rootdir={tmp_path}", "-q", "-p", "no:cacheprovider"]
    options += ["-o", "asyncio_default_fixture_loop_scope=function"]  # else the plugin warns
    code = pytest.main([*options, str(tmp_path)])
    said = capsys.readouterr().out
    assert "the contract requires: a higher fusion_score is better" in said
    assert "TestBroken::test_higher_is_better" in said
    assert "TestSound" not in said
    assert code == pytest.ExitCode.TESTS_FAILED


def test_pytest_is_named_when_missing():
    """Without pytest, the import says what to install; `runoff.testing` itself needs nothing."""
    code = (
        "import sys\n"
        "sys.modules['pytest'] = None\n"
        "import runoff.testing\n"
        "try:\n"
        "    import runoff.testing.contracts\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install pytest" in done.stdout


@pytest.mark.slow("2 s: nine processes on one processor")
@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="only Linux tells waits")
def test_a_turn_that_waited_for_a_processor_fails_no_part():
    """Where eight other processes run, a part that works for 12 ms of a turn blocks no loop.

    One that sleeps for 60 ms does.
    """

    async def works():
        ends = time.thread_time() + 0.012 / 8
        while time.thread_time() < ends:
            pass

    async def sleeps():
        time.sleep(0.06 / 8)  # noqa: ASYNC251 - this is what blocks

    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usual)})
    try:
        with contextlib.ExitStack() as running:
            for _ in range(8):
                spin = subprocess.Popen([sys.executable, "-c", "while True: pass"])
                running.enter_context(spin)
                running.callback(spin.kill)
            time.sleep(0.5)
            require_free_loop(works)
            with pytest.raises(AssertionError, match="does not block the event loop"):
                require_free_loop(sleeps)
    finally:
        os.sched_setaffinity(0, usual)
