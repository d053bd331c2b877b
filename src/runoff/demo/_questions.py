"""The judged questions of `runoff demo`, about the documents of `runoff.demo._corpus`.

They were written by hand from knowledge of the library before any system answered them, and never
changed because of an answer. Every relevant id exists on CPython 3.11, 3.12 and 3.13.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING

from runoff._util.messages import short_repr
from runoff._util.stored import parse_json
from runoff.errors import RunoffError

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_NAME = "questions.jsonl"

GRADES = frozenset({1, 2})
"""2: the answer. 1: helps, or answers in part. Other documents are unjudged."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question and its judgments.

    Attributes:
        query_id: its id, such as `q001`.
        text: the question as a user would ask it.
        relevant: doc_id to grade, one of GRADES; at least one document has the highest grade.
    """

    query_id: str
    text: str
    relevant: Mapping[str, int]


def load_questions() -> list[Question]:
    """Return the judged questions about Python's standard library, in the order of their file.

    Raises:
        RunoffError: the file is damaged; the message names the line.
    """
    return parse_questions(files("runoff.demo").joinpath(FILE_NAME).read_text(encoding="utf-8"))


def parse_questions(lines: str) -> list[Question]:
    """Read questions from JSON lines, one object with query_id, text and relevant in each.

    Raises:
        RunoffError: a line is not such an object, or repeats an id or a text; the message names
            the line.
    """
    questions: list[Question] = []
    seen: set[str] = set()
    for number, line in enumerate(lines.splitlines(), start=1):
        question = _question(line, f"{FILE_NAME} line {number}")
        for unique in (question.query_id, question.text):
            if unique in seen:
                raise RunoffError(f"{FILE_NAME} line {number}: {short_repr(unique)} occurs twice")
            seen.add(unique)
        questions.append(question)
    return questions


def _question(line: str, where: str) -> Question:
    try:
        record = parse_json(line)
    except ValueError as error:
        raise RunoffError(f"{where}: not JSON: {error}") from error
    expected = {"query_id", "text", "relevant"}
    if not isinstance(record, dict) or record.keys() != expected:
        found = sorted(record) if isinstance(record, dict) else type(record).__name__
        raise RunoffError(f"{where}: expected the fields {sorted(expected)}, found {found}")
    query_id, text, relevant = record["query_id"], record["text"], record["relevant"]
    for name, value in (("query_id", query_id), ("text", text)):
        if not isinstance(value, str) or not value.strip():
            raise RunoffError(
                f"{where}: {name} must be a non-empty string, found {short_repr(value)}"
            )
    if not isinstance(relevant, dict) or not all(
        type(grade) is int and grade in GRADES for grade in relevant.values()
    ):
        grades = sorted(GRADES)
        raise RunoffError(
            f"{where}: relevant must map ids to {grades}, found {short_repr(relevant)}"
        )
    if max(GRADES) not in relevant.values():
        raise RunoffError(f"{where}: no document has grade {max(GRADES)}")
    return Question(query_id, text, MappingProxyType(relevant))
