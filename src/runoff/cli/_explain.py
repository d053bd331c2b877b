"""`runoff explain`: what each stage did to one answer or to one document."""

from __future__ import annotations

from typing import Annotated

import typer

from runoff._util.arguments import count
from runoff.cli._demo import open_documents, pipeline_over
from runoff.cli._options import IndexesOption, PathOption  # noqa: TC001 - typer reads them
from runoff.cli._output import TerminalReport
from runoff.cli._system import answering
from runoff.errors import InvalidArgument
from runoff.types import Query


def explain(
    query: Annotated[str, typer.Argument(help="The question to ask.")],
    doc_id: Annotated[
        str | None,
        typer.Option("--doc", help="Follow the document with this id through the stages."),
    ] = None,
    path: PathOption = None,
    system: Annotated[
        str | None, typer.Option(help="Ask your own system, named as module:attribute.")
    ] = None,
    top_k: Annotated[int, typer.Option(help="Results to show.")] = 10,
    cache: IndexesOption = None,
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
        found = answering(system)
        pipeline, filters = found.pipeline, found.filters
    pipeline.warmup()
    typer.echo(pipeline.search(query, top_k=top_k, filters=filters).explain(doc_id))
