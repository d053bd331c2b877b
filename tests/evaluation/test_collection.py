"""Test collections are read from every format; errors name the file and the line."""

import gzip
import json
import pickle
import sys
from dataclasses import replace

import pytest
from beir import folder

from runoff import Document
from runoff._util.text import text_key
from runoff.errors import InvalidArgument, MalformedData, MissingExtra
from runoff.evaluation import Collection

QUERIES = {"q1": "how does dough rise?", "q2": "how do bees fly?"}
QRELS = {"q1": {"d1": 2, "d3": 0}, "q2": {"d2": 1}}


def _json_lines(path, rows, *, packed=False):
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if packed else data)


@pytest.fixture
def beir_folder(tmp_path):
    """Write a folder in BEIR's layout, with two splits."""
    corpus = [{"_id": f"d{at}", "title": f"T{at}", "text": f"text {at}"} for at in (1, 2, 3)]
    _json_lines(tmp_path / "corpus.jsonl.gz", corpus, packed=True)
    rows = [{"_id": one, "text": text} for one, text in QUERIES.items()]
    _json_lines(tmp_path / "queries.jsonl", [*rows, {"_id": "q9", "text": "of another split"}])
    (tmp_path / "qrels").mkdir()
    test = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td3\t0\nq2\td2\t1\n"
    (tmp_path / "qrels" / "test.tsv").write_text(test)
    (tmp_path / "qrels" / "dev.tsv").write_text("q9\td1\t1\n")
    return tmp_path


def test_beir_folder(beir_folder):
    """A BEIR folder gives the queries of one split, its grades, and documents with their titles."""
    found = Collection.from_beir(beir_folder)
    assert found == Collection(QUERIES, QRELS, found.documents, name=beir_folder.name)
    assert found.documents["d2"] == Document("d2", "T2 text 2", {"title": "T2"})
    assert found.notes == ()
    assert dict(Collection.from_beir(beir_folder, split="dev").qrels["q9"]) == {"d1": 1}
    assert Collection.from_beir(beir_folder, documents=False).documents is None


def test_beir_folder_without_a_file(beir_folder):
    """A missing file or split is refused, and the message lists the expected names."""
    with pytest.raises(
        InvalidArgument, match=r"must contain qrels/train\.tsv or qrels\.train\.tsv,"
    ):
        Collection.from_beir(beir_folder, split="train")
    (beir_folder / "queries.jsonl").unlink()
    with pytest.raises(InvalidArgument, match=r"queries\.jsonl, plain or \.gz"):
        Collection.from_beir(beir_folder)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q1\td9\tx", "line 5.*grade must be a whole number"),
        ("q1\td9\t1.5", "line 5.*grade must be a whole number"),
        ("q1\td9", "line 5.*3 columns"),
        ("q1\t\t1", "line 5.*document id must be a non-empty"),
        ("q1\td1\t1", "line 5.*grade of 'd1' was 2 in test.tsv line 2"),
    ],
)
def test_bad_judgments_name_the_line(beir_folder, line, message):
    """An unreadable or contradictory judgment is reported with file and line."""
    path = beir_folder / "qrels" / "test.tsv"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(MalformedData, match=rf"test\.tsv {message}"):
        Collection.from_beir(beir_folder)


def test_a_bad_first_line_is_no_header(beir_folder):
    """Only a line that names its columns is a header; a bad grade there is an error too."""
    path = beir_folder / "qrels" / "test.tsv"
    path.write_text("q1\td1\tx\nq2\td2\t1\n")
    with pytest.raises(MalformedData, match=r"test\.tsv line 1: 'x'"):
        Collection.from_beir(beir_folder)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b'{"_id": "q3"}', "line 4.*missing: text"),
        (b'{"_id": "q3", "text": " "}', "line 4.*non-empty"),
        (
            b'{"_id": "q1", "text": "other"}',
            "line 4.*was 'how does .*' in queries.* line 1",
        ),
        (b"{", "line 4.*not JSON"),
        (b"[]", "line 4.*JSON object"),
        (b'{"_id": "q3", "text": "\xff"}', "line 4.*not UTF-8"),
    ],
)
def test_bad_queries_name_the_line(beir_folder, row, message):
    """An unreadable query, or one with two texts, is reported with file and line."""
    path = beir_folder / "queries.jsonl"
    path.write_bytes(path.read_bytes() + row + b"\n")
    with pytest.raises(MalformedData, match=rf"queries\.jsonl {message}"):
        Collection.from_beir(beir_folder)


