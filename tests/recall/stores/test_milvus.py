"""Milvus collections as a source: a real Milvus Lite, which speaks gRPC as a server does."""

import logging
import math
import uuid

import numpy as np
import pytest
from drawn_filters import DOCUMENTS, FILTERS, kept
from hypothesis import HealthCheck, given, settings
from overhead import overhead
from words import DIMENSIONS, embed, langchain_words, told, vectors

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
    ServerFailed,
)
from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.protocols import AsyncRecallSource, RecallSource
from runoff.recall import Dense, Milvus
from runoff.recall._stores.engine_errors import named
from runoff.recall._stores.milvus_where import Place, milvus_expression
from runoff.testing.contracts import RecallSourceContract
from runoff.types import Document, Query

pymilvus = pytest.importorskip("pymilvus", reason="the client of Milvus is not installed")
pytest.importorskip("milvus_lite", reason="Milvus Lite is not installed")
DataType = pymilvus.DataType

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pymilvus")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs what it raises
    return str(tmp_path_factory.mktemp("milvus") / "lite.db")


@pytest.fixture(scope="module")
def client(path):
    made = pymilvus.MilvusClient(path)
    yield made
    made.close()


def schema_of(client, *fields, dynamic=True, size=DIMENSIONS, bm25=False):
    """A schema with a key, a text and a vector, and these fields beside them."""
    schema = client.create_schema(auto_id=False, enable_dynamic_field=dynamic)
    schema.add_field("pk", DataType.VARCHAR, is_primary=True, max_length=100)
    schema.add_field("text", DataType.VARCHAR, max_length=1000, enable_analyzer=bm25)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=size)
    for name, kind, options in fields:
        schema.add_field(name, kind, **options)
    if bm25:
        schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
        made = {"input_field_names": ["text"], "output_field_names": ["sparse"]}
        function = pymilvus.Function(name="bm25", function_type=pymilvus.FunctionType.BM25, **made)
        schema.add_function(function)
    return schema


def fill(client, documents, *fields, rows=None, metric="IP", bm25=False, **options):
    """Make a collection of documents, with their metadata beside the text."""
    name = f"collection_{uuid.uuid4().hex}"
    size = DIMENSIONS if rows is None else len(rows[0])
    indexes = client.prepare_index_params()
    indexes.add_index("vector", index_type="FLAT", metric_type=metric)
    if bm25:
        indexes.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
    schema = schema_of(client, *fields, size=size, bm25=bm25, **options)
    client.create_collection(name, schema=schema, index_params=indexes)
    rows = embed([one.text for one in documents]) if rows is None else rows
    held = [
        {"pk": one.doc_id, "text": one.text, "vector": list(map(float, row)), **one.metadata}
        for one, row in zip(documents, rows, strict=True)
    ]
    for start in range(0, len(held), 500):
        client.insert(name, held[start : start + 500])
    return name


class TestDenseContract(RecallSourceContract):
    """A collection searched by vectors keeps the contract of a source."""

    @pytest.fixture(autouse=True)
    def _client(self, client):
        self.client = client

    def make(self, documents):
        return Milvus(self.client, fill(self.client, documents), embed=embed)


class TestTextContract(TestDenseContract):
    """A collection searched by its BM25 function keeps the contract of a source."""

    def make(self, documents):
        return Milvus(self.client, fill(self.client, documents, bm25=True), search="text")


@pytest.mark.parametrize(
    ("metric", "expected", "score_range"),
    [
        ("COSINE", {"2": 0.96, "0": 0.6, "3": -0.8}, (-1.0, 1.0)),
        ("IP", {"2": 24.0, "0": 3.0, "3": -4.0}, (None, None)),
        ("L2", {"2": 0.0, "0": -9.0, "3": -16.0}, (None, 1.0)),
    ],
)
def test_distances_become_similarities(client, metric, expected, score_range):
    """Higher is better for every metric; the values are worked out by hand."""
    held = [Document(one, "?") for one in "023"]
    name = fill(client, held, rows=[(1, 0), (4, 3), (0, -1)], metric=metric)
    expected = {"023"["023".index(one)]: score for one, score in expected.items()}
    found = Milvus(client, name, embed=embed).retrieve(Query("?", embedding=(3.0, 4.0)), depth=10)
    assert [hit.doc_id for hit in found] == list(expected)
    assert dict(told(found)) == pytest.approx(expected, abs=1e-5)
    assert {hit.score_range for hit in found} == {score_range}


