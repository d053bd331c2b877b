"""`runoff evaluate`: what a system is worth on judged queries, and whether a change helps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from runoff.cli._show import progress_bars
from runoff.cli._systems import built_in, collection_of, runs_of, system_of
from runoff.errors import InvalidArgument
from runoff.evaluation._measures import MEASURES, Evaluator
from runoff.evaluation._record import record
from runoff.evaluation._recording import Recording
from runoff.evaluation._remarks import check_recorded, degraded
from runoff.evaluation._runs import RERANKED, write_run
from runoff.evaluation._slices import by_length, by_script
from runoff.pipeline._systems import as_system
from runoff.report._evaluated import evaluated
from runoff.report._explain import snippet
from runoff.report._page import report as write_report
from runoff.report._plain import columns, folded, verdict_text

if TYPE_CHECKING:
    from runoff.cli._systems import Told
    from runoff.evaluation._collection import Collection
    from runoff.evaluation._measures import Run
    from runoff.evaluation._pairing import Slicing
    from runoff.report._evaluated import Evaluated

__all__ = ["EXIT_HARM", "Asked", "evaluate", "show_evaluated", "slices_of", "writable"]

EXIT_HARM = 3

CollectionArgument = Annotated[
    str,
    typer.Argument(
        help="A BEIR folder, a qrels file, .csv or .jsonl judgments, or ir_datasets:NAME."
    ),
]
SystemOption = Annotated[
    str | None,
    typer.Option(
        help="A saved recording, a run file, or module:attribute.", show_default="the built-in one"
    ),
]
SourcesOption = Annotated[str, typer.Option(help="First stage of the built-in pipeline.")]
RerankerOption = Annotated[
    str, typer.Option(help="Its second stage: a cross-encoder's name, or none.")
]
WindowOption = Annotated[
    int, typer.Option(help="Candidates scored of each query; no fewer than your --system reads.")
]
SplitOption = Annotated[str, typer.Option(help="Whose judgments of a BEIR folder.")]
TopicsOption = Annotated[Path | None, typer.Option(help="The queries of a qrels file.")]
SaveOption = Annotated[
    Path | None, typer.Option(help="Keep the recording here; a stopped one goes on.")
]
CacheOption = Annotated[
    Path | None, typer.Option(help="Keep embeddings in this folder.", show_default="your cache")
]
SliceOption = Annotated[
    list[str] | None,
    typer.Option("--slice", help="Compare by length, script or a label of yours; repeatable."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
ReportOption = Annotated[Path | None, typer.Option(help="Write a report in HTML here.")]


def evaluate(  # noqa: PLR0913, PLR0917 - options, which typer gives by name
    collection: CollectionArgument,
    system: SystemOption = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="What to compare with, named as --system is.", show_default="the first stage"
        ),
    ] = None,
    fail_on_harm: Annotated[
        bool, typer.Option(help="Exit with 3 where the system is proven worse than the baseline.")
    ] = False,
    sources: SourcesOption = "bm25,dense",
    reranker: RerankerOption = "runoff-mini",
    window: WindowOption = 50,
    depth: Annotated[int, typer.Option(help="Hits asked of each source; likewise.")] = 100,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            help="As ir-measures has it; repeatable, and the first decides.",
            show_default=", ".join(MEASURES),
        ),
    ] = None,
    slice_by: SliceOption = None,
    split: SplitOption = "test",
    topics: TopicsOption = None,
    save: SaveOption = None,
    save_run: Annotated[
        Path | None, typer.Option(help="Write the system's results as a run file.")
    ] = None,
    cache: CacheOption = None,
    json_output: JsonOption = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a summary for a pull request.")
    ] = False,
    report: ReportOption = None,
) -> None:
    """Measure a system on judged queries, and decide whether it is better than another.

    A system is compared with its own first stage unless --baseline names another. Exit codes: 0, 1
    for an error, 2 for a wrong argument, 3 for a proven harm with --fail-on-harm.
    """
    if json_output and markdown:
        raise InvalidArgument("markdown", markdown, "choose one of --json and --markdown")
    told = None if system is None else system_of("system", system)
    old = None if baseline is None else system_of("baseline", baseline)
    judged = collection_of(collection, split=split, topics=topics, documents=told is None)
    slices = slices_of(judged, slice_by or [])
    writable(report=report, save_run=save_run)
    Evaluator(judged, measure or MEASURES)  # a slip is told before minutes of work
    asked = Asked.of(
        judged,
        told,
        sources=sources,
        reranker=reranker,
        window=window,
        depth=depth,
        save=save,
        cache=cache,
        texts=report is not None,
    )
    runs = dict(asked.runs)
    before, after = asked.before, asked.after
    if old is not None:
        *_, (before, run) = runs_of(_recorded(old, judged, depth, window)).items()
        before = "baseline" if before in runs else before
        runs = {before: run} | runs
    if fail_on_harm and before is None:
        raise InvalidArgument("fail_on_harm", fail_on_harm, "needs a --baseline to compare with")
    compared = None if before is None else (before, after)
    found = evaluated(
        judged,
        runs,
        compared,
        measures=measure or MEASURES,
        slices=slices,
        notes=() if asked.recording is None else degraded(asked.recording),
    )
    if save_run is not None:
        write_run(save_run, runs[after])
    if report is not None:
        recording = asked.recorded("report")
        write_report(recording, judged, report, measures=measure or MEASURES, slices=slices)
    if json_output:
        print(json.dumps(found.to_dict(), indent=2))  # noqa: T201 - the output
    elif markdown:
        print(found.markdown(), end="")  # noqa: T201 - the output
    else:
        show_evaluated(found)
    if fail_on_harm and found.harmed:
        raise typer.Exit(EXIT_HARM)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a system answered to a collection.

    Attributes:
        recording: of the system; None where a run file is all there is.
        runs: names to runs, the system's answers last.
    """

    recording: Recording | None
    runs: dict[str, Run]

    @classmethod
    def of(  # noqa: PLR0913 - the options of two commands
        cls,
        collection: Collection,
        told: Told | None,
        *,
        sources: str,
        reranker: str,
        window: int,
        depth: int,
        save: Path | None,
        cache: Path | None,
        texts: bool,
    ) -> Asked:
        """Ask a system where it has not answered yet; None stands for the built-in pipeline.

        With `texts`, a recording that is not saved keeps the documents' texts in memory where the
        collection lacks them; what is saved never has any.

        Raises:
            InvalidArgument: an option has a value it cannot have.
        """
        if told is None:
            with progress_bars(Console(stderr=True)) as progress:
                told = built_in(
                    collection,
                    sources=sources,
                    reranker=reranker,
                    window=window,
                    depth=depth,
                    cache=cache,
                    progress=progress,
                )
        texts = texts and save is None and collection.documents is None
        answered = _recorded(told, collection, depth, window, save, texts=texts)
        recording = answered if isinstance(answered, Recording) else None
        return cls(recording, runs_of(answered))

    @property
    def after(self) -> str:
        """The name of what the system answers."""
        return list(self.runs)[-1]

    @property
    def before(self) -> str | None:
        """The name of its first stage; None where it has no second."""
        return list(self.runs)[-2] if self.after == RERANKED else None

    def recorded(self, argument: str) -> Recording:
        """Return the recording.

        Raises:
            InvalidArgument: there is none.
        """
        if self.recording is None:
            raise InvalidArgument(argument, self.after, "needs a recording: a run file has no more")
        return self.recording


