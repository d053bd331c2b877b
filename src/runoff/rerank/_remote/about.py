"""What a server says about itself, fetched again every few minutes."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from runoff._util.fork import in_child
from runoff.rerank._remote import transport
from runoff.rerank._remote.dialects import About

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from runoff.rerank._remote.access import Access

_SECONDS = 1.0  # what it may take
_SHARE = 0.25  # and of the time that is left
_KEPT, _MISSED = 300.0, 30.0  # seconds until a server is asked again


class _Asked:
    """The request for a server's description, and the description before."""

    def __init__(self, task: asyncio.Task[About], before: About) -> None:
        self.task = task
        self.before = before
        self._since = time.monotonic()

    @property
    def known(self) -> About:
        said = self.task.result() if self.task.done() else About()
        return self.before if said == About() else said

    @property
    def old(self) -> bool:
        if not self.task.done():
            return False
        missed = self.task.result() == About()
        return time.monotonic() - self._since > (_MISSED if missed else _KEPT)


_asked: dict[tuple[str, str | None], _Asked] = {}

in_child(_asked.clear)  # the tasks belong to the parent's loop


async def about(
    url: str,
    model: str | None,
    read: Callable[[Any, str | None], About],
    access: Access,
    who: str,
    left: float,
) -> About:
    """Return a server's description, or the one before when the server is late or fails.

    Callers share the request and its answer. Errors are ignored: the scoring request reports them.

    Args:
        url: of the description.
        model: the model to describe, where the server has several.
        read: parses the reply.
        access: key and headers.
        who: the name of the server, for errors.
        left: seconds left of the deadline; at most a quarter of them, and one second, are used.
    """
    asked = _asked.get((url, model))
    if asked is None or asked.old:
        before = About() if asked is None else asked.known
        work = _described(url, lambda said: read(said, model), access, who)
        asked = _asked[url, model] = _Asked(asyncio.ensure_future(work), before)
    await asyncio.wait({asked.task}, timeout=min(_SECONDS, _SHARE * left))
    return asked.known


def is_new(url: str, model: str | None) -> bool:
    """Whether this description has never been requested in this process."""
    return (url, model) not in _asked


async def _described(url: str, read: Callable[[Any], About], access: Access, who: str) -> About:
    try:
        async with asyncio.timeout(_SECONDS):
            return read(await transport.get(url, access=access, who=who))
    except Exception:  # noqa: BLE001 - a callable key may raise anything, and the request says so
        return About()
