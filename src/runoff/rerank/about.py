"""What a server says about itself, asked once in a while."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from runoff.rerank import transport
from runoff.rerank.dialects import About

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from runoff.rerank.access import Access

__all__ = ["about"]

_SECONDS = 1.0  # what it may take
_SHARE = 0.25  # and of the time that is left
_KEPT, _MISSED = 300.0, 30.0  # seconds until a server is asked again


class _Asked:
    """A description of a server, or the request for it."""

    def __init__(self, task: asyncio.Task[About]) -> None:
        self.task = task
        self._since = time.monotonic()

    @property
    def old(self) -> bool:
        if not self.task.done():
            return False
        known = self.task.result() != About()
        return time.monotonic() - self._since > (_KEPT if known else _MISSED)


_asked: dict[str, _Asked] = {}

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_asked.clear)  # the tasks belong to the parent's loop


async def about(
    url: str, read: Callable[[Any], About], access: Access, who: str, left: float
) -> About:
    """Return what a server says about itself, or nothing when it does not say so in time.

    Callers share the request and its answer. What is wrong will show in the request itself.

    Args:
        url: where it describes itself.
        read: understands what it says.
        access: key and headers.
        who: its name, for errors.
        left: seconds left of the deadline; a quarter of them, or one, may be spent.
    """
    known = _asked.get(url)
    if known is None or known.old:
        known = _asked[url] = _Asked(asyncio.ensure_future(_described(url, read, access, who)))
    await asyncio.wait({known.task}, timeout=min(_SECONDS, _SHARE * left))
    return known.task.result() if known.task.done() else About()


async def _described(url: str, read: Callable[[Any], About], access: Access, who: str) -> About:
    try:
        async with asyncio.timeout(_SECONDS):
            return read(await transport.get(url, access=access, who=who))
    except Exception:  # noqa: BLE001 - a callable key may raise anything, and the request says so
        return About()
