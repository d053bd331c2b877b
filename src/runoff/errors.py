"""Every error runoff raises, in one tree.

```
RunoffError
├── InvalidArgument (ValueError)       a wrong argument: names it, its value and the remedy
│   ├── DuplicateId                    one id, two texts, while indexing
│   └── FilterNotSupported             a source cannot honour this filter exactly
├── MalformedData (ValueError)         data that cannot be read: names file and line
├── MissingExtra (ImportError)         an optional dependency is absent: names the pip command
├── PermanentError                     trying again cannot help: raises unless on_error="degrade"
│   ├── ModelNotFound                  no such model directory, name or file
│   ├── ModelDamaged                   a model file that cannot be read, or whose checksum differs
│   ├── ExportFailed                   a model that cannot be exported as it is
│   ├── IndexNotFound                  no index in this directory
│   ├── IndexDamaged                   an index directory that is foreign, incomplete or altered
│   ├── IndexTooNew                    an index written by a newer version of runoff
│   ├── RecordingNotFound              no recording in this directory
│   ├── RecordingDamaged               a recording has a file that cannot be read
│   ├── RecordingTooNew                a recording written by a newer version of runoff
│   ├── RecordingMismatch              a recording of another system or of other queries
│   ├── EmbeddingError                 vectors of the wrong shape, or with NaN or infinity in them
│   ├── AuthenticationFailed           a missing or refused key
│   ├── CapExceeded                    a query would use more than its cap allows
│   └── ScoreKindMismatch              a threshold made for another kind of score or another model
├── TransientError                     trying again may help: degrades unless on_error="raise"
│   ├── DeadlineExceeded (TimeoutError)
│   ├── ConnectionFailed               refused or reset
│   ├── ServerFailed                   408, 429, 5xx
│   ├── BadReply                       short, long, duplicate, out-of-range or non-finite scores
│   ├── RequestRejected                400, 413, 422: the server refuses this data
│   ├── PoolFull                       every worker thread is busy
│   └── CircuitOpen                    a server that failed recently is not called for a while
└── RecallFailed                       no source answered; `.failures` names each one's error
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.messages import error_text, short_repr, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AuthenticationFailed",
    "BadReply",
    "CapExceeded",
    "CircuitOpen",
    "ConnectionFailed",
    "DeadlineExceeded",
    "DuplicateId",
    "EmbeddingError",
    "ExportFailed",
    "FilterNotSupported",
    "IndexDamaged",
    "IndexNotFound",
    "IndexTooNew",
    "InvalidArgument",
    "MalformedData",
    "MissingExtra",
    "ModelDamaged",
    "ModelNotFound",
    "PermanentError",
    "PoolFull",
    "RecallFailed",
    "RecordingDamaged",
    "RecordingMismatch",
    "RecordingNotFound",
    "RecordingTooNew",
    "RequestRejected",
    "RunoffError",
    "ScoreKindMismatch",
    "ServerFailed",
    "TransientError",
]


class RunoffError(Exception):
    """Base of every error runoff raises."""

    def __str__(self) -> str:
        """Return the message without control characters: it may quote a server or a name."""
        return visible(super().__str__())


class InvalidArgument(RunoffError, ValueError):
    """An argument has an invalid value.

    Args:
        argument: its name, such as `"depth"`.
        value: what was given; its `repr` is shown, shortened.
        remedy: what to pass instead, as a sentence without its subject.
    """

    def __init__(self, argument: str, value: object, remedy: str) -> None:
        super().__init__(f"{argument}={short_repr(value)}: {remedy}")
        self.argument = argument
        self.value = value
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[InvalidArgument], tuple[str, object, str]]:
        """Rebuild from the three arguments, so that the error survives pickling."""
        return type(self), (self.argument, self.value, self.remedy)


class DuplicateId(InvalidArgument):
    """The same id was given to two documents with different text while indexing."""


class FilterNotSupported(InvalidArgument):
    """A source cannot apply this filter exactly, and filters are never ignored."""


class MalformedData(RunoffError, ValueError):
    """Queries, judgments or results that cannot be read.

    Args:
        where: the place, such as `"qrels.tsv line 7"`.
        found: what was found there; its `repr` is shown, shortened.
        remedy: what is wrong, or what was expected.
    """

    def __init__(self, where: str, found: object, remedy: str) -> None:
        super().__init__(f"{where}: {short_repr(found)}: {remedy}")
        self.where = where
        self.found = found
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[MalformedData], tuple[str, object, str]]:
        """Rebuild from the three arguments, so that the error survives pickling."""
        return type(self), (self.where, self.found, self.remedy)


class MissingExtra(RunoffError, ImportError):
    """An optional dependency is not installed.

    Args:
        package: the missing package, such as `"chromadb"`.
        extra: the extra of runoff that installs it, such as `"chroma"`.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f'{package} is not installed: pip install "runoff[{extra}]"')
        self.package = package
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        """Rebuild from the two arguments, so that the error survives pickling."""
        return type(self), (self.package, self.extra)


