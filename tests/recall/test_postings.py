"""Counting terms, and stop words beside them."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff.recall._analyzers import make_analyzer
from runoff.recall._bm25 import postings
from runoff.recall._bm25.documents import spliced
from runoff.recall._bm25.postings import Counts, join

WORDS = st.sampled_from([*"abc", "the", "IT", "ve", "İLE", "東京", "e\u0301", "oils", "oil"])
FEW = st.lists(st.lists(WORDS, max_size=30).map(" ".join), max_size=8)
MANY = st.lists(st.lists(st.integers(0, 500).map(str), max_size=6).map(" ".join), max_size=12)


@pytest.fixture(params=[None, 4], ids=["one block", "many blocks"])
def blocks(request, monkeypatch):
    """Count in one block, or in blocks of a few pieces, postings and terms."""
    if request.param:
        for name in ("_NUMBERED", "_PIECES", "_POSTINGS", "_TERMS"):
            monkeypatch.setattr(postings, name, request.param)


def counted(texts, analyzer):
    counts = Counts(analyzer)
    for one in texts:
        counts.add(one)
    return counts.postings()


def as_counts(made):
    assert made.rows.dtype == made.lengths.dtype == np.int32
    assert made.starts.dtype == np.int64
    for start, end in pairwise(made.starts.tolist()):
        assert end > start
        assert np.all(np.diff(made.rows[start:end]) > 0)
    return {
        (term, int(row)): int(count)
        for number, term in enumerate(made.terms)
        for row, count in zip(
            made.rows[made.starts[number] : made.starts[number + 1]],
            made.counts[made.starts[number] : made.starts[number + 1]],
            strict=True,
        )
    }


def expected(texts, part):
    return {
        (term, row): count
        for row, text in enumerate(texts)
        for term, count in Counter(part(text)).items()
    }


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("name", ["english", "turkish", "unicode"])
@given(texts=FEW | MANY)
def test_counts_are_those_of_each_text(name, texts):
    """Terms and stop words are counted text by text, in whichever blocks."""
    analyzer = make_analyzer(name)
    for made, part in zip(counted(texts, analyzer), (analyzer, analyzer.stop_words), strict=True):
        assert as_counts(made) == expected(texts, part)
        assert made.lengths.tolist() == [len(part(text)) for text in texts]


@pytest.mark.parametrize(("times", "kind"), [(255, "u1"), (256, "u2"), (65_536, "i4")])
def test_counts_take_little_memory(times, kind):
    """The type of the counts is the smallest that holds them."""
    made, _ = counted(["a " * times, "b a"], make_analyzer("unicode"))
    assert made.counts.dtype.str[1:] == kind
    assert as_counts(made)["a", 0] == times


@pytest.mark.usefixtures("blocks")
@given(texts=st.lists(FEW, min_size=1, max_size=3), data=st.data())
def test_joined_postings_are_those_of_all_texts(texts, data):
    """Joined postings are those of the texts in their new order, without those left out."""
    analyzer = make_analyzer("unicode")
    places = [(part, row) for part, some in enumerate(texts) for row in range(len(some))]
    kept = data.draw(st.permutations(places))[: data.draw(st.integers(0, len(places)))]
    parts = []
    for number, some in enumerate(texts):
        rows = [
            kept.index((number, row)) if (number, row) in kept else -1 for row in range(len(some))
        ]
        parts.append((counted(some, analyzer)[0], np.array(rows, dtype=np.int64)))
    made = join(parts, len(kept))
    ordered = [texts[part][row] for part, row in kept]
    assert as_counts(made) == expected(ordered, analyzer)
    assert made.lengths.tolist() == [len(analyzer(text)) for text in ordered]


@given(
    old=st.lists(st.integers(), max_size=9),
    new=st.lists(st.tuples(st.integers(0, 9), st.text()), max_size=4),
    data=st.data(),
)
def test_lists_are_spliced(old, new, data):
    """Each new item lies before the old one that was named, and what is gone is left out."""
    new = sorted((min(place, len(old)), one) for place, one in new)
    gone = sorted(data.draw(st.sets(st.sampled_from(range(len(old)))))) if old else []
    made = spliced(old, gone, [place for place, _ in new], [one for _, one in new])
    there = [[] for _ in range(len(old) + 1)]
    for place, one in new:
        there[place].append(one)
    for place, one in enumerate(old):
        if place not in gone:
            there[place].append(one)
    assert made == [one for some in there for one in some]
