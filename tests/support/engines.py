"""Real servers and tables of the engines that tests search."""

import contextlib
import itertools
import json
import os
import tempfile
from pathlib import Path

from words import DIMENSIONS, embed

_numbers = itertools.count()


@contextlib.contextmanager
def postgres_server():
    """Start a PostgreSQL with pgvector, and yield the server of pgserver; skip without it."""
    import pytest

    # its own user has to reach the folder, so it is none of pytest's
    with tempfile.TemporaryDirectory(prefix="runoff-postgres-") as folder:
        # without this variable pgserver warns as it is imported
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        pgserver = pytest.importorskip("pgserver", reason="pgserver is not installed")
        import psutil  # with which it looks after the server

        psycopg = pytest.importorskip("psycopg")
        pytest.importorskip("psycopg_pool")
        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            with psycopg.connect(server.get_uri()) as connection:
                connection.execute("CREATE EXTENSION vector")
            yield server
        finally:
            # of a server that a test killed, and that ends while pgserver asks it to
            with contextlib.suppress(psutil.NoSuchProcess):
                server.cleanup()


def postgres_table(uri, documents, *, vectors=None, kind="jsonb", index=None):
    """Make a table of documents and return its name."""
    import psycopg

    name = f"docs {next(_numbers)}%\"'"  # a name that has to be quoted
    quoted = psycopg.sql.SQL(psycopg.sql.Identifier(name).as_string().replace("%", "%%"))
    made = embed([one.text for one in documents]) if vectors is None else vectors
    with psycopg.connect(uri) as connection, connection.cursor() as cursor:
        dimensions = len(made[0]) if len(made) else DIMENSIONS
        cursor.execute(
            psycopg.sql.SQL(
                f"CREATE TABLE {{}} (id text PRIMARY KEY, text text, embedding "
                f"vector({dimensions}), metadata {kind})"
            ).format(quoted),
            (),
        )
        cursor.executemany(
            psycopg.sql.SQL("INSERT INTO {} VALUES (%s, %s, %s::vector, %s)").format(quoted),
            [
                (one.doc_id, one.text, str([float(x) for x in row]), json.dumps(dict(one.metadata)))
                for one, row in zip(documents, made, strict=True)
            ],
        )
        if index:
            cursor.execute(psycopg.sql.SQL(f"CREATE INDEX ON {{}} {index}").format(quoted), ())
    return name


def lancedb_table(folder, documents, *, vectors=None, words=True, nested=True):
    """Make a table of documents and return it; without `nested`, the metadata is columns."""
    import lancedb
    import lancedb.index
    import pyarrow as pa

    made = embed([one.text for one in documents]) if vectors is None else vectors
    names = {name for one in documents for name in one.metadata}
    rows = []
    for one, vector in zip(documents, made, strict=True):
        held = {name: one.metadata.get(name) for name in sorted(names)}
        row = {"id": one.doc_id, "text": one.text, "vector": [float(x) for x in vector]}
        rows.append(row | ({"metadata": held} if nested and held else held))
    table = pa.Table.from_pylist(rows)
    size = len(made[0])
    place = table.schema.get_field_index("vector")
    fixed = pa.array(table["vector"].to_pylist(), pa.list_(pa.float32(), size))
    table = table.set_column(place, "vector", fixed)
    found = lancedb.connect(folder).create_table(f"docs-{next(_numbers)}", table)
    if words:
        found.create_index("text", config=lancedb.index.FTS())
    return found
