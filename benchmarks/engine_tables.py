"""Fills each engine that is installed with the same documents, for `engines.py`."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff.recall import BM25, Chroma, Dense, LanceDB, Milvus, Postgres, Qdrant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.protocols import RecallSource
    from runoff.types import Document

__all__ = ["Engine", "filled", "installed", "words_alone"]


@dataclass(frozen=True, slots=True)
class Engine:
    """A source over an engine, beside the engine's own client.

    Attributes:
        name: what the table calls it.
        source: the source.
        exact: whether it compares every vector, so that nothing may be missing; None for words,
            where there is no vector to compare.
        alone: asks the engine's own client the same: a vector or a text, and a depth; None for
            what has no client.
    """

    name: str
    source: RecallSource
    exact: bool | None
    alone: Callable[[Any, int], object] | None = None


def installed(wanted: Sequence[str]) -> list[str]:
    """Return the packages of the engines to ask: those wanted, or all; `"runoff"` is ours."""
    return [one for one in wanted or _FILLERS if one in _FILLERS and importlib.util.find_spec(one)]


def filled(
    package: str, documents: Sequence[Document], vectors: NDArray[np.float32]
) -> contextlib.AbstractContextManager[list[Engine]]:
    """Return a context in which an engine runs and has these documents."""
    return _FILLERS[package](documents, vectors)


def _embed(texts: list[str]) -> NDArray[np.float32]:
    """Stand in for a model: every query of this benchmark has a vector already."""
    return np.zeros((len(texts), 1), np.float32)


@contextlib.contextmanager
def _in_process(
    documents: Sequence[Document], vectors: NDArray[np.float32]
) -> Iterator[list[Engine]]:
    dense = Dense(documents, _embed, embeddings=vectors, similarity="cosine")
    yield [Engine("Dense", dense, exact=True), Engine("BM25", BM25(documents), exact=None)]


@contextlib.contextmanager
def _chroma(documents: Sequence[Document], vectors: NDArray[np.float32]) -> Iterator[list[Engine]]:
    import chromadb  # noqa: PLC0415 - optional

    client = chromadb.EphemeralClient(chromadb.Settings(anonymized_telemetry=False))
    made = client.create_collection(
        "engines", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
    )
    for start in range(0, len(documents), 5000):
        part = documents[start : start + 5000]
        made.add(
            ids=[one.doc_id for one in part],
            documents=[one.text for one in part],
            metadatas=[dict(one.metadata) for one in part],
            embeddings=vectors[start : start + 5000],
        )

    def alone(vector: NDArray[np.float32], depth: int) -> object:
        return made.query(
            query_embeddings=vector[None, :],
            n_results=depth,
            include=["documents", "metadatas", "distances"],
        )

    yield [Engine("Chroma, HNSW", Chroma(made, embed=_embed), exact=False, alone=alone)]
    client.delete_collection("engines")


@contextlib.contextmanager
def _qdrant(documents: Sequence[Document], vectors: NDArray[np.float32]) -> Iterator[list[Engine]]:
    from qdrant_client import QdrantClient, models  # noqa: PLC0415 - optional

    client = QdrantClient(":memory:")
    size = models.VectorParams(size=vectors.shape[1], distance=models.Distance.COSINE)
    client.create_collection("engines", vectors_config=size)
    points = [
        models.PointStruct(
            id=place,
            vector=vector.tolist(),
            payload={"text": one.text, "metadata": dict(one.metadata), "key": one.doc_id},
        )
        for place, (one, vector) in enumerate(zip(documents, vectors, strict=True))
    ]
    for start in range(0, len(points), 1000):
        client.upsert("engines", points[start : start + 1000])

    def alone(vector: NDArray[np.float32], depth: int) -> object:
        return client.query_points("engines", query=vector.tolist(), limit=depth)

    source = Qdrant(client, "engines", embed=_embed, id="key")
    yield [Engine("Qdrant, local mode", source, exact=True, alone=alone)]
    client.close()


@contextlib.contextmanager
def _milvus(documents: Sequence[Document], vectors: NDArray[np.float32]) -> Iterator[list[Engine]]:
    from pymilvus import DataType, MilvusClient  # noqa: PLC0415 - optional

    with tempfile.TemporaryDirectory() as folder:
        client = MilvusClient(str(Path(folder) / "lite.db"))
        schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=100)
        schema.add_field("text", DataType.VARCHAR, max_length=10_000)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
        indexes = client.prepare_index_params()
        indexes.add_index("vector", index_type="FLAT", metric_type="COSINE")
        client.create_collection("engines", schema=schema, index_params=indexes)
        rows = [
            {"id": one.doc_id, "text": one.text, "vector": vector.tolist(), **one.metadata}
            for one, vector in zip(documents, vectors, strict=True)
        ]
        for start in range(0, len(rows), 1000):
            client.insert("engines", rows[start : start + 1000])
        client.load_collection("engines")

        def alone(vector: NDArray[np.float32], depth: int) -> object:
            return client.search(
                "engines", data=[vector.tolist()], limit=depth, output_fields=["*"]
            )

        source = Milvus(client, "engines", embed=_embed)
        yield [Engine("Milvus Lite, FLAT", source, exact=True, alone=alone)]
        client.close()


@contextlib.contextmanager
def words_alone(name: str, documents: Iterable[Document]) -> Iterator[RecallSource]:
    """Fill `"Postgres"` or `"LanceDB"` with texts alone, with an index of their words."""
    if name == "LanceDB":
        import lancedb  # noqa: PLC0415 - optional
        import lancedb.index  # noqa: PLC0415 - optional
        import pyarrow as pa  # noqa: PLC0415 - comes with lancedb

        with tempfile.TemporaryDirectory() as folder:
            rows = pa.Table.from_pylist([{"id": one.doc_id, "text": one.text} for one in documents])
            table = lancedb.connect(folder).create_table("words", rows)
            table.create_index("text", config=lancedb.index.FTS())
            yield LanceDB(table, search="text")
        return
    with _postgres_pool() as pool:
        with pool.connection() as connection, connection.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE words (id text PRIMARY KEY, text text, tsv tsvector GENERATED ALWAYS "
                "AS (to_tsvector('english', text)) STORED)"
            )
            with cursor.copy("COPY words (id, text) FROM STDIN") as rows:
                for one in documents:
                    rows.write_row((one.doc_id, one.text))
            cursor.execute("CREATE INDEX ON words USING gin (tsv)")
            cursor.execute("ANALYZE words")
        yield Postgres(pool, "words", search="text")


@contextlib.contextmanager
def _postgres_pool() -> Iterator[Any]:
    """Start a PostgreSQL with pgvector, and yield a pool of connections to it."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        import pgserver  # noqa: PLC0415 - optional
        import psycopg_pool  # noqa: PLC0415 - optional

        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        with psycopg_pool.ConnectionPool(server.get_uri(), min_size=2, open=True) as pool:
            with pool.connection() as connection:
                connection.execute("CREATE EXTENSION vector")
            yield pool
        server.cleanup()


