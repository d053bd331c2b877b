"""`Observations`: the reader of a directory that `watch` writes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from runoff._util.display import html_by
from runoff._util.stored import is_finite
from runoff._util.text import text_key
from runoff.errors import InvalidArgument
from runoff.live._judging.store import store_of
from runoff.live._store import Store
from runoff.live._summary import summarize
from runoff.live._writer import flush

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike
    from pathlib import Path

    from runoff.live._observation import Observation
    from runoff.live._summary import Summary

_PATIENCE = 2.0  # seconds for this process to write what it holds


class Observations:
    """A directory that `watch` writes, read one shard at a time; processes may be writing to it.

    What this process holds is written first; other processes may hold the last five seconds.

    ```python
    for one in Observations("observations/"):
        before = [one.doc_ids[at] for at in one.fused[: one.top_k]]
        after = [one.doc_ids[at] for at in one.reranked[: one.top_k]]
    ```

    Args:
        path: the directory.
        since: only observations from this time on, in seconds since 1970, UTC.

    Raises:
        RecordingNotFound: `watch` never wrote into that directory.
        MissingExtra: pyarrow is not installed.
    """

    def __init__(self, path: str | PathLike[str], *, since: float = 0.0) -> None:
        if not is_finite(since):
            raise InvalidArgument("since", since, "must be seconds since 1970, UTC")
        self._store = Store(path)
        self._store.check_there()
        self.since = since

    @property
    def path(self) -> Path:
        """The directory."""
        return self._store.path

    _repr_html_ = html_by("repr_html", "_notebook")

    def __repr__(self) -> str:
        """Show the directory."""
        return f"Observations({str(self.path)!r})"

    def __iter__(self) -> Iterator[Observation]:
        """Iterate over the observations of all processes, each once, shard by shard.

        Within a process they come in the order of time.

        Raises:
            RecordingDamaged: a shard cannot be read.
            RecordingTooNew: a newer version of runoff wrote one.
        """
        flush(self.path.absolute(), _PATIENCE)
        return (one for one in self._store.each() if one.time >= self.since)

    def summary(self, *, recent: float = 86_400.0, days: float | None = None) -> Summary:
        """Return counts, drops, latencies, what the second stage changed, health and drift.

        Args:
            recent: seconds before the youngest observation that count as lately: health looks at
                these, and drift compares them with those before.
            days: look at the observations of the last days only; None looks at all.

        Raises:
            InvalidArgument: a number is not above 0.
            RecordingDamaged, RecordingTooNew: as for iterating.
        """
        for name, value in (("recent", recent), ("days", days)):
            if value is not None and not (is_finite(value) and value > 0):
                raise InvalidArgument(name, value, "must be a number above 0")
        flush(self.path.absolute(), _PATIENCE)
        since = max(self.since, 0.0 if days is None else time.time() - days * 86_400)
        return summarize(self._store, recent, since)

    def forget(self, *, query: str | None = None, doc_id: str | None = None) -> int:
        """Delete a query's observations, or remove a document from all; later ones are kept.

        Processes that are still writing leave it out of what they hold. A document's id, text and
        the hash of its text become empty; its ranks and scores stay. What `judge` kept goes, too.

        Args:
            query: the question, as it was asked.
            doc_id: the document's id.

        Returns:
            How many observations were deleted or changed.

        Raises:
            InvalidArgument: not exactly one of both is given.
            RecordingDamaged: a shard cannot be read.
        """
        if (query is None) == (doc_id is None):
            raise InvalidArgument("query", query, "give either query or doc_id")
        argument, value = ("query", query) if doc_id is None else ("doc_id", doc_id)
        if not isinstance(value, str):
            raise InvalidArgument(argument, value, "must be a string")
        flush(self.path.absolute(), _PATIENCE)
        grades = store_of(self.path)
        if grades is not None:
            known = {"query_key": text_key(value)} if doc_id is None else {"doc_id": value}
            grades.forget(**known)
        return self._store.forget("query" if doc_id is None else "document", text_key(value))
