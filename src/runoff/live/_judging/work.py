"""The work on one system: which answers are new, their texts, and who is asked what."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runoff._util.stored import is_count, path_of
from runoff.errors import InvalidArgument
from runoff.live._judging.asking import Asked, Judge, questions
from runoff.live._judging.differences import GRADES, differing
from runoff.live._judging.ratio import extremes
from runoff.live._judging.sheet import Asking, added, returned
from runoff.live._judging.store import PAGE, PEOPLE, UNASKED, Pair, Taken
from runoff.live._ppi import chances, picked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.live._judging.differences import Row
    from runoff.live._judging.store import Judged
    from runoff.live._judging.texts import Documents, Key
    from runoff.live._observation import Observation
    from runoff.rerank import Cap, Price

_BLOCK = 50  # queries whose documents are asked about in one random order


class _New(NamedTuple):
    """A query that is to be taken; its documents as JSON, a third of the memory of objects."""

    time: float
    taken: Taken
    many: int
    pairs: str


@dataclass(slots=True)
class Work:
    """The queries of one system: which are new, their texts, and who is asked what.

    Attributes:
        seen: returns the observations of the system.
        whole: people grade all documents of a query, or none.
    """

    store: Judged
    system: str
    cutoff: int
    against: str
    documents: Documents
    seen: Callable[[], Iterable[Observation]]
    whole: bool = False
    new: list[_New] = field(default_factory=list)
    without_text: int = 0

    def read(self) -> None:
        """Read what differs, and what has texts."""
        known = self.store.ids(self.system)
        shared: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}  # of many queries each
        for one in self.seen():
            rows = self._rows(one)
            found = self.documents.read(one, rows)
            if one.id in known:
                continue
            forgotten = any(not row.doc_id for row in rows)
            if rows and (found is None or forgotten):
                self.without_text += 1
                continue
            pairs = [
                Pair(
                    row.doc_id,
                    row.text_key,
                    row.before,
                    row.after,
                    row.weight,
                    row.share,
                    len((found or {}).get(row.text_key, "")),
                    0.0,
                )
                for row in rows
            ]
            slices = shared.setdefault(tuple(one.slices.items()), dict(one.slices))
            taken = Taken(one.id, one.time, one.query_hash, slices, self._size(pairs), 0.0)
            self.new.append(_New(one.time, taken, len(pairs), json.dumps(pairs)))

    def _rows(self, one: Observation) -> list[Row]:
        return differing(one, self.cutoff, self.against, whole=self.whole)

    def _find(self, lost: Iterable[tuple[Taken, Pair]]) -> None:
        """Look for texts whose observations are gone: the same question may have been asked since.

        Args:
            lost: queries of this system, and documents.
        """
        queries = {query.query_key for query, _ in lost}
        if queries:
            for one in self.seen():
                if one.query_hash in queries:
                    self.documents.read(one, self._rows(one), hold=True)

    def take(self, labels: int) -> None:
        """Add the new queries in the order of time, and pick what people are to grade."""
        self.new.sort(key=lambda one: (one.time, one.taken.id))
        if not self.new:
            return
        many = len(self.store.ids(self.system))
        done = sum(
            query.size * self._work(len(pairs))
            for page in self.store.pages(self.system)
            for query, pairs in page
        )
        rate = labels / (2 * self.cutoff if self.whole else 1) / max(len(self.new), many)
        shares, largest = chances(
            np.array([one.taken.size for one in self.new]),
            min(1.0, rate),
            (done, many),
            np.array([self._work(one.many) for one in self.new]),
        )
        seed = self.store.get("seed")
        self.store.take(self.system, self._shared_out(shares, largest, seed))
        self.new = []

    def _shared_out(
        self, shares: NDArray[np.float64], largest: NDArray[np.float64], seed: int
    ) -> Iterator[tuple[Taken, list[Pair]]]:
        """Yield the new queries with what people are to grade of them."""
        for new, share, most in zip(self.new, shares, largest, strict=True):
            query, pairs = new.taken, [Pair(*one) for one in json.loads(new.pairs)]
            given = self._handed_out(pairs, float(share), _draw(seed, query.id))
            if self.whole:  # a table shows them in this order
                places = {one: _draw(seed, f"{query.id} {one.text_key}") for one in given}
                given.sort(key=places.__getitem__)
            yield query._replace(largest=float(most)), given

    def _size(self, pairs: Sequence[Pair]) -> float:
        weights = np.array([one.weight for one in pairs])
        if self.whole:
            return float(np.ptp(extremes(weights[None], self.cutoff)))
        return float(np.abs(weights).sum())

    def _work(self, many: int) -> float:
        """Return how many of a query's documents people grade, as a share of the most."""
        return many / (2 * self.cutoff) if self.whole else 1.0

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
        rng = np.random.default_rng(self.store.get("seed"))
        every = self._find_all(asked.key, count=step is not None)
        done = 0
        failed: dict[Key, bool] = {}  # in this call: whether it did before

        def one_more() -> None:
            nonlocal done
            done += 1
            if step is not None:
                step(done, every)

        for page, held in self._graded(asked.key):
            for key in held.keys() & failed.keys():  # asked again where its question recurs
                del held[key]
            texts = self.documents.of(list(_waiting(page, held)))
            for at in range(0, len(page), _BLOCK):
                there: dict[Key, bool] = {}
                for query, one in _waiting(page[at : at + _BLOCK], held):
                    key = query.query_key, one.text_key
                    there[key] = there.get(key, False) or self.documents.has(query, one)
                # no text is left to grade
                gone = [key for key, is_there in there.items() if not is_there]
                self.store.grade(asked.key, ((*key, None) for key in gone))
                keys = [key for key, is_there in there.items() if is_there and key in texts]
                rng.shuffle(keys)
                found = questions(
                    asked,
                    [(key, self.documents.questions[key[0]], texts[key]) for key in keys],
                    price=price,
                    cap=cap,
                    before=total.usage,
                    asked_one=one_more,
                )
                missed = [] if found.capped else [key for key in keys if key not in found.grades]
                for key in found.grades:
                    failed.pop(key, None)
                for key in missed:
                    failed.setdefault(key, key in held)
                self.store.grade(
                    asked.key,
                    [
                        *((*key, grade) for key, grade in found.grades.items()),
                        *((*key, None if failed[key] else UNASKED) for key in missed),
                    ],
                )
                held.update(found.grades)
                total.usage += found.usage
                total.failed += found.failed
                total.errors += found.errors
                if found.capped:
                    total.capped = found.capped
                    return total
        return total

    def _graded(
        self, judge: str
    ) -> Iterator[tuple[list[tuple[Taken, list[Pair]]], dict[Key, int | None]]]:
        """Yield the queries that were taken, some at a time, with what a judge said of them."""
        for page in self.store.pages(self.system):
            yield page, self.store.grades(judge, (query.query_key for query, _ in page))

    def _find_all(self, judge: str, *, count: bool) -> int:
        """Find what a judge is to grade; return how many documents these are, if that is wanted."""
        if not count and self.store.ids(self.system) <= self.documents.there:
            return 0
        every: set[int] = set()
        lost: list[tuple[Taken, Pair]] = []
        for page, held in self._graded(judge):
            for query, one in _waiting(page, held):
                if not self.documents.has(query, one):
                    lost.append((query, one))
                elif count:
                    every.add(hash((query.query_key, one.text_key)))
        self._find(lost)
        if count:
            every |= {
                hash((query.query_key, one.text_key))
                for query, one in lost
                if self.documents.has(query, one)
            }
        return len(every)

    def hear(self, people: object) -> None:
        """Read what people graded, and hand out what they are to grade."""
        if callable(people):
            self._answered(people)
            return
        file = path_of("people", people)
        if file.exists():
            given = returned(file)
            self.store.grade(
                PEOPLE,
                [
                    (query.query_key, one.text_key, given[query.query_key, one.doc_id])
                    for page in self.store.pages(self.system)
                    for query, pairs in page
                    for one in pairs
                    if one.chance > 0 and (query.query_key, one.doc_id) in given
                ],
            )
        added(
            file,
            [
                Asking(query.query_key, question, one.doc_id, text)
                for query, one, question, text in self._unheard()
                if text is not None
            ],
        )

    def _answered(self, people: Callable[[str, str], object]) -> None:
        found: list[tuple[str, str, int | None]] = []
        try:
            for query, one, question, text in self._unheard():
                grade = None if text is None else people(question, text)
                if grade is not None and not is_count(grade, most=GRADES):
                    raise InvalidArgument("people", grade, "must return 0, 1, 2, 3 or None")
                found.append((query.query_key, one.text_key, grade))
        finally:
            self.store.grade(PEOPLE, found)

    def _unheard(self) -> Iterator[tuple[Taken, Pair, str, str | None]]:
        """Yield what people have not graded with the texts of question and document."""
        waiting = [
            (query, one)
            for page, held in self._graded(PEOPLE)
            for query, pairs in page
            for one in pairs
            if one.chance > 0 and (query.query_key, one.text_key) not in held
        ]
        self._find(one for one in waiting if not self.documents.has(*one))
        questions = self.documents.questions
        for at in range(0, len(waiting), PAGE):
            some = waiting[at : at + PAGE]
            texts = self.documents.of(some)
            for query, one in some:
                key = query.query_key
                yield query, one, questions.get(key, ""), texts.get((key, one.text_key))


def _waiting(
    taken: Iterable[tuple[Taken, Sequence[Pair]]], held: Mapping[Key, int | None]
) -> Iterator[tuple[Taken, Pair]]:
    """Yield the documents that have no grade."""
    for query, pairs in taken:
        for one in pairs:
            if held.get((query.query_key, one.text_key), UNASKED) == UNASKED:
                yield query, one


def _draw(seed: int, one: str) -> float:
    """Return a number from 0 to 1 that is the same at every call, and unknown to anyone else."""
    digest = hashlib.sha256(f"{seed} {one}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
