"""Grades given on the page: saved whole, and read by whatever reads judgments."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from explored import collection, explorer

from runoff.errors import InvalidArgument, MalformedData
from runoff.evaluation import Collection
from runoff.report._explorer.labels import Labels

HOSTILE = ['=HYPERLINK("x")', "a,b", 'quo"te', "line\nbreak", "🌊", "<b>", "  spaced  "]


def test_grades_come_back_from_the_file(tmp_path):
    """The last grade counts, None removes one, and odd ids survive."""
    file = tmp_path / "labels.csv"
    kept = Labels(file)
    for at, doc_id in enumerate(HOSTILE):
        kept.put("q1", '=cmd|"x"', doc_id, at % 4)
    kept.put("q1", "tide", "gone", 1)
    kept.put("q1", "tide", "gone", None)
    kept.put("q1", "tide", HOSTILE[0], 3)
    again = Labels(file)
    assert again.qrels == kept.qrels
    assert again.qrels["q1"] == {one: at % 4 for at, one in enumerate(HOSTILE)} | {HOSTILE[0]: 3}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_formula_in_a_question_is_only_text(tmp_path):
    """A question that a spreadsheet would take for a formula gets a space before it."""
    file = tmp_path / "labels.csv"
    Labels(file).put("q1", "=1+1", "d1", 1)
    rows = list(csv.reader(file.read_text().splitlines()))
    assert rows[1][1] == " =1+1"


def test_the_file_is_a_collection_and_adds_to_one(tmp_path):
    """`from_csv` reads it alone, and `with_judgments` beside other judgments."""
    file = tmp_path / "labels.csv"
    page = explorer(labels=file)
    body = {"query_id": "q2", "doc_id": "d07", "grade": 3}
    assert page.answer("POST", "api/labels", body)["labels"] == {"path": str(file), "count": 1}
    alone = Collection.from_csv(file)
    assert {one: dict(found) for one, found in alone.qrels.items()} == {"q2": {"d07": 3}}
    assert alone.queries["q2"] == collection().queries["q2"]
    assert collection().with_judgments(file).qrels["q2"]["d07"] == 3


def test_a_grade_changes_what_is_measured(tmp_path):
    """The value of a query follows at once, as do its losses."""
    page = explorer(labels=tmp_path / "labels.csv")
    first = page.answer("GET", "api/query?id=q2")
    top = first["after"][0]["doc_id"]
    grade = 0 if first["after"][0]["grade"] else 3
    page.answer("POST", "api/labels", {"query_id": "q2", "doc_id": top, "grade": grade})
    second = page.answer("GET", "api/query?id=q2")
    assert second["after"][0]["grade"] == grade
    assert second["measure"]["after"] != first["measure"]["after"]


def test_a_grade_does_not_change_what_the_system_is_compared_with(tmp_path):
    """The figures until the next verdict are against the same system, by the new grades."""
    page = explorer(labels=tmp_path / "labels.csv")
    first = page.answer("POST", "api/replay", {"full": True})["summary"]
    shown = page.answer("GET", "api/query?id=q2")["before"]
    top = next(one for one in shown if not one["grade"])
    page.answer("POST", "api/labels", {"query_id": "q2", "doc_id": top["doc_id"], "grade": 3})
    rough = page.answer("POST", "api/replay", {})["summary"]
    full = page.answer("POST", "api/replay", {"full": True})["summary"]
    assert rough["against"] == first["against"] == full["against"]
    assert rough["before"] != first["before"]


@pytest.mark.parametrize(
    "text",
    [
        "query-id\tcorpus-id\tscore\n",
        "query_id,query,doc_id,grade\nq1,tide,d1,9\n",
        "query_id,query,doc_id,grade\nq1,d1,1\n",
        "query_id,query,doc_id,grade\n,tide,d1,1\n",
        "\ud800",
    ],
)
def test_another_file_is_never_overwritten(tmp_path, text):
    """A file with other columns or grades is refused, and stays as it is."""
    file = tmp_path / "labels.csv"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(MalformedData, match=r"labels\.csv"):
        Labels(file)
    assert file.read_bytes() == text.encode("utf-8", "surrogatepass")


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    """A folder, or a file in a folder that does not exist."""
    for path in (tmp_path, tmp_path / "none" / "labels.csv"):
        with pytest.raises(InvalidArgument, match="labels="):
            Labels(path)


def test_a_grade_that_cannot_be_saved_is_not_kept(tmp_path):
    """The page is told, and the grades stay those of the file."""
    (tmp_path / "sub").mkdir()
    kept = Labels(tmp_path / "sub" / "labels.csv")
    kept.put("q1", "tide", "d1", 1)
    (tmp_path / "sub" / "labels.csv").unlink()
    (tmp_path / "sub").rmdir()
    with pytest.raises(OSError, match="No such file"):
        kept.put("q1", "tide", "d1", 2)
    assert kept.qrels == {"q1": {"d1": 1}}


PROGRAM = """
import sys
from pathlib import Path
from runoff.report._explorer.labels import Labels
kept = Labels(Path(sys.argv[1]))
print("begun", flush=True)
for at in range(10**9):
    kept.put("q1", "tide", f"d{at % 300}", at % 4)
"""


def test_a_killed_process_leaves_whole_labels(tmp_path):
    """Killed while it writes, time and again, the file always has every grade but the last."""
    file = Path(tmp_path) / "labels.csv"
    counts = []
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(file)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "begun\n"
            while not file.exists() or len(Labels(file)) <= sum(counts[-1:]):
                assert process.poll() is None
            process.kill()
        counts.append(len(Labels(file)))
    assert counts == sorted(counts)
