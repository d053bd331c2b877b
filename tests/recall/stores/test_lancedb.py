"""Tables of LanceDB as a source: a real LanceDB in a folder."""

import asyncio
import shutil
import threading

import numpy as np
import pytest
from engines import lancedb_table
from overhead import overhead
from words import DIMENSIONS, embed, langchain_words, told

from runoff import TwoStage
from runoff.deadline import Deadline
from runoff.errors import (
    BadReply,
    DeadlineExceeded,
    EmbeddingError,
    IndexNotFound,
    InvalidArgument,
)
from runoff.filters import And, Eq, Not, Or, Range
from runoff.protocols import AsyncRecallSource, RecallSource
from runoff.recall import BM25, Dense, LanceDB
from runoff.types import Document, Query

lancedb = pytest.importorskip("lancedb", reason="lancedb is not installed")
pa = pytest.importorskip("pyarrow")
HELD = [Document(f"d{n:03}", f"word{n} fish", {"n": n}) for n in range(200)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lancedb")


@pytest.fixture(scope="module")
def table(folder):
    return lancedb_table(folder, HELD)


@pytest.mark.parametrize(
    ("space", "expected", "score_range"),
    [
        ("cosine", {"2": 0.96, "0": 0.6, "3": -0.8}, (-1.0, 1.0)),
        ("ip", {"2": 24.0, "0": 3.0, "1": 0.0, "3": -4.0}, (None, None)),
        ("l2", {"2": 0.0, "0": -9.0, "1": -11.5, "3": -16.0}, (None, 1.0)),
    ],
)
def test_distances_become_similarities(folder, space, expected, score_range):
    """Higher is better in every space, and a vector of zeros has no cosine; worked out by hand."""
    rows = {"0": (1, 0), "1": (0, 0), "2": (4, 3), "3": (0, -1)}
    held = [Document(one, "?") for one in rows]
    made = lancedb_table(folder, held, vectors=list(rows.values()), words=False)
    source = LanceDB(made, embed=embed, space=space)
    found = source.retrieve(Query("?", embedding=(3.0, 4.0)), depth=10)
    assert [hit.doc_id for hit in found] == list(expected)
    assert dict(told(found)) == pytest.approx(expected, abs=1e-5)
    assert {hit.score_range for hit in found} == {score_range}
    zero = source.retrieve(Query("?", embedding=(0.0, 0.0)), depth=10)
    assert bool(zero) == (space != "cosine")


@pytest.fixture(scope="module")
def random_rows():
    return np.random.default_rng(0).standard_normal((2000, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def many(random_rows):
    return [Document(f"d{n:04}", "text", {"n": n}) for n in range(len(random_rows))]


@pytest.mark.parametrize("space", ["cosine", "ip", "l2"])
def test_recall_is_complete(folder, many, random_rows, space):
    """An exact search returns what brute force returns, with the same scores."""
    made = lancedb_table(folder, many, vectors=random_rows, words=False)
    source = LanceDB(made, embed=embed, space=space)
    dense = Dense(many, embed, embeddings=random_rows, similarity=space)
    for asked in np.random.default_rng(1).standard_normal((5, 16)):
        for condition in (None, Eq("n", 3), Not(Range("n", gte=50))):
            query = Query("?", condition, tuple(asked))
            ours, theirs = (one.retrieve(query, depth=30) for one in (source, dense))
            assert [hit.document for hit in ours] == [hit.document for hit in theirs]
            scores = [hit.score for hit in theirs]
            assert [hit.score for hit in ours] == pytest.approx(scores, abs=1e-4)


def test_an_approximate_index_returns_as_many_as_are_asked_for(folder, many, random_rows):
    """With an index, any depth and any filter return as many hits as there are, in its space."""
    made = lancedb_table(folder, many, vectors=random_rows, words=False)
    made.create_index(
        "vector",
        config=lancedb.index.IvfPq(distance_type="cosine", num_partitions=20, num_sub_vectors=4),
    )
    source = LanceDB(made, embed=embed, nprobes=1)
    plain = LanceDB(made, embed=embed, exact=True)
    query = tuple(random_rows[7].astype(float))
    for depth in (1, 100, 1500, 20_000):
        found = source.retrieve(Query("?", embedding=query), depth=depth)
        assert len(found) == min(depth, len(many))
    assert found[0].score_range == (-1.0, 1.0)
    for low in (0, 1990, 2000):
        asked = Query("?", Range("n", gte=low), query)
        found = source.retrieve(asked, depth=100)
        assert len(found) == min(100, len(many) - low)
    asked = Query("?", Range("n", gte=1990), query)
    assert source.retrieve(asked, depth=100) == plain.retrieve(asked, depth=100)
    asked = Query("?", embedding=query)
    exact = dict(told(plain.retrieve(asked, depth=len(many))))
    found = told(source.retrieve(asked, depth=20))
    assert [one for one, _ in found] != list(exact)[:20]  # one part of twenty was searched
    for one, score in found:  # and its scores are not the index's own estimates
        assert score == pytest.approx(exact[one], abs=1e-6)


def test_words_are_scored_by_bm25(folder):
    """A rare word counts more than a common one; any word finds; stop words find nothing."""
    held = [Document("rare", "fish zebra"), *(Document(f"d{n}", "fish bread") for n in range(8))]
    source = LanceDB(lancedb_table(folder, held), search="text")
    found = source.retrieve(Query("zebra bread"), depth=9)
    bm25 = BM25(held).retrieve(Query("zebra bread"), depth=9)
    assert found[0].doc_id == "rare"
    assert {hit.doc_id for hit in found} == {hit.doc_id for hit in bm25}
    assert source.retrieve(Query("the and of"), depth=9) == []
    assert source.retrieve(Query("?", embedding=(1.0,)), depth=9) == []
    assert source.retrieve(Query("' \" \0 ^ (+-"), depth=9) == []


def test_metadata_in_json_is_read_and_sifted(folder):
    """Metadata that a column holds as JSON is filtered by `matches`; other text is refused."""
    made = lancedb.connect(folder).create_table(
        "json",
        [
            {"id": f"d{n:02}", "text": "x", "vector": [1.0, n / 100], "metadata": f'{{"n": {n}}}'}
            for n in range(40)
        ],
        schema=pa.schema(
            [
                ("id", pa.string()),
                ("text", pa.string()),
                ("vector", pa.list_(pa.float32(), 2)),
                ("metadata", pa.string()),
            ]
        ),
    )
    source = LanceDB(made, embed=embed)
    asked = Query("?", Or(Eq("n", 30), Range("n", gt=37)), (1.0, 0.0))
    assert [hit.doc_id for hit in source.retrieve(asked, depth=2)] == ["d30", "d38"]
    assert source.retrieve(asked, depth=5)[-1].document.metadata == {"n": 39}
    made.add([{"id": "odd", "text": "x", "vector": [1.0, 0.0], "metadata": "plain words"}])
    with pytest.raises(BadReply, match="columns as metadata="):
        source.retrieve(asked, depth=5)
    columns = LanceDB(made, embed=embed, metadata=["metadata"])
    wanted = Query("?", Eq("metadata", "plain words"), (1.0, 0.0))
    assert [hit.doc_id for hit in columns.retrieve(wanted, depth=5)] == ["odd"]


def test_names_of_columns(folder):
    """Columns of other names are named; what is missing is listed."""
    vector = pa.list_(pa.float32(), 2)
    schema = pa.schema(
        [("ref", pa.int64()), ("body", pa.string()), ("one", vector), ("two", vector)]
    )
    row = {"ref": 1, "body": "x", "one": [1.0, 0.0], "two": [0.0, 1.0]}
    made = lancedb.connect(folder).create_table("named", [row], schema=schema)
    names = {"id": "ref", "text": "body", "vector": "two"}
    asked = Query("?", embedding=(0.0, 1.0))
    (hit,) = LanceDB(made, embed=embed, **names).retrieve(asked, depth=2)
    assert (hit.document, hit.score) == (Document("1", "x"), 1.0)
    for argument in names:
        for wrong in ("absent", None):
            with pytest.raises(InvalidArgument, match="ref, body, one, two") as caught:
                LanceDB(made, embed=embed, **names | {argument: wrong}).retrieve(asked, depth=1)
            assert caught.value.argument == argument
    with pytest.raises(InvalidArgument, match="a column of vectors"):
        LanceDB(made, embed=embed, **names | {"vector": "body"}).retrieve(asked, depth=1)


def test_all_documents_are_listed(folder, table):
    """`documents()` yields every document once, over several batches."""
    source = LanceDB(table, embed=embed)
    assert sorted(source.documents(), key=lambda one: one.doc_id) == HELD
    large = [Document(f"d{n}", "x") for n in range(1203)]
    listed = LanceDB(lancedb_table(folder, large, words=False), embed=embed).documents()
    assert len({one.doc_id for one in listed}) == 1203


async def test_an_async_table_is_awaited(folder, table):
    """An AsyncTable or AsyncConnection gives the same hits, awaited, and is refused elsewhere."""
    connection = await lancedb.connect_async(folder)
    plain = LanceDB(lancedb.connect(folder), table.name, embed=embed)
    words = LanceDB(table, search="text")
    opened = await connection.open_table(table.name)
    for client, name in ((opened, None), (connection, table.name)):
        dense = LanceDB(client, name, embed=embed)
        text = LanceDB(client, name, search="text")
        assert isinstance(dense, AsyncRecallSource)
        assert isinstance(dense, RecallSource)
        queries = [Query(f"word{n}", Range("n", gte=n)) for n in range(10)]
        for ours, theirs in ((dense, plain), (text, words)):
            answers = await asyncio.gather(
                *(ours.aretrieve(one, depth=5, deadline=Deadline(30)) for one in queries)
            )
            assert answers == [theirs.retrieve(one, depth=5) for one in queries]
        listed = [one async for one in dense.adocuments()]
        assert sorted(listed, key=lambda one: one.doc_id) == HELD
        answer = await TwoStage({"dense": dense, "text": text}, reranker=None).asearch("word3")
        assert answer[0].doc_id == "d003"
        with pytest.raises(InvalidArgument, match="adocuments"):
            dense.documents()
        with pytest.raises(InvalidArgument, match="asearch"):
            dense.retrieve(Query("fish"), depth=1)
        assert repr(dense) == f"LanceDB({table.name!r}, search='dense')"
        dense.warmup()
    assert not isinstance(plain, AsyncRecallSource)
    with pytest.raises(IndexNotFound, match="absent"):
        await LanceDB(connection, "absent", embed=embed).aretrieve(Query("fish"), depth=1)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda one: LanceDB("folder", "docs", embed=embed), "client"),
        (lambda one: LanceDB(one, "docs", embed=embed), "table_name"),
        (LanceDB, "embed"),
        (lambda one: LanceDB(lancedb.connect("memory://"), embed=embed), "table_name"),
        (lambda one: LanceDB(one, embed=embed, search="hybrid"), "search"),
        (lambda one: LanceDB(one, embed=embed, search="text"), "embed"),
        (lambda one: LanceDB(one, embed=embed, space="l1"), "space"),
        (lambda one: LanceDB(one, embed=embed, nprobes=0), "nprobes"),
        (lambda one: LanceDB(one, embed=embed).retrieve("fish", depth=1), "query"),
        (lambda one: LanceDB(one, embed=embed).retrieve(Query("fish"), depth=0), "depth"),
    ],
)
def test_wrong_arguments_are_named(table, make, argument):
    """Every wrong argument raises InvalidArgument that names it."""
    with pytest.raises(InvalidArgument) as caught:
        make(table)
    assert caught.value.argument == argument


