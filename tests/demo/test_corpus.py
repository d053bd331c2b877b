"""The documents of the demo: the standard library's documentation, once each, and nothing else."""

import importlib.metadata
import json
import os
import subprocess
import sys
import warnings

import pytest

from runoff.demo import _corpus as corpus
from runoff.demo._corpus import MAX_CHARS, MIN_CHARS, split_text, stdlib_documents
from runoff.errors import RunoffError

KNOWN = {
    "argparse.ArgumentParser.add_argument": "method",
    "asyncio.gather": "function",
    "collections.OrderedDict": "class",
    "concurrent.futures.ThreadPoolExecutor": "class",
    "csv": "module",
    "csv.DictReader": "class",
    "datetime.datetime.strptime": "method",
    "dict.get": "method",
    "json.dumps": "function",
    "json.dumps#2": "function",
    "open": "function",
    "os.path.join": "function",
    "OSError": "class",
    "pathlib.Path.read_text": "method",
    "pathlib.PurePath.suffix": "property",
    "random.choice": "function",
    "re.compile": "function",
    "socket.socket.connect": "method",
    "str.maketrans": "method",
    "str.split": "method",
    "topic:for": "topic",
    "topic:for#2": "topic",
    "topic:if": "topic",
    "typing.Optional": "object",
    "xml.etree.ElementTree.parse": "function",
}


@pytest.fixture(scope="module")
def documents():
    return stdlib_documents()


def test_there_are_several_thousand(documents):
    """The library has several thousand documents."""
    assert 5000 < len(documents) < 10000


def test_ids_are_unique_and_sorted(documents):
    """One document has one id, and their order is that of the ids."""
    ids = [document.doc_id for document in documents]
    assert ids == sorted(set(ids))


def test_known_names_are_found_under_the_name_one_writes(documents):
    """Builtins have no prefix; everything else has the module that a user imports it from."""
    kinds = {document.doc_id: document.metadata["kind"] for document in documents}
    assert {name: kinds.get(name) for name in KNOWN} == KNOWN


def test_implementation_names_are_absent(documents):
    """An object has one document, not a second one under the module that implements it."""
    ids = {document.doc_id for document in documents}
    assert not ids & {
        "asyncio.tasks.gather",
        "builtins.open",
        "io.open",
        "IOError",
        "json.encoder.JSONEncoder",
        "posixpath.join",
        "random.Random.choice",
        "socket.SocketType.connect",
    }


def test_no_name_is_private(documents):
    """No part of an id begins with an underscore."""
    private = [
        document.doc_id
        for document in documents
        if any(part.startswith("_") for part in document.metadata["name"].split("."))
    ]
    assert private == []


def test_nothing_comes_from_an_installed_package(documents):
    """Every module belongs to the standard library, whatever else is installed."""
    tops = {document.metadata["module"].split(".")[0] for document in documents}
    assert tops <= sys.stdlib_module_names
    assert not tops & {"tkinter", "test", "idlelib"}
    installed = importlib.metadata.packages_distributions().keys() - sys.stdlib_module_names
    assert not tops & installed


def test_texts_begin_with_their_name(documents):
    """Each piece has a heading and a text below it."""
    for document in documents:
        heading, _, body = document.text.partition("\n\n")
        assert heading.startswith(document.metadata["name"].removeprefix("topic:"))
        assert body.strip()
        assert len(body) <= MAX_CHARS + MIN_CHARS + 2


def test_texts_hold_no_address_of_this_run(documents):
    """Texts are the same in every run: they contain no object addresses."""
    assert not [document.doc_id for document in documents if " at 0x" in document.text]


def test_two_runs_agree(documents):
    """Hash seeds and the locale change nothing."""
    code = (
        "import json; from runoff.demo import stdlib_documents as all_of;"
        "print(json.dumps([[d.doc_id, d.text, dict(d.metadata)] for d in all_of()]))"
    )
    first = [[d.doc_id, d.text, dict(d.metadata)] for d in documents]
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"},
        "LC_ALL": "C",
        "PYTHONHASHSEED": "7",
    }
    second = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True
    )
    assert json.loads(second.stdout) == first


def test_it_is_quiet(capfd):
    """Importing the whole library prints nothing, warns of nothing and imports nothing here."""
    before = set(sys.modules)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stdlib_documents()
    assert capfd.readouterr() == ("", "")
    assert not {"antigravity", "this", "curses", "ftplib"} & (set(sys.modules) - before)


def test_a_failing_child_says_why(monkeypatch, tmp_path):
    """The error message ends with the child's output on stderr."""
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no library here')")
    monkeypatch.setattr(corpus, "__file__", str(broken))
    with pytest.raises(RunoffError, match="exit code 1: no library here"):
        stdlib_documents()


def test_short_text_is_one_piece():
    """What fits is not split."""
    assert split_text("One line.\n\nAnother.") == ["One line.\n\nAnother."]


def test_no_text_is_no_piece():
    """An empty text has no pieces."""
    assert split_text(" \n\n ") == []


def test_split_keeps_every_word():
    """Pieces together hold all words of the text, in order."""
    text = "\n\n".join(f"Paragraph {n}. " + "word " * (n * 37 % 400) for n in range(1, 30))
    assert " ".join(split_text(text)).split() == text.split()


def test_one_endless_line_is_broken_between_words():
    """A paragraph without line ends still yields pieces of bounded size."""
    pieces = split_text("word " * 2000)
    assert all(len(piece) <= MAX_CHARS + MIN_CHARS + 2 for piece in pieces)
    assert " ".join(pieces).split() == ["word"] * 2000


def test_a_definition_stays_with_its_description():
    """A signature over an indented description begins a piece and never ends one."""
    text = "\n\n".join(f"name{n}(argument)\n\n   {'What it does. ' * 30}" for n in range(9))
    pieces = split_text(text)
    assert len(pieces) > 1
    assert all(piece.startswith("name") for piece in pieces)
