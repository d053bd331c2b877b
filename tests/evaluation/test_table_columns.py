"""Columns beside the known ones: grades by another name, remarks, and lists in one cell."""

import pytest

from runoff import Document
from runoff.errors import MalformedData
from runoff.evaluation import Collection


def csv(path, text, **options):
    path.write_text(text, encoding="utf-8")
    return Collection.from_csv(path, **options)


@pytest.mark.parametrize(
    "table",
    [
        "Frage;Doc_ID;Passt?\nwie?;d1;nein\nwo?;d2;ja\n",
        "query,doc_id,correct\nhow?,d1,0\n",
        "query,doc_id,Ann,Ben\nhow?,d1,1,0\nhow?,d2,0,0\n",
        "Question,Answer,ok\nhow?,one two three,no\n",
    ],
)
def test_grades_by_another_name_are_no_labels(tmp_path, table):
    """A table whose grades stand in a column of an unknown name is refused: no row is relevant."""
    with pytest.raises(MalformedData, match=r"(?i)(passt|correct|ann|ok)\W.*'grade'"):
        csv(tmp_path / "j.csv", table)


@pytest.mark.parametrize(
    "table",
    [
        "query,doc_id,grade,urgent\nhow?,d1,1,no\nwho?,d2,1,yes\n",
        "query,doc_id,page\nhow?,d1,0\nwho?,d2,14\n",
        "query,doc_id,urgent\nhow?,d1,yes\nwho?,d2,yes\n",
    ],
)
def test_labels_that_are_numbers_or_words_stay_labels(tmp_path, table):
    """A column counts as grades only where no other does, and where all of it could be grades."""
    assert len(csv(tmp_path / "j.csv", table).labels) == 2


def test_a_column_that_differs_within_a_query_is_no_label(tmp_path):
    """Titles and remarks of the rows are told and left out; a label of the query is kept."""
    text = "query,doc_id,title,grade,language\nhow?,d1,One,1,en\nhow?,d2,Two,0,en\nwo?,d3,,1,de\n"
    found = csv(tmp_path / "j.csv", text)
    assert sorted(found.slices("language").values()) == ["de", "en"]
    assert all("title" not in given for given in found.labels.values())
    assert "'title'" in found.notes[0]
    assert "'language'" not in found.notes[0]
    with pytest.raises(MalformedData, match=r"line 4.*label 'language' was 'en'"):
        csv(tmp_path / "j.csv", text.replace("wo?,d3,,1,de", "how?,d3,,1,de"))


@pytest.mark.parametrize("cell", ["D1 D2", "D1|D2", "D1 / D2", "D1\tD2", "D1 + D2", "D1 & D2"])
def test_any_usual_separator_splits_what_are_ids(tmp_path, cell):
    """A cell that is no id is split where all its parts are ids, whatever stands between them."""
    found = csv(tmp_path / "j.csv", f'query,doc_id\nhow?,"{cell}"\n', documents=["D1", "D2", "E 1"])
    assert [dict(grades) for grades in found.qrels.values()] == [{"D1": 1, "D2": 1}]
    kept = csv(tmp_path / "j.csv", "query,doc_id\nhow?,E 1\n", documents=["D1", "D2", "E 1"])
    assert [dict(grades) for grades in kept.qrels.values()] == [{"E 1": 1}]


def test_grades_of_ones_own_may_be_numbers(tmp_path):
    """Of five stars, those that mean "not relevant" get the grade 0 by the same argument."""
    text = "query,doc_id,rating\nhow?,d1,5\nhow?,d2,1\nhow?,d3,2.0\nhow?,d4,3\n"
    found = csv(tmp_path / "j.csv", text, grades={"1": 0, "2": 0, "3": 1})
    assert [dict(one) for one in found.qrels.values()] == [{"d1": 5, "d2": 0, "d3": 0, "d4": 1}]
    assert "'1' is 0" in found.notes[0]


def test_stars_that_are_all_relevant_are_told(tmp_path):
    """Where the lowest of several grades is 1, the note says that it counts as relevant."""
    stars = "query,doc_id,rating\nhow?,d1,5\nhow?,d2,1\nhow?,d3,3\n"
    assert "1 to 5" in " ".join(csv(tmp_path / "j.csv", stars).notes)
    for kept in (stars.replace("d2,1", "d2,0"), stars.replace("d2,1", "d2,5")):
        assert " to 5" not in " ".join(csv(tmp_path / "j.csv", kept).notes)


def test_what_further_judgments_or_documents_settle_is_said_no_more(tmp_path):
    """A query is not said to have no relevant document once it has one, and so for the others."""
    plain = Collection({"q": "how?", "r": "who?"}, {"q": {"a": 0}, "r": {"b": 1}})
    assert "no relevant document" in plain.notes[0]
    assert not any("no relevant" in note for note in plain.with_judgments({"q": {"c": 1}}).notes)
    assert any("no relevant" in note for note in plain.with_judgments({"q": {"c": 0}}).notes)
    chunks = {one: Document(one, "yeast makes dough rise") for one in ("x#1", "x#2")}
    apart = Collection({"q": "how?"}, {"q": {"x": 1}}, documents=chunks)
    assert "not among the documents: 1 document (x)" in apart.notes[0]
    joined = apart.counting(parent_of=lambda one: one.partition("#")[0])
    assert joined.notes == ()


@pytest.mark.parametrize("cell", ["n/a", "N/A", "#N/A", "?", "-", "\u2013"])
def test_what_says_that_nobody_judged_is_no_grade(tmp_path, cell):
    """Such a row is left out as an empty one is, and one judge's is that judge's alone."""
    found = csv(tmp_path / "j.csv", f"query,doc_id,grade\nhow?,d1,1\nhow?,d2,{cell}\n")
    assert [dict(grades) for grades in found.qrels.values()] == [{"d1": 1}]
    assert f"1 row without a grade ({cell!r}) is not judged" in found.notes[0]
    two = csv(tmp_path / "j.csv", f"query,doc_id,grade Ann,grade Ben\nhow?,d1,1,{cell}\n")
    assert [dict(grades) for grades in two.qrels.values()] == [{"d1": 1}]
    own = csv(tmp_path / "j.csv", f"query,doc_id,grade\nhow?,d1,{cell}\n", grades={cell: 2})
    assert [dict(grades) for grades in own.qrels.values()] == [{"d1": 2}]


def test_remarks_under_no_heading_are_left_out(tmp_path):
    """What stands in a column without a name is told and ignored; a cell too many is refused."""
    found = csv(tmp_path / "j.csv", "query;doc_id;grade;\nhow?;d1;1;see below\nhow?;d2;0;\n")
    assert [dict(grades) for grades in found.qrels.values()] == [{"d1": 1, "d2": 0}]
    assert "without a heading" in found.notes[0]
    with pytest.raises(MalformedData, match=r"line 2.*3 cells like the header, not 4"):
        csv(tmp_path / "j.csv", "query;doc_id;grade\nhow?;d1;1;see below\n")
