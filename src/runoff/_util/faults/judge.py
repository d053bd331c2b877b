"""Judges errors by class, status, code and the error they were raised from."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Literal, TypeAlias

# imported with this file: an error may be that there are no file descriptors for another one
from runoff._util.arguments import is_one_of
from runoff._util.faults.permanent import BY_CLASS, BY_MESSAGE, rule_of
from runoff._util.messages import error_text, number_of, visible
from runoff.errors import (
    BadReply,
    InvalidArgument,
    PoolFull,
    RunoffError,
    TransientError,
)

if TYPE_CHECKING:
    from runoff.types import Reranking

OnError: TypeAlias = Literal["transient", "degrade", "raise"]

_TRANSIENT_STATUS = {408, 409, 425, 429}
_REJECTED_STATUS = {400, 413, 422}
_PERMANENT_STATUS = {401, 402, 403, 404, 405, 410, 498}  # 498: Cohere's "invalid token"
# clients whose errors do not derive from the built-in ones, by module and by part of a class name
_CLIENT_MODULES = ("httpx", "httpcore", "requests", "urllib3", "aiohttp", "botocore")
# what LangChain, pydantic and json raise about a text that they cannot parse
_PARSING = {"OutputParserException", "ValidationError", "JSONDecodeError"}
_EXHAUSTED = {errno.EMFILE, errno.ENFILE}
_NO_THREAD = "can't start new thread"
_GRPC = {
    "UNAVAILABLE": "connection",
    "DEADLINE_EXCEEDED": "timeout",
    "RESOURCE_EXHAUSTED": "server_error",
    "INTERNAL": "server_error",
}
# classes of SQLSTATE: connection, rollback, resources, a lock, operator intervention, system
_SQLSTATES = {"08": "connection"} | dict.fromkeys(("40", "53", "55", "57", "58"), "server_error")
_UNREACHABLE = {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH}
_CLIENT_ERRORS = {
    "Timeout": "timeout",
    "Connect": "connection",
    "Network": "connection",
    "Proxy": "connection",
    "Protocol": "connection",
    "Disconnected": "connection",
}


def check_on_error(value: object) -> None:
    """Refuse anything but the three values of `on_error`.

    Raises:
        InvalidArgument: lists the three.
    """
    if not is_one_of(value, ("transient", "degrade", "raise")):
        remedy = 'must be "transient" (the default), "degrade" or "raise"'
        raise InvalidArgument("on_error", value, remedy)


def reason_of(error: BaseException) -> str:
    """Return the reason for `Degradation.reason` if an error is transient, else an empty string.

    Errors of foreign clients are recognised by the built-in classes they derive from, by the HTTP
    status they or their `response` carry, by their name, or by the error they were raised from.
    """
    return _judged(error)[0]


def is_permanent(error: BaseException) -> bool:
    """Return whether trying again certainly cannot help.

    An error of another package is judged by its HTTP status, else by the table that
    `docs/faults.md` shows; one that nothing is known about is neither transient nor permanent.
    """
    return _judged(error)[1]


def _judged(error: BaseException) -> tuple[str, bool]:
    """Return the reason of a transient error, and whether it is permanent.

    A group, as `asyncio.TaskGroup` raises it, is transient if all of its errors are, and permanent
    if one of them is.
    """
    seen: set[int] = set()
    inner: object = error
    while isinstance(inner, Exception) and id(inner) not in seen:
        seen.add(id(inner))
        if isinstance(inner, ExceptionGroup):
            each = [_judged(one) for one in inner.exceptions]
            reason = each[0][0] if all(reason for reason, _ in each) else ""
            return reason, any(permanent for _, permanent in each)
        if isinstance(inner, RunoffError):
            transient = isinstance(inner, TransientError)
            return (inner.reason if isinstance(inner, TransientError) else ""), not transient
        status = _status_of(inner)
        if status is not None:
            permanent = status in _PERMANENT_STATUS
            if status in _REJECTED_STATUS:
                permanent = rule_of(inner, BY_MESSAGE) is not None
            return ("" if permanent else _reason_of_status(status)), permanent
        if rule_of(inner, BY_CLASS) is not None:
            return "", True
        reason = _reason_of_class(type(inner)) or _reason_of_code(inner)
        if reason or rule_of(inner, BY_MESSAGE) is not None:
            return reason, not reason
        # urllib and SQLAlchemy keep the error there
        inner = inner.__cause__ or getattr(inner, "reason", None) or getattr(inner, "orig", None)
    return "", False


def _status_of(error: Exception) -> int | None:
    """Return the HTTP status of an error, as httpx, requests, aiohttp, urllib and SDKs keep it."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            status = getattr(holder, name, None)
            if isinstance(status, int) and 400 <= status < 600:  # noqa: PLR2004 - HTTP's errors
                return status
    return None


def _reason_of_status(status: int) -> str:
    if status in _TRANSIENT_STATUS or status >= 500:  # noqa: PLR2004 - HTTP's server errors
        return "server_error"
    return "request_rejected" if status in _REJECTED_STATUS else ""


def _reason_of_class(error: type[BaseException]) -> str:
    if issubclass(error, TimeoutError):
        return "timeout"
    if issubclass(error, ConnectionError) or error.__name__ == "gaierror":  # no such host
        return "connection"
    for kind in error.__mro__:
        if kind.__module__.split(".")[0] in _CLIENT_MODULES:
            for part, reason in _CLIENT_ERRORS.items():
                if part in kind.__name__:
                    return reason
    return ""


def _reason_of_code(error: Exception) -> str:
    if isinstance(error, OSError):
        if error.errno in _EXHAUSTED:
            return PoolFull.reason
        return "connection" if error.errno in _UNREACHABLE else ""
    if isinstance(error, RuntimeError) and _NO_THREAD in str(error):
        return PoolFull.reason
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if isinstance(state, str):
        return _SQLSTATES.get(state[:2], "")
    code = getattr(error, "code", None)
    if type(error).__module__.partition(".")[0] == "grpc" and callable(code):
        return _GRPC.get(getattr(code(), "name", ""), "")
    return ""


def degrades(error: BaseException, on_error: OnError) -> str:
    """Return the reason an error degrades the answer for, or an empty string when it is raised.

    Only an `Exception` ever degrades; a KeyboardInterrupt is always raised.
    """
    if on_error == "raise" or not isinstance(error, Exception):
        return ""
    reason = reason_of(error)
    if not reason and on_error == "degrade":
        return "permanent" if is_permanent(error) else "error"
    return reason


def unreadable(error: Exception, name: str) -> BadReply | None:
    """Return a `BadReply` for an error that a foreign reranker raises about its model's reply.

    A language model may return an index that does not exist, or something that is not JSON.
    """
    parsing = any(kind.__name__ in _PARSING for kind in type(error).__mro__)
    if not parsing and not isinstance(error, IndexError):
        return None
    return BadReply(f"{name} cannot use the reply of its model: {error_text(error)}")


def lacks(reranking: Reranking) -> tuple[str, str]:
    """Return the reason and the detail of what a reranking lacks; two empty strings for nothing.

    It lacks something when candidates are unscored, or when it has a `detail`.
    """
    if not reranking.unscored and not reranking.detail:
        return "", ""
    detail = (
        reranking.detail
        or f"{number_of(len(reranking.unscored), 'candidate has', 'candidates have')} no score"
    )
    return reranking.reason or BadReply.reason, visible(detail)
