"""Faults of PostgreSQL: refused, late, exhausted, killed; sorted, and without passwords."""

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import pytest
from engines import postgres_server, postgres_table
from words import DIMENSIONS, embed

from runoff import TwoStage
from runoff.deadline import Deadline
from runoff.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    DeadlineExceeded,
    EmbeddingError,
    IndexNotFound,
    InvalidArgument,
    MissingExtra,
    PoolFull,
    ServerFailed,
    TransientError,
)
from runoff.recall import Function, Postgres
from runoff.recall._stores.postgres_errors import named
from runoff.types import Query

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
psycopg_pool = pytest.importorskip("psycopg_pool")


def test_permanent_faults_have_their_names(execute, postgres, pool, table):
    """A missing table or database, a wrong dimension and a refused login are permanent."""
    with pytest.raises(IndexNotFound, match="missing"):
        Postgres(pool, "missing", embed=embed).retrieve(Query("fish"), depth=1)
    source = Postgres(pool, table, embed=embed)
    with pytest.raises(EmbeddingError, match=f"{DIMENSIONS}"):
        source.retrieve(Query("?", embedding=(1.0, 2.0)), depth=1)
    execute("CREATE TABLE free (id int, text text, embedding vector)")
    execute("INSERT INTO free VALUES (1, 'x', '[1,0,0]')")
    free = Postgres(pool, "free", embed=embed)
    with pytest.raises(EmbeddingError, match="different vector dimensions 3 and 2"):
        free.retrieve(Query("?", embedding=(1.0, 2.0)), depth=1)
    execute("DROP TABLE free")
    with pytest.raises(IndexNotFound, match="free"):
        free.retrieve(Query("?", embedding=(1.0, 2.0)), depth=1)
    absent = Postgres(
        psycopg.conninfo.make_conninfo(postgres, dbname="absent"), "docs", embed=embed
    )
    with pytest.raises(IndexNotFound, match="absent"):
        absent.retrieve(Query("fish"), depth=1)
    execute("DROP ROLE IF EXISTS stranger", "CREATE ROLE stranger LOGIN")
    stranger = psycopg.conninfo.make_conninfo(postgres, user="stranger")
    refused = Postgres(stranger, table, embed=embed)
    with pytest.raises(AuthenticationFailed, match="permission denied"):
        refused.retrieve(Query("fish"), depth=1)
    refused.close()
    nobody = psycopg.conninfo.make_conninfo(postgres, user="nobody")
    with pytest.raises(AuthenticationFailed, match="nobody"):
        Postgres(nobody, table, embed=embed).retrieve(Query("fish"), depth=1)


def test_a_password_is_never_shown(postgres, table, caplog):
    """A password is in no `repr`, error, log or pickle, even where the server refuses it."""
    conninfo = psycopg.conninfo.make_conninfo(postgres, user="nobody", password="s3cret-word")
    source = Postgres(conninfo, table, embed=embed)
    with caplog.at_level(logging.DEBUG), pytest.raises(AuthenticationFailed) as caught:
        source.retrieve(Query("fish"), depth=1)
    error = caught.value
    shown = [repr(source), str(error), repr(error), str(error.__cause__), caplog.text]
    assert not any("s3cret" in one for one in shown)
    assert repr(source) == f"Postgres({table!r}, search='dense')"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(source)


def test_a_deadline_ends_a_slow_query(execute, postgres, pool):
    """The server itself ends a query whose time is up, and the connection serves the next."""
    execute(
        "CREATE TABLE slow (id int, text text, embedding vector(2), n int)",
        "INSERT INTO slow VALUES (1, 'x', '[1,0]', 1)",
        "CREATE VIEW slow_view AS SELECT id, text, embedding, "
        "(SELECT n FROM pg_sleep(20)) AS n FROM slow",
    )
    source = Postgres(pool, "slow_view", embed=embed)
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="statement timeout"):
        source.retrieve(Query("?", embedding=(1.0, 0.0)), depth=1, deadline=Deadline(0.3))
    assert time.monotonic() - started < 10
    with psycopg.connect(postgres) as connection:
        running = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%slow_view%' "
            "AND state = 'active' AND pid <> pg_backend_pid()"
        )
        assert running.fetchone() == (0,)
    execute("DROP VIEW slow_view", "DROP TABLE slow")


def test_a_connection_serves_after_its_first_query_was_cancelled(postgres, held):
    """Settings of pgvector are empty texts after a query that ended before it was loaded."""
    name = postgres_table(postgres, held, index="USING hnsw (embedding vector_cosine_ops)")
    locked = psycopg.sql.SQL("LOCK TABLE {}").format(psycopg.sql.Identifier(name))
    with psycopg_pool.ConnectionPool(postgres, min_size=1, max_size=1) as fresh:
        source = Postgres(fresh, name, embed=embed)
        with psycopg.connect(postgres) as other:
            other.execute(locked)
            with pytest.raises(DeadlineExceeded, match="statement timeout"):
                source.retrieve(Query("fish"), depth=1, deadline=Deadline(0.3))
        assert len(source.retrieve(Query("fish"), depth=60)) == 60


def test_a_column_that_was_dropped_is_named_once(execute, postgres, pool, held):
    """The search that finds out raises, and the next one has read the table again."""
    name = postgres_table(postgres, held)
    quoted = psycopg.sql.Identifier(name).as_string()
    execute(f"ALTER TABLE {quoted} ADD COLUMN extra int")
    source = Postgres(pool, name, embed=embed)
    assert len(source.retrieve(Query("fish"), depth=1)) == 1
    execute(f"ALTER TABLE {quoted} DROP COLUMN extra")
    with pytest.raises(IndexNotFound, match="extra"):
        source.retrieve(Query("fish"), depth=1)
    assert len(source.retrieve(Query("fish"), depth=1)) == 1


