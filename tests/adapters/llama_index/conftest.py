"""A small corpus, a deterministic embedding, a fast reranker and an LLM that answers the same."""

import hashlib
import importlib.util
import sys
import threading
import time
import types

import numpy as np
import pytest

if importlib.util.find_spec("llama_index") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    from llama_index.core import VectorStoreIndex
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.llms import MockLLM
    from llama_index.core.postprocessor import SentenceTransformerRerank
    from llama_index.core.schema import NodeWithScore, TextNode

    from runoff.scores import ModelIdentity, PairScores, ScoreKind

    TEXTS = {
        "csv-dict": "read a csv file row by row as dictionaries with DictReader",
        "csv-plain": "a csv reader returns each row as a list of strings",
        "json-load": "load a json file into dictionaries",
        "path-glob": "find files in a folder by pattern",
        "thread": "run a function in a thread",
        "async": "run a coroutine until it is complete",
        "regex": "match a pattern in strings",
        "date": "parse a date from a string",
        "zip": "read a file inside a zip archive",
        "sort": "sort dictionaries by value",
    }

    class WordEmbedding(BaseEmbedding):
        """A bag of hashed words: the same on every machine, and nothing to download."""

        def _vector(self, text):
            vector = np.zeros(128)
            for word in text.lower().split():
                vector[int(hashlib.md5(word.encode()).hexdigest(), 16) % 128] += 1
            return (vector / (np.linalg.norm(vector) or 1)).tolist()

        def _get_query_embedding(self, query):
            return self._vector(query)

        def _get_text_embedding(self, text):
            return self._vector(text)

        async def _aget_query_embedding(self, query):
            return self._vector(query)

    class Overlap:
        """Scores a pair by the share of the query's words in the text, and keeps the texts."""

        model = "overlap"
        keeps_deadline = False

        def __init__(self, delay=0.0, error=None, unscored=()):
            self.read = []
            self.delay = delay
            self.error = error
            self.unscored = set(unscored)
            self.lock = threading.Lock()

        def score(self, pairs, *, deadline=None):
            time.sleep(self.delay)
            if self.error is not None:
                raise self.error
            with self.lock:
                self.read += [text for _, text in pairs]
            values = np.array([self.value(*pair) for pair in pairs], np.float32)
            scored = np.array([not any(one in text for one in self.unscored) for _, text in pairs])
            return PairScores(
                values,
                scored,
                np.zeros(len(pairs), bool),
                ScoreKind.LOGIT,
                ModelIdentity("overlap"),
                reason="" if scored.all() else "timeout",
            )

        @staticmethod
        def value(query, text):
            words = query.lower().split()
            return 10 * sum(word in text.lower().split() for word in words) / len(words)

    @pytest.fixture
    def overlap():
        """Make a scorer that counts shared words."""
        return Overlap

    @pytest.fixture
    def nodes():
        """Ten nodes with a language and a number each."""
        return [
            TextNode(id_=doc_id, text=text, metadata={"lang": "en", "number": number})
            for number, (doc_id, text) in enumerate(TEXTS.items())
        ]

    @pytest.fixture
    def scored(nodes):
        """The nodes as a retriever returns them, best first by a falling score."""
        return [NodeWithScore(node=node, score=1 - place / 10) for place, node in enumerate(nodes)]

    @pytest.fixture
    def embed_model():
        """Hashed words."""
        return WordEmbedding()

    @pytest.fixture
    def index(nodes, embed_model):
        """A vector index in memory: SimpleVectorStore."""
        return VectorStoreIndex(nodes, embed_model=embed_model)

    @pytest.fixture
    def llm():
        """An LLM that gives back its prompt."""
        return MockLLM()

    @pytest.fixture
    def collection():
        chromadb = pytest.importorskip("chromadb")
        client = chromadb.EphemeralClient(chromadb.Settings(anonymized_telemetry=False))
        name = "hybrid"
        if name in [one.name for one in client.list_collections()]:
            client.delete_collection(name)
        return client.create_collection(name, metadata={"hnsw:space": "cosine"})

    @pytest.fixture
    def chroma(collection, nodes, embed_model):
        """A vector index over Chroma, whose docstore is empty."""
        chroma = pytest.importorskip("llama_index.vector_stores.chroma")
        store = chroma.ChromaVectorStore(chroma_collection=collection)
        index = VectorStoreIndex.from_vector_store(store, embed_model=embed_model)
        index.insert_nodes(nodes)
        return index

    @pytest.fixture(params=["simple", "chroma"])
    def both(request, index):
        """The same nodes in a store that keeps no text, and in one that does."""
        return index if request.param == "simple" else request.getfixturevalue("chroma")

    @pytest.fixture
    def peer(monkeypatch, overlap):
        """LlamaIndex's own local reranker over a stand-in for the model library it loads."""

        class Model:
            read = None
            values = None

            def __init__(self, name, **options):
                self.options = options

            def predict(self, pairs):
                self.read += [text for _, text in pairs]
                values = self.values or [overlap.value(*pair) for pair in pairs]
                return np.array(values, np.float32)

        Model.read = []
        library = types.ModuleType("sentence_transformers")
        library.CrossEncoder = Model
        monkeypatch.setitem(sys.modules, "sentence_transformers", library)

        def make(**options):
            return SentenceTransformerRerank(device="cpu", **options)

        make.model = Model
        return make
