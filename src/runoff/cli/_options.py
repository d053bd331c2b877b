"""The arguments that several commands share, and checks of their values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runoff.errors import InvalidArgument
from runoff.evaluation._measures.measures import MEASURES
from runoff.evaluation._verdict.slices import by_length, by_script

if TYPE_CHECKING:
    from runoff._labels.collection import Collection
    from runoff.evaluation._verdict.pairing import Slicing

CollectionArgument = Annotated[
    str,
    typer.Argument(
        help="A BEIR folder, a TREC qrels file, judgments as .csv, .tsv, .xlsx or .jsonl, or "
        "ir_datasets:NAME."
    ),
]
SystemOption = Annotated[
    str | None,
    typer.Option(
        help="What to measure: a saved recording, a TREC run file, or module:attribute.",
        show_default="the built-in pipeline",
    ),
]
SourcesOption = Annotated[
    str, typer.Option(help="First stage of the built-in pipeline: bm25, dense, or both.")
]
RerankerOption = Annotated[
    str,
    typer.Option(
        help="Second stage of the built-in pipeline: default, a cross-encoder's name, or none."
    ),
]
SplitOption = Annotated[str, typer.Option(help="Which judgments of a BEIR folder to use.")]
TopicsOption = Annotated[
    Path | None, typer.Option(help="The file of the queries, where COLLECTION is a qrels file.")
]
SaveOption = Annotated[
    Path | None,
    typer.Option(help="Save the recording in this folder; an interrupted run resumes there."),
]
CacheOption = Annotated[
    Path | None,
    typer.Option(help="Folder for cached embeddings.", show_default="the user's cache"),
]
SliceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--slice", help="Also compare by length, script or a label of the collection; repeatable."
    ),
]
PathOption = Annotated[
    Path | None,
    typer.Option(
        help="Search this folder of Markdown, text, JSONL or BEIR files.",
        show_default="Python's documentation",
    ),
]
IndexesOption = Annotated[
    Path | None,
    typer.Option(help="Folder for the demo's indexes.", show_default="the user's cache"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
UnjudgedOption = Annotated[
    float | None,
    typer.Option(
        help="The highest chance that a result without a judgment is relevant, 0 to 1.",
        show_default="1, or 0 where only relevant documents are listed",
    ),
]
JudgeOption = Annotated[
    Path | None,
    typer.Option(help="Write the documents to judge, the most decisive first, to this CSV file."),
]
JudgmentsOption = Annotated[
    Path | None,
    typer.Option(help="Add the judgments of this CSV file, such as the one that --judge wrote."),
]
MeasureOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A measure as ir-measures names it; repeatable, and the first decides.",
        show_default=", ".join(MEASURES),
    ),
]
BoundOption = Annotated[
    float | None,
    typer.Option(help="A difference proven to be at most this is no effect.", show_default="0.01"),
]
WorkersOption = Annotated[
    int, typer.Option(help="Questions asked at a time; 1 to read the milliseconds.")
]
ReportOption = Annotated[Path | None, typer.Option(help="Write an HTML report to this file.")]


def slicings(collection: Collection, names: list[str]) -> dict[str, Slicing]:
    """Return slicings by their names: `length`, `script`, or a label of the collection.

    Raises:
        InvalidArgument: the collection has no such label.
    """
    made = {"length": by_length, "script": by_script}
    known = {*made, *(label for given in collection.labels.values() for label in given)}
    for name in names:
        if name not in known:
            raise InvalidArgument("slice", name, f"must be one of {', '.join(sorted(known))}")
    return {
        name: made[name](collection.queries) if name in made else collection.slices(name)
        for name in names
    }


def check_writable(**files: Path | None) -> None:
    """Refuse output files that cannot be written, before minutes of work.

    Raises:
        InvalidArgument: a path is a folder, or its parent folder does not exist.
    """
    for option, path in files.items():
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise InvalidArgument(option, str(path), "must be a file in an existing folder")
