"""The queries and documents to measure with."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runoff._util.prose import stretches
from runoff.errors import RunoffError
from runoff.types import Document

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_PIECES = 1000
_SHORTEST, _LONGEST = 40, 240  # words, as text splitters make chunks
_ASKED = 8  # words of a document that serve as a query
_QUERIES = ("queries.jsonl", "queries.jsonl.gz")


@dataclass(frozen=True, slots=True)
class Material:
    """Texts to search.

    Attributes:
        what: a description of them.
        queries: one or more queries.
        documents: one or more documents.
    """

    what: str
    queries: tuple[str, ...]
    documents: tuple[Document, ...]


def built_in() -> Material:
    """Return questions about Python and pieces of its language reference."""
    from runoff.demo._questions import load_questions  # noqa: PLC0415 - other material needs none

    chance = random.Random(0)  # noqa: S311 - no secret
    lengths = (chance.randint(_SHORTEST, _LONGEST) for _ in range(_PIECES))
    return Material(
        f"Python's language reference in pieces of {_SHORTEST} to {_LONGEST} words",
        tuple(one.text for one in load_questions()),
        _documents(stretches(lengths)),
    )


def of_words(length: int, count: int = 200) -> tuple[Document, ...]:
    """Return `count` documents of `length` words each."""
    return _documents(stretches([length] * count, seed=length))


def of_folder(folder: Path) -> Material:
    """Return a folder's documents and, if it is a BEIR folder, its queries.

    In any other folder the first words of documents serve as queries.

    Raises:
        InvalidArgument: it is not a folder, or has no documents.
        RunoffError: a file cannot be read.
    """
    from runoff.demo._folder import folder_documents  # noqa: PLC0415 - as above

    found = tuple(one for one in folder_documents(folder) if one.text.strip())
    if not found:
        raise RunoffError(f"{folder}: its documents have no text")
    queries = next((_queries(folder / name) for name in _QUERIES if (folder / name).is_file()), ())
    queries = queries or tuple(" ".join(one.text.split()[:_ASKED]) for one in found[:_PIECES])
    return Material(str(folder), queries, found)


def _queries(path: Path) -> tuple[str, ...]:
    data = path.read_bytes()
    try:
        lines = (gzip.decompress(data) if path.suffix == ".gz" else data).decode().split("\n")
        texts = [json.loads(line)["text"] for line in lines if line.strip()]
    except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
        raise RunoffError(f"{path}: is not a BEIR queries file ({error})") from error
    return tuple(one for one in texts if isinstance(one, str) and one.strip())


def _documents(texts: Iterable[str]) -> tuple[Document, ...]:
    return tuple(Document(f"{number}", text) for number, text in enumerate(texts, 1))
