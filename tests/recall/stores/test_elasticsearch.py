"""Indexes of Elasticsearch and OpenSearch as a source.

The clients are the real ones; the server is our own, on loopback, and speaks their documented
replies (tests/support/elastic.py). No engine is tested here.
"""

import contextlib
import math
import socket
from typing import ClassVar

import numpy as np
import pytest
from drawn_filters import NUMBERS, STRINGS, TIMES
from elastic import Index, running
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from overhead import overhead
from servers import serving
from words import DIMENSIONS, embed, told

from runoff import TwoStage
from runoff.deadline import Deadline
from runoff.errors import (
    AuthenticationFailed,
    BadReply,
    ConnectionFailed,
    DeadlineExceeded,
    EmbeddingError,
    FilterNotSupported,
    IndexNotFound,
    InvalidArgument,
    PermanentError,
    RequestRejected,
    ServerFailed,
)
from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.protocols import AsyncRecallSource, RecallSource
from runoff.recall import BM25, Dense, Elasticsearch
from runoff.recall._stores.elasticsearch_where import elasticsearch_query, unread
from runoff.testing.contracts import RecallSourceContract
from runoff.types import Document, Query

elasticsearch = pytest.importorskip("elasticsearch", reason="its client is not installed")
opensearchpy = pytest.importorskip("opensearchpy", reason="the client of OpenSearch is not there")

# what dynamic mapping makes of a text
TEXT = {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}
SAMPLE = {
    "topic": TEXT,
    "year": {"type": "long"},
    "draft": {"type": "boolean"},
    "rating": {"type": "float"},
    "n": {"type": "long"},
}


def index_of(
    documents, *, metadata=SAMPLE, rows=None, similarity="dot_product", opensearch=False, **vector
):
    """An index as LangChain's store makes it."""
    rows = embed([one.text for one in documents]) if rows is None else rows
    held = {
        one.doc_id: {
            "text": one.text,
            "metadata": dict(one.metadata),
            "vector": list(map(float, row)),
        }
        for one, row in zip(documents, rows, strict=True)
    }
    dims = len(rows[0]) if len(rows) else DIMENSIONS
    field = {"type": "dense_vector", "dims": dims, "index": True, "similarity": similarity}
    if opensearch:
        method = {"name": "hnsw", "engine": "lucene"}
        field = {"type": "knn_vector", "dimension": dims, "method": method}
    properties = {
        "text": TEXT,
        "metadata": {"properties": metadata},
        "vector": field | vector,
    }
    return Index(properties, held, opensearch=opensearch)


@contextlib.contextmanager
def connected(index):
    """The client of an index's engine, connected to a server of its own."""
    with running(index) as url:
        client = (
            opensearchpy.OpenSearch(url) if index.opensearch else elasticsearch.Elasticsearch(url)
        )
        yield client
        client.close()


class TestTextContract(RecallSourceContract):
    """An index searched by BM25 keeps the contract of a source."""

    opensearch = False
    options: ClassVar = {"search": "text"}

    @pytest.fixture(autouse=True)
    def _servers(self):
        with contextlib.ExitStack() as self.open:
            yield

    def make(self, documents):
        index = index_of(documents, opensearch=self.opensearch)
        return Elasticsearch(self.open.enter_context(connected(index)), "docs", **self.options)


class TestDenseContract(TestTextContract):
    """An index searched by vectors keeps the contract of a source."""

    options: ClassVar = {"embed": embed}

    def make(self, documents):
        index = index_of(documents, similarity="max_inner_product", opensearch=self.opensearch)
        return Elasticsearch(self.open.enter_context(connected(index)), "docs", **self.options)


class TestOpenSearchTextContract(TestTextContract):
    """An index of OpenSearch searched by BM25 keeps the contract of a source."""

    opensearch = True


class TestOpenSearchDenseContract(TestDenseContract):
    """An index of OpenSearch searched by vectors keeps the contract of a source."""

    opensearch = True


