"""What Qdrant's payload indexes lack of the numbers is looked for elsewhere, by every caller."""

import itertools
import logging
from types import SimpleNamespace

import pytest
from qdrant_rules import keeps

from runoff.errors import FilterNotSupported
from runoff.filters import Eq, In, Not, Range
from runoff.recall._stores import qdrant_indexes
from runoff.recall._stores.qdrant_filter import qdrant_filter
from runoff.recall._stores.qdrant_indexes import Indexes, indexes_of

SIGNS = ("gt", "gte", "lt", "lte")
NUMBERS = (-3, -2, -1, 0, 1, 2, 3, -2.5, 0.5, 1.0, 2.5, 2**60, 2**63)
INTEGERS = [-3, -2, -1, 0, 1, 2, 3, 2**60, [2, 1.0], [1, 0.5], [2.5, 3], [2, 2.0**60]]
EVERY = [*INTEGERS, 1.0, 0.5, -2.5, 2.0**60, [1.0], [0.5, "a"], [], None, True, "a"]
INTEGER = [("integer", INTEGERS), ("integer", EVERY)]
LEAVES = [
    *(Eq("x", value) for value in (*NUMBERS, "a", True)),
    *(In("x", pair) for pair in itertools.combinations(NUMBERS, 2)),
    *(Range("x", **{sign: bound}) for sign in SIGNS for bound in NUMBERS),
    *(Range("x", gt=low, lt=high) for low, high in itertools.combinations(sorted(NUMBERS), 2)),
]
WANTED = [*LEAVES, *map(Not, LEAVES)]


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    """Each test is told anew."""
    monkeypatch.setattr(qdrant_indexes, "_told", set())


def info(schema, *, points=10, status="green", created_at=None, strict=None, deferred=None):
    """What a server says: the types of indexes, and how many points they have, by key."""
    return SimpleNamespace(
        payload_schema={
            key: SimpleNamespace(data_type=kind, points=held)
            for key, (kind, held) in schema.items()
        },
        points_count=points,
        status=status,
        created_at=created_at,
        config=SimpleNamespace(strict_mode_config=strict),
        update_queue=SimpleNamespace(deferred_points=deferred),
    )


def translated(wanted, schema=None, **said):
    indexes = Indexes(
        "docs", info({"metadata.n": ("integer", 10)} if schema is None else schema, **said)
    )
    return qdrant_filter(wanted, under="metadata", indexes=indexes)


def equal(key, value):
    return {"key": key, "range": {"gte": value, "lte": value}}


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("lists", [None, "integer", "float"])
@pytest.mark.parametrize(("kind", "held"), [(None, EVERY), ("float", EVERY), *INTEGER])
def test_no_server_loses_a_document(kind, held, lists, older):
    """Servers of any age keep what a filter keeps, whether all points have integers or some."""
    types = {"metadata.x": kind, "metadata.x[]": lists}
    types = {key: one for key, one in types.items() if one}
    counts = {key: (one, len(INTEGERS)) for key, one in types.items()}
    said = info(counts, points=len(held), created_at=None if older else "2026-11-30")
    indexes = Indexes("docs", said)
    for wanted in WANTED:
        for checked in (False, True):
            made = qdrant_filter(wanted, under="metadata", checked=checked, indexes=indexes)
            for value in held:
                payload = {"x": value}
                kept = keeps(made, payload, types, older=older)
                assert kept or not wanted.matches(payload), (wanted, value, made)


def test_an_index_that_has_every_number_is_asked_alone():
    """A whole number under an index of integers costs no look into payloads, if it has them all."""
    assert translated(Eq("n", 1), created_at="2026-11-30") == {"should": [equal("metadata.n", 1)]}
    assert translated(Range("n", gt=1)) == qdrant_filter(Range("n", gt=1), under="metadata")
    float_index = {"metadata.n": ("float", 3)}
    for wanted in (Eq("n", 1), Eq("n", 0.5), Range("n", gt=0.5)):
        assert translated(wanted, float_index) == qdrant_filter(wanted, under="metadata")


def test_whole_floats_are_looked_for_in_lists_of_an_older_collection(caplog):
    """An older server may have left 1.0 out of [2, 1.0]: a warning says so once."""
    with caplog.at_level(logging.WARNING, "runoff"):
        made = [translated(Eq("n", 1)) for _ in range(2)]
    assert made == [{"should": [equal("metadata.n", 1), equal("metadata.n[]", 1)]}] * 2
    (told,) = caplog.messages
    assert "create_payload_index('docs', 'metadata.n[]', 'float')" in told


def test_several_numbers_read_a_payload_once():
    """What is in no list, or in one beyond all of them, is left out by a single condition."""
    lookup = translated(In("n", (3, 1)))["should"][-1]
    span = {"key": "metadata.n[]", "range": {"gte": 1.0, "lte": 3.0}}
    assert lookup == {
        "must": [span, {"should": [equal("metadata.n[]", 3), equal("metadata.n[]", 1)]}]
    }


