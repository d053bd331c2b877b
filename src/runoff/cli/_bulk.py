"""`runoff bulk`: score or embed whole Parquet files."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runoff._util.messages import number_of
from runoff.cli._options import JsonOption  # noqa: TC001 - typer reads it

if TYPE_CHECKING:
    from runoff._waiting.cluster import Executor
    from runoff.bulk import BulkSummary

bulk = typer.Typer(
    help="Score or embed whole Parquet files, on this machine or on a Ray cluster.",
    no_args_is_help=True,
)
Source = Annotated[Path, typer.Argument(help="A Parquet file, or a directory of them.")]
Output = Annotated[
    Path, typer.Argument(help="A new directory for Parquet files; an interrupted run resumes.")
]
Text = Annotated[str, typer.Option(help="The column with the documents' texts.")]
Rows = Annotated[int, typer.Option(help="Rows computed at a time: a killed worker loses no more.")]
Ray = Annotated[
    str | None,
    typer.Option(help='Compute on this Ray cluster: an address, or "local" to start one here.'),
]
Workers = Annotated[
    int | None, typer.Option(help="Processes on Ray, each with a model of its own on one core.")
]


@bulk.command()
def rerank(  # noqa: PLR0913, PLR0917 - options of the command line
    source: Source,
    output: Output,
    reranker: Annotated[
        str, typer.Option(help="default, or a cross-encoder's name or folder.")
    ] = "default",
    query: Annotated[str, typer.Option(help="The column with the queries.")] = "query",
    text: Text = "text",
    rows: Rows = 1000,
    ray: Ray = None,
    workers: Workers = None,
    as_json: JsonOption = False,
) -> None:
    """Score the pair of query and document in each row, in a new column rerank_score."""
    from runoff.bulk import rerank as run  # noqa: PLC0415 - --help needs no pyarrow

    work = partial(run, source, output, executor=_executor(ray), workers=workers, progress=True)
    _say(work(reranker=reranker, query=query, text=text, rows=rows), output, as_json=as_json)


@bulk.command()
def encode(  # noqa: PLR0913, PLR0917 - as above
    source: Source,
    output: Output,
    model: Annotated[str, typer.Option(help="An embedding model's name or folder.")] = (
        "all-MiniLM-L6-v2"
    ),
    text: Text = "text",
    vector: Annotated[str, typer.Option(help="The column to add.")] = "vector",
    rows: Rows = 1000,
    ray: Ray = None,
    workers: Workers = None,
    as_json: JsonOption = False,
) -> None:
    """Embed the text of each row, in a new column of vectors."""
    from runoff.bulk import encode as run  # noqa: PLC0415 - as above

    work = partial(run, source, output, executor=_executor(ray), workers=workers, progress=True)
    _say(work(embedder=model, text=text, vector=vector, rows=rows), output, as_json=as_json)


def _executor(ray: str | None) -> Executor:
    """Return the executor; an address goes where Ray looks for it."""
    if ray is None:
        return "local"
    os.environ["RAY_ADDRESS"] = ray
    return "ray"


def _say(summary: BulkSummary, output: Path, *, as_json: bool) -> None:
    """Print what became of the rows; exit with 1 if rows are missing."""
    if as_json:
        typer.echo(json.dumps(asdict(summary)))
    else:
        fresh = summary.rows - summary.resumed
        rate = (
            f", {number_of(round(fresh / summary.seconds), 'row')} a second"
            if summary.seconds and fresh
            else ""
        )
        typer.echo(f"{summary.computed:,} of {number_of(summary.rows, 'row')} in {output}{rate}")
        counted = {
            "computed by an earlier run": summary.resumed,
            "blank, with null as result": summary.blank,
            "lost text to the token limit": summary.truncated,
        }
        for what, rows in counted.items():
            if rows:
                typer.echo(f"  {rows:,} {what}")
        for note in summary.notes:
            typer.echo(f"  {note}")
    if summary.missing:
        why = "; ".join(summary.reasons) or "no reason given"
        sys.stderr.write(
            f"runoff: {number_of(summary.missing, 'row has', 'rows have')} no result ({why}): "
            "run again\n"
        )
        raise typer.Exit(1)
