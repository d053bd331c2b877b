"""Pairs of query text and document text, which every scorer is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff.errors import InvalidArgument, RequestRejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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


def check_queries(who: str, queries: Iterable[str]) -> None:
    """Refuse to score when every query is blank: the scores would mean nothing.

    Raises:
        RequestRejected: no query has text.
    """
    if not any(query.strip() for query in queries):
        msg = f"{who}: the query is blank; give it text, or search without a reranker"
        raise RequestRejected(msg)


def has_text(pair: tuple[str, str]) -> bool:
    """Whether neither text is blank; a pair with a blank text is never sent to a server."""
    query, document = pair
    return bool(query.strip() and document.strip())


def texts(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return the distinct queries and every document."""
    return [*dict.fromkeys(query for query, _ in pairs), *(document for _, document in pairs)]
