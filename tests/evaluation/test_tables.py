"""Spreadsheets are read as people keep them, and the notes tell how; what is unclear is refused."""

import gzip
import sys
import time
import zipfile

import pytest

from runoff import Document
from runoff._util.text import text_key
from runoff.errors import InvalidArgument, MalformedData, MissingExtra
from runoff.evaluation import Collection

PLAIN = {text_key("one"): {"d1": 1, "d2": 0}, text_key("two"): {"d3": 1}}


def csv(path, content, **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Collection.from_csv(path, **options)


def judged(found):
    return {query_id: dict(grades) for query_id, grades in found.qrels.items()}


def test_a_plain_table_needs_no_notes(tmp_path):
    """A table with commas, the names of the documentation and UTF-8 is read without a word."""
    found = csv(tmp_path / "j.csv", "query,doc_id,grade\none,d1,1\none,d2,0\ntwo,d3,1\n")
    assert judged(found) == PLAIN
    assert found.notes == ()


def test_a_spreadsheet_of_excel_in_german(tmp_path):
    """Semicolons, CRLF, a mark, other names, yes and no in German: read, and told in one note."""
    text = "Frage;Doc_ID;Relevant?\r\none;d1;ja\r\none;d2;Nein\r\ntwo;d3;JA\r\n;;\r\n;;\r\n"
    found = csv(tmp_path / "j.csv", b"\xef\xbb\xbf" + text.encode())
    assert judged(found) == PLAIN
    assert found.notes[0] == (
        "Reading j.csv: semicolons separate the columns; column 'Frage' is query, column "
        "'Relevant?' is grade; as grades, 'ja' is 1, 'nein' is 0."
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_every_usual_dialect_and_encoding(tmp_path, delimiter, encoding):
    """Delimiter and encoding are found, and an unusual one is told."""
    rows = [("Query", "Doc ID", "Grade"), ("größer, älter; oder?", "d|1", "1,0")]
    lines = "\r\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    found = csv(tmp_path / "j.csv", lines.encode(encoding))
    assert judged(found) == {text_key("größer, älter; oder?"): {"d|1": 1}}
    note = " ".join(found.notes)
    assert ("separate the columns" in note) == (delimiter != ",")
    assert ("the encoding is" in note) == (encoding in {"utf-16", "cp1252"})
    assert "a comma in a grade is a decimal point" in note


def test_hint_of_excel_and_a_title_above_the_header(tmp_path):
    """`sep=;` is Excel's hint, not the header, and rows above the header are titles."""
    found = csv(tmp_path / "j.csv", "sep=;\nJudged in May;;\n;;\nquery;doc_id;grade\none;d1;1\n")
    assert judged(found) == {text_key("one"): {"d1": 1}}
    assert "the header is row 4" in found.notes[0]


@pytest.mark.parametrize(
    "header",
    [
        "Query,Doc_ID",
        "question,doc id",
        "QUESTION,DocID",
        "search term,document",
        "Frage,Dokument-ID",
        "query text,chunk_id",
        "query,relevant documents",
        "query,relevant",
    ],
)
def test_columns_in_any_usual_spelling(tmp_path, header):
    """Names in any case, spelling and some other languages are recognised."""
    assert judged(csv(tmp_path / "j.csv", f"{header}\none,d1\n")) == {text_key("one"): {"d1": 1}}


def test_columns_that_could_be_the_same_are_refused(tmp_path):
    """Two columns that could be the question are named, and the right name decides."""
    with pytest.raises(MalformedData, match=r"'Frage', 'Question'.*name one of them 'query'"):
        csv(tmp_path / "j.csv", "Frage,Question,doc_id\neins,one,d1\n")
    found = csv(tmp_path / "j.csv", "query,Question,doc_id\none,eins,d1\n")
    assert found.slices("Question") == {text_key("one"): "eins"}
    found = csv(tmp_path / "j.csv", "query,Query,doc_id\none,eins,d1\n")
    assert found.slices("Query") == {text_key("one"): "eins"}


def test_empty_grades_and_merged_cells(tmp_path):
    """A row without a grade is not judged, and an empty query is the one above; both are told."""
    text = "query,doc_id,grade\none,d1,1.0\n,d2,0\n,d4,\n,,\n,,\ntwo,d3,1\nthree,d9,\n"
    found = csv(tmp_path / "j.csv", text)
    assert judged(found) == PLAIN
    read, left = found.notes
    assert read == (
        "Reading j.csv: 2 empty query cells stand for the query above; 2 rows without a grade are "
        "not judged; 2 empty rows are skipped."
    )
    assert left == "Left out, since they are not judged: 1 query ('three')."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query,doc_id,grade\n,d1,1\n", "line 2.*query is empty, and there is none above"),
        ("query,doc_id,grade\none,d1,1\n,,\n,d2,1\n", "line 4.*an empty row stands above"),
        ("query_id,query,doc_id\n1,one,d1\n2,,d2\n", "line 3.*its id is not that of the row above"),
        ("query,doc_id,grade\none,,1\n", "line 2.*is graded, but names no document"),
        ("query,doc_id,grade\none,d1,perhaps\n", "line 2.*whole number.*pass grades="),
        ('query,doc_id,grade\none,d1,"1,5"\n', "line 2.*whole number.*grades={'1,5': 1}"),
        ("query,doc_id,grade\none,d1,50 %\n", "line 2.*whole number.*grades={'50 %': 1}"),
        ('query,doc_id\none,"D1, D2, D3"\n', "line 2.*'D1, D2, D3'.*as documents= to split it"),
        ("query,doc_id\none,1.23E+17\n", "line 2.*a spreadsheet rounded"),
        ("query,doc_id,grade\none,d1,1\none,d1,0\n", "line 3.*grade of 'd1' was 1"),
        ("query\none\n", "line 1.*missing: doc_id"),
        ("", "j.csv line 1.*missing: query, doc_id"),
        ("\n\n\n", "j.csv line 1.*missing: query, doc_id"),
        ("query,doc_id\n", "j.csv.*at least one judgment"),
        (b"query,doc_id\none,d\x00\n", "NUL"),
        (b"PK\x03\x04rest", "is an .xlsx file"),
        ("вопрос,doc_id\nдым?,d1\n".encode("cp1251"), "is not UTF-8.*pass its encoding="),
        ("質問,doc_id\nなぜ?,d1\n".encode("shift-jis"), "is not UTF-8.*pass its encoding="),
        (gzip.compress(b"query,doc_id\none,d1\n", mtime=0)[:-9], "gzip file is damaged"),
    ],
)  # fmt: skip
def test_what_is_unclear_is_refused_with_its_line(tmp_path, text, message):
    """What could mean two things is not guessed; the error has the line and what to do."""
    with pytest.raises((MalformedData, InvalidArgument), match=message):
        csv(tmp_path / "j.csv", text)