@pytest.mark.parametrize(
    ("similarity", "expected", "score_range"),
    [
        ("cosine", {"2": 0.96, "0": 0.6, "3": -0.8}, (-1.0, 1.0)),
        ("max_inner_product", {"2": 24.0, "0": 3.0, "3": -4.0}, (None, None)),
        ("l2_norm", {"2": 0.0, "0": -9.0, "3": -16.0}, (None, 1.0)),
    ],
)
def test_scores_become_similarities(similarity, expected, score_range):
    """The documented `_score` of each similarity is read back; worked out by hand."""
    held = [Document(one, "?") for one in "023"]
    index = index_of(held, rows=[(1, 0), (4, 3), (0, -1)], similarity=similarity)
    with connected(index) as client:
        found = Elasticsearch(client, "docs", embed=embed).retrieve(
            Query("?", embedding=(3.0, 4.0)), depth=10
        )
    assert [hit.doc_id for hit in found] == list(expected)
    assert dict(told(found)) == pytest.approx(expected, abs=1e-5)
    assert {hit.score_range for hit in found} == {score_range}


def test_scores_of_opensearch_stay_as_they_are():
    """OpenSearch's scores differ from version to version, so they are passed on."""
    index = index_of([Document("a", "fish")], rows=[(1.0, 0.0)], opensearch=True)
    with connected(index) as client:
        source = Elasticsearch(client, "docs", embed=embed)
        (hit,) = source.retrieve(Query("?", embedding=(0.0, 1.0)), depth=1)
        assert (hit.score, hit.score_range) == (0.5, (0.0, None))
        assert index.asked[-1].body["query"]["knn"]["vector"]["k"] == 1


@pytest.mark.parametrize(
    ("similarity", "same"), [("cosine", "cosine"), ("max_inner_product", "ip"), ("l2_norm", "l2")]
)
def test_dense_agrees(similarity, same):
    """The source gives what brute force gives, with the same scores, filtered or not."""
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((200, 8)).astype(np.float32)
    held = [Document(f"d{n}", f"text {n}", {"n": n}) for n in range(200)]
    dense = Dense(held, embed, embeddings=rows, similarity=same)
    with connected(index_of(held, rows=rows, similarity=similarity)) as client:
        source = Elasticsearch(client, "docs", embed=embed)
        for asked in generator.standard_normal((3, 8)):
            for condition in (None, Eq("n", 3), Not(Range("n", gte=50))):
                query = Query("?", condition, tuple(asked))
                ours, theirs = (one.retrieve(query, depth=30) for one in (source, dense))
                assert [hit.document for hit in ours] == [hit.document for hit in theirs]
                assert [hit.score for hit in ours] == pytest.approx(
                    [hit.score for hit in theirs], abs=1e-4
                )


