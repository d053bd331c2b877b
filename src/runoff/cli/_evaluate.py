"""`runoff evaluate`: how good a system is on judged queries, and whether a change helps."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, TypeGuard

import typer

from runoff._labels.remarks import degraded
from runoff._recording.runs import write_run
from runoff._util.messages import number_of
from runoff._util.text import snippet
from runoff.cli._built_in import built_in_pipeline
from runoff.cli._collection import open_collection, write_judge
from runoff.cli._labels import Labels, with_labels
from runoff.cli._options import (
    BoundOption,
    CacheOption,
    CollectionArgument,
    JsonOption,
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
from runoff.cli._output import printer
from runoff.cli._system import Answers, named_system
from runoff.errors import InvalidArgument
from runoff.evaluation._measures.measures import MEASURES, Evaluator
from runoff.evaluation._verdict.rivals import contest
from runoff.report._evaluated import evaluated
from runoff.report._page import report as write_report
from runoff.report._text import columns, folded, verdict_text

if TYPE_CHECKING:
    from runoff._recording.recording import Recording
    from runoff.report._evaluated import Evaluated

EXIT_HARM = 3


@with_labels
def evaluate(  # noqa: PLR0913, PLR0917 - options, which typer gives by name
    collection: CollectionArgument,
    system: SystemOption = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="What to compare with, in the same forms as --system.",
            show_default="the best of the system's own sources and fusions",
        ),
    ] = None,
    fail_on_harm: Annotated[
        bool, typer.Option(help="Exit with 3 if the system is proven worse than the baseline.")
    ] = False,
    sources: SourcesOption = "bm25,dense",
    reranker: RerankerOption = "default",
    window: Annotated[
        int,
        typer.Option(help="Candidates to rerank per query; more if --system reranks more."),
    ] = 50,
    depth: Annotated[
        int, typer.Option(help="Hits to ask of each source; more if --system asks for more.")
    ] = 100,
    measure: MeasureOption = None,
    slice_by: SliceOption = None,
    split: SplitOption = "test",
    topics: TopicsOption = None,
    save: SaveOption = None,
    save_run: Annotated[
        Path | None, typer.Option(help="Write the system's results to this TREC run file.")
    ] = None,
    cache: CacheOption = None,
    json_output: JsonOption = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a Markdown summary for a pull request.")
    ] = False,
    report: ReportOption = None,
    unjudged: UnjudgedOption = None,
    judge: JudgeOption = None,
    judgments: JudgmentsOption = None,
    bound: BoundOption = None,
    workers: WorkersOption = 4,
    *,
    labels: Labels,
) -> None:
    """Measure a system on judged queries and compare it with a baseline.

    Without --baseline a system with a second stage is compared with the best of its sources and of
    their fusions, chosen for each query on the other queries.

    Exit codes: 0 success, 1 error, 2 wrong argument, 3 proven harm with --fail-on-harm.
    """
    if json_output and markdown:
        raise InvalidArgument("markdown", markdown, "cannot be combined with --json")
    asked = None if system is None else named_system("system", system)
    old = None if baseline is None else named_system("baseline", baseline)
    judged = open_collection(
        collection,
        split=split,
        topics=topics,
        documents=asked is None,
        judgments=judgments,
        labels=labels,
    )
    slices = slicings(judged, slice_by or [])
    check_writable(report=report, save_run=save_run, judge=judge)
    measures = measure or MEASURES
    Evaluator(judged, measures)  # refuses an unknown measure before minutes of work
    if asked is None:
        asked = built_in_pipeline(
            judged, sources=sources, reranker=reranker, window=window, depth=depth, cache=cache
        )
    answers = Answers.of(
        asked,
        judged,
        depth=depth,
        window=window,
        save=save,
        texts=report is not None or judge is not None,
        workers=workers,
    )
    runs, before, after = dict(answers.runs), answers.before, answers.after
    if old is not None:
        previous = Answers.of(old, judged, depth=depth, window=window, workers=workers)
        before = "baseline" if previous.after in runs else previous.after
        runs = {before: previous.runs[previous.after]} | runs
    if fail_on_harm and before is None:
        raise InvalidArgument("fail_on_harm", fail_on_harm, "needs a --baseline to compare with")
    made = answers.recording
    found = evaluated(
        judged,
        runs,
        None if before is None else (before, after),
        measures=measures,
        slices=slices,
        notes=() if made is None else degraded(made),
        unjudged=unjudged,
        bound=bound,
        found=contest(made, judged, measures) if _staged(made) and old is None else None,
    )
    if save_run is not None:
        write_run(save_run, runs[after])
    if report is not None:
        recording = answers.recorded("report")
        write_report(
            recording,
            judged,
            report,
            measures=measures,
            slices=slices,
            unjudged=unjudged,
            bound=bound,
        )
    if judge is not None:
        write_judge(collection, found, judged, answers.recording, labels, judge)
    _show(found, json_output=json_output, markdown=markdown)
    if fail_on_harm and found.harmed:
        raise typer.Exit(EXIT_HARM)


def _staged(recording: Recording | None) -> TypeGuard[Recording]:
    return recording is not None and bool(recording.setup.steps)


def _show(found: Evaluated, *, json_output: bool, markdown: bool) -> None:
    """Print the measures and the verdict as JSON, as Markdown, or to the terminal."""
    if json_output:
        print(json.dumps(found.to_dict(), indent=2))  # noqa: T201 - the output
        return
    if markdown:
        print(found.markdown(), end="")  # noqa: T201 - the output
        return
    out, say = printer()
    queries = len(next(iter(found.measured.values())).query_ids)
    say(f"{snippet(found.collection, 100)}: {number_of(queries, 'judged query')}", "bold")
    say(columns(found.rows()))
    if found.verdict is not None and found.compared is not None:
        before, after = found.compared
        out.print()
        say(f"VERDICT, {after} against {before}", "bold")
        say(verdict_text(found.verdict))
    for note in found.remarks(beside_verdict=True):
        say(folded(snippet(note, 500)), "dim")