@pytest.mark.parametrize("keep", [-20, 30])
def test_damaged_gzip(beir_folder, keep):
    """A compressed file that ends early is refused by name."""
    path = beir_folder / "corpus.jsonl.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(MalformedData, match=r"corpus\.jsonl\.gz after line.*damaged"):
        Collection.from_beir(beir_folder)


def test_one_document_with_two_texts(beir_folder):
    """A repeated id in a corpus is an error if the texts differ, and fine if they are equal."""
    rows = [{"_id": "d1", "text": "same"}, {"_id": "d1", "text": "same"}]
    _json_lines(beir_folder / "corpus.jsonl", rows)
    assert list(Collection.from_beir(beir_folder).documents) == ["d1"]
    _json_lines(beir_folder / "corpus.jsonl", [*rows, {"_id": "d1", "text": "other"}])
    with pytest.raises(MalformedData, match=r"line 3.*different text in corpus.jsonl line 1"):
        Collection.from_beir(beir_folder)


def test_trec_files(tmp_path):
    """TREC qrels with topics as lines or as blocks give the same collection."""
    (tmp_path / "qrels").write_text("q1 0 d1 2\nq1 0 d3 0\n\nq2 0 d2 1\n")
    (tmp_path / "lines").write_text("".join(f"{one}\t{text}\n" for one, text in QUERIES.items()))
    blocks = "".join(
        f"<top>\n<num> Number: {one}\n<title> {text}\n<desc> Description:\nmore\n</top>\n\n"
        for one, text in QUERIES.items()
    )
    (tmp_path / "blocks.gz").write_bytes(gzip.compress(blocks.encode()))
    for topics in ("lines", "blocks.gz"):
        found = Collection.from_trec(tmp_path / "qrels", tmp_path / topics)
        assert found == Collection(QUERIES, QRELS, name="qrels")
    (tmp_path / "cut").write_text(blocks.rstrip().removesuffix("</top>"))
    with pytest.raises(MalformedData, match=r"cut line 8.*has no </top>"):
        Collection.from_trec(tmp_path / "qrels", tmp_path / "cut")
    (tmp_path / "lines").write_text("q1\thow?\n")
    with pytest.raises(InvalidArgument, match="qrels='q2': must be a query id with a text"):
        Collection.from_trec(tmp_path / "qrels", tmp_path / "lines")


CSV = 'query,doc_id,grade,language\nhow?,d1,2,en\n"why,\nthen?",d2,1,de\nhow?,d3,0,en\n'


def test_csv(tmp_path):
    """A table gives judgments and labels; a query without an id gets one from its text."""
    (tmp_path / "judged.csv").write_text(CSV)
    found = Collection.from_csv(tmp_path / "judged.csv")
    how, why = text_key("how?"), text_key("why,\nthen?")
    assert dict(found.queries) == {how: "how?", why: "why,\nthen?"}
    assert {one: dict(two) for one, two in found.qrels.items()} == {
        how: {"d1": 2, "d3": 0},
        why: {"d2": 1},
    }
    assert found.slices("language") == {how: "en", why: "de"}
    with pytest.raises(InvalidArgument, match=r"label='lang': must be one of \['language'\]"):
        found.slices("lang")
    plain = Collection.from_pairs([("high tide", ["tides"])])
    with pytest.raises(InvalidArgument, match="the queries of this collection have none"):
        plain.slices("language")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CSV + "how?,d4\n", "line 6.*must have 4 cells.*not 2"),
        (CSV + "how?,d4,1,fr\n", "line 6.*label 'language' was 'en' in judged.csv line 2"),
        (CSV + 'how?,"d4"x,1,en\n', "line 6.*not CSV"),
        ("text,doc\nhow?,d1\n", "line 1.*columns query and doc_id.*; missing: query"),
        ("query,query\n", "line 1.*names a column twice"),
    ],
)
def test_bad_csv_names_the_line(tmp_path, text, message):
    """A row that does not fit the header, or contradicts another, is reported with its line."""
    (tmp_path / "judged.csv").write_text(text)
    with pytest.raises(MalformedData, match=rf"judged\.csv {message}"):
        Collection.from_csv(tmp_path / "judged.csv")


