"""A bounded pool of daemon threads for parts that can only be called synchronously.

The standard pool joins its threads at exit, so one hung call would keep a process alive. These
threads are daemons, and a caller whose time is up abandons its call. Calls wait in a queue while
threads are busy; once abandoned calls occupy every thread, `PoolFull` is raised at once.

A call made from such a call, as by a source that is itself a pipeline, runs in a pool of the next
level: the threads of one level may all wait for the next level, but never for each other.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import queue
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from runoff._util.fork import in_child
from runoff._waiting import exits
from runoff._waiting.drive import ask
from runoff._waiting.uncancelled import answer, uncancelled
from runoff.errors import PoolFull

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline

MAX_WORKERS = 64
_NAME = "runoff-worker-"
# a paused deadline may resume at any moment, so no wait is shorter or longer than these, in seconds
_SHORTEST_WAIT = 0.001
_LONGEST_WAIT = 3600.0

_T = TypeVar("_T")


def is_worker() -> bool:
    """Whether this is one of the pool's threads."""
    return threading.current_thread().name.startswith(_NAME)


class _Pool:
    def __init__(self, size: int) -> None:
        self._size = size
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._idle = 0
        self._pending = 0
        self._left: set[concurrent.futures.Future[Any]] = set()

    def submit(self, job: Callable[[], None]) -> None:
        with self._lock:
            if len(self._left) >= self._size:
                msg = f"all {self._size} worker threads are busy with calls past their deadline"
                raise PoolFull(msg)
            self._pending += 1
            if self._pending > self._idle and self._started < self._size:
                name = f"{_NAME}{self._started + 1}"
                try:
                    threading.Thread(target=self._work, name=name, daemon=True).start()
                except RuntimeError as error:
                    self._pending -= 1
                    raise PoolFull(f"no worker thread can be started: {error}") from error
                self._started += 1
                self._idle += 1
        self._jobs.put(job)

    def leave(self, future: concurrent.futures.Future[Any]) -> None:
        if future.cancel() or future.done():
            return
        with self._lock:
            self._left.add(future)
        future.add_done_callback(self._came_back)

    def _came_back(self, future: concurrent.futures.Future[Any]) -> None:
        with self._lock:
            self._left.discard(future)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            with self._lock:
                self._idle -= 1
                self._pending -= 1
            job()
            del job
            with self._lock:
                self._idle += 1


_pools = [_Pool(MAX_WORKERS)]  # by level
_level: contextvars.ContextVar[int] = contextvars.ContextVar("runoff_level", default=0)


def _pool_of(level: int) -> _Pool:
    while len(_pools) <= level:
        _pools.append(_Pool(MAX_WORKERS))  # in a race one too many, without threads
    return _pools[level]


@in_child
def _rebuild() -> None:
    global _pools  # noqa: PLW0603 - threads do not survive a fork, so the child starts afresh
    _pools = [_Pool(MAX_WORKERS)]


class Job(concurrent.futures.Future[_T]):
    """The future of a call in a pool."""

    def __init__(self, pool: _Pool) -> None:
        super().__init__()
        self.pool = pool


def submit(call: Callable[[], _T]) -> Job[_T]:
    """Run a call in a worker thread, in a copy of the caller's context.

    Raises:
        PoolFull: abandoned calls occupy every thread, or the interpreter is exiting.
    """
    exits.check()
    if exits.begun():
        raise PoolFull("the interpreter is exiting, and no other thread runs any more")
    level = _level.get()
    future: Job[_T] = Job(_pool_of(level))
    context = contextvars.copy_context()
    context.run(_level.set, level + 1)

    def job() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            with exits.Native():  # as the call may be of code that is not ours
                result = context.run(uncancelled, call)
        except StopIteration as error:
            # asyncio refuses this error, and awaiting the future would never end
            hidden = RuntimeError("the call raised StopIteration")
            hidden.__cause__ = error
            future.set_exception(hidden)
        except BaseException as error:  # noqa: BLE001 - the future passes it on
            future.set_exception(error)
        else:
            future.set_result(result)

    future.pool.submit(job)
    return future


def leave(future: Job[Any]) -> None:
    """Abandon a call: remove it from the queue, or let it run on if it has begun."""
    future.pool.leave(future)


def run(call: Callable[[], _T], deadline: Deadline, what: str) -> _T:
    """Run a call in a worker thread and wait for it until the deadline.

    Raises:
        DeadlineExceeded: time is up; the call is abandoned.
        PoolFull: abandoned calls occupy every thread.
    """
    future = submit(call)
    try:
        with exits.Waiting():
            while not future.done():
                deadline.check(what)
                concurrent.futures.wait((future,), pause(deadline))
        return future.result()
    finally:
        leave(future)


async def run_async(call: Callable[[], _T], deadline: Deadline | None, what: str) -> _T:
    """Run a call in a worker thread and await it until the deadline.

    Raises:
        DeadlineExceeded: time is up; the call is abandoned.
        PoolFull: abandoned calls occupy every thread.
    """
    import asyncio  # noqa: PLC0415 - half of this package's import time

    future = submit(call)
    try:
        return await wait(asyncio.wrap_future(future), deadline, what)
    finally:
        leave(future)


def aside(call: Callable[[], _T], deadline: Deadline | None, what: str) -> Asking[_T]:
    """Make a call; on an event loop, in a worker thread as `run_async` does."""
    return (yield from ask(call, lambda: run_async(call, deadline, what)))


async def wait(future: asyncio.Future[_T], deadline: Deadline | None, what: str) -> _T:
    """Await a future until the deadline, and cancel it when time is up.

    Raises:
        DeadlineExceeded: time is up.
        BadReply: the awaited call cancelled itself.
    """
    import asyncio  # noqa: PLC0415 - as above

    try:
        while not future.done():
            if deadline is None or not deadline.finite:
                await asyncio.wait((future,))
            else:
                deadline.check(what)
                await asyncio.wait((future,), timeout=pause(deadline))
        return answer(future, what)
    finally:
        future.cancel()


def within(
    call: Callable[[], _T],
    acall: Callable[[], Awaitable[_T]] | None,
    deadline: Deadline | None,
    what: str,
) -> Asking[_T]:
    """Call a function that may be a user's, and wait for its answer until the deadline.

    Args:
        call: it runs in this thread where there is no deadline, else in a worker thread.
        acall: the same to await; None where an event loop needs a worker thread for it.
        deadline: when its answer is no longer waited for; None trusts it to return in time.
        what: its name in the error.

    Raises:
        DeadlineExceeded: time is up; a call in a worker thread is left running.
        PoolFull: abandoned calls occupy every thread.
        Exception: any error of the call.
    """

    def wait_here() -> _T:
        if deadline is None or not deadline.finite:
            with exits.Native():
                return uncancelled(call)
        return run(call, deadline, what)

    async def wait_async() -> _T:
        import asyncio  # noqa: PLC0415 - as above

        if acall is None:
            return await run_async(call, deadline, what)
        return await wait(asyncio.ensure_future(acall()), deadline, what)

    return (yield from ask(wait_here, wait_async))


def pause(deadline: Deadline) -> float:
    """Return how many seconds to wait before checking a deadline again."""
    return min(max(deadline.remaining(), _SHORTEST_WAIT), _LONGEST_WAIT)
