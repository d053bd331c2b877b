"""Which errors degrade an answer and which are raised."""

from __future__ import annotations

from typing import Literal, TypeAlias

from runoff.errors import InvalidArgument, PermanentError, RunoffError, TransientError

__all__ = ["OnError", "check_on_error", "degrades", "reason_of"]

OnError: TypeAlias = Literal["transient", "degrade", "raise"]

_TRANSIENT_STATUS = {408, 409, 425, 429}
_REJECTED_STATUS = {400, 413, 422}
# clients whose errors do not derive from the built-in ones, by module and by part of a class name
_CLIENT_MODULES = ("httpx", "httpcore", "requests", "urllib3", "aiohttp")
_CLIENT_ERRORS = {
    "Timeout": "timeout",
    "Connect": "connection",
    "Network": "connection",
    "Protocol": "connection",
    "Disconnected": "connection",
}


def check_on_error(value: object) -> None:
    """Refuse anything but the three ways to treat an error."""
    if value not in {"transient", "degrade", "raise"}:
        remedy = 'must be "transient" (the default), "degrade" or "raise"'
        raise InvalidArgument("on_error", value, remedy)


def reason_of(error: BaseException) -> str:
    """Return the reason for `Degradation.reason` if an error is transient, else an empty string.

    Errors of foreign clients are recognised by the built-in classes they derive from, by their
    `status_code`, or by their name.
    """
    if isinstance(error, RunoffError):
        return error.reason if isinstance(error, TransientError) else ""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionError):
        return "connection"
    status = getattr(error, "status_code", None)
    return _reason_of_status(status) if isinstance(status, int) else _reason_of_class(type(error))


def _reason_of_status(status: int) -> str:
    if status in _TRANSIENT_STATUS or status >= 500:  # noqa: PLR2004 - HTTP's server errors
        return "server_error"
    return "request_rejected" if status in _REJECTED_STATUS else ""


def _reason_of_class(error: type[BaseException]) -> str:
    for kind in error.__mro__:
        if kind.__module__.split(".")[0] in _CLIENT_MODULES:
            for part, reason in _CLIENT_ERRORS.items():
                if part in kind.__name__:
                    return reason
    return ""


def degrades(error: BaseException, on_error: OnError) -> str:
    """Return the reason an error degrades the answer for, or an empty string when it is raised.

    Only an `Exception` ever degrades; a KeyboardInterrupt is always raised.
    """
    if on_error == "raise" or not isinstance(error, Exception):
        return ""
    reason = reason_of(error)
    if not reason and on_error == "degrade":
        return "permanent" if isinstance(error, PermanentError) else "error"
    return reason
