"""Scores of pairs kept in the memory of this process."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runoff._util.arguments import is_whole, plain_numbers
from runoff._util.fork import in_child
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from runoff.rerank._cache.entry import Entry


class _Recent:
    """The entries, least recently used first; a copy or pickle starts empty."""

    __slots__ = ("__weakref__", "entries", "lock")

    def __init__(self) -> None:
        self.entries: OrderedDict[bytes, Entry] = OrderedDict()
        self.lock = threading.Lock()
        _all.add(self)

    def __reduce__(self) -> tuple[type[_Recent], tuple[()]]:
        return _Recent, ()


_all: weakref.WeakSet[_Recent] = weakref.WeakSet()


@in_child
def _after_fork() -> None:
    for recent in list(_all):  # a thread that is not in this process may hold the lock
        recent.lock = threading.Lock()
        recent.entries = OrderedDict()


@dataclass(frozen=True, slots=True)
class MemoryCache:
    """Scores kept in this process; the least recently used are discarded first.

    Attributes:
        max_entries: the most pairs kept; one takes about 250 bytes. Texts are not kept.

    Raises:
        InvalidArgument: `max_entries` is not a whole number above 0.
    """

    max_entries: int = 10_000
    _recent: _Recent = field(default_factory=_Recent, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        most = self.max_entries
        if not is_whole(most):
            raise InvalidArgument("max_entries", most, "must be a number of pairs above 0")
        plain_numbers(self, "max_entries")

    def __len__(self) -> int:
        return len(self._recent.entries)

    def __bool__(self) -> bool:
        """Return True: an empty cache is a cache."""
        return True

    @property
    def scope(self) -> Hashable:
        """What tells this cache from others."""
        return self._recent

    def get(self, keys: Iterable[bytes], patience: float = 0.0) -> dict[bytes, Entry]:
        """Return the entries there are; `patience` is not needed here."""
        del patience
        found = {}
        with self._recent.lock:
            for key in keys:
                entry = self._recent.entries.get(key)
                if entry is not None:
                    self._recent.entries.move_to_end(key)
                    found[key] = entry
        return found

    def put(self, entries: Mapping[bytes, Entry], patience: float = 0.0) -> None:
        """Keep entries; `patience` is not needed here."""
        del patience
        with self._recent.lock:
            kept = self._recent.entries
            kept.update(entries)
            for key in entries:
                kept.move_to_end(key)
            while len(kept) > self.max_entries:
                kept.popitem(last=False)

    def clear(self) -> None:
        """Forget every score."""
        with self._recent.lock:
            self._recent.entries.clear()