@pytest.mark.parametrize("given", ["Mar-24", "2. Jan", "01.03.2024", "2024-03-01 00:00:00"])
def test_an_id_that_looks_like_a_date(tmp_path, given):
    """Spreadsheets make dates of ids: refused where the documents lack it, else told."""
    text = f"query,doc_id\none,{given}\none,market-24\n"
    assert "1 id looks like a date" in csv(tmp_path / "j.csv", text).notes[0]
    with pytest.raises(MalformedData, match=r"line 2.*made a date of an id"):
        csv(tmp_path / "j.csv", text, documents=["3-24", "market-24"])
    assert csv(tmp_path / "j.csv", text, documents=[given, "market-24"]).notes == ()


def test_fractions_count_as_what_is_said_of_them(tmp_path):
    """A grade of .5 is refused until somebody says what it is."""
    text = "query,doc_id,grade\none,d1,0.5\none,d2,0\n"
    found = csv(tmp_path / "j.csv", text, grades={"0.5": 1})
    assert judged(found) == {text_key("one"): {"d1": 1, "d2": 0}}


def test_an_encoding_that_cannot_be_told_can_be_given(tmp_path):
    """Cyrillic is read with its encoding, and an unknown one is refused."""
    text = "вопрос,doc_id\nдым?,d1\n".encode("cp1251")
    found = csv(tmp_path / "j.csv", text, encoding="cp1251")
    assert list(found.queries.values()) == ["дым?"]
    with pytest.raises(InvalidArgument, match="encoding='klingon'"):
        csv(tmp_path / "j.csv", text, encoding="klingon")
    with pytest.raises(MalformedData, match="is not ascii"):
        csv(tmp_path / "j.csv", text, encoding="ascii")


def test_several_ids_in_a_cell_are_split_if_they_are_ids(tmp_path):
    """A list in one cell is split where each part is a document's id; an id with a comma stays."""
    text = 'query,doc_id\none,"D1, D2, D3"\ntwo,"a, b"\nthree,D1\n'
    ids = ["D1", "D2", "D3", "a, b"]
    found = csv(tmp_path / "j.csv", text, documents=ids)
    assert judged(found)[text_key("one")] == {"D1": 1, "D2": 1, "D3": 1}
    assert judged(found)[text_key("two")] == {"a, b": 1}
    assert found.notes == ("Reading j.csv: 1 cell with several ids is split.",)
    documents = {one: Document(one, "text") for one in ids}
    assert csv(tmp_path / "j.csv", text, documents=documents).documents == documents
    with pytest.raises(MalformedData, match=r"line 2.*'D1, D2, D3'.*no document.*'D3'"):
        csv(tmp_path / "j.csv", text, documents=["D1", "D2"])
    with pytest.raises(InvalidArgument, match="documents=3"):
        csv(tmp_path / "j.csv", text, documents=3)


