"""BM25 of PostgreSQL's extensions: a real server, where SQL functions stand in for each extension.

The stand-ins have the operators that its documentation describes, under its name, and rank by how
often the query's words occur. The environment variable `RUNOFF_PG_TEXTSEARCH` is the connection
string of a server with the real pg_textsearch, such as `support/pglite.mjs`, which is asked too.
"""

import os

import pytest

from runoff.errors import BadReply, InvalidArgument
from runoff.filters import Eq, Not, Or
from runoff.recall import Postgres
from runoff.testing.contracts import RecallSourceContract
from runoff.types import Document, Query

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
psycopg_pool = pytest.importorskip("psycopg_pool")

# a block range index serves as the one that an extension would have
EXTENSION = """
CREATE ACCESS METHOD bm25 TYPE INDEX HANDLER brinhandler;
CREATE OPERATOR CLASS text_ops DEFAULT FOR TYPE text USING bm25 AS
  OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
  FUNCTION 1 brin_minmax_opcinfo(internal),
  FUNCTION 2 brin_minmax_add_value(internal, internal, internal, internal),
  FUNCTION 3 brin_minmax_consistent(internal, internal, internal),
  FUNCTION 4 brin_minmax_union(internal, internal, internal);
SET allow_system_table_mods = on;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
  SELECT 999999, '{name}', 10, oid, false, '{version}' FROM pg_namespace WHERE nspname = 'public';
INSERT INTO pg_depend SELECT 'pg_am'::regclass, oid, 0, 'pg_extension'::regclass, 999999, 0, 'e'
  FROM pg_am WHERE amname = 'bm25';
CREATE FUNCTION asked(text) RETURNS tsquery LANGUAGE sql AS
  $$SELECT replace(plainto_tsquery('english', $1)::text, '&', '|')::tsquery$$;
CREATE FUNCTION ranked(text, text) RETURNS real LANGUAGE sql AS
  $$SELECT CASE WHEN to_tsvector('english', $1) @@ asked($2)
    THEN ts_rank(to_tsvector('english', $1), asked($2)) ELSE 0 END$$;
"""
# it leaves out scores beside a condition on a field named `lost`, as older versions do
PG_SEARCH = """
CREATE SCHEMA pdb;
CREATE FUNCTION found(text, text) RETURNS boolean LANGUAGE sql AS
  $$SELECT set_config('stub.words', $2, false) IS NOT NULL
    AND to_tsvector('english', $1) @@ asked($2)$$;
CREATE OPERATOR ||| (LEFTARG = text, RIGHTARG = text, FUNCTION = found);
CREATE FUNCTION pdb.score(anyelement) RETURNS real LANGUAGE sql AS
  $$SELECT CASE WHEN $1::text LIKE 'broken%' THEN NULL
    ELSE ranked(text, current_setting('stub.words')) END
    FROM docs WHERE id = $1::text AND NOT lost(current_query())$$;
CREATE FUNCTION lost(text) RETURNS boolean LANGUAGE sql AS $$SELECT $1 LIKE '%metadata%@>%'$$;
"""
PG_TEXTSEARCH = """
CREATE TYPE bm25query AS (words text, index text);
CREATE FUNCTION to_bm25query(text, text) RETURNS bm25query LANGUAGE sql AS
  $$SELECT ROW($1, $2)::bm25query$$;
CREATE FUNCTION negated(text, bm25query) RETURNS double precision LANGUAGE sql AS
  $$SELECT -ranked($1, ($2).words) FROM pg_class WHERE relname = ($2).index$$;
CREATE OPERATOR <@> (LEFTARG = text, RIGHTARG = bm25query, FUNCTION = negated);
"""
KINDS = {"pg_search": ("0.20.3", PG_SEARCH), "pg_textsearch": ("1.1.0", PG_TEXTSEARCH)}
REAL = os.environ.get("RUNOFF_PG_TEXTSEARCH")
HELD = [
    Document(f"d{n:02}", " ".join(["fish"] * (n % 5) + ["bread"] * (n % 3) + ["salt"]), {"n": n})
    for n in range(30)
]


def fill(pool, documents):
    with pool.connection() as connection:
        connection.execute("DROP TABLE IF EXISTS docs")
        connection.execute("CREATE TABLE docs (id text PRIMARY KEY, text text, metadata jsonb)")
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO docs VALUES (%s, %s, %s)",
                [
                    (one.doc_id, one.text, psycopg.types.json.Jsonb(dict(one.metadata)))
                    for one in documents
                ],
            )
        how = "(text) WITH (text_config = 'english')" if pool.kind == "real" else "(id, text)"
        connection.execute(f"CREATE INDEX docs_bm25 ON docs USING bm25 {how}")