def _recorded(
    told: Told,
    collection: Collection,
    depth: int,
    window: int,
    path: Path | None = None,
    *,
    texts: bool = False,
) -> Recording | dict[str, Run]:
    """Return what has answered already; record a system, no narrower than it is.

    Raises:
        InvalidArgument: the queries have no texts.
    """
    if isinstance(told, Recording):
        check_recorded(told, collection.qrels)
    if isinstance(told, Recording | dict):
        return told
    if all(query_id == text for query_id, text in collection.queries.items()):
        remedy = "the queries have no texts to ask: give the file with --topics"
        raise InvalidArgument("topics", None, remedy)
    own = as_system(told)
    depth, window = max(depth, own.pipeline.depth), max(window, own.pipeline.window)
    return record(own, collection, depth, path=path, window=window, texts=texts)


def slices_of(collection: Collection, names: list[str]) -> dict[str, Slicing]:
    """Return slicings by their names: `length`, `script`, or a label of the collection.

    Raises:
        InvalidArgument: there is no such label.
    """
    known = {"length": by_length, "script": by_script}
    return {
        name: known[name](collection.queries) if name in known else collection.slices(name)
        for name in names
    }


def writable(**files: Path | None) -> None:
    """Refuse a file that cannot be written, before minutes of work.

    Raises:
        InvalidArgument: it is a folder, or its folder is not there.
    """
    for option, path in files.items():
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise InvalidArgument(option, str(path), "must be a file in a folder that is there")


def show_evaluated(found: Evaluated) -> None:
    """Print the measures and the verdict to the terminal."""
    out = Console(highlight=False)

    def say(text: str, style: str = "") -> None:
        out.print(Text(text), style=style, soft_wrap=True)

    queries = len(next(iter(found.measured.values())).query_ids)
    say(f"{snippet(found.collection, 100)}: {queries} judged queries", "bold")
    say(columns(found.rows()))
    if found.verdict is not None and found.compared is not None:
        before, after = found.compared
        out.print()
        say(f"VERDICT, {after} against {before}", "bold")
        say(verdict_text(found.verdict))
    for note in found.remarks():
        say(folded(snippet(note, 500)), "dim")
