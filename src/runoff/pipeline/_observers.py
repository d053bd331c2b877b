"""Observers of answers, and several of them as one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from runoff._util.messages import error_text
from runoff.types import Response

_logger = logging.getLogger("runoff")

Observer: TypeAlias = Callable[[Response | Callable[[], Response]], object]
"""Called with a response, or with a function that makes it, from parts that make no response."""


@dataclass(frozen=True, slots=True)
class Told:
    """Several observers; an error of one does not keep the next from being called."""

    observers: tuple[Observer, ...]

    def __call__(self, answer: Response | Callable[[], Response]) -> None:
        for one in self.observers:
            tell(one, answer)


def joined(before: Observer | None, more: Observer) -> Observer:
    """Return an observer that calls both the current one and another."""
    if before is None:
        return more
    known = before.observers if isinstance(before, Told) else (before,)
    return Told((*known, more))


def tell(observer: Observer | None, answer: Response | Callable[[], Response]) -> None:
    """Show an observer an answer; what it raises is logged."""
    if observer is None:
        return
    try:
        observer(answer)
    except Exception as error:  # noqa: BLE001 - an answer is worth more than its record
        _logger.warning("the observer failed: %s", error_text(error))