def test_permanent_faults_have_their_names(tmp_path):
    """A missing table or index, and a wrong dimension, raise permanent errors that name them."""
    connection = lancedb.connect(tmp_path)
    with pytest.raises(IndexNotFound, match="absent"):
        LanceDB(connection, "absent", embed=embed).retrieve(Query("fish"), depth=1)
    made = lancedb_table(tmp_path, HELD, words=False)
    with pytest.raises(IndexNotFound, match="full-text index"):
        LanceDB(made, search="text").retrieve(Query("fish"), depth=1)
    source = LanceDB(made, embed=embed)
    with pytest.raises(EmbeddingError, match=f"{DIMENSIONS}"):
        source.retrieve(Query("?", embedding=(1.0, 2.0)), depth=1)
    assert source.retrieve(Query("fish"), depth=1)
    shutil.rmtree(tmp_path)
    with pytest.raises(IndexNotFound, match=made.name):
        source.retrieve(Query("word7", Eq("n", 7)), depth=1)


def test_a_deadline_is_kept(table):
    """With no time left LanceDB is not asked; with too little, it stops by itself."""
    source = LanceDB(table, embed=embed)
    source.retrieve(Query("fish"), depth=1)
    with pytest.raises(DeadlineExceeded):
        source.retrieve(Query("fish"), depth=1, deadline=Deadline(0))
    hasty = Deadline(1e-6, clock=lambda: 0.0)

    def ask_often():  # a query may be faster than LanceDB's clock
        for _ in range(200):
            source.retrieve(Query("fish"), depth=1, deadline=hasty)

    with pytest.raises(DeadlineExceeded, match="timeout"):
        ask_often()


