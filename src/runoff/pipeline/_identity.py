"""Decides which hits of different sources are the same document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runoff._util.messages import visible
from runoff._util.text import text_key
from runoff.errors import InvalidArgument
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from runoff.types import Document

_OTHER = " have different texts for "
_USED = rf"(?s){_OTHER}(.+): the text of .+ is used"


def identify(
    rankings: Mapping[str, Sequence[Hit]], id_of: Callable[[Document], str] | None
) -> tuple[dict[str, list[Hit]], list[str]]:
    """Give every hit the key that identifies its document across sources.

    The key is what `id_of` returns; without it, the document's id if every document of every source
    has its own id; otherwise a hash of the text, or the id if the text is blank. With a single
    source nothing is merged: its hits stay apart, even two with the same id. A document that a
    source lists twice counts at its better rank.

    Returns:
        The rankings with keys, and a note for each duplicate and each conflict of texts.
    """
    if len(rankings) == 1 and id_of is None:
        ((name, hits),) = rankings.items()
        return {name: _apart(hits)}, []
    notes: list[str] = []
    own = all(hit.document.own_id for hits in rankings.values() for hit in hits)
    keyed: dict[str, list[Hit]] = {}
    first: dict[str, tuple[str, str]] = {}  # the source and the text
    for name, hits in rankings.items():
        seen: set[str] = set()
        kept: list[Hit] = []
        for hit in hits:
            document = hit.document
            if id_of is not None:
                key = _checked_key(id_of(document), document)
            else:
                key = document.doc_id if own else _text_key(document)
            if key in seen:
                notes.append(f"{name} lists {document.doc_id!r} twice: its better rank counts")
                continue
            seen.add(key)
            if key != hit.key:
                hit = Hit(document, hit.score, hit.score_range, key)  # noqa: PLW2901 - the same hit
            kept.append(hit)
            owner, text = first.setdefault(key, (name, document.text))
            if text != document.text:
                notes.append(
                    f"{name} and {owner}{_OTHER}{document.doc_id!r}: the text of {owner} is used"
                )
        keyed[name] = kept
    return keyed, notes


def other_texts(
    notes: Iterable[str], sources: Iterable[str], doc_ids: Sequence[str]
) -> dict[int, set[str]]:
    """Return the sources whose text is not the one used, as an answer's notes say.

    Returns:
        Position in `doc_ids` to the names of those sources, for documents with such a source.
    """
    said = [(note, found[1]) for note in notes if (found := re.search(_USED, note))]
    if not said:
        return {}
    places = {visible(repr(doc_id)): at for at, doc_id in enumerate(doc_ids)}
    names = list(sources)
    others: dict[int, set[str]] = {}
    for note, shown in said:
        for name in names:
            if shown in places and note.startswith(f"{name} and "):
                others.setdefault(places[shown], set()).add(name)
    return others


def _text_key(document: Document) -> str:
    if not document.own_id and document.doc_id.startswith("text:"):
        return document.doc_id  # it is the hash: 40 texts of 5 MB take a second to hash again
    # a blank text, such as an image's, does not identify a document
    return text_key(document.text) if document.text.strip() else document.doc_id


def _apart(hits: Sequence[Hit]) -> list[Hit]:
    seen: set[str] = set()
    kept = []
    for hit in hits:
        key, count = hit.document.doc_id, 1
        while key in seen:
            count += 1
            key = f"{hit.document.doc_id}#{count}"
        seen.add(key)
        kept.append(hit if key == hit.key else Hit(hit.document, hit.score, hit.score_range, key))
    return kept


def _checked_key(key: object, document: Document) -> str:
    if not isinstance(key, str) or not key:
        remedy = f"must return a non-empty string (document {document.doc_id!r})"
        raise InvalidArgument("id_of", key, remedy)
    return key
