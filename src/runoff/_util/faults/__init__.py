"""Which errors degrade an answer and which are raised."""

from runoff._util.faults.judge import (
    OnError,
    check_on_error,
    degrades,
    is_permanent,
    lacks,
    reason_of,
    unreadable,
)

__all__ = [
    "OnError",
    "check_on_error",
    "degrades",
    "is_permanent",
    "lacks",
    "reason_of",
    "unreadable",
]
