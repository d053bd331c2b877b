"""The numbers behind the plots, shared by the SVG of HTML pages and the Altair charts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runoff._labels.relevance import View
from runoff._recording.query import FateCode
from runoff.evaluation._ledger import ENTRIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff._recording.recording import Recording
    from runoff.evaluation._curve import Curve
    from runoff.evaluation._ledger import Ledger
    from runoff.evaluation._measures.measures import Judged
    from runoff.evaluation._tune import Trial, Tuning

MOST = 2000
"""The most bars that a plot draws."""

_BINS = 30
_WHOLE = 100  # from this many milliseconds on, no fraction is shown


class Step(NamedTuple):
    """One row of a waterfall: a total starts at 0; any other row is a loss or a gain."""

    name: str
    start: float
    end: float


class Scores(NamedTuple):
    """Histograms of scores over the same bins.

    Attributes:
        kind: the kind of score.
        edges: the edges of the bins, one more than there are bins.
        counts: group of documents to its pairs in each bin; a group without pairs is left out.
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
    """Return the positions of at most `MOST` of `many` values, evenly spread, with both ends.

    Args:
        many: the number of values, 1 or more.
    """
    kept = min(many, MOST)
    return [at * (many - 1) // max(1, kept - 1) for at in range(kept)]


def steps(ledger: Ledger) -> list[Step]:
    """Return the steps from the ideal to the achieved value, without the entries of no loss."""
    found, level = [Step("ideal", 0.0, ledger.ideal)], ledger.ideal
    for name, loss in ledger.entries.items():
        if loss:
            found.append(Step(ENTRIES[name], level, level - loss))
            level -= loss
    return [*found, Step("achieved", 0.0, ledger.achieved)]


def window_marks(curve: Curve) -> dict[str, int]:
    """Return the windows to mark, by their label."""
    if curve.configured == curve.recommended:
        return {"in use and recommended": curve.configured}
    return {"in use": curve.configured, "recommended": curve.recommended}


def settings_shown(tuning: Tuning) -> list[tuple[str, Trial]]:
    """Return the settings to show, the best first, each with its label.

    They are the settings on the front, most of which have an empty label, and those in use,
    recommended or chosen.
    """
    called = {"in use": tuning.configured, "recommended": tuning.recommended}
    if tuning.chosen != tuning.recommended:
        called["chosen, not proven"] = tuning.chosen
    # by repr, since settings contain mappings and have no hash
    unlike = {repr(one): one for one in (*tuning.front, *called.values())}
    return [
        (" and ".join(name for name, trial in called.items() if trial == one), one)
        for one in sorted(unlike.values(), key=lambda one: -one.quality)
    ]


def score_bins(recording: Recording, collection: Judged) -> Scores | None:
    """Return histograms of the last stage's scores, by the document's judgment.

    Args:
        recording: the recorded system.
        collection: has the judgments; a document without a grade is unjudged.

    Returns:
        None where nothing was scored.
    """
    view = View(collection)
    found: dict[str, list[float]] = {"relevant": [], "judged not relevant": [], "unjudged": []}
    kinds = set()
    for query in recording:
        grades = view.graded(query.query_id, query.doc_ids)
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
    """Return the recorded p50 and p95 of every stage and of the whole search."""
    spent: dict[str, list[float]] = {}
    for query in recording:
        for stage in query.stages:
            source = "" if stage.stage == "fusion" else stage.source
            name = f"{stage.stage} {source}".strip()
            spent.setdefault(name, []).append(stage.latency_ms)
        spent.setdefault("whole search", []).append(query.outcome.spent_ms)
    return [Span(name, *_percentiles(taken)) for name, taken in spent.items()]


def recorded_how(recording: Recording) -> str:
    """Return how the recorded times differ from those of the system in use."""
    setup = recording.setup
    return (
        f"Recorded with depth {setup.recorded_depth} and window {setup.recorded_window}; the "
        f"system itself uses {setup.depth} and {setup.window}. Queries that were recorded "
        "concurrently took longer than a single one would."
    )


def ms(value: float) -> str:
    """Return milliseconds as text."""
    return f"{value:.1f}" if value < _WHOLE else f"{value:.0f}"


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.percentile(values, (50, 95)).tolist()
    return low, high
