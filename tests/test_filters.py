"""Filters over metadata: which documents each keeps, and which arguments are refused."""

from __future__ import annotations

import copy
import math
import pickle
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff import Query, TwoStage
from runoff.errors import InvalidArgument
from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.pipeline._boundary import joined
from runoff.recall import BM25
from runoff.recall._stores.chroma_where import where_of
from runoff.recall._stores.elasticsearch_where import elasticsearch_query, unread
from runoff.recall._stores.milvus_where import milvus_expression
from runoff.recall._stores.qdrant_filter import qdrant_filter

SCALARS = st.one_of(
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([-1.5, 0.0, 1.0, 2.5]),
    st.sampled_from(["", "a", "b", "1"]),
)
TRUE = np.ones(1, bool)[0]
FIELDS = st.sampled_from(["x", "y"])
METADATA = st.dictionaries(FIELDS, st.one_of(SCALARS, st.none(), st.lists(SCALARS, max_size=3)))
RANGES = st.builds(Range, FIELDS, gte=st.integers(-3, 3), lt=st.integers(-3, 3))
LEAVES = st.one_of(
    st.builds(Eq, FIELDS, SCALARS), st.builds(In, FIELDS, st.lists(SCALARS, max_size=3)), RANGES
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


@pytest.mark.parametrize("condition", [Eq("year", 2020), In("year", (2020,)), Range("year", gt=0)])
@pytest.mark.parametrize("metadata", [{}, {"year": None}, {"Year": 2020}])
def test_an_absent_field_satisfies_nothing(condition, metadata):
    """A field that is absent or None satisfies no leaf, and every negated leaf."""
    assert not condition.matches(metadata)
    assert Not(condition).matches(metadata)


@pytest.mark.parametrize(
    ("stored", "asked", "same"),
    [
        (1, 1.0, True),
        (1.0, 1, True),
        (0.0, -0.0, True),
        (True, True, True),
        (True, 1, False),
        (1, True, False),
        (False, 0, False),
        ("1", 1, False),
        (1, "1", False),
        ("a", "A", False),
        ("", "", True),
        (2**53 + 1, float(2**53), False),
        (np.int64(3), 3, True),
        (np.float32(0.5), 0.5, True),
        (TRUE, True, True),
        (TRUE, 1, False),
        (math.nan, 0.0, False),
        ([1, "a"], "a", True),
        (["ab"], "a", False),
        ([True], 1, False),
        ((1.0, 2.0), 2, True),
        ({"a", "b"}, "b", True),
        ([], "", False),
        ({"a": 1}, "a", False),
        (np.array([1]), 1, False),
    ],
)
def test_values_compare_within_their_type(stored, asked, same):
    """Numbers compare by value, booleans with booleans, strings with strings, lists by element."""
    assert Eq("x", asked).matches({"x": stored}) is same
    assert In("x", [asked]).matches({"x": stored}) is same


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        (1, False),
        (1.5, True),
        (2, True),
        (2.0, True),
        (2.1, False),
        (True, False),
        ("1.5", False),
        ([1.5], False),
        (math.nan, False),
        (10**400, False),
        (-(10**400), False),
        (np.float32(1.5), True),
        (np.int8(2), True),
    ],
)
def test_range_keeps_numbers_within_its_bounds(stored, kept):
    """`gt` leaves its bound out, `lte` lets it in; only numbers are within bounds."""
    assert Range("x", gt=1, lte=2).matches({"x": stored}) is kept


NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
SAME_NOON = [
    NOON,
    NOON.replace(tzinfo=None),
    NOON.astimezone(timezone(timedelta(hours=9))),
    "2026-11-29T12:00:00Z",
    "2026-11-29T13:00+01:00",
    "2026-11-29 12:00",
    np.datetime64("2026-11-29T12:00", "ns"),
]


