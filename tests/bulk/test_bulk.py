"""Whole Parquet files on one machine: nothing is lost or overwritten, and runs resume."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="the eval extra is not installed")
import pyarrow.parquet as pq  # noqa: E402 - see above

from runoff._util.lock import lock  # noqa: E402 - see above
from runoff.bulk import encode, rerank  # noqa: E402 - see above
from runoff.errors import ConnectionFailed, InvalidArgument  # noqa: E402 - see above
from runoff.recall import Embedder  # noqa: E402 - see above
from runoff.scores import ModelIdentity, PairScores, ScoreKind  # noqa: E402 - see above

ROWS = 47


class Lengths:
    """Scores a pair by the lengths of its texts; may fail from a row on, or leave rows out."""

    cache_key = "lengths"

    def __init__(self, fails_from=None, leaves_out=()):
        self.fails_from, self.leaves_out, self.seen = fails_from, leaves_out, []

    def score(self, pairs, *, deadline=None):
        del deadline
        self.seen += pairs
        if self.fails_from is not None and len(self.seen) > self.fails_from:
            raise ConnectionFailed("down")
        values = np.array([len(query) + len(text) / 10 for query, text in pairs], np.float32)
        scored = np.array([text not in self.leaves_out for _, text in pairs])
        truncated = np.array([text.endswith("9") for _, text in pairs])
        why = "" if scored.all() else "busy"
        model = ModelIdentity("lengths")
        return PairScores(
            values, scored, truncated, ScoreKind.LOGIT, model, reason=why, notes=("short",)
        )


def table(rows=ROWS, first=0):
    numbers = range(first, first + rows)
    return pa.table(
        {
            "query": [f"question {at % 5}" for at in numbers],
            "text": [None if at == 3 else " " if at == 4 else f"text {at}" for at in numbers],
            "at": list(numbers),
        }
    )


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(table(), path, row_group_size=20)
    return path


def test_every_row_comes_out_with_its_score(source, tmp_path):
    """Columns and order stay; blank texts and nulls get null; what happened is counted."""
    scorer = Lengths()
    done = rerank(source, tmp_path / "out", reranker=scorer, rows=8)
    found = pq.read_table(tmp_path / "out")
    assert found.select(["query", "text", "at"]).equals(table())
    expected = [
        None if not text or text.isspace() else float(np.float32(len(query) + len(text) / 10))
        for query, text in zip(
            *(table()[name].to_pylist() for name in ("query", "text")), strict=True
        )
    ]
    assert found["rerank_score"].to_pylist() == expected
    assert sum(found["truncated"].to_pylist()) == done.truncated == 4
    assert (done.rows, done.computed, done.blank, done.missing) == (ROWS, ROWS - 2, 2, 0)
    assert (done.resumed, done.notes, done.reasons) == (0, ("short",), ())
    assert len(list((tmp_path / "out").glob("part-*.parquet"))) == 7  # of row groups 20, 20 and 7


@pytest.mark.parametrize("rows", [1, 20, 1000])
def test_the_size_of_parts_changes_nothing(source, tmp_path, rows):
    """Parts are only what a killed run loses."""
    rerank(source, tmp_path / "parts", reranker=Lengths(), rows=rows)
    rerank(source, tmp_path / "whole", reranker=Lengths())
    assert pq.read_table(tmp_path / "parts").equals(pq.read_table(tmp_path / "whole"))


def test_files_of_a_directory_follow_by_name(tmp_path):
    """A directory is read as one table."""
    (tmp_path / "in").mkdir()
    for number, first in ((2, 30), (1, 0)):
        pq.write_table(table(30, first), tmp_path / "in" / f"{number}.parquet")
    done = rerank(tmp_path / "in", tmp_path / "out", reranker=Lengths())
    assert done.rows == 60
    assert pq.read_table(tmp_path / "out")["at"].to_pylist() == list(range(60))


def test_an_interrupted_run_resumes(source, tmp_path):
    """What was written is not computed again, and the result is that of a run in one go."""
    seen = []
    with pytest.raises(ConnectionFailed):
        rerank(source, tmp_path / "out", reranker=Lengths(fails_from=20), rows=8)
    scorer = Lengths()
    done = rerank(
        source, tmp_path / "out", reranker=scorer, rows=8, progress=lambda *one: seen.append(one)
    )
    assert (done.resumed, done.computed) == (20, ROWS - 2)
    assert len(scorer.seen) == ROWS - 20
    assert (seen[0], seen[-1]) == ((20, ROWS), (ROWS, ROWS))
    rerank(source, tmp_path / "whole", reranker=Lengths(), rows=8)
    assert pq.read_table(tmp_path / "out").equals(pq.read_table(tmp_path / "whole"))


def test_rows_without_a_score_are_counted_and_tried_again(source, tmp_path):
    """A server that was busy loses nothing for good."""
    done = rerank(source, tmp_path / "out", reranker=Lengths(leaves_out=("text 30",)), rows=8)
    assert (done.missing, done.reasons) == (1, ("busy",))
    assert pq.read_table(tmp_path / "out")["rerank_score"].null_count == 3
    scorer = Lengths()
    again = rerank(source, tmp_path / "out", reranker=scorer, rows=8)
    assert (again.missing, again.reasons, len(scorer.seen)) == (0, (), 8)


@pytest.mark.parametrize("damage", [b"", b"PAR1", None])
def test_a_damaged_part_is_computed_again(source, tmp_path, damage):
    """A part counts only if it can be read and has all its rows; half-written files go."""
    rerank(source, tmp_path / "out", reranker=Lengths(), rows=8)
    whole = pq.read_table(tmp_path / "out")
    part = tmp_path / "out" / "part-000001.parquet"
    if damage is None:
        pq.write_table(pq.read_table(part).slice(0, 3), part)
    else:
        part.write_bytes(damage)
    (tmp_path / "out" / ".part-000001.parquet.0123.partial").write_bytes(b"PAR1")
    done = rerank(source, tmp_path / "out", reranker=Lengths(), rows=8)
    assert done.resumed == ROWS - 8
    assert pq.read_table(tmp_path / "out").equals(whole)
    assert not list((tmp_path / "out").glob(".part*"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.timeout(120)
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(source, tmp_path):
    """A part is computed again; the manifest and the lock are errors."""
    out = tmp_path / "out"
    rerank(source, out, reranker=Lengths(), rows=8)
    part = out / "part-000001.parquet"
    part.unlink()
    os.mkfifo(part)
    (out / ".part-0.partial").mkdir()
    assert rerank(source, out, reranker=Lengths(), rows=8).resumed == ROWS - 8
    assert part.is_file()
    for name, error in (("_runoff.json", InvalidArgument), ("_runoff.lock", OSError)):
        kept = (out / name).rename(tmp_path / "kept")
        os.mkfifo(out / name)
        with pytest.raises(error, match=r"output|runoff\.lock"):
            rerank(source, out, reranker=Lengths(), rows=8)
        (out / name).unlink()
        kept.rename(out / name)


@pytest.mark.parametrize("counts", [b"[" * 5000, b'[Infinity, 8, 0, 0, "", []]', b"[8, 8]", b"7"])
def test_a_part_with_damaged_counts_is_computed_again(source, tmp_path, counts):
    """Whatever its metadata says, it ends no run."""
    rerank(source, tmp_path / "out", reranker=Lengths(), rows=8)
    part = tmp_path / "out" / "part-000001.parquet"
    held = pq.read_table(part)
    metadata = {**held.schema.metadata, b"runoff.counts": counts}
    pq.write_table(held.replace_schema_metadata(metadata), part)
    assert rerank(source, tmp_path / "out", reranker=Lengths(), rows=8).resumed == ROWS - 8


def test_a_killed_process_leaves_whole_parts(source, tmp_path):
    """After SIGKILL, the next run resumes and ends with the same table."""
    program = textwrap.dedent(
        """
        import os, signal, sys
        sys.path.insert(0, sys.argv[1])
        from test_bulk import Lengths
        from runoff.bulk import rerank
        class Killed(Lengths):
            def score(self, pairs, *, deadline=None):
                if len(self.seen) > 24:
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().score(pairs)
        rerank(sys.argv[2], sys.argv[3], reranker=Killed(), rows=8)
        """
    )
    out = tmp_path / "out"
    here = Path(__file__).parent
    ended = subprocess.run([sys.executable, "-c", program, here, source, out], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert rerank(source, out, reranker=Lengths(), rows=8).resumed == 28
    rerank(source, tmp_path / "whole", reranker=Lengths(), rows=8)
    assert pq.read_table(out).equals(pq.read_table(tmp_path / "whole"))


def test_vectors_are_those_of_the_embedder(tmp_path):
    """One vector a text, null for a blank one, whatever stands beside it."""
    pq.write_table(table(6), tmp_path / "in.parquet")
    done = encode(tmp_path / "in.parquet", tmp_path / "out", vector="v", rows=4)
    found = pq.read_table(tmp_path / "out")
    embedder = Embedder()
    assert found.schema.field("v").type == pa.list_(pa.float32(), embedder.dims)
    for text, vector in zip(*(found[name].to_pylist() for name in ("text", "v")), strict=True):
        if text is None or text.isspace():
            assert vector is None
        else:
            np.testing.assert_array_equal(np.float32(vector), embedder([text])[0])
    assert (done.computed, done.blank) == (4, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reranker": 3}, "reranker=3"),
        ({"reranker": Lengths}, "must be"),
        (
            {"query": "question"},
            "query='question': must name a column of in.parquet, which has 'query'",
        ),
        ({"text": "at"}, "text='at': must contain strings in in.parquet, not int64"),
        ({"rows": 0}, "rows=0"),
        ({"executor": "spark"}, "must be 'local' or 'ray'"),
        ({"workers": 2}, "needs executor='ray'"),
        ({"executor": "ray", "workers": 0}, "workers=0"),
        ({"source": "absent.parquet"}, "must be a Parquet file"),
        ({"source": "note.txt"}, "must be a Parquet file"),
        ({"source": "."}, "must be a Parquet file"),
        ({"output": "note.txt"}, "is a file"),
        ({"output": "."}, "has other files"),
    ],
)
def test_wrong_arguments_are_named(source, tmp_path, monkeypatch, arguments, message):
    """The error names the argument and the remedy, before anything is written."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    Path("note.txt").write_text("no table", "utf-8")
    usual = {"source": source, "output": tmp_path / "out", "reranker": Lengths()}
    with pytest.raises(InvalidArgument) as caught:
        rerank(**{**usual, **arguments})
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_columns_of_the_result_are_not_overwritten(source, tmp_path):
    """Scoring twice needs a decision about the first scores."""
    rerank(source, tmp_path / "out", reranker=Lengths())
    with pytest.raises(InvalidArgument, match=r"has a column 'rerank_score' already"):
        rerank(tmp_path / "out", tmp_path / "again", reranker=Lengths())