@pytest.fixture(scope="module", params=[*KINDS, *(["real"] if REAL else [])])
def pool(request, postgres):
    if request.param == "real":
        # PGlite has one session for all connections, so that names of statements meet
        options = {"prepare_threshold": None}
        with psycopg_pool.ConnectionPool(REAL, max_size=1, min_size=1, kwargs=options) as found:
            found.kind = "real"
            yield found
        return
    version, made = KINDS[request.param]
    name = f"bm25_{request.param}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    where = psycopg.conninfo.make_conninfo(postgres, dbname=name)
    with psycopg.connect(where) as connection:
        connection.execute(EXTENSION.format(name=request.param, version=version))
        connection.execute(made)
    with psycopg_pool.ConnectionPool(where, min_size=1, open=True) as found:
        found.kind = request.param
        yield found


@pytest.fixture
def source(pool):
    fill(pool, HELD)
    return Postgres(pool, "docs", search="text")


class TestContract(RecallSourceContract):
    """A table ranked by BM25 keeps the contract of a source."""

    @pytest.fixture(autouse=True)
    def _pool(self, pool):
        self.pool = pool

    def make(self, documents):
        fill(self.pool, documents)
        return Postgres(self.pool, "docs", search="text", ranking="bm25")


def test_the_index_is_found_and_used(source, pool):
    """With an index for BM25 on the texts, the extension ranks them: no row without a word."""
    found = source.retrieve(Query("fishes"), depth=30)
    known = source._description.bm25
    assert known.extension == ("pg_textsearch" if pool.kind == "real" else pool.kind)
    assert known.key == ("text" if pool.kind == "real" else "id")
    assert len(found) == 24
    assert all("fish" in hit.document.text for hit in found)
    assert found[0].document.text.count("fish") == 4
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    assert {hit.score_range for hit in found} == {(0.0, None)}


@pytest.mark.parametrize(
    "condition", [Eq("n", 4), Not(Eq("n", 4)), Or(Eq("n", 7), Eq("n", 8)), Eq("n", 99)]
)
@pytest.mark.parametrize("depth", [1, 3, 30])
def test_filters_are_exact(source, condition, depth):
    """Also where the extension returns too few rows or leaves out scores beside a condition."""
    every = source.retrieve(Query("bread"), depth=30)
    wanted = [hit for hit in every if condition.matches(hit.document.metadata)]
    found = source.retrieve(Query("bread", filters=condition), depth=depth)
    assert len(found) == min(depth, len(wanted))
    assert [hit.score for hit in found] == [hit.score for hit in wanted[:depth]]
    assert all(condition.matches(hit.document.metadata) for hit in found)


def test_hostile_queries_are_parameters(source):
    """What a query says is never SQL, and NUL does not break it."""
    for text in ("fish'); DROP TABLE docs; --", 'fish % %s \\ "', "fish\0", "\ud800 fish"):
        assert source.retrieve(Query(text), depth=3)


def test_a_missing_score_is_a_bad_reply(pool):
    """Where pg_search has no score for a row that it found, that is said."""
    if pool.kind != "pg_search":
        pytest.skip("pg_textsearch computes every score")
    fill(pool, [Document("broken", "fish")])
    with pytest.raises(BadReply, match="broken"):
        Postgres(pool, "docs", search="text").retrieve(Query("fish"), depth=1)


def test_the_ranking_can_be_chosen(source, pool, execute, table, postgres):
    """`ts_rank_cd` where it is wanted; "bm25" is refused by name where there is no index."""
    plain = Postgres(pool, "docs", search="text", ranking="ts_rank_cd")
    assert plain.retrieve(Query("fish"), depth=30)
    assert plain._description.bm25 is None
    without = Postgres(postgres, table, search="text", ranking="bm25")
    with pytest.raises(InvalidArgument, match=r"'text', of pg_search 0\.20 or pg_textsearch 1\.0"):
        without.retrieve(Query("fish"), depth=1)
    without.close()
    if pool.kind == "real":
        return
    with pool.connection() as connection:
        connection.execute("SET allow_system_table_mods = on")
        connection.execute("UPDATE pg_extension SET extversion = '0.9.9' WHERE oid = 999999")
    try:
        old = Postgres(pool, "docs", search="text")
        assert old.retrieve(Query("fish"), depth=1)
        assert old._description.bm25 is None
    finally:
        with pool.connection() as connection:
            connection.execute(
                "UPDATE pg_extension SET extversion = %s WHERE oid = 999999", (KINDS[pool.kind][0],)
            )


def test_wrong_rankings_are_named(pool):
    """A ranking that is unknown, or without `search="text"`, raises InvalidArgument."""
    for options in ({"search": "text", "ranking": "bm26"}, {"embed": len, "ranking": "bm25"}):
        with pytest.raises(InvalidArgument) as caught:
            Postgres(pool, "docs", **options)
        assert caught.value.argument == "ranking"
