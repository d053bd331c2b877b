"""The demo's judged questions, recorded once beside its index, and the advice they lead to."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runoff.errors import (
    RecordingDamaged,
    RecordingMismatch,
    RecordingNotFound,
    RecordingTooNew,
)
from runoff.evaluation.collection import Collection
from runoff.evaluation.measures import Evaluator
from runoff.evaluation.recorder import record
from runoff.evaluation.recording import Recording
from runoff.evaluation.stagewise import RERANKED, by_stage
from runoff.evaluation.verdicts import verdict
from runoff.report.advice import advise
from runoff.report.evaluation import write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runoff.demo.questions import Question
    from runoff.evaluation.verdicts import Verdict
    from runoff.pipeline import TwoStage
    from runoff.report.advice import Advice

__all__ = ["Evaluation", "Kept", "evaluate"]

_UNUSABLE = (RecordingDamaged, RecordingMismatch, RecordingNotFound, RecordingTooNew)
_RECORDING, _MADE, _PAGE = "recording", "made.json", "report.html"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the questions showed.

    Attributes:
        recording: every question, as deep as the demo's pipeline goes.
        advice: the measures after every stage, the verdict on the second one, losses and window.
        alone: the name of the better source by itself, and the verdict on two stages against it.
        made: when and on what it was recorded, for the reader.
        page: the same as one HTML file; None where it could not be written.
        earlier: whether all of it was recorded before.
    """

    recording: Recording
    advice: Advice
    alone: tuple[str, Verdict]
    made: dict[str, str]
    page: Path | None
    earlier: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """A folder with one recording of the demo's questions; one that was stopped goes on there.

    Args:
        path: the folder; it may be absent.
        key: what the recording is of; with any other it is not used.
    """

    path: Path
    key: str
    recording: Path = field(init=False)

    def __post_init__(self) -> None:
        """Name the recording."""
        object.__setattr__(self, "recording", self.path / _RECORDING)

    def made(self) -> dict[str, str] | None:
        """Return what was noted when the recording began; None where there is none."""
        try:
            found = json.loads((self.path / _MADE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found["made"] if found.get("key") == self.key else None

    def discard(self) -> None:
        """Throw away what is there; what cannot be removed stays."""
        shutil.rmtree(self.path, ignore_errors=True)

    def begin(self, made: dict[str, str]) -> None:
        """Throw away what is there, and note what the next recording is made on.

        Raises:
            OSError: the folder cannot be written.
        """
        if self.path.exists():
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True)
        partial = self.path / f"{_MADE}.partial"
        partial.write_text(json.dumps({"key": self.key, "made": made}), encoding="utf-8")
        partial.replace(self.path / _MADE)


def evaluate(
    pipeline: TwoStage, questions: Sequence[Question], made: dict[str, str], kept: Kept
) -> Evaluation:
    """Ask every question that was not asked yet, and find out what the second stage is worth.

    Args:
        pipeline: has two sources or more, and a reranker.
        questions: the judged questions.
        made: what to note about the run, if there is none yet.
        kept: where the recording is, or will be. Where nothing can be written it is made all the
            same, and kept nowhere.

    Raises:
        MissingExtra: ir-measures or pyarrow is not installed.
    """
    collection = Collection(
        {question.query_id: question.text for question in questions},
        {question.query_id: question.relevant for question in questions},
        name="the judged questions",
    )
    noted = kept.made()
    before = _done(kept)
    try:
        if noted is None:
            kept.begin(made)
        try:
            recording = _recorded(pipeline, collection, kept.recording)
        except _UNUSABLE:
            kept.begin(made)
            noted, before = None, 0
            recording = _recorded(pipeline, collection, kept.recording)
    except OSError:  # a full or read-only disk is no reason not to show it
        noted, before = None, 0
        recording = _recorded(pipeline, collection, None)
    advice = advise(recording, collection)
    page: Path | None
    try:
        page = kept.path / _PAGE
        write(advice, recording, collection, page)
    except OSError:
        page = None
    return Evaluation(
        recording,
        advice,
        _alone(recording, collection),
        noted or made,
        page,
        before == len(collection.queries),
    )


def _done(kept: Kept) -> int:
    try:
        return len(Recording.open(kept.recording)) if kept.made() is not None else 0
    except (*_UNUSABLE, OSError):
        return 0


def _recorded(pipeline: TwoStage, collection: Collection, path: Path | None) -> Recording:
    # one query at a time, so that its milliseconds are those of a query alone
    return record(
        pipeline,
        collection,
        pipeline.depth,
        window=pipeline.window,
        path=path,
        texts=True,
        workers=1,
    )


def _alone(recording: Recording, collection: Collection) -> tuple[str, Verdict]:
    runs = by_stage(recording)
    evaluator = Evaluator(collection)
    measured = {name: evaluator.evaluate(run) for name, run in runs.items()}
    first = next(iter(measured[RERANKED].values))
    best = max(recording.setup.sources, key=lambda name: measured[name].mean(first))
    return best, verdict(measured[best], measured[RERANKED])
