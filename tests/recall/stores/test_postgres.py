"""Tables of PostgreSQL as a source: a real server with pgvector, started by pgserver."""

import asyncio
import threading

import numpy as np
import pytest
from engines import postgres_table
from overhead import overhead
from words import DIMENSIONS, embed, langchain_words, told

from runoff import TwoStage
from runoff.deadline import Deadline
from runoff.errors import (
    DeadlineExceeded,
    IndexNotFound,
    InvalidArgument,
)
from runoff.filters import And, Eq, Not, Range
from runoff.protocols import AsyncRecallSource, RecallSource
from runoff.recall import Dense, Postgres
from runoff.recall._stores.postgres_table import quoted
from runoff.types import Document, Query

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
psycopg_pool = pytest.importorskip("psycopg_pool")


@pytest.mark.parametrize(
    ("space", "expected", "score_range"),
    [
        ("cosine", {"2": 0.96, "0": 0.6, "3": -0.8}, (-1.0, 1.0)),
        ("ip", {"2": 24.0, "0": 3.0, "1": 0.0, "3": -4.0}, (None, None)),
        ("l2", {"2": 0.0, "0": -9.0, "1": -11.5, "3": -16.0}, (None, 1.0)),
    ],
)
def test_distances_become_similarities(postgres, pool, space, expected, score_range):
    """Higher is better in every space, and a vector of zeros has no cosine; worked out by hand."""
    rows = {"0": (1, 0), "1": (0, 0), "2": (4, 3), "3": (0, -1)}
    held = [Document(one, "?") for one in rows]
    name = postgres_table(postgres, held, vectors=list(rows.values()))
    source = Postgres(pool, name, embed=embed, space=space)
    found = source.retrieve(Query("?", embedding=(3.0, 4.0)), depth=10)
    assert [hit.doc_id for hit in found] == list(expected)
    assert dict(told(found)) == pytest.approx(expected, abs=1e-6)
    assert {hit.score_range for hit in found} == {score_range}
    zero = source.retrieve(Query("?", embedding=(0.0, 0.0)), depth=10)
    assert bool(zero) == (space != "cosine")


def test_equal_scores_are_ordered_by_id(postgres, pool):
    """Ties come in the order of ids by code point, at every depth."""
    ids = ["b", "a", "é", "Z", "a b", "z", "🍞", "10", "9"]
    name = postgres_table(postgres, [Document(one, "fish") for one in ids])
    for options in ({"embed": embed}, {"search": "text"}):
        source = Postgres(pool, name, **options)
        for depth in range(1, 11):
            found = source.retrieve(Query("fish"), depth=depth)
            assert [hit.doc_id for hit in found] == sorted(ids)[:depth]


@pytest.fixture(scope="module")
def random_rows():
    generator = np.random.default_rng(0)
    return generator.standard_normal((2000, 16)).astype(np.float32)


@pytest.mark.parametrize("space", ["cosine", "ip", "l2"])
def test_recall_is_complete(postgres, pool, random_rows, space):
    """An exact search returns what brute force returns, with the same scores, index or not."""
    held = [Document(f"d{n:04}", "text", {"n": n}) for n in range(len(random_rows))]
    index = f"USING hnsw (embedding vector_{space}_ops)"
    name = postgres_table(postgres, held, vectors=random_rows, index=index)
    source = Postgres(pool, name, embed=embed, exact=True)
    dense = Dense(held, embed, embeddings=random_rows, similarity=space)
    generator = np.random.default_rng(1)
    for asked in generator.standard_normal((5, 16)):
        for condition in (None, Eq("n", 3), Not(Range("n", gte=50))):
            query = Query("?", condition, tuple(asked))
            ours, theirs = (one.retrieve(query, depth=30) for one in (source, dense))
            assert [hit.document for hit in ours] == [hit.document for hit in theirs]
            scores = [hit.score for hit in theirs]
            assert [hit.score for hit in ours] == pytest.approx(scores, abs=1e-4)
    assert source._description.spaces == (space,)


