"""Foreign errors that trying again cannot help, as a table: `docs/faults.md` shows it."""

from __future__ import annotations

import errno
import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_DATABASES = {
    *("asyncpg", "duckdb", "MySQLdb", "mysql", "oracledb", "psycopg", "psycopg2", "pymysql"),
    *("pyodbc", "sqlalchemy", "sqlite3"),
}
_SQL_CLASSES = {"ProgrammingError", "NotSupportedError", "DataError"}
# classes of SQLSTATE: not supported, data, authorization, catalog, schema, syntax or access rule
_SQLSTATES = {"0A", "22", "28", "3D", "3F", "42"}
# SQLite's ERROR, PERM, READONLY, CORRUPT, CANTOPEN, MISMATCH, MISUSE, RANGE, NOTADB
_SQLITE_CODES = {1, 3, 8, 11, 14, 20, 21, 25, 26}
_ENGINE_CLASSES = {
    *("ArgumentError", "AsyncContextNotStarted", "CompileError", "MissingGreenlet"),
    *("NoSuchModuleError", "NoSuchTableError", "UnboundExecutionError"),
}
_HTTP = {"aiohttp", "httpcore", "httpx", "requests"}
_URL_CLASSES = {
    *("InvalidProxyURL", "InvalidSchema", "InvalidURL", "LocalProtocolError", "MissingSchema"),
    "UnsupportedProtocol",
}
_CHROMA_CLASSES = {
    *("InvalidArgumentError", "InvalidCollectionException", "InvalidDimensionException"),
    "NotFoundError",
}
_GRPC_CODES = {
    *("INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED"),
}
_BUGS = (AssertionError, AttributeError, NameError, NotImplementedError, TypeError)
_PATHS = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
_SAID = 2000  # characters of a message that are searched

