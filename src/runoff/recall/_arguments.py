"""The checks that every source makes on what it is asked."""

from __future__ import annotations

from typing import Any

from runoff.errors import InvalidArgument
from runoff.types import Query

__all__ = ["check_callable", "check_question"]


def check_question(query: object, depth: object) -> None:
    """Refuse anything but a `Query` and a depth of 1 or more.

    Raises:
        InvalidArgument: names which of the two is wrong.
    """
    if not isinstance(query, Query):
        raise InvalidArgument("query", query, "must be a runoff.Query: Query(text)")
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
        raise InvalidArgument("depth", depth, "must be a whole number, 1 or more")


def check_callable(argument: str, value: Any, remedy: str) -> None:  # noqa: ANN401 - it may be anything
    """Refuse what cannot be called.

    Raises:
        InvalidArgument: with the remedy.
    """
    if not callable(value):
        raise InvalidArgument(argument, value, remedy)
