"""What was forgotten on request, for observations that writers still hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from runoff._util.stored import is_finite, is_text, parse_json, read_stored
from runoff._util.text import text_key
from runoff.errors import RecordingDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runoff.live._observation import Observation

Kind: TypeAlias = Literal["query", "document"]
_REMEMBERED = 86_400.0  # seconds: longer than any writer holds an observation back


class _Forgotten(NamedTuple):
    """A query or a document: its kind, the hash of its text or id, and when it was forgotten."""

    kind: Kind
    key: str
    time: float

    def applied(self, one: Observation) -> Observation | None:
        """Return an observation without the document, or None if its query is forgotten.

        One that is younger, or has neither, is returned as it is.
        """
        if one.time > self.time:
            return one
        if self.kind == "query":
            return None if one.query_hash == self.key else one
        gone = [text_key(doc_id) == self.key for doc_id in one.doc_ids]
        if not any(gone):
            return one

        def blanked(values: tuple[str, ...]) -> tuple[str, ...]:
            pairs = zip(values, gone, strict=True)
            return tuple("" if it else value for value, it in pairs)

        texts = blanked(one.texts) if one.texts else ()
        ids, hashes = blanked(one.doc_ids), blanked(one.text_hashes)
        return replace(one, doc_ids=ids, text_hashes=hashes, texts=texts)


class Tombstones:
    """What was forgotten in the last day, as a file that every writer reads before it writes.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: tuple[int, int] | None = None
        self._all: list[_Forgotten] = []

    def look(self) -> bool:
        """Read the file, if it changed, and return whether it did.

        Raises:
            RecordingDamaged: it holds something else.
        """
        try:
            info = self.path.stat()
            known = (info.st_ino, info.st_mtime_ns)
            if known == self._known:
                return False
            self._all = _parsed(parse_json(read_stored(self.path)))
        except FileNotFoundError:
            return False
        except (OSError, ValueError, TypeError) as error:
            msg = f"{self.path} cannot be read ({error}): delete it and forget again"
            raise RecordingDamaged(msg) from error
        self._known = known
        return True

    def with_more(self, kind: Kind, key: str, now: float) -> bytes:
        """Return the file's new content, with one thing more that is forgotten."""
        self.look()
        fresh = [one for one in self._all if now - one.time < _REMEMBERED]
        return json.dumps([*fresh, _Forgotten(kind, key, now)]).encode()

    def apply(self, observations: Iterable[Observation]) -> list[Observation]:
        """Return observations without what was forgotten; others are returned as they are."""
        self.look()
        kept = []
        for given in observations:
            one: Observation | None = given
            for gone in self._all:
                if one is not None:
                    one = gone.applied(one)
            if one is not None:
                kept.append(one)
        return kept


def _parsed(stored: object) -> list[_Forgotten]:
    if not isinstance(stored, list) or not all(
        kind in {"query", "document"} and is_text(key) and is_finite(at) for kind, key, at in stored
    ):
        msg = "it is not a list of kinds, hashes and times"
        raise ValueError(msg)
    return [_Forgotten(kind, key, at) for kind, key, at in stored]
