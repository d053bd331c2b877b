"""`runoff demo`: what a second stage does, on Python's own documentation or on your files."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from runoff._util.arguments import count
from runoff.cli._options import (  # noqa: TC001 - typer reads the annotations
    IndexesOption,
    JsonOption,
    PathOption,
)
from runoff.cli._output import JsonReport, Report, TerminalReport
from runoff.errors import InvalidArgument
from runoff.types import Query

if TYPE_CHECKING:
    from pathlib import Path

    from runoff.demo._evaluation import Evaluation
    from runoff.demo._index import DemoIndex
    from runoff.pipeline import TwoStage

# the first three judged questions, chosen before anybody saw the results
_LLAMA_INDEX_QUESTION = "how do I read a CSV file row by row as dictionaries?"
_LANGCHAIN_QUESTION = "break a sentence into words wherever there is white space"
_ALONE_QUESTION = "glue a list of strings together with commas in between"


def demo(
    question: Annotated[str | None, typer.Argument(help="Ask only this question.")] = None,
    path: PathOption = None,
    top_k: Annotated[int, typer.Option(help="Results to show for the question.")] = 5,
    fresh: Annotated[
        bool, typer.Option(help="Evaluate again, although an earlier recording exists.")
    ] = False,
    json_output: JsonOption = False,
    cache: IndexesOption = None,
) -> None:
    """See what a second stage does to search results, on Python's documentation or your files.

    Without arguments it indexes the documentation of this Python, asks LlamaIndex, LangChain and a
    pipeline of its own one question each, before and after one line, evaluates the result on judged
    questions, and says what to do next.

    Exit codes: 0 success, 1 error, 2 wrong argument.
    """
    if path is not None and question is None:
        raise InvalidArgument(
            "question", question, "give a question to ask about the files of --path"
        )
    if question is not None:
        Query(question)
    count("top_k", top_k)
    explore = "runoff explore" if cache is None else f"runoff explore --cache {quote(str(cache))}"
    report = JsonReport(explore) if json_output else TerminalReport(explore)
    opened = open_documents(path, cache, report)
    report.indexed(opened.index, opened.what)
    pipeline = pipeline_over(opened.index)
    if question is not None:
        pipeline.warmup()
        report.answered(pipeline.search(question, top_k=top_k))
    else:
        _frameworks(opened.index, report)
        report.evaluated(_evaluation(opened, pipeline, fresh=fresh))
    report.finished()


@dataclass(frozen=True, slots=True)
class Opened:
    """An open index and a description of its documents."""

    index: DemoIndex
    what: str


def open_documents(path: Path | None, cache: Path | None, report: Report) -> Opened:
    """Open the index of a folder or of Python's documentation, building it where needed."""
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


def pipeline_over(index: DemoIndex) -> TwoStage:
    from runoff.pipeline import TwoStage  # noqa: PLC0415 - as above

    return TwoStage({"bm25": index.bm25, "dense": index.dense})


def _frameworks(index: DemoIndex, report: Report) -> None:
    from runoff.demo import _frameworks as frameworks  # noqa: PLC0415 - seconds to import

    report.compared(frameworks.llama_index(index, _LLAMA_INDEX_QUESTION))
    report.compared(frameworks.langchain(index, _LANGCHAIN_QUESTION))
    report.compared(frameworks.alone(index, _ALONE_QUESTION))


def _evaluation(opened: Opened, pipeline: TwoStage, *, fresh: bool) -> Evaluation:
    from runoff.demo import _evaluation as evaluation  # noqa: PLC0415 - ir-measures is slow to import
    from runoff.demo import _questions as questions  # noqa: PLC0415 - ir-measures is slow to import

    index = opened.index
    collection = evaluation.judged(questions.load_questions(), index.bm25, opened.what)
    return evaluation.evaluate(pipeline, collection, index.path, fresh=fresh)