_SIZE = r"(?:dimension\w*|\bdim\b|number of columns|vector (?:size|length)s?|shapes?)"
_WRONG = r"(?:differ|mismatch|(?:not|n't) match|\bexpect|not aligned|must be the same|\bwrong)"
_DIMENSION = f"(?s:{_SIZE}.{{0,80}}{_WRONG}|{_WRONG}.{{0,80}}{_SIZE})"
_NO_ASYNC = r"async[ _-]?(?:engine|mode)\b|requires an async driver|\bnot async\b"
_MISSING = (
    r"(?:collection|table|index|namespace|column|relation)\b.{0,100}"
    r"(?:not found|not exist|n't exist|no such)|no such (?:collection|table|index|column)"
)
_EXHAUSTED = re.escape(os.strerror(errno.EMFILE))
_HOST = r"\bidna\b|label (?:empty|too long|or too long)"


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of permanent error.

    Attributes:
        kind: what it is, as the documentation says it.
        why: why trying again cannot help.
        fits: whether an error is of this kind.
    """

    kind: str
    why: str
    fits: Callable[[Exception], bool]


def _named(modules: set[str], names: set[str]) -> Callable[[Exception], bool]:
    """Return a test for classes by the package they come from and their name."""

    def fits(error: Exception) -> bool:
        return any(
            kind.__name__ in names and kind.__module__.partition(".")[0] in modules
            for kind in type(error).__mro__
        )

    return fits


def _sql(error: Exception) -> bool:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if isinstance(state, str):
        return state[:2] in _SQLSTATES
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(code, int):
        return code & 0xFF in _SQLITE_CODES
    return _named(_DATABASES, _SQL_CLASSES)(error)


def _untrusted(error: BaseException | None) -> bool:
    """Return whether a certificate was refused: clients wrap that as a lost connection."""
    ssl = sys.modules.get("ssl")  # who raises its error has imported it, and not everyone needs it
    for _ in range(10):
        if ssl is None or error is None or isinstance(error, ssl.SSLCertVerificationError):
            return error is not None and ssl is not None
        error = error.__cause__ or error.__context__
    return False


def _grpc(error: Exception) -> bool:
    code = getattr(error, "code", None)
    if type(error).__module__.partition(".")[0] != "grpc" or not callable(code):
        return False
    return getattr(code(), "name", "") in _GRPC_CODES


def _says(pattern: str) -> Callable[[Exception], bool]:
    # compiled when first used, so that `import runoff` is quick
    return lambda error: bool(re.search(pattern, str(error)[:_SAID], re.IGNORECASE))


BY_CLASS = (
    Rule(
        "`ssl.SSLCertVerificationError`, also as a cause",
        "the certificate stays untrusted until its authority is named",
        _untrusted,
    ),
    Rule(
        "`ImportError`",
        "a package is missing, such as `socksio` for a SOCKS proxy, until it is installed",
        lambda error: isinstance(error, ImportError) and not _says(_EXHAUSTED)(error),
    ),
    Rule(
        "`FileNotFoundError`, `IsADirectoryError`, `NotADirectoryError`, `PermissionError`",
        "a path is wrong or may not be read, such as that of `SSL_CERT_FILE`",
        lambda error: isinstance(error, _PATHS),
    ),
    Rule(
        "`AssertionError`, `AttributeError`, `NameError`, `NotImplementedError`, `TypeError`",
        "the code or its configuration is wrong: the same call fails the same way",
        lambda error: isinstance(error, _BUGS),
    ),
    Rule(
        "SQL: `ProgrammingError`, `NotSupportedError`, `DataError`; SQLSTATE 0A, 22, 28, 3D, 3F, "
        "42; SQLite's ERROR, PERM, READONLY, CORRUPT, CANTOPEN, MISMATCH, MISUSE, RANGE, NOTADB",
        "the statement, a table, a right or the file is wrong; a lock or a lost connection is not "
        "among these",
        _sql,
    ),
    Rule(
        "SQLAlchemy: `ArgumentError`, `AsyncContextNotStarted`, `CompileError`, `MissingGreenlet`, "
        "`NoSuchModuleError`, `NoSuchTableError`, `UnboundExecutionError`",
        "the engine is configured wrongly, such as without an async driver",
        _named({"sqlalchemy"}, _ENGINE_CLASSES),
    ),
    Rule(
        "Chroma: `InvalidArgumentError`, `InvalidCollectionException`, "
        "`InvalidDimensionException`, `NotFoundError`",
        "the collection is missing, or the embedding or an argument does not fit it",
        _named({"chromadb"}, _CHROMA_CLASSES),
    ),
    Rule(
        "gRPC: INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, UNAUTHENTICATED, UNIMPLEMENTED",
        "the server refuses this call whenever it comes",
        _grpc,
    ),
    Rule(
        "HTTP clients: `InvalidURL`, `UnsupportedProtocol`, `LocalProtocolError`, `MissingSchema`, "
        "`InvalidSchema`, `InvalidProxyURL`",
        "a URL, a proxy or a header cannot be used",
        _named(_HTTP, _URL_CLASSES),
    ),
    Rule(
        "`UnicodeError` about a host name",
        "no server has this name: a part is empty, too long or not IDNA",
        lambda error: isinstance(error, UnicodeError) and _says(_HOST)(error),
    ),
)
# for errors that no client calls a timeout or a lost connection
BY_MESSAGE = (
    Rule(
        "a message about a wrong dimension, with HTTP 400, 413 and 422, too",
        "another model made the index's embeddings",
        _says(_DIMENSION),
    ),
    Rule(
        "a message that a collection, table, index, namespace or column does not exist",
        "its name is wrong, or nothing was indexed",
        _says(_MISSING),
    ),
    Rule(
        "a message about a missing async engine, driver or mode",
        "the store was made for synchronous use",
        _says(_NO_ASYNC),
    ),
)


def rule_of(error: Exception, rules: tuple[Rule, ...]) -> Rule | None:
    """Return the first rule that an error fits, or None."""
    return next((rule for rule in rules if rule.fits(error)), None)
