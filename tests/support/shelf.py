"""The vector stores of both frameworks that run here, each made empty in a folder of its own."""

import functools
import itertools
import math
import tempfile
import warnings
import zlib
from pathlib import Path

import pytest
from langchain_core.embeddings import Embeddings
from llama_index.core.base.embeddings.base import BaseEmbedding

WORDS = ["oil", "gas", "coal", "wind"]
SIZE = len(WORDS) + 1
_names = itertools.count()


@functools.cache
def vector(text):
    """Return counts of the words of the corpus, and a little of each letter: no two are alike."""
    mark = zlib.crc32(text.encode()) / 2**32
    made = [0.1 + text.lower().count(word) for word in WORDS] + [0.1 + mark]
    length = math.hypot(*made)
    return [one / length for one in made]


class Vectors(Embeddings):
    def embed_documents(self, texts):
        return [vector(text) for text in texts]

    def embed_query(self, text):
        return vector(text)


class NodeVectors(BaseEmbedding):
    def _get_query_embedding(self, query):
        return vector(query)

    def _get_text_embedding(self, text):
        return vector(text)

    async def _aget_query_embedding(self, query):
        return vector(query)


def name(prefix="runoff"):
    """Return a name for a collection or table that no other test has."""
    return f"{prefix}_{next(_names)}"


@functools.cache
def postgres():
    """Return the address of a PostgreSQL server with pgvector, which ends with the process."""
    pgserver = pytest.importorskip("pgserver")
    server = pgserver.get_server(tempfile.mkdtemp(prefix="runoff-pg-"), cleanup_mode="delete")
    server.psql("CREATE EXTENSION IF NOT EXISTS vector;")
    return server


def postgres_parts():
    """Return the socket's folder, user and database of the server."""
    from urllib.parse import parse_qs, urlsplit

    parts = urlsplit(postgres().get_uri())
    return parse_qs(parts.query)["host"][0], parts.username, parts.path.lstrip("/")


# LlamaIndex


def li_simple(folder):
    from llama_index.core.vector_stores.simple import SimpleVectorStore

    return SimpleVectorStore()


def li_chroma(folder):
    chroma = pytest.importorskip("llama_index.vector_stores.chroma")
    import chromadb

    client = chromadb.EphemeralClient(chromadb.config.Settings(anonymized_telemetry=False))
    return chroma.ChromaVectorStore(client.create_collection(name()))


def li_qdrant(folder):
    qdrant = pytest.importorskip("llama_index.vector_stores.qdrant")
    from qdrant_client import QdrantClient

    return qdrant.QdrantVectorStore(name(), client=QdrantClient(location=":memory:"))


def li_faiss(folder):
    vectors = pytest.importorskip("llama_index.vector_stores.faiss")
    import faiss

    return vectors.FaissVectorStore(faiss.IndexFlatIP(SIZE))


def li_postgres(folder, **options):
    made = pytest.importorskip("llama_index.vector_stores.postgres")
    host, user, database = postgres_parts()
    return made.PGVectorStore(
        connection_string=f"postgresql+psycopg2://{user}@/{database}?host={host}",
        async_connection_string=f"postgresql+asyncpg://{user}@/{database}?host={host}",
        table_name=name(), schema_name="public", embed_dim=SIZE, **options,
    )  # fmt: skip


def li_milvus(folder, **options):
    made = pytest.importorskip("llama_index.vector_stores.milvus")
    pytest.importorskip("milvus_lite")
    return made.MilvusVectorStore(
        uri=str(Path(folder) / "milvus.db"), collection_name=name(), dim=SIZE, overwrite=True,
        similarity_metric="COSINE", **options,
    )  # fmt: skip


def li_lancedb(folder):
    made = pytest.importorskip("llama_index.vector_stores.lancedb")
    return made.LanceDBVectorStore(uri=str(Path(folder) / "lance"), table_name=name())


def li_duckdb(folder):
    made = pytest.importorskip("llama_index.vector_stores.duckdb")

    class Store(made.DuckDBVectorStore):
        @classmethod
        def _connect(cls, database_name, persist_dir):
            return _Offline(super()._connect(database_name, persist_dir))

    return Store(table_name=name(), embed_dim=SIZE)


class _Offline:
    """A DuckDB connection whose extensions are built in, and not downloaded again."""

    def __init__(self, inner):
        self._inner = inner

    def cursor(self):
        return _Offline(self._inner.cursor())

    def install_extension(self, _):
        pass

    load_extension = install_extension

    def __getattr__(self, name):
        return getattr(self._inner, name)


LLAMA_INDEX = {
    "simple": li_simple, "chroma": li_chroma, "qdrant": li_qdrant, "faiss": li_faiss,
    "postgres": li_postgres, "milvus": li_milvus, "lancedb": li_lancedb, "duckdb": li_duckdb,
}  # fmt: skip


