"""The demo's evaluation: its judged questions, recorded once beside the index."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from runoff._labels.collection import Collection
from runoff._recording.query import Stored
from runoff._recording.record import record
from runoff._recording.recording import Recording
from runoff.errors import InvalidArgument, RecordingDamaged, RecordingMismatch, RecordingTooNew
from runoff.report._advice import advise
from runoff.report._explorer.opened import explore
from runoff.report._page import write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runoff.demo._questions import Question
    from runoff.pipeline import TwoStage
    from runoff.recall._bm25.bm25 import BM25
    from runoff.report._advice import Advice

RECORDING = "recording"
REPORT = "report.html"
EXPLORER = "explorer.html"
_RECORDED = re.compile(r"manifest\.json|lock|part-\d{8}-\d{8}\.(parquet|partial)")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the judged questions show.

    Attributes:
        recording: the pipeline's answers to every question.
        advice: all findings.
        recorded: the day of an earlier recording; empty if it was recorded just now.
        report: the HTML report; None if it could not be written.
        explorer: the explorer as a file that needs no server; None likewise.
    """

    recording: Recording
    advice: Advice
    recorded: str
    report: Path | None
    explorer: Path | None


def judged(questions: Sequence[Question], bm25: BM25, name: str) -> Collection:
    """Return questions as a collection over the documents of an index."""
    return Collection(
        {one.query_id: one.text for one in questions},
        {one.query_id: one.relevant for one in questions},
        {one.doc_id: one for one in bm25.documents()},
        name=name,
    )


def evaluate(
    pipeline: TwoStage, collection: Collection, folder: Path, *, fresh: bool = False
) -> Evaluation:
    """Record the answer to every question, or reuse or resume an earlier recording.

    Questions are asked one at a time with the pipeline's own depth and window, so that latencies
    are those of a single search.

    Args:
        pipeline: has two or more sources and a reranker.
        collection: the judged questions.
        folder: where to keep the recording and the pages; if one cannot be written, a message on
            standard error says so.
        fresh: whether to discard an earlier recording.

    Raises:
        MissingExtra: ir-measures or pyarrow is not installed.
    """
    recording, recorded = _recorded(pipeline, collection, folder / RECORDING, fresh=fresh)
    advice = advise(recording, collection)
    report = _written(folder / REPORT, partial(write, advice, recording, collection))
    explorer = _written(folder / EXPLORER, partial(explore, recording, collection=collection))
    return Evaluation(recording, advice, recorded, report, explorer)


def _written(path: Path, write: Callable[[Path], object]) -> Path | None:
    try:
        write(path)
    except (InvalidArgument, OSError) as error:  # InvalidArgument if there is no such folder
        why = error.strerror if isinstance(error, OSError) else error
        sys.stderr.write(f"runoff: cannot write {path}: {why}\n")
        return None
    return path


def _recorded(
    pipeline: TwoStage, collection: Collection, path: Path, *, fresh: bool
) -> tuple[Recording, str]:
    """Return the recording, and its day if it is an earlier one."""
    try:
        if fresh:
            _forgotten(path)
        try:
            return _kept(pipeline, collection, path)
        except (InvalidArgument, RecordingDamaged, RecordingMismatch, RecordingTooNew):
            # InvalidArgument if only half of an older recording was deleted
            _forgotten(path)
            return _kept(pipeline, collection, path)
    except OSError as error:  # show the result of minutes of work nevertheless
        sys.stderr.write(f"runoff: cannot save the recording in {path}: {error.strerror}\n")
        return _record(pipeline, collection, None), ""


def _kept(pipeline: TwoStage, collection: Collection, path: Path) -> tuple[Recording, str]:
    began = _shards(path)
    found = _record(pipeline, collection, path)
    asked = {one.query_id: one for one in found}
    whole = Recording(found.setup, Stored([asked[query_id] for query_id in collection.queries]))
    if not began or began != _shards(path):
        return whole, ""
    made = max(shard.stat().st_mtime for shard in path.glob("*.parquet"))
    return whole, datetime.fromtimestamp(made, UTC).date().isoformat()


def _shards(path: Path) -> list[str]:
    return sorted(shard.name for shard in path.glob("*.parquet"))


def _record(pipeline: TwoStage, collection: Collection, path: Path | None) -> Recording:
    return record(
        pipeline, collection, pipeline.depth, path=path, window=pipeline.window, workers=1
    )


def _forgotten(path: Path) -> None:
    """Delete an earlier recording, and refuse a folder that holds anything else."""
    if not path.exists():
        return
    foreign = sorted(one.name for one in path.iterdir() if not _RECORDED.fullmatch(one.name))
    if path.is_symlink() or foreign:
        what = f"contains {foreign[0]!r}, which is" if foreign else "is a symbolic link and"
        raise InvalidArgument("cache", str(path), f"{what} not the demo's: choose another folder")
    shutil.rmtree(path)