@pytest.mark.parametrize(
    "index",
    [
        "hnsw (embedding vector_cosine_ops)",
        "ivfflat (embedding vector_cosine_ops) WITH (lists = 20)",
    ],
)
def test_an_approximate_index_returns_as_many_as_are_asked_for(postgres, pool, random_rows, index):
    """With an index, any depth and any filter return as many hits as there are."""
    held = [Document(f"d{n:04}", "text", {"n": n}) for n in range(len(random_rows))]
    name = postgres_table(postgres, held, vectors=random_rows, index=f"USING {index}")
    with psycopg.connect(postgres) as connection:
        connection.execute("ANALYZE")
    source = Postgres(pool, name, embed=embed)
    plain = Postgres(pool, name, embed=embed, exact=True)
    query = tuple(random_rows[7].astype(float))
    for depth in (1, 40, 100, 1500, 5000):
        asked = Query("?", embedding=query)
        assert len(source.retrieve(asked, depth=depth)) == min(depth, len(held))
    for low in (0, 1000, 1900, 1990, 2000):
        asked = Query("?", Range("n", gte=low), query)
        found = source.retrieve(asked, depth=100)
        assert len(found) == min(100, len(held) - low)
        if low >= 1900:  # the index alone finds too few
            assert found == plain.retrieve(asked, depth=100)


def test_an_approximate_index_is_used(postgres, pool, random_rows):
    """Without `exact`, the query has the form that the index answers."""
    held = [Document(f"d{n:04}", "text") for n in range(len(random_rows))]
    index = "USING hnsw (embedding vector_cosine_ops)"
    name = postgres_table(postgres, held, vectors=random_rows, index=index)
    source = Postgres(pool, name, embed=embed)
    sent = []
    rows = source._client.rows
    source._client.rows = lambda *given: (sent.append(given), rows(*given))[1]
    source.retrieve(Query("?", embedding=(1.0,) * 16), depth=50)
    said, values = sent[-1][1]
    with psycopg.connect(postgres) as connection:
        connection.execute("ANALYZE")
        plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {said}", values))
    assert "Index Scan using" in plan
    assert sent[-1][0][0][1] == (50,)


def test_words_are_found_in_their_language(postgres, pool):
    """Any word of the query finds, stems are those of the language, and stop words find nothing."""
    held = [
        Document("a", "The dogs are running", {"n": 1}),
        Document("b", "a dog and a cat: it's a cat's life", {"n": 2}),
        Document("c", "nothing of these"),
    ]
    name = postgres_table(postgres, held)
    english = Postgres(pool, name, search="text")
    assert english.retrieve(Query("running cats dog"), depth=5)[0].doc_id == "b"
    assert {one.doc_id for one in english.retrieve(Query("dog"), depth=5)} == {"a", "b"}
    assert [one.doc_id for one in english.retrieve(Query("dog", Eq("n", 1)), depth=5)] == ["a"]
    assert english.retrieve(Query("the and of"), depth=5) == []
    assert english.retrieve(Query("?", embedding=(1.0,)), depth=5) == []
    assert english.retrieve(Query("' & | ! <-> \\ :* \0 ("), depth=5) == []
    simple = Postgres(pool, name, search="text", language="simple")
    assert [one.doc_id for one in simple.retrieve(Query("dog"), depth=5)] == ["b"]
    with pytest.raises(psycopg.errors.UndefinedObject):
        Postgres(pool, name, search="text", language="klingon'").retrieve(Query("dog"), depth=5)


def test_a_column_of_words_is_used_in_its_own_language(execute, pool):
    """A `tsvector` column is searched, and another language than its own is refused."""
    execute(
        "CREATE TABLE words (id int, text text, tsv tsvector GENERATED ALWAYS AS "
        "(to_tsvector('german', text)) STORED)",
        "INSERT INTO words VALUES (1, 'Häuser'), (2, 'Hunde')",
    )
    german = Postgres(pool, "words", search="text", language="german")
    assert [one.doc_id for one in german.retrieve(Query("Haus"), depth=5)] == ["1"]
    with pytest.raises(InvalidArgument, match="'german'"):
        Postgres(pool, "words", search="text").retrieve(Query("Haus"), depth=5)
    execute("DROP TABLE words")