@pytest.mark.parametrize("stored", SAME_NOON, ids=repr)
@pytest.mark.parametrize("asked", SAME_NOON, ids=repr)
def test_times_compare_by_their_moment(stored, asked):
    """Datetimes and ISO texts are the same moment in any notation; two texts stay two texts."""
    same = bool(stored == asked) or not (isinstance(stored, str) and isinstance(asked, str))
    assert Eq("x", asked).matches({"x": stored}) is same
    assert In("x", ["never", asked]).matches({"x": [stored]}) is same
    assert Range("x", gte=asked, lte=asked).matches({"x": stored})
    assert not Range("x", gt=asked).matches({"x": stored})
    assert Range("x", lt=asked).matches({"x": date(2026, 11, 29)})


@pytest.mark.parametrize("stored", [5, True, None, "soon", "2026-13-45", [NOON], math.nan])
def test_what_is_no_time_is_in_no_range_of_time(stored):
    """A range of time keeps times alone, and a range of numbers keeps none of them."""
    assert not Range("x", gte="1970-01-01").matches({"x": stored})
    assert not Range("x", gte=0).matches({"x": NOON})
    assert not Eq("x", NOON).matches({"x": stored if not isinstance(stored, list) else 5})


def test_bounds_are_of_one_kind():
    """A number and a time bound nothing together, and equal moments make equal ranges."""
    with pytest.raises(InvalidArgument, match="both be times"):
        Range("x", gt=1, lt=NOON)
    assert Range("x", gt="2026-11-29") == Range("x", gt=date(2026, 11, 29))
    assert Eq("x", NOON) == Eq("x", NOON.astimezone(timezone(timedelta(hours=9))))
    assert Eq("x", NOON) != Eq("x", "2026-11-29T12:00:00Z")  # which keeps other texts


def test_a_pickle_of_the_first_version_opens():
    """A filter pickled by 0.1.0, with what it compared by as a tuple, still keeps the same."""
    old = object.__new__(Eq)
    old.__setstate__(["x", 1, (False, 1)])
    assert old == Eq("x", 1)
    assert old.matches({"x": 1.0})


def test_ranges_hold_for_numbers_beyond_float():
    """A whole number beyond every float is a bound and a value like any other."""
    assert Range("x", gt=10**400).matches({"x": 10**400 + 1})
    assert not Range("x", gt=10**400).matches({"x": 10**400})
    assert Range("x", lt=10**400).matches({"x": 1e308})


def test_in_with_no_values_keeps_nothing():
    """An empty `In` keeps nothing, and its negation everything."""
    assert not In("x", ()).matches({"x": 1})
    assert Not(In("x", ())).matches({})


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Eq("", 1), "field"),
        (lambda: Eq(3, 1), "field"),
        (lambda: Eq("x", None), "value"),
        (lambda: Eq("x", math.nan), "value"),
        (lambda: Eq("x", math.inf), "value"),
        (lambda: Eq("x", [1]), "value"),
        (lambda: Eq("x", np.float64("nan")), "value"),
        (lambda: In("x", "abc"), "values"),
        (lambda: In("x", b"abc"), "values"),
        (lambda: In("x", 5), "values"),
        (lambda: In("x", None), "values"),
        (lambda: In("x", [1, None]), "values"),
        (lambda: Range("x"), "bounds"),
        (lambda: Range("x", gt=1, gte=1), "bounds"),
        (lambda: Range("x", lt=1, lte=1), "bounds"),
        (lambda: Range("x", gt="a"), "gt"),
        (lambda: Range("x", lt=True), "lt"),
        (lambda: Range("x", lte=math.inf), "lte"),
        (lambda: Range("x", gte=math.nan), "gte"),
        (And, "filters"),
        (Or, "filters"),
        (lambda: And({"x": 1}), "filter"),
        (lambda: Or(Eq("x", 1), None), "filter"),
        (lambda: Not("x"), "filter"),
    ],
)
def test_a_condition_that_means_nothing_is_refused(make, argument):
    """Every wrong field, value, bound and inner filter gets an error that names it."""
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert caught.value.argument == argument


