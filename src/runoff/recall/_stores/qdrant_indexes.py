"""Which numbers a Qdrant collection's payload indexes have, as far as the server says it.

A condition on a payload key asks the key's index in place of the payload, if that answers it. An
index of integers answers ranges and has no fractions; one of times answers them too, and has texts
that are times, as numbers. Servers before 1.17 leave whole floats out as well, and what they built
stays: only collections that a server from 1.20 on made, which says when, are known to have them.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from runoff.errors import FilterNotSupported
from runoff.filters import And, Not, Or, Range
from runoff.recall._stores.clauses import bounds_of, values_of

if TYPE_CHECKING:
    from runoff.filters import Filter

_logger = logging.getLogger("runoff")
_PARTS = re.compile(r'"[^"]*"|\[\d*\]|[^."\[\]]+')
_told: set[tuple[str, str]] = set()  # collections and keys of which payloads are read


def _quoted(key: str) -> str:
    """Return a payload key as it compares: Qdrant quotes other names in it than runoff."""
    return "".join(one if one[0] in '"[' else f'"{one}"' for one in _PARTS.findall(key))


class Indexes:
    """The payload indexes of a collection.

    Args:
        collection: its name.
        info: what `get_collection` returned; None if it has no index.
        known: whether anything is known of it.
    """

    __slots__ = ("_collection", "_known", "_strict", "_types", "has_whole_floats")

    def __init__(self, collection: str = "", info: Any = None, *, known: bool = True) -> None:  # noqa: ANN401 - of qdrant_client
        self._collection, self._known = collection, known
        self._types: dict[str, str] = {}
        self._strict = False
        self.has_whole_floats = getattr(info, "created_at", None) is not None
        if info is None or not info.payload_schema:
            return
        strict = getattr(info.config, "strict_mode_config", None)
        if strict is not None and strict.enabled:
            self._strict = strict.unindexed_filtering_retrieve is False
        # while the server optimizes, points that were overwritten are counted as they were
        counted = info.points_count is not None and str(info.status) == "green"
        queue = getattr(info, "update_queue", None)
        counted = counted and not getattr(queue, "deferred_points", None)
        for key, one in info.payload_schema.items():
            kind = str(one.data_type)
            whole = kind == "integer" and counted and one.points >= info.points_count
            self._types[_quoted(key)] = "whole" if whole else kind

    def of(self, key: str) -> str | None:
        """Return the type of a key's index, None for no index.

        It is `"whole"` for an index of integers that has all points, and `"unknown"` if nothing is
        known.
        """
        return self._types.get(_quoted(key)) if self._known else "unknown"

    def finds_in_lists(self, key: str, wanted: Filter) -> bool:
        """Whether a condition on the elements of a key's lists finds every number.

        Without an index of floats on them Qdrant reads every payload: a warning says so once.

        Raises:
            FilterNotSupported: the collection's strict mode refuses that.
        """
        kind = self.of(f"{key}[]")
        if kind in {"integer", "whole", "datetime"}:
            return False
        if kind == "float":
            return True
        remedy = (
            f"the index of integers on {key!r} may lack numbers in lists: call "
            f"client.create_payload_index({self._collection!r}, {key + '[]'!r}, 'float')"
        )
        if self._strict:
            raise FilterNotSupported("filters", wanted, remedy)
        if (self._collection, key) not in _told:
            _told.add((self._collection, key))
            _logger.warning(
                "Qdrant reads every payload of %r for a filter on a number, since %s",
                self._collection, remedy,
            )  # fmt: skip
        return True


def indexes_of(store: Any, wanted: Filter) -> Indexes:  # noqa: ANN401 - a framework's store
    """Read the indexes of a framework's Qdrant store, if a filter asks for a number.

    Nothing is known of them if they cannot be read, or if the store has no synchronous client.
    """
    if not has_number(wanted):
        return Indexes()
    client, name = store.client, store.collection_name
    if client is None:
        return Indexes(name, known=False)
    try:
        return Indexes(name, client.get_collection(name))
    except Exception:  # noqa: BLE001 - the search itself says what is wrong
        return Indexes(name, known=False)


def has_number(wanted: Filter) -> bool:
    """Whether a filter asks for a number, which an index may lack."""
    if isinstance(wanted, Not):
        return has_number(wanted.filter)
    if isinstance(wanted, And | Or):
        return any(map(has_number, wanted.filters))
    asked = bounds_of(wanted).values() if isinstance(wanted, Range) else values_of(wanted)
    return any(isinstance(value, int | float) and not isinstance(value, bool) for value in asked)
