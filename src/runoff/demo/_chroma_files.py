"""Whether the files of a Chroma database are still what was written.

Chroma's native part can abort the process when it reads a damaged file, so its files are checked
before it opens them. Opening changes the database's bytes (Chroma counts its locks in a table of
it), so what is compared is the content: every row of every other table.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from runoff.errors import IndexDamaged

if TYPE_CHECKING:
    from pathlib import Path

_DATABASE = "chroma.sqlite3"
_LOCKS = "acquire_write"  # a table with a row for each time that Chroma opened the database
_WRITTEN = "index_metadata.pickle"  # vectors without it are read from the database


def digest(folder: Path) -> str:
    """Return a SHA-256 digest of the content of a Chroma database.

    Raises:
        IndexDamaged: SQLite finds the database damaged, or a file cannot be read.
    """
    found = hashlib.sha256()
    try:
        address = f"{(folder / _DATABASE).resolve(strict=True).as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as database:
            _add_database(found, database)
        for path in sorted(folder.glob(f"*/{_WRITTEN}")):
            for one in sorted(path.parent.iterdir()):
                content = one.read_bytes()
                _add(found, one.relative_to(folder).as_posix(), len(content))
                found.update(content)
    except (OSError, sqlite3.Error, MemoryError, OverflowError) as error:
        raise IndexDamaged(f"{folder}: the Chroma database cannot be read: {error}") from error
    return found.hexdigest()


def _add_database(found: hashlib._Hash, database: sqlite3.Connection) -> None:
    database.text_factory = bytes
    (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != b"ok":
        raise sqlite3.DatabaseError(verdict.decode(errors="replace"))
    schema = database.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall()
    _add(found, *schema)
    for kind, name, written in schema:
        if kind != b"table" or name == _LOCKS.encode() or b"VIRTUAL" in written:
            continue
        quoted = name.decode().replace('"', '""')
        for row in database.execute(f'SELECT * FROM "{quoted}"'):  # noqa: S608 - quoted above
            _add(found, *row)


def _add(found: hashlib._Hash, *values: object) -> None:
    found.update(f"{values!r}\n".encode())
