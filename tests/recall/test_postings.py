"""Counting terms, and stop words beside them."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from runoff.recall._analyzers import make_analyzer
from runoff.recall._bm25.postings import count_terms

FEW = st.lists(st.lists(st.sampled_from("abc"), max_size=30).map(" ".join), max_size=8)
MANY = st.lists(st.lists(st.integers(0, 500).map(str), max_size=6).map(" ".join), max_size=12)


@given(texts=FEW | MANY)
def test_counts_are_those_of_each_text(texts):
    """Few terms, which are counted in a table, and many, which are sorted, are counted alike."""
    made = count_terms(texts, str.split)
    found = {
        (term, int(row)): int(count)
        for number, term in enumerate(made.terms)
        for row, count in zip(
            made.rows[made.starts[number] : made.starts[number + 1]],
            made.counts[made.starts[number] : made.starts[number + 1]],
            strict=True,
        )
    }
    expected = {
        (term, row): count
        for row, text in enumerate(texts)
        for term, count in Counter(text.split()).items()
    }
    assert found == expected
    assert made.lengths.tolist() == [len(text.split()) for text in texts]
    for number in range(len(made.terms)):
        rows = made.rows[made.starts[number] : made.starts[number + 1]]
        assert np.all(np.diff(rows) > 0)
    assert (made.rows.dtype, made.counts.dtype, made.starts.dtype) == (np.int32, np.int32, np.int64)


@given(text=st.lists(st.sampled_from(["the", "İLE", "ve", "oil", "東京", "IT", "e\u0301"])))
def test_a_text_is_parted_in_one_pass(text):
    """Tokens and stop words are those that are asked for one by one."""
    joined = " ".join(text)
    for name in ("english", "turkish", "unicode"):
        analyzer = make_analyzer(name)
        assert analyzer.parted(joined) == (analyzer(joined), analyzer.stop_words(joined))
    stops = make_analyzer("english").stop_words(joined)
    assert stops == [word.lower() for word in text if word in {"the", "IT", "ve"}]
