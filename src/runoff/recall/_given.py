"""What an index takes for a document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from runoff.errors import InvalidArgument
from runoff.types import Document

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Given", "as_documents"]

Given: TypeAlias = "Document | str | tuple[str, str]"
"""A document, a text without an id, or an (id, text) pair."""


def as_documents(documents: Iterable[Given]) -> Iterator[Document]:
    """Yield a `Document` for each document, string or (id, text) pair.

    A string is a document without an id of its own: its text identifies it.

    Raises:
        InvalidArgument: `documents` is not an iterable of documents, or one is none.
    """
    if isinstance(documents, str | bytes | Mapping) or not isinstance(documents, Iterable):
        raise InvalidArgument(
            "documents", documents, "must be a list of documents, strings or (id, text) pairs"
        )
    return map(_document, documents)


def _document(given: Any) -> Document:  # noqa: ANN401 - whatever the user passed
    if isinstance(given, Document):
        return given
    if isinstance(given, str):
        return Document.without_id(given)
    if isinstance(given, tuple) and len(given) == 2:  # noqa: PLR2004 - a pair
        return Document(*given)
    raise InvalidArgument("documents", given, "must be a Document, a string or an (id, text) pair")