LONG = "long " * 60
TYPES = {
    "word": {"type": "keyword"},
    "text": TEXT,
    "whole": {"type": "long"},
    "single": {"type": "float"},
    "double": {"type": "double"},
    "flag": {"type": "boolean"},
    "date": {"type": "date"},
    "nanos": {"type": "date_nanos"},
    "upper": {"type": "keyword", "normalizer": "lowercase"},
    "hidden": {"type": "keyword", "index": False, "doc_values": False},
}
_WHOLE = (0, 1, -1, 2, 2020, 2.5, -2.5, "2", "1", 2**53, 2**53 + 1, -3.5, [1, 2], [2.5])
_MOMENTS = (*TIMES, "2026-11-29T12:00:00.1239Z", "2026-11-29T14:00:00+02:00", "1969-01-01")
HELD = {
    "word": (*STRINGS, 1, 1.0, True, False, 2.5, LONG, ["a", "1"], [True, "é"]),
    "text": (*STRINGS, LONG, ["a", "two words"]),
    "whole": _WHOLE,
    "single": (*_WHOLE, 0.1, 1.5, 0.1000000001),
    "double": (*_WHOLE, 0.1, 1.5, 1e300),
    "flag": (True, False, "true", "false", [True, False]),
    "date": _MOMENTS,
    "nanos": _MOMENTS[:-1],  # it refuses documents from before 1970
    "none": ("a", 1),
}
_METADATA = [{}] + [{name: one} for name, many in HELD.items() for one in many]
ODD = [Document(f"d{n:03}", "fish", held) for n, held in enumerate(_METADATA)]
_ASKED = (*NUMBERS, 0.1, 2**60, 10**20, True, False, *STRINGS, "true", "2", LONG, *TIMES)
_BOUNDS = (*TIMES, "2026-11-29T12:00:00.1237Z", "2026-11-29T12:00:00.1239Z", "1969-01-01")
_times = st.sampled_from(_BOUNDS)
_fields = st.sampled_from((*HELD, "a.b", "text.keyword"))
_values = st.sampled_from(_ASKED)
LEAVES = st.one_of(
    st.builds(Eq, _fields, _values),
    st.builds(In, _fields, st.lists(_values, max_size=3)),
    st.builds(lambda name, low: Range(name, gt=low), _fields, st.sampled_from(NUMBERS)),
    st.builds(lambda name, top: Range(name, lte=top), _fields, st.sampled_from(NUMBERS)),
    st.builds(lambda name, low: Range(name, gte=low), _fields, _times),
    st.builds(lambda name, top: Range(name, lt=top), _fields, _times),
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


def odd_index():
    rows = [(1000.0 - n, 0.0) for n in range(len(ODD))]
    metadata = {name: one for name, one in TYPES.items() if name in HELD}
    return index_of(ODD, metadata=metadata, rows=rows, similarity="max_inner_product")


@pytest.fixture(scope="module")
def odd():
    with connected(odd_index()) as client:
        yield Elasticsearch(client, "docs", embed=embed)


@pytest.mark.parametrize("name", HELD)
def test_no_query_loses_a_document(name):
    """Every leaf, negated or not, asks the engine for at least what the filter keeps."""
    index = odd_index()
    types = {one: ("metadata." + one, field) for one, field in TYPES.items() if one in HELD}
    leaves = [Eq(name, value) for value in _ASKED]
    for how in ("gt", "gte", "lt", "lte"):
        leaves += [Range(name, **{how: bound}) for bound in (*NUMBERS, *_BOUNDS)]
    for wanted in (*leaves, *map(Not, leaves)):
        query = elasticsearch_query(wanted, types.get)
        asked = {"match_all": {}} if query is True else query
        held = index.documents.items()
        found = {one for one, source in held if asked and index.holds(asked, source)}
        lost = {one.doc_id for one in ODD if wanted.matches(one.metadata)} - found
        assert not lost, (wanted, query)


def check(source, wanted):
    expected = [one.doc_id for one in ODD if wanted.matches(one.metadata)]
    for depth in (1, 3, len(ODD) + 1):
        query = Query("?", filters=wanted, embedding=(1.0, 0.0))
        assert [hit.doc_id for hit in source.retrieve(query, depth=depth)] == expected[:depth]


@given(wanted=FILTERS)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_filters_are_exact(odd, wanted):
    """Random filters keep what `matches` keeps, whatever the type of a field makes of a value."""
    check(odd, wanted)


@pytest.mark.slow("60 s: a thousand random filters, each at three depths")
@given(wanted=FILTERS)
@settings(max_examples=1000, suppress_health_check=list(HealthCheck))
def test_a_thousand_filters_are_exact(odd, wanted):
    """A thousand random filters keep what `matches` keeps, at every depth."""
    check(odd, wanted)


def none_of(name, *texts):
    return {"bool": {"must_not": [{"terms": {name: list(texts)}}]}}


def within(name, low, high):
    return {"range": {name: {"gte": low, "lte": high}}}


@pytest.mark.parametrize(
    ("wanted", "query"),
    [
        (Eq("word", "a"), {"terms": {"word": ["a"]}}),
        (In("text", ("a", "b")), {"terms": {"text.keyword": ["a", "b"]}}),
        (Eq("text", LONG), True),
        (Eq("word", 1), True),
        (Not(In("word", ("a", "1", 7, "true"))), none_of("word", "a")),
        (Not(Eq("word", "2.5")), True),
        (Not(Eq("upper", "a")), True),
        (Eq("hidden", "a"), True),
        (Eq("whole", 2.5), within("whole", 2, 2)),
        (
            In("whole", (1, 3)),
            {
                "bool": {
                    "should": [within("whole", 1, 1), within("whole", 3, 3)],
                    "minimum_should_match": 1,
                }
            },
        ),
        (Not(Eq("whole", 2)), True),
        (Eq("whole", "2"), True),
        (Range("whole", gt=1.5, lt=-2.5), within("whole", 1, -2)),
        (Range("single", gt=0.5), {"range": {"single": {"gte": 0.5}}}),
        (Eq("single", 1e300), True),
        (Range("double", lt=2**60), True),
        (Eq("flag", True), {"terms": {"flag": [True]}}),  # noqa: FBT003 - a value
        (Not(Eq("flag", True)), True),  # noqa: FBT003 - a value
        (Eq("unknown", 1), True),
        (In("word", ()), False),
        (Not(In("word", ())), True),
        (In("word", tuple(map(str, range(10_001)))), True),
        (And(Eq("word", "a"), Eq("unknown", 1)), {"terms": {"word": ["a"]}}),
    ],
)
def test_queries_are_as_exact_as_they_can_be(wanted, query):
    """What is surely kept is asked of the engine; what types may have changed is checked here."""
    found = elasticsearch_query(wanted, lambda name: (name, TYPES[name]) if name in TYPES else None)
    assert found == query


@pytest.mark.parametrize(
    ("wanted", "query"),
    [
        (Eq("n", 2.5), {"range": {"metadata.n": {"gte": 2, "lte": 3}}}),
        (Range("n", gt=-2.5, lte=7), {"range": {"metadata.n": {"gte": -3, "lte": 7}}}),
        (Eq("b", value=True), {"term": {"metadata.b": True}}),
        (
            Eq("t", "a"),
            {
                "bool": {
                    "should": [
                        {"term": {"metadata.t": "a"}},
                        {"term": {"metadata.t.keyword": "a"}},
                    ],
                    "minimum_should_match": 1,
                }
            },
        ),
        (In("t", ()), False),
        (Not(Eq("t", "a")), True),
        (Eq("t", "a" * 257), True),
        (Eq("a.b", 1), True),
        (Eq("n", 2**53), True),
        (Range("n", gte="2026-01-01"), True),
    ],
)
def test_a_mapping_that_nobody_read_is_guessed(wanted, query):
    """Behind a framework's store any of the usual mappings is met, cut numbers too."""
    assert elasticsearch_query(wanted, unread) == query


def test_times_are_widened_to_milliseconds():
    """A `date` keeps milliseconds, so both bounds are widened to the next one outside."""
    wanted = Range("date", gt="2026-11-29T12:00:00.1237Z", lt="2026-11-29T12:00:00.1237Z")
    found = elasticsearch_query(wanted, lambda name: (name, {"type": "date"}))
    bounds = found["range"]["date"]
    assert bounds["gte"] == "2026-11-29T12:00:00.123+00:00"
    assert bounds["lte"] == "2026-11-29T12:00:00.124+00:00"


def test_moments_that_a_field_cannot_have_are_not_asked_for():
    """A `date_nanos` has moments from 1970 to 2262, and refuses a query with others."""
    wanted = Range("nanos", gt="1969-01-01", lt="3000-01-01")
    found = elasticsearch_query(wanted, lambda name: (name, {"type": "date_nanos"}))
    bounds = found["range"]["nanos"]
    assert bounds["gte"] == "1970-01-01T00:00:00.000+00:00"
    assert bounds["lte"] == "2262-04-11T23:47:16.854+00:00"


def test_deep_filters_are_cut_to_what_the_engine_allows(odd):
    """Elasticsearch refuses queries of more than 30 levels: what lies deeper is checked here."""
    wanted = Eq("word", "a")
    for level in range(60):
        wanted = (And if level % 2 else Or)(wanted, Eq("word", "no" if level % 2 == 0 else "a"))
    query = elasticsearch_query(wanted, lambda name: (name, {"type": "keyword"}))
    assert str(query).count("'bool'") < 25
    check(odd, wanted)


def test_a_filter_is_refused_when_too_few_pass(monkeypatch):
    """Beyond what the engine returns at once, a filter that it cannot apply is refused."""
    monkeypatch.setattr(Elasticsearch, "_most", 8)
    held = [Document(f"d{n:02}", "fish", {"n": n}) for n in range(20)]
    with connected(index_of(held)) as client:
        source = Elasticsearch(client, "docs", search="text")
        assert len(source.retrieve(Query("fish", filters=Not(Eq("n", 0))), depth=7)) == 7
        assert len(source.retrieve(Query("fish"), depth=15)) == 8
        with pytest.raises(FilterNotSupported, match="of the 8 records"):
            source.retrieve(Query("fish", filters=Not(Eq("n", 0))), depth=8)


def test_an_engine_that_filters_late_is_not_asked_to():
    """OpenSearch's nmslib filters what it found, which may be too few: the check does it."""
    held = [Document(f"d{n:02}", "fish", {"n": n}) for n in range(20)]
    for engine, pushed in (("lucene", True), ("faiss", True), ("nmslib", False), (None, False)):
        index = index_of(held, opensearch=True, method={"engine": engine} if engine else None)
        with connected(index) as client:
            source = Elasticsearch(client, "docs", embed=embed)
            assert len(source.retrieve(Query("fish", filters=Range("n", gte=15)), depth=5)) == 5
            asked = [one.body["query"]["knn"]["vector"] for one in index.asked[2:]]
        assert all(("filter" in one) == pushed for one in asked)


@pytest.mark.slow("10 s: what the source costs above the client, in processor time")
@pytest.mark.parametrize("condition", [None, And(Eq("topic", "tea"), Not(Range("n", gt=109)))])
@pytest.mark.parametrize("opensearch", [False, True])
def test_the_source_adds_little(opensearch, condition):
    """A search for 100 documents costs at most 2 ms more than the client's own call."""
    held = [Document(f"d{n}", f"fish {n}", {"n": n, "topic": "tea"}) for n in range(120)]
    with connected(index_of(held, opensearch=opensearch)) as client:
        source = Elasticsearch(client, "docs", search="text")
        query = Query("fish", condition)
        assert len(source.retrieve(query, depth=100)) == 100
        body = {"size": 100, "_source": {"excludes": ["vector"]}}
        body["query"] = {"match": {"text": {"query": "fish"}}}
        if condition is not None:
            clause = source._clause(condition, source._description)
            body["query"] = {"bool": {"must": [body["query"]], "filter": [clause]}}
        added = overhead(
            lambda: source.retrieve(query, depth=100),
            lambda: client.search(index="docs", body=body),
        )
    print(f"{source._engine}: {added:.2f} ms")  # noqa: T201 - for the documentation
    assert added < 2


def test_what_llama_index_writes_is_read():
    """A record as LlamaIndex's store writes it: the node and its metadata in one object."""
    metadata = {"topic": TEXT, "_node_content": {"type": "text"}, "ref_doc_id": {"type": "keyword"}}
    vector = {"type": "dense_vector", "dims": DIMENSIONS, "similarity": "cosine"}
    properties = {"content": TEXT, "embedding": vector, "metadata": {"properties": metadata}}
    record = {
        "content": "rye bread",
        "embedding": embed(["rye bread"])[0].tolist(),
        "metadata": {
            "topic": "bread",
            "_node_content": '{"id_": "n1", "text": "", "class_name": "TextNode"}',
            "_node_type": "TextNode",
            "document_id": None,
            "ref_doc_id": "r",
        },
    }
    with connected(Index(properties, {"n1": record})) as client:
        source = Elasticsearch(client, "docs", embed=embed)
        found = source.retrieve(Query("bread", filters=Not(Eq("ref_doc_id", "r"))), depth=5)
    assert [hit.document for hit in found] == [Document("n1", "rye bread", {"topic": "bread"})]


@pytest.mark.parametrize("opensearch", [False, True])
def test_all_documents_are_listed_page_by_page(opensearch):
    """`documents()` yields every document once, with its id, and closes what it opened."""
    held = [Document(f"d{n}", f"text {n}", {"n": n}) for n in range(1201)]
    index = index_of(held, rows=[(1.0, 0.0)] * 1201, opensearch=opensearch)
    with connected(index) as client:
        assert list(Elasticsearch(client, "docs", embed=embed).documents()) == held
        assert not index.scrolls
        assert "vector" in index.asked[-5].body["_source"]["excludes"]
    with connected(index_of([], opensearch=opensearch)) as client:
        assert list(Elasticsearch(client, "docs", search="text").documents()) == []


@pytest.mark.parametrize("opensearch", [False, True])
async def test_an_async_client_is_awaited(opensearch):
    """An asynchronous client gives the same hits, awaited, and is refused elsewhere by name."""
    pytest.importorskip("aiohttp")
    held = [Document(f"d{n}", f"word{n} fish", {"n": n}) for n in range(20)]
    index = index_of(held, similarity="max_inner_product", opensearch=opensearch)
    with running(index) as url:
        make = opensearchpy.AsyncOpenSearch if opensearch else elasticsearch.AsyncElasticsearch
        client = make(url)
        dense = Elasticsearch(client, "docs", embed=embed)
        text = Elasticsearch(client, "docs", search="text")
        assert isinstance(dense, AsyncRecallSource)
        for source in (dense, text):
            query = Query("word7", filters=Range("n", gte=5))
            found = await source.aretrieve(query, depth=5, deadline=Deadline(5))
            assert found[0].document == held[7]
        assert [one async for one in dense.adocuments()] == held
        answer = await TwoStage({"dense": dense, "text": text}, reranker=None).asearch("word3")
        assert answer[0].doc_id == "d3"
        with pytest.raises(InvalidArgument, match="adocuments"):
            dense.documents()
        with pytest.raises(InvalidArgument, match="asearch"):
            dense.retrieve(Query("fish"), depth=1)
        assert repr(text) == "Elasticsearch('docs', search='text')"
        await client.close()


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda one: Elasticsearch("docs", "docs", embed=embed), "client"),
        (lambda one: Elasticsearch(one, "", embed=embed), "index"),
        (lambda one: Elasticsearch(one, "docs"), "embed"),
        (lambda one: Elasticsearch(one, "docs", embed=embed, search="hybrid"), "search"),
        (lambda one: Elasticsearch(one, "docs", embed=embed, search="text"), "embed"),
        (lambda one: Elasticsearch(one, "docs", embed=embed).retrieve("fish", depth=1), "query"),
        (
            lambda one: Elasticsearch(one, "docs", embed=embed).retrieve(Query("a"), depth=0),
            "depth",
        ),
        (
            lambda one: Elasticsearch(one, "docs", embed=embed, vector="text").retrieve(
                Query("a"), depth=1
            ),
            "vector",
        ),
    ],
)
def test_wrong_arguments_are_named(make, argument):
    """Every wrong argument raises InvalidArgument that names it."""
    with (
        connected(index_of([Document("a", "fish")])) as client,
        pytest.raises(InvalidArgument) as caught,
    ):
        make(client)
    assert caught.value.argument == argument


