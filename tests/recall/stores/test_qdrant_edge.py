"""`Qdrant` over the engine that its server runs, where payload indexes answer filters."""

import time

import pytest
from drawn_filters import DOCUMENTS, FIELDS, FILTERS, kept
from hypothesis import HealthCheck, given, settings
from words import embed

pytest.importorskip("qdrant_client", reason="its client is not installed")
pytest.importorskip("qdrant_edge", reason="Qdrant Edge is not installed: make test-engines")
import qdrant_edge as edge
from edge import Client, shard, type_of

from runoff.filters import Eq, Not, Range
from runoff.recall import Qdrant
from runoff.types import Document, Query

KINDS = ("none", "keyword", "integer", "float", "bool", "datetime", "uuid", "text")
KEYS = [
    f"metadata.{one}" if one.isascii() and one.isalpha() else f'metadata."{one}"' for one in FIELDS
]


def source_of(path, documents, indexes=()):
    """A source over these documents, the first one the best."""
    rows = [[1000.0 - place, 0.0] for place in range(len(documents))]
    client = Client(shard(path, documents, rows, indexes=indexes), 2)
    return Qdrant(client, "docs", embed=embed, id="key")


def found(source, wanted, depth):
    query = Query("?", filters=wanted, embedding=(1.0, 0.0))
    return [hit.doc_id for hit in source.retrieve(query, depth=depth)]


@pytest.fixture(scope="module", params=KINDS)
def odd(request, tmp_path_factory):
    """Documents of every kind of value, with an index of one type on each field."""
    indexes = [] if request.param == "none" else [(key, request.param) for key in KEYS]
    return source_of(tmp_path_factory.mktemp("edge"), DOCUMENTS, indexes)


def check(source, wanted):
    expected = [one.doc_id for one in DOCUMENTS if one.doc_id in kept(wanted)]
    for depth in (1, len(DOCUMENTS) + 1):
        assert found(source, wanted, depth) == expected[:depth]


@given(wanted=FILTERS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_filters_are_exact(odd, wanted):
    """Random filters keep what `matches` keeps, whatever type a field's index is of."""
    check(odd, wanted)


@pytest.mark.slow("180 s: a thousand random filters with each kind of index")
@given(wanted=FILTERS)
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_thousand_filters_are_exact(odd, wanted):
    """A thousand random filters keep what `matches` keeps."""
    check(odd, wanted)


@pytest.mark.parametrize("kind", ["integer", "datetime"])
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Range("x", gte=0), ["whole", "half"]),
        (Eq("x", 0.5), ["half", "mixed"]),
        (Eq("x", 1), ["whole", "mixed"]),
        (Not(Range("x", gte=1)), ["half", "mixed", "list", "word", "none"]),
    ],
)
def test_an_index_that_lacks_numbers_loses_none(tmp_path, kind, wanted, expected):
    """Numbers are found that an index of integers, or of times, does not have."""
    held = {"whole": 1, "half": 0.5, "mixed": [1, 0.5], "list": [2], "word": "a", "none": None}
    documents = [Document(name, "fish", {"x": value}) for name, value in held.items()]
    source = source_of(tmp_path, documents, [("metadata.x", kind)])
    assert found(source, wanted, 10) == expected


def test_an_index_that_has_every_point_is_asked_alone(tmp_path):
    """Where all values are whole numbers, the filter is one that the index answers."""
    documents = [Document(f"d{n}", "fish", {"x": n}) for n in range(5)]
    source = source_of(tmp_path, documents, [("metadata.x", "integer")])
    asked = []
    ask = source._client.query_points
    source._client.query_points = lambda *a, **b: asked.append(b["query_filter"]) or ask(*a, **b)
    assert found(source, Range("x", gt=2), 10) == ["d3", "d4"]
    (clause,) = asked
    assert clause.model_dump(exclude_none=True) == {
        "must": [{"key": "metadata.x", "range": {"gt": 2.0}}]
    }


@pytest.mark.parametrize(
    ("metadata", "wanted"),
    [({"x": 0.5}, Range("x", gt=0, lt=1)), ({"x": [1, 0.5]}, Eq("x", 0.5))],
    ids=["fraction", "in a list"],
)
def test_a_fraction_written_later_is_found(tmp_path, monkeypatch, metadata, wanted):
    """An index of integers lacks a fraction that is written after the first search."""
    documents = [Document(f"d{n}", "fish", {"x": n}) for n in range(5)]
    source = source_of(tmp_path, documents, [("metadata.x", "integer")])
    assert found(source, wanted, 10) == []
    later = Document("later", "fish", metadata)
    point = edge.Point(9, [2000.0, 0.0], {"metadata": later.metadata, "key": "later"})
    source._client.held.update(edge.UpdateOperation.upsert_points([point]))
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 2)
    assert found(source, wanted, 10) == ["later"]


def test_an_index_made_later_is_noticed(tmp_path, monkeypatch):
    """An index of times, made after the first search, loses no number."""
    documents = [Document(f"d{n}", "fish", {"x": n}) for n in range(5)]
    source = source_of(tmp_path, documents)
    assert found(source, Range("x", gt=2), 10) == ["d3", "d4"]
    made = edge.UpdateOperation.create_field_index("metadata.x", type_of("datetime"))
    source._client.held.update(made)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 2)
    assert found(source, Range("x", gt=2), 10) == ["d3", "d4"]


def test_documents_are_listed(tmp_path):
    """Every document comes back, with its text and metadata."""
    source = source_of(tmp_path, DOCUMENTS)
    assert {one.doc_id: one.text for one in source.documents()} == {
        one.doc_id: one.text for one in DOCUMENTS
    }
