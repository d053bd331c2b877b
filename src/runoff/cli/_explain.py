"""`runoff explain`: what each stage did to one answer or to one document."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from runoff._util.arguments import count
from runoff.cli._demo import open_documents, pipeline_over
from runoff.cli._output import TerminalReport
from runoff.cli._system import named_system
from runoff.errors import InvalidArgument
from runoff.pipeline._systems import System
from runoff.types import Query


def explain(
    query: Annotated[str, typer.Argument(help="The question to ask.")],
    doc_id: Annotated[
        str | None,
        typer.Option("--doc", help="Follow the document with this id through the stages."),
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option(
            help="Search this folder of Markdown, text, JSONL or BEIR files.",
            show_default="Python's documentation",
        ),
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="Ask your own system, named as module:attribute.")
    ] = None,
    top_k: Annotated[int, typer.Option(help="Results to show.")] = 10,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder for the demo's indexes.", show_default="the user's cache"),
    ] = None,
) -> None:
    """Show what each stage did to one answer: its latency, and the rank it gave every result.

    It reuses the index that `runoff demo` built.

    Exit codes: 0 success, 1 error, 2 wrong argument.
    """
    Query(query)
    count("top_k", top_k)
    if system is not None and path is not None:
        raise InvalidArgument("path", str(path), "cannot be combined with --system")
    filters = None
    if system is None:
        pipeline = pipeline_over(open_documents(path, cache, TerminalReport()).index)
    else:
        found = named_system("system", system)
        if not isinstance(found, System):
            remedy = "is a recording or a run file, which cannot answer a question: name a system"
            raise InvalidArgument("system", system, remedy)
        pipeline, filters = found.pipeline, found.filters
    pipeline.warmup()
    typer.echo(pipeline.search(query, top_k=top_k, filters=filters).explain(doc_id))
