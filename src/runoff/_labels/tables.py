"""Tables from CSV and Excel files: their encoding, their delimiter, and the row of their header."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runoff._labels.headers import JUDGMENTS, Columns, columns_of, missing
from runoff.errors import InvalidArgument, MalformedData, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_TITLES = 20  # rows that may stand above the header
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_FALLBACK = "cp1252"  # what Excel saves on a Windows of western Europe or America
_ROW = 3  # German has two in a row
_OTHER_LETTERS = re.compile(rb"[\x80-\xff]+")
_FORMATS = {b"PK\x03\x04": "an .xlsx file", b"\xd0\xcf\x11\xe0": "an .xls or encrypted file"}


@dataclass(slots=True)
class Table:
    """A table whose columns are known.

    Attributes:
        name: the file's name.
        columns: where they are.
        rows: the place of each row, and its cells without white space around them, None where
            one is empty; as many as the header has. A row without any is there too.
        told: how it was read, as parts of a sentence.
    """

    name: str
    columns: Columns
    rows: Iterable[tuple[str, Sequence[object]]]
    told: list[str] = field(default_factory=list)


def read_csv(
    path: Path,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    needed: Sequence[str] = JUDGMENTS,
) -> Table:
    """Read a CSV file.

    Args:
        path: the file; it may be compressed.
        delimiter: None finds the one with which the header has the columns needed.
        encoding: None takes that of its byte order mark, else UTF-8, else Windows-1252 if only
            some letters are not ASCII.
        needed: the columns that it must have.

    Raises:
        InvalidArgument: `delimiter` or `encoding` is unknown.
        MalformedData: it cannot be read, or lacks a column.
        OSError: the file cannot be opened.
    """
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1):
        raise InvalidArgument("delimiter", delimiter, "must be one character")
    text, told = _text(path, encoding)
    first, _, rest = text.partition("\n")
    skipped = 0
    if delimiter is None and (said := re.fullmatch(r"sep=(.)\s*", first)):  # Excel's own hint
        delimiter, text, skipped = said[1], rest, 1
    usual = "\t" if path.name.lower().removesuffix(".gz").endswith((".tsv", ".tab")) else ","
    tried = [delimiter] if delimiter else [usual, *(one for one in _DELIMITERS if one != usual)]
    heads = {one: list(_head(path.name, text, one)) for one in tried}
    fits = {one: found for one in tried if (found := _header(path.name, heads[one], needed))}
    if not fits:
        widest = max(tried, key=lambda one: max(map(_width, heads[one]), default=0))
        raise _no_header(path.name, heads[widest], skipped, needed)
    # a tie goes to the usual one
    chosen = max(fits, key=lambda one: len(fits[one][1].role))
    at, columns = fits[chosen]
    if chosen != usual:
        told.append(f"{_DELIMITERS.get(chosen, repr(chosen))} separate the columns")
    if at:
        told.append(f"the header is row {at + 1 + skipped}")
    rows = _csv_rows(path.name, text, chosen, skipped)
    return Table(path.name, columns, _below(path.name, rows, at, told), told)


def read_xlsx(path: Path, *, sheet: str | None = None, needed: Sequence[str] = JUDGMENTS) -> Table:
    """Read a sheet of an Excel file.

    Args:
        path: the file.
        sheet: its name; None takes the one sheet that has the columns needed.
        needed: the columns that it must have.

    Raises:
        MissingExtra: openpyxl is not installed.
        InvalidArgument: there is no such sheet, or several would do.
        MalformedData: it is no such file, or lacks a column.
        OSError: the file cannot be opened.
    """
    try:
        import openpyxl  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingExtra("openpyxl", "xlsx") from None
    with path.open("rb") as file:
        start = file.read(4)
    if start != b"PK\x03\x04":
        what = _FORMATS.get(start, "not an .xlsx file")
        remedy = f"is {what}: save it as .xlsx without a password, or as CSV"
        raise MalformedData(path.name, start, remedy)
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        sheets = {one.title: list(one.iter_rows(values_only=True)) for one in book.worksheets}
        book.close()
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - damage reaches it as errors of many kinds
        raise MalformedData(path.name, str(error), "the .xlsx file is damaged") from None
    if sheet is not None and sheet not in sheets:
        raise InvalidArgument("sheet", sheet, f"must be one of {list(sheets)}")
    told = []
    cells = {
        name: [[_cell(one) for one in row] for row in rows]
        for name, rows in sheets.items()
        if sheet is None or name == sheet
    }
    places = {
        name: f"{path.name} sheet {name!r}" if len(sheets) > 1 else path.name for name in cells
    }
    fits = {
        name: found
        for name, rows in cells.items()
        if (found := _header(places[name], _numbered(rows[:_TITLES]), needed))
    }
    if not fits:
        name, rows = max(cells.items(), key=lambda item: len(item[1]), default=("", []))
        raise _no_header(places.get(name, path.name), _numbered(rows[:_TITLES]), 0, needed)
    if len(fits) > 1:
        raise InvalidArgument("sheet", None, f"must name one of the sheets {list(fits)}")
    ((name, (at, columns)),) = fits.items()
    if len(sheets) > 1 and sheet is None:
        told.append(f"the sheet is {name!r}")
    if at:
        told.append(f"the header is row {at + 1}")
    return Table(path.name, columns, _below(places[name], _numbered(cells[name]), at, told), told)


def framed(
    name: str,
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
) -> Table:
    """Return rows that are in memory as a table.

    Raises:
        MalformedData: a column is missing, or named twice.
    """
    columns = columns_of(name, header, JUDGMENTS)
    if missing(columns, JUDGMENTS):
        raise _no_header(name, [(0, list(header))], 0, JUDGMENTS)
    return Table(
        name, columns, ((f"{name} row {at}", list(map(_cell, row))) for at, row in enumerate(rows))
    )


def _text(path: Path, encoding: str | None) -> tuple[str, list[str]]:
    """Return the text of a file, and a note on how it was decoded, if it needs one."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise MalformedData(path.name, str(error), "the gzip file is damaged") from None
    if what := _FORMATS.get(data[:4]):
        raise MalformedData(path.name, data[:4], f"is {what}, not CSV: rename it accordingly")
    told: list[str] = []
    if encoding is None:
        encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
        if encoding == "utf-16":
            told.append("the encoding is UTF-16")
        elif encoding == "utf-8" and _is_western(data):
            encoding = _FALLBACK
            told.append("the encoding is taken to be Windows-1252 (else pass encoding=)")
    try:
        text = data.decode(encoding)
    except LookupError:
        raise InvalidArgument("encoding", encoding, "is unknown to Python") from None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        name = "UTF-8" if encoding.startswith("utf-8") else encoding
        remedy = f"is not {name}: save the file as UTF-8, or pass its encoding="
        raise MalformedData(
            f"{path.name} line {line}", data[error.start : error.start + 1], remedy
        ) from None
    if "\0" in text:
        remedy = "contains NUL characters: it is not text, or has another encoding (pass encoding=)"
        raise MalformedData(path.name, text[:20], remedy)
    return text.removeprefix("\ufeff"), told