class PermanentError(RunoffError):
    """Trying again cannot help."""


class ModelNotFound(PermanentError):
    """No such model directory, model name or model file."""


class ModelDamaged(PermanentError):
    """A model file cannot be read, or its checksum is not the recorded one."""


class ExportFailed(PermanentError):
    """A model cannot be exported to ONNX, or its ONNX file returns different scores."""


class IndexNotFound(PermanentError):
    """There is no index in this directory."""


class IndexDamaged(PermanentError):
    """A directory contains something other than an index, or the index is incomplete or altered."""


class IndexTooNew(PermanentError):
    """An index was written by a newer version of runoff."""


class RecordingNotFound(PermanentError):
    """There is no recording in this directory."""


class RecordingDamaged(PermanentError):
    """A file of a recording cannot be read."""


class RecordingTooNew(PermanentError):
    """A recording was written by a newer version of runoff."""


class RecordingMismatch(PermanentError):
    """A recording cannot be continued: it was made with a different system or different queries."""


class EmbeddingError(PermanentError):
    """An embedding callable returned the wrong shape, NaN or infinity."""


class AuthenticationFailed(PermanentError):
    """A key is missing or was refused."""


class CapExceeded(PermanentError):
    """A query would use more than its cap allows, and the cap is set to raise."""


class ScoreKindMismatch(PermanentError):
    """A threshold was made for another kind of score or another model."""


class TransientError(RunoffError):
    """Trying again may help.

    `reason` is the short, stable word that `Degradation.reason` carries.
    """

    reason = "transient"


class DeadlineExceeded(TransientError, TimeoutError):
    """The time budget ran out."""

    reason = "timeout"


class ConnectionFailed(TransientError):
    """A connection was refused or reset."""

    reason = "connection"


class ServerFailed(TransientError):
    """A server answered 408, 429 or 5xx; `retry_after` is how many seconds it asks us to wait."""

    reason = "server_error"
    retry_after: float | None = None


class BadReply(TransientError):
    """A reply has missing, extra or repeated items, or scores that are not finite."""

    reason = "bad_reply"


class RequestRejected(TransientError):
    """A server rejected this data (400, 413, 422), or would reject it, so it was not sent."""

    reason = "request_rejected"


class PoolFull(TransientError):
    """Every worker thread is busy, or the process has no thread or file descriptor left."""

    reason = "pool_full"


class CircuitOpen(TransientError):
    """A server failed recently, so it is not called for a while."""

    reason = "circuit_open"


class RecallFailed(RunoffError):
    """No source answered.

    Args:
        failures: each source's name and its error, in the order declared.
    """

    def __init__(self, failures: Mapping[str, BaseException]) -> None:
        listed = "; ".join(f"{name}: {error_text(error)}" for name, error in failures.items())
        super().__init__(f"no source answered ({listed})")
        self.failures = dict(failures)

    def __reduce__(self) -> tuple[type[RecallFailed], tuple[dict[str, BaseException]]]:
        """Rebuild from the failures, so that the error survives pickling."""
        return type(self), (self.failures,)
