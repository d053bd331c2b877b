"""The contract of a source, run on every source of the library."""

import re
import uuid
import zlib
from types import MappingProxyType

import numpy as np
import pytest
from engines import lancedb_table, postgres_table

from runoff.recall import BM25, Chroma, Dense, Embedder, Function, LanceDB, Postgres
from runoff.testing.contracts import RecallSourceContract
from runoff.types import Hit

DIMENSIONS = 64


def embed(texts):
    """Count words, hashed; real vectors of real texts, without a model."""
    vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
    for row, text in enumerate(texts):
        for word in re.findall(r"\w+", text.lower()):
            vectors[row, zlib.crc32(word.encode()) % DIMENSIONS] += 1
    return vectors


class TestBM25(RecallSourceContract):
    def make(self, documents):
        return BM25(documents)


class TestOkapi(RecallSourceContract):
    def make(self, documents):
        pytest.importorskip("rank_bm25")
        return BM25(documents, engine="rank-bm25")


class TestLoadedBM25(RecallSourceContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path):
        self.directory = tmp_path

    def make(self, documents):
        path = self.directory / uuid.uuid4().hex
        BM25(documents).save(path)
        return BM25.load(path)


class TestEditedBM25(RecallSourceContract):
    def make(self, documents):
        source = BM25(documents[1:])
        source.add(documents[:2])
        source.delete([documents[-1].doc_id])
        source.add(documents[-1:])
        return source


class TestDense(RecallSourceContract):
    def make(self, documents):
        return Dense(documents, embed)


class TestDenseByDistance(RecallSourceContract):
    def make(self, documents):
        return Dense(documents, embed, similarity="l2")


class TestAwaitedDense(RecallSourceContract):
    def make(self, documents):
        async def aembed_query(text):
            return embed([text])[0]

        return Dense(documents, embed, similarity="ip", aembed_query=aembed_query)


class TestDenseWithEmbeddedModel(RecallSourceContract):
    def make(self, documents):
        pytest.importorskip("runoff_models")
        return Dense(documents, Embedder())


class ChromaContract(RecallSourceContract):
    space = "cosine"

    def make(self, documents):
        chromadb = pytest.importorskip("chromadb")
        client = chromadb.EphemeralClient(chromadb.Settings(anonymized_telemetry=False))
        collection = client.create_collection(
            f"contract-{uuid.uuid4().hex}",
            embedding_function=None,
            configuration={"hnsw": {"space": self.space}},
        )
        texts = [one.text for one in documents]
        collection.add(
            ids=[one.doc_id for one in documents],
            documents=texts,
            metadatas=[dict(one.metadata) for one in documents],
            embeddings=embed(texts),
        )
        return Chroma(collection, embed=embed)


class TestChroma(ChromaContract):
    pass


class TestChromaByDistance(ChromaContract):
    space = "l2"


class TestChromaByInnerProduct(ChromaContract):
    space = "ip"


class PostgresContract(RecallSourceContract):
    kind = "jsonb"
    options = MappingProxyType({"embed": embed})

    @pytest.fixture(autouse=True)
    def _server(self, postgres):
        self.uri = postgres
        self.made = []
        yield
        for source in self.made:
            source.close()

    def make(self, documents):
        name = postgres_table(self.uri, documents, kind=self.kind, vectors=vectors(documents))
        self.made.append(Postgres(self.uri, name, **self.options))
        return self.made[-1]


class TestPostgres(PostgresContract):
    pass


class TestPostgresByDistance(PostgresContract):
    kind = "json"
    options = MappingProxyType({"embed": embed, "space": "l2"})


class TestPostgresByInnerProduct(PostgresContract):
    options = MappingProxyType({"embed": embed, "space": "ip"})


class TestPostgresByWords(PostgresContract):
    options = MappingProxyType({"search": "text"})


class LanceDBContract(RecallSourceContract):
    options = MappingProxyType({"embed": embed, "space": "cosine"})
    nested = True

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        pytest.importorskip("lancedb")
        self.folder = tmp_path

    def make(self, documents):
        made = vectors(documents)
        table = lancedb_table(self.folder, documents, vectors=made, nested=self.nested)
        return LanceDB(table, **self.options)


class TestLanceDB(LanceDBContract):
    pass


class TestLanceDBByDistance(LanceDBContract):
    options = MappingProxyType({"embed": embed})
    nested = False


class TestLanceDBByInnerProduct(LanceDBContract):
    options = MappingProxyType({"embed": embed, "space": "ip"})


class TestLanceDBByWords(LanceDBContract):
    options = MappingProxyType({"search": "text"})


def vectors(documents):
    return embed([one.text for one in documents])


def search(documents):
    """Make a search function that scores by shared words and reads filters."""

    def found(query, depth):
        asked = set(re.findall(r"\w+", query.text.lower()))
        for one in documents:
            shared = asked & set(re.findall(r"\w+", one.text.lower()))
            kept = query.filters is None or query.filters.matches(one.metadata)
            if shared and kept:
                yield Hit(one, float(len(shared)))

    return lambda query, depth: sorted(found(query, depth), key=lambda hit: -hit.score)


class TestFunction(RecallSourceContract):
    def make(self, documents):
        return Function(search(documents))


class TestFilteringFunction(RecallSourceContract):
    def make(self, documents):
        return Function(search(documents), honours_filters=True)


class TestRankingFunction(RecallSourceContract):
    """A function of bare documents: an order without scores."""

    def make(self, documents):
        found = search(documents)
        return Function(lambda query, depth: [hit.document for hit in found(query, depth)])
