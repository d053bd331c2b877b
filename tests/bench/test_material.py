"""What is measured with, and what it is measured on."""

import gzip
import json
import subprocess
import sys

import numpy as np
import pytest

from runoff.bench import _machine as machine
from runoff.bench._material import built_in, of_folder, of_words
from runoff.errors import InvalidArgument, RunoffError


def test_built_in_texts_are_of_usual_lengths():
    """Pieces of 40 to 240 words, the same every time, and questions to ask them."""
    found = built_in()
    lengths = [len(one.text.split()) for one in found.documents]
    assert (min(lengths) >= 40, max(lengths) <= 240, len(lengths)) == (True, True, 1000)
    assert len({one.text for one in found.documents}) > 990
    assert found == built_in()
    assert len(found.queries) > 100


def test_texts_of_a_length():
    """Documents have the requested number of words."""
    assert {len(one.text.split()) for one in of_words(33)} == {33}


@pytest.mark.parametrize("packed", [False, True])
def test_a_beir_folder_brings_its_queries(tmp_path, packed):
    """Queries and documents are those of the folder."""
    (tmp_path / "corpus.jsonl").write_text('{"_id": "a", "text": "some text"}\n')
    lines = '{"_id": "1", "text": "what?"}\n{"_id": "2", "text": " "}\n'
    if packed:
        (tmp_path / "queries.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    else:
        (tmp_path / "queries.jsonl").write_text(lines)
    found = of_folder(tmp_path)
    assert found.queries == ("what?",)
    assert [one.text for one in found.documents] == ["some text"]


def test_a_folder_without_queries(tmp_path):
    """The first words of documents serve as queries."""
    (tmp_path / "a.txt").write_text("one two three four five six seven eight nine ten")
    assert of_folder(tmp_path).queries == ("one two three four five six seven eight",)


@pytest.mark.parametrize("line", ["no json", json.dumps({"_id": "1"}), "[]"])
def test_damaged_queries_are_named(tmp_path, line):
    """A damaged queries file is an error that names its path."""
    (tmp_path / "corpus.jsonl").write_text('{"_id": "a", "text": "some text"}\n')
    (tmp_path / "queries.jsonl").write_text(line)
    with pytest.raises(RunoffError, match=r"queries\.jsonl: is not a BEIR queries file"):
        of_folder(tmp_path)


def test_folders_without_texts_are_refused(tmp_path):
    """An empty folder and blank documents are refused."""
    with pytest.raises(InvalidArgument, match="has no file"):
        of_folder(tmp_path)
    (tmp_path / "corpus.jsonl").write_text('{"_id": "a", "text": " "}\n')
    with pytest.raises(RunoffError, match="have no text"):
        of_folder(tmp_path)


MEMORY = """
import numpy as np
from runoff.bench import _machine as machine

before = machine.memory()
held = np.ones(5_000_000)
after = machine.memory()
assert after[0] - before[0] > 30e6, (before, after)
assert after[1] >= after[0]
assert held.sum() == 5_000_000
"""


def test_memory_grows_with_what_is_held():
    """Writing 40 MB more raises the resident memory of a process that has freed none to reuse."""
    subprocess.run([sys.executable, "-c", MEMORY], check=True)


def test_a_load_of_half_the_cores_is_busy(monkeypatch):
    """A load above half the cores counts as busy; an unknown load does not."""
    monkeypatch.setattr(machine.cpu, "cores", lambda: 4)
    assert [machine.is_busy(load) for load in (None, 0.0, 2.0, 2.1)] == [False, False, False, True]


def test_what_is_installed_is_named():
    """The versions of installed packages are listed, others are left out."""
    (found,) = machine.versions(["numpy", "no-such-package"])
    assert found == f"numpy {np.__version__}"
    assert "cores" in machine.processor()
