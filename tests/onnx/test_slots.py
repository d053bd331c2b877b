import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from runoff._onnx.slots import Slots, shared
from runoff.deadline import Deadline
from runoff.errors import PoolFull


@pytest.fixture
def make():
    """Make slots that end with the test."""
    made = []

    def build(size):
        made.append(Slots(size))
        return made[-1]

    yield build
    for slots in made:
        slots.stop()


def script(code, *, timeout=30):
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_results_come_in_order_of_index(make):
    """Results are at their index, whichever task finishes first."""
    assert make(4).run(50, lambda index, _: index * index) == [i * i for i in range(50)]


def test_tasks_of_a_call_start_in_order(make):
    """One slot runs a call's tasks exactly in order."""
    seen = []
    make(1).run(20, lambda index, _: seen.append(index))
    assert seen == list(range(20))


def test_no_tasks_return_at_once(make):
    """A call without tasks is done."""
    assert make(1).run(0, lambda *_: 1 / 0) == []


def test_calls_are_served_in_turn(make):
    """A short call waits for one task of a long call at a time, not for all of it."""
    slots, seen, started = make(1), [], threading.Event()

    def long(index, _):
        started.set()
        time.sleep(0.002)
        seen.append(("long", index))

    thread = threading.Thread(target=lambda: slots.run(100, long))
    thread.start()
    started.wait()
    slots.run(5, lambda index, _: seen.append(("short", index)))
    places = [place for place, (name, _) in enumerate(seen) if name == "short"]
    thread.join()
    assert places[-1] - places[0] == 8
    assert places[-1] < 20


def test_as_many_tasks_run_at_once_as_there_are_slots(make):
    """Three slots run three tasks at a time: each of three waits for the other two."""
    barrier = threading.Barrier(3, timeout=5)
    assert make(3).run(3, lambda *_: barrier.wait() >= 0) == [True] * 3


def test_at_the_deadline_the_caller_gets_what_is_there(make):
    """A hung task is left behind, nothing starts after the deadline, the rest is None."""
    slots, release = make(1), threading.Event()
    started = []

    def task(index, _):
        started.append(index)
        if index == 2:
            release.wait(30)  # whoever waited for it would get its result
        return index

    results = slots.run(6, task, Deadline(0.05))
    assert results == [0, 1, None, None, None, None]
    release.set()
    assert slots.run(1, lambda *_: "next") == ["next"]
    assert results[2] is None
    assert started == [0, 1, 2]


def test_a_deadline_that_has_passed_starts_nothing(make):
    """With no time left no task is started."""
    started = []
    assert make(1).run(3, lambda index, _: started.append(index), Deadline(0)) == [None] * 3
    assert started == []


def test_a_paused_deadline_does_not_end_a_call(make):
    """While the clock is stopped, by another thread even, tasks go on."""
    deadline = Deadline(0.05)

    def task(index, _):
        with deadline.paused():
            time.sleep(0.1)
        return index

    assert make(1).run(2, task, deadline) == [0, 1]


def test_the_deadline_interrupts_what_runs(make):
    """A running task is interrupted, so that its slot is free at once."""
    interrupted = threading.Event()

    def task(_, interrupt):
        interrupt.on_stop(interrupted.set)
        interrupted.wait(5)

    make(1).run(1, task, Deadline(0.02))
    assert interrupted.wait(1)


def test_an_interrupt_before_its_handler_still_calls_it():
    """A task that is interrupted before it can be stopped is stopped as soon as it can be."""
    from runoff._onnx.slots import Interrupt

    interrupt, called = Interrupt(), []
    interrupt.stop()
    interrupt.on_stop(lambda: called.append(True))
    assert called == [True]
    assert interrupt.stopped


def test_the_first_failure_is_raised_and_the_rest_dropped(make):
    """What a task raises reaches the caller; the tasks behind it are not run."""
    seen = []

    def task(index, _):
        seen.append(index)
        if index == 1:
            msg = "broken"
            raise KeyError(msg)

    slots = make(1)
    with pytest.raises(KeyError, match="broken"):
        slots.run(100, task)
    assert seen == [0, 1]
    assert slots.run(1, lambda *_: 7) == [7]


