"""Reads a Chroma collection into an index."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from runoff._util.arguments import count
from runoff.types import Document

if TYPE_CHECKING:
    from runoff.recall._bm25.bm25 import BM25


def add_collection(index: BM25, collection: Any, batch: int) -> None:  # noqa: ANN401 - chromadb need not be installed
    """Add the documents of a collection, so many at a time; see `BM25.from_chroma`.

    Raises:
        InvalidArgument: `batch` is not a whole number, 1 or more.
    """
    batch = count("batch", batch)
    read = without = 0
    while True:
        found = collection.get(limit=batch, offset=read, include=["documents", "metadatas"])
        records = [*zip(found["ids"], found["documents"], found["metadatas"], strict=True)]
        if not records:
            break
        read += len(records)
        index.add(
            Document(one, text, data or {}) for one, text, data in records if text is not None
        )
        without += sum(text is None for _, text, _ in records)
    if without:
        warnings.warn(
            f"{without} of {read} records of the Chroma collection {collection.name!r} have no "
            "document, so BM25 cannot find them",
            stacklevel=3,
        )
