"""Metadata that shares no mutable state: copies for results, frozen views for indexes.

Dicts, lists, sets and tuples are followed; other values are kept as they are.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = frozenset({str, int, float, bool, type(None), bytes})
"""Types whose values cannot be changed; checked before a call where speed counts."""
_DICTS = (dict, MappingProxyType)


def isolated(value: Any) -> Any:  # noqa: ANN401 - any metadata
    """Return a copy that can be changed without changing the original."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if isinstance(value, _DICTS):
        return {name: one if type(one) in PLAIN else isolated(one) for name, one in value.items()}
    if isinstance(value, list):
        return [isolated(one) for one in value]
    if kind is tuple:
        return tuple(map(isolated, value))
    if isinstance(value, set):
        return set(value)
    if isinstance(value, np.ndarray):
        return value.copy()
    return value


def frozen(value: Any) -> Any:  # noqa: ANN401 - any metadata
    """Return a copy that cannot be changed, and that equals the original.

    Dicts and lists stay dicts and lists, so that they compare, print and encode as before.
    """
    kind = type(value)
    if kind in PLAIN or kind is _FrozenDict or kind is _FrozenList:
        return value
    if isinstance(value, _DICTS):
        return _FrozenDict(
            {name: one if type(one) in PLAIN else frozen(one) for name, one in value.items()}
        )
    if isinstance(value, list):
        return _FrozenList(map(frozen, value))
    if kind is tuple:
        return tuple(map(frozen, value))
    if isinstance(value, set):
        return frozenset(value)
    if isinstance(value, np.ndarray):
        own = value.copy()
        own.setflags(write=False)
        return own
    return value


def _refuse(*_args: object, **_options: object) -> NoReturn:
    raise TypeError(
        "this metadata belongs to an index and cannot be changed: copy it with copy.deepcopy, or "
        "update the document in the index"
    )


_refuses: Callable[..., Any] = _refuse


class _FrozenDict(dict[Any, Any]):
    """A dict that cannot be changed; copies of it can."""

    __slots__ = ()

    __setitem__ = __delitem__ = __ior__ = _refuses
    clear = pop = popitem = setdefault = update = _refuses

    def copy(self) -> dict[Any, Any]:
        plain: dict[Any, Any] = isolated(self)
        return plain

    __copy__ = copy

    def __deepcopy__(self, memo: object) -> dict[Any, Any]:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


class _FrozenList(list[Any]):
    """A list that cannot be changed; copies of it can."""

    __slots__ = ()

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuses
    append = clear = extend = insert = pop = remove = reverse = sort = _refuses

    def copy(self) -> list[Any]:
        plain: list[Any] = isolated(self)
        return plain

    __copy__ = copy

    def __deepcopy__(self, memo: object) -> list[Any]:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self),)
