"""Evaluation: search once, record everything, and answer every question from the recording."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runoff.evaluation.recorder import record
    from runoff.evaluation.recording import Content, Fate, RecordedQuery, Recording
    from runoff.evaluation.replay import Run, Runs, replay

__all__ = ["Content", "Fate", "RecordedQuery", "Recording", "Run", "Runs", "record", "replay"]

_MODULES = {
    "Content": "recording",
    "Fate": "recording",
    "RecordedQuery": "recording",
    "Recording": "recording",
    "Run": "replay",
    "Runs": "replay",
    "record": "recorder",
    "replay": "replay",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
