"""Slices are functions of the query, and each query is in one of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff.errors import InvalidArgument
from runoff.evaluation import by_agreement, by_length, by_margin, by_script
from runoff.evaluation._verdict.slices import banded


def test_length_by_words():
    """Queries are split in thirds by their number of words, and the name has the bounds."""
    texts = {f"q{at}": " ".join(["word"] * at) for at in range(1, 10)}
    found = by_length(texts)
    assert [found[one] for one in ("q1", "q3", "q4", "q6", "q7", "q9")] == [
        "low (1 to 3)",
        "low (1 to 3)",
        "middle (4 to 6)",
        "middle (4 to 6)",
        "high (7 to 9)",
        "high (7 to 9)",
    ]


def test_length_of_a_script_without_spaces():
    """If no query has two words, letters are counted."""
    found = by_length({"a": "面包", "b": "面包怎么", "c": "面包怎么发酵"})
    assert found == {"a": "low (2)", "b": "middle (4)", "c": "high (6)"}


def test_script():
    """Queries are sliced by the script they are written in."""
    found = by_script(
        {"a": "how does dough rise?", "b": "面团是怎么发酵的", "c": "كيف يرتفع العجين"}
    )
    assert found == {"a": "Latin", "b": "Han", "c": "Arabic"}


def test_agreement_of_sources():
    """Agreement is the share of the first documents that sources have in common."""
    rankings = {
        "same": [["a", "b"], ["b", "a"]],
        "half": [["a", "b"], ["a", "c"]],
        "none": [["a", "b"], ["c", "d"]],
        "alone": [["a", "b"]],
    }
    found = by_agreement(rankings, rankings.__getitem__, cutoff=2)
    assert found == {"same": "high (1)", "half": "middle (0.5)", "none": "low (0)"}


def test_margin():
    """The margin is the lead of the best score over the next; a single score has none."""
    scores = {"a": [5.0, 4.75, 1.0], "b": [5.0, 3.0], "c": [1.0, -4.0], "d": [3.0], "e": []}
    found = by_margin(scores, scores.__getitem__)
    assert found == {"a": "low (0.25)", "b": "middle (2)", "c": "high (5)"}


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=40))
def test_bands_keep_equal_values_together_and_in_order(values):
    """Every query has one band, equal values share theirs, and bands follow the values."""
    found = banded(values)
    assert found.keys() == values.keys()
    bands = {values[one]: band.split()[0] for one, band in found.items()}
    assert all(band.split()[0] == bands[values[one]] for one, band in found.items())
    order = ["low", "middle", "high"]
    places = [order.index(bands[value]) for value in sorted(bands)]
    assert places == sorted(places)


def test_values_that_are_no_numbers():
    """A value that is not finite is refused."""
    with pytest.raises(InvalidArgument, match="finite"):
        banded({"a": float("nan")})