@pytest.mark.parametrize("wanted", [Eq("n", 1), Eq("n", 0.5)])
def test_an_index_of_floats_on_the_lists_is_no_reason_to_warn(caplog, wanted):
    """With the index that the warning names, lists are looked up in it."""
    schema = {"metadata.n": ("integer", 10), "metadata.n[]": ("float", 0)}
    with caplog.at_level(logging.WARNING, "runoff"):
        made = translated(wanted, schema)
    assert equal("metadata.n[]", wanted.value) in made["should"]
    assert not caplog.messages


def test_strict_mode_is_refused_by_name():
    """A collection that refuses to read payloads for a filter says which index it needs."""
    strict = SimpleNamespace(enabled=True, unindexed_filtering_retrieve=False)
    with pytest.raises(FilterNotSupported, match=r"create_payload_index\('docs', 'metadata.n\[\]'"):
        translated(Eq("n", 1), strict=strict)
    assert translated(Eq("n", 1), strict=strict, created_at="2026-11-30")
    assert translated(Range("n", gt=1), strict=strict)
    off = SimpleNamespace(enabled=False, unindexed_filtering_retrieve=False)
    assert translated(Eq("n", 1), strict=off)


@pytest.mark.parametrize(
    "said",
    [
        {"status": "yellow"},
        {"status": "grey"},
        {"deferred": 1},
        {"points": None},
        {"points": 11},
    ],
)
def test_counts_that_prove_nothing_are_not_relied_on(said):
    """While a server optimizes, its counts hide a fraction that replaced a whole number."""
    made = translated(Range("n", gt=1), **said)
    assert keeps(made, {"n": 1.5}, {"metadata.n": "integer"})
    assert keeps(made, {"n": 2}, {"metadata.n": "integer"})
    assert not keeps(made, {"n": 1}, {"metadata.n": "integer"})
    assert not keeps(translated(Range("n", gt=1)), {"n": 1.5}, {"metadata.n": "integer"})


def test_names_compare_however_they_are_quoted():
    """Qdrant quotes other names than runoff, and a dot in quotes separates nothing."""
    indexes = Indexes(
        "docs",
        info({'metadata."é"': ("float", 1), "metadata.é[]": ("uuid", 1), "a.b": ("bool", 1)}),
    )
    assert indexes.of("metadata.é") == "float"
    assert indexes.of('metadata."é"[]') == "uuid"
    assert indexes.of('"a.b"') is None
    assert indexes.of('"a"."b"') == "bool"


class Client:
    """A client that says which indexes there are, or fails."""

    def __init__(self, error=None):
        self.asked = 0
        self.error = error
        self.held = 10

    def get_collection(self, name):
        assert name == "docs"
        self.asked += 1
        if self.error is not None:
            raise self.error
        return info({"metadata.n": ("integer", self.held), "metadata.day": ("datetime", 10)})


def pushed(client, wanted):
    store = SimpleNamespace(client=client, collection_name="docs")
    return qdrant_filter(wanted, under="metadata", indexes=indexes_of(store, wanted))


def test_a_frameworks_store_is_read_before_each_search_for_a_number():
    """What was written a moment ago counts; a filter without numbers reads nothing."""
    client = Client()
    assert pushed(client, Range("n", gt=1)) == qdrant_filter(Range("n", gt=1), under="metadata")
    client.held = 9
    assert pushed(client, Range("n", gt=1)) != qdrant_filter(Range("n", gt=1), under="metadata")
    assert client.asked == 2
    assert pushed(client, Not(Eq("n", "a"))) == qdrant_filter(Not(Eq("n", "a")), under="metadata")
    assert client.asked == 2


@pytest.mark.parametrize("client", [None, Client(PermissionError("no"))])
def test_indexes_that_cannot_be_read_leave_numbers_to_the_check(client):
    """Without a synchronous client, or the right to read them, a store is asked for texts alone."""
    for wanted in (Eq("n", 1), Range("n", gt=1), Not(Eq("n", 0.5)), In("n", (1, "a"))):
        assert pushed(client, wanted) is True
    assert pushed(client, Eq("n", "a")) == qdrant_filter(Eq("n", "a"), under="metadata")


def test_an_index_of_times_has_no_numbers_of_its_own():
    """It answers with texts that are times: numbers are left to the check, and texts are not."""
    for wanted in (Eq("day", 1), Range("day", gt=1), Not(Eq("day", 0.5)), In("day", (1, "a"))):
        assert pushed(Client(), wanted) is True
    assert pushed(Client(), Eq("day", "a")) == qdrant_filter(Eq("day", "a"), under="metadata")