def test_words_of_ones_own(tmp_path):
    """Levels that nobody can guess get their grades by an argument."""
    text = "query,doc_id,grade\none,d1,Partly\none,d2,highly relevant\none,d3,no\n"
    found = csv(tmp_path / "j.csv", text, grades={"partly": 1, "highly relevant": 3})
    assert judged(found) == {text_key("one"): {"d1": 1, "d2": 3, "d3": 0}}
    with pytest.raises(InvalidArgument, match=r"grades=\{'partly': 0.5\}"):
        csv(tmp_path / "j.csv", text, grades={"partly": 0.5})


def test_judges_who_disagree(tmp_path):
    """Several judges are settled by majority or mean, and the notes have their agreement."""
    rows = [("one", "d1", 2, 2, 0), ("one", "d2", 0, 0, 0), ("two", "d3", 2, 1, ""),
            ("two", "d4", 0, 1, 1)]  # fmt: skip
    wide = "query,doc_id,grade Ann,grade Ben,grade Cid\n"
    wide += "".join(",".join(map(str, row)) + "\n" for row in rows)
    long = "query,doc_id,judge,grade\n" + "".join(
        f"{query},{doc},{name},{grade}\n"
        for query, doc, *grades in rows
        for name, grade in zip(("Ann", "Ben", "Cid"), grades, strict=True)
    )
    one, two = text_key("one"), text_key("two")
    for text in (wide, long):
        found = csv(tmp_path / "j.csv", text)
        assert judged(found) == {one: {"d1": 2, "d2": 0}, two: {"d3": 1, "d4": 1}}
        (note,) = [note for note in found.notes if "alpha" in note]
        assert "3 judges; 4 documents have several of them, who differ on 3" in note
        assert "too little to rely on" in note
        assert "alpha (ordinal)" in note
        mean = csv(tmp_path / "j.csv", text, judges="mean")
        assert "alpha (interval)" in mean.notes[-1]
        assert judged(mean) == {one: {"d1": 1, "d2": 0}, two: {"d3": 1, "d4": 1}}
    with pytest.raises(InvalidArgument, match="judges='vote'"):
        csv(tmp_path / "j.csv", long, judges="vote")
    with pytest.raises(
        MalformedData, match=r"line 3.*'Ann' already gave document 'd1' the grade 1"
    ):
        csv(tmp_path / "j.csv", "query,doc_id,judge,grade\none,d1,Ann,1\none,d1,Ann,0\n")


def test_agreement_is_krippendorffs_alpha():
    """The example of Krippendorff (2011), four observers and missing values, has its values."""
    from runoff._labels.judges import alpha

    rows = [
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    ]
    units = [
        {str(at): int(value) for at, value in enumerate(unit) if value != "."}
        for unit in zip(*map(str.split, rows), strict=True)
    ]
    found = [round(alpha(units, level), 3) for level in ("nominal", "ordinal", "interval")]
    assert found == [0.743, 0.815, 0.849]


@pytest.mark.slow("3 s: a table of 100,000 rows, by processor time")
def test_a_hundred_thousand_rows_take_seconds(tmp_path):
    """A large table is read in a time that grows with its rows."""
    rows = "".join(
        f"query {at // 20};d{at};{'ja' if at % 3 else 'nein'}\n" for at in range(100_000)
    )
    start = time.process_time()
    found = csv(tmp_path / "j.csv", "Frage;Dokument;Relevanz\n" + rows)
    assert time.process_time() - start < 20  # 2 s alone
    assert sum(map(len, found.qrels.values())) == 100_000