@contextlib.contextmanager
def _postgres(
    documents: Sequence[Document], vectors: NDArray[np.float32]
) -> Iterator[list[Engine]]:
    with _postgres_pool() as pool:
        with pool.connection() as connection, connection.cursor() as cursor:
            for table in ("plain", "indexed"):
                cursor.execute(
                    f"CREATE TABLE {table} (id text PRIMARY KEY, text text, metadata jsonb, "
                    f"embedding vector({vectors.shape[1]}), tsv tsvector GENERATED ALWAYS AS "
                    "(to_tsvector('english', text)) STORED)"
                )
                with cursor.copy(
                    f"COPY {table} (id, text, metadata, embedding) FROM STDIN"
                ) as rows:
                    for one, vector in zip(documents, vectors, strict=True):
                        held = json.dumps(dict(one.metadata))
                        rows.write_row((one.doc_id, one.text, held, str(vector.tolist())))
                cursor.execute(f"CREATE INDEX ON {table} USING gin (tsv)")
            cursor.execute("CREATE INDEX ON indexed USING hnsw (embedding vector_cosine_ops)")
        with pool.connection() as connection:
            connection.autocommit = True
            connection.execute("VACUUM ANALYZE")

        query = "SELECT id, text, metadata, embedding <=> %s::vector FROM {} ORDER BY 4 LIMIT %s"

        def alone(table: str, vector: NDArray[np.float32], depth: int) -> object:
            near = str(vector.tolist())
            with pool.connection() as connection:
                if table == "indexed":  # which finds 40 rows otherwise
                    connection.execute(f"SET LOCAL hnsw.ef_search = {depth}")
                return connection.execute(query.format(table), (near, depth)).fetchall()

        yield [
            Engine(
                f"Postgres, {how}",
                Postgres(pool, table, embed=_embed),
                exact=exact,
                alone=functools.partial(alone, table),
            )
            for how, table, exact in (("no index", "plain", True), ("HNSW", "indexed", False))
        ] + [Engine("Postgres, full text", Postgres(pool, "indexed", search="text"), exact=None)]


@contextlib.contextmanager
def _lancedb(documents: Sequence[Document], vectors: NDArray[np.float32]) -> Iterator[list[Engine]]:
    import lancedb  # noqa: PLC0415 - optional
    import lancedb.index  # noqa: PLC0415 - optional
    import pyarrow as pa  # noqa: PLC0415 - comes with lancedb

    with tempfile.TemporaryDirectory() as folder:
        size = vectors.shape[1]
        rows = pa.table(
            {
                "id": [one.doc_id for one in documents],
                "text": [one.text for one in documents],
                "metadata": [dict(one.metadata) for one in documents],
                "vector": pa.FixedSizeListArray.from_arrays(vectors.reshape(-1), size),
            }
        )
        database = lancedb.connect(folder)
        plain, indexed = (database.create_table(name, rows) for name in ("plain", "indexed"))
        indexed.create_index("text", config=lancedb.index.FTS())
        kind = lancedb.index.HnswSq(distance_type="cosine")
        indexed.create_index("vector", config=kind)

        def alone(table: Any, vector: NDArray[np.float32], depth: int) -> object:  # noqa: ANN401 - of lancedb
            search = table.search(vector, vector_column_name="vector").distance_type("cosine")
            return search.limit(depth).to_list()

        yield [
            Engine(
                f"LanceDB, {how}",
                LanceDB(table, embed=_embed, space="cosine"),
                exact=exact,
                alone=functools.partial(alone, table),
            )
            for how, table, exact in (("no index", plain, True), ("HNSW", indexed, False))
        ] + [Engine("LanceDB, full text", LanceDB(indexed, search="text"), exact=None)]


_FILLERS: Mapping[str, Callable[..., contextlib.AbstractContextManager[list[Engine]]]] = {
    "runoff": _in_process,
    "chromadb": _chroma,
    "qdrant_client": _qdrant,
    "milvus_lite": _milvus,
    "pgserver": _postgres,
    "lancedb": _lancedb,
}