def test_an_output_of_something_else_is_refused(source, tmp_path):
    """Another model, other input and other parts each need a directory of their own."""
    out = tmp_path / "out"
    rerank(source, out, reranker=Lengths(), rows=8)
    other = Lengths()
    other.cache_key = "others"
    with pytest.raises(InvalidArgument, match="another task"):
        rerank(source, out, reranker=other, rows=8)
    with pytest.raises(InvalidArgument, match="another input"):
        rerank(source, out, reranker=Lengths(), rows=9)
    pq.write_table(table(ROWS, 1), source, row_group_size=20)
    with pytest.raises(InvalidArgument, match="another input"):
        rerank(source, out, reranker=Lengths(), rows=8)
    (out / "_runoff.json").write_text("{", "utf-8")
    with pytest.raises(InvalidArgument, match="damaged"):
        rerank(source, out, reranker=Lengths(), rows=8)


def test_two_runs_do_not_write_one_output(source, tmp_path):
    """The second is refused while the first holds the directory."""
    out = tmp_path / "out"
    rerank(source, out, reranker=Lengths())
    with (out / "_runoff.lock").open("ab") as held:
        lock(held, wait=False)
        with pytest.raises(InvalidArgument, match="another process"):
            rerank(source, out, reranker=Lengths())


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root writes all")
def test_a_directory_that_cannot_be_written_is_an_error(source, tmp_path):
    """Nothing is computed that could not be kept."""
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    scorer = Lengths()
    with pytest.raises(OSError, match="denied"):
        rerank(source, out, reranker=scorer)
    assert not scorer.seen