def test_a_vector_that_is_not_indexed_is_refused():
    """A `dense_vector` with `index: false` cannot be searched, which the error says."""
    with connected(index_of([Document("a", "fish")], index=False)) as client:
        source = Elasticsearch(client, "docs", embed=embed)
        with pytest.raises(InvalidArgument, match="is not indexed"):
            source.retrieve(Query("fish"), depth=1)


@pytest.mark.parametrize("opensearch", [False, True])
def test_permanent_faults_have_their_names(opensearch):
    """A missing index and a wrong dimension raise permanent errors that name them."""
    with connected(index_of([Document("a", "fish")], opensearch=opensearch)) as client:
        with pytest.raises(IndexNotFound, match="missing"):
            Elasticsearch(client, "missing", embed=embed).retrieve(Query("fish"), depth=1)
        source = Elasticsearch(client, "docs", embed=embed)
        with pytest.raises(EmbeddingError, match=f"{DIMENSIONS}"):
            source.retrieve(Query("?", embedding=(1.0, 2.0)), depth=1)


@pytest.mark.parametrize("make", [elasticsearch.Elasticsearch, opensearchpy.OpenSearch])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthenticationFailed),
        (403, AuthenticationFailed),
        (400, RequestRejected),
        (429, ServerFailed),
        (500, ServerFailed),
    ],
)
def test_a_servers_faults_have_their_names(make, status, kind):
    """Each status of a server becomes one of runoff's errors, with the client's as its cause."""
    product = {"X-Elastic-Product": "Elasticsearch"}
    error = {"type": "odd_exception", "reason": "no"}
    with serving(lambda asked: (status, {"error": error, "status": status}, product)) as server:
        client = make(server.url, max_retries=0)
        with pytest.raises(kind, match="index 'docs'") as caught:
            Elasticsearch(client, "docs", search="text").retrieve(Query("fish"), depth=1)
        client.close()
    assert caught.value.__cause__ is not None


