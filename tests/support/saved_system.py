"""What version 0.1.0 saved for tests/saved: run with that version, `python saved_system.py FOLDER`.

It uses only names that every version has.
"""

import hashlib
import json
import operator
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runoff import Document, Query, TwoStage
from runoff.errors import InvalidArgument, RecallFailed
from runoff.evaluation import Collection, evaluate, record, verdict
from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.fusion import RRF, Convex, TheoreticalMinMax
from runoff.grouping import Grouping
from runoff.recall import BM25, Embedder, Function
from runoff.rerank import (
    Cached,
    Cascade,
    CrossEncoder,
    DiskCache,
    Fallback,
    HTTPRerank,
    MemoryCache,
    Metered,
    Passages,
    Pointwise,
    Price,
    Retries,
)
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Threshold, Usage

TEXTS = {
    "d1": "The tide rises because the moon pulls the sea.",
    "d2": "Bread rises because yeast makes gas in warm dough.",
    "d3": "A cold dough rises slowly and tastes better.",
    "d4": "Ships wait for the tide before they leave the harbour.",
    "d5": "The moon turns around the earth in a month.",
    "d6": "A clock in the harbour tells when the ships leave.",
}
QUERIES = {
    "q1": "why does bread rise",
    "q2": "what does the moon do",
    "q3": "when do ships leave",
    "q4": "cold dough",
}
RELEVANT = {"q1": {"d2": 1}, "q2": {"d1": 1, "d5": 2}, "q3": {"d4": 1}, "q4": {"d3": 1}}
STOP_AFTER = None  # queries that the embedding answers before it stops the program


def digest(*texts):
    """Return a number made of texts."""
    return int(hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12], 16)


@dataclass(frozen=True)
class Digests:
    """A scorer whose scores are made of the texts."""

    name: str = "digests"
    cache_key: str = "digests-1"

    def score(self, pairs, *, deadline=None):
        """Score pairs."""
        return PairScores(
            np.array([digest(*pair) % 97 / 97 for pair in pairs], np.float32),
            np.ones(len(pairs), np.bool_),
            np.zeros(len(pairs), np.bool_),
            ScoreKind.LOGIT,
            ModelIdentity(self.name, "1"),
            Usage(pairs=len(pairs)),
        )


def documents():
    """Return six documents with metadata."""
    return [
        Document(doc_id, text, {"parent": doc_id[-1], "even": digest(text) % 2 == 0})
        for doc_id, text in TEXTS.items()
    ]


def collection():
    """Return the queries, judged."""
    return Collection(QUERIES, RELEVANT)


def embeddings():
    """Return LangChain embeddings made of words; a global counter may stop the program."""
    from langchain_core.embeddings import Embeddings

    class Words(Embeddings):
        def embed_documents(self, texts):
            return [self._embedded(text) for text in texts]

        def embed_query(self, text):
            global STOP_AFTER  # noqa: PLW0603 - the maker's one switch
            if STOP_AFTER is not None:
                if STOP_AFTER == 0:
                    raise KeyboardInterrupt
                STOP_AFTER -= 1
            return self._embedded(text)

        @staticmethod
        def _embedded(text):
            vector = np.zeros(32)
            for word in text.lower().split():
                vector[digest(word.strip(".")) % 32] += 1
            return vector.tolist()

    return Words()


def hybrid_retriever():
    """Return a LangChain retriever with two stages."""
    from langchain_core.vectorstores import InMemoryVectorStore

    from runoff.langchain import HybridRetriever

    store = InMemoryVectorStore(embeddings())
    store.add_texts(list(TEXTS.values()), ids=list(TEXTS))
    return HybridRetriever.from_vectorstore(store, fusion=RRF(), reranker=Digests(), top_n=3)


def parts():
    """Return what can be pickled, by name."""
    found = {
        "document": documents()[0],
        "query": Query("tide", filters=And(Eq("even", value=True), Not(Range("parent", gte=3)))),
        "filter": Or(In("parent", ("1", "2")), Eq("even", value=False)),
        "rrf": RRF(weights={"bm25": 2.0}),
        "convex": Convex(normalizer=TheoreticalMinMax()),
        "function": Function(operator.add),
        "two_stage": TwoStage({"f": Function(operator.add)}, fusion=RRF(), reranker=None, depth=7),
        "grouping": Grouping("parent", per_group=2),
        "threshold": Threshold(0.5, ScoreKind.LOGIT, "digests"),
        "cross_encoder": CrossEncoder("runoff-mini"),
        "embedder": Embedder(),
        "pointwise": Pointwise(CrossEncoder("runoff-mini"), passages=Passages(m=2)),
        "cascade": Cascade([(CrossEncoder("runoff-mini"), 20), CrossEncoder("runoff-mini")]),
        "fallback": Fallback([CrossEncoder("runoff-mini"), CrossEncoder("runoff-mini")]),
        "http": HTTPRerank("http://127.0.0.1:9", dialect="tei", retries=Retries(1)),
        "cached": Cached(CrossEncoder("runoff-mini"), store=MemoryCache(100)),
        "metered": Metered(CrossEncoder("runoff-mini"), price=Price(per_search_unit=0.002)),
        "invalid": InvalidArgument("depth", 0, "must be 1 or more"),
        "recall_failed": RecallFailed({"bm25": TimeoutError("late")}),
        "collection": collection(),
        "response": pipeline().search("tide", top_k=2),
        "verdict": judged(),
    }
    from runoff.llama_index import RunoffRerank

    found["llama_index_rerank"] = RunoffRerank(top_n=3, reranker=CrossEncoder("runoff-mini"))
    return found


def pipeline():
    """Return a pipeline over BM25."""
    return TwoStage({"bm25": BM25(documents())}, reranker=Digests(), depth=5, window=4)


def judged():
    """Return a verdict."""

    def measured(run):
        return evaluate(run, collection(), ["nDCG@10"])

    before = {query_id: ["d1", "d2", "d3"] for query_id in QUERIES}
    after = {query_id: list(RELEVANT[query_id]) for query_id in QUERIES}
    return verdict(measured(before), measured(after))


def save(folder):
    """Save everything into a new folder."""
    global STOP_AFTER  # noqa: PLW0603 - as above
    folder.mkdir(parents=True)
    BM25(documents(), analyzer="english").save(folder / "bm25")
    record(hybrid_retriever(), collection(), path=folder / "recording", depth=100)
    STOP_AFTER = 2
    try:
        record(hybrid_retriever(), collection(), path=folder / "interrupted", depth=100, workers=1)
    except KeyboardInterrupt:
        STOP_AFTER = None
    cached = Cached(Digests(), store=DiskCache(folder / "scores.sqlite"))
    cached.score([(query, text) for query in QUERIES.values() for text in TEXTS.values()])
    pickles = folder / "pickles"
    pickles.mkdir()
    for name, part in parts().items():
        (pickles / f"{name}.pickle").write_bytes(pickle.dumps(part))
    from runoff.llama_index import RunoffRerank

    reranker = Pointwise(CrossEncoder("runoff-mini"), threshold=Threshold(0.1, "logit"))
    written = RunoffRerank(top_n=3, reranker=reranker).to_dict()
    (folder / "llama_index_rerank.json").write_text(json.dumps(written, indent=1))
    expected = {
        "bm25": [
            hit.document.doc_id
            for hit in BM25(documents(), analyzer="english").retrieve(
                Query("why does bread rise"), depth=6
            )
        ],
        "answers": [one.document.doc_id for one in pipeline().search("tide", top_k=2).results],
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1))


if __name__ == "__main__":
    save(Path(sys.argv[1]))
