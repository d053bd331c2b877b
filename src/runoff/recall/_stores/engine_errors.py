"""Translates the errors of the engines' clients into runoff's."""

from __future__ import annotations

import re

from runoff._util.faults import reason_of
from runoff._util.messages import error_text
from runoff.errors import (
    AuthenticationFailed,
    BadReply,
    ConnectionFailed,
    DeadlineExceeded,
    EmbeddingError,
    IndexNotFound,
    PermanentError,
    PoolFull,
    RequestRejected,
    RunoffError,
    ServerFailed,
)

# of a status, a gRPC status, and Chroma's classes
_REFUSED = {401, 403, "UNAUTHENTICATED", "PERMISSION_DENIED"}
_REFUSED |= {"ChromaAuthError", "AuthorizationError", "UnauthorizedError"}
_GONE = {404, "NOT_FOUND", "NotFoundError", "InvalidCollectionException"}
_TRANSIENT = {
    one.reason: one
    for one in (
        *(BadReply, ConnectionFailed, DeadlineExceeded, PoolFull, RequestRejected, ServerFailed),
    )
}
# what derives from no built-in error; empty where trying again does not help
_BY_NAME = {
    "ConnectionTimeout": "timeout",
    "TlsError": "",
    "SSLError": "",
    "ConnectionError": "connection",
    "MilvusUnavailableException": "connection",
    "ResourceExhaustedResponse": "server_error",
}
_MILVUS_GONE = 100
# unavailable, out of memory, too many requests, rate limits
_MILVUS_BUSY = {2, 3, 4, 8, 9}
_GRPC = {
    "UNAVAILABLE": "connection",
    "DEADLINE_EXCEEDED": "timeout",
    "RESOURCE_EXHAUSTED": "server_error",
}
_BUSY = {408, 429}
_SERVER_FAULT = 500
_KEY = re.compile(r"\bauth check failure|unauthenticated|permission.?denied", re.IGNORECASE)
_DIMENSION = re.compile(r"dimension|\bdims?\b|vector size", re.IGNORECASE)
_MISSING = re.compile(
    r"(?:collection|index|table)\b.{0,120}(?:not found|n't exist|not exist)|index_not_found",
    re.IGNORECASE | re.DOTALL,
)


def named(error: Exception, doing: str) -> Exception:
    """Return runoff's error for one of a client's; an unknown error is returned as it is.

    Args:
        error: the error that was raised.
        doing: what it concerns, such as `"Qdrant collection 'docs'"`.
    """
    if isinstance(error, RunoffError):
        return error
    message = f"{doing}: {error_text(error)}"
    said = str(error)
    code = _code_of(error)
    stated = {getattr(error, "status_code", None), code, *_names(error)}
    if stated & _REFUSED or _KEY.search(said):
        return AuthenticationFailed(message)
    if stated & _GONE or code == _MILVUS_GONE or _MISSING.search(said):
        return IndexNotFound(message)
    reason = _reason_of(error, code)
    if reason in {"", RequestRejected.reason} and _DIMENSION.search(said):
        return EmbeddingError(message)
    if reason:
        return _TRANSIENT[reason](message)
    if _names(error) & {"UnsupportedProductError"}:
        return PermanentError(message)
    return error


def _code_of(error: Exception) -> object:
    """Return a number of Milvus, or the name of a gRPC status; an empty string without one."""
    code = getattr(error, "code", None)
    code = code() if callable(code) else code
    return code if isinstance(code, int) else getattr(code, "name", "")


def _reason_of(error: Exception, code: object) -> str:
    if isinstance(code, str) and code in _GRPC:
        return _GRPC[code]
    if "MilvusException" in _names(error):
        text = str(error).lower()
        if "connecting" in text or "closed channel" in text:
            return ConnectionFailed.reason
        if "deadline" in text or "timeout" in text:
            return DeadlineExceeded.reason
        return ServerFailed.reason if code in _MILVUS_BUSY else ""
    if "Could not connect to a Chroma server" in str(error):
        return ConnectionFailed.reason
    busy = isinstance(code, int) and (code >= _SERVER_FAULT or code in _BUSY)
    # chromadb raises a bare Exception for a reply that it cannot read, such as a proxy's
    if type(error) is Exception or (busy and "ChromaError" in _names(error)):
        return ServerFailed.reason
    for kind in type(error).__mro__:
        if kind.__module__ != "builtins" and kind.__name__ in _BY_NAME:
            return _BY_NAME[kind.__name__]
    source = getattr(error, "source", None)  # Qdrant's client keeps httpx's error there
    return reason_of(source if isinstance(source, Exception) else error)


def _names(error: Exception) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}
