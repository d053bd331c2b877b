"""A filter in Qdrant's words keeps what the filter keeps: asked of a real Qdrant in local mode."""

import time
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.recall._stores.qdrant_filter import numbers_left_out, qdrant_filter

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
    """For any filter and metadata, exactly the documents that the filter keeps are found."""
    expected = {number for number, one in enumerate(METADATA) if wanted.matches(one)}
    assert keeps(wanted, under) == expected


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


class Collections:
    """A client that says which indexes there are: four of ten points, and all, have integers."""

    def __init__(self, error=None):
        self.asked = 0
        self.error = error
        self.whole = 10

    def get_collection(self, name):
        self.asked += 1
        if self.error is not None:
            raise self.error
        kinds = {"some": ("integer", 4), "all": ("integer", self.whole), "day": ("datetime", 10)}
        schema = {
            f"metadata.{field}": SimpleNamespace(data_type=kind, points=points)
            for field, (kind, points) in kinds.items()
        }
        return SimpleNamespace(payload_schema=schema, points_count=10)


def pushed(client, wanted):
    store = SimpleNamespace(client=client, collection_name="docs")
    return qdrant_filter(wanted, under="metadata", index_of=numbers_left_out(store))


@pytest.mark.parametrize("field", ["some", "day"])
def test_a_frameworks_store_is_not_asked_for_numbers_that_an_index_lacks(field):
    """They are left to the check, and texts are not; the indexes are read once."""
    client = Collections()
    for wanted in (Range(field, gte=1), Eq(field, 1), Not(Eq(field, 0.5)), In(field, (1, "a"))):
        assert pushed(client, wanted) is True
    for wanted in (Eq(field, "a"), Eq("all", 1), Range("other", gte=1)):
        assert pushed(client, wanted) == qdrant_filter(wanted, under="metadata")
    assert client.asked == 1


def test_indexes_are_read_again(monkeypatch):
    """An index that had every point may lack numbers a second later."""
    client = Collections()
    assert pushed(client, Eq("all", 1)) == qdrant_filter(Eq("all", 1), under="metadata")
    client.whole = 9
    assert pushed(client, Eq("all", 1)) is not True
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 1.1)
    assert pushed(client, Eq("all", 1)) is True
    assert client.asked == 2


def test_a_fraction_is_looked_for_in_lists_of_an_index_of_integers():
    """Such an index has a list's whole numbers alone."""
    condition = {"key": "metadata.all[]", "range": {"gte": 0.5, "lte": 0.5}}
    assert condition in pushed(Collections(), Eq("all", 0.5))["should"]
    assert condition not in pushed(Collections(), Eq("other", 0.5))["should"]


def test_indexes_that_cannot_be_read_leave_numbers_to_the_check():
    """A client without the right to read them is asked for texts alone, and for them next time."""
    client = Collections(PermissionError("no"))
    assert pushed(client, Eq("all", 1)) is True
    assert pushed(client, Range("all", gt=1)) is True
    assert pushed(client, Eq("all", "a")) == qdrant_filter(Eq("all", "a"), under="metadata")
    assert client.asked == 2
    assert pushed(None, Eq("all", 1)) is True  # a store with an asynchronous client alone
