"""Every argument that says how labels are read has an option, with the same effect."""

import inspect
import json

import pytest

pytest.importorskip("typer", reason="the cli extra is not installed")
pytest.importorskip("ir_measures", reason="the eval extra is not installed")

from commands import runoff

from runoff.cli._collection import open_collection
from runoff.cli._labels import Labels
from runoff.errors import InvalidArgument, MalformedData
from runoff.evaluation import Collection


def opened(path, **options):
    return open_collection(
        str(path), split="test", topics=None, documents=False, labels=Labels(**options)
    )


@pytest.fixture
def chunks(tmp_path):
    """Documents as JSON lines."""
    path = tmp_path / "chunks.jsonl"
    texts = {"d1#1": "Yeast makes dough rise.", "d1#2": "It takes an hour.", "d2#1": "High tide."}
    path.write_text("".join(json.dumps({"_id": k, "text": v}) + "\n" for k, v in texts.items()))
    return path


def grades(found):
    return {found.queries[one]: dict(given) for one, given in found.qrels.items()}


def test_options_of_a_table(tmp_path, chunks):
    """Delimiter, encoding, judges, own words and ids in one cell are as in Python."""
    path = tmp_path / "j.csv"
    rows = "query^doc_id^judge^grade\ngrün^d1#1,d1#2^Ann^teils\ngrün^d1#1^Ben^3\n"
    path.write_text(rows, encoding="cp850")
    found = opened(path, delimiter="^", encoding="cp850", judges="mean", grade=["teils=1"],
                   documents=chunks)  # fmt: skip
    assert grades(found) == {"grün": {"d1#1": 2, "d1#2": 1}}
    (tmp_path / "ids.txt").write_text("d1#1\nd1#2\n")
    again = opened(path, delimiter="^", encoding="cp850", judges="mean", grade=["teils=1"],
                   documents=tmp_path / "ids.txt")  # fmt: skip
    assert grades(again) == grades(found)


def test_options_of_what_counts(tmp_path, chunks):
    """Matching by text, parents and any-of are as in Python."""
    path = tmp_path / "faq.csv"
    path.write_text("question;answer\nwhy?;yeast makes dough rise\nwhen?;high tide\n")
    found = opened(path, match_by_text=True, documents=chunks, relevance="any", relevant_from=1)
    assert grades(found) == {"why?": {"d1#1": 1}, "when?": {"d2#1": 1}}
    assert found.relevance == "any"
    path.write_text("question,doc_id\nwhy?,d1\n")
    (tmp_path / "parents.json").write_text('{"d1#1": "d1", "d1#2": "d1"}')
    for given in ("#", str(tmp_path / "parents.json")):
        assert opened(path, parent_of=given).unknown(["d1#1"]) == []


@pytest.mark.parametrize("row", ['"page": 7', '"metadata": {"page": 7}'])
def test_parents_are_a_field_of_the_chunks(tmp_path, row):
    """The field stands beside the text or in the metadata, and its values are the judged ids."""
    path = tmp_path / "faq.csv"
    path.write_text("question,doc_id\nwhy?,7\n")
    chunks = tmp_path / "chunks.jsonl"
    chunks.write_text(f'{{"_id": "c1", "text": "yeast", {row}}}\n{{"_id": "c2", "text": "tide"}}\n')
    found = opened(path, parent_of="field:page", documents=chunks)
    assert found.unknown(["c1"]) == []
    assert found.unknown(["c2"]) == ["7"]
    with pytest.raises(InvalidArgument, match="has the field 'pages'"):
        opened(path, parent_of="field:pages", documents=chunks)


def test_a_folder_whose_ids_changed(tmp_path, chunks):
    """The judged documents of a BEIR folder are found among others by their texts."""
    (tmp_path / "corpus.jsonl").write_text('{"_id": "old", "text": "High tide"}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "when?"}\n')
    (tmp_path / "qrels.tsv").write_text("q\told\t1\n")
    assert grades(opened(tmp_path, match_by_text=True, documents=chunks)) == {"when?": {"d2#1": 1}}


