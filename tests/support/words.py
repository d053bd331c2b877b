"""A deterministic embedding by words, and the documents and hits that go with it."""

import asyncio

import numpy as np

from runoff.types import Document

DIMENSIONS = 64


def embed(texts):
    """Embed texts by their words: each word adds to one of 64 numbers."""
    rows = np.zeros((len(texts), DIMENSIONS), np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in text.lower().split():
            row[sum(map(ord, word)) % DIMENSIONS] += 1
    return rows


async def aembed_query(text):
    await asyncio.sleep(0)
    return embed([text])[0]


def langchain_words():
    """Return LangChain's `Embeddings` by `embed`."""
    from langchain_core.embeddings import Embeddings

    class Words(Embeddings):
        def embed_documents(self, texts):
            return embed(texts).tolist()

        def embed_query(self, text):
            return embed([text])[0].tolist()

    return Words()


def vectors(*rows):
    """Make an `embed` that looks texts such as "0" up in these vectors."""
    return lambda texts: [rows[int(text)] for text in texts]


def documents(count):
    return [Document(f"d{n}", str(n), {"n": n}) for n in range(count)]


def told(hits):
    return [(hit.doc_id, hit.score) for hit in hits]
