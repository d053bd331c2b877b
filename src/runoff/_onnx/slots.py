"""One queue of model runs for the whole process, with as many slots as cores.

Each call has a number of tasks. A slot takes one task of one call, then one of the next call, so a
long call delays a short one by a task and not by its whole length. Tasks of a call start in order.
At its deadline, a call returns the results so far: its waiting tasks leave the queue and its
running ones are interrupted.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from runoff._onnx import cpu
from runoff._util.fork import in_child
from runoff._waiting import exits, workers
from runoff.errors import DeadlineExceeded, PoolFull

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from runoff.deadline import Deadline

_T = TypeVar("_T")
_PROGRESS_EVERY = 0.1  # seconds
_STOP_WAIT = 2.0  # seconds that interrupted tasks get to return


class Interrupt:
    """Tells a running task, from another thread, that its result is no longer needed."""

    __slots__ = ("_stop", "stopped")

    def __init__(self) -> None:
        self._stop: Callable[[], None] | None = None
        self.stopped = False

    def on_stop(self, stop: Callable[[], None]) -> None:
        """Have `stop` called when the task is interrupted, at once if it already is."""
        self._stop = stop
        if self.stopped:
            stop()

    def stop(self) -> None:
        self.stopped = True
        if self._stop is not None:
            self._stop()


class _Call(Generic[_T]):
    """One caller's tasks and their results; every field is guarded by the slots' lock."""

    __slots__ = (
        "closed",
        "deadline",
        "done",
        "error",
        "next",
        "results",
        "running",
        "task",
        "wake",
    )

    def __init__(
        self,
        count: int,
        task: Callable[[int, Interrupt], _T],
        deadline: Deadline | None,
        wake: Callable[[], None],
    ) -> None:
        self.results: list[_T | None] = [None] * count
        self.task = task
        self.deadline = deadline
        self.wake = wake
        self.next = 0
        self.done = 0
        self.running: dict[int, Interrupt] = {}
        self.error: BaseException | None = None
        self.closed = False

    def close(self) -> None:
        """Take no more results, interrupt what runs, and wake the caller; once."""
        if self.closed:
            return
        self.closed = True
        for interrupt in self.running.values():
            interrupt.stop()
        self.running.clear()
        self.wake()


class Slots:
    """A queue served by daemon threads, one task at a time each.

    Args:
        size: how many tasks run at the same time; None takes one for each core.
    """

    def __init__(self, size: int | None = None) -> None:
        self._size = size or cpu.cores()
        self._changed = threading.Condition()
        self._calls: deque[_Call[Any]] = deque()
        self._open: set[_Call[Any]] = set()
        self._threads: list[threading.Thread] = []
        self._stopping = False

    @property
    def size(self) -> int:
        """How many tasks run at the same time."""
        return self._size

    def run(
        self,
        count: int,
        task: Callable[[int, Interrupt], _T],
        deadline: Deadline | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[_T | None]:
        """Run `task(index, interrupt)` for each index below `count` and wait.

        Args:
            count: how many tasks there are.
            task: what to run; it is called in another thread.
            deadline: when to return the results so far; no task starts after it.
            progress: called about ten times a second in this thread with (done, count).

        Returns:
            The results by index; None for a task that did not finish in time.

        Raises:
            PoolFull: no thread can be started, or the interpreter is exiting.
            Exception: the first error of a task; the other tasks are dropped.
        """
        woken = threading.Event()
        call = self._enter(count, task, deadline, woken.set)
        try:
            while not _woken(woken, _patience(deadline, progress)):
                if progress is not None:
                    progress(call.done, count)
                if deadline is not None and deadline.expired:
                    break
        finally:
            self._leave(call)
        if progress is not None:
            progress(call.done, count)
        exits.check()
        return _outcome(call)

    async def arun(
        self, count: int, task: Callable[[int, Interrupt], _T], deadline: Deadline | None = None
    ) -> list[_T | None]:
        """Do what `run` does without blocking the event loop; when cancelled, leave the queue."""
        import asyncio  # noqa: PLC0415 - half of this package's import time

        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(_resolve, woken)
            except RuntimeError:  # the loop is closed, so nothing waits
                return

        call = self._enter(count, task, deadline, wake)
        try:
            await workers.wait(woken, deadline, "rerank")
        except DeadlineExceeded:
            pass  # the results so far are the answer
        finally:
            self._leave(call)
        return _outcome(call)

    def stop(self) -> None:
        """Drop waiting tasks, interrupt running ones, and end the threads."""
        self.close()
        for thread in self._threads:
            thread.join(_STOP_WAIT)

    def close(self) -> None:
        """Drop waiting tasks and interrupt running ones; later calls are refused."""
        with self._changed:
            self._stopping = True
            for call in self._open:
                call.close()
            self._calls.clear()
            self._changed.notify_all()

    def _enter(
        self,
        count: int,
        task: Callable[[int, Interrupt], _T],
        deadline: Deadline | None,
        wake: Callable[[], None],
    ) -> _Call[_T]:
        call = _Call(count, task, deadline, wake)
        with self._changed:
            if count == 0:
                call.close()
                return call
            if self._stopping:
                exits.check()
                raise PoolFull("the interpreter is exiting: models no longer run")
            while len(self._threads) < self._size:
                name = f"runoff-slot-{len(self._threads) + 1}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    if self._threads:
                        break  # fewer slots, until a thread can be started
                    raise PoolFull(f"no thread can be started for models: {error}") from error
                self._threads.append(thread)
            self._open.add(call)
            self._calls.append(call)
            self._changed.notify(count)
        return call

    def _leave(self, call: _Call[Any]) -> None:
        with self._changed:
            call.close()
            self._open.discard(call)
            if call in self._calls:
                self._calls.remove(call)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._calls and not self._stopping:
                    self._changed.wait()
                if self._stopping:
                    return
                call = self._calls.popleft()
                if call.deadline is not None and call.deadline.expired:
                    call.close()
                    continue
                index = call.next
                call.next += 1
                interrupt = call.running[index] = Interrupt()
                if call.next < len(call.results):
                    self._calls.append(call)
            self._run_one(call, index, interrupt)
            del call, interrupt  # an idle thread keeps nothing alive

    def _run_one(self, call: _Call[Any], index: int, interrupt: Interrupt) -> None:
        result, failure = None, None
        try:
            with exits.Native():
                result = call.task(index, interrupt)
        except BaseException as error:  # noqa: BLE001 - the caller gets it
            failure = error
        with self._changed:
            if call.closed:
                return
            del call.running[index]
            call.results[index] = result
            call.done += 1
            call.error = failure
            if failure is not None or call.done == len(call.results):
                if call in self._calls:
                    self._calls.remove(call)
                call.close()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _woken(event: threading.Event, seconds: float | None) -> bool:
    with exits.Waiting():
        return event.wait(seconds)


def _outcome(call: _Call[_T]) -> list[_T | None]:
    if call.error is not None:
        raise call.error
    return call.results


def _patience(deadline: Deadline | None, progress: object) -> float | None:
    """Return how long to wait before looking again, in seconds; None waits for the end."""
    longest = _PROGRESS_EVERY if progress is not None else None
    if deadline is None or not deadline.finite:
        return longest
    return min(workers.pause(deadline), longest or math.inf)


_CORES = "cores"
_lock = threading.Lock()
_slots: dict[str, Slots] = {}


def shared(device: str = _CORES) -> Slots:
    """Return this process's slots for a device, which the first call makes.

    Args:
        device: by default the cores, each a slot. Any other name has one slot: a runtime that
            spreads a run over all cores, or over a GPU, takes one run at a time.
    """
    with _lock:
        found = _slots.get(device)
        if found is None:
            found = _slots[device] = Slots(None if device == _CORES else 1)
            exits.at_exit(found.close)
        return found


@in_child
def _forget() -> None:
    global _lock  # noqa: PLW0603 - threads and held locks do not survive a fork
    _lock = threading.Lock()
    _slots.clear()
