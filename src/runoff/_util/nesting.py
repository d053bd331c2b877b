"""How deep things are nested, found without recursion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEEPEST_FILTER = 100
"""How many levels a filter may have: it is walked, compared and pickled by recursion."""


def is_deeper(value: object, limit: int, inner: Callable[[Any], Iterable[Any]]) -> bool:
    """Whether something has more levels than `limit`; what contains nothing has none.

    Args:
        value: the outermost.
        limit: levels that it may have.
        inner: returns what one of them contains.
    """
    level: dict[int, object] = {id(value): value}  # one that is contained twice is looked into once
    for _ in range(limit + 1):
        level = {id(one): one for outer in level.values() for one in inner(outer)}
        if not level:
            return False
    return True
