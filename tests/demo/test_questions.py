"""The judged questions of the demo: enough of them, well formed, and about documents that exist."""

import json
import re
from importlib.resources import files

import pytest

from runoff.demo import stdlib_documents
from runoff.demo._questions import GRADES, load_questions, parse_questions
from runoff.errors import RunoffError

GOOD = {"query_id": "q1", "text": "how?", "relevant": {"csv": 2}}


@pytest.fixture(scope="module")
def questions():
    return load_questions()


def test_there_are_enough(questions):
    """The issue asks for at least 150."""
    assert len(questions) >= 150


def test_ids_and_texts_are_unique(questions):
    """No question is asked twice, not even in another case."""
    assert len({question.query_id for question in questions}) == len(questions)
    assert len({question.text.casefold() for question in questions}) == len(questions)


def test_every_relevant_document_exists(questions):
    """Each judged id is a document of the interpreter that runs this test."""
    known = {document.doc_id for document in stdlib_documents()}
    missing = {
        (question.query_id, doc_id)
        for question in questions
        for doc_id in question.relevant
        if doc_id not in known
    }
    assert missing == set()


def test_every_question_has_an_answer(questions):
    """Grades are 1 and 2, and every question has at least one 2."""
    for question in questions:
        assert set(question.relevant.values()) <= GRADES
        assert 2 in question.relevant.values()


def test_no_question_gives_its_answer_away(questions):
    """No text contains the dotted name of a relevant document."""
    told = [
        (question.query_id, doc_id)
        for question in questions
        for doc_id in question.relevant
        if "." in doc_id and doc_id.casefold() in question.text.casefold()
    ]
    assert told == []


def test_judgments_cannot_be_changed(questions):
    """A loaded question cannot be changed."""
    with pytest.raises(TypeError):
        questions[0].relevant["csv"] = 0


def test_the_file_keeps_its_order(questions):
    """Questions come in the order of the file, numbered without gaps."""
    text = files("runoff.demo").joinpath("questions.jsonl").read_text(encoding="utf-8")
    assert [question.query_id for question in questions] == [
        f"q{number:03d}" for number in range(1, len(text.splitlines()) + 1)
    ]


@pytest.mark.parametrize(
    ("second", "complaint"),
    [
        ("{", "not JSON"),
        ("", "not JSON"),
        ("[]", "expected the fields ['query_id', 'relevant', 'text'], found list"),
        ('{"text": "x"}', "found ['text']"),
        (json.dumps({**GOOD, "query_id": 3}), "query_id must be a non-empty string, found 3"),
        (json.dumps({**GOOD, "query_id": "q2", "text": " "}), "text must be a non-empty string"),
        (json.dumps({**GOOD, "relevant": ["csv"]}), "relevant must map ids to [1, 2]"),
        (json.dumps({**GOOD, "relevant": {"csv": 3}}), "ids to [1, 2], found {'csv': 3}"),
        (json.dumps({**GOOD, "relevant": {"csv": True}}), "ids to [1, 2], found {'csv': True}"),
        (json.dumps({**GOOD, "relevant": {"csv": 1}}), "no document has grade 2"),
        (json.dumps(GOOD), "'q1' occurs twice"),
        (json.dumps({**GOOD, "query_id": "q2"}), "'how?' occurs twice"),
    ],
)
def test_a_bad_line_is_named(second, complaint):
    """Damage is reported with its line number and what was expected."""
    with pytest.raises(RunoffError, match=re.escape(complaint)) as raised:
        parse_questions(json.dumps(GOOD) + "\n" + second + "\n")
    assert "line 2" in str(raised.value)
