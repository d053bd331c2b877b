"""`runoff advise`: verdict, losses, window and next moves of a system on one page."""

from __future__ import annotations

from typing import Annotated

import typer

from runoff.cli._evaluate import (
    Asked,
    CacheOption,
    CollectionArgument,
    ReportOption,
    RerankerOption,
    SaveOption,
    SliceOption,
    SourcesOption,
    SplitOption,
    SystemOption,
    TopicsOption,
    slices_of,
    writable,
)
from runoff.cli._systems import collection_of, system_of, texts_of
from runoff.report._advice import advise as advised
from runoff.report._page import write

__all__ = ["advise"]


def advise(  # noqa: PLR0913, PLR0917 - options, which typer gives by name
    collection: CollectionArgument,
    system: SystemOption = None,
    sources: SourcesOption = "bm25,dense",
    reranker: RerankerOption = "runoff-mini",
    window: Annotated[int, typer.Option(help="Candidates scored: the widest looked at.")] = 100,
    depth: Annotated[int, typer.Option(help="Hits recorded of each source.")] = 200,
    slice_by: SliceOption = None,
    split: SplitOption = "test",
    topics: TopicsOption = None,
    save: SaveOption = None,
    cache: CacheOption = None,
    report: ReportOption = None,
) -> None:
    """Say whether the second stage helps, where quality is lost, and what to do next.

    Exit codes: 0, 1 for an error, 2 for a wrong argument.
    """
    told = None if system is None else system_of("system", system)
    judged = collection_of(collection, split=split, topics=topics, documents=told is None)
    slices = slices_of(judged, slice_by or [])
    writable(report=report)
    asked = Asked.of(
        judged,
        told,
        sources=sources,
        reranker=reranker,
        window=window,
        depth=depth,
        save=save,
        cache=cache,
        texts=True,
    )
    recording = asked.recorded("system")
    texts = None
    if judged.documents is None and not recording.setup.texts:
        texts = texts_of(collection, recording)
    advice = advised(recording, judged, slices=slices, texts=texts)
    if report is not None:
        write(advice, recording, judged, report)
    typer.echo(str(advice))
