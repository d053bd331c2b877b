"""The page on which people grade: what the file contains, and what it is made from."""

import base64
import csv
import hashlib
import json
import re

import pytest
from commands import runoff
from traffic import graded, keep, stream

from runoff.errors import InvalidArgument, MalformedData
from runoff.live import judge
from runoff.report._label.page import write_label_page

HOSTILE = "</script><script>document.title='owned'</script> <b>\u202e\x07bold</b> \u2028 {title}"


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Return the table and the page that one call of `judge` writes."""
    folder = tmp_path_factory.mktemp("label")
    seen = keep(folder / "obs", stream(120, better=0.8))
    judge(seen, people=folder / "labels.csv", page=folder / "label.html", labels=50)
    return folder / "labels.csv", folder / "label.html"


def table(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def write(path, *rows, header=("query_id", "query", "doc_id", "grade", "text")):
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def data_of(page):
    text = page.read_text("utf-8")
    return json.loads(re.search(r'id="data">(.*)</script>', text)[1])


def test_the_page_has_the_rows_of_the_table(asked):
    """All of them, in random order within blocks of twenty."""
    labels, page = asked
    data, (header, *rows) = data_of(page), table(labels)
    assert data["header"] == header
    assert data["rows"] == rows
    assert data["file"] == "labels.csv"
    order = data["order"]
    assert sorted(order) == list(range(len(rows)))
    assert order != sorted(order)
    assert sorted(order[:20]) == list(range(20))


def test_nothing_is_shown_but_question_and_document(asked):
    """Neither ids nor ranks nor scores are in the page outside the rows."""
    text = re.sub(r'id="data">.*</script>', "", asked[1].read_text("utf-8"))
    assert "document 1" not in text
    assert not re.search(r"\b(bm25|rerank|fused|score)\b", text)


def test_nothing_is_loaded_and_only_this_script_runs(asked):
    """The policy names the digests of one script and one style; there is no address in the page."""
    text = asked[1].read_text("utf-8")
    policy = re.search(r'Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    for tag, name in (("script", "script-src"), ("style", "style-src")):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert not re.search(r"https?:|//\w+\.|innerHTML|eval\(| on\w+=| style=", text)


def test_hostile_texts_stay_data(tmp_path):
    """No text ends the element that holds it, and each comes back whole."""
    source = write(tmp_path / "labels.csv", ["q", HOSTILE, "d", "", HOSTILE])
    write_label_page(source, tmp_path / "label.html")
    text = (tmp_path / "label.html").read_text("utf-8")
    assert text.count("</script>") == 2
    assert data_of(tmp_path / "label.html")["rows"][0][1] == HOSTILE


def test_grades_that_were_given_are_shown_as_such(tmp_path):
    """Also as a spreadsheet writes them; a row without a text is not asked about."""
    rows = [["q", "?", str(at), grade, "text"] for at, grade in enumerate(["2.0", "N/A", "", "0"])]
    source = write(tmp_path / "labels.csv", *rows, ["q", "?", "9", "", " "])
    assert write_label_page(source, tmp_path / "label.html") == 1
    data = data_of(tmp_path / "label.html")
    assert [row[3] for row in data["rows"]] == ["2", "?", "", "0", ""]
    assert sorted(data["order"]) == [0, 1, 2, 3]


def test_a_table_with_comments_is_read_and_extended(tmp_path):
    """Comments and columns of one's own stay where they are."""
    folder, labels = keep(tmp_path / "obs", stream(60, better=0.8)), tmp_path / "labels.csv"
    judge(folder, people=labels, labels=30)
    header, *rows = table(labels)
    assert header[-1] == "comment"
    for row in rows:
        row[3], row[-1] = str(graded(row[1], row[4])), "so, so"
    write(labels, *([*row, "me"] for row in rows), header=[*header, "by"])
    keep(folder, stream(60, better=0.8, first=500))
    found = judge(folder, people=labels, labels=30)
    assert found.statement.labels == len(rows)
    after = table(labels)
    assert after[1][-2:] == ["so, so", "me"]
    assert after[-1][-2:] == ["", ""]
    assert len(after) - 1 == len(rows) + found.for_people


def test_a_long_text_is_cut_and_says_so(tmp_path):
    """A cell of a spreadsheet, and of the csv module, holds no more."""
    seen = stream(3, better=0.8)
    texts = {one: f"{'word ' * 40_000}{one}" for seen_one in seen for one in seen_one.doc_ids}
    texts |= {seen_one.query_hash: seen_one.query for seen_one in seen}
    bare = stream(3, better=0.8, texts=False)
    folder, labels = keep(tmp_path / "obs", bare), tmp_path / "labels.csv"
    found = judge(folder, people=labels, texts=texts, labels=3)
    assert found.for_people
    text = table(labels)[1][4]
    assert len(text) < 32_767
    assert re.search(r" \[cut: 1\d\d,\d{3} more characters\]$", text)
    assert judge(folder, people=labels, texts=texts, labels=3).for_people == found.for_people


def test_a_full_disk_leaves_both_files_as_they_were(tmp_path, monkeypatch):
    """Neither the table nor the page is ever half written, and nothing is left beside them."""
    folder, labels = keep(tmp_path / "obs", stream(20, better=0.8)), tmp_path / "labels.csv"
    page = tmp_path / "label.html"
    judge(folder, people=labels, page=page, labels=10)
    labels.write_bytes(b"\xef\xbb\xbf" + labels.read_bytes())  # as Excel saves it
    before = labels.read_bytes(), page.read_bytes(), sorted(tmp_path.iterdir())
    keep(folder, stream(40, better=0.8, first=500))

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            judge(folder, people=labels, page=page, labels=10)
    assert (labels.read_bytes(), page.read_bytes(), sorted(tmp_path.iterdir())) == before
    judge(folder, people=labels, page=page, labels=10)
    assert labels.read_bytes().startswith(before[0])
    assert len(labels.read_bytes()) > len(before[0])
    assert len(data_of(page)["rows"]) == len(table(labels)) - 1


def test_the_command_writes_it(asked, tmp_path):
    """And says how many documents wait."""
    done = runoff("label", asked[0], tmp_path / "label.html")
    assert done.returncode == 0, done.stderr
    assert f"{len(table(asked[0])) - 1} documents wait" in done.stdout
    assert (tmp_path / "label.html").read_text("utf-8") == asked[1].read_text("utf-8")


def test_what_cannot_be_is_refused(tmp_path):
    """A page without a table, on the table itself, of no table, and of a wrong grade."""
    folder, labels = keep(tmp_path / "obs", stream(5, better=0.8)), tmp_path / "labels.csv"
    for people in (None, graded):
        with pytest.raises(InvalidArgument, match="page"):
            judge(folder, graded, people=people, page=tmp_path / "label.html")
    with pytest.raises(InvalidArgument, match="table itself"):
        judge(folder, people=labels, page=labels, labels=5)
    with pytest.raises(InvalidArgument, match="must be a table"):
        write_label_page(tmp_path / "missing.csv", tmp_path / "label.html")
    write(labels, ["q", "?", "d", "7", "text"])
    with pytest.raises(MalformedData, match="from 0 to 3"):
        write_label_page(labels, tmp_path / "label.html")
    labels.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidArgument, match="CSV in UTF-8"):
        write_label_page(labels, tmp_path / "label.html")


def test_a_table_without_rows_makes_a_page(tmp_path):
    """It says that there is nothing to grade."""
    assert write_label_page(write(tmp_path / "labels.csv"), tmp_path / "label.html") == 0
    assert data_of(tmp_path / "label.html")["order"] == []
