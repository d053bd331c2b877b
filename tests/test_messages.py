"""A count and its noun agree wherever the library says how many there are."""

import re
from pathlib import Path

import pytest

from runoff import Document, TwoStage
from runoff._util.messages import number_of
from runoff.evaluation import Collection, evaluate, record, replay
from runoff.recall import BM25, Dense

SOURCE = Path(__file__).parent.parent / "src" / "runoff"
COUNTED = "queries|documents|candidates|results|hits|judgments|rows|answers|observations|texts"
PLURAL = re.compile(rf"\{{[^{{}}]*\}} (?:judged )?(?:{COUNTED})\b(?!')")


@pytest.mark.parametrize(
    ("count", "words", "expected"),
    [
        (1, ("query",), "1 query"),
        (0, ("query",), "0 queries"),
        (2000, ("document",), "2,000 documents"),
        (1, ("row has", "rows have"), "1 row has"),
        (2, ("day",), "2 days"),
        (3, ("search", "searches"), "3 searches"),
    ],
)
def test_a_count_agrees_with_its_noun(count, words, expected):
    """One is singular; nothing and several are plural, with their verb."""
    assert number_of(count, *words) == expected


def test_one_of_everything_is_singular():
    """A system of one document, a recording of one query and what is computed from it."""
    documents = [Document("a", "green tea")]
    bm25 = BM25(documents)
    pipeline = TwoStage({"bm25": bm25}, reranker=None)
    collection = Collection({"q": "tea"}, {"q": {"a": 1}}, {"a": documents[0]})
    recording = record(pipeline, collection, 100)
    shown = [
        bm25,
        Dense(documents, lambda texts: [[1.0] for _ in texts]),
        pipeline.search("tea"),
        pipeline.search("tea").explain(),
        collection,
        recording,
        recording["q"],
        recording.health(),
        recording.losses(collection),
        replay(recording),
        evaluate(replay(recording), collection),
    ]
    for one in shown:
        said = f"{one!r}\n{one}\n{getattr(one, '_repr_html_', str)()}"
        found = re.findall(rf"(?<![\d.,])1 (?:judged )?(?:{COUNTED}|dimensions|tokens)\b", said)
        assert not found, said


def test_counts_are_written_by_the_helper():
    """No message writes a plural behind a number that may be one."""
    fixed = re.compile(r"\{_?[A-Z_]+(?::,)?\}|of \{|of the \{|first \{|than \{|each of")
    found = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in sorted(SOURCE.rglob("*.py"))
        if "testing" not in path.parts
        for line in path.read_text("utf-8").splitlines()
        if PLURAL.search(line) and not fixed.search(line) and "number_of" not in line
    ]
    assert not found
