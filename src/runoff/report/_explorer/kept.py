"""The last few of what is dear to make."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_T = TypeVar("_T")


class Kept:
    """The last few of what is dear to make, by what they were made for.

    Args:
        many: how many are kept.
    """

    def __init__(self, many: int = 8) -> None:
        self._many = many
        self._made: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """Return what was made for a key, or make it."""
        if key not in self._made:
            self._made[key] = make()
            while len(self._made) > self._many:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        found: _T = self._made[key]
        return found
