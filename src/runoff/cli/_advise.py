"""`runoff advise`: verdict, losses, window and what to do next, on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from runoff.cli._built_in import built_in_pipeline
from runoff.cli._collection import (
    open_collection,
    open_questions,
    texts_beside,
    write_judge,
)
from runoff.cli._labels import Labels, with_labels
from runoff.cli._options import (
    CacheOption,
    CollectionArgument,
    JudgeOption,
    JudgmentsOption,
    ReportOption,
    RerankerOption,
    SaveOption,
    SliceOption,
    SourcesOption,
    SplitOption,
    SystemOption,
    TopicsOption,
    UnjudgedOption,
    check_writable,
    slicings,
)
from runoff.cli._system import Answers, named_system
from runoff.errors import InvalidArgument
from runoff.evaluation._recording.record import record
from runoff.evaluation._recording.recording import Recording
from runoff.pipeline._systems import as_system
from runoff.report._advice import advise as advised
from runoff.report._changed import changed
from runoff.report._page import write, write_changed

if TYPE_CHECKING:
    from pathlib import Path

    from runoff.cli._system import NamedSystem


@with_labels
def advise(  # noqa: PLR0913, PLR0917 - options, which typer gives by name
    collection: CollectionArgument,
    system: SystemOption = None,
    sources: SourcesOption = "bm25,dense",
    reranker: RerankerOption = "default",
    window: Annotated[int, typer.Option(help="The widest window to look at.")] = 100,
    depth: Annotated[int, typer.Option(help="Hits to record of each source.")] = 200,
    slice_by: SliceOption = None,
    split: SplitOption = "test",
    topics: TopicsOption = None,
    save: SaveOption = None,
    cache: CacheOption = None,
    report: ReportOption = None,
    unjudged: UnjudgedOption = None,
    judge: JudgeOption = None,
    judgments: JudgmentsOption = None,
    no_judgments: Annotated[
        bool,
        typer.Option(
            "--no-judgments",
            help="COLLECTION is a text file of questions, one per line, that nobody has judged.",
        ),
    ] = False,
    *,
    labels: Labels,
) -> None:
    """Find out whether the second stage helps, where quality is lost, and what to do next.

    With --no-judgments it shows what the second stage changes, and --judge writes what to judge.

    Exit codes: 0 success, 1 error, 2 wrong argument.
    """
    asked = None if system is None else named_system("system", system)
    if no_judgments:
        check_writable(report=report, judge=judge)
        _without_judgments(collection, asked, depth, window, save, report, judge)
        return
    judged = open_collection(
        collection,
        split=split,
        topics=topics,
        documents=asked is None,
        judgments=judgments,
        labels=labels,
    )
    slices = slicings(judged, slice_by or [])
    check_writable(report=report, judge=judge)
    if asked is None:
        asked = built_in_pipeline(
            judged, sources=sources, reranker=reranker, window=window, depth=depth, cache=cache
        )
    answers = Answers.of(asked, judged, depth=depth, window=window, save=save, texts=True)
    recording = answers.recorded("system")
    texts = None
    if judged.documents is None and not recording.setup.texts:
        texts = texts_beside(collection, recording)
    advice = advised(recording, judged, slices=slices, texts=texts, unjudged=unjudged)
    if judge is not None:
        write_judge("judge", advice.evaluated, judged, recording, judge)
    if report is not None:
        write(advice, recording, judged, report)
    typer.echo(str(advice))


def _without_judgments(
    name: str,
    asked: NamedSystem | None,
    depth: int,
    window: int,
    save: Path | None,
    report: Path | None,
    judge: Path | None,
) -> None:
    """Show what the second stage changes on questions that nobody judged."""
    if asked is None or isinstance(asked, dict):
        remedy = "must name a system that can be asked, or a recording: questions have no documents"
        raise InvalidArgument("system", asked and next(iter(asked)), remedy)
    if isinstance(asked, Recording):
        recording = asked
    else:
        system = as_system(asked)
        recording = record(
            system,
            open_questions(name),
            max(depth, system.pipeline.depth),
            path=save,
            window=max(window, system.pipeline.window),
            texts=save is None,
        )
    found = changed(recording)
    if judge is not None:
        found.to_csv(judge)
    if report is not None:
        write_changed(found, recording, report)
    typer.echo(str(found))
