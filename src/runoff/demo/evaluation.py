"""The demo's judged questions asked of four systems at once: BM25, dense, their fusion, two stages.

One two-stage search per question holds all four orders: each source's ranks, the fused order and
the final one.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from runoff.evaluation.collection import Collection
from runoff.evaluation.measures import MEASURES, Evaluator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runoff.demo.questions import Question
    from runoff.pipeline import TwoStage
    from runoff.types import Response

__all__ = ["MEASURES", "SYSTEMS", "Comparison", "Evaluation", "evaluate", "load", "save"]

SYSTEMS = ("BM25", "dense", "hybrid", "two-stage")
_DEPTH = 100
_FORMAT = 1
_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the questions showed.

    Attributes:
        values: system to measure to one value per question, in the order of `query_ids`.
        latency_ms: stage to milliseconds per question.
        query_ids: the questions, in order.
        texts: the questions' texts.
        made: when, with what, on what; for the reader.
    """

    values: dict[str, dict[str, list[float]]]
    latency_ms: dict[str, list[float]]
    query_ids: list[str]
    texts: list[str]
    made: dict[str, str]

    def mean(self, system: str, measure: str) -> float:
        """Return the mean over all questions; one without results counts as zero."""
        return statistics.fmean(self.values[system][measure])

    def percentile(self, stage: str, percent: float) -> float:
        """Return a percentile of a stage's milliseconds."""
        return float(np.percentile(self.latency_ms[stage], percent))

    def compare(self, system: str, baseline: str, measure: str = "nDCG@10") -> Comparison:
        """Compare two systems question by question."""
        delta = np.subtract(self.values[system][measure], self.values[baseline][measure])
        draws = np.random.default_rng(0).integers(0, len(delta), (_RESAMPLES, len(delta)))
        low, high = np.percentile(delta[draws].mean(axis=1), (2.5, 97.5))
        order = np.argsort(delta, kind="stable")
        return Comparison(
            system,
            baseline,
            measure,
            float(delta.mean()),
            (float(low), float(high)),
            int((delta > 0).sum()),
            int((delta == 0).sum()),
            int((delta < 0).sum()),
            [(self.texts[at], float(delta[at])) for at in order[::-1][:3] if delta[at] > 0],
            [(self.texts[at], float(delta[at])) for at in order[:3] if delta[at] < 0],
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """One system against another, question by question.

    Attributes:
        system: the one that may be better.
        baseline: the one it is compared with.
        measure: by what.
        mean: mean difference.
        interval: 95% bootstrap interval of the mean over questions (10,000 resamples, percentile).
        wins: questions on which `system` is better.
        ties: questions without a difference.
        losses: questions on which it is worse.
        helped: the questions that gained most, with their difference.
        hurt: the questions that lost most, with their difference.
    """

    system: str
    baseline: str
    measure: str
    mean: float
    interval: tuple[float, float]
    wins: int
    ties: int
    losses: int
    helped: list[tuple[str, float]]
    hurt: list[tuple[str, float]]


def evaluate(
    pipeline: TwoStage,
    questions: Sequence[Question],
    made: dict[str, str],
    progress: Callable[[int, int], None],
) -> Evaluation:
    """Ask every question once and score the four orders by ir-measures.

    Args:
        pipeline: has the sources `"bm25"` and `"dense"` and a reranker.
        questions: the judged questions.
        made: what to record about the run.
        progress: called with how many questions are done and how many there are.

    Raises:
        MissingExtra: ir-measures is not installed.
    """
    runs: dict[str, dict[str, list[str]]] = {system: {} for system in SYSTEMS}
    latency: dict[str, list[float]] = {}
    pipeline.warmup()
    for done, question in enumerate(questions):
        progress(done, len(questions))
        response = pipeline.search(question.text, top_k=_DEPTH, depth=_DEPTH)
        for system, order in _orders(response).items():
            runs[system][question.query_id] = order[:_DEPTH]
        for stage in response.trace.stages:
            latency.setdefault(stage.source or stage.stage, []).append(stage.latency_ms)
        latency.setdefault("whole search", []).append(response.outcome.spent_ms)
    progress(len(questions), len(questions))
    collection = Collection(
        {question.query_id: question.text for question in questions},
        {question.query_id: question.relevant for question in questions},
    )
    evaluator = Evaluator(collection, MEASURES)
    measured = {system: evaluator.evaluate(run).values for system, run in runs.items()}
    return Evaluation(
        {
            system: {name: column.tolist() for name, column in values.items()}
            for system, values in measured.items()
        },
        latency,
        [question.query_id for question in questions],
        [question.text for question in questions],
        made,
    )


def _orders(response: Response) -> dict[str, list[str]]:
    fates = response.trace.fates

    def by_source(name: str) -> list[str]:
        placed = [
            (place.rank, fate.candidate.document.doc_id)
            for fate in fates
            for place in fate.candidate.placements
            if place.source == name
        ]
        return [doc_id for _, doc_id in sorted(placed)]

    fused = sorted(fates, key=lambda fate: fate.candidate.fusion_rank)
    return {
        "BM25": by_source("bm25"),
        "dense": by_source("dense"),
        "hybrid": [fate.candidate.document.doc_id for fate in fused],
        "two-stage": [result.doc_id for result in response],
    }


def save(evaluation: Evaluation, path: Path, key: str) -> None:
    """Write an evaluation beside its index; a process killed meanwhile leaves the old one."""
    record = {"format": _FORMAT, "key": key} | asdict(evaluation)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(record), encoding="utf-8")
    partial.replace(path)


def load(path: Path, key: str) -> Evaluation | None:
    """Return the evaluation written for this key, or None when there is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if record.pop("format", None) != _FORMAT or record.pop("key", None) != key:
        return None
    return Evaluation(**record)
