"""`Qdrant` over the engine that its server runs, where payload indexes answer filters."""

import pytest
from drawn_filters import DOCUMENTS, FIELDS, FILTERS, METADATA, kept
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from words import embed

pytest.importorskip("qdrant_client", reason="its client is not installed")
pytest.importorskip("qdrant_edge", reason="Qdrant Edge is not installed: make test-engines")
import qdrant_edge as edge
from edge import Client, shard, type_of

from runoff.filters import Eq, Not, Range
from runoff.recall import Qdrant
from runoff.types import Document, Query

# the type of the index on each field, and of the one on its lists
KINDS = (
    *("none", "keyword", "integer", "float", "bool", "datetime", "uuid", "text"),
    *("integer integer", "integer float", "integer datetime", "none integer", "none datetime"),
)
KEYS = [
    f"metadata.{one}" if one.isascii() and one.isalpha() else f'metadata."{one}"' for one in FIELDS
]
MIXED = ([2, 1.0], [1.0], [1, 0.5], [1.5, 2020], [0.0, "a"], [2, 2.0**53])
ODD = (
    *DOCUMENTS,
    *(Document(f"m{place}", "fish", {"x": one, "é": one}) for place, one in enumerate(MIXED)),
)


def source_of(path, documents, indexes=(), **said):
    """A source over these documents, the first one the best."""
    rows = [[1000.0 - place, 0.0] for place in range(len(documents))]
    client = Client(shard(path, documents, rows, indexes=indexes), 2, **said)
    return Qdrant(client, "docs", embed=embed, id="key")


def indexed(kinds):
    """The indexes of two types on the fields and on their lists."""
    each = zip(("", "[]"), kinds.split(), strict=False)
    return [(key + part, kind) for part, kind in each if kind != "none" for key in KEYS]


def found(source, wanted, depth):
    query = Query("?", filters=wanted, embedding=(1.0, 0.0))
    return [hit.doc_id for hit in source.retrieve(query, depth=depth)]


@pytest.fixture(scope="module", params=KINDS)
def odd(request, tmp_path_factory):
    """Documents of every kind of value, with an index of one type on each field."""
    path = tmp_path_factory.mktemp("edge")
    # an older server does not say when it made the collection
    return source_of(path, ODD, indexed(request.param), created_at=None)


def check(source, wanted, documents=ODD):
    among = kept(wanted, documents)
    expected = [one.doc_id for one in documents if one.doc_id in among]
    for depth in (1, len(documents) + 1):
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


_metadata = st.sampled_from((*METADATA, *({"x": one} for one in (*MIXED, 1, 2, 3) * 3)))
_index = st.tuples(st.sampled_from(("integer", "float", "datetime")), st.sampled_from(("", "[]")))
STEPS = st.lists(st.one_of(_metadata, _metadata, _index), min_size=1, max_size=4)


def written(source, number, metadata):
    """Write a document over the one of this number, and return it."""
    one = Document(f"d{number}", "fish", metadata)
    payload = {"page_content": one.text, "metadata": dict(metadata), "key": one.doc_id}
    point = edge.Point(number, [1000.0 - number, 0.0], payload)
    source._client.held.update(edge.UpdateOperation.upsert_points([point]))
    return one


@given(steps=STEPS, wanted=FILTERS, number=st.integers(0, 5), said=st.sampled_from((None, "now")))
@example(steps=[{"x": 0.5}], wanted=Range("x", gt=0, lt=1), number=5, said="now")
@example(steps=[{"x": [1, 0.5]}], wanted=Eq("x", 0.5), number=5, said="now")
@example(steps=[("datetime", "")], wanted=Range("x", gt=2), number=5, said="now")
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_was_just_written_or_indexed_is_found(tmp_path_factory, steps, wanted, number, said):
    """A document that was overwritten, or an index made, since the last search hides nothing."""
    check_steps(tmp_path_factory.mktemp("edge"), steps, wanted, number, said)


@pytest.mark.slow("60 s: two hundred rows of writes and indexes")
@given(steps=STEPS, wanted=FILTERS, number=st.integers(0, 5), said=st.sampled_from((None, "now")))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_was_just_written_or_indexed_is_found(
    tmp_path_factory, steps, wanted, number, said
):
    """No document is hidden by any of two hundred rows of writes and indexes."""
    check_steps(tmp_path_factory.mktemp("edge"), steps, wanted, number, said)


def check_steps(path, steps, wanted, number, said):
    held = [Document(f"d{n}", "fish", {"x": n}) for n in range(5)]
    source = source_of(path, held, [("metadata.x", "integer")], created_at=said)
    check(source, wanted, held)
    for step in steps:
        if isinstance(step, dict):
            one = written(source, number, step)
            held = [*held[:number], one, *held[number + 1 :]]
        else:
            kind, part = step
            made = edge.UpdateOperation.create_field_index(f"metadata.x{part}", type_of(kind))
            source._client.held.update(made)
        check(source, wanted, held)


def test_documents_are_listed(tmp_path):
    """Every document comes back, with its text and metadata."""
    source = source_of(tmp_path, DOCUMENTS)
    assert {one.doc_id: one.text for one in source.documents()} == {
        one.doc_id: one.text for one in DOCUMENTS
    }
