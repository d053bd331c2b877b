"""Filters as Chroma's `where`: the same documents as `Filter.matches`, always."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.recall import Chroma
from runoff.recall._stores.chroma_where import knows_lists, where_of
from runoff.types import Query

FIELDS = ("x", "y", "a b", "é", "a.b")
RESERVED = ("#document", "#id", "$and", "$or", "$x", "chroma:document", "x\0", "\ud800")
NUMBERS = (0, 1, -1, 2, 2020, 2**31, 2**53, 2**53 - 1, 2**53 + 1, -(2**53) - 3, 2**62, 2**63 - 1)
HUGE = (2**63, -(2**63) - 1, 10**20, 10**400)
FLOATS = (0.0, -0.0, 0.5, 1.0, -1.0, 1.5, 2020.0, 1e-300, 1e300, float(2**53), float(2**53 + 4))
STRINGS = (
    "",
    "a",
    "A",
    "1",
    "True",
    "é",
    "e\u0301",
    "\U0001f35e",
    "a'b\"",
    "%",
    "document 1",
    "\n",
    "\0",
    "a\0b",
)
ODD_STRINGS = ("\ud800", "a\udfffb")

plain = st.one_of(
    st.booleans(), st.sampled_from(NUMBERS), st.sampled_from(FLOATS), st.sampled_from(STRINGS)
)
lists = (
    st.lists(st.booleans(), min_size=1, max_size=3),
    st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=3),
    st.lists(st.sampled_from(FLOATS), min_size=1, max_size=3),
    st.lists(st.sampled_from(STRINGS), min_size=1, max_size=3),
)
pytest.importorskip("chromadb")
LISTS = knows_lists()  # since chromadb 1.5
stored = st.one_of(plain, *lists) if LISTS else plain
metadatas = st.lists(st.dictionaries(st.sampled_from(FIELDS[:2]), stored), min_size=1, max_size=12)
fields = st.one_of(st.sampled_from(FIELDS[:2]), st.sampled_from(FIELDS + RESERVED))
asked = st.one_of(plain, st.sampled_from(HUGE + ODD_STRINGS))
bounds = st.one_of(st.none(), st.sampled_from(NUMBERS + HUGE + FLOATS))


@st.composite
def ranges(draw):
    low, high = draw(bounds), draw(bounds)
    low_name, high_name = draw(st.sampled_from(("gt", "gte"))), draw(st.sampled_from(("lt", "lte")))
    if low is None and high is None:
        low = 1
    return Range(draw(fields), **{low_name: low, high_name: high})


leaves = st.one_of(
    st.builds(Eq, fields, asked), st.builds(In, fields, st.lists(asked, max_size=3)), ranges()
)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda many: And(*many)),
        st.lists(inner, min_size=1, max_size=3).map(lambda many: Or(*many)),
    ),
    max_leaves=8,
)


def angles(count):
    return [(math.cos(n / 1000), math.sin(n / 1000)) for n in range(count)]


def make_source(make_collection, held):
    collection = make_collection(
        space="cosine",
        ids=[f"d{n}" for n in range(len(held))],
        embeddings=angles(len(held)),
        documents=[f"document {n}" for n in range(len(held))],
        metadatas=[one or None for one in held],
    )
    return Chroma(collection, embed=lambda texts: angles(len(texts)))


def found(source, condition, depth):
    return [hit.doc_id for hit in source.retrieve(Query("?", filters=condition), depth=depth)]


@given(held=metadatas, conditions=st.lists(filters, min_size=1, max_size=8))
@settings(suppress_health_check=[HealthCheck.too_slow])
@example(
    held=[{"x": 0}],
    conditions=[Not(Eq("x", 0.3)), Range("x", gt=-0.5), Range("x", lt=0.5), Eq("x", 0.3)],
)
@example(held=[{"x": 2**53 - 1}], conditions=[Eq("x", 2**53 - 1)])
@example(held=[{"x": 2**53 + 4}], conditions=[Range("x", gt=2**53 + 3)])
@example(held=[{"x": float(2**53)}], conditions=[Not(Eq("x", 2**53 + 1)), Eq("x", 2**53 + 1)])
@example(held=[{}, {"x": "s"}, {"x": 3}], conditions=[Not(Range("x", gte=3)), Not(In("x", ()))])
@example(held=[{}], conditions=[Not(Eq("chroma:document", "document 0")), Not(Eq("#id", "d0"))])
def test_chroma_keeps_what_the_filter_keeps(make_collection, held, conditions):
    """On random metadata and filters, at every depth, Chroma returns what `matches` keeps."""
    source = make_source(make_collection, held)
    for condition in conditions:
        kept = [f"d{n}" for n, one in enumerate(held) if condition.matches(one)]
        for depth in (1, 3, len(held) + 1):
            assert found(source, condition, depth) == kept[:depth]


@given(held=metadatas, condition=filters)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_the_clause_never_loses_a_document(make_collection, held, condition):
    """The clause alone, unchecked, keeps at least what the filter keeps."""
    source = make_source(make_collection, held)
    where = where_of(condition, lists=LISTS)
    if isinstance(where, bool):
        got = {f"d{n}" for n in range(len(held)) if where}
    else:
        got = set(source._client.get(where=where, include=[])["ids"])
    assert got >= {f"d{n}" for n, one in enumerate(held) if condition.matches(one)}


@pytest.mark.parametrize(
    ("condition", "clause"),
    [
        (Eq("x", "a"), {"x": {"$in": ["a"]}}),
        (Eq("x", 2020), {"x": {"$in": [2020.0]}}),
        (Not(Eq("x", value=True)), {"x": {"$nin": [True]}}),
        (In("x", ()), False),
        (Not(In("x", ())), True),
        (
            In("x", ("a", 1, 1.0, True)),
            {"$or": [{"x": {"$in": ["a"]}}, {"x": {"$in": [1.0]}}, {"x": {"$in": [True]}}]},
        ),
        (Range("x", gt=1, lte=2), {"$and": [{"x": {"$gt": 1}}, {"x": {"$lte": 2}}]}),
        (Not(Range("x", gt=1)), True),
        (Not(Not(Range("x", gt=1))), {"x": {"$gt": 1}}),
        (And(Eq("x", "a")), {"x": {"$in": ["a"]}}),
        (And(Eq("x", "a"), Not(Range("y", gt=1))), {"x": {"$in": ["a"]}}),
        (Or(Eq("x", "a"), Not(Range("y", gt=1))), True),
        (And(Eq("x", "a"), In("x", ())), False),
        (Or(In("x", ()), Eq("x", "a")), {"x": {"$in": ["a"]}}),
        (
            Not(Or(Eq("x", "a"), And(Eq("y", "b"), Eq("z", "c")))),
            {
                "$and": [
                    {"x": {"$nin": ["a"]}},
                    {"$or": [{"y": {"$nin": ["b"]}}, {"z": {"$nin": ["c"]}}]},
                ]
            },
        ),
        (
            And(Eq("x", "a"), And(Eq("y", "b"), Eq("z", "c"))),
            {"$and": [{"x": {"$in": ["a"]}}, {"y": {"$in": ["b"]}}, {"z": {"$in": ["c"]}}]},
        ),
    ],
)
def test_clauses_are_as_small_as_they_can_be(condition, clause):
    """Negations are pushed to the leaves, nesting is flattened, neutral clauses are left out."""
    assert where_of(condition, lists=False) == clause


def test_lists_are_looked_into_by_every_form_of_a_number():
    """A whole number is looked for in lists as int and as float, a text as itself."""
    assert where_of(Eq("x", 1), lists=True) == {
        "$or": [{"x": {"$in": [1.0]}}, {"x": {"$contains": 1}}, {"x": {"$contains": 1.0}}]
    }
    assert where_of(Not(Eq("x", "a")), lists=True) == {
        "$and": [{"x": {"$nin": ["a"]}}, {"x": {"$not_contains": "a"}}]
    }


def nested(levels):
    condition = Eq("x", 1)
    for level in range(levels):
        condition = (And if level % 2 else Or)(condition, Not(Eq("y", level)))
    return condition


@pytest.mark.parametrize(
    "condition",
    [
        In("x", tuple(range(50_000))),
        Not(In("x", tuple(range(1, 50_000)))),
        In("x", tuple(map(str, range(300)))),
        Or(*(Eq("x", n) for n in range(5000))),
        And(*(Not(Eq("x", n)) for n in range(1, 5000))),
        And(In("x", tuple(range(150))), In("x", tuple(range(-150, 150)))),
        nested(99),
        Not(nested(98)),
    ],
)
def test_filters_beyond_chromas_limits_are_still_exact(make_collection, condition):
    """Filters that SQLite would refuse, or that would end the process, are answered exactly."""
    held = [{"x": n % 7, "y": n} for n in range(300)]
    source = make_source(make_collection, held)
    kept = [f"d{n}" for n, one in enumerate(held) if condition.matches(one)]
    for depth in (1, 20, 400):
        assert found(source, condition, depth) == kept[:depth]


def test_a_filter_chroma_cannot_say_widens_until_the_depth_is_met(make_collection):
    """`Not(Range)` asks for more records, four times as many each time, and no more than needed."""
    held = [{"n": n} for n in range(1000)]
    source = make_source(make_collection, held)
    asked_for = []
    query = source._client.query

    def watch(**request):
        asked_for.append(request["n_results"])
        return query(**request)

    source._client.query = watch
    assert found(source, Not(Range("n", lt=30)), 10) == [f"d{n}" for n in range(30, 40)]
    assert asked_for == [10, 40]
    asked_for.clear()
    assert found(source, Not(Range("n", lt=999)), 10) == ["d999"]
    assert asked_for == [10, 40, 160, 640, 2560]
    asked_for.clear()
    assert found(source, Eq("n", 999), 10) == ["d999"]
    assert found(source, In("n", ()), 10) == []
    assert asked_for == [10]


def test_filters_hold_in_an_index_beyond_its_buffer(make_collection):
    """With 3,000 records, beyond the buffer that is searched exactly, filters fill their depth."""
    rows = np.random.default_rng(0).standard_normal((3000, 16)).astype(np.float32)
    collection = make_collection(
        ids=[f"d{n}" for n in range(3000)],
        embeddings=rows,
        metadatas=[{"m": n % 100, "n": n} for n in range(3000)],
    )
    source = Chroma(collection, embed=lambda texts: rows[:1])
    for condition in (Eq("m", 7), Not(Range("n", lt=2900)), In("m", (1, 2, 3))):
        kept = {f"d{n}" for n in range(3000) if condition.matches({"m": n % 100, "n": n})}
        for depth in (5, 25, 3000):
            got = found(source, condition, depth)
            # the graph is approximate, and may lack a record
            assert min(depth, len(kept)) - len(got) in (0, 1)
            assert kept.issuperset(got)
