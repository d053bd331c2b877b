"""`runoff demo`: two-stage retrieval at work, on Python's own documentation or on your files."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from runoff._util.arguments import count
from runoff.cli import _show as show
from runoff.errors import InvalidArgument
from runoff.types import Query

if TYPE_CHECKING:
    from runoff.demo._evaluation import Evaluation
    from runoff.demo._index import DemoIndex
    from runoff.pipeline import TwoStage

__all__ = ["Opened", "demo", "opened_index", "pipeline_of"]

# the first two of the judged questions, whichever way they come out
_LLAMA_INDEX_QUESTION = "how do I read a CSV file row by row as dictionaries?"
_LANGCHAIN_QUESTION = "break a sentence into words wherever there is white space"


def demo(
    question: Annotated[
        str | None, typer.Argument(help="Ask this one question instead of showing everything.")
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option(help="Ask your own folder of Markdown, text, JSONL or BEIR files."),
    ] = None,
    top_k: Annotated[int, typer.Option(help="Results to show for a question.")] = 5,
    fresh: Annotated[bool, typer.Option(help="Evaluate again although a record exists.")] = False,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print JSON to standard output.")
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option(help="Keep the indexes in this folder.", show_default="your cache"),
    ] = None,
) -> None:
    """Add a second stage to a plain retriever and see what it does.

    Without arguments: index the documentation of this Python, ask a plain LlamaIndex and a plain
    LangChain retriever before and after adding one line, evaluate on judged questions, and say what
    to do next. Exit codes: 0, 1 for an error, 2 for a wrong argument.
    """
    if path is not None and question is None:
        raise InvalidArgument("question", question, "ask something about the files of --path")
    if question is not None:
        Query(question)
    count("top_k", top_k)
    report = show.JsonReport() if json_output else show.TerminalReport()
    opened = opened_index(path, cache, report)
    report.indexed(opened.index, opened.what)
    pipeline = pipeline_of(opened.index)
    if question is not None:
        pipeline.warmup()
        report.answered(pipeline.search(question, top_k=top_k))
    else:
        _frameworks(opened.index, report)
        report.evaluated(_evaluation(opened, pipeline, fresh=fresh))
    report.finished()


@dataclass(frozen=True, slots=True)
class Opened:
    """An open index and what it holds, in words."""

    index: DemoIndex
    what: str


def opened_index(path: Path | None, cache: Path | None, report: show.Report) -> Opened:
    """Open the index of a folder, or of Python's documentation; build it where there is none."""
    from runoff.demo import _corpus as corpus  # noqa: PLC0415 - --help needs none of this
    from runoff.demo import _folder as folder  # noqa: PLC0415 - --help needs none of this
    from runoff.demo._index import cache_root, fingerprint, open_index  # noqa: PLC0415 - as above

    root = cache or cache_root()
    with report.progress() as progress:
        if path is None:
            name = f"python-{platform.python_version()}"
            key = fingerprint(name, platform.python_implementation())
            index = open_index(root / name, key, corpus.stdlib_documents, progress)
            what = f"the documentation of Python {platform.python_version()}"
        else:
            where = path.resolve()
            key = fingerprint(str(where), folder.folder_state(where))
            name = f"folder-{fingerprint(str(where))[:16]}"
            index = open_index(root / name, key, lambda: folder.folder_documents(where), progress)
            what = str(where)
    return Opened(index, what)


def pipeline_of(index: DemoIndex) -> TwoStage:
    """Return the two-stage pipeline over an index."""
    from runoff.pipeline import TwoStage  # noqa: PLC0415 - as above

    return TwoStage({"bm25": index.bm25, "dense": index.dense})


def _frameworks(index: DemoIndex, report: show.Report) -> None:
    from runoff.demo import _frameworks as frameworks  # noqa: PLC0415 - seconds to import

    report.compared(frameworks.llama_index(index, _LLAMA_INDEX_QUESTION))
    report.compared(frameworks.langchain(index, _LANGCHAIN_QUESTION))


def _evaluation(opened: Opened, pipeline: TwoStage, *, fresh: bool) -> Evaluation:
    from runoff.demo import _evaluation as evaluation  # noqa: PLC0415 - ir-measures is slow to import
    from runoff.demo import _questions as questions  # noqa: PLC0415 - ir-measures is slow to import

    index = opened.index
    collection = evaluation.judged(questions.load_questions(), index.bm25, opened.what)
    return evaluation.evaluate(pipeline, collection, index.path, fresh=fresh)