def index_of(kind, folder, nodes):
    """Return a LlamaIndex index over a store of a kind, with these nodes in it."""
    from llama_index.core import StorageContext, VectorStoreIndex

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = LLAMA_INDEX[kind](folder)
        storage = StorageContext.from_defaults(vector_store=store)
        return VectorStoreIndex(nodes, embed_model=NodeVectors(), storage_context=storage)


# LangChain


def lc_memory(folder):
    from langchain_core.vectorstores import InMemoryVectorStore

    return InMemoryVectorStore(Vectors())


def lc_chroma(folder):
    chroma = pytest.importorskip("langchain_chroma")
    import chromadb

    client = chromadb.EphemeralClient(chromadb.config.Settings(anonymized_telemetry=False))
    return chroma.Chroma(name(), Vectors(), client=client)


def lc_qdrant(folder):
    qdrant = pytest.importorskip("langchain_qdrant")
    from qdrant_client import QdrantClient, models

    client, made = QdrantClient(":memory:"), name()
    how = models.VectorParams(size=SIZE, distance=models.Distance.COSINE)
    client.create_collection(made, vectors_config=how)
    return qdrant.QdrantVectorStore(client, made, Vectors())


def lc_faiss(folder):
    made = pytest.importorskip("langchain_community.vectorstores.faiss")
    import faiss
    from langchain_community.docstore.in_memory import InMemoryDocstore

    return made.FAISS(Vectors(), faiss.IndexFlatL2(SIZE), InMemoryDocstore(), {})


def lc_pgvector(folder):
    made = pytest.importorskip("langchain_postgres")
    host, user, _ = postgres_parts()
    database = name()  # an id is in one collection of a database only
    postgres().psql(f"CREATE DATABASE {database};")
    uri = f"postgresql+psycopg://{user}@/{database}?host={host}"
    return made.PGVector(Vectors(), connection=uri, collection_name=name(), use_jsonb=True)


def lc_pgvectorstore(folder, **options):
    made = pytest.importorskip("langchain_postgres")
    host, user, database = postgres_parts()
    uri = f"postgresql+asyncpg://{user}@/{database}?host={host}"
    engine, table = made.PGEngine.from_connection_string(uri), name()
    engine.init_vectorstore_table(table, SIZE, id_column=made.Column("langchain_id", "TEXT"))
    return made.PGVectorStore.create_sync(engine, Vectors(), table, **options)


def lc_milvus(folder):
    made = pytest.importorskip("langchain_milvus")
    pytest.importorskip("milvus_lite")
    from pymilvus import connections

    uri = str(Path(folder) / "milvus-lc.db")
    store = made.Milvus(
        Vectors(), collection_name=name(),
        connection_args={"uri": uri}, enable_dynamic_field=True,
        index_params={"index_type": "FLAT", "metric_type": "COSINE"},
    )  # fmt: skip
    connections.connect(
        alias=store.alias, uri=uri
    )  # newer clients of pymilvus do not, as it expects
    return store


def lc_lancedb(folder):
    made = pytest.importorskip("langchain_community.vectorstores.lancedb")
    pytest.importorskip("lancedb")
    uri = str(Path(folder) / "lance")
    return made.LanceDB(uri=uri, embedding=Vectors(), table_name=name(), mode="append")


def lc_duckdb(folder):
    made = pytest.importorskip("langchain_community.vectorstores.duckdb")
    pytest.importorskip("duckdb")
    return made.DuckDB(embedding=Vectors(), table_name=name())


def _sqlite(path):
    """Return a connection with sqlite-vec loaded; many builds of Python cannot load extensions."""
    import sqlite_vec

    sqlite3 = pytest.importorskip("pysqlite3")
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.enable_load_extension(True)  # noqa: FBT003 - it takes no names
    sqlite_vec.load(connection)
    return connection


def lc_sqlitevec(folder):
    made = pytest.importorskip("langchain_community.vectorstores.sqlitevec")
    pytest.importorskip("sqlite_vec")
    connection = _sqlite(str(Path(folder) / "vec.db"))
    return made.SQLiteVec(name(), connection, Vectors())


LANGCHAIN = {
    "memory": lc_memory, "chroma": lc_chroma, "qdrant": lc_qdrant, "faiss": lc_faiss,
    "pgvector": lc_pgvector, "pgvectorstore": lc_pgvectorstore, "milvus": lc_milvus,
    "lancedb": lc_lancedb, "duckdb": lc_duckdb, "sqlitevec": lc_sqlitevec,
}  # fmt: skip


def store_of(kind, folder, documents):
    """Return a LangChain store of a kind, with these documents in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = LANGCHAIN[kind](folder)
        store.add_documents(documents, ids=[one.id for one in documents])
    return store
