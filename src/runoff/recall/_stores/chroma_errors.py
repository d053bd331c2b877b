"""Translates the errors of Chroma and its HTTP client into runoff's."""

from __future__ import annotations

from runoff._util.faults import reason_of
from runoff.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    DeadlineExceeded,
    EmbeddingError,
    IndexNotFound,
    RunoffError,
    ServerFailed,
)

_REFUSED = {"ChromaAuthError", "AuthorizationError", "UnauthorizedError"}
_GONE = {"NotFoundError", "InvalidCollectionException"}
_SERVER_FAULT = 500
_BUSY = {408, 429}


def named(error: Exception, doing: str) -> Exception:
    """Return runoff's error for one of Chroma's; an unknown error is returned as it is."""
    if isinstance(error, RunoffError):
        return error
    message = f"{doing}: {error}"
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _GONE:
        return IndexNotFound(message)
    if names & _REFUSED:
        return AuthenticationFailed(message)
    if "ChromaError" in names and "dimension" in str(error):
        return EmbeddingError(message)
    reason = reason_of(error)
    if reason == "connection" or "Could not connect to a Chroma server" in str(error):
        return ConnectionFailed(message)
    if reason == "timeout":
        return DeadlineExceeded(message)
    code = getattr(error, "code", None)
    status = code() if callable(code) else 0
    # chromadb raises a bare Exception for a reply that it cannot read, such as a proxy's
    if type(error) is Exception or status >= _SERVER_FAULT or status in _BUSY:
        return ServerFailed(message)
    return error