def test_pandas_is_as_csv(tmp_path):
    """A data frame gives what its CSV file gives; empty labels are ignored."""
    pandas = pytest.importorskip("pandas")
    (tmp_path / "judged.csv").write_text(CSV)
    frame = pandas.read_csv(tmp_path / "judged.csv")
    read = Collection.from_csv(tmp_path / "judged.csv")
    assert Collection.from_pandas(frame, name="judged.csv") == read
    frame["topic"] = ["bread", None, float("nan")]
    frame["query_id"] = [1, 2, 1]
    found = Collection.from_pandas(frame)
    assert list(found.queries) == ["1", "2"]
    assert found.slices("topic") == {"1": "bread"}
    assert Collection.from_pandas(frame.convert_dtypes()) == found  # with NA in place of NaN
    frame["grade"] = [1.5, 1, 1]
    with pytest.raises(MalformedData, match=r"frame row 0.*whole number"):
        Collection.from_pandas(frame)


def test_json_lines(tmp_path):
    """JSON lines give grades or a plain list of relevant ids for each query, and labels."""
    rows = [
        {"query_id": "q1", "query": QUERIES["q1"], "relevant": {"d1": 2, "d3": 0}, "kind": "why"},
        {"query_id": "q2", "text": QUERIES["q2"], "relevant": ["d2"]},
    ]
    _json_lines(tmp_path / "judged.jsonl", rows)
    found = Collection.from_jsonl(tmp_path / "judged.jsonl")
    labels = {"q1": {"kind": "why"}}
    assert found == Collection(QUERIES, QRELS, labels=labels, name="judged.jsonl")
    _json_lines(tmp_path / "judged.jsonl", [*rows, {"query": "x", "relevant": "d1"}])
    with pytest.raises(MalformedData, match=r"judged\.jsonl line 3: 'd1'.*list of ids"):
        Collection.from_jsonl(tmp_path / "judged.jsonl")


def test_pairs():
    """(query, relevant ids) pairs make a collection, and the same query may appear twice."""
    found = Collection.from_pairs([("how?", ["d1"]), ("why?", {"d2": 2}), ("how?", ["d3", "d1"])])
    assert dict(found.qrels[text_key("how?")]) == {"d1": 1, "d3": 1}
    assert found.notes == ("1 judgment is repeated.",)


def test_clicks_and_thumbs():
    """Votes are added up: above 0 is relevant, below is not, and 0 is not judged."""
    events = [("how?", "d1"), ("how?", "d2", 1), ("how?", "d2", -1), ("how?", "d3", False)]
    found = Collection.from_clicks(events)
    assert dict(found.qrels[text_key("how?")]) == {"d1": 1, "d3": 0}
    assert "only documents that users were shown" in found.notes[0]
    with pytest.raises(MalformedData, match=r"clicks\[0\]: 5"):
        Collection.from_clicks([("how?", "d1", 5)])


