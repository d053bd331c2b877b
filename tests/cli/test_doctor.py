"""`runoff doctor`: what it checks, prints and exits with."""

import json

from commands import runoff

PARTS = """
from runoff.recall import BM25

words = BM25([(str(n), f"the {w} report {n} is about {w}") for n, w in enumerate("abcdefgh")])

def made():
    return words

class Backwards:
    def retrieve(self, query, *, depth, deadline=None):
        return list(words.retrieve(query, depth=depth))[::-1]

backwards = Backwards()
"""
ASKED = ["the report about it"]


def asked(folder, *arguments):
    (folder / "doctored.py").write_text(PARTS)
    (folder / "questions.json").write_text(json.dumps(ASKED))
    return runoff("doctor", *arguments, "--questions", "questions.json", cwd=folder)


def test_a_sound_part(tmp_path):
    """It prints a line for each check and exits with 0; what makes a part is called."""
    for name in ("doctored:words", "doctored:made"):
        done = asked(tmp_path, name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "fine  depth" in done.stdout


def test_a_fault_exits_with_three(tmp_path):
    """A script sees by the code that something is wrong, and in JSON what."""
    done = asked(tmp_path, "doctored:backwards", "--json")
    assert done.returncode == 3
    odd = {one["check"] for one in json.loads(done.stdout)["findings"] if one["odd"]}
    assert "scores" in odd


def test_a_wrong_argument_exits_with_two(tmp_path):
    """A name that is nothing and a file that is no JSON are refused by name."""
    assert asked(tmp_path, "parts:nothing").returncode == 2
    assert asked(tmp_path, "parts:PARTS").returncode == 2
    (tmp_path / "bad.json").write_text("{")
    done = runoff("doctor", "runoff-mini", "--questions", "bad.json", cwd=tmp_path)
    assert done.returncode == 2
    assert "must be JSON" in done.stderr