def test_threads_share_a_source(table):
    """Sixteen threads get the hits that a single thread gets."""
    source = LanceDB(table, embed=embed)
    queries = [Query(f"word{n} fish", Not(Range("n", lt=n))) for n in range(16)]
    expected = [source.retrieve(one, depth=10) for one in queries]
    answers = [None] * 16

    def ask(place):
        for _ in range(5):
            answers[place] = source.retrieve(queries[place], depth=10)

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == expected


def test_what_langchain_wrote_is_read(folder):
    """A table of LangChain's store opens as it is: ids, texts, metadata, filters."""
    langchain_lancedb = pytest.importorskip("langchain_lancedb")

    store = langchain_lancedb.LanceDB(
        embedding_function=langchain_words(), uri=str(folder), table_name="langchain"
    )
    tea, bread = store.add_texts(["green tea", "rye bread"], [{"topic": "tea"}, {"topic": "x"}])
    source = LanceDB(lancedb.connect(folder), "langchain", embed=embed)
    found = source.retrieve(Query("bread"), depth=5)
    assert found[0].document == Document(bread, "rye bread", {"topic": "x"})
    (hit,) = source.retrieve(Query("bread", Eq("topic", "tea")), depth=5)
    assert hit.doc_id == tea


@pytest.mark.filterwarnings("ignore:table_names:DeprecationWarning")
def test_what_llama_index_wrote_is_read(folder):
    """A table of LlamaIndex's store opens as it is: ids, texts, metadata, filters."""
    module = pytest.importorskip("llama_index.vector_stores.lancedb")
    from llama_index.core.schema import TextNode

    nodes = [
        TextNode(text=text, metadata={"topic": topic}, embedding=embed([text])[0].tolist())
        for text, topic in (("green tea", "tea"), ("rye bread", "bread"))
    ]
    module.LanceDBVectorStore(uri=str(folder), table_name="llama").add(nodes)
    source = LanceDB(lancedb.connect(folder), "llama", embed=embed)
    found = source.retrieve(Query("bread"), depth=5)
    assert found[0].document == Document(nodes[1].node_id, "rye bread", {"topic": "bread"})
    (hit,) = source.retrieve(Query("bread", Eq("topic", "tea")), depth=5)
    assert hit.doc_id == nodes[0].node_id
    without = Not(Eq("ref_doc_id", "None"))  # LlamaIndex's own field, which no metadata has
    assert len(source.retrieve(Query("bread", without), depth=5)) == 2


@pytest.mark.slow("10 s: what the source costs above the client, in processor time")
@pytest.mark.parametrize("condition", [None, And(Eq("topic", "tea"), Not(Range("n", lt=10)))])
def test_the_source_adds_little(folder, random_rows, condition):
    """A search for 100 documents costs at most 2 ms more than the client's own call."""
    held = [
        Document(f"d{n:04}", f"fish {n}", {"n": n, "topic": "tea"}) for n in range(len(random_rows))
    ]
    made = lancedb_table(folder, held, vectors=random_rows, words=False)
    source = LanceDB(made, embed=embed, space="cosine")
    asked = random_rows[0]

    def ours():
        return source.retrieve(Query("?", condition, tuple(asked)), depth=100)

    def theirs():
        search = made.search(asked).distance_type("cosine").limit(100)
        if condition is not None:
            search = search.where("metadata.topic = 'tea' AND NOT metadata.n < 10")
        return search.to_list()

    assert [hit.doc_id for hit in ours()] == [row["id"] for row in theirs()]
    added = overhead(ours, theirs)
    print(f"LanceDB: {added:.2f} ms")  # noqa: T201 - for the documentation
    assert added < 2
