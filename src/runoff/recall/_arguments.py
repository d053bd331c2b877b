"""What every source accepts: documents, a query and a depth, callables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from runoff._util.arguments import is_listed, is_whole
from runoff._util.isolated import frozen
from runoff._util.progress import check_progress, counting
from runoff.errors import InvalidArgument
from runoff.types import Document, Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runoff._util.progress import Wanted

_NO_METADATA = frozen({})  # shared: an empty dictionary for each of a million takes 64 MB

Given: TypeAlias = "Document | str | tuple[str, str]"
"""A document, a text without an id, or an (id, text) pair."""


def as_documents(documents: Iterable[Given]) -> Iterator[Document]:
    """Yield a `Document` for each document, string or (id, text) pair.

    A string is a document without an id of its own: its text identifies it.

    Raises:
        InvalidArgument: `documents` is not an iterable, or an item is not one of the three.
    """
    if isinstance(documents, Mapping) or not is_listed(documents):
        raise InvalidArgument(
            "documents", documents, "must be a list of documents, strings or (id, text) pairs"
        )
    return map(_document, documents)


def counted_documents(documents: Iterable[Given], progress: Wanted) -> Iterable[Given]:
    """Return the documents; if progress is wanted, report each one that is used.

    Raises:
        InvalidArgument: `documents` is not an iterable, or `progress` cannot be one.
    """
    check_progress(progress)
    if not progress:
        return documents
    total = len(documents) if isinstance(documents, Sized) else 0
    return counting(progress, "indexing", as_documents(documents), total)


def _document(given: Any) -> Document:  # noqa: ANN401 - any value a user may pass
    if isinstance(given, Document):
        metadata = frozen(given.metadata) if given.metadata else _NO_METADATA
        return given if metadata is given.metadata else replace(given, metadata=metadata)
    if isinstance(given, str):
        return Document.without_id(given)
    if isinstance(given, tuple) and len(given) == 2:  # noqa: PLR2004 - a pair
        return Document(*given, metadata=_NO_METADATA)
    raise InvalidArgument("documents", given, "must be a Document, a string or an (id, text) pair")


def check_question(query: object, depth: object) -> None:
    """Refuse anything but a `Query` and a depth of 1 or more.

    Raises:
        InvalidArgument: names the argument that is wrong.
    """
    if not isinstance(query, Query):
        raise InvalidArgument("query", query, "must be a runoff.Query: Query(text)")
    if not is_whole(depth):
        raise InvalidArgument("depth", depth, "must be a whole number, 1 or more")


def check_callable(argument: str, value: Any, remedy: str) -> None:  # noqa: ANN401 - it may be anything
    """Refuse a value that cannot be called.

    Raises:
        InvalidArgument: with the remedy.
    """
    if not callable(value):
        raise InvalidArgument(argument, value, remedy)
