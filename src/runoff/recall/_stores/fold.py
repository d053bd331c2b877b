"""What a framework's store is asked of a filter: only what it answers as it should.

The question keeps every document that the filter keeps, and may keep more: whoever asks checks each
document with `Filter.matches`. Conditions that a store does not answer in this sense are left out
of a conjunction, and make a disjunction and a negation "everything".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runoff.filters import Eq, In
from runoff.recall._stores.clauses import clause_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runoff.filters import Filter
    from runoff.recall._stores.clauses import Leaf

__all__ = ["folded", "one_by_one"]


def folded(
    wanted: Filter,
    leaf: Callable[[Leaf], Any],
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

    def made(one: Leaf, positive: bool) -> Any:  # noqa: ANN401, FBT001 - as above, as called
        if not positive:
            return True  # stores differ most in what a negation does with an absent field
        if isinstance(one, In) and not one.values:
            return False
        form = leaf(one)
        return True if form is None else form

    def joined(word: str, forms: Sequence[Any]) -> Any:  # noqa: ANN401 - as above
        form = (every if word == "AND" else some)(forms)
        return True if form is None else form

    return clause_of(wanted, made, joined)


def one_by_one(wanted: Eq | In) -> list[Eq]:
    """Return a condition on several values as conditions on one value each."""
    return [wanted] if isinstance(wanted, Eq) else [Eq(wanted.field, one) for one in wanted.values]
