"""Does the second stage help? Queries recorded once, and every question answered from that.

Names are imported when they are first used, so that nobody waits for a part they do not use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runoff.evaluation.recorder import record
    from runoff.evaluation.recording import Content, Fate, RecordedQuery, Recording
    from runoff.evaluation.replays import AS_RECORDED, Ranking, Runs, replay

__all__ = [
    "AS_RECORDED",
    "Content",
    "Fate",
    "Ranking",
    "RecordedQuery",
    "Recording",
    "Runs",
    "record",
    "replay",
]

_HOMES = {
    "AS_RECORDED": "replays",
    "Content": "recording",
    "Fate": "recording",
    "Ranking": "replays",
    "RecordedQuery": "recording",
    "Recording": "recording",
    "Runs": "replays",
    "record": "recorder",
    "replay": "replays",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
