"""A program that tells errors apart as a user does: mypy reads it, nothing runs it."""

from __future__ import annotations

from typing import assert_type

from runoff import Response, TwoStage
from runoff.errors import (
    AuthenticationFailed,
    BadReply,
    CapExceeded,
    CircuitOpen,
    ConnectionFailed,
    DeadlineExceeded,
    DuplicateId,
    EmbeddingError,
    ExportFailed,
    FilterNotSupported,
    IndexDamaged,
    IndexNotFound,
    IndexTooNew,
    InvalidArgument,
    MalformedData,
    MissingExtra,
    ModelDamaged,
    ModelNotFound,
    PermanentError,
    PoolFull,
    RecallFailed,
    RecordingDamaged,
    RecordingMismatch,
    RecordingNotFound,
    RecordingTooNew,
    RequestRejected,
    ScoreKindMismatch,
    ServerFailed,
    TransientError,
)

AGAIN: tuple[type[TransientError], ...] = (
    BadReply,
    CircuitOpen,
    ConnectionFailed,
    DeadlineExceeded,
    PoolFull,
    RequestRejected,
    ServerFailed,
)
NEVER: tuple[type[PermanentError], ...] = (
    AuthenticationFailed,
    CapExceeded,
    EmbeddingError,
    ExportFailed,
    IndexDamaged,
    IndexNotFound,
    IndexTooNew,
    ModelDamaged,
    ModelNotFound,
    RecordingDamaged,
    RecordingMismatch,
    RecordingNotFound,
    RecordingTooNew,
    ScoreKindMismatch,
)


def search(pipeline: TwoStage, text: str) -> Response | str:
    try:
        return pipeline.search(text)
    except RecallFailed as error:
        assert_type(dict(error.failures), dict[str, BaseException])
        return ", ".join(f"{name}: {cause}" for name, cause in error.failures.items())
    except (DuplicateId, FilterNotSupported, InvalidArgument) as error:
        assert_type(error.argument, str)
        return repr(error.value)
    except AGAIN:
        return "try again"
    except (MalformedData, MissingExtra) as error:
        return f"mend this first: {error}"
    except NEVER as error:
        return str(error)