def test_a_frame_is_read_like_a_table():
    """A data frame has the same spellings, words, gaps and judges."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"Frage": ["one", None, "two"], "Doc ID": [1.0, 2.0, 3.0], "Relevant": ["ja", "nein", True]}
    )
    found = Collection.from_pandas(frame)
    assert judged(found) == {text_key("one"): {"1": 1, "2": 0}, text_key("two"): {"3": 1}}
    assert "1 empty query cell stands for the query above" in found.notes[0]


@pytest.fixture
def book():
    """Return a function that writes an Excel file with these sheets."""
    openpyxl = pytest.importorskip("openpyxl")

    def write(path, **sheets):
        made = openpyxl.Workbook()
        made.remove(made.active)
        for name, rows in sheets.items():
            sheet = made.create_sheet(name)
            for row in rows:
                sheet.append(row)
            if name == "merged":
                sheet.merge_cells("A2:A3")
        made.save(path)
        return path

    return write


ROWS = [
    ("Frage", "Doc ID", "Relevanz"),
    ("one", "d1", "ja"),
    (None, "d2", "nein"),
    ("two", "d3", True),
    (None, None, None),
]


def test_excel_files(tmp_path, book):
    """A sheet with merged cells is read as the table it is; the one that fits is found."""
    path = book(tmp_path / "j.xlsx", notes=[("by Ann", "in May")], merged=ROWS)
    found = Collection.from_xlsx(path)
    assert judged(found) == PLAIN
    assert "the sheet is 'merged'" in found.notes[0]
    assert found.name == "j.xlsx"
    assert judged(Collection.from_xlsx(path, sheet="merged")) == PLAIN
    with pytest.raises(InvalidArgument, match=r"sheet='May': must be one of \['notes', 'merged'\]"):
        Collection.from_xlsx(path, sheet="May")
    with pytest.raises(InvalidArgument, match=r"must name one of the sheets \['a', 'b'\]"):
        Collection.from_xlsx(book(tmp_path / "two.xlsx", a=ROWS, b=ROWS))
    with pytest.raises(MalformedData, match="missing: query, doc_id"):
        Collection.from_xlsx(book(tmp_path / "no.xlsx", a=[("x", "y")]))


def test_numbers_and_dates_of_excel(tmp_path, book):
    """Whole numbers are ids; a date that was an id, and a fraction, are refused by name."""
    import datetime as dt

    head = ("query", "doc_id")
    found = Collection.from_xlsx(book(tmp_path / "j.xlsx", a=[head, ("one", 12), (2026, 13.0)]))
    assert judged(found) == {text_key("one"): {"12": 1}, text_key("2026"): {"13": 1}}
    for odd, message in ((dt.date(2026, 5, 1), "is a date"), (1.5, "name or a number")):
        with pytest.raises(MalformedData, match=message):
            Collection.from_xlsx(book(tmp_path / "j.xlsx", a=[head, ("one", odd)]))


def test_what_is_no_excel_file(tmp_path, book):
    """Other formats, encrypted and damaged files are refused with what to do."""
    path = book(tmp_path / "good.xlsx", a=ROWS)
    whole = path.read_bytes()
    for content, message in (
        (b"", "is not an .xlsx file"),
        (b"query,doc_id\n", "is not an .xlsx file"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 600, "an .xls or encrypted file"),
        (whole[: len(whole) // 2], "damaged"),
    ):
        (tmp_path / "bad.xlsx").write_bytes(content)
        with pytest.raises(MalformedData, match=message):
            Collection.from_xlsx(tmp_path / "bad.xlsx")
    with zipfile.ZipFile(tmp_path / "bad.xlsx", "w") as archive:
        archive.writestr("something.txt", "else")
    with pytest.raises(MalformedData, match="damaged"):
        Collection.from_xlsx(tmp_path / "bad.xlsx")


def test_optional_packages_are_named(tmp_path, book, monkeypatch):
    """Without openpyxl or krippendorff the error has the pip command."""
    path = book(tmp_path / "j.xlsx", a=ROWS)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingExtra, match=r"runoff\[xlsx\]"):
        Collection.from_xlsx(path)
    monkeypatch.setitem(sys.modules, "krippendorff", None)
    with pytest.raises(MissingExtra, match=r"runoff\[eval\]"):
        csv(tmp_path / "j.csv", "query,doc_id,judge,grade\none,d1,Ann,1\none,d1,Ben,0\n")


@pytest.mark.parametrize("header", ["query,doc_id,clicks", "Query,Doc ID,position,Clicked"])
def test_clicks_are_no_judgments(tmp_path, header):
    """Every row would be a relevant document, clicked or not."""
    row = ",".join(["how?", "d1", *["1"] * (header.count(",") - 1)])
    (tmp_path / "log.csv").write_text(f"{header}\n{row}\n")
    with pytest.raises(MalformedData, match=r"are not judgments.*--clicks"):
        Collection.from_csv(tmp_path / "log.csv")
    (tmp_path / "graded.csv").write_text(f"{header},grade\n{row},2\n")
    graded = Collection.from_csv(tmp_path / "graded.csv")
    assert list(graded.qrels.values()) == [{"d1": 2}]
