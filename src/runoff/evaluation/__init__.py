"""Does the second stage help? Judged queries in, measures and a verdict out.

Names are imported when they are first used, so that nobody waits for a part they do not use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runoff.evaluation.collection import Collection
    from runoff.evaluation.measures import Evaluator, Measured, evaluate
    from runoff.evaluation.runs import read_run, read_scored_run, write_run
    from runoff.evaluation.slices import by_agreement, by_length, by_margin, by_script
    from runoff.evaluation.verdicts import Comparison, Verdict, verdict

__all__ = [
    "Collection",
    "Comparison",
    "Evaluator",
    "Measured",
    "Verdict",
    "by_agreement",
    "by_length",
    "by_margin",
    "by_script",
    "evaluate",
    "read_run",
    "read_scored_run",
    "verdict",
    "write_run",
]

_HOMES = {
    "Collection": "collection",
    "Comparison": "verdicts",
    "Evaluator": "measures",
    "Measured": "measures",
    "Verdict": "verdicts",
    "by_agreement": "slices",
    "by_length": "slices",
    "by_margin": "slices",
    "by_script": "slices",
    "evaluate": "measures",
    "read_run": "runs",
    "read_scored_run": "runs",
    "verdict": "verdicts",
    "write_run": "runs",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