def test_another_product_is_a_permanent_fault():
    """Elasticsearch's client at OpenSearch: it refuses a reply without the product's header."""
    with running(index_of([Document("a", "fish")], opensearch=True)) as url:
        client = elasticsearch.Elasticsearch(url)
        with pytest.raises(PermanentError, match="not Elasticsearch"):
            Elasticsearch(client, "docs", search="text").retrieve(Query("fish"), depth=1)
        client.close()


@pytest.mark.parametrize("make", [elasticsearch.Elasticsearch, opensearchpy.OpenSearch])
def test_dead_and_silent_servers_are_transient(make):
    """A refused connection, and a server that never answers, which the deadline ends."""
    client = make("http://127.0.0.1:9", max_retries=0)
    with pytest.raises(ConnectionFailed):
        Elasticsearch(client, "docs", search="text").retrieve(Query("fish"), depth=1)
    client.close()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = make(f"http://127.0.0.1:{silent.getsockname()[1]}")
        source = Elasticsearch(client, "docs", search="text")
        with pytest.raises(DeadlineExceeded):
            source.retrieve(Query("fish"), depth=1, deadline=Deadline(0.1))
        client.close()


def test_a_pipeline_answers_without_a_dead_engine():
    """The other source answers, and the outcome names the engine that could not be reached."""
    held = [Document("a", "fish")]
    client = elasticsearch.Elasticsearch("http://127.0.0.1:9", max_retries=0)
    sources = {"bm25": BM25(held), "engine": Elasticsearch(client, "docs", search="text")}
    answer = TwoStage(sources, reranker=None).search("fish", timeout=5)
    client.close()
    assert [one.doc_id for one in answer] == ["a"]
    assert [(one.source, one.reason) for one in answer.outcome.degraded] == [
        ("engine", "connection")
    ]
    assert "index 'docs'" in answer.outcome.degraded[0].detail


