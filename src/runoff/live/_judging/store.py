"""The grades of a directory of observations, in one SQLite file: nothing is paid for twice."""

from __future__ import annotations

import json
import secrets
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

PEOPLE = "people"
"""The judge under whose name people's grades are kept."""

UNASKED = -1
"""The grade of a document that a judge was not asked about, or failed on once; then it is None."""

PAGE = 1000
"""How many queries are read at a time."""

FORGOTTEN = "forgotten:"
"""What the hash of the text of a forgotten document becomes, before something random."""

_FOLDER, _FILE = "judged", "grades.sqlite"
_APPLICATION, _FORMAT = 0x72754A67, 1  # "ruJg", where SQLite keeps a place for it
_WAIT = 10.0  # seconds for another process
_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE queries (place INTEGER PRIMARY KEY, id TEXT NOT NULL, system TEXT NOT NULL,
    time REAL NOT NULL, query_key TEXT NOT NULL, slices TEXT NOT NULL, size REAL NOT NULL,
    largest REAL NOT NULL, UNIQUE (id, system));
CREATE TABLE pairs (place INTEGER NOT NULL, doc_id TEXT NOT NULL, text_key TEXT NOT NULL,
    before INTEGER NOT NULL, after INTEGER NOT NULL, weight REAL NOT NULL, share REAL NOT NULL,
    length INTEGER NOT NULL, chance REAL NOT NULL);
CREATE INDEX pairs_of ON pairs (place);
CREATE TABLE grades (query_key TEXT NOT NULL, text_key TEXT NOT NULL, judge TEXT NOT NULL,
    grade INTEGER, PRIMARY KEY (query_key, text_key, judge)) WITHOUT ROWID;
