"""The table of foreign errors that cannot pass: real errors of each row, and the page with it."""

import errno
import os
import re
import sqlite3
import ssl
from pathlib import Path

import httpx
import numpy as np
import pytest

from runoff._util.faults import degrades, is_permanent, reason_of
from runoff._util.faults.permanent import BY_CLASS, BY_MESSAGE, rule_of

DOCS = Path(__file__).parents[1] / "docs" / "faults.md"


def raised(call, *args, **kwargs):
    """Return the error that a call raises."""
    try:
        call(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - whatever it is is the example
        return error
    pytest.fail("it raised nothing")


def made(name, module, base=Exception, **values):
    """Return an error of a package that need not be installed."""
    return type(name, (base,), {"__module__": module, **values})("the database said so")


def sql(statement):
    with sqlite3.connect(":memory:") as connection:
        error = raised(connection.execute, statement)
    connection.close()
    return error


def wrapped(cause, error=None):
    error = httpx.ConnectError("cannot connect") if error is None else error
    error.__cause__ = cause
    return error


class Status(Exception):
    status_code = 400


class Code:
    def __init__(self, name):
        self.name = name


def grpc(name):
    return made("AioRpcError", "grpc.aio", code=lambda _: Code(name))


MATRIX = np.zeros((2, 3))
CERTIFICATE = ssl.SSLCertVerificationError(1, "self-signed certificate")

# by the start of the row's text
PERMANENT = {
    "`ssl.SSLCert": [CERTIFICATE, wrapped(CERTIFICATE), wrapped(wrapped(CERTIFICATE))],
    "`ImportError": [raised(__import__, "no_such_package"), ImportError("no socksio")],
    "`FileNotFound": [raised(open, "/nonexistent"), raised(open, "/"), PermissionError(13, "no")],
    "`AssertionError`": [raised(lambda: None.a), raised(len, 1), NotImplementedError()],
    "SQL:": [
        sql("select * from missing"),
        sql("selec"),
        made("UndefinedTable", "psycopg.errors", sqlstate="42P01"),
        made("DataException", "psycopg.errors", sqlstate="22000"),
        made("DatabaseError", "psycopg2", pgcode="3D000"),
        made("ProgrammingError", "sqlalchemy.exc"),
    ],
    "SQLAlchemy": [
        made("MissingGreenlet", "sqlalchemy.exc"),
        made("ArgumentError", "sqlalchemy.exc"),
    ],
    "Chroma": [made("InvalidDimensionException", "chromadb.errors")],
    "gRPC": [grpc("INVALID_ARGUMENT"), grpc("UNIMPLEMENTED")],
    "HTTP clients": [
        raised(httpx.URL, "http://[::1"),
        httpx.UnsupportedProtocol("no http://"),
        httpx.LocalProtocolError("illegal header value"),
    ],
    "`UnicodeError`": [raised(lambda: "a..b".encode("idna"))],
    "a message about a wrong": [
        raised(np.dot, MATRIX, np.zeros(4)),
        raised(np.matmul, MATRIX, np.zeros(4)),
        ValueError("Number of columns in X and Y must be the same. X has shape (1, 3)"),
        Status("Wrong input: Vector dimension error: expected dim: 4, got 3"),
        RuntimeError("vector dimension mismatch, expected vector size(byte) 512, actual 256"),
        RuntimeError("the query vector has a different dimension [3] than the index vectors [4]"),
        RuntimeError("query dim(3) doesn't match the column vector dim(4)"),
        RuntimeError("vector lengths don't match: 4 vs 3"),
    ],
    "a message that a collection": [
        ValueError("Collection nope not found"),
        RuntimeError('relation "texts" does not exist'),
        RuntimeError("index_not_found_exception: no such index [texts]"),
    ],
    "a message about a missing async": [
        RuntimeError("_async_engine is missing"),
        RuntimeError("The loaded 'psycopg2' is not async."),
    ],
}
LOCKED = made("OperationalError", "sqlite3", sqlite_errorcode=sqlite3.SQLITE_BUSY)
PASSING = [
    (wrapped(ssl.SSLError(1, "decryption failed")), "connection"),
    (httpx.ProxyError("502"), "connection"),
    (made("OperationalError", "psycopg", sqlstate="08006"), "connection"),
    (made("QueryCanceled", "psycopg.errors", sqlstate="57014"), "server_error"),
    (grpc("UNAVAILABLE"), "connection"),
    (grpc("DEADLINE_EXCEEDED"), "timeout"),
    (OSError(errno.EMFILE, "Too many open files"), "pool_full"),
    (RuntimeError("can't start new thread"), "pool_full"),
    (Status("texts are too long"), "request_rejected"),
    (LOCKED, ""),
    (ValueError("broken"), ""),
    (RuntimeError("unexpected error, dimension 4: overloaded"), ""),
    (RuntimeError("the async client is closed"), ""),
    (ImportError(os.strerror(errno.EMFILE)), ""),
    (KeyError("hits"), ""),
    (OSError("down"), ""),
    (TimeoutError("dimension mismatch"), "timeout"),
]


@pytest.mark.parametrize("rule", [*BY_CLASS, *BY_MESSAGE], ids=lambda rule: rule.kind[:16])
def test_each_row_of_the_table_has_errors_that_it_alone_makes_permanent(rule):
    """Real errors of the kind are permanent, and the row they fit is this one."""
    (examples,) = [found for start, found in PERMANENT.items() if rule.kind.startswith(start)]
    for error in examples:
        assert is_permanent(error), error
        assert reason_of(error) == ""
        assert degrades(error, "degrade") == "permanent"
        assert is_permanent(wrapped(error, ValueError("an SDK's own error")))
        fits = rule_of(error, BY_CLASS) or rule_of(error, BY_MESSAGE)
        assert fits is rule


@pytest.mark.parametrize(("error", "reason"), PASSING, ids=repr)
def test_what_may_pass_or_is_unknown_is_not_permanent(error, reason):
    """A lock, a lost connection, exhaustion, and errors that nothing is known about."""
    assert not is_permanent(error)
    assert reason_of(error) == reason


def test_real_packages_raise_what_the_table_lists(tmp_path):
    """SQLAlchemy without a table or an async driver, and Chroma with another dimension."""
    alchemy = pytest.importorskip("sqlalchemy")
    engine = alchemy.create_engine("sqlite://")
    with engine.connect() as connection:
        assert is_permanent(raised(connection.execute, alchemy.text("select * from missing")))
    engine.dispose()
    from sqlalchemy.ext.asyncio import create_async_engine

    assert is_permanent(raised(create_async_engine, "sqlite://"))
    chromadb = pytest.importorskip("chromadb")
    client = chromadb.PersistentClient(str(tmp_path))
    held = client.create_collection("texts", embedding_function=None)
    held.add(ids=["a"], embeddings=[[1.0, 2.0]])
    assert is_permanent(raised(held.query, query_embeddings=[[1.0, 2.0, 3.0]]))
    assert is_permanent(raised(client.get_collection, "missing"))


def test_the_documentation_has_the_table():
    """`docs/faults.md` lists each kind with its reason, in order, and no other."""
    text = DOCS.read_text()
    table = text.partition("<!-- permanent -->")[2].partition("<!-- end -->")[0]
    rows = re.findall(r"^\| (.*?) \| (.*?) \|$", table, re.MULTILINE)[1:]
    assert rows == [(rule.kind, rule.why) for rule in (*BY_CLASS, *BY_MESSAGE)]
    assert len(text.splitlines()) <= 200