def test_a_reply_cut_short_is_no_answer():
    """A search that timed out, failed in part, or has no text or score is never an answer."""
    hit = {"_id": "a", "_score": 1.0, "_source": {"text": "fish"}}
    index = index_of([Document("a", "fish")])
    for change, kind in [
        ({"timed_out": True}, DeadlineExceeded),
        ({"_shards": {"failed": 1}}, ServerFailed),
        ({"hits": {"hits": [hit | {"_source": None}]}}, BadReply),
        ({"hits": {"hits": [hit | {"_score": None}]}}, BadReply),
        ({"hits": {"hits": [hit | {"_score": math.inf}]}}, BadReply),
    ]:
        with connected(index) as client:
            source = Elasticsearch(client, "docs", search="text")
            assert source.retrieve(Query("fish"), depth=1)
            index.reply = lambda hits, change=change: Index.reply(index, hits) | change
            with pytest.raises(kind):
                source.retrieve(Query("fish"), depth=1)
            del index.reply


@pytest.mark.parametrize("opensearch", [False, True])
def test_the_deadline_is_the_servers_timeout(opensearch):
    """What is left of the deadline is sent with the search; a spent one asks nothing."""
    index = index_of([Document("a", "fish")], opensearch=opensearch)
    with connected(index) as client:
        source = Elasticsearch(client, "docs", search="text")
        assert source.retrieve(Query("fish"), depth=1, deadline=Deadline(3.5))
        sent = [one.body["timeout"] for one in index.asked[1:]]
        assert all(3000 < int(one.removesuffix("ms")) <= 3500 for one in sent)
        assert all("allow_partial_search_results=false" in one.path for one in index.asked[1:])
        del index.asked[:]
        with pytest.raises(DeadlineExceeded):
            source.retrieve(Query("fish"), depth=1, deadline=Deadline(0))
        assert not index.asked


def test_equal_scores_are_ordered_by_id():
    """Records with equal scores are ordered by id."""
    held = [Document(f"{n:02}", "fish") for n in np.random.default_rng(0).permutation(40)]
    with connected(index_of(held)) as client:
        found = Elasticsearch(client, "docs", search="text").retrieve(Query("fish"), depth=40)
    assert [hit.doc_id for hit in found] == sorted(one.doc_id for one in held)


def test_a_plain_client_is_no_async_source():
    """A source over a synchronous client has no `aretrieve`, so it runs in the pool."""
    with connected(index_of([Document("a", "fish")])) as client:
        source = Elasticsearch(client, "docs", embed=embed)
        assert isinstance(source, RecallSource)
        assert not isinstance(source, AsyncRecallSource)
        source.warmup()
        assert source.retrieve(Query("?", embedding=(0.0,) * DIMENSIONS), depth=1) == []
        assert repr(source) == "Elasticsearch('docs', search='dense')"