def _is_western(data: bytes) -> bool:
    """Whether bytes that are not UTF-8 can be Windows-1252: single letters among ASCII ones."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return False
    try:
        data.decode(_FALLBACK)
    except UnicodeDecodeError:
        return False
    runs = [len(run) for run in _OTHER_LETTERS.findall(data)]
    # in Cyrillic, Greek, Chinese or Japanese they come in rows
    return sum(length for length in runs if length >= _ROW) < sum(runs) / 2


def _csv_rows(
    name: str, text: str, delimiter: str, skipped: int
) -> Iterator[tuple[int, list[object]]]:
    # people write a space after a comma
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    try:
        for cells in reader:
            yield reader.line_num + skipped, list(map(_cell, cells))
    except csv.Error as error:
        where = f"{name} line {reader.line_num + skipped}"
        raise MalformedData(where, str(error), "is not CSV") from None


def _head(name: str, text: str, delimiter: str) -> Iterator[tuple[int, list[object]]]:
    """Yield the first rows, up to one that this delimiter cannot read."""
    rows = _csv_rows(name, text, delimiter, 0)
    for _ in range(_TITLES):
        try:
            yield next(rows)
        except (MalformedData, StopIteration):
            return


def _numbered(rows: Iterable[list[object]]) -> list[tuple[int, list[object]]]:
    return list(enumerate(rows, 1))


def _width(row: tuple[int, Sequence[object]]) -> int:
    return sum(cell is not None for cell in row[1])


def _header(
    name: str, rows: Sequence[tuple[int, Sequence[object]]], needed: Sequence[str]
) -> tuple[int, Columns] | None:
    """Return the place of the header among the first rows, and its columns."""
    for at, (line, cells) in enumerate(rows):
        if _width((line, cells)) > 1:
            columns = columns_of(f"{name} line {line}", cells, needed)
            if not missing(columns, needed):
                return at, columns
    return None


def _no_header(
    name: str, rows: Sequence[tuple[int, Sequence[object]]], skipped: int, needed: Sequence[str]
) -> MalformedData:
    line, cells = next((one for one in rows if _width(one)), (1, []))
    given = [cell for cell in cells if cell is not None]
    absent = missing(columns_of(name, cells, needed), needed)
    names = f"{', '.join(needed[:-1])} and {needed[-1]}"
    if needed == JUDGMENTS:
        names += " (or answer)"
    remedy = f"must name the columns {names}; missing: {', '.join(absent)}"
    if len(given) == 1:
        remedy += "; if an unusual character separates the columns, pass delimiter="
    return MalformedData(f"{name} line {line + skipped}", given, remedy)


def _below(
    name: str, rows: Iterable[tuple[int, list[object]]], header: int, told: list[str]
) -> Iterator[tuple[str, Sequence[object]]]:
    """Yield the rows below the header, each as wide as that.

    Cells under an empty heading are left out, and `told` says so.
    """
    width = wide = 0
    note = "cells without a heading are ignored"
    for at, (line, cells) in enumerate(rows):
        if at == header:
            width = wide = len(cells)
            while width and cells[width - 1] is None:
                width -= 1
        if at <= header:
            continue
        if len(cells) != width and _width((line, cells)):
            extra = cells[width:]
            there = any(cell is not None for cell in extra)
            if there and len(cells) <= wide and note not in told:
                told.append(note)
            if len(cells) < width or (there and len(cells) > wide):
                remedy = f"must have {width} cells like the header, not {len(cells)}"
                raise MalformedData(f"{name} line {line}", cells, remedy)
        yield f"{name} line {line}", cells[:width]


def _cell(value: object) -> object:
    """Return what is in a cell; None if it is empty."""
    if isinstance(value, str):
        text = value.strip(" \t\r\n\u00a0\u200b\ufeff\u3000")
        return text or None
    return value
