"""What a token store holds in this process: a shelf for each model, under one lock."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import TYPE_CHECKING

from runoff._tokens.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runoff._tokens.frequencies import Frequencies
    from runoff._tokens.vectors import TokenVectors

__all__ = ["Held"]

_logger = logging.getLogger("runoff.rerank")


class Held:
    """Shelves by model; a copy or pickle starts empty."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._shelves: dict[str, Shelf] = {}
        self._warned = False
        _all.add(self)

    def get(self, model: str, keys: Sequence[bytes]) -> list[TokenVectors | None]:
        """Return what there is under these keys."""
        with self._lock:
            return self._shelf(model).get(keys)

    def put(self, model: str, entries: Mapping[bytes, TokenVectors], most: int) -> None:
        """Add documents, and drop those used least recently beyond so many bytes."""
        with self._lock:
            shelf = self._shelf(model)
            shelf.put(entries)
            others = sum(one.nbytes for one in self._shelves.values()) - shelf.nbytes
            dropped = shelf.shrink(max(most - others, 0))
        if dropped and not self._warned:
            self._warned = True
            _logger.warning(
                "the token store is full (max_bytes=%s): documents used least recently are dropped "
                "and encoded again when they are needed",
                f"{most:,}",
            )

    def delete(self, keys: Sequence[bytes]) -> int:
        """Delete documents of every model, and return how many keys there were."""
        with self._lock:
            return sum(
                sum(shelf.drop([key]) for shelf in self._shelves.values()) > 0 for key in keys
            )

    def frequencies(self, model: str) -> Frequencies:
        """Return in how many documents each token occurs."""
        with self._lock:
            return self._shelf(model).counts.shown()

    @property
    def nbytes(self) -> int:
        """The bytes held."""
        with self._lock:
            return sum(one.nbytes for one in self._shelves.values())

    def __len__(self) -> int:
        """Return the number of documents, each counted once for a model."""
        with self._lock:
            return sum(len(one.held) for one in self._shelves.values())

    def __reduce__(self) -> tuple[type[Held], tuple[()]]:
        """Keep nothing in a copy."""
        return Held, ()

    def forked(self) -> None:
        """Start empty in a forked process: a thread that is not there may have been writing."""
        self._lock = threading.RLock()
        self._shelves = {}

    def _shelf(self, model: str) -> Shelf:
        return self._shelves.setdefault(model, Shelf())


_all: weakref.WeakSet[Held] = weakref.WeakSet()


def _after_fork() -> None:
    for held in list(_all):
        held.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