@pytest.mark.parametrize(("metric", "same"), [("COSINE", "cosine"), ("IP", "ip"), ("L2", "l2")])
def test_recall_is_complete(client, metric, same):
    """With a FLAT index, Milvus returns what brute force returns, with the same scores."""
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((500, 16)).astype(np.float32)
    held = [Document(f"d{n}", f"text {n}", {"n": n}) for n in range(500)]
    source = Milvus(client, fill(client, held, rows=rows, metric=metric), embed=embed)
    dense = Dense(held, embed, embeddings=rows, similarity=same)
    for asked in generator.standard_normal((5, 16)):
        for condition in (None, Eq("n", 3), Not(Range("n", gte=50))):
            query = Query("?", condition, tuple(asked))
            ours, theirs = (one.retrieve(query, depth=30) for one in (source, dense))
            assert [hit.document for hit in ours] == [hit.document for hit in theirs]
            assert [hit.score for hit in ours] == pytest.approx(
                [hit.score for hit in theirs], abs=1e-4
            )


def test_bm25_is_the_right_way_round(client):
    """The document with the rare word is first, and scores are positive though Lite's are not."""
    held = [Document("rare", "fish zebra"), *(Document(f"d{n}", "fish bread") for n in range(8))]
    source = Milvus(client, fill(client, held, bm25=True), search="text")
    found = source.retrieve(Query("zebra bread"), depth=9)
    assert found[0].doc_id == "rare"
    assert found[0].score > found[1].score > 0
    assert {hit.score_range for hit in found} == {(0.0, None)}
    assert source.retrieve(Query("nothing"), depth=9) == []
    assert source.retrieve(Query("?", filters=In("n", ())), depth=9) == []
    assert source.retrieve(Query("", embedding=(1.0,)), depth=9) == []


def countdown():
    return [(1000.0 - place, 0.0) for place in range(len(DOCUMENTS))]


@pytest.fixture(scope="module")
def dynamic(client):
    return Milvus(client, fill(client, DOCUMENTS, rows=countdown()), embed=embed)


@pytest.fixture(scope="module")
def nested(client):
    held = [Document(one.doc_id, one.text, {"metadata": one.metadata}) for one in DOCUMENTS]
    fields = [("metadata", DataType.JSON, {})]
    return Milvus(client, fill(client, held, *fields, rows=countdown()), embed=embed)


def check(source, wanted, documents=DOCUMENTS):
    expected = [one.doc_id for one in documents if one.doc_id in kept(wanted, documents)]
    for depth in (1, 3, len(documents) + 1):
        query = Query("?", filters=wanted, embedding=(1.0, 0.0))
        assert [hit.doc_id for hit in source.retrieve(query, depth=depth)] == expected[:depth]


@pytest.mark.parametrize("layout", ["dynamic", "nested"])
@given(wanted=FILTERS)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_filters_are_exact(request, layout, wanted):
    """Random filters on odd metadata keep what `matches` keeps, at every depth."""
    check(request.getfixturevalue(layout), wanted)


@pytest.mark.slow("60 s: a thousand random filters, each at three depths, in two layouts")
@pytest.mark.parametrize("layout", ["dynamic", "nested"])
@given(wanted=FILTERS)
@settings(max_examples=1000, suppress_health_check=list(HealthCheck))
def test_a_thousand_filters_are_exact(request, layout, wanted):
    """A thousand random filters keep what `matches` keeps, at every depth."""
    check(request.getfixturevalue(layout), wanted)