def test_rows_without_id_or_vector_are_not_found(execute, pool):
    """NULLs in the id or the vector hide a row; a NULL text is empty, and a repeated id once."""
    execute(
        "CREATE TABLE holes (node_id text, id serial, text text, embedding vector(2), "
        "metadata_ json)",
        "INSERT INTO holes (node_id, text, embedding, metadata_) VALUES (NULL, 'x', '[1,0]', NULL),"
        "('a', NULL, '[1,0]', '{\"n\": 1}'), ('b', 'x', NULL, NULL), ('a', 'x', '[0,1]', '[1]')",
    )
    source = Postgres(pool, "holes", embed=embed)
    for depth in (1, 2, 3):
        found = source.retrieve(Query("?", embedding=(1.0, 0.0)), depth=depth)
        assert [hit.document for hit in found] == [Document("a", "", {"n": 1})]
    assert sorted(one.doc_id for one in source.documents()) == ["a", "a", "b"]
    execute("DROP TABLE holes")


def test_all_documents_are_listed(pool, postgres, table, held):
    """`documents()` yields every document once, in batches, and may be left early."""
    source = Postgres(pool, table, embed=embed)
    assert sorted(source.documents(), key=lambda one: one.doc_id) == held
    many = [Document(f"d{n}", "x") for n in range(1203)]
    large = Postgres(pool, postgres_table(postgres, many), search="text")
    assert len({one.doc_id for one in large.documents()}) == 1203
    assert len(list(Postgres(pool, postgres_table(postgres, []), embed=embed).documents())) == 0
    for _ in range(10):  # more often than there are connections
        listing = source.documents()
        next(listing)
        listing.close()
    assert source.retrieve(Query("word3"), depth=1)[0].doc_id == "d003"


def test_names_of_columns(execute, pool):
    """Columns of other names are named, in another schema too; what is missing is listed."""
    execute(
        "CREATE SCHEMA other",
        "CREATE TABLE other.things (ref int, body text, one vector(2), two vector(2), year int, "
        "tag text, more jsonb)",
        "INSERT INTO other.things VALUES (1, 'x', '[1,0]', '[0,1]', 2020, 'a', '{\"deep\": 1}')",
    )
    names = {"schema": "other", "id": "ref", "text": "body", "vector": "two"}
    asked = Query("?", embedding=(0.0, 1.0))

    def document(**options):
        source = Postgres(pool, "things", embed=embed, **names | options)
        (hit,) = source.retrieve(asked, depth=2)
        assert hit.score == 1.0
        return hit.document

    everything = {"year": 2020, "tag": "a", "more": {"deep": 1}}
    assert document() == Document("1", "x", everything)
    assert document(metadata="more").metadata == {"deep": 1}
    assert document(metadata=["more", "year"]).metadata == {"deep": 1, "year": 2020}
    assert document(metadata=[]).metadata == {}
    for argument in ("id", "text", "vector", "metadata"):
        with pytest.raises(InvalidArgument, match="ref, body, one, two") as caught:
            document(**{argument: "absent"})
        assert caught.value.argument == argument
    for argument in ("id", "text", "vector"):
        with pytest.raises(InvalidArgument, match="must name a column") as caught:
            document(**{argument: None})
        assert caught.value.argument == argument
    with pytest.raises(InvalidArgument, match="of type vector"):
        document(vector="body")
    execute("DROP SCHEMA other CASCADE")


def test_an_index_says_the_space(execute, pool):
    """The space is that of the index; with indexes for two it has to be given."""
    execute(
        "CREATE TABLE spaced (id int, text text, embedding vector(2))",
        "CREATE INDEX ON spaced USING hnsw (embedding vector_ip_ops)",
        "INSERT INTO spaced VALUES (1, 'x', '[3,0]')",
    )
    asked = Query("?", embedding=(2.0, 0.0))
    assert told(Postgres(pool, "spaced", embed=embed).retrieve(asked, depth=1)) == [("1", 6.0)]
    execute("CREATE INDEX ON spaced USING hnsw (embedding vector_l2_ops)")
    with pytest.raises(InvalidArgument, match="ip and l2"):
        Postgres(pool, "spaced", embed=embed).retrieve(asked, depth=1)
    source = Postgres(pool, "spaced", embed=embed, space="l2")
    assert told(source.retrieve(asked, depth=1)) == [("1", 0.5)]
    execute("DROP TABLE spaced")