def test_equal_filters_keep_the_same_documents():
    """Filters are equal by what they keep: 1 is 1.0, and never True."""
    assert Eq("x", 1) == Eq("x", 1.0)
    assert hash(Eq("x", 1)) == hash(Eq("x", 1.0))
    assert Eq("x", 1) != Eq("x", value=True)
    assert In("x", [1, 2]) == In("x", (2, 1.0, 1))
    assert In("x", [1]) != In("x", [True])
    assert Eq("x", 1) != In("x", [1])
    assert And(Eq("x", 1)) != Or(Eq("x", 1))
    assert len({Eq("x", 0), Eq("x", value=False), Eq("y", 0)}) == 3


def test_filters_cannot_be_changed():
    """A filter is a value: setting a field of one raises."""
    for one, name in [
        (Eq("x", 1), "value"),
        (In("x", [1]), "values"),
        (And(Eq("x", 1)), "filters"),
    ]:
        with pytest.raises(AttributeError):
            setattr(one, name, ())


@given(FILTERS, FILTERS, METADATA)
def test_the_algebra_of_filters(one, other, metadata):
    """`Not`, `And` and `Or` are those of logic, on every metadata."""
    left, right = one.matches(metadata), other.matches(metadata)
    assert Not(one).matches(metadata) is (not left)
    assert And(one, other).matches(metadata) is (left and right)
    assert Or(one, other).matches(metadata) is (left or right)


@given(FILTERS, FILTERS, st.lists(METADATA, max_size=5))
def test_equality_is_never_wrong(one, other, metadatas):
    """Two filters that are equal keep the same documents and have one hash."""
    if one == other:
        assert hash(one) == hash(other)
        for metadata in metadatas:
            assert one.matches(metadata) is other.matches(metadata)


@given(FILTERS)
def test_filters_survive_copies(one):
    """A copied, deep-copied or pickled filter is equal to the first, and shows itself the same."""
    for again in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert again == one
        assert repr(again) == repr(one)


DEEPEST = 100


def nested(levels):
    """Return a filter of so many levels of each kind in turn."""
    one = Eq("a", 1)
    for level in range(levels):
        one = (Not(one), Or(one, Eq("b", level)), And(one, Eq("b", level)))[level % 3]
    return one


@pytest.mark.parametrize("outer", [Not, Or, lambda one: And(And(one))])
def test_filters_nested_too_deeply_are_refused(outer):
    """One level too many is refused with the limit; more would end in a RecursionError."""
    with pytest.raises(InvalidArgument, match=f"more than {DEEPEST} levels deep"):
        outer(nested(DEEPEST))


def test_the_deepest_filter_is_good_for_everything():
    """It is compared, copied, pickled, joined, asked of a query and of every kind of engine."""
    deepest = nested(DEEPEST)
    for again in (copy.deepcopy(deepest), pickle.loads(pickle.dumps(deepest))):
        assert again == deepest
        assert hash(again) == hash(deepest)
    asked = joined(joined(deepest, Eq("c", 1)), joined(Eq("d", 1), deepest))
    assert len(asked.filters) == 3
    assert pickle.loads(pickle.dumps(Query("oil", filters=asked))).filters == asked
    pipeline = TwoStage({"bm25": BM25([("x", "oil")])}, filters=deepest, reranker=None)
    assert len(pipeline.search("oil")) == deepest.matches({})
    assert where_of(asked, lists=True)
    assert qdrant_filter(asked)
    assert elasticsearch_query(asked, unread)
    assert milvus_expression(asked, lambda _name: None) is False  # it has no such fields


def test_a_pickle_is_checked_like_a_new_filter():
    """A `Not` around what is no filter is refused when its pickle is read."""
    state = Not(Eq("a", 1)).__getstate__()
    again = object.__new__(Not)
    with pytest.raises(InvalidArgument, match="filter"):
        again.__setstate__(["tenant"])
    again.__setstate__(state)
    assert again == Not(Eq("a", 1))