def test_ir_datasets(tmp_path):
    """A data set registered with ir_datasets is read by its name."""
    ir_datasets = pytest.importorskip("ir_datasets")
    (tmp_path / "docs.tsv").write_text("d1\tdough\nd2\tbees\nd3\tseas\n")
    (tmp_path / "queries.tsv").write_text("".join(f"{k}\t{v}\n" for k, v in QUERIES.items()))
    (tmp_path / "qrels").write_text("q1 0 d1 2\nq1 0 d3 0\nq2 0 d2 1\n")
    made = ir_datasets.create_dataset(
        docs_tsv=str(tmp_path / "docs.tsv"),
        queries_tsv=str(tmp_path / "queries.tsv"),
        qrels_trec=str(tmp_path / "qrels"),
    )
    ir_datasets.registry.register("runoff-tests", made)
    found = Collection.from_ir_datasets("runoff-tests", documents=True)
    assert found == Collection(QUERIES, QRELS, found.documents, name="runoff-tests")
    assert found.documents["d2"].text == "bees"
    with pytest.raises(InvalidArgument, match="data set of ir_datasets"):
        Collection.from_ir_datasets("no-such-set")


def test_ir_datasets_absent(monkeypatch):
    """Without ir_datasets the error names the pip command."""
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(MissingExtra, match=r"runoff\[ir-datasets\]"):
        Collection.from_ir_datasets("beir/scifact/test")


def test_what_was_given_is_copied_and_cannot_change():
    """Neither the caller's dictionaries nor the collection's views can change its judgments."""
    qrels = {one: dict(grades) for one, grades in QRELS.items()}
    found = Collection(QUERIES, qrels)
    qrels["q1"]["d1"] = 9
    assert found.qrels["q1"]["d1"] == 2
    for view in (found.qrels, found.qrels["q1"], found.queries):
        with pytest.raises(TypeError):
            view["q1"] = 3
    labelled = replace(found, labels={"q1": {"kind": "why"}})
    assert pickle.loads(pickle.dumps(labelled)) == labelled
    assert len(labelled) == 2


def test_oddities_are_noted():
    """Notes report unjudged queries, hopeless queries and unknown judged documents."""
    documents = {"d1": Document("d1", "dough")}
    qrels = {"q1": {"d1": 1, "d8": 1}, "q2": {"d9": 0}}
    found = Collection({**QUERIES, "q3": "unjudged"}, qrels, documents)
    assert found.notes == (
        "Left out, since they are not judged: 1 query (q3).",
        "Always 0, since they have no relevant document: 1 query (q2).",
        "Judged but not among the documents: 2 documents (d8, d9).",
    )
    assert list(found.queries) == ["q1", "q2"]
    assert found.unknown() == ["d8", "d9"]
    assert found.unknown(["d8", "d9"]) == ["d1"]
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(InvalidArgument, match="has no documents"):
        Collection(QUERIES, QRELS).unknown()


@pytest.mark.parametrize(
    ("queries", "qrels", "labels", "message"),
    [
        (QUERIES, {}, {}, "needs at least one judgment"),
        (QUERIES, {"q1": {}}, {}, "needs at least one judgment"),
        (QUERIES, {"q7": {"d1": 1}}, {}, "qrels='q7': must be a query id with a text"),
        (QUERIES, QRELS, {"q7": {"kind": "why"}}, "labels='q7'"),
        (QUERIES, {"q1": {"d1": 0.5}}, {}, "whole number.*'q1'.*'d1'"),
        ({"q1": ""}, QRELS, {}, "must be a non-empty string"),
        ({"": "x"}, QRELS, {}, "non-empty strings"),
        (["x"], QRELS, {}, "must map query ids"),
    ],
)
def test_wrong_collections_are_refused(queries, qrels, labels, message):
    """Judgments without queries, and invalid texts, ids or grades, are refused."""
    with pytest.raises(InvalidArgument, match=message):
        Collection(queries, qrels, labels=labels)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "queries", "documents"),
    [("scifact", 300, 5183), ("nfcorpus", 323, 3633), ("cranfield", 225, 1400)],
)
def test_real_collections(name, queries, documents):
    """Published collections have as many judged queries and documents as published."""
    found = Collection.from_beir(folder(name))
    assert (len(found), len(found.documents)) == (queries, documents)
