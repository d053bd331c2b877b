"""`runoff demo`: what a second stage does, on Python's own documentation or on your files."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
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
    from runoff.demo._evaluation import Evaluation
    from runoff.demo._index import DemoIndex, Words
    from runoff.pipeline import TwoStage

# the first three judged questions, chosen before anybody saw the results
_ALONE_QUESTION = "how do I read a CSV file row by row as dictionaries?"
_LLAMA_INDEX_QUESTION = "break a sentence into words wherever there is white space"
_LANGCHAIN_QUESTION = "glue a list of strings together with commas in between"


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

    Without arguments it indexes the documentation of this Python, asks a pipeline of its own,
    LlamaIndex and LangChain one question each, before and after one line, evaluates the result on
    judged questions, and says what to do next.

    Exit codes: 0 success, 1 error, 2 wrong argument.
    """
    if path is not None and question is None:
        raise InvalidArgument(
            "question", question, "give a question to ask about the files of --path"
        )
    if question is not None:
        Query(question)
    count("top_k", top_k)
    options = "" if cache is None else f" --cache {quote(str(cache))}"
    report = (JsonReport if json_output else TerminalReport)(_program(), options)
    from runoff.demo import _frameworks as frameworks  # noqa: PLC0415 - --help needs none of this

    if question is None:
        frameworks.check_installed()
    words, what = _open_words(path, cache, report)
    report.opened(words, what)
    if question is None:
        report.compared(frameworks.alone(words.bm25, _ALONE_QUESTION))
    opened = Opened(_open_vectors(words, report), what)
    report.embedded(opened.index)
    pipeline = pipeline_over(opened.index)
    if question is not None:
        pipeline.warmup()
        report.answered(pipeline.search(question, top_k=top_k))
    else:
        report.compared(frameworks.llama_index(opened.index, _LLAMA_INDEX_QUESTION))
        report.compared(frameworks.langchain(opened.index, _LANGCHAIN_QUESTION))
        report.evaluated(_evaluation(opened, pipeline, fresh=fresh))
    report.finished()


def _program() -> str:
    """Return how to call this program again: with its path, where the shell would not find it."""
    called = sys.argv[0]
    found = shutil.which("runoff") is not None or Path(called).name != "runoff"
    return "runoff" if found else quote(called)


@dataclass(frozen=True, slots=True)
class Opened:
    """An open index and a description of its documents."""

    index: DemoIndex
    what: str


def open_documents(path: Path | None, cache: Path | None, report: Report) -> Opened:
    """Open the index of a folder or of Python's documentation, building it where needed."""
    words, what = _open_words(path, cache, report)
    return Opened(_open_vectors(words, report), what)


def _open_words(path: Path | None, cache: Path | None, report: Report) -> tuple[Words, str]:
    from runoff.demo import _corpus as corpus  # noqa: PLC0415 - --help needs none of this
    from runoff.demo import _folder as folder  # noqa: PLC0415 - --help needs none of this
    from runoff.demo._index import cache_root, fingerprint, open_words  # noqa: PLC0415 - as above

    root = cache or cache_root()
    with report.progress() as progress:
        if path is None:
            name = f"python-{platform.python_version()}"
            key = fingerprint(name, platform.python_implementation())
            words = open_words(root / name, key, corpus.stdlib_documents, progress)
            return words, f"the documentation of Python {platform.python_version()}"
        where = path.resolve()
        key = fingerprint(str(where), folder.folder_state(where))
        name = f"folder-{fingerprint(str(where))[:16]}"
        words = open_words(root / name, key, lambda: folder.folder_documents(where), progress)
        return words, str(where)


def _open_vectors(words: Words, report: Report) -> DemoIndex:
    from runoff.demo._index import open_index  # noqa: PLC0415 - --help needs none of this

    with report.progress() as progress:
        return open_index(words, progress)


def pipeline_over(index: DemoIndex) -> TwoStage:
    from runoff.pipeline import TwoStage  # noqa: PLC0415 - as above

    return TwoStage({"bm25": index.bm25, "dense": index.dense}, reranker=index.late)


def _evaluation(opened: Opened, pipeline: TwoStage, *, fresh: bool) -> Evaluation:
    from runoff.demo import _evaluation as evaluation  # noqa: PLC0415 - ir-measures is slow to import
    from runoff.demo import _questions as questions  # noqa: PLC0415 - ir-measures is slow to import

    index = opened.index
    collection = evaluation.judged(questions.load_questions(), index.bm25, opened.what)
    return evaluation.evaluate(pipeline, collection, index.path, fresh=fresh)
