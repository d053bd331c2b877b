"""What plots show of a finding, worked out once for pages and for charts: no markup in here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runoff.evaluation._ledger import ENTRIES
from runoff.evaluation._recording import FateCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runoff.evaluation._curve import Curve
    from runoff.evaluation._ledger import Ledger
    from runoff.evaluation._recording import Recording
    from runoff.evaluation._tune import Trial, Tuning

__all__ = [
    "MOST",
    "Scores",
    "Span",
    "Step",
    "ms",
    "recorded_how",
    "score_bins",
    "settings_shown",
    "stage_spans",
    "steps",
    "thinned",
    "window_marks",
]

MOST = 2000
"""Bars that a plot draws at most."""

_BINS = 30
_WHOLE = 100  # milliseconds from which no fraction is shown


class Step(NamedTuple):
    """One row of a waterfall: a whole starts at 0, and others are what is lost or gained."""

    name: str
    start: float
    end: float


class Scores(NamedTuple):
    """Histograms of scores over the same bins.

    Attributes:
        kind: what the scores are.
        edges: of the bins, one more than bins.
        counts: group of documents to pairs in each bin; a group without pairs is left out.
    """

    kind: str
    edges: list[float]
    counts: dict[str, list[int]]


class Span(NamedTuple):
    """How long one stage took, in milliseconds."""

    name: str
    p50: float
    p95: float


def thinned(many: int) -> list[int]:
    """Return the places of at most `MOST` of so many sorted values: evenly spread, both ends kept.

    Args:
        many: how many values there are, 1 or more.
    """
    kept = min(many, MOST)
    return [at * (many - 1) // max(1, kept - 1) for at in range(kept)]


def steps(ledger: Ledger) -> list[Step]:
    """Return the way from the ideal to what is achieved; entries without a loss are left out."""
    found, level = [Step("ideal", 0.0, ledger.ideal)], ledger.ideal
    for name, loss in ledger.entries.items():
        if loss:
            found.append(Step(ENTRIES[name], level, level - loss))
            level -= loss
    return [*found, Step("achieved", 0.0, ledger.achieved)]


def window_marks(curve: Curve) -> dict[str, int]:
    """Return the windows that stand out, by what they are."""
    if curve.configured == curve.recommended:
        return {"in use and recommended": curve.configured}
    return {"in use": curve.configured, "recommended": curve.recommended}


def settings_shown(tuning: Tuning) -> list[tuple[str, Trial]]:
    """Return the front and the settings that stand out, the best first, each with what it is.

    Those that do not stand out are called nothing.
    """
    called = {"in use": tuning.configured, "recommended": tuning.recommended}
    if tuning.chosen != tuning.recommended:
        called["chosen, not proven"] = tuning.chosen
    # settings have mappings in them, so that they have no hash
    unlike = {repr(one): one for one in (*tuning.front, *called.values())}
    return [
        (" and ".join(name for name, trial in called.items() if trial == one), one)
        for one in sorted(unlike.values(), key=lambda one: -one.quality)
    ]


def score_bins(recording: Recording, qrels: Mapping[str, Mapping[str, int]]) -> Scores | None:
    """Return how the last stage's scores are distributed, by what was judged of the document.

    Args:
        recording: what `record` made.
        qrels: query id to document id to grade; a document without a grade is unjudged.

    Returns:
        None where nothing was scored.
    """
    found: dict[str, list[float]] = {"relevant": [], "judged not relevant": [], "unjudged": []}
    kinds = set()
    for query in recording:
        grades = qrels.get(query.query_id, {})
        kinds.add(str(query.kind))
        for row in np.flatnonzero(query.fate == FateCode.RERANKED).tolist():
            score, grade = float(query.pair_score[row]), grades.get(query.doc_ids[row])
            if math.isfinite(score):
                judged = "relevant" if grade and grade > 0 else "judged not relevant"
                found["unjudged" if grade is None else judged].append(score)
    every = [score for scores in found.values() for score in scores]
    if not every:
        return None
    low, high = min(every), max(every)
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    counts = {
        name: np.histogram(scores, edges)[0].tolist() for name, scores in found.items() if scores
    }
    return Scores(", ".join(sorted(kinds)), edges.tolist(), counts)


def stage_spans(recording: Recording) -> list[Span]:
    """Return p50 and p95 of every stage and of the whole search, as they were recorded."""
    spent: dict[str, list[float]] = {}
    for query in recording:
        for stage in query.stages:
            name = f"{stage.stage} {stage.source}".strip()
            spent.setdefault(name, []).append(stage.latency_ms)
        spent.setdefault("whole search", []).append(query.outcome.spent_ms)
    return [Span(name, *_percentiles(taken)) for name, taken in spent.items()]


def recorded_how(recording: Recording) -> str:
    """Return what to bear in mind about recorded times, in a sentence."""
    setup = recording.setup
    return (
        f"Recorded with a depth of {setup.recorded_depth} and {setup.recorded_window} candidates "
        f"scored, where the system itself asks for {setup.depth} and {setup.window}; queries that "
        "were recorded side by side took longer than one alone."
    )


def ms(value: float) -> str:
    """Return milliseconds as they are shown."""
    return f"{value:.1f}" if value < _WHOLE else f"{value:.0f}"


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.percentile(values, (50, 95)).tolist()
    return low, high
