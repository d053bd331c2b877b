"""`runoff bulk` as a user meets it."""

import json

import pytest

pytest.importorskip("typer", reason="the cli extra is not installed")
pa = pytest.importorskip("pyarrow", reason="the eval extra is not installed")
import pyarrow.parquet as pq  # noqa: E402 - see above
from commands import runoff  # noqa: E402 - see above


@pytest.fixture
def source(tmp_path):
    rows = {"query": ["tides"] * 4, "text": ["the moon pulls the sea", "bread", "", "a tide table"]}
    pq.write_table(pa.table(rows), tmp_path / "in.parquet")
    return tmp_path / "in.parquet"


def test_pairs_are_scored_and_counted(source, tmp_path):
    """The summary goes to standard output, as text or JSON; a second run computes nothing."""
    arguments = ("bulk", "rerank", source, tmp_path / "out", "--reranker", "runoff-mini")
    done = runoff(*arguments)
    assert done.returncode == 0, done.stderr
    assert "3 of 4 rows" in done.stdout
    assert "1 blank, with null as result" in done.stdout
    again = json.loads(runoff(*arguments, "--json").stdout)
    assert (again["rows"], again["resumed"]) == (4, 4)
    scores = pq.read_table(tmp_path / "out")["rerank_score"].to_pylist()
    assert scores[2] is None
    assert scores[0] > scores[1] < scores[3]


def test_texts_are_embedded(source, tmp_path):
    """The new column has the name that was asked for."""
    done = runoff("bulk", "encode", source, tmp_path / "out", "--vector", "v")
    assert done.returncode == 0, done.stderr
    assert pq.read_table(tmp_path / "out")["v"].null_count == 1


def test_a_wrong_argument_is_told(source, tmp_path):
    """The message names it, and the exit code is 2."""
    done = runoff("bulk", "encode", source, tmp_path / "out", "--text", "body")
    assert done.returncode == 2
    assert "has 'query', 'text'" in done.stderr
