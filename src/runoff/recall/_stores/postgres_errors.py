"""Translates the errors of psycopg and its pools into runoff's."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from runoff.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    DeadlineExceeded,
    EmbeddingError,
    IndexNotFound,
    InvalidArgument,
    PoolFull,
    RunoffError,
    ServerFailed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_CANCELED = "57014"
_DENIED = "42501"
_ABSENT = {"42P01", "42703", "3D000", "3F000"}  # a table, a column, a database, a schema
_ENDED = {"57P01", "57P02", "57P03", "57P05"}
_FAILED = {"40", "53", "55", "57", "58"}
# libpq tells of a refused login only in words
_REFUSED = ("authentication failed", "no password supplied", "pg_hba.conf", 'role "')


@contextmanager
def translated(doing: str, seconds: float | None = None) -> Iterator[None]:
    """Raise runoff's error in place of psycopg's; the arguments are those of `named`."""
    try:
        yield
    except RunoffError:
        raise
    except Exception as error:
        known = named(error, doing, seconds)
        if known is error:
            raise
        raise known from error


def named(error: Exception, doing: str, seconds: float | None = None) -> Exception:
    """Return runoff's error for one of psycopg's; an unknown error is returned as it is.

    Args:
        error: the error that was raised.
        doing: what it concerns, such as `'table "docs"'`.
        seconds: how long it could take; None for no limit.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    message = f"{doing}: {error}"
    state = getattr(error, "sqlstate", None)
    if state:
        return _of_state(error, state, message)
    if "PoolTimeout" in names:
        return (ConnectionFailed if seconds is None else DeadlineExceeded)(message)
    if "TooManyRequests" in names:
        return PoolFull(message)
    if "PoolClosed" in names:
        return InvalidArgument("client", doing, f"must be open: {error}")
    if names & {"OperationalError", "InterfaceError"}:
        if any(word in str(error) for word in _REFUSED):
            return AuthenticationFailed(message)
        if 'database "' in str(error) and "does not exist" in str(error):
            return IndexNotFound(message)
        return ConnectionFailed(message)
    return error


def _of_state(error: Exception, state: str, message: str) -> Exception:
    if state == _CANCELED:
        return DeadlineExceeded(message)
    if state == _DENIED or state.startswith("28"):
        return AuthenticationFailed(message)
    if state in _ABSENT:
        return IndexNotFound(message)
    if state.startswith("22") and "dimensions" in str(error):
        return EmbeddingError(message)
    if state.startswith("08") or state in _ENDED:
        return ConnectionFailed(message)
    return ServerFailed(message) if state[:2] in _FAILED else error
