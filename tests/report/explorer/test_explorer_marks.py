"""Which words are marked, and where JavaScript finds them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff.report._explorer.marks import marks, span_of


def in_javascript(text, start, end):
    """Return the part of a text between two places, counted in UTF-16 units."""
    units = text.encode("utf-16-le", "surrogatepass")
    return units[2 * start : 2 * end].decode("utf-16-le", "surrogatepass")


@pytest.mark.parametrize(
    ("query", "text", "words"),
    [
        (
            "how do cascades work",
            "A cascade works; the working one.",
            ["cascade", "works", "working"],
        ),
        ("the sea", "the Sea is at sea", ["Sea", "sea"]),
        ("🌊 tide", "🌊🌊 tides 🌊 tide", ["tides", "tide"]),
        ("東京の天気", "明日の東京", ["の東京"]),
        ("csv", "read_csv(file)", ["csv"]),
        ("of the", "of the", []),
        ("tide", "", []),
    ],
)
def test_words_are_marked_as_bm25_compares_them(query, text, words):
    """Endings and case do not matter, stop words do not count, and emoji move no mark."""
    found = [in_javascript(text, *span) for span in marks(query, text)]
    assert [one for one in found if one in words] == [one for one in words if one in found]
    if text.isascii() or "🌊" in text:
        assert found == words


@given(st.text(max_size=30), st.text(max_size=60))
def test_marks_lie_in_the_text_in_order(query, text):
    """Every mark is a part of the text, and none overlaps the next."""
    length, last = len(text.encode("utf-16-le", "surrogatepass")) // 2, 0
    for start, end in marks(query, text):
        assert last <= start < end <= length
        last = end


def test_a_word_is_found_whole_before_it_is_found_inside_another():
    """`art` is not found in `start`, where it stands alone later."""
    assert span_of("art", "start of Art") == (9, 12)
    assert span_of("art", "start") == (2, 5)
    assert span_of("none", "start") is None