TYPED = (
    ("x", DataType.INT64, {}),
    ("y", DataType.DOUBLE, {"nullable": True}),
    ("kind", DataType.VARCHAR, {"max_length": 100}),
    ("é", DataType.BOOL, {"nullable": True}),
    ("f", DataType.FLOAT, {}),
    (
        "words",
        DataType.ARRAY,
        {"element_type": DataType.VARCHAR, "max_capacity": 9, "max_length": 9},
    ),
)
TYPED_DOCUMENTS = [
    Document(
        f"d{n:02}",
        "fish",
        {
            "x": n - 5,
            "y": None if n % 3 == 0 else n / 2,
            "kind": ("odd", "even", "a'b\"", "1")[n % 4],
            "é": None if n % 4 == 0 else n % 2 == 0,
            "f": n / 4,
            "words": ["a", "1"][: n % 3],
        },
    )
    for n in range(20)
]


@pytest.fixture(scope="module")
def typed(client):
    fields = [one for one in TYPED if one[0].isascii()]
    held = [
        Document(one.doc_id, one.text, {k: v for k, v in one.metadata.items() if k.isascii()})
        for one in TYPED_DOCUMENTS
    ]
    rows = countdown()[: len(held)]
    name = fill(client, held, *fields, rows=rows, dynamic=False)
    return Milvus(client, name, embed=embed), held


@given(wanted=FILTERS)
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
def test_filters_on_typed_fields_are_exact(typed, wanted):
    """Random filters on fields of a schema keep what `matches` keeps, at every depth."""
    check(typed[0], wanted, typed[1])


@pytest.mark.parametrize(
    "wanted",
    [
        Eq("words", "a"),
        Not(In("words", ("a", 1))),
        Range("words", gte=0),
        Not(Range("words", gte=0)),
        Eq("f", 0.25),
        Not(Eq("f", 0.1)),
        Range("f", gt=0.25, lt=2),
        Not(Range("x", gt=-2.5, lte=3.5)),
        Range("x", gte=2.5),
        Range("x", lt=10**20),
        Not(Eq("kind", "1")),
        Not(Eq("kind", 1)),
        Not(In("kind", ("odd", "a'b\""))),
        Not(Range("kind", gte="2026-01-01")),
        Eq("x", 2**60),
        Eq("x", 10**20),
        Not(Eq("y", 2)),
        Eq("none", 1),
        Not(Eq("none", 1)),
        Eq("pk", "d01"),
        Not(Eq("text", "fish")),
    ],
)
def test_each_type_is_compared_by_its_own_rules(typed, wanted):
    """Arrays, numbers of 32 bits, whole numbers, nulls and fields that do not exist."""
    check(typed[0], wanted, typed[1])


JSON_OR = (
    '(j["j"] == true or j["j"] == "a" or json_contains_any(j["j"], [true]) '
    'or json_contains_any(j["j"], ["a"]))'
)


@pytest.mark.parametrize(
    ("wanted", "expression"),
    [
        (Eq("s", "a"), 's in ["a"]'),
        (Not(In("s", ("a", "b", 1))), 's not in ["a", "b"]'),
        (Eq("s", 1), False),
        (Not(Eq("s", 1)), True),
        (Not(Eq("s?", "a")), True),
        (Eq("n", 1.0), "n in [1]"),
        (Eq("n", 1.5), False),
        (Range("n", gt=1.5, lte=3.5), "(n > 1 and n <= 3)"),
        (Not(Range("n", lt=3)), "not (n < 3)"),
        (Range("f", gt=0.1), "f >= 0.1"),
        (Eq("j", 1), '(j["j"] == 1 or j["j"] == 1.0 or json_contains_any(j["j"], [1, 1.0]))'),
        (In("j", (True, "a")), JSON_OR),
        (Eq("j", 'a"\\'), '(j["j"] == "a\\"\\\\" or json_contains_any(j["j"], ["a\\"\\\\"]))'),
        (Eq("j", "two\nlines"), True),
        (Not(Eq("j", 1)), True),
        (Range("j", gte="2026-01-01"), True),
        (Eq("n", 10**20), False),
        (In("s", ()), False),
        (Not(In("s", ())), True),
        (In("s", tuple(map(str, range(501)))), True),
        (And(Eq("s", "a"), Not(Eq("j", 1))), 's in ["a"]'),
        (Or(Eq("s", "a"), Eq("n", 2)), '(s in ["a"] or n in [2])'),
    ],
)
def test_expressions_are_as_exact_as_they_can_be(wanted, expression):
    """What Milvus compares exactly is asked of it; what it cannot is left to the check."""
    places = {
        "s": Place("s", "string", nullable=False),
        "s?": Place("s?", "string"),
        "n": Place("n", "integer", nullable=False),
        "f": Place("f", "single", nullable=False),
        "j": Place('j["j"]', "json"),
    }
    assert milvus_expression(wanted, places.get) == expression


