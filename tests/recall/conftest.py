"""Real Chroma collections."""

from __future__ import annotations

import itertools

import numpy as np
import pytest


@pytest.fixture(scope="session")
def chroma_client(chromadb, chroma_settings):
    """Return an embedded client."""
    return chromadb.EphemeralClient(chroma_settings())


@pytest.fixture(scope="session")
def make_collection(chroma_client):
    """Return a maker of collections from ids, embeddings, metadatas and documents."""
    numbers = itertools.count()

    def make(client=None, *, space=None, **records):
        if client is None:
            how = {"configuration": {"hnsw": {"space": space}}} if space else {}
        else:  # a server of chromadb 1.0 tells the space in no other way
            how = {"metadata": {"hnsw:space": space or "l2"}}
        made = (client or chroma_client).create_collection(
            f"collection-{next(numbers)}", embedding_function=None, **how
        )
        if records:
            made.add(**records | {"embeddings": np.asarray(records["embeddings"], np.float32)})
        return made

    return make
