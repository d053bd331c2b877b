"""`runoff explore`: one page for looking into search results."""

from __future__ import annotations

import webbrowser
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runoff._recording.recording import Recording
from runoff.cli._collection import open_collection
from runoff.cli._demo import open_documents, pipeline_over
from runoff.cli._options import (
    IndexesOption,
    JudgmentsOption,
    SplitOption,
    TopicsOption,
    check_writable,
)
from runoff.cli._output import TerminalReport
from runoff.cli._system import answering
from runoff.errors import InvalidArgument, RecordingNotFound
from runoff.pipeline._systems import as_system

if TYPE_CHECKING:
    from runoff.pipeline._systems import System
    from runoff.report._explorer.explorer import Explorer


def explore(  # noqa: PLR0913, PLR0917 - options, which typer gives by name
    what: Annotated[
        Path | None,
        typer.Argument(
            help="The folder of a recording, or the one that runoff.live.watch writes.",
            show_default="what `runoff demo` recorded",
        ),
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="Ask your own system too, named as module:attribute.")
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option(help="Ask this folder of Markdown, text, JSONL or BEIR files."),
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option(
            help="Judgments and documents: a BEIR folder, a TREC qrels file, a .csv, .tsv, .xlsx "
            "or .jsonl file, or ir_datasets:NAME."
        ),
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="Another recording of the same queries.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Save the grades given on the page in this CSV file, which `runoff evaluate "
            "--judgments` reads; its existing grades are kept.",
            show_default="grades are lost when it stops",
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="The port.", show_default="a free one")] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
    offline: Annotated[
        Path | None,
        typer.Option(help="Write one HTML file that needs no server, and stop."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds for one question to the system; 0 for no limit.")
    ] = 30.0,
    split: SplitOption = "test",
    topics: TopicsOption = None,
    judgments: JudgmentsOption = None,
    cache: IndexesOption = None,
) -> None:
    """Look into search results: before and after, losses, sliders, comparisons, judging.

    It serves one page on this machine only, until Ctrl-C; the address has a random token.

    Exit codes: 0 success, 1 error, 2 wrong argument.
    """
    from runoff.report._explorer.opened import opened  # noqa: PLC0415 - --help needs none of this

    check_writable(labels=labels, offline=offline)
    if system is not None and path is not None:
        raise InvalidArgument("path", str(path), "cannot be combined with --system")
    if not 0 <= timeout < float("inf"):
        raise InvalidArgument("timeout", timeout, "must be seconds, 0 or more")
    parts: dict[str, Any] = {} if what is None else _folder(what)
    if system is not None:
        parts["system"] = answering(system)
    elif path is not None:
        pipeline = pipeline_over(open_documents(path, cache, TerminalReport()).index)
        parts["system"] = as_system(pipeline)
    elif what is None:
        parts |= _demo(cache)
    if collection is not None:
        parts["collection"] = open_collection(
            collection, split=split, topics=topics, documents=True, judgments=judgments
        )
    elif judgments is not None:
        raise InvalidArgument("judgments", str(judgments), "needs --collection")
    if compare is not None:
        names = ("demo" if what is None else what.name, compare.name)
        parts |= {"other": Recording.open(compare), "names": names}
    explorer = opened(**parts, labels=labels, timeout=timeout or None)
    if offline is not None:
        from runoff.report._explorer.offline import write_offline  # noqa: PLC0415 - as above

        write_offline(explorer, offline)
        typer.echo(f"wrote {offline}")
        return
    _serve(explorer, port, parts.get("system"), open_it=not no_open)


def _folder(what: Path) -> dict[str, Any]:
    """Return the recording or the observations in a folder."""
    if not what.is_dir():
        raise InvalidArgument("what", str(what), "must be a folder of a recording or observations")
    try:
        return {"recording": Recording.open(what)}
    except RecordingNotFound:
        from runoff.live._observations import Observations  # noqa: PLC0415 - pyarrow is an extra

        try:
            return {"observations": Observations(what)}
        except RecordingNotFound:
            remedy = "contains neither a recording nor observations"
            raise InvalidArgument("what", str(what), remedy) from None


def _demo(cache: Path | None) -> dict[str, Any]:
    """Return the demo's system, with the recording of its questions if there is one."""
    from runoff.demo._evaluation import RECORDING, judged  # noqa: PLC0415 - as above
    from runoff.demo._questions import load_questions  # noqa: PLC0415 - as above

    found = open_documents(None, cache, TerminalReport())
    parts: dict[str, Any] = {
        "system": as_system(pipeline_over(found.index)),
        "collection": judged(load_questions(), found.index.bm25, found.what),
    }
    try:
        parts["recording"] = Recording.open(found.index.path / RECORDING)
    except RecordingNotFound:
        typer.echo("`runoff demo` has not recorded its questions yet, so they are asked live.")
    return parts


def _serve(explorer: Explorer, port: int, system: System | None, *, open_it: bool) -> None:
    from threading import Thread  # noqa: PLC0415 - as above

    from runoff.report._explorer.server import serve  # noqa: PLC0415 - starlette is an extra

    def prepare() -> None:
        if system is not None:
            system.pipeline.warmup()
        explorer.prepare()

    def ready(address: str) -> None:
        typer.echo(f"{address}\nCtrl-C stops it.")
        Thread(target=prepare, name="runoff-explorer", daemon=True).start()
        if open_it:
            webbrowser.open(address)

    serve(explorer, port, ready)
