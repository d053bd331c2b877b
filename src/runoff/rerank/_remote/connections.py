"""Connections that are not lost when a request is cancelled, each in an httpx client of its own.

A request may be cancelled at any point. A pool that is interrupted while it takes a connection back
keeps it for ever, neither used nor closed. So every connection has its own client and pool: after a
complete exchange it is used again, and otherwise it is closed with its client, in a task that
nothing cancels.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING

from runoff.errors import MissingExtra, PermanentError, RunoffError, TransientError
from runoff.rerank._remote.environment import is_loopback, proxies_unusable, untrusting

try:
    import httpx
except ImportError as error:
    raise MissingExtra("httpx", "http") from error

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

_KEPT = 64  # idle connections of one process to one place
_IDLE = 30.0  # seconds


def no_cookies() -> CookieJar:
    """Return a jar that stays empty: cookies set for one key must not be sent with another."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


class _Connection:
    """One client with at most one connection, and since when it has been idle."""

    def __init__(self, verify: ssl.SSLContext, *, environment: bool = True) -> None:
        self.client = httpx.AsyncClient(
            verify=verify,
            trust_env=environment,
            timeout=None,  # noqa: S113 - the caller's
            limits=httpx.Limits(max_connections=1, keepalive_expiry=_IDLE),
            cookies=no_cookies(),
        )
        self.since = 0.0


class Connections(httpx.AsyncBaseTransport):
    """A transport that lends each request a connection of its own.

    Proxies and certificates that the environment names and that cannot be used are an error, except
    for plain HTTP to this machine, which needs neither.

    Args:
        verify: makes the TLS context; called again when a request needs one and it raised a
            PermanentError or a TransientError.

    Raises:
        InvalidArgument: from `verify`.
    """

    def __init__(self, verify: Callable[[], ssl.SSLContext]) -> None:
        self._make = verify
        self._verify: ssl.SSLContext | None = None
        with suppress(PermanentError, TransientError):  # raised when a request needs it
            self._verify = verify()
        self._idle: dict[str, list[_Connection]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request over an idle connection, or a new one."""
        place = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
        held = self._take(place) or self._opened(request.url)
        try:
            response = await held.client.send(request, stream=True)
        except BaseException:
            self.drop(held)
            raise
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_Reply(response, held, place, self),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close all that is idle."""
        for held in self._idle.values():
            for one in held:
                self.drop(one)
        self._idle.clear()
        await asyncio.gather(*self._closing)

    def _opened(self, url: httpx.URL) -> _Connection:
        plain = url.scheme == "http" and is_loopback(url.host)
        try:
            if self._verify is None:
                self._verify = self._make()
            return _Connection(self._verify)
        except RunoffError:
            if not plain:
                raise
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            if not plain:
                raise proxies_unusable(error) from error
        return _Connection(untrusting(), environment=False)

    def _take(self, place: str) -> _Connection | None:
        idle = self._idle.get(place, [])
        while idle:
            held = idle.pop()
            if time.monotonic() - held.since < _IDLE:
                return held
            self.drop(held)
        return None

    def give_back(self, place: str, held: _Connection) -> None:
        """Keep a connection after a complete exchange; close those idle for too long."""
        now = held.since = time.monotonic()
        self._idle.setdefault(place, []).append(held)
        for one, idle in list(self._idle.items()):
            while idle and (now - idle[0].since >= _IDLE or len(idle) > _KEPT):
                self.drop(idle.pop(0))
            if not idle:
                del self._idle[one]

    def drop(self, held: _Connection) -> None:
        task = asyncio.ensure_future(_closed(held))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _closed(held: _Connection) -> None:
    with suppress(Exception):  # it is given up even if closing fails
        await held.client.aclose()


class _Reply(httpx.AsyncByteStream):
    """A body that gives its connection back once it is read to the end."""

    def __init__(
        self, response: httpx.Response, held: _Connection, place: str, owner: Connections
    ) -> None:
        self._response = response
        self._held: _Connection | None = held
        self._place = place
        self._owner = owner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.aiter_raw():
            yield chunk
        # aiter_raw has closed the reply, and with it freed the connection
        held, self._held = self._held, None
        if held is not None:
            self._owner.give_back(self._place, held)

    async def aclose(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._owner.drop(held)
