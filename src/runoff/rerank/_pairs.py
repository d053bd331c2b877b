"""Pairs of query text and document text, which every scorer is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["checked", "has_text", "texts"]

_TEXTS = 2  # a pair is a query and a document


def checked(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs as a list of tuples.

    Raises:
        InvalidArgument: a pair is not two strings; names its position.
    """
    found = []
    for index, pair in enumerate(pairs):
        if (
            not isinstance(pair, tuple | list)
            or len(pair) != _TEXTS
            or not all(isinstance(text, str) for text in pair)
        ):
            raise InvalidArgument(f"pairs[{index}]", pair, "must be (query text, document text)")
        found.append((pair[0], pair[1]))
    return found


def has_text(pair: tuple[str, str]) -> bool:
    """Whether neither text is blank; a pair with a blank text is never sent to a server."""
    query, document = pair
    return bool(query.strip() and document.strip())


def texts(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return the distinct queries and every document."""
    return [*dict.fromkeys(query for query, _ in pairs), *(document for _, document in pairs)]
