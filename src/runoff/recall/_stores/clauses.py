"""Walks a filter to build a condition in an engine's language that keeps all that the filter keeps.

A condition may keep more than the filter, where the engine cannot express it exactly: whoever asks
checks every document with `Filter.matches`. One that keeps less would lose documents. Negations are
pushed down to the leaves, so that what replaces a leaf that cannot be expressed, "everything",
stays on the safe side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from runoff.filters import And, Eq, In, Not, Or, Range

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runoff.filters import Filter, Scalar

Leaf: TypeAlias = "Eq | In | Range"
_C = TypeVar("_C")

LARGEST_EXACT = 2**53
"""The largest number up to which a float is exact for every whole number."""

_MOST_LEAVES = 1000
_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def values_of(one: Eq | In) -> Sequence[Scalar]:
    return (one.value,) if isinstance(one, Eq) else one.values


def bounds_of(one: Range) -> dict[str, Any]:
    """Return the bounds that are given by their signs, such as `">="`: all numbers or all times."""
    bounds = {sign: getattr(one, name) for name, sign in _SIGNS.items()}
    return {sign: bound for sign, bound in bounds.items() if bound is not None}


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


def folded(
    wanted: Filter,
    leaf: Callable[[Leaf], Any],
    every: Callable[[Sequence[Any]], Any],
    some: Callable[[Sequence[Any]], Any],
) -> Any:  # noqa: ANN401 - the form is the store's
    """Return the part of a filter that a framework's store applies; True keeps all, False nothing.

    Negations are left out: stores differ most in what these do with an absent field.

    Args:
        wanted: the filter.
        leaf: makes one condition; None if the store would drop documents that it keeps.
        every: joins several forms that must all hold; None if the store cannot.
        some: joins several forms of which one must hold; None if the store cannot.
    """

    def made(one: Leaf, positive: bool) -> Any:  # noqa: ANN401, FBT001 - as above, as called
        if not positive:
            return True
        if isinstance(one, In) and not one.values:
            return False
        form = leaf(one)
        return True if form is None else form

    def joined(word: str, forms: Sequence[Any]) -> Any:  # noqa: ANN401 - as above
        form = (every if word == "AND" else some)(forms)
        return True if form is None else form

    return clause_of(wanted, made, joined)
