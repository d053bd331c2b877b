"""Several filters as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff.filters import And

if TYPE_CHECKING:
    from runoff.filters import Filter


def joined(*filters: Filter | None) -> Filter | None:
    """Return the filter that keeps what all of them keep; None if there are no filters."""
    given = list(dict.fromkeys(one for one in filters if one is not None))
    return And(*given) if len(given) > 1 else given[0] if given else None