def test_a_table_whose_ids_changed(tmp_path, chunks):
    """The texts that were judged are in one file, and those that are found now in another."""
    (tmp_path / "old.jsonl").write_text('{"_id": "old", "text": "High tide"}\n')
    path = tmp_path / "j.csv"
    path.write_text("query,doc_id\nwhen?,old\n")
    found = opened(
        path, match_by_text=True, documents=chunks, judged_documents=tmp_path / "old.jsonl"
    )
    assert grades(found) == {"when?": {"d2#1": 1}}
    with pytest.raises(InvalidArgument, match="--judged-documents"):
        opened(path, match_by_text=True, documents=chunks)


def test_options_of_clicks(tmp_path):
    """A log of clicks is read with its propensities."""
    rows = "".join(
        f"query {at},d{place},{place},{(80 if place == at % 2 + 1 else 5)},200\n"
        for at in range(20)
        for place in (1, 2)
    )
    path = tmp_path / "log.csv"
    path.write_text("query,doc_id,position,clicks,impressions\n" + rows)
    found = opened(path, clicks=True, propensity="1,0.8", clip=0.5)
    assert set(found.qrels[next(iter(found.qrels))].values()) == {0, 100}
    assert "(as given)" in found.notes[0]


def test_excel(tmp_path):
    """A sheet is named by its option, and other spreadsheets are refused with what to do."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for name in ("May", "June"):
        sheet = book.create_sheet(name)
        sheet.append(("query", "doc_id"))
        sheet.append((name, "d1"))
    book.save(tmp_path / "j.xlsx")
    assert list(opened(tmp_path / "j.xlsx", sheet="June").queries.values()) == ["June"]
    (tmp_path / "j.ods").write_bytes(b"PK\x03\x04")
    with pytest.raises(InvalidArgument, match=r"save the spreadsheet as \.xlsx or \.csv"):
        opened(tmp_path / "j.ods")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grade": ["teils"]}, "as in partly=1"),
        ({"match_by_text": True}, "needs --documents"),
        ({"documents": "none.jsonl"}, "no such file"),
        ({"parent_of": "none.json"}, "cannot be read"),
        ({"parent_of": "field:page"}, "needs --documents"),
        ({"clicks": True}, "position"),
        ({"relevance": "some"}, "'each', 'any' or 'all'"),
    ],
)
def test_wrong_options_are_refused(tmp_path, options, message):
    """The error names the option and what it takes."""
    from pathlib import Path

    path = tmp_path / "j.csv"
    path.write_text("query,doc_id,grade\none,d1,1\n")
    if "documents" in options:
        options = {"documents": Path(options["documents"])}
    with pytest.raises((InvalidArgument, MalformedData), match=message):
        opened(path, **options)


def test_every_argument_has_an_option():
    """What `Collection` takes of labels, the command line takes too."""
    methods = ("from_csv", "from_xlsx", "from_impressions", "match_by_text", "counting")
    taken = {
        name
        for method in methods
        for name in inspect.signature(getattr(Collection, method)).parameters
    }
    options = set(Labels.__dataclass_fields__)
    spelled = {"grades": "grade"}
    others = {"path", "self", "impressions", "name"}
    assert {spelled.get(name, name) for name in taken - others} <= options


def test_a_spreadsheet_on_the_command_line(tmp_path):
    """`runoff evaluate` reads a German spreadsheet, says how, and has the options in its help."""
    pytest.importorskip("rich")
    (tmp_path / "j.csv").write_text("Frage;Dok\nwarum?;d1\n")
    (tmp_path / "k.csv").write_text(
        "query_id;Frage;Dokument;Relevanz\nq1;warum?;d1;ja\nq1;;d2;nein\n"
    )
    (tmp_path / "a.run").write_text("q1 Q0 d1 1 2 t\nq1 Q0 d2 2 1 t\n")
    bad = runoff("evaluate", "j.csv", "--system", "a.run", cwd=tmp_path)
    assert bad.returncode == 1
    assert "missing: doc_id" in bad.stderr
    done = runoff("evaluate", "k.csv", "--system", "a.run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "semicolons separate the columns" in " ".join(done.stdout.split())
    assert "--match-by-text" in runoff("advise", "--help").stdout
