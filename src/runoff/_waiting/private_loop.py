"""One private event loop per process, in a daemon thread, for all HTTP requests.

Connections belong to the loop that opened them, but callers use many loops: synchronous callers
wait for a future, asynchronous ones await it from their own loop. A hung request does not keep the
process alive, and a child made by `fork` starts its own loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from typing import TYPE_CHECKING, TypeVar

from runoff._util.fork import in_child
from runoff._waiting import exits
from runoff._waiting.uncancelled import answer
from runoff.errors import DeadlineExceeded, PoolFull

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from runoff.deadline import Deadline

_T = TypeVar("_T")

# coroutines here keep the deadline themselves; after this many seconds they are cancelled
_GRACE = 0.03
_LONGEST_WAIT = 3600.0


class _Loop:
    def __init__(self) -> None:
        try:
            self.loop = asyncio.new_event_loop()
        except OSError as error:
            msg = f"no file descriptor is left for an event loop ({error}): see `ulimit -n`"
            raise PoolFull(msg) from error
        self.thread = threading.Thread(target=self._serve, name="runoff-loop", daemon=True)
        try:
            self.thread.start()
        except RuntimeError as error:
            self.loop.close()
            raise PoolFull(f"no thread can be started for an event loop: {error}") from error

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        while True:
            # a client that calls `sys.exit` ends only its own request, whose caller gets the error
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                self.loop.run_forever()


_lock = threading.Lock()
_current: _Loop | None = None


@in_child
def _rebuild() -> None:
    global _lock, _current  # noqa: PLW0603 - neither thread nor lock survives a fork
    _lock = threading.Lock()
    _current = None


def running() -> asyncio.AbstractEventLoop:
    """Return the loop, and start it if it is not running.

    Raises:
        PoolFull: the process has no thread or no file descriptor left.
    """
    global _current  # noqa: PLW0603 - one for the process
    with _lock:
        if _current is None:
            _current = _Loop()
        return _current.loop


def _spawn(work: Callable[[], Coroutine[Any, Any, _T]]) -> concurrent.futures.Future[_T]:
    loop = running()  # it may raise, and a coroutine made before that would never be awaited
    return asyncio.run_coroutine_threadsafe(work(), loop)


def run(work: Callable[[], Coroutine[Any, Any, _T]], deadline: Deadline | None, what: str) -> _T:
    """Run a coroutine on the loop and wait for it.

    Args:
        work: makes the coroutine, which should return by itself at the deadline.
        deadline: the coroutine is cancelled 30 ms after it.
        what: the name of the work, for the error.

    Raises:
        DeadlineExceeded: it did not return in time.
        BadReply: it cancelled itself.
        RuntimeError: it was called on the loop itself, where it would wait forever.
    """
    if _current is not None and threading.current_thread() is _current.thread:
        msg = f"{what} was called synchronously on runoff's own event loop: await it instead"
        raise RuntimeError(msg)
    future = _spawn(work)
    try:
        with exits.Waiting():
            while not future.done():
                concurrent.futures.wait((future,), _patience(deadline, what))
        return answer(future, what)
    finally:
        future.cancel()


async def run_async(
    work: Callable[[], Coroutine[Any, Any, _T]], deadline: Deadline | None, what: str
) -> _T:
    """Do what `run` does, awaited from any event loop; when cancelled, cancel the coroutine.

    Raises:
        DeadlineExceeded: it did not return in time.
        BadReply: it cancelled itself.
    """
    future = _spawn(work)
    here = asyncio.wrap_future(future)
    try:
        while not here.done():
            await asyncio.wait((here,), timeout=_patience(deadline, what))
        return answer(here, what)
    finally:
        here.cancel()
        future.cancel()


def _patience(deadline: Deadline | None, what: str) -> float | None:
    if deadline is None or not deadline.finite:
        return None
    left = deadline.budget - deadline.spent() + _GRACE
    if left <= 0:
        raise DeadlineExceeded(f"{what}: the budget of {deadline.budget * 1000:.0f} ms is spent")
    return min(left, _LONGEST_WAIT)
