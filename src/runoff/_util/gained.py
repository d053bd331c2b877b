"""Pickles of version 0.1.0, whose classes had fewer fields."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def gained(*names: str) -> Callable[[Any, Sequence[object]], None]:
    """Return the `__setstate__` of a slotted dataclass that has gained these fields since 0.1.0.

    A pickle lists values in the order of the fields. One without the new fields gets their
    defaults.
    """

    def __setstate__(self: Any, state: Sequence[object]) -> None:  # noqa: ANN401, N807 - any dataclass; it becomes its method
        every = fields(self)
        old = len(state) == len(every) - len(names)
        known = [one.name for one in every if not old or one.name not in names]
        values = dict(zip(known, state, strict=True))
        for one in every:
            value = values.get(one.name, one.default)
            if value is MISSING and one.default_factory is not MISSING:
                value = one.default_factory()
            object.__setattr__(self, one.name, value)

    return __setstate__
