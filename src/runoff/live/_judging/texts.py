"""The texts of what is graded: read from the observations when they are needed, or given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from runoff.errors import InvalidArgument, MissingExtra
from runoff.live._judging.store import FORGOTTEN

try:
    import pyarrow as pa
    import pyarrow.compute as pc
except ModuleNotFoundError as missing:
    raise MissingExtra("pyarrow", "eval") from missing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from runoff.live._judging.differences import Row
    from runoff.live._judging.store import Pair, Taken
    from runoff.live._observation import Observation
    from runoff.live._reader import Reader
    from runoff.live._shards import Shard
    from runoff.live._table import Counts

Texts = Callable[[str], str | None] | Mapping[str, str]
"""Returns the text of a question by its hash, and that of a document by its id."""

Key = tuple[str, str]
"""Of a document: the keys of query and text."""

_COLUMNS = ("id", "query_hash", "text_hashes", "texts")


class Documents:
    """The texts of questions and of documents.

    Those of documents may be more than memory holds. What is kept with an observation is read
    again when it is needed, and only what was given is held.

    Args:
        reader: of the directory of observations.
        given: where observations were kept without texts.

    Attributes:
        questions: query id to text.
        there: the ids of observations that have the texts of all that differs.
    """

    def __init__(self, reader: Reader, given: Texts | None) -> None:
        self._reader = reader
        self._given = given
        self._held: dict[Key, str] = {}
        self._shards: list[tuple[Shard, Counts]] | None = None
        self.questions: dict[str, str] = {}
        self.there: set[str] = set()

    def read(
        self, one: Observation, rows: Iterable[Row], *, hold: bool = False
    ) -> dict[str, str] | None:
        """Return the texts of what differs in an observation by their keys; None if one is missing.

        Args:
            one: the observation.
            rows: what differs.
            hold: keep them in memory.
        """
        query = one.query or self._text(one.query_hash)
        found: dict[str, str] = {}
        missing = query is None
        for row in rows:
            text = one.texts[row.at] if one.texts else self._text(row.doc_id)
            missing |= text is None
            found[row.text_key] = text or ""
        if query is None or missing:
            return None
        self.there.add(one.id)
        if found:
            self.questions[one.query_hash] = query
            if hold or not one.texts:
                self._held.update(((one.query_hash, key), text) for key, text in found.items())
        return found

    def _text(self, key: str) -> str | None:
        if self._given is None or not key:
            return None
        found = self._given.get(key) if isinstance(self._given, Mapping) else self._given(key)
        if found is not None and not isinstance(found, str):
            raise InvalidArgument("texts", found, f"must return texts (for {key!r})")
        return found

    def has(self, query: Taken, pair: Pair) -> bool:
        """Whether there is a text of a document."""
        kept = query.id in self.there and not pair.text_key.startswith(FORGOTTEN)
        return kept or (query.query_key, pair.text_key) in self._held

    def of(self, wanted: Collection[tuple[Taken, Pair]]) -> dict[Key, str]:
        """Return the texts of documents by their keys; without those that are gone."""
        keys = {(query.query_key, one.text_key) for query, one in wanted}
        found = {key: self._held[key] for key in keys if key in self._held}
        kept = {
            query.id: query.time
            for query, one in wanted
            if query.id in self.there and (query.query_key, one.text_key) not in found
        }
        if not kept:
            return found
        if self._shards is None:
            self._shards = self._reader.counts()
        ids, times = pa.array(kept), kept.values()
        for shard, table in self._reader.tables_between(
            min(times), max(times), self._shards, _COLUMNS
        ):
            with self._reader.intact(shard):
                some = table.filter(pc.is_in(table["id"], ids))
                for query, hashes, texts in zip(
                    *(some[name].to_pylist() for name in _COLUMNS[1:]), strict=True
                ):
                    for key, text in zip(hashes, texts, strict=bool(texts)):
                        if (query, key) in keys:
                            found[query, key] = text
        return found
