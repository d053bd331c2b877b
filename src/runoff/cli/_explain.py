"""`runoff explain`: how one answer came about, or what became of one document."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from runoff._util.arguments import count
from runoff.cli import _show as show
from runoff.cli._demo import opened_index, pipeline_of
from runoff.cli._systems import system_of
from runoff.errors import InvalidArgument
from runoff.pipeline._systems import System
from runoff.types import Query

__all__ = ["explain"]


def explain(
    query: Annotated[str, typer.Argument(help="What is asked.")],
    doc_id: Annotated[
        str | None, typer.Option("--doc", help="Follow this document through the stages.")
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option(
            help="Ask your own folder of Markdown, text, JSONL or BEIR files.",
            show_default="the demo's documents",
        ),
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="Ask module:attribute, a system of yours.")
    ] = None,
    top_k: Annotated[int, typer.Option(help="Results to show.")] = 10,
    cache: Annotated[
        Path | None,
        typer.Option(help="Where the demo keeps its indexes.", show_default="your cache"),
    ] = None,
) -> None:
    """Tell how an answer came about: every stage, its time, and every result's place in it.

    An index that `runoff demo` built is used again. Exit codes: 0, 1 for an error, 2 for a wrong
    argument.
    """
    Query(query)
    count("top_k", top_k)
    if system is not None and path is not None:
        raise InvalidArgument("path", str(path), "is searched without --system")
    filters = None
    if system is None:
        pipeline = pipeline_of(opened_index(path, cache, show.TerminalReport()).index)
    else:
        found = system_of("system", system)
        if not isinstance(found, System):
            raise InvalidArgument("system", system, "answered already: name a system that can")
        pipeline, filters = found.pipeline, found.filters
    pipeline.warmup()
    typer.echo(pipeline.search(query, top_k=top_k, filters=filters).explain(doc_id))
