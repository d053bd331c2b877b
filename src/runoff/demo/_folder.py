"""The documents of a user's folder: Markdown, text, JSON lines, or a BEIR collection."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING

from runoff._util.stored import parse_json
from runoff.demo._corpus import split_text
from runoff.errors import InvalidArgument, RunoffError
from runoff.types import Document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIXES = (".md", ".markdown", ".rst", ".txt", ".jsonl", ".jsonl.gz")
_BEIR_QUERIES = ("queries.jsonl", "queries.jsonl.gz")
_ID_FIELDS = ("_id", "id")
_TEXT_FIELDS = ("text", "content", "body")


def folder_documents(folder: Path) -> list[Document]:
    """Return the documents of a folder and its subfolders, sorted by file.

    A Markdown or text file is split at paragraphs into pieces `name#1`, `name#2` ..., where `name`
    is the path below the folder. Each line of a JSON lines file is a document with `text` (or
    `content`, or `body`), and optionally `_id` (or `id`), `title` and further fields, which become
    metadata if they are text, numbers or booleans. The `queries.jsonl` of a BEIR folder is left
    out.

    Raises:
        InvalidArgument: it is not a folder, or has no such file.
        RunoffError: a file cannot be read; the message names the file and the line.
    """
    documents: dict[str, Document] = {}
    for path in _files(folder):
        for document in _documents(path, path.relative_to(folder).as_posix()):
            known = documents.setdefault(document.doc_id, document)
            if known.text != document.text:
                raise RunoffError(f"{path}: two different texts have the id {document.doc_id!r}")
    return list(documents.values())


def folder_state(folder: Path) -> str:
    """Return a text that changes when a file of the folder changes.

    Raises:
        InvalidArgument: as for `folder_documents`.
    """
    return "\n".join(
        f"{path.relative_to(folder)} {path.stat().st_size} {path.stat().st_mtime_ns}"
        for path in _files(folder)
    )


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InvalidArgument("path", str(folder), "is not a folder")
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.name.lower().endswith(SUFFIXES)
        and path.is_file()
        and path.name not in _BEIR_QUERIES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not files:
        remedy = f"has no file that ends in {', '.join(SUFFIXES)}"
        raise InvalidArgument("path", str(folder), remedy)
    return files


def _documents(path: Path, name: str) -> Iterator[Document]:
    if name.lower().endswith((".jsonl", ".jsonl.gz")):
        yield from _records(path, name)
        return
    pieces = split_text(_read(path))
    for number, piece in enumerate(pieces, 1):
        yield Document(f"{name}#{number}" if len(pieces) > 1 else name, piece, {"file": name})


def _read(path: Path) -> str:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return data.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise RunoffError(f"{path}: cannot be read ({error})") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise RunoffError(f"{path}, line {line}: is not UTF-8 ({error.reason})") from error


def _records(path: Path, name: str) -> Iterator[Document]:
    # not splitlines(), which also splits at characters that JSON strings may contain, as U+2028
    for number, line in enumerate(_read(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = parse_json(line)
            if "\\u" in line:  # an escape may be a lone surrogate
                json.dumps(record, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise RunoffError(
                f"{path}, line {number}: contains half a surrogate pair, which is not a character"
            ) from error
        except ValueError as error:
            raise RunoffError(f"{path}, line {number}: is not JSON ({error})") from error
        text = (
            next((record[key] for key in _TEXT_FIELDS if key in record), None)
            if isinstance(record, dict)
            else None
        )
        if not isinstance(text, str):
            fields = ", ".join(_TEXT_FIELDS)
            raise RunoffError(f"{path}, line {number}: has no text field (one of {fields})")
        title = record.get("title")
        if isinstance(title, str) and title:
            text = f"{title}\n\n{text}"
        given = next((record[key] for key in _ID_FIELDS if record.get(key) not in (None, "")), None)
        doc_id = f"{name}#{number}" if given is None else str(given)
        metadata = {
            key: value
            for key, value in record.items()
            if key not in _TEXT_FIELDS and isinstance(value, str | int | float | bool)
        }
        yield Document(doc_id, text, metadata | {"file": name})
