"""`runoff demo` from its first line to its last, over a few documents."""

import json
import re
import sys
from pathlib import Path
from urllib.request import url2pathname

import pytest

pytest.importorskip("typer", reason="the cli extra is not installed")
pytest.importorskip("ir_measures", reason="the eval extra is not installed")
pytest.importorskip("pyarrow", reason="the eval extra is not installed")
pytest.importorskip("llama_index.core", reason="the llama-index extra is not installed")
pytest.importorskip("langchain_core", reason="the langchain extra is not installed")
pytest.importorskip("runoff_models", reason="runoff-models is not installed")

from commands import runoff

from runoff.cli import _demo as command
from runoff.demo import _corpus, _questions
from runoff.types import Document

DOCUMENTS = [
    Document("csv.reader", "Read a CSV file row by row as lists.", {"kind": "function"}),
    Document("csv.DictReader", "Read each row of a CSV file as a dictionary.", {"kind": "class"}),
    Document("str.join", "Concatenate strings with a separator between them.", {"kind": "method"}),
    Document("str.split", "Return a list of the words in the string.", {"kind": "method"}),
    Document("os.walk", "Generate the file names in a directory tree.", {"kind": "function"}),
]
QUESTIONS = [
    _questions.Question("1", command._ALONE_QUESTION, {"csv.DictReader": 2}),
    _questions.Question("2", command._LLAMA_INDEX_QUESTION, {"str.split": 2}),
    _questions.Question("3", command._LANGCHAIN_QUESTION, {"str.join": 2}),
]


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Return what runs the command over a few documents."""
    monkeypatch.setattr(_corpus, "stdlib_documents", lambda: DOCUMENTS)
    monkeypatch.setattr(_questions, "load_questions", lambda: QUESTIONS)

    def run(*arguments):
        done = runoff("demo", "--cache", tmp_path / "the cache", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("module", ["llama_index.core", "langchain_core", "ir_measures", "pyarrow"])
def test_a_missing_package_is_named_before_anything_is_indexed(module, monkeypatch, tmp_path):
    """The demo without it would stop half-way."""
    monkeypatch.setitem(sys.modules, module, None)
    done = runoff("demo", "--cache", tmp_path / "the cache")
    assert done.returncode == 1
    assert "is not installed" in done.stderr
    assert not (tmp_path / "the cache").exists()


def test_the_first_answer_comes_before_anything_is_embedded(small):
    """One question is answered, then all is embedded, then come the others and the evaluation."""
    shown = small()
    heads = ("TwoStage: ", "Indexed in ", "LlamaIndex: ", "LangChain: ", "Does it help?", "ANSWER")
    places = [shown.find(f"\n{head}") for head in heads]
    assert -1 not in places
    assert places == sorted(places)
    again = small()
    assert "indexed earlier" in again
    assert "Indexed in" not in again


def test_every_comparison_is_over_the_same_documents(small):
    """Each framework returns ids of the index, and provenance names the stages after it."""
    found = json.loads(small("--json"))
    assert found["index"]["passages"] == len(DOCUMENTS)
    pairs = found["frameworks"]
    assert [one["framework"] for one in pairs] == ["TwoStage", "LlamaIndex", "LangChain"]
    assert [one["question"] for one in pairs] == [one.text for one in QUESTIONS]
    known = {one.doc_id for one in DOCUMENTS}
    for pair in pairs:
        for when in ("before", "after"):
            ids = [row["doc_id"] for row in pair[when]]
            assert ids
            assert set(ids) <= known
        first = pair["after"][0]["provenance"]
        assert first["rerank_rank"] == 1
        assert set(first["sources"]) <= {"bm25", "dense"}


def test_the_examples_are_the_first_judged_questions():
    """They are the first three of the file, whatever they show."""
    asked = [one.text for one in _questions.load_questions()[:3]]
    assert asked == [
        command._ALONE_QUESTION,
        command._LLAMA_INDEX_QUESTION,
        command._LANGCHAIN_QUESTION,
    ]


def test_what_it_names_at_the_end_is_there(small):
    """The last lines are the addresses of two pages, the explorer's first; both are files."""
    shown = small()
    *_, explorer, report = shown.splitlines()
    assert explorer.startswith("Look into every answer: file://")
    for line, title in ((explorer, "explorer.html"), (report, "report.html")):
        page = Path(url2pathname(line.partition("file://")[2]))
        assert page.name == title
        assert "<!doctype html>" in page.read_text("utf-8").lower()

    assert re.search(
        r"^Try other settings: +runoff explore --cache '.*/the cache'$", shown, re.MULTILINE
    )


@pytest.mark.parametrize(
    ("called", "known", "says"),
    [
        ("/home/you/.venv/bin/runoff", True, "runoff"),
        (".venv/bin/runoff", False, ".venv/bin/runoff"),
        ("my venv/bin/runoff", False, "'my venv/bin/runoff'"),
        ("/usr/lib/python3/pytest/__main__.py", False, "runoff"),
    ],
)
def test_commands_are_named_as_they_can_be_called(monkeypatch, called, known, says):
    """Where the shell would not find `runoff`, its path is given."""
    monkeypatch.setattr(command.sys, "argv", [called])
    monkeypatch.setattr(command.shutil, "which", lambda _: "/bin/runoff" if known else None)
    assert command._program() == says
