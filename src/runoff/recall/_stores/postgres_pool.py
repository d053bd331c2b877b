"""Connections of psycopg: a pool of the user's, or one of our own for a connection string."""

from __future__ import annotations

import os
import threading
import time
import weakref
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn

from runoff.errors import InvalidArgument, MissingExtra, PermanentError
from runoff.recall._stores.postgres_errors import translated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from runoff.recall._stores.postgres_where import Part

_MOST = 10  # connections of our own pool
_PATIENCE = 10.0  # seconds to wait for one, without a deadline
_LAST = 1.0  # seconds that its threads get to end when the interpreter does
_BATCH = 1000  # rows that a cursor on the server sends at once


def connect(given: Any, doing: str) -> Connections:  # noqa: ANN401 - psycopg is optional
    """Return the connections of a connection string or of a pool of psycopg_pool.

    Args:
        given: a connection string, a `ConnectionPool` or an `AsyncConnectionPool`.
        doing: what errors concern, such as `"PostgreSQL table 'docs'"`.

    Raises:
        MissingExtra: psycopg or psycopg_pool is not installed.
        PermanentError: psycopg does not find libpq.
        InvalidArgument: `given` is none of the three, or cannot be read.
    """
    try:
        import psycopg  # noqa: PLC0415 - an optional package
        import psycopg_pool  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise MissingExtra("psycopg", "postgres") from error
    except ImportError as error:  # it looks for PostgreSQL's own library
        msg = f'psycopg cannot be imported: pip install "psycopg[binary]" has libpq ({error})'
        raise PermanentError(msg) from error
    if isinstance(given, psycopg_pool.AsyncConnectionPool):
        return _AsyncConnections(given, doing)
    if isinstance(given, psycopg_pool.ConnectionPool):
        return Connections(given, doing)
    if isinstance(given, str):
        try:
            psycopg.conninfo.conninfo_to_dict(given)
        except psycopg.ProgrammingError:
            # neither the string nor libpq's words are shown: they may contain a password
            remedy = 'must be a connection string, such as "postgresql://user@host/database"'
            raise InvalidArgument("client", "a string that cannot be read", remedy) from None
        return _OwnConnections(given, doing)
    remedy = "must be a connection string, a ConnectionPool or an AsyncConnectionPool"
    raise InvalidArgument("client", given, remedy)


class Connections:
    """Runs each query in a transaction of its own, on one of a pool's connections."""

    def __init__(self, pool: Any, doing: str) -> None:  # noqa: ANN401 - as above
        self._pool = pool
        self._doing = doing

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied: connections cannot be, and a string may contain a password."""
        raise TypeError(
            "connections to PostgreSQL cannot be pickled: make a new source in the other process"
        )

    def rows(self, prepared: Sequence[Part], query: Part, seconds: float | None) -> Any:  # noqa: ANN401 - a list, or what is awaited for it
        """Run a query and return its rows.

        Args:
            prepared: settings for this query, each a call of `set_config`.
            query: the query.
            seconds: for the wait for a connection and the query; None for no limit.

        Raises:
            RunoffError: see `postgres_errors`.
        """
        started = time.monotonic()
        with translated(self._doing, seconds), self._cursor(seconds) as cursor:
            for said, values in _statements(prepared, seconds, started):
                cursor.execute(said, values)
            cursor.execute(*query)
            return cursor.fetchall()

    def stream(self, query: Part) -> Any:  # noqa: ANN401 - an iterator, sync or async
        """Yield a query's rows from a cursor on the server."""
        with translated(self._doing), self._cursor(None, name="runoff") as cursor:
            cursor.itersize = _BATCH
            cursor.execute(*query)
            yield from cursor

    def take(self, rows: Any, count: int) -> Any:  # noqa: ANN401 - as above
        """Return the next rows of a stream, fewer only at its end."""
        return list(islice(rows, count))

    def close(self) -> None:
        """Close the pool if it is our own."""

    @contextmanager
    def _cursor(self, seconds: float | None, **options: str) -> Iterator[Any]:
        with (
            self._opened().connection(seconds) as connection,
            connection.transaction(),
            connection.cursor(**options, row_factory=_tuples()) as cursor,
        ):
            yield cursor

    def _opened(self) -> Any:  # noqa: ANN401 - as above
        return self._pool


class _OwnConnections(Connections):
    """A pool of our own, opened when it is first needed."""

    def __init__(self, conninfo: str, doing: str) -> None:
        super().__init__(None, doing)
        self._conninfo = conninfo
        self._lock = threading.Lock()
        self._process = os.getpid()

    def close(self) -> None:
        with self._lock:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    def _opened(self) -> Any:  # noqa: ANN401 - as above
        import psycopg  # noqa: PLC0415 - as above
        import psycopg_pool  # noqa: PLC0415 - as above

        with self._lock:
            if self._pool is None or self._process != os.getpid():  # no connection survives a fork
                # a pool tries again and again, and does not say why it cannot connect
                own = psycopg.conninfo.conninfo_to_dict(self._conninfo)
                psycopg.connect(**{"connect_timeout": int(_PATIENCE)} | own).close()
                self._pool = psycopg_pool.ConnectionPool(
                    self._conninfo, min_size=1, max_size=_MOST, timeout=_PATIENCE, open=True
                )
                self._process = os.getpid()
                weakref.finalize(self, self._pool.close, timeout=_LAST)
            return self._pool


class _AsyncConnections(Connections):
    """The same for a pool that is awaited."""

    async def rows(
        self, prepared: Sequence[Part], query: Part, seconds: float | None
    ) -> list[tuple[Any, ...]]:
        started = time.monotonic()
        with translated(self._doing, seconds):
            async with self._cursor_async(seconds) as cursor:
                for said, values in _statements(prepared, seconds, started):
                    await cursor.execute(said, values)
                await cursor.execute(*query)
                found: list[tuple[Any, ...]] = await cursor.fetchall()
                return found

    async def stream(self, query: Part) -> AsyncIterator[tuple[Any, ...]]:
        with translated(self._doing):
            async with self._cursor_async(None, name="runoff") as cursor:
                cursor.itersize = _BATCH
                await cursor.execute(*query)
                async for row in cursor:
                    yield row

    async def take(self, rows: AsyncIterator[Any], count: int) -> list[Any]:
        found: list[Any] = []
        async for row in rows:
            found.append(row)
            if len(found) == count:
                break
        return found

    @asynccontextmanager
    async def _cursor_async(self, seconds: float | None, **options: str) -> AsyncIterator[Any]:
        async with (
            self._pool.connection(seconds) as connection,
            connection.transaction(),
            connection.cursor(**options, row_factory=_tuples()) as cursor,
        ):
            yield cursor


def _tuples() -> Any:  # noqa: ANN401 - as above
    from psycopg.rows import tuple_row  # noqa: PLC0415 - as above

    return tuple_row


def _statements(prepared: Sequence[Part], seconds: float | None, started: float) -> list[Part]:
    """Return the statement, if one is needed, that sets what holds for this transaction."""
    parts = list(prepared)
    if seconds is not None:
        left = seconds - (time.monotonic() - started)
        milliseconds = str(max(1, int(left * 1000)))
        parts.append(("set_config('statement_timeout', %s, true)", (milliseconds,)))
    if not parts:
        return []
    said = ", ".join(one for one, _ in parts)
    return [(f"SELECT {said}", tuple(value for _, values in parts for value in values))]
