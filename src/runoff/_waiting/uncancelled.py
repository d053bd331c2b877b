"""Turns the cancellation of a user's call, if its caller was not cancelled, into a bad reply."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

from runoff.errors import BadReply

if TYPE_CHECKING:
    import asyncio
    import concurrent.futures
    from collections.abc import Awaitable, Callable

_T = TypeVar("_T")


def uncancelled(call: Callable[[], _T]) -> _T:
    """Call, and return the answer.

    A call that runs an event loop of its own may let that loop's `CancelledError` out. It is no
    `Exception`, and would end the caller's task as if the caller had been cancelled.

    Raises:
        BadReply: the call cancelled itself.
        Exception: any other error of the call.
    """
    try:
        return call()
    except Exception:
        raise
    except BaseException as error:
        asyncio = sys.modules.get("asyncio")  # importing it takes half of this package's time
        if asyncio is None or not isinstance(error, asyncio.CancelledError):
            raise
        raise _itself() from None


async def auncancelled(call: Callable[[], Awaitable[_T]]) -> _T:
    """Await a call, and return the answer.

    Raises:
        BadReply: the call cancelled itself.
        CancelledError: the caller's task was cancelled.
        Exception: any other error of the call.
    """
    import asyncio  # noqa: PLC0415 - as above

    try:
        return await call()
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
        raise _itself() from None


def answer(future: concurrent.futures.Future[_T] | asyncio.Future[_T], what: str) -> _T:
    """Return the result of a future that is done, whose waiter was not cancelled.

    Raises:
        BadReply: the call cancelled itself.
        Exception: any other error of the call.
    """
    if future.cancelled():
        raise _itself(what)
    return future.result()


def _itself(what: str = "") -> BadReply:
    return BadReply(f"{what}: the call cancelled itself" if what else "the call cancelled itself")
