"""Structured documents as YAML, and passages of the YAML as passages of the document's text."""

import copy
import datetime as dt
import pickle

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rerankers import Scorer

from runoff import Document, TwoStage
from runoff.errors import InvalidArgument
from runoff.recall import Function
from runoff.rerank import AsYAML, Pointwise
from runoff.rerank._passages import within
from runoff.scores import Passage

BOOK = Document(
    "a",
    'Über Kaskaden.\nZweite Zeile: "zitiert".',
    {"year": 2020, "title": "Größe", "runoff": "{}", "tags": ["x", "y"], "absent": None},
)


def test_fields_come_in_the_order_given():
    """Important fields first, the text last, letters as letters, and nothing that is absent."""
    read = AsYAML(["title", "year", "absent"])(BOOK)
    assert list(yaml.safe_load(read)) == ["title", "year", "text"]
    assert read.startswith("title: Größe\nyear: 2020\ntext: |")
    assert yaml.safe_load(read)["text"] == BOOK.text


def test_without_names_all_fields_are_read_but_runoffs_own():
    """All metadata in its order, without the provenance of an earlier pass."""
    assert list(yaml.safe_load(AsYAML()(BOOK))) == ["year", "title", "tags", "text"]
    assert list(yaml.safe_load(AsYAML(["title"], text="")(BOOK))) == ["title"]


def test_odd_values_are_written():
    """Dates stay dates, nested values nest, and what YAML has no word for is shown by str."""
    held = {"on": dt.date(2020, 1, 2), "deep": {"a": (1, None)}, "odd": complex(1, 2)}
    told = yaml.safe_load(AsYAML()(Document("a", "t", held)))
    assert told == {"on": held["on"], "deep": {"a": [1, None]}, "odd": "(1+2j)", "text": "t"}


@given(st.text(), st.dictionaries(st.text("abcäß -:", min_size=1), st.text()))
def test_it_can_be_read_back(text, metadata):
    """The YAML can be read back to the same values, except for kinds of line ends."""
    metadata = {name: one for name, one in metadata.items() if name not in {"text", "runoff"}}
    read = AsYAML()(Document("a", text, metadata))
    try:
        told = yaml.safe_load(read)
    except yaml.reader.ReaderError:  # YAML forbids some characters even where they are escaped
        return
    words = {name: one.split() for name, one in {**metadata, "text": text}.items()}
    assert {name: one.split() for name, one in told.items()} == words


def test_it_is_configuration():
    """Equal ones are equal, and copies and pickles are the same."""
    one = AsYAML(["title", "year"], text="body")
    assert one == AsYAML(("title", "year"), text="body") != AsYAML(["title"])
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
    assert hash(one) == hash(copy.copy(one))


@pytest.mark.parametrize("names", [(5,), ("",), ("title", "title"), ("text",), "title", 5])
def test_names_that_cannot_be_are_refused(names):
    """A name that is not a string, or is given twice, is refused."""
    with pytest.raises(InvalidArgument, match="fields"):
        AsYAML(names)


def test_a_part_is_told_in_the_documents_own_text():
    """A span of the indented text is a passage of the text; a span of another field is not."""
    read = AsYAML(["title"])(BOOK)
    start = read.index("Kaskaden")
    end = read.index(":", start)
    (one,) = within([Passage(start, end, 0.9), Passage(0, 5, 0.8)], read, BOOK.text)
    assert BOOK.text[one.start : one.end] == "Kaskaden.\nZweite Zeile"
    assert one.score == 0.9


def test_words_in_two_places_are_not_guessed():
    """Words that occur twice in the text give no passage."""
    read = "  a b\n  c a b"
    assert within([Passage(2, 5, 1.0)], read, "a b\nc a b") == ()


def test_a_scorer_reads_it():
    """Pointwise hands the YAML to the scorer."""
    scorer = Scorer([1.0])
    pipeline = TwoStage(
        {"all": Function(lambda query, depth: [(BOOK, 1.0)])},
        reranker=Pointwise(scorer, text=AsYAML(["title"])),
    )
    assert pipeline.search("Größe").outcome.complete
    assert scorer.seen[0][0] == [("Größe", AsYAML(["title"])(BOOK))]
