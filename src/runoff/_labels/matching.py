"""Judged texts found again among documents: answers given as text, and ids that changed.

A text counts as found where its words stand in a document in a row, or the other way around. Else
the documents count that share most of its three-word sequences with it (containment of shingles:
Broder 1997).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runoff._labels.oddities import lasting
from runoff._labels.sheet import known_documents
from runoff._util.messages import number_of, short_repr
from runoff._util.text import words
from runoff.errors import InvalidArgument
from runoff.types import Document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runoff._labels.collection import Collection

_SHINGLE = 3  # words
_MOST = 5  # documents that a short text may be in
_SHORT = 5  # words
_EXAMPLES = 3
_NO_LETTERS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class _Match:
    """Where a text was found.

    Attributes:
        ids: of the documents.
        share: of the text's sequences of words that the best document has.
        exact: whether its words stand there in a row.
        everywhere: whether it is too short to say which of many documents is meant.
    """

    ids: tuple[str, ...] = ()
    share: float = 0.0
    exact: bool = False
    everywhere: bool = False


def matched(collection: Collection, documents: object, least: float) -> Collection:
    """Return a collection whose judgments are of these documents; see `match_by_text`."""
    if isinstance(least, bool) or not isinstance(least, int | float) or not 0 < least <= 1:
        raise InvalidArgument("least", least, "must be a share above 0 and at most 1")
    found = _documents(documents)
    judged = dict.fromkeys(doc_id for grades in collection.qrels.values() for doc_id in grades)
    own = collection.documents or {}
    texts = {doc_id: own[doc_id].text for doc_id in judged if doc_id in own}
    if not texts:
        remedy = (
            "has no texts for its judged documents: pass them to it as documents= "
            "(--judged-documents)"
        )
        raise InvalidArgument("collection", collection, remedy)
    places = _places(texts, found, least)
    for doc_id in judged:  # a text is not needed where the id is still right
        if doc_id not in texts and doc_id in found:
            places[doc_id] = _Match((doc_id,), 1.0, exact=True)
    if not any(one.ids for one in places.values()):
        best = max(places, key=lambda one: places[one].share)
        remedy = (
            f"none of {number_of(len(texts), 'judged text')} is in these documents; the nearest is "
            f"{short_repr(texts.get(best, ''))}, with {places[best].share:.0%} of its three-word "
            "sequences"
        )
        raise InvalidArgument("documents", number_of(len(found), "document"), remedy)
    qrels: dict[str, dict[str, int]] = {}
    for query_id, grades in collection.qrels.items():
        new = qrels.setdefault(query_id, {})
        for doc_id, grade in grades.items():
            for one in places.get(doc_id, _Match()).ids:
                new[one] = max(grade, new.get(one, grade))
    notes = [note for note in lasting(collection) if "call match_by_text()" not in note]
    return replace(
        collection,
        qrels=qrels,
        documents=found,
        parents=None,
        notes=(*notes, *_notes(judged, texts, places, least)),
    )


def _documents(given: object) -> dict[str, Document]:
    """Return documents by id; of a recording, those that it found.

    Raises:
        InvalidArgument: there is no document with a text.
    """
    if hasattr(given, "setup") and hasattr(given, "query_ids"):
        found = {
            doc_id: Document(doc_id, text)
            for query in given  # type: ignore[attr-defined] # a recording
            for doc_id, text in zip(query.doc_ids, query.texts, strict=bool(query.texts))
        }
        if not found:
            remedy = "was made without texts: pass the documents, or record(..., texts=True)"
            raise InvalidArgument("documents", given, remedy)
        return found
    found_or_none, _ = known_documents(given)
    if not found_or_none:
        raise InvalidArgument("documents", given, "must be documents, or map ids to texts")
    return found_or_none


def _places(
    texts: Mapping[str, str], documents: Mapping[str, Document], least: float
) -> dict[str, _Match]:
    """Return where each text is found."""
    split = {doc_id: _words(text) for doc_id, text in texts.items()}
    sets = {doc_id: _shingles(found, min(_SHINGLE, len(found))) for doc_id, found in split.items()}
    having: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for doc_id, shingles in sets.items():
        for one in shingles:
            having[one].append(doc_id)
    sizes = {len(one) for one in having}
    known = frozenset(having)
    near: defaultdict[str, list[tuple[float, bool, str]]] = defaultdict(list)
    for chunk_id, document in documents.items():
        there = _words(document.text)
        every = {size: _shingles(there, size) for size in sizes}
        counts = Counter(
            doc_id for held in every.values() for one in held & known for doc_id in having[one]
        )
        for doc_id, count in counts.items():
            share = count / len(sets[doc_id])
            size = min(_SHINGLE, len(split[doc_id]))
            # a document that is a part of the text
            inside = count / len(every[size]) if len(there) >= _SHORT else 0.0
            best = max(share, inside)
            exact = best == 1 and _row(split[doc_id], there)
            near[doc_id].append((best, exact, chunk_id))
    return {doc_id: _match(near[doc_id], len(split[doc_id]), least) for doc_id in texts}


def _match(found: list[tuple[float, bool, str]], length: int, least: float) -> _Match:
    if not found:
        return _Match()
    exact = tuple(chunk_id for _, whole, chunk_id in found if whole)
    best = max(share for share, _, _ in found)
    if exact:
        if length < _SHORT and len(exact) > _MOST:
            return _Match((), best, everywhere=True)
        return _Match(exact, 1.0, exact=True)
    if length < _SHORT or best < least:  # so few words are the same by chance
        return _Match((), best)
    return _Match(tuple(chunk_id for share, _, chunk_id in found if share == best), best)


def _notes(
    judged: Iterable[str], texts: Mapping[str, str], places: Mapping[str, _Match], least: float
) -> list[str]:
    every = list(judged)
    good = [one for one in every if places.get(one, _Match()).ids]
    near = sum(not places[one].exact for one in good)
    lost = [one for one in every if one not in set(good)]
    note = (
        f"Matched by text: {len(good)} of {number_of(len(every), 'judged text')} "
        f"({len(good) / len(every):.0%}), {len(good) - near} word by word and {near} nearly (at "
        f"least {least:.0%} of their sequences of three words)."
    )
    if lost:
        shown = ", ".join(
            f"{short_repr(texts.get(one, one))} ({places[one].share:.0%})"
            if one in places
            else f"{one!r} (without a text)"
            for one in lost[:_EXAMPLES]
        )
        more = f", and {len(lost) - _EXAMPLES} more" if len(lost) > _EXAMPLES else ""
        note += f" Not matched, and left out: {shown}{more}."
    notes = [note]
    if short := sum(one.everywhere for one in places.values()):
        notes.append(
            f"{number_of(short, 'judged text is', 'judged texts are')} so short that "
            f"{'it is' if short == 1 else 'they are'} in more than {_MOST} documents."
        )
    if several := sum(len(places[one].ids) > 1 for one in good):
        notes.append(
            f"{number_of(several, 'judged text is', 'judged texts are')} in several "
            "documents, and all of these are judged; with "
            "counting(relevance='any') one of them is enough."
        )
    return notes


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return words(_NO_LETTERS.sub(" ", plain))


def _shingles(found: list[str], size: int) -> set[tuple[str, ...]]:
    return set(zip(*(found[at:] for at in range(size)), strict=False)) if size else set()


def _row(one: list[str], other: list[str]) -> bool:
    """Return whether the words of one stand in the other in a row."""
    first, second = (f" {' '.join(found)} " for found in (one, other))
    return first in second or second in first
