"""Small real parts: documents, embeddings that count words, a scorer that counts shared words."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

_DIMENSIONS = 64


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


class WordEmbeddings(Embeddings):
    """Vectors of word counts, one dimension a word: near texts share words."""

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        vector = np.full(_DIMENSIONS, 1e-3)
        for word in words(text):
            vector[zlib.crc32(word.encode()) % _DIMENSIONS] += 1.0
        return (vector / np.linalg.norm(vector)).tolist()


@dataclass
class Overlap:
    """Scores a pair by the share of the query's words that the document has."""

    name: str = "overlap"
    keeps_deadline: bool = True
    seen: list[str] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    def score(self, pairs: Sequence[tuple[str, str]], *, deadline=None) -> PairScores:
        self.calls.append(len(pairs))
        self.seen.extend(text for _, text in pairs)
        values = np.array(
            [
                len(set(words(query)) & set(words(text))) / max(1, len(set(words(query))))
                for query, text in pairs
            ],
            dtype=np.float32,
        )
        count = len(values)
        return PairScores(
            values,
            np.ones(count, dtype=bool),
            np.zeros(count, dtype=bool),
            ScoreKind.PROBABILITY,
            ModelIdentity("overlap"),
            Usage(pairs=count),
        )


@dataclass
class Failing:
    """A scorer whose server is down."""

    error: Exception = field(default_factory=lambda: ConnectionError("refused"))
    name: str = "failing"
    keeps_deadline: bool = True

    def score(self, pairs, *, deadline=None):
        raise self.error


TEXTS = {
    "otter": "River otters sleep afloat and hold hands",
    "cascade": "A cascade of rankers passes few documents to an expensive model",
    "bm25": "BM25 ranks documents by the words they share with a query",
    "rerank": "A cross encoder reads the query and the document together and reranks",
    "vector": "A vector store finds documents near a query",
    "bread": "Bread rises when yeast feeds on sugar",
    "tea": "Tea should steep for three minutes",
    "ship": "The ship left the harbour at dawn",
    "query": "How rankers use a query: few documents, one expensive model, a cascade",
    "apple": "Apple pie. Best served warm",
}


@pytest.fixture
def documents() -> list[Document]:
    return [
        Document(
            id=name,
            page_content=text,
            metadata={
                "topic": "search" if index in {1, 2, 3, 4, 8} else "life",
                "year": 2010 + index,
            },
        )
        for index, (name, text) in enumerate(TEXTS.items())
    ]


@pytest.fixture
def embeddings() -> Embeddings:
    return WordEmbeddings()


@pytest.fixture
def store(documents, embeddings) -> InMemoryVectorStore:
    store = InMemoryVectorStore(embeddings)
    store.add_documents(documents)
    return store


@pytest.fixture
def overlap() -> Overlap:
    return Overlap()


@pytest.fixture
def failing() -> Failing:
    return Failing()


@pytest.fixture(scope="session")
def chroma_client(tmp_path_factory):
    chromadb = pytest.importorskip("chromadb")
    settings = pytest.importorskip("chromadb.config").Settings(anonymized_telemetry=False)
    # all ephemeral clients of a process are one, so tests elsewhere would share this one's settings
    return chromadb.PersistentClient(str(tmp_path_factory.mktemp("chroma")), settings)
