"""Turns on an event loop for steps that compute for a millisecond or two.

When many searches get their answers at the same moment, their next steps are all ready in one
iteration of the loop, which would run them all before any other callback. A turn lasts until the
next iteration, so that other callbacks and timers run in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_turns: dict[asyncio.AbstractEventLoop, _Turns] = {}


class _Turns:
    """The lock of one loop and the number of steps that want it; deleted when there are none."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        import asyncio  # noqa: PLC0415 - half of this package's import time

        self._loop = loop
        self._wanted = 0
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> None:
        self._wanted += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self._unwanted()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._loop.call_soon(self._over)

    def _over(self) -> None:
        self._lock.release()
        self._unwanted()

    def _unwanted(self) -> None:
        self._wanted -= 1
        if not self._wanted:
            _turns.pop(self._loop, None)


def turn() -> _Turns:
    """Return the context (`async with`) for a step: no other step runs in that iteration."""
    import asyncio  # noqa: PLC0415 - as above

    loop = asyncio.get_running_loop()
    turns = _turns.get(loop)
    if turns is None:
        turns = _turns[loop] = _Turns(loop)
    return turns
