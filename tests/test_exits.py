"""Programs that end while native code runs in daemon threads."""

import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import textwrap
import threading
import time

import exit_programs
import pytest

from runoff._waiting import exits, workers
from runoff._waiting.exits import Native, Waiting
from runoff.errors import PoolFull

pytestmark = pytest.mark.skipif(os.name != "posix", reason="exit codes and signals of POSIX")
LONGEST = 0.5  # seconds beyond what a program takes to end whose threads do nothing
DELAYS = (0.02, 1.2)  # from before the model loads to the middle of its runs


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """The seconds that a program takes to end whose threads do nothing."""
    pytest.importorskip("runoff_models", reason="its models are searched with")
    folder = tmp_path_factory.mktemp("control")
    return statistics.median(
        exit_programs.run(exit_programs.CONTROL, 0, folder).wait for _ in range(3)
    )


@pytest.fixture
def gate(monkeypatch):
    """A gate of the test's own."""
    made = exits._Gate()
    monkeypatch.setattr(exits, "_gate", made)
    return made


def started(work):
    def quietly():  # pytest reports every exception of a thread, and this one is silent elsewhere
        with contextlib.suppress(SystemExit):
            work()

    thread = threading.Thread(target=quietly)
    thread.start()
    return thread


def faults(expected, ended, usual, folder):
    if ended.wait > usual + LONGEST:  # on a machine that is busy now, all programs take longer
        usual = exit_programs.run(exit_programs.CONTROL, 0, folder).wait
    if ended.code not in expected:
        return [f"ended with {ended.code}, not {expected}: {ended.stderr[-300:]}"]
    if ended.wait > usual + LONGEST:
        return [f"took {ended.wait:.2f} s to end, and {usual:.2f} s without threads"]
    return []


RARE = pytest.mark.slow("3 s: ends as another kind does that CI runs")
LIKE_ANOTHER = {
    "a task, warm",
    "threads, cold",
    "threads and an exception",
    "a search in an exit function older than runoff",
    "Ctrl-C, warm",
}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=RARE if kind in LIKE_ANOTHER else ())
        for kind in exit_programs.PROGRAMS
    ],
)
def test_a_program_ends_in_mid_search(kind, usual, tmp_path):
    """Its exit code is right and nothing delays it, whatever its other threads are doing."""
    expected, program = exit_programs.PROGRAMS[kind]
    for _ in range(3):  # other load delays one program, a fault every one
        delay = random.uniform(*DELAYS)
        found = faults(expected, exit_programs.run(program, delay, tmp_path), usual, tmp_path)
        if not found or "took" not in found[0]:
            break
    assert found == []


@pytest.mark.slow("1500 s on 2 cores: 500 programs that end at moments drawn at random")
@pytest.mark.timeout(7200)
def test_500_programs_end_in_mid_search(usual, tmp_path):
    """None aborts, none has a wrong exit code, none waits more than half a second."""
    drawn = random.Random(7)
    found, waits = [], []
    for number in range(int(os.environ.get("RUNOFF_EXITS", "500"))):
        kind = list(exit_programs.PROGRAMS)[number % len(exit_programs.PROGRAMS)]
        expected, program = exit_programs.PROGRAMS[kind]
        delay = drawn.uniform(*DELAYS)
        ended = exit_programs.run(program, delay, tmp_path)
        waits.append(ended.wait)
        wrong = faults(expected, ended, usual, tmp_path)
        found += [f"{kind}, {delay:.2f} s: {one}" for one in wrong]
    summary = f"{len(waits)} programs, longest wait {max(waits):.2f} s, usual {usual:.2f} s"
    assert found == [], summary