def test_a_filter_is_refused_when_too_few_pass(client, monkeypatch):
    """Beyond what Milvus returns at once, a filter that it cannot apply is refused, never cut."""
    monkeypatch.setattr(Milvus, "_most", 8)
    held = [Document(f"d{n:02}", "fish", {"n": n}) for n in range(20)]
    rows = countdown()[:20]
    source = Milvus(client, fill(client, held, rows=rows), embed=embed)

    def ask(condition, depth):
        query = Query("?", filters=condition, embedding=(1.0, 0.0))
        return [hit.doc_id for hit in source.retrieve(query, depth=depth)]

    assert ask(Not(Eq("n", 0)), 7) == [f"d{n:02}" for n in range(1, 8)]
    assert len(ask(None, 15)) == 8
    with pytest.raises(FilterNotSupported, match="of the 8 records"):
        ask(Not(Eq("n", 0)), 8)
    assert ask(Range("n", gte=15), 5) == [f"d{n}" for n in range(15, 20)]


@pytest.mark.slow("10 s: what the source costs above the client, in processor time")
@pytest.mark.parametrize("condition", [None, And(Eq("topic", "tea"), Not(Range("n", lt=10)))])
def test_the_source_adds_little(client, condition):
    """A search for 100 documents costs at most 2 ms more than the client's own call."""
    held = [Document(f"d{n}", f"fish {n}", {"n": n, "topic": "tea"}) for n in range(1000)]
    rows = np.random.default_rng(0).standard_normal((1000, 64))
    name = fill(client, held, ("n", DataType.INT64, {}), rows=rows)
    source = Milvus(client, name, embed=embed)
    query = Query("?", condition, tuple(rows[0]))
    found = source.retrieve(query, depth=100)
    known = source._description
    clause = "" if condition is None else source._clause(condition, known)
    options = {"filter": clause, "limit": 100, "output_fields": known.returned}

    def theirs():
        reply = client.search(name, [rows[0].tolist()], anns_field="vector", **options)
        return [one["entity"] for one in reply[0]]  # they are decoded when they are read

    assert len(found) == len(theirs()) == 100
    added = overhead(lambda: source.retrieve(query, depth=100), theirs)
    print(f"Milvus: {added:.2f} ms")  # noqa: T201 - for the documentation
    assert added < 2


def test_what_langchain_wrote_is_read(path, client):
    """A collection of LangChain's store opens as it is: ids, texts, metadata, filters."""
    langchain_milvus = pytest.importorskip("langchain_milvus")

    held = [Document("a", "green tea", {"topic": "tea"}), Document("b", "rye", {"topic": "bread"})]
    for options in ({}, {"enable_dynamic_field": True}, {"metadata_field": "metadata"}):
        name = f"collection_{uuid.uuid4().hex}"
        store = langchain_milvus.Milvus(
            langchain_words(),
            connection_args={"uri": path},
            collection_name=name,
            index_params={"metric_type": "IP", "index_type": "FLAT"},
            auto_id=False,
            **options,
        )
        store.add_texts([one.text for one in held], [one.metadata for one in held], ids=["a", "b"])
        source = Milvus(client, name, embed=embed)
        assert source.retrieve(Query("green"), depth=5)[0].document == held[0]
        (hit,) = source.retrieve(Query("green", filters=Eq("topic", "bread")), depth=5)
        assert hit.document == held[1]


