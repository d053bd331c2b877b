"""Odd metadata, and random filters over it, for the tests of engines."""

from datetime import UTC, date, datetime

from hypothesis import strategies as st

from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.types import Document

FIELDS = ("x", "y", "a b", "é", "kind")
NUMBERS = (0, 1, -1, 2, 2020, 2**31, 2**53, 2**53 + 1, 0.0, 0.5, 1.0, 1.5, -2.5, 2020.0, 1e300)
STRINGS = ("", "a", "A", "1", "True", "é", "a'b\"", "back\\slash", "%", "two words", "\n", "🍞")
TIMES = ("2026-11-29", "2026-11-29T12:00:00Z", "2026-11-30")

_PLAIN = (*NUMBERS, True, False, *STRINGS, *TIMES)
_LISTS = ([1, 2], [1.0, 0.5], ["a", "1"], [True], [2020], ["two words", "é"])
METADATA = (
    {},
    *({"x": value} for value in (*_PLAIN, *_LISTS)),
    *({"y": value, "kind": "odd" if place % 2 else "even"} for place, value in enumerate(_PLAIN)),
    *({"a b": value, "é": value} for value in (1, "a", True, 2.5)),
)
DOCUMENTS = tuple(
    Document(f"d{place:02}", f"fish number {place}", metadata)
    for place, metadata in enumerate(METADATA)
)

_fields = st.sampled_from(FIELDS)
_times = st.sampled_from((date(2026, 11, 29), datetime(2026, 11, 29, 12, tzinfo=UTC)))
_values = st.one_of(st.sampled_from(_PLAIN), _times)


@st.composite
def _ranges(draw):
    bounds = draw(st.sampled_from((st.sampled_from(NUMBERS), st.sampled_from(TIMES))))
    low, high = draw(st.one_of(st.none(), bounds)), draw(st.one_of(st.none(), bounds))
    if low is None and high is None:
        low = draw(bounds)
    low_name, high_name = draw(st.sampled_from(("gt", "gte"))), draw(st.sampled_from(("lt", "lte")))
    return Range(draw(_fields), **{low_name: low, high_name: high})


LEAVES = st.one_of(
    st.builds(Eq, _fields, _values),
    st.builds(In, _fields, st.lists(_values, max_size=3)),
    _ranges(),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda many: And(*many)),
        st.lists(inner, min_size=1, max_size=3).map(lambda many: Or(*many)),
    ),
    max_leaves=6,
)


def kept(wanted, documents=DOCUMENTS):
    """The ids of the documents that a filter keeps, by brute force."""
    return {one.doc_id for one in documents if wanted.matches(one.metadata)}