STUCK = """
    import sys, threading, time
    import numpy as np
    import onnx, onnxruntime
    from onnx import TensorProto, helper
    from runoff._waiting import workers

    side = 3000
    shapes = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [side, side]) for n in "ab"]
    node = helper.make_node("MatMul", ["a", "a"], ["b"])
    graph = helper.make_graph([node], "g", shapes[:1], shapes[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    values = np.ones((side, side), np.float32)
    workers.submit(lambda: [session.run(None, {"a": values}) for _ in range(2)])
    time.sleep(0.1)
    print("printed at the end")
    sys.exit(3)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no other system unwinds native frames")
def test_native_code_that_cannot_be_interrupted_aborts_nothing(tmp_path):
    """A source that stays in C++ beyond the wait neither aborts nor delays the end."""
    pytest.importorskip("onnx", reason="the test group is not installed")
    command = [sys.executable, "-c", textwrap.dedent(STUCK)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (3, "printed at the end\n", "")


SOURCE = """
    import signal, threading
    from runoff._waiting import exits

    signal.signal(signal.SIGINT, signal.default_int_handler)
    unwound, evaluated = threading.Event(), threading.Event()

    def evaluate():
        unwound.wait()
        exec("1")  # as an import does that makes a dataclass
        evaluated.set()

    def wait():
        unwound.set()
        evaluated.wait()

    threading.Thread(target=evaluate, daemon=True).start()
    exits.at_exit(wait)
    {end}
"""


@pytest.mark.parametrize("how", ["-c", "-m"])
@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("raise KeyboardInterrupt", -signal.SIGINT),
        ("raise ValueError", 1),
        ("raise SystemExit(3)", 3),
        ("import sys; sys.last_type = KeyboardInterrupt", 0),
    ],
)
def test_threads_that_evaluate_source_change_no_exit_code(how, end, code, tmp_path):
    """A program that Ctrl-C ends dies of the signal, and no other does."""
    program = textwrap.dedent(SOURCE.format(end=end))
    (tmp_path / "program.py").write_text(program)
    command = [sys.executable, how, program if how == "-c" else "program"]
    done = subprocess.run(command, cwd=tmp_path, stderr=subprocess.DEVNULL, check=False, timeout=60)
    assert done.returncode == code


def test_an_exit_waits_for_native_code(gate):
    """Closing returns once the last thread has left, and that thread then ends."""
    inside, ended = threading.Event(), []

    def work():
        try:
            with Native():
                inside.set()
                time.sleep(0.05)
        except SystemExit as error:
            ended.append(str(error))
            raise

    thread = started(work)
    inside.wait()
    assert gate.close()
    thread.join()
    assert ended == ["the interpreter is exiting"]
    assert gate.inside == 0


def test_an_exit_interrupts_native_code(gate):
    """The interrupt of what runs is called, and of what begins to run at that moment too."""
    inside, stop = threading.Event(), threading.Event()

    def work():
        with Native(), Native(stop.set):
            inside.set()
            stop.wait(30)

    thread = started(work)
    inside.wait()
    assert gate.close()
    thread.join()
    assert gate.interrupts == {}


def test_an_exit_does_not_wait_for_ever(gate):
    """Code that does not return is left after 0.3 s."""
    inside, release = threading.Event(), threading.Event()

    def work():
        with Native():
            inside.set()
            release.wait(30)

    thread = started(work)
    inside.wait()
    began = time.monotonic()
    assert not gate.close()
    assert 0.25 < time.monotonic() - began < 15
    release.set()
    thread.join()


def test_waiting_is_not_native(gate):
    """A thread that waits within a native section delays no exit, and ends when it wakes."""
    waiting, wake, ended = threading.Event(), threading.Event(), []

    def work():
        try:
            with Native():
                with Waiting():
                    waiting.set()
                    wake.wait(30)
                ended.append("came further")
        except SystemExit:
            ended.append("ended")

    thread = started(work)
    waiting.wait()
    assert gate.close()
    wake.set()
    thread.join()
    assert ended == ["ended"]
    assert gate.inside == 0


def test_the_exiting_thread_goes_on(gate):
    """It may enter native code itself, and other threads are refused to it."""
    assert gate.close()
    with Native(), Waiting():
        pass
    with pytest.raises(PoolFull, match="the interpreter is exiting"):
        workers.submit(lambda: None)


def test_a_fork_within_native_code_begins_anew(gate):
    """The child's gate is open and counts nothing, and the parent's goes on."""
    with Native():
        child = os.fork()
        if child == 0:
            os._exit(0 if exits._gate is not gate and exits._gate.inside == 0 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert gate.inside == 0
