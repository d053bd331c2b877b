"""A user's own folder becomes documents, or an error that names file and line."""

import gzip
import json

import pytest

from runoff.demo._folder import folder_documents, folder_state
from runoff.errors import InvalidArgument, RunoffError


def test_markdown_and_text_are_split_at_paragraphs(tmp_path):
    """A short file is one document under its path, a long one is numbered pieces."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "short.md").write_text("# Title\n\nOne paragraph.")
    (tmp_path / "long.txt").write_text("\n\n".join(f"Paragraph {n}. " * 30 for n in range(9)))
    documents = {one.doc_id: one for one in folder_documents(tmp_path)}
    assert documents["sub/short.md"].text == "# Title\n\nOne paragraph."
    assert {"long.txt#1", "long.txt#2"} <= documents.keys()
    assert documents["long.txt#1"].metadata == {"file": "long.txt"}


def test_beir_folder_gives_corpus_without_queries(tmp_path):
    """`corpus.jsonl.gz` has titles and texts by `_id`; the queries are not documents."""
    rows = [{"_id": "d1", "title": "T", "text": "body", "year": 2020, "list": [1]}]
    (tmp_path / "corpus.jsonl.gz").write_bytes(
        gzip.compress("\n".join(map(json.dumps, rows)).encode())
    )
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "ask"}')
    (document,) = folder_documents(tmp_path)
    assert (document.doc_id, document.text) == ("d1", "T\n\nbody")
    assert document.metadata["year"] == 2020
    assert "list" not in document.metadata


def test_hidden_and_other_files_are_left_out(tmp_path):
    """Dot folders and unknown suffixes are not read."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.md").write_text("no")
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    (tmp_path / "x.md").write_text("yes")
    assert [one.doc_id for one in folder_documents(tmp_path)] == ["x.md"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b'{"text": "ok"}\n{broken', "a.jsonl, line 2: is not JSON"),
        ("a.jsonl", b'{"title": "no text"}', "a.jsonl, line 1: has no text field"),
        ("a.jsonl", b"[1, 2]", "a.jsonl, line 1: has no text field"),
        (
            "a.jsonl",
            b'{"text": "ok"}\n{"text": "\\ud800"}',
            "a.jsonl, line 2: contains half a surr",
        ),
        (
            "a.jsonl.gz",
            gzip.compress(b"{}", mtime=0)[:10] + b"\xff" * 20,
            "a.jsonl.gz: cannot be read",
        ),
        ("a.txt", b"fine\n\xff\xfe", "a.txt, line 2: is not UTF-8"),
        ("a.jsonl.gz", b"not gzip", "a.jsonl.gz: cannot be read"),
        ("a.jsonl", b'{"_id": 1, "text": "x"}\n{"_id": 1, "text": "y"}', "two different texts"),
    ],
)
def test_damage_is_told_with_file_and_line(tmp_path, name, data, message):
    """Every unreadable file is an error that names the file and the line."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RunoffError, match=message.replace(".", r"\.")):
        folder_documents(tmp_path)


def test_no_folder_and_no_files_are_named(tmp_path):
    """A path that is not a folder, or has nothing to read, is a wrong argument."""
    with pytest.raises(InvalidArgument, match="is not a folder"):
        folder_documents(tmp_path / "absent")
    with pytest.raises(InvalidArgument, match="has no file that ends in"):
        folder_documents(tmp_path)


def test_the_state_changes_with_a_file(tmp_path):
    """Editing a file changes the state, so that the index is built again."""
    (tmp_path / "x.md").write_text("one")
    before = folder_state(tmp_path)
    assert folder_state(tmp_path) == before
    (tmp_path / "x.md").write_text("another")
    assert folder_state(tmp_path) != before


def test_a_line_of_json_ends_at_a_line_feed_alone(tmp_path):
    """Unicode line separators may occur unescaped in a JSON string."""
    texts = ["one\u2028two\u0085three", "four"]
    lines = "\r\n".join(json.dumps({"text": text}, ensure_ascii=False) for text in texts)
    (tmp_path / "a.jsonl").write_bytes(lines.encode())
    assert [one.text for one in folder_documents(tmp_path)] == texts


@pytest.mark.parametrize("doc_id", [None, ""])
def test_an_id_that_says_nothing_is_none(tmp_path, doc_id):
    """Without an id a document is named after its file and line."""
    rows = [{"_id": doc_id, "text": "one"}, {"_id": doc_id, "text": "two"}, {"id": 0, "text": "x"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert [one.doc_id for one in folder_documents(tmp_path)] == ["a.jsonl#1", "a.jsonl#2", "0"]