def test_what_langchain_wrote_is_read(postgres, pool):
    """A table of LangChain's PGVectorStore opens as it is: ids, texts, metadata, filters, words."""
    langchain_postgres = pytest.importorskip("langchain_postgres")
    from langchain_postgres import Column
    from langchain_postgres.v2.hybrid_search_config import HybridSearchConfig

    engine = langchain_postgres.PGEngine.from_connection_string(
        postgres.replace("postgresql://", "postgresql+psycopg://")
    )
    config = HybridSearchConfig()
    engine.init_vectorstore_table(
        "lc",
        DIMENSIONS,
        metadata_columns=[Column("topic", "TEXT")],
        hybrid_search_config=config,
    )
    store = langchain_postgres.PGVectorStore.create_sync(
        engine, langchain_words(), "lc", metadata_columns=["topic"], hybrid_search_config=config
    )
    given = [{"topic": "tea", "year": 2020}, {"topic": "bread"}]
    tea, bread = store.add_texts(["green tea", "rye bread"], given)
    dense, text = Postgres(pool, "lc", embed=embed), Postgres(pool, "lc", search="text")
    for source in (dense, text):
        found = source.retrieve(Query("bread"), depth=5)
        assert found[0].document == Document(bread, "rye bread", {"topic": "bread"})
        for wanted in (Eq("topic", "tea"), Eq("year", 2020), Range("year", gte=2020.0)):
            found = source.retrieve(Query("tea", wanted), depth=5)
            assert [one.document for one in found] == [Document(tea, "green tea", given[0])]
    assert text._description.searchable == '"content_tsv"'
    asyncio.run(engine.close())


def test_what_llama_index_wrote_is_read(postgres, pool):
    """A table of LlamaIndex's PGVectorStore opens as it is: ids, texts, metadata, filters."""
    module = pytest.importorskip("llama_index.vector_stores.postgres")
    from llama_index.core.schema import TextNode

    driver = postgres.replace("postgresql://", "postgresql+{}://").format
    store = module.PGVectorStore.from_params(
        connection_string=driver("psycopg"),
        async_connection_string=driver("psycopg"),
        table_name="li",
        embed_dim=DIMENSIONS,
        hybrid_search=True,
        use_jsonb=True,
    )
    nodes = [
        TextNode(text=text, metadata={"topic": topic}, embedding=embed([text])[0].tolist())
        for text, topic in (("green tea", "tea"), ("rye bread", "bread"))
    ]
    store.add(nodes)
    dense = Postgres(pool, "data_li", embed=embed)
    text = Postgres(pool, "data_li", search="text")
    for source in (dense, text):
        found = source.retrieve(Query("bread"), depth=5)
        assert found[0].document == Document(nodes[1].node_id, "rye bread", {"topic": "bread"})
        (hit,) = source.retrieve(Query("tea", Eq("topic", "tea")), depth=5)
        assert hit.doc_id == nodes[0].node_id
    without = Not(Eq("ref_doc_id", "None"))  # LlamaIndex's own field, which no metadata has
    assert len(dense.retrieve(Query("bread", without), depth=5)) == 2
    asyncio.run(store.close())


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda one: Postgres(7, "docs", embed=embed), "client"),
        (lambda one: Postgres("postgresql://me:secret@[::1/x", "docs", embed=embed), "client"),
        (lambda one: Postgres("not a string of libpq", "docs", embed=embed), "client"),
        (lambda one: Postgres(one, "", embed=embed), "table_name"),
        (lambda one: Postgres(one, "a\0b", embed=embed), "table_name"),
        (lambda one: Postgres(one, "docs", schema=7, embed=embed), "schema"),
        (lambda one: Postgres(one, "docs"), "embed"),
        (lambda one: Postgres(one, "docs", embed=embed, search="hybrid"), "search"),
        (lambda one: Postgres(one, "docs", embed=embed, search="text"), "embed"),
        (lambda one: Postgres(one, "docs", embed=embed, space="l1"), "space"),
        (lambda one: Postgres(one, "docs", search="text", language=""), "language"),
        (lambda one: Postgres(one, "docs", embed=embed).retrieve("fish", depth=1), "query"),
        (lambda one: Postgres(one, "docs", embed=embed).retrieve(Query("fish"), depth=0), "depth"),
    ],
)
def test_wrong_arguments_are_named(pool, make, argument):
    """Every wrong argument raises InvalidArgument that names it, and shows no password."""
    with pytest.raises(InvalidArgument) as caught:
        make(pool)
    assert caught.value.argument == argument
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_an_async_pool_is_awaited(postgres, table, held):
    """An AsyncConnectionPool gives the same hits, awaited, and is refused elsewhere by name."""
    plain = Postgres(postgres, table, embed=embed)
    async with psycopg_pool.AsyncConnectionPool(
        postgres, open=False, min_size=1, max_size=3
    ) as pool:
        dense = Postgres(pool, table, embed=embed)
        text = Postgres(pool, table, search="text")
        assert isinstance(dense, AsyncRecallSource)
        assert not isinstance(plain, AsyncRecallSource)
        assert isinstance(dense, RecallSource)
        queries = [Query(f"word{n}", Range("n", gte=n)) for n in range(20)]
        answers = await asyncio.gather(
            *(dense.aretrieve(one, depth=5, deadline=Deadline(20)) for one in queries)
        )
        assert answers == [plain.retrieve(one, depth=5) for one in queries]
        listed = [one async for one in dense.adocuments()]
        assert sorted(listed, key=lambda one: one.doc_id) == held
        answer = await TwoStage({"dense": dense, "text": text}, reranker=None).asearch("word3")
        assert answer[0].doc_id == "d003"
        with pytest.raises(InvalidArgument, match="adocuments"):
            dense.documents()
        with pytest.raises(InvalidArgument, match="asearch"):
            dense.retrieve(Query("fish"), depth=1)
        with pytest.raises(IndexNotFound, match="missing"):
            await Postgres(pool, "missing", embed=embed).aretrieve(Query("fish"), depth=1)
        async with pool.connection(), pool.connection(), pool.connection():
            with pytest.raises(DeadlineExceeded):
                await dense.aretrieve(Query("fish"), depth=1, deadline=Deadline(0.1))
        assert repr(dense) == f"Postgres({table!r}, search='dense')"
        dense.warmup()
    plain.close()


