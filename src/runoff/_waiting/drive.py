"""One body for a method and its asynchronous twin.

The body is a generator. Where it has to wait, it yields an `Ask`, which knows both ways to wait,
and is sent the answer; an error is thrown into it. `run` drives it by waiting and `run_async` by
awaiting; neither decides anything, so both methods do the same by construction.

```python
def _asking(self, pairs) -> Asking[Scores]:
    reply = yield from ask(partial(self._post, pairs), partial(self._post_async, pairs))
    return self._scores(reply)

def score(self, pairs): return run(self._asking(pairs))
async def ascore(self, pairs): return await run_async(self._asking(pairs))
```
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from runoff._waiting import exits

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Collection

_T = TypeVar("_T")


class Ask(Generic[_T]):
    """One thing to wait for; no dataclass, as a search makes several.

    Attributes:
        wait: blocks until the answer is there, and returns it.
        wait_async: does the same without blocking the event loop.
    """

    __slots__ = ("wait", "wait_async")

    def __init__(self, wait: Callable[[], _T], wait_async: Callable[[], Awaitable[_T]]) -> None:
        self.wait = wait
        self.wait_async = wait_async


Asking: TypeAlias = Generator[Ask[Any], Any, _T]
"""A body that returns `_T`, driven by `run` or `run_async`, or by `yield from` in another."""

Future: TypeAlias = "concurrent.futures.Future[_T] | asyncio.Future[_T]"


def ask(wait: Callable[[], _T], wait_async: Callable[[], Awaitable[_T]]) -> Asking[_T]:
    """Ask for one thing and return the answer; see `Ask`.

    Raises:
        Exception: any error that waiting for it raises.
    """
    found: _T = yield Ask(wait, wait_async)
    return found


def awaitable(future: concurrent.futures.Future[_T]) -> Asking[Future[_T]]:
    """Return a future in the form that `first_done` needs: of the running event loop, if any."""

    async def wrapped() -> Future[_T]:
        import asyncio  # noqa: PLC0415 - half of this package's import time

        return asyncio.wrap_future(future)

    return (yield from ask(lambda: future, wrapped))


def first_done(futures: Collection[Future[_T]], seconds: float | None) -> Asking[set[Future[_T]]]:
    """Wait until one of several futures is done, and return those that are.

    Args:
        futures: one or more, in the form that `awaitable` returns.
        seconds: the longest to wait, after which the set may be empty; None for no limit.
    """
    some: Any = futures  # all of one kind, as `run` or `run_async` needs them

    def wait() -> set[Future[_T]]:
        with exits.Waiting():
            done, _ = concurrent.futures.wait(some, seconds, concurrent.futures.FIRST_COMPLETED)
        return set(done)

    async def wait_async() -> set[Future[_T]]:
        import asyncio  # noqa: PLC0415 - as above

        first = asyncio.FIRST_COMPLETED
        return set((await asyncio.wait(some, timeout=seconds, return_when=first))[0])

    return (yield from ask(wait, wait_async))


def run(asking: Asking[_T]) -> _T:
    """Drive a body, waiting for each answer in this thread.

    Raises:
        Exception: any error that the body raises.
    """
    try:
        step = next(asking)
        while True:
            try:
                found = step.wait()
            except BaseException as error:  # noqa: BLE001 - the body decides what it means
                step = asking.throw(error)
            else:
                step = asking.send(found)
    except StopIteration as end:
        made: _T = end.value
        return made


async def run_async(asking: Asking[_T]) -> _T:
    """Drive a body, awaiting each answer.

    Raises:
        Exception: any error that the body raises.
    """
    try:
        step = next(asking)
        while True:
            try:
                found = await step.wait_async()
            except BaseException as error:  # noqa: BLE001 - as above
                step = asking.throw(error)
            else:
                step = asking.send(found)
    except StopIteration as end:
        made: _T = end.value
        return made
