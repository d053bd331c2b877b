"""Run files keep the order for every reader, including trec_eval."""

import gzip

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runoff.errors import InvalidArgument, MalformedData
from runoff.evaluation import read_run, read_scored_run, write_run

SCORES = st.lists(st.floats(-1e6, 1e6), max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scores=SCORES, ids=st.booleans())
def test_order_survives_in_single_precision(tmp_path, scores, ids):
    """Written scores fall strictly as float32, even if the given ones tie or rise."""
    order = [f"d{at}" for at in range(len(scores))]
    run = {"q": order if ids else list(zip(order, scores, strict=True))}
    write_run(tmp_path / "run", run)
    written = [float(line.split()[4]) for line in (tmp_path / "run").read_text().splitlines()]
    single = np.array(written, np.float32)
    assert (np.diff(single) < 0).all()
    assert read_run(tmp_path / "run").get("q", []) == order


def test_scores_that_fall_are_kept(tmp_path):
    """Scores that fall strictly are written unchanged; ties are lowered minimally."""
    write_run(tmp_path / "run.gz", {"q": [("a", 2.5), ("b", 1.0), ("c", 1.0)]}, tag="mine")
    text = gzip.decompress((tmp_path / "run.gz").read_bytes()).decode()
    assert text.splitlines()[:2] == ["q Q0 a 1 2.5 mine", "q Q0 b 2 1.0 mine"]
    (a, b, c) = read_scored_run(tmp_path / "run.gz")["q"]
    assert (a, b) == (("a", 2.5), ("b", 1.0))
    assert c == ("c", pytest.approx(1.0, abs=1e-6))


def test_ties_follow_the_ranks_in_the_file(tmp_path):
    """Equal scores are ordered by the rank column, not by lines or ids."""
    (tmp_path / "run").write_text("q Q0 z 2 1 t\nq Q0 a 3 1 t\nq Q0 m 1 1 t\nq Q0 b 9 5 t\n")
    assert read_run(tmp_path / "run") == {"q": ["b", "m", "z", "a"]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q Q0 d2 2 0.5", "6 columns"),
        ("q Q0 d2 two 0.5 t", "must be numbers"),
        ("q Q0 d2 2 nan t", "must be numbers"),
        ("q Q0 d1 2 0.5 t", "repeats document 'd1'"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, message):
    """A malformed line, or one that repeats a document, is reported by number."""
    (tmp_path / "run").write_text(f"q Q0 d1 1 0.7 t\n{line}\n")
    with pytest.raises(MalformedData, match=f"run line 2.*{message}"):
        read_run(tmp_path / "run")


@pytest.mark.parametrize(
    ("run", "tag", "message"),
    [
        ({"q 1": ["a"]}, "t", "one word"),
        ({"q": ["a b"]}, "t", "one word"),
        ({"q": ["a"]}, "", "tag.*one word"),
        ({"q": ["a", "a"]}, "t", "is repeated"),
        ({"q": [("a", float("nan"))]}, "t", "within 1e38"),
        ({"q": [("a", 1e300)]}, "t", "within 1e38"),
    ],
)
def test_what_no_run_file_can_hold_is_refused(tmp_path, run, tag, message):
    """Ids with spaces, repeated documents and infinite scores are refused; nothing is written."""
    with pytest.raises(InvalidArgument, match=message):
        write_run(tmp_path / "run", run, tag=tag)
    assert not (tmp_path / "run").exists()
