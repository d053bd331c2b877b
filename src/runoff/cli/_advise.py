"""`runoff advise`: verdict, losses, window and what to do next, on one page."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from runoff._recording.record import record
from runoff._recording.recording import Recording
from runoff.cli._built_in import built_in_pipeline
from runoff.cli._collection import (
    open_collection,
    open_questions,
    texts_beside,
    told_of_texts,
    write_judge,
)
from runoff.cli._labels import Labels, with_labels
from runoff.cli._options import (
    BoundOption,
    CacheOption,
    CollectionArgument,
    JudgeOption,
    JudgmentsOption,
    MeasureOption,
    ReportOption,
    RerankerOption,
    SaveOption,
    SliceOption,
    SourcesOption,
    SplitOption,
    SystemOption,
    TopicsOption,
    UnjudgedOption,
    WorkersOption,
    check_writable,
    slicings,
)
from runoff.cli._system import Answers, named_system, saved
from runoff.errors import InvalidArgument
from runoff.evaluation._measures.measures import MEASURES, Evaluator
from runoff.evaluation._tune import tune as best_settings
from runoff.pipeline._systems import as_system
from runoff.report._advice import advise as advised
from runoff.report._changed import changed
from runoff.report._page import write, write_changed

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    measure: MeasureOption = None,
    bound: BoundOption = None,
    workers: WorkersOption = 4,
    tune: Annotated[bool, typer.Option("--tune", help="Also say which settings to run.")] = False,
    reference: Annotated[
        Path | None, typer.Option(help="A saved recording: what has changed since?")
    ] = None,
    repeat: Annotated[
        list[Path] | None,
        typer.Option(help="A further recording of --reference's system; repeatable."),
    ] = None,
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
    since = saved("reference", reference)
    again = [one for path in repeat or () if (one := saved("repeat", path)) is not None]
    check_writable(report=report, judge=judge)
    if no_judgments:
        given = {"slice": slice_by, "unjudged": unjudged, "judgments": judgments}
        _refuse(given | {"measure": measure, "bound": bound, "tune": tune or None} | labels.said())
        recording = _questions(collection, asked, depth, window, save, workers)
        found = changed(recording, texts=labels.texts(), reference=since, repeats=again)
        if judge is not None:
            found.to_csv(judge)
            told_of_texts(judge, any(row[-1] for row in found.judge[1:]))
        if report is not None:
            write_changed(found, recording, report)
        typer.echo(str(found))
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
    measures = measure or MEASURES
    Evaluator(judged, measures)  # refuses an unknown measure before minutes of work
    if asked is None:
        asked = built_in_pipeline(
            judged, sources=sources, reranker=reranker, window=window, depth=depth, cache=cache
        )
    answers = Answers.of(
        asked, judged, depth=depth, window=window, save=save, texts=True, workers=workers
    )
    recording = answers.recorded("system")
    texts = None
    if judged.documents is None and not recording.setup.texts:
        texts = texts_beside(collection, {one for query in recording for one in query.doc_ids})
    advice = advised(
        recording,
        judged,
        measures=measures,
        slices=slices,
        tuning=best_settings(recording, judged, measure=measures[0]) if tune else None,
        texts=texts,
        unjudged=unjudged,
        bound=bound,
        reference=since,
        repeats=again,
    )
    if judge is not None:
        write_judge(collection, advice.evaluated, judged, recording, labels, judge)
    if report is not None:
        write(advice, recording, judged, report)
    typer.echo(str(advice))


def _refuse(given: Mapping[str, object]) -> None:
    for name, value in given.items():
        if value is not None:
            option = name.replace("_", "-")
            remedy = f"--{option} needs judgments, but --no-judgments says that there are none"
            raise InvalidArgument(name, value, remedy)


def _questions(
    name: str,
    asked: NamedSystem | None,
    depth: int,
    window: int,
    save: Path | None,
    workers: int,
) -> Recording:
    """Return the recording of a system's answers to questions that nobody judged."""
    if asked is None or isinstance(asked, dict):
        remedy = "must name a system that can be asked, or a recording: questions have no documents"
        raise InvalidArgument("system", asked and next(iter(asked)), remedy)
    questions = open_questions(name)
    if isinstance(asked, Recording):
        known = {query.text.strip() for query in asked}
        absent = [one for one in questions if one not in known]
        if absent:
            remedy = f"the recording lacks {len(absent)} of these questions: record them first"
            raise InvalidArgument("collection", absent[0], remedy)
        return asked
    system = as_system(asked)
    return record(
        system,
        questions,
        max(depth, system.pipeline.depth),
        path=save,
        window=max(window, system.pipeline.window),
        texts=save is None,
        workers=workers,
    )
