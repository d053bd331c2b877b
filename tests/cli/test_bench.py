"""`runoff bench` as a user meets it: a real model, a reranker of one's own, wrong arguments."""

import json

import pytest

pytest.importorskip("typer", reason="the cli extra is not installed")
pytest.importorskip("runoff_models", reason="runoff-models is not installed")

from commands import runoff

MINE = """
from runoff import TwoStage
from runoff.recall import BM25
from runoff.rerank import CrossEncoder

scorer = CrossEncoder(max_length=64)
pipeline = TwoStage({"bm25": BM25(["a text"])}, reranker=scorer)
none = None


def made():
    return scorer
"""


def test_the_embedded_model(tmp_path):
    """Tables of lengths, windows and callers, the window that fits, and the machine."""
    done = runoff("bench", "--seconds", "1", "--timeout", "0.3", "--words", "20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for said in ("loaded in", "load average", "words", "window", "callers", "fits 300 ms"):
        assert said in done.stdout


@pytest.mark.parametrize("name", ["scorer", "made", "pipeline"])
def test_a_reranker_of_ones_own(tmp_path, name):
    """`module:attribute` is a scorer, a function returning one, or a pipeline; pairs are capped."""
    (tmp_path / "mine.py").write_text(MINE)
    asked = ("bench", "--reranker", f"mine:{name}", "--pairs", "120", "--words", "200")
    done = runoff(*asked, "--seconds", "0.5", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"at most 120 pairs are sent to mine:{name}" in done.stderr
    found = json.loads(done.stdout)
    assert found["lengths"][0]["tokens"] == 64
    assert found["lengths"][0]["truncated"] == 1
    assert 0 < found["usage"]["pairs"] <= 120
    assert found["machine"]["packages"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--timeout", "0"), 2, "timeout=0.0: must be seconds, above 0"),
        (("--seconds", "-1"), 2, "seconds=-1.0: must be seconds, above 0"),
        (("--words", "0"), 2, "words=0: must be a whole number"),
        (("--pairs", "0"), 2, "pairs=0: must be a whole number"),
        (("--precision", "int4"), 2, "must be one of auto, int8, fp32"),
        (("--reranker", "mine:absent"), 2, "has no attribute"),
        (("--reranker", "absent:thing"), 2, "there is no module 'absent'"),
        (("--reranker", "mine:none"), 2, "there is no second stage"),
        (("--reranker", "mine:scorer", "--precision", "int8"), 2, "local models only"),
        (("--reranker", "json:dumps"), 2, "cannot be called without arguments"),
        (("--reranker", "nonsense"), 1, "no embedded model has this name"),
        (("--path", "absent"), 2, "is not a folder"),
    ],
)
def test_what_cannot_be_measured_is_told(tmp_path, arguments, code, message):
    """The message names the argument; nothing is printed to standard output."""
    (tmp_path / "mine.py").write_text(MINE)
    done = runoff("bench", *arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert done.stdout == ""