"""


class Taken(NamedTuple):
    """A query that counts, or will once its documents are graded.

    Attributes:
        id: of the observation.
        time: when it was answered.
        query_key: the hash of the question.
        slices: name to value.
        size: the sum of its weights' sizes; with nDCG how far apart its values can be.
        largest: the largest size that weight / chance could have.
    """

    id: str
    time: float
    query_key: str
    slices: Mapping[str, str]
    size: float
    largest: float


class Pair(NamedTuple):
    """A document of a query that counts; `chance` is 0 unless people are to grade it."""

    doc_id: str
    text_key: str
    before: int
    after: int
    weight: float
    share: float
    length: int
    chance: float


class Judged:
    """What was graded of one directory.

    Args:
        path: the SQLite file; it is made if it does not exist.

    Raises:
        InvalidArgument: the file is something else, damaged, or of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as connection:
            application, version = (
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("application_id", "user_version")
            )
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if not tables and not application:
                connection.executescript(_SCHEMA)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {_FORMAT}")
                self._put(connection, "seed", secrets.randbits(63))
            elif application != _APPLICATION:
                raise InvalidArgument("path", path, "is not a file of grades: move it away")
            elif version > _FORMAT:
                raise InvalidArgument("path", path, "was made by a newer runoff: update runoff")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open it for one transaction, which is kept whole or not at all."""
        try:
            with closing(sqlite3.connect(self.path, timeout=_WAIT)) as connection, connection:
                yield connection
        except (sqlite3.DatabaseError, json.JSONDecodeError) as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, full, not writable
                raise OSError(f"{self.path}: {error}") from error
            raise InvalidArgument("path", self.path, f"is damaged: {error}") from error

    @staticmethod
    def _put(connection: sqlite3.Connection, name: str, value: object) -> None:
        connection.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, json.dumps(value)))

    def put(self, name: str, value: object) -> None:
        """Keep a setting, as JSON."""
        with self._open() as connection:
            self._put(connection, name, value)

    def get(self, name: str, otherwise: Any = None) -> Any:  # noqa: ANN401 - any JSON
        """Return a setting."""
        with self._open() as connection:
            row = connection.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return otherwise if row is None else json.loads(row[0])

    def take(self, system: str, taken: Iterable[tuple[Taken, Iterable[Pair]]]) -> None:
        """Add queries, in the order in which they count."""
        with self._open() as connection:
            for one, pairs in taken:
                row = (*one[:1], system, *one[1:3], json.dumps(dict(one.slices)), *one[4:])
                added = connection.execute(
                    "INSERT OR IGNORE INTO queries "
                    "(id, system, time, query_key, slices, size, largest) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    row,
                )
                if added.rowcount:  # else another process was quicker
                    connection.executemany(
                        "INSERT INTO pairs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        ((added.lastrowid, *pair) for pair in pairs),
                    )

    def pages(self, system: str) -> Iterator[list[tuple[Taken, list[Pair]]]]:
        """Yield the queries of a system with what differs, in the order in which they count.

        Some come at a time, and between them others may write. What is added meanwhile is left out.
        """
        shared: dict[str, Mapping[str, str]] = {}  # one object for all queries of the same slices
        with self._open() as connection:
            (last,) = connection.execute(
                "SELECT max(place) FROM queries WHERE system = ?", (system,)
            ).fetchone()
        at = 0
        while last is not None and at < last:
            with self._open() as connection:
                found = {}
                for place, one, time, key, slices, *sizes in connection.execute(
                    "SELECT place, id, time, query_key, slices, size, largest FROM queries "
                    "WHERE system = ? AND place > ? AND place <= ? ORDER BY place LIMIT ?",
                    (system, at, last, PAGE),
                ):
                    if slices not in shared:
                        shared[slices] = json.loads(slices)
                    taken = Taken(one, time, key, shared[slices], *sizes)
                    found[place] = taken, list[Pair]()
                if not found:
                    return
                for place, *pair in connection.execute(
                    "SELECT pairs.* FROM pairs JOIN queries USING (place) WHERE system = ? "
                    "AND place BETWEEN ? AND ? ORDER BY place, pairs.rowid",
                    (system, min(found), max(found)),
                ):
                    found[place][1].append(Pair(*pair))
            at = max(found)
            yield list(found.values())

    def ids(self, system: str) -> set[str]:
        """Return which observations were taken."""
        with self._open() as connection:
            rows = connection.execute("SELECT id FROM queries WHERE system = ?", (system,))
            return {one for (one,) in rows}

    def grade(self, judge: str, grades: Iterable[tuple[str, str, int | None]]) -> None:
        """Keep grades: the keys of query and text, and the grade, None where there is none.

        A grade replaces an earlier one of the same judge.
        """
        with self._open() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO grades VALUES (?, ?, ?, ?)",
                ((query, text, judge, grade) for query, text, grade in grades),
            )

    def grades(self, judge: str, queries: Iterable[str]) -> dict[tuple[str, str], int | None]:
        """Return what a judge said of some queries, by the keys of query and text."""
        with self._open() as connection:
            return {
                (query, text): grade
                for query in dict.fromkeys(queries)
                for text, grade in connection.execute(
                    "SELECT text_key, grade FROM grades WHERE query_key = ? AND judge = ?",
                    (query, judge),
                )
            }

    def failed(self, judge: str) -> int:
        """Return how many replies of a judge have no grade."""
        with self._open() as connection:
            (many,) = connection.execute(
                "SELECT count(*) FROM grades WHERE judge = ? AND grade IS NULL", (judge,)
            ).fetchone()
        return int(many)

    def forget(self, *, query_key: str = "", doc_id: str = "") -> int:
        """Remove what is kept of a query, or the id and the text's hash of a document.

        A query's values leave the estimate. A document's grades stay in it, without its name.

        Returns:
            how many queries or documents were concerned.
        """
        with self._open() as connection:
            many = 0
            if query_key:
                connection.execute(
                    "DELETE FROM pairs WHERE place IN "
                    "(SELECT place FROM queries WHERE query_key = ?)",
                    (query_key,),
                )
                connection.execute("DELETE FROM grades WHERE query_key = ?", (query_key,))
                many += connection.execute(
                    "DELETE FROM queries WHERE query_key = ?", (query_key,)
                ).rowcount
            if doc_id:
                keys = connection.execute(
                    "SELECT DISTINCT text_key FROM pairs WHERE doc_id = ?", (doc_id,)
                ).fetchall()
                for (key,) in keys:
                    other = f"{FORGOTTEN}{secrets.token_hex(16)}"
                    connection.execute(
                        "UPDATE OR REPLACE grades SET text_key = ? WHERE text_key = ?", (other, key)
                    )
                    connection.execute(
                        "UPDATE pairs SET text_key = ? WHERE text_key = ?", (other, key)
                    )
                many += connection.execute(
                    "UPDATE pairs SET doc_id = '' WHERE doc_id = ?", (doc_id,)
                ).rowcount
            connection.commit()
            connection.execute("VACUUM")
        return many


def store_of(path: Path) -> Judged | None:
    """Return what was graded of a directory of observations; None if nothing was.

    Raises:
        InvalidArgument: the file cannot be read.
    """
    file = file_of(path)
    return Judged(file) if file.is_file() else None


def file_of(path: Path) -> Path:
    """Return where the grades of a directory of observations are kept."""
    return path / _FOLDER / _FILE