def test_progress_is_reported_in_the_callers_thread(make):
    """Progress counts up to the number of tasks, in the thread that waits."""
    calls = []

    def progress(done, total):
        calls.append((done, total, threading.current_thread()))

    make(1).run(3, lambda *_: time.sleep(0.15), progress=progress)
    assert calls[-1][:2] == (3, 3)
    assert len(calls) >= 3
    assert [done for done, *_ in calls] == sorted(done for done, *_ in calls)
    assert {thread for *_, thread in calls} == {threading.current_thread()}


def test_64_threads_get_their_own_results(make):
    """Many callers at once each get what they asked for."""
    slots, results = make(3), {}

    def caller(number):
        results[number] = slots.run(20, lambda index, _: number * 100 + index)

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [n * 100 + index for index in range(20)] for n in range(64)}


async def test_an_event_loop_gets_the_same_results(make):
    """Awaiting gives what waiting gives, for several calls at once."""
    slots = make(2)
    calls = [slots.arun(10, lambda index, _, n=n: (n, index)) for n in range(8)]
    assert await asyncio.gather(*calls) == [[(n, i) for i in range(10)] for n in range(8)]


async def test_an_event_loop_keeps_the_deadline(make):
    """At the deadline an awaiting caller gets what is there."""
    release = threading.Event()
    results = await make(1).arun(3, lambda index, _: index == 0 or release.wait(5), Deadline(0.05))
    assert not release.is_set()
    release.set()
    assert results in ([True, None, None], [None] * 3)


async def test_a_failure_reaches_an_awaiting_caller(make):
    """What a task raises is raised where it is awaited."""
    with pytest.raises(ZeroDivisionError):
        await make(1).arun(3, lambda *_: 1 / 0)


async def test_a_cancelled_callers_tasks_leave_the_queue(make):
    """After a cancellation the slot serves the next call, and the rest is never run."""
    slots, seen = make(1), []

    def task(index, interrupt):
        seen.append(index)
        stopped = threading.Event()
        interrupt.on_stop(stopped.set)
        stopped.wait(0.05)

    call = asyncio.create_task(slots.arun(1000, task))
    await asyncio.sleep(0.1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await slots.arun(1, lambda *_: "next") == ["next"]
    count = len(seen)
    await asyncio.sleep(0.1)
    assert len(seen) == count < 20


def test_a_closed_loop_does_not_disturb_the_slots(make):
    """A loop that is closed when its task ends does no harm."""
    slots, release = make(1), threading.Event()

    async def abandon():
        task = asyncio.ensure_future(slots.arun(1, lambda *_: release.wait(5)))
        await asyncio.sleep(0.02)
        task.cancel()

    asyncio.run(abandon())
    release.set()
    assert slots.run(1, lambda *_: 3) == [3]


def test_stopped_slots_say_why(make):
    """After the end of the interpreter began, a call is refused instead of hanging."""
    slots = make(1)
    slots.stop()
    with pytest.raises(PoolFull, match="the interpreter is exiting"):
        slots.run(2, lambda index, _: index)
    assert slots.run(0, lambda index, _: index) == []


def test_the_process_has_one_queue():
    """Every caller shares the same slots, one for each core."""
    from runoff._onnx.cpu import cores

    assert shared() is shared()
    assert shared().size == cores()


def test_a_process_with_work_in_the_queue_exits_at_once():
    """Waiting and running tasks do not keep a process alive, and it exits cleanly."""
    done = script(
        """
        import threading, time
        from runoff._onnx.slots import shared
        def task(index, interrupt):
            stop = threading.Event()
            interrupt.on_stop(stop.set)
            stop.wait(60)
        threading.Thread(target=lambda: shared().run(1000, task), daemon=True).start()
        time.sleep(0.2)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")  # within 30 s: each task takes a minute


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_slots_of_its_own():
    """A child forked while tasks run gets new threads and a new queue, and both finish."""
    done = script(
        """
        import os, threading, time
        from runoff._onnx.slots import shared
        parent = shared()
        thread = threading.Thread(target=lambda: parent.run(200, lambda *_: time.sleep(0.002)))
        thread.start()
        time.sleep(0.05)
        child = os.fork()
        if child == 0:
            assert shared() is not parent
            assert shared().run(5, lambda index, _: index) == [0, 1, 2, 3, 4]
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert parent.run(2, lambda index, _: index) == [0, 1]
        thread.join()
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