def test_a_source_of_its_own_connects_again(postgres, table):
    """`close()` gives the connections back; the next search connects again."""
    source = Postgres(postgres, table, embed=embed)
    source.warmup()
    source.close()
    source.close()
    assert source.retrieve(Query("word3"), depth=1)[0].doc_id == "d003"
    source.close()


def test_threads_share_a_source(pool, table):
    """Sixteen threads get the hits that a single thread gets, over four connections."""
    source = Postgres(pool, table, embed=embed)
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


@pytest.mark.slow("10 s: what the source costs above the client, in processor time")
@pytest.mark.parametrize("condition", [None, And(Eq("topic", "tea"), Not(Range("n", lt=10)))])
def test_the_source_adds_little(postgres, pool, random_rows, condition):
    """A search for 100 documents costs at most 2 ms more than the client's own call."""
    held = [
        Document(f"d{n:04}", f"fish {n}", {"n": n, "topic": "tea"}) for n in range(len(random_rows))
    ]
    name = postgres_table(postgres, held, vectors=random_rows)
    source = Postgres(pool, name, embed=embed)
    asked = random_rows[0]
    where = "metadata->>'topic' = 'tea' AND NOT (metadata->>'n')::int < 10"
    statement = (
        f"SELECT id, text, metadata, embedding <=> %s::vector FROM {quoted(name)} "
        f"WHERE {'TRUE' if condition is None else where} ORDER BY 4 LIMIT 100"
    )

    def ours():
        return source.retrieve(Query("?", condition, tuple(asked)), depth=100)

    def theirs():
        with pool.connection() as connection:
            return connection.execute(statement, (str(asked.tolist()),)).fetchall()

    assert [hit.doc_id for hit in ours()] == [row[0] for row in theirs()]
    added = overhead(ours, theirs)
    print(f"Postgres: {added:.2f} ms")  # noqa: T201 - for the documentation
    assert added < 2