def test_an_exhausted_pool_keeps_the_deadline(postgres, table):
    """While all connections are busy, the deadline ends the wait for one."""
    with psycopg_pool.ConnectionPool(postgres, min_size=1, max_size=1) as small:
        source = Postgres(small, table, embed=embed)
        with (
            small.connection(),
            pytest.raises(DeadlineExceeded, match="couldn't get a connection"),
        ):
            source.retrieve(Query("fish"), depth=1, deadline=Deadline(0.2))
        assert len(source.retrieve(Query("fish"), depth=1)) == 1
    with pytest.raises(InvalidArgument, match="must be open"):
        source.retrieve(Query("fish"), depth=1)


def test_a_pool_with_a_queue_too_long_is_full(postgres, table):
    """A pool that lets nobody else wait raises PoolFull at once."""
    with psycopg_pool.ConnectionPool(postgres, min_size=1, max_size=1, max_waiting=1) as small:
        source = Postgres(small, table, embed=embed)
        found = []
        waiting = threading.Thread(
            target=lambda: found.extend(source.retrieve(Query("fish"), depth=1))
        )
        with small.connection():
            waiting.start()
            while not small.get_stats().get("requests_waiting"):
                time.sleep(0.001)
            with pytest.raises(PoolFull):
                source.retrieve(Query("fish"), depth=1)
        waiting.join()
        assert len(found) == 1


def test_errors_are_sorted_by_their_state():
    """States of SQL become transient or permanent; what is unknown stays as it is."""

    def error(state):
        return psycopg.errors.lookup(state)("words")

    sorted_by_kind = {
        DeadlineExceeded: ("57014",),
        ConnectionFailed: ("57P01", "57P03", "08006"),
        ServerFailed: ("53300", "40001", "55P03"),
        AuthenticationFailed: ("28P01", "42501"),
        IndexNotFound: ("42P01", "3D000"),
    }
    for kind, state in ((kind, one) for kind, many in sorted_by_kind.items() for one in many):
        assert type(named(error(state), "doing")) is kind
    for one in (error("42601"), error("22P02"), ValueError("odd")):
        assert named(one, "doing") is one
    assert type(named(psycopg.OperationalError("lost"), "doing")) is ConnectionFailed


@pytest.mark.parametrize("own", [True, False])
def test_a_server_killed_in_mid_query_is_transient(own):
    """A server that dies while it answers raises ConnectionFailed, and a pipeline degrades."""
    with postgres_server() as server, contextlib.ExitStack() as stack:
        uri = server.get_uri()
        with psycopg.connect(uri) as connection:
            connection.execute("CREATE TABLE docs (id int, text text, embedding vector(2), n int)")
            connection.execute("INSERT INTO docs VALUES (1, 'x', '[1,0]', 1)")
            connection.execute(
                "CREATE VIEW slow AS SELECT id, text, embedding, "
                "(SELECT n FROM pg_sleep(60)) AS n FROM docs"
            )
        client = uri
        if not own:
            client = psycopg_pool.ConnectionPool(uri, min_size=1, open=True)
            stack.callback(client.close)
        source = Postgres(client, "slow", embed=embed)
        stack.callback(source.close)
        raised = []

        def ask():
            try:
                source.retrieve(Query("?", embedding=(1.0, 0.0)), depth=1)
            except TransientError as error:
                raised.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        with psycopg.connect(uri, autocommit=True) as connection:
            running = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            while connection.execute(running).fetchone() == (0,):
                time.sleep(0.01)
        os.kill(server.get_pid(), signal.SIGQUIT)
        asking.join()
        assert [type(error) for error in raised] == [ConnectionFailed]
        found = TwoStage(
            {"gone": source, "here": Function(lambda query, depth: [("b", "bird", 1.0)])},
            reranker=None,
        ).search(Query("fish", embedding=(1.0, 0.0)), timeout=2)
        assert [one.doc_id for one in found] == ["b"]
        assert [one.source for one in found.outcome.degraded] == ["gone"]


def test_an_unreachable_server_is_transient(tmp_path):
    """Where no server answers, the first search says so at once."""
    source = Postgres(f"host={tmp_path} dbname=x user=y", "docs", embed=embed)
    with pytest.raises(ConnectionFailed, match="No such file"):
        source.retrieve(Query("fish"), depth=1)


def test_without_psycopg_the_extra_is_named(monkeypatch):
    """Without psycopg_pool, the error names the pip command."""
    monkeypatch.setitem(__import__("sys").modules, "psycopg_pool", None)
    with pytest.raises(MissingExtra, match=r"runoff\[postgres\]"):
        Postgres("dbname=x", "docs", embed=embed)


def test_without_libpq_the_remedy_is_named():
    """Where psycopg is installed and cannot be imported, the extra would not help."""
    program = "from runoff.recall import Postgres; Postgres('host=x', 'docs', search='text')"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        env=os.environ | {"PSYCOPG_IMPL": "odd"},
        capture_output=True,
        text=True,
    )
    assert "PermanentError: psycopg cannot be imported" in ended.stderr
    assert 'pip install "psycopg[binary]"' in ended.stderr