def test_what_llama_index_writes_is_read(client):
    """A record as LlamaIndex's store writes it: the node as JSON, the metadata beside it."""
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=100)
    schema.add_field("doc_id", DataType.VARCHAR, max_length=100)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=DIMENSIONS)
    indexes = client.prepare_index_params()
    indexes.add_index("embedding", index_type="FLAT", metric_type="IP")
    client.create_collection("llama", schema=schema, index_params=indexes)
    node = {
        "id": "n1",
        "doc_id": "None",
        "embedding": embed(["rye bread"])[0].tolist(),
        "topic": "bread",
        "_node_content": '{"id_": "n1", "text": "rye bread", "class_name": "TextNode"}',
        "_node_type": "TextNode",
        "document_id": "None",
        "ref_doc_id": "None",
    }
    client.insert("llama", [node])
    source = Milvus(client, "llama", embed=embed)
    (hit,) = source.retrieve(Query("bread", filters=Not(Eq("doc_id", "None"))), depth=5)
    assert hit.document == Document("n1", "rye bread", {"topic": "bread"})


def test_all_documents_are_listed_page_by_page(client):
    """`documents()` yields every document once, with its id, over several pages."""
    held = [Document(f"d{n:04}", f"text {n}", {"n": n}) for n in range(1201)]
    name = fill(client, held, rows=[(1.0, n) for n in range(1201)])
    assert sorted(Milvus(client, name, embed=embed).documents(), key=lambda one: one.doc_id) == held
    assert list(Milvus(client, fill(client, []), embed=embed).documents()) == []


def test_an_id_of_its_own(client):
    """`id` names a field with the document's id; its chunks are one hit, the best of them."""
    held = [Document(f"{n}", "fish", {"of": f"d{n % 3}", "n": n}) for n in range(12)]
    name = fill(client, held, rows=[(12.0 - n, 0.0) for n in range(12)])
    source = Milvus(client, name, embed=embed, id="of")
    found = source.retrieve(Query("?", embedding=(1.0, 0.0)), depth=3)
    assert [(hit.doc_id, hit.document.metadata["n"]) for hit in found] == [
        ("d0", 0),
        ("d1", 1),
        ("d2", 2),
    ]


async def test_an_async_client_is_awaited(path, client):
    """An AsyncMilvusClient gives the same hits, awaited, and is refused elsewhere by name."""
    held = [Document(f"d{n}", f"word{n} fish", {"n": n}) for n in range(20)]
    name = fill(client, held, bm25=True)
    awaited = pymilvus.AsyncMilvusClient(path)
    dense = Milvus(awaited, name, embed=embed)
    text = Milvus(awaited, name, search="text")
    assert isinstance(dense, AsyncRecallSource)
    for source in (dense, text):
        query = Query("word7", filters=Range("n", gte=5))
        found = await source.aretrieve(query, depth=5, deadline=Deadline(5))
        assert found[0].document == held[7]
    answer = await TwoStage({"dense": dense, "text": text}, reranker=None).asearch("word3")
    assert answer[0].doc_id == "d3"
    for refused in (dense.documents, dense.adocuments):
        with pytest.raises(InvalidArgument, match=r"documents\(\)"):
            refused()
    with pytest.raises(InvalidArgument, match="asearch"):
        dense.retrieve(Query("fish"), depth=1)
    dense.warmup()
    await awaited.close()


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda one: Milvus("docs", "docs", embed=embed), "client"),
        (lambda one: Milvus(one, "", embed=embed), "collection"),
        (lambda one: Milvus(one, "docs"), "embed"),
        (lambda one: Milvus(one, "docs", embed=embed, search="hybrid"), "search"),
        (lambda one: Milvus(one, "docs", embed=embed, search="text"), "embed"),
        (lambda one: Milvus(one, "docs", embed=embed).retrieve("fish", depth=1), "query"),
        (lambda one: Milvus(one, "docs", embed=embed).retrieve(Query("fish"), depth=0), "depth"),
    ],
)
def test_wrong_arguments_are_named(client, make, argument):
    """Every wrong argument raises InvalidArgument that names it."""
    with pytest.raises(InvalidArgument) as caught:
        make(client)
    assert caught.value.argument == argument


def test_a_vector_field_must_be_known(client):
    """A wrong vector field, and a collection without a BM25 function, are named with what is."""
    name = fill(client, [Document("a", "fish")])
    with pytest.raises(InvalidArgument, match=r"'vector'$"):
        Milvus(client, name, embed=embed, vector="text").retrieve(Query("fish"), depth=1)
    with pytest.raises(InvalidArgument, match="BM25 function"):
        Milvus(client, name, search="text").retrieve(Query("fish"), depth=1)


