"""Walks a filter to build a condition in an engine's language that keeps all that the filter keeps.

A condition may keep more than the filter, where the engine cannot express it exactly: sources check
every hit with `Filter.matches`. One that keeps less would lose documents. Negations are pushed down
to the leaves, so that what replaces a leaf that cannot be expressed, "everything", stays on the
safe side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar

from runoff.filters import And, Eq, In, Not, Or, Range

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runoff.filters import Filter

__all__ = ["Leaf", "clause_of"]

Leaf: TypeAlias = "Eq | In | Range"
_C = TypeVar("_C")

_MOST_LEAVES = 1000


def clause_of(
    wanted: Filter,
    leaf: Callable[[Leaf, bool], _C | bool],
    joined: Callable[[str, Sequence[_C]], _C],
    *,
    deepest: int = 50,
) -> _C | bool:
    """Return the condition for a filter; True keeps everything, False nothing.

    Args:
        wanted: the filter.
        leaf: returns the condition for an `Eq`, `In` or `Range`, or for its negation if its second
            argument is False.
        joined: joins two or more conditions by `"AND"` or `"OR"`.
        deepest: how deep conditions may be nested; databases parse by recursion.
    """
    left = [_MOST_LEAVES]

    def of(one: Filter, depth: int, *, positive: bool) -> _C | bool:
        if depth > deepest:
            return True
        if isinstance(one, Not):
            return of(one.filter, depth, positive=not positive)
        if isinstance(one, And | Or):
            every = isinstance(one, And) == positive
            parts: list[_C] = []
            for inner in one.filters:
                part = of(inner, depth + 1, positive=positive)
                if isinstance(part, bool):
                    if part != every:
                        return part
                else:
                    parts.append(part)
            if not parts:
                return every
            return parts[0] if len(parts) == 1 else joined("AND" if every else "OR", parts)
        left[0] -= 1
        return leaf(one, positive) if left[0] >= 0 else True

    return of(wanted, 0, positive=True)
