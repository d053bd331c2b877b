"""LangChain's Qdrant store over the server's engine, under an index of integers."""

import itertools

import pytest
from words import embed

pytest.importorskip("qdrant_edge", reason="Qdrant Edge is not installed: make test-engines")
pytest.importorskip("langchain_qdrant", reason="LangChain's store is not installed")
from edge import Client, shard
from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore

from runoff.filters import Eq, In, Not, Range
from runoff.langchain import TwoStageRetriever
from runoff.types import Document

VALUES = (0, 1, 2, -1, 0.5, 1.0, [2, 1.0], [1, 0.5], [1.5, 3], "a", None, True, [], -2.5, 2**60)
HELD = [Document(str(number), "fish", {"x": one}) for number, one in enumerate(VALUES)]
LEAVES = [
    *(Eq("x", value) for value in (0, 1, 2, 0.5, -2.5, 2.0, 2**60)),
    *(In("x", values) for values in ((1, 0.5), (2, 3, "a"))),
    *(Range("x", gt=low, lt=low + 2.5) for low in (-3, -0.5, 0, 0.2)),
    Range("x", gte=1.5),
    Range("x", lte=-0.5),
]


class Words(Embeddings):
    def embed_documents(self, texts):
        return embed(texts)[:, :2].tolist()

    def embed_query(self, text):
        return [1.0, 0.0]


@pytest.mark.parametrize("created_at", [None, "2026-11-30"])
@pytest.mark.parametrize("lists", [None, "integer", "float", "datetime"])
def test_filters_are_exact(tmp_path, lists, created_at):
    """Numbers in lists, fractions and large numbers are found, whatever index the lists have."""
    indexes = [("metadata.x", "integer"), *([("metadata.x[]", lists)] if lists else [])]
    rows = [[100.0 - number, 0.0] for number in range(len(HELD))]
    client = Client(shard(tmp_path, HELD, rows, indexes=indexes), 2, created_at)
    store = QdrantVectorStore(client, "docs", Words(), validate_collection_config=False)
    retriever = TwoStageRetriever(retriever=store, reranker=None, k=50, depth=50)
    for leaf, negated in itertools.product(LEAVES, (False, True)):
        wanted = Not(leaf) if negated else leaf
        found = {one.metadata["_id"] for one in retriever.invoke("fish", filter=wanted)}
        assert found == {n for n, one in enumerate(HELD) if wanted.matches(one.metadata)}, wanted
