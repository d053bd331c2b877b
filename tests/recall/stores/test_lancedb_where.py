"""Filters as SQL of LanceDB: the same rows as `Filter.matches`, over columns of any type."""

from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runoff._waiting.drive import run
from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.recall import LanceDB
from runoff.types import Query

lancedb = pytest.importorskip("lancedb", reason="lancedb is not installed")
pa = pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lancedb")


NUMBERS = (0, 1, -1, 2020, 2**31, 2**53, 2**53 + 1, -(2**60))
TYPED = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("vector", pa.list_(pa.float32(), 2)),
        ("Whole", pa.int64()),
        ("small", pa.int8()),
        ("positive", pa.uint64()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("day", pa.date32()),
        ("exact", pa.decimal128(10, 2)),
        (
            "metadata",
            pa.struct(
                [
                    ("number", pa.float64()),
                    ("single", pa.float32()),
                    ("word x", pa.string()),
                    ("é.x", pa.large_string()),
                    ("flag", pa.bool_()),
                    ("tags", pa.list_(pa.string())),
                    ("counts", pa.list_(pa.int64())),
                    ("shorts", pa.list_(pa.int16())),
                    ("parts", pa.list_(pa.float64())),
                    ("flags", pa.list_(pa.bool_())),
                    ("Whole", pa.int64()),
                    ("tick`s", pa.int64()),
                    ("deep", pa.struct([("x", pa.int64())])),
                ]
            ),
        ),
    ]
)
BOTH = (True, False)
STRINGS = ("", "a", "A", "it's", 'a"b`', "\\", "%", "é", "a\0b", "2026-11-29", "' OR 1=1 --")
MOMENT = datetime(2026, 11, 29, 12, tzinfo=UTC)


def typed_rows():
    generator = np.random.default_rng(2)

    def some(*values):
        chosen = (*values, None)
        return chosen[generator.integers(len(chosen))]

    for place in range(60):
        yield {
            "id": f"d{place:02}",
            "text": "fish",
            "vector": [1.0, place / 1000],
            "Whole": some(*NUMBERS),
            "small": some(0, 1, -128, 127),
            "positive": some(0, 1, 2**63),
            "at": some(MOMENT),
            "day": some(MOMENT.date()),
            "exact": None,
            "metadata": some(
                {
                    "number": some(0.0, 0.5, 1.0, float("nan"), float("inf"), 1e300, -2.5),
                    "single": some(0.5, 0.1, 1.0, float("nan")),
                    "word x": some(*STRINGS),
                    "é.x": some(*STRINGS),
                    "flag": some(*BOTH),
                    "tags": some([], ["a", "it's"], ["2026-11-29"]),
                    "counts": some([], [1, 2], [2020]),
                    "shorts": some([], [1, 2]),
                    "parts": some([], [0.5, 1.0]),
                    "flags": some([], [True]),
                    "Whole": 7,
                    "tick`s": some(1, 2),
                    "deep": some({"x": 1}),
                }
            ),
        }


@pytest.fixture(scope="module")
def typed(folder):
    made = lancedb.connect(folder).create_table(
        "typed", pa.Table.from_pylist(list(typed_rows()), schema=TYPED)
    )
    source = LanceDB(made, embed=lambda texts: [(1.0, 0.0) for _ in texts])
    return source, sorted(source.documents(), key=lambda one: one.doc_id)


_HELD_BY = TYPED.field("metadata").type
_FIELDS = st.sampled_from(
    [
        *("Whole", "small", "positive", "at", "day", "exact", "absent", "id", "text", "metadata"),
        *(_HELD_BY.field(place).name for place in range(_HELD_BY.num_fields)),
    ]
)
_PLAIN = (*NUMBERS, 0.0, 0.5, 0.1, 1.0, 2020.0, 1e300, 300, -128, 2**63, True, False, *STRINGS)
_VALUES = st.sampled_from((*_PLAIN, "\ud800", date(2026, 11, 29), MOMENT))
_BOUNDS = st.sampled_from((*NUMBERS, 0.5, 0.1, -0.5, 126.5, 200, 1e300, -1e300))
_TIMES = st.sampled_from((date(2026, 11, 29), MOMENT, "2026-11-30"))
_LEAVES = st.one_of(
    st.builds(Eq, _FIELDS, _VALUES),
    st.builds(In, _FIELDS, st.lists(_VALUES, max_size=3)),
    st.builds(lambda field, low: Range(field, gt=low), _FIELDS, st.one_of(_BOUNDS, _TIMES)),
    st.builds(lambda field, top: Range(field, lte=top), _FIELDS, st.one_of(_BOUNDS, _TIMES)),
    st.builds(lambda field, low, top: Range(field, gte=low, lt=top), _FIELDS, _BOUNDS, _BOUNDS),
)
_FILTERS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner), st.builds(And, inner, inner), st.builds(Or, inner, inner)
    ),
    max_leaves=5,
)


def check(typed, wanted):
    source, documents = typed
    expected = [one.doc_id for one in documents if wanted.matches(one.metadata)]
    table = run(source._described(None))
    clause = source._clause(wanted, table)
    if clause is not False:  # the SQL alone, before `matches` is asked
        clause = None if clause is True else clause
        hits = run(source._fetch(table, [1.0, 0.0], clause, 10_000, None))
        assert {hit.doc_id for hit in hits} >= set(expected)
    else:
        assert not expected
    for depth in (1, 3, len(documents) + 1):
        found = source.retrieve(Query("?", wanted), depth=depth)
        assert [hit.doc_id for hit in found] == expected[:depth]


@given(wanted=_FILTERS)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@example(wanted=Not(Range("number", gt=1)))
@example(wanted=Not(Eq("Whole", 7)))
@example(wanted=Not(Range("small", lt=126.5)))
@example(wanted=Not(Range("positive", gt=-1)))
@example(wanted=Or(Eq("single", 0.5), Not(Eq("word x", "it's"))))
@example(wanted=Not(In("tags", ("it's", 1))))
@example(wanted=Eq("text", "fish"))
def test_filters_are_exact(typed, wanted):
    """Over columns of any type, random filters keep what `matches` keeps, at every depth."""
    check(typed, wanted)


@pytest.mark.slow("60 s: a thousand random filters, each at three depths")
@given(wanted=_FILTERS)
@settings(max_examples=1000, suppress_health_check=list(HealthCheck))
def test_a_thousand_filters_are_exact(typed, wanted):
    """A thousand random filters keep what `matches` keeps, at every depth."""
    check(typed, wanted)


def test_huge_filters_are_exact(typed):
    """Thousands of values or of conditions, and the deepest nesting, are still exact."""
    deep = Eq("Whole", 1)
    for _ in range(33):
        deep = Or(And(Not(deep), Eq("Whole", -1)), Eq("Whole", 1))
    for wanted in (
        In("Whole", tuple(range(0, 5000, 2))),
        In("Whole", tuple(range(0, 50_000, 2))),
        Or(*(Eq("Whole", n) for n in range(0, 4000, 3))),
        And(*(Not(Eq("Whole", n)) for n in range(5, 2021))),
        deep,
    ):
        check(typed, wanted)
