"""A filter in Qdrant's words keeps what the filter keeps: asked of a real Qdrant in local mode."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.recall._stores.qdrant_filter import qdrant_filter

VALUES = [1, 1.0, 2.5, True, False, "1", "x", 2**60, 2**60 + 1]
FIELDS = ["y", "a.b", "é x", "a[b]"]
METADATA = [
    {},
    {"y": None},
    {"y": []},
    *({field: value} for field in FIELDS for value in VALUES),
    {"y": [1, 2]},
    {"y": [5]},
    {"y": ["x", 1, True]},
    {"y": 2, "a.b": "x"},
    {"a": {"b": 1}},
]
LEAVES = st.one_of(
    st.builds(Eq, st.sampled_from(FIELDS), st.sampled_from(VALUES)),
    st.builds(In, st.sampled_from(FIELDS), st.lists(st.sampled_from(VALUES), max_size=3)),
    st.builds(lambda field, low: Range(field, gte=low), st.sampled_from(FIELDS), st.integers(0, 6)),
    st.builds(lambda field, top: Range(field, lt=top), st.sampled_from(FIELDS), st.integers(0, 6)),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner), st.builds(And, inner, inner), st.builds(Or, inner, inner)
    ),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def keeps():
    client_module = pytest.importorskip("qdrant_client")
    models = client_module.models
    client = client_module.QdrantClient(":memory:")
    for name, under in (("flat", ""), ("nested", "metadata")):
        size = models.VectorParams(size=2, distance=models.Distance.COSINE)
        client.create_collection(name, vectors_config=size)
        points = [
            models.PointStruct(
                id=number, vector=[1.0, number], payload={under: one} if under else one
            )
            for number, one in enumerate(METADATA)
        ]
        client.upsert(name, points)

    def ask(wanted, under):
        made = qdrant_filter(wanted, under=under)
        if isinstance(made, bool):
            return set(range(len(METADATA))) if made else set()
        told = models.Filter.model_validate(made)
        name = "nested" if under else "flat"
        found, _ = client.scroll(name, scroll_filter=told, limit=len(METADATA))
        return {point.id for point in found}

    yield ask
    client.close()


@pytest.mark.parametrize("under", ["", "metadata"])
@given(wanted=FILTERS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_qdrant_keeps_what_the_filter_keeps(keeps, under, wanted):
    """The documents that a filter keeps are found, and others only for a number that is rounded."""
    expected = {number for number, one in enumerate(METADATA) if wanted.matches(one)}
    found = keeps(wanted, under)
    assert expected <= found if str(2**60)[:-1] in repr(wanted) else found == expected


@pytest.mark.parametrize(
    "wanted",
    [
        Range("y", lt=2**53 + 1),
        Eq("y", 2.0**60),
        In("y", [1, -(2.0**53)]),
        Not(Eq('a"b', 1)),
        Range("y", gte="2026-01-01"),
        Eq("hidden", 1),
    ],
)
def test_what_qdrant_cannot_express_keeps_everything(wanted):
    """Rounded numbers, times, names with a quote and hidden fields are left to the check."""
    hidden = "hidden".__eq__
    assert qdrant_filter(wanted, hidden=hidden) is True
    assert qdrant_filter(Not(wanted), hidden=hidden) is True
    assert qdrant_filter(And(wanted, Eq("x", "a")), hidden=hidden) == qdrant_filter(Eq("x", "a"))


def test_nothing_is_known_without_asking():
    """An `In` without values keeps no point, so that Qdrant need not be asked."""
    assert qdrant_filter(And(Eq("x", 1), In("y", ()))) is False
    assert qdrant_filter(Not(In("y", ()))) is True
