import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from runoff.deadline import Deadline
from runoff.errors import DeadlineExceeded, FilterNotSupported, InvalidArgument
from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.llama_index._filters import as_filter, to_metadata_filters
from runoff.llama_index._sources import AwaitableSource
from runoff.types import Query

FIELDS = st.sampled_from(["a", "b"])
LEAVES = st.one_of(
    st.builds(Eq, FIELDS, st.integers(0, 3)),
    st.builds(In, FIELDS, st.lists(st.integers(0, 3), min_size=1).map(tuple)),
    st.builds(lambda name, low: Range(name, gte=low), FIELDS, st.integers(0, 3)),
    st.builds(lambda name, low: Range(name, gt=low, lte=low + 2), FIELDS, st.integers(0, 3)),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=1, max_size=3).map(lambda all_of: And(*all_of)),
        st.lists(inner, min_size=1, max_size=3).map(lambda any_of: Or(*any_of)),
    ),
    max_leaves=6,
)
METADATA = st.dictionaries(FIELDS, st.integers(0, 4), max_size=2)


@given(TREES, METADATA)
def test_there_and_back_keeps_the_same_nodes(one, metadata):
    """A filter converted to LlamaIndex's and back keeps the same metadata."""
    assert as_filter(to_metadata_filters(one)).matches(metadata) == one.matches(metadata)


@given(LEAVES | LEAVES.map(Not), METADATA)
def test_llama_indexs_own_reading_agrees(one, metadata):
    """LlamaIndex's in-memory store keeps what ours keeps."""
    theirs = to_metadata_filters(one)
    if any(isinstance(inner, MetadataFilters) for inner in theirs.filters):
        return  # that store does not nest
    utils = pytest.importorskip("llama_index.core.vector_stores.utils")
    if not hasattr(utils, "build_metadata_filter_fn"):
        pytest.skip("this llama-index-core keeps its reading of filters to itself")
    keeps = utils.build_metadata_filter_fn(lambda _: metadata, theirs)
    assert keeps("node") == one.matches(metadata)


@pytest.mark.parametrize(
    ("operator", "value", "ours"),
    [
        ("==", "x", Eq("k", "x")),
        ("!=", 1, Not(Eq("k", 1))),
        (">", 1, Range("k", gt=1)),
        (">=", 1.5, Range("k", gte=1.5)),
        ("<", 1, Range("k", lt=1)),
        ("<=", 1, Range("k", lte=1)),
        ("in", ["x", "y"], In("k", ("x", "y"))),
        ("nin", [1, 2], Not(In("k", (1, 2)))),
        ("any", ["x"], In("k", ("x",))),
        ("all", ["x", "y"], And(Eq("k", "x"), Eq("k", "y"))),
        ("contains", "x", Eq("k", "x")),
    ],
)
def test_every_operator_has_its_equal(operator, value, ours):
    """The operators that have an exact equal are translated."""
    leaf = MetadataFilter(key="k", value=value, operator=FilterOperator(operator))
    assert as_filter(MetadataFilters(filters=[leaf])) == ours


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("text_match", "x"),
        ("text_match_insensitive", "x"),
        ("is_empty", None),
        (">", "x"),
        ("==", None),
        ("in", "x"),
        ("==", ["x"]),
    ],
)
def test_others_are_refused(operator, value):
    """An operator without an exact equal is refused by name."""
    leaf = MetadataFilter(key="k", value=value, operator=FilterOperator(operator))
    with pytest.raises(FilterNotSupported, match="filters="):
        as_filter(MetadataFilters(filters=[leaf]))


def test_conditions_are_kept():
    """And, or, not and nesting."""
    one, two = (MetadataFilter(key="k", value=value) for value in (1, 2))
    either = MetadataFilters(filters=[one, two], condition=FilterCondition.OR)
    assert as_filter(either) == Or(Eq("k", 1), Eq("k", 2))
    neither = MetadataFilters(filters=[one, two], condition=FilterCondition.NOT)
    assert as_filter(neither) == Not(Or(Eq("k", 1), Eq("k", 2)))
    assert as_filter(MetadataFilters(filters=[either, one])) == And(as_filter(either), Eq("k", 1))
    assert as_filter(MetadataFilters(filters=[])) is None
    assert as_filter(one) == Eq("k", 1)


def test_the_flat_stays_flat():
    """Few stores nest, so nothing is nested that need not be."""
    theirs = to_metadata_filters(And(Eq("a", 1), Range("b", gt=1, lt=3), Not(Eq("a", 2))))
    assert [type(one) for one in theirs.filters] == [MetadataFilter] * 4
    assert theirs.condition is FilterCondition.AND


def test_what_llama_index_cannot_say_is_refused():
    """LlamaIndex's filters take no booleans."""
    with pytest.raises(FilterNotSupported):
        to_metadata_filters(Eq("k", value=True))


def test_anything_else_is_refused():
    """Anything but a filter of theirs or ours is refused."""
    with pytest.raises(InvalidArgument, match="MetadataFilters"):
        as_filter({"k": 1})


def test_filters_nested_too_deeply_are_refused():
    """LlamaIndex's filters are refused with the limit too, not by a RecursionError."""
    one = MetadataFilters(filters=[MetadataFilter(key="a", value=1)])
    for _ in range(3000):
        one = MetadataFilters(filters=[one], condition="or")
    with pytest.raises(InvalidArgument, match="more than 100 levels deep"):
        as_filter(one)


class Growing(BaseRetriever):
    """Returns as many nodes as are asked for, half a second later."""

    def __init__(self, asked):
        super().__init__()
        self._similarity_top_k = 2
        self._asked = asked

    def _retrieve(self, query_bundle):
        self._asked.append(self._similarity_top_k)
        nodes = [TextNode(text="x", metadata={"n": n}) for n in range(self._similarity_top_k)]
        return [NodeWithScore(node=one, score=1.0) for one in nodes]


@pytest.mark.parametrize("awaited", [False, True])
def test_no_more_nodes_are_asked_for_when_time_is_up(awaited):
    """A retriever that applies no filter is asked for more and more, until the deadline."""
    asked = []
    source, query = AwaitableSource(Growing(asked)), Query("x", Eq("n", 50_000))
    options = {"depth": 5, "deadline": Deadline(1.2, clock=lambda: len(asked) / 2)}

    def ask():
        if awaited:
            asyncio.run(source.aretrieve(query, **options))
        else:
            source.retrieve(query, **options)

    with pytest.raises(DeadlineExceeded, match="recall"):
        ask()
    assert asked == [5, 20, 80]
