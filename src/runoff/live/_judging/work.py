"""The work on one system: which answers are new, their texts, and who is asked what."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np

from runoff._util.stored import is_count, path_of
from runoff.errors import InvalidArgument
from runoff.live._judging.asking import Asked, Judge, questions
from runoff.live._judging.differences import GRADES, differing
from runoff.live._judging.ratio import extremes
from runoff.live._judging.sheet import Asking, added, returned
from runoff.live._judging.store import PEOPLE, Pair, Taken
from runoff.live._ppi import chances, picked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from runoff.live._judging.store import Judged
    from runoff.live._observation import Observation
    from runoff.rerank import Cap, Price

Texts = Callable[[str], str | None] | Mapping[str, str]
"""Returns the text of a question by its hash, and that of a document by its id."""

_BLOCK = 50  # queries whose documents are asked about in one random order
_UNASKED = -1  # the judge failed once; after the second time the grade is None


@dataclass(slots=True)
class Work:
    """The queries of one system: which are new, their texts, and who is asked what.

    Attributes:
        whole: people grade all documents of a query, or none.
    """

    store: Judged
    system: str
    cutoff: int
    against: str
    texts: Texts | None
    whole: bool = False
    questions: dict[str, str] = field(default_factory=dict)
    documents: dict[tuple[str, str], str] = field(default_factory=dict)
    new: list[tuple[float, Taken, list[Pair]]] = field(default_factory=list)
    without_text: int = 0

    def read(self, seen: Iterable[Observation]) -> None:
        """Read what differs, and the texts."""
        known = self.store.ids(self.system)
        for one in seen:
            rows = differing(one, self.cutoff, self.against, whole=self.whole)
            query = one.query or self._given(one.query_hash)
            found = {
                row.text_key: one.texts[row.at] if one.texts else self._given(row.doc_id)
                for row in rows
            }
            complete = query is not None and all(text is not None for text in found.values())
            if rows and not complete:
                self.without_text += one.id not in known
                continue
            if rows:
                self.questions[one.query_hash] = cast("str", query)
                for key, text in found.items():
                    self.documents[one.query_hash, key] = cast("str", text)
            if one.id in known:
                continue
            pairs = [
                Pair(
                    row.doc_id,
                    row.text_key,
                    row.before,
                    row.after,
                    row.weight,
                    row.share,
                    len(found[row.text_key] or ""),
                    0.0,
                )
                for row in rows
            ]
            taken = Taken(
                one.id, one.time, one.query_hash, dict(one.slices), self._size(pairs), 0.0
            )
            self.new.append((one.time, taken, pairs))

    def _given(self, key: str) -> str | None:
        if self.texts is None or not key:
            return None
        found = self.texts.get(key) if isinstance(self.texts, Mapping) else self.texts(key)
        if found is not None and not isinstance(found, str):
            raise InvalidArgument("texts", found, f"must return texts (for {key!r})")
        return found

    def take(self, labels: int) -> None:
        """Add the new queries in the order of time, and pick what people are to grade."""
        self.new.sort(key=lambda one: (one[0], one[1].id))
        if not self.new:
            return
        before = self.store.taken(self.system)
        done = sum(query.size * self._work(pairs) for query, pairs in before)
        rate = labels / (2 * self.cutoff if self.whole else 1) / max(len(self.new), len(before))
        shares, largest = chances(
            np.array([query.size for _, query, _ in self.new]),
            min(1.0, rate),
            (done, len(before)),
            np.array([self._work(pairs) for _, _, pairs in self.new]),
        )
        seed = self.store.get("seed")
        rows = []
        for (_, query, pairs), share, most in zip(self.new, shares, largest, strict=True):
            given = self._handed_out(pairs, float(share), _draw(seed, query.id))
            if self.whole:  # a table shows them in this order
                places = {one: _draw(seed, f"{query.id} {one.text_key}") for one in given}
                given.sort(key=places.__getitem__)
            rows.append((query._replace(largest=float(most)), given))
        self.store.take(self.system, rows)
        self.new = []

    def _size(self, pairs: Sequence[Pair]) -> float:
        weights = np.array([one.weight for one in pairs])
        if self.whole:
            return float(np.ptp(extremes(weights[None], self.cutoff)))
        return float(np.abs(weights).sum())

    def _work(self, pairs: Sequence[Pair]) -> float:
        """Return how many of a query's documents people grade, as a share of the most."""
        return len(pairs) / (2 * self.cutoff) if self.whole else 1.0

    def _handed_out(self, pairs: list[Pair], share: float, draw: float) -> list[Pair]:
        """Return a query's documents with the chance of those that people grade."""
        if self.whole:
            return [one._replace(chance=share if draw < share else 0.0) for one in pairs]
        found = picked(np.array([one.weight for one in pairs]), share, draw)
        return [
            one._replace(chance=found[1]) if found is not None and at == found[0] else one
            for at, one in enumerate(pairs)
        ]

    def ask(
        self,
        asked: Judge,
        price: Price | None,
        cap: Cap | None,
        step: Callable[[int, int], None] | None = None,
    ) -> Asked:
        """Ask the judge about every document that it has not graded.

        Args:
            asked: the judge.
            price: of the judge.
            cap: the most that it may use.
            step: called with the documents that were asked about, and all of them.
        """
        total = Asked()
        held = self.store.grades(asked.key)
        taken = self.store.taken(self.system)
        rng = np.random.default_rng(self.store.get("seed"))
        every = len({key for key in _waiting(taken, held) if key in self.documents})
        done = 0

        def one_more() -> None:
            nonlocal done
            done += 1
            if step is not None:
                step(done, every)

        for at in range(0, len(taken), _BLOCK):
            waiting = _waiting(taken[at : at + _BLOCK], held)
            gone = [key for key in waiting if key not in self.documents]
            self.store.grade(asked.key, ((*key, None) for key in gone))  # no text is left to grade
            keys = [key for key in waiting if key in self.documents]
            rng.shuffle(keys)
            found = questions(
                asked,
                [(key, self.questions[key[0]], self.documents[key]) for key in keys],
                price=price,
                cap=cap,
                before=total.usage,
                asked_one=one_more,
            )
            missed = [] if found.capped else [key for key in keys if key not in found.grades]
            self.store.grade(
                asked.key,
                [
                    *((*key, grade) for key, grade in found.grades.items()),
                    *((*key, None if key in held else _UNASKED) for key in missed),
                ],
            )
            held |= found.grades
            total.usage += found.usage
            total.failed += found.failed
            total.errors += found.errors
            if found.capped:
                total.capped = found.capped
                break
        return total

    def hear(self, people: object) -> None:
        """Read what people graded, and hand out what they are to grade."""
        if callable(people):
            self._answered(people)
            return
        file = path_of("people", people)
        waiting = list(self._picked())
        if file.exists():
            given = returned(file)
            self.store.grade(
                PEOPLE,
                [
                    (query.query_key, one.text_key, given[query.query_key, one.doc_id])
                    for query, one in self._picked(all_of=True)
                    if (query.query_key, one.doc_id) in given
                ],
            )
            waiting = list(self._picked())
        added(
            file,
            [
                Asking(
                    query.query_key,
                    self.questions[query.query_key],
                    one.doc_id,
                    self.documents[query.query_key, one.text_key],
                )
                for query, one in waiting
                if (query.query_key, one.text_key) in self.documents
            ],
        )

    def _answered(self, people: Callable[[str, str], object]) -> None:
        found: list[tuple[str, str, int | None]] = []
        try:
            for query, one in self._picked():
                key = query.query_key, one.text_key
                grade: object = None
                if key in self.documents:
                    grade = people(self.questions[key[0]], self.documents[key])
                if grade is not None and not is_count(grade, most=GRADES):
                    raise InvalidArgument("people", grade, "must return 0, 1, 2, 3 or None")
                found.append((*key, grade))
        finally:
            self.store.grade(PEOPLE, found)

    def _picked(self, *, all_of: bool = False) -> Iterator[tuple[Taken, Pair]]:
        """Yield what people are to grade: what they have not graded, or all of it."""
        held = self.store.grades(PEOPLE)
        for query, pairs in self.store.taken(self.system):
            for one in pairs:
                if one.chance > 0 and (all_of or (query.query_key, one.text_key) not in held):
                    yield query, one


def _waiting(
    taken: Iterable[tuple[Taken, Sequence[Pair]]], held: Mapping[tuple[str, str], int | None]
) -> dict[tuple[str, str], None]:
    """Return the keys of the documents that have no grade, each once."""
    return {
        (query.query_key, one.text_key): None
        for query, pairs in taken
        for one in pairs
        if held.get((query.query_key, one.text_key), _UNASKED) == _UNASKED
    }


def _draw(seed: int, one: str) -> float:
    """Return a number from 0 to 1 that is the same at every call, and unknown to anyone else."""
    digest = hashlib.sha256(f"{seed} {one}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
