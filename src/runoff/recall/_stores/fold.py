"""Translates a filter leaf by leaf to the strongest question that a store answers as it should.

The question keeps every document that the filter keeps, and may keep more: whoever asks checks each
document with `Filter.matches`. Conditions that a store does not answer in this sense are left out
of a conjunction, and make a disjunction and a negation "everything".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runoff.filters import And, Eq, In, Not, Or, Range

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runoff.filters import Filter

__all__ = ["folded", "one_by_one"]


def folded(
    wanted: Filter,
    leaf: Callable[[Eq | In | Range], Any],
    every: Callable[[Sequence[Any]], Any],
    some: Callable[[Sequence[Any]], Any],
) -> Any:  # noqa: ANN401 - the form is the store's
    """Return a filter in the form that a store takes; True if nothing of it can be asked.

    Args:
        wanted: the filter.
        leaf: makes one condition; None if the store would drop documents that it keeps.
        every: joins several forms that must all hold; None if the store cannot.
        some: joins several forms of which one must hold; None if the store cannot.

    Returns:
        The form; True, which keeps everything; or False if no document can pass.
    """

    def of(one: Filter) -> Any:  # noqa: ANN401 - as above
        if isinstance(one, Not):
            # stores differ most in what a negation does with an absent field
            return of(one.filter.filter) if isinstance(one.filter, Not) else True
        if isinstance(one, And | Or):
            decides = isinstance(one, Or)  # True keeps everything in an Or, False nothing in an And
            parts = [of(inner) for inner in one.filters]
            if any(part is decides for part in parts):
                return decides
            forms = [part for part in parts if not isinstance(part, bool)]
            if len(forms) < 2:  # noqa: PLR2004 - nothing to join
                return forms[0] if forms else not decides
            made = some(forms) if decides else every(forms)
        elif isinstance(one, In) and not one.values:
            return False
        else:
            made = leaf(one)
        return True if made is None else made

    return of(wanted)


def one_by_one(wanted: Eq | In) -> list[Eq]:
    """Return a condition on several values as conditions on one value each."""
    return [wanted] if isinstance(wanted, Eq) else [Eq(wanted.field, one) for one in wanted.values]