def test_permanent_faults_have_their_names(client):
    """A missing collection and a wrong dimension raise permanent errors that name them."""
    with pytest.raises(IndexNotFound, match="missing"):
        Milvus(client, "missing", embed=embed).retrieve(Query("fish"), depth=1)
    name = fill(client, [Document("a", "fish")])
    source = Milvus(client, name, embed=embed)
    with pytest.raises(EmbeddingError, match=f"{DIMENSIONS}"):
        source.retrieve(Query("?", embedding=(1.0, 2.0)), depth=1)
    assert source.retrieve(Query("fish"), depth=1)
    client.drop_collection(name)
    with pytest.raises(IndexNotFound, match=name):
        source.retrieve(Query("fish"), depth=1)


def test_other_errors_have_our_names():
    """Codes and messages of Milvus become runoff's errors; an unknown error stays as it is."""
    milvus = pymilvus.MilvusException
    for error, kind in [
        (milvus(100, "can't find collection"), IndexNotFound),
        (milvus(1100, "vector dimension mismatch, expected vector size(byte) 16"), EmbeddingError),
        (milvus(2, "Fail connecting to server on 127.0.0.1:9"), ConnectionFailed),
        (milvus(8, "request is rejected by grpc RateLimiter"), ServerFailed),
        (milvus(1800, "auth check failure, please check api key is correct"), AuthenticationFailed),
        (milvus(1, "Retry timeout: 0.1s"), DeadlineExceeded),
    ]:
        assert type(named(error, "doing")) is kind
    for error in (milvus(1, "odd"), TypeError("odd"), BadReply("ours")):
        assert named(error, "doing") is error


def test_a_dead_server_is_transient(tmp_path):
    """A server that went away raises ConnectionFailed or DeadlineExceeded within the deadline."""
    from milvus_lite.server_manager import server_manager_instance

    path = str(tmp_path / "dead.db")
    client = pymilvus.MilvusClient(path)
    name = fill(client, [Document("a", "fish")])
    source = Milvus(client, name, embed=embed)
    assert source.retrieve(Query("fish"), depth=1, deadline=Deadline(5))
    server_manager_instance.release_server(path)
    with pytest.raises((ConnectionFailed, DeadlineExceeded)):
        source.retrieve(Query("fish"), depth=1, deadline=Deadline(0.5))
    with pytest.raises(DeadlineExceeded):
        source.retrieve(Query("fish"), depth=1, deadline=Deadline(0))
    client.close()


def test_a_distance_that_is_not_finite_is_a_bad_reply(client, monkeypatch):
    """A distance that is not a number raises BadReply that names the record."""
    name = fill(client, [Document("a", "fish")])
    source = Milvus(client, name, embed=embed)
    reply = [[{"distance": math.nan, "entity": {"pk": "a", "text": "fish"}}]]
    monkeypatch.setattr(client, "search", lambda *args, **options: reply)
    with pytest.raises(BadReply, match="'a'"):
        source.retrieve(Query("fish"), depth=1)


def test_equal_scores_are_ordered_by_id(client):
    """Records with equal scores are ordered by id."""
    held = [Document(f"{n:02}", "fish") for n in np.random.default_rng(0).permutation(40)]
    found = Milvus(client, fill(client, held), embed=embed).retrieve(Query("fish"), depth=40)
    assert [hit.doc_id for hit in found] == sorted(one.doc_id for one in held)


def test_a_plain_client_is_no_async_source(client):
    """A source over a synchronous client has no `aretrieve`, so it runs in the pool."""
    name = fill(client, [Document("a", "fish")], rows=[(1.0, 2.0)])
    source = Milvus(client, name, embed=vectors((3.0, 5.0)), vector="vector")
    assert isinstance(source, RecallSource)
    assert not isinstance(source, AsyncRecallSource)
    assert told(source.retrieve(Query("0"), depth=1)) == [("a", 13.0)]
    assert repr(source) == f"Milvus({name!r}, search='dense')"
