"""Translates a filter leaf by leaf to the strongest question that a store answers as it should.

The question keeps every document that the filter keeps, and may keep more: whoever asks checks each
document with `Filter.matches`. Conditions that a store does not answer in this sense are left out
of a conjunction, and make a disjunction and a negation "everything".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from runoff.filters import And, Eq, In, Not, Or, Range

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runoff.filters import Filter

__all__ = ["folded", "one_by_one"]

Form = TypeVar("Form")


def folded(
    wanted: Filter,
    leaf: Callable[[Eq | In | Range], Form | None],
    every: Callable[[Sequence[Form]], Form | None],
    some: Callable[[Sequence[Form]], Form | None],
) -> Form | bool:
    """Return a filter in the form that a store takes; True if nothing of it can be asked.

    Args:
        wanted: the filter.
        leaf: makes one condition; None if the store would drop documents that it keeps.
        every: joins several forms that must all hold; None if the store cannot.
        some: joins several forms of which one must hold; None if the store cannot.

    Returns:
        The form; True, which keeps everything; or False if no document can pass.
    """
    if isinstance(wanted, Not):
        if isinstance(wanted.filter, Not):
            return folded(wanted.filter.filter, leaf, every, some)
        return True  # stores differ most in what a negation does with an absent field
    if isinstance(wanted, And | Or):
        deciding = isinstance(wanted, Or)  # what decides the whole: True in Or, False in And
        parts = [folded(one, leaf, every, some) for one in wanted.filters]
        if any(one is deciding for one in parts):
            return deciding
        forms = [one for one in parts if not isinstance(one, bool)]
        if not forms:
            return not deciding
        if len(forms) == 1:
            return forms[0]
        joined = some(forms) if deciding else every(forms)
        return True if joined is None else joined
    if isinstance(wanted, In) and not wanted.values:
        return False
    made = leaf(wanted)
    return True if made is None else made


def one_by_one(wanted: Eq | In) -> list[Eq]:
    """Return a condition on several values as conditions on one value each."""
    return [wanted] if isinstance(wanted, Eq) else [Eq(wanted.field, one) for one in wanted.values]
