"""What the grades of a directory of observations show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._util.display import html_by, pretty
from runoff._util.messages import visible
from runoff.errors import InvalidArgument
from runoff.live._judging.differences import gain, is_relevant, steepest
from runoff.live._judging.quality import Quality, quality
from runoff.live._judging.ratio import REACH, between, extremes
from runoff.live._judging.store import PEOPLE
from runoff.live._ppi import Sheet, corrected, ends_of
from runoff.live._statement import Statement, stated
from runoff.scores import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.evaluation import Collection
    from runoff.live._judging.store import Judged, Pair, Taken

_MANY_VALUES = 20  # a slice with more of them names users or sessions
_OF = {
    "both": "people's grades, which the judge predicts",
    "people": "people's grades",
    "judge": "the judge's own grades, which nobody checked",
}
_IDEAL = "The ideal of nDCG@{} is the best order of the documents of either list."
Grade = int | None


@dataclass(frozen=True, slots=True, repr=False)
class Judging:
    """What the grades show of a second stage on live traffic.

    Attributes:
        statement: the difference in SDCG@k, nDCG with one divisor for all queries; or in nDCG@k,
            with the best order of the documents of either list as the ideal.
        precision: the difference in P@k, the share of the top k with a grade of 2 or 3.
        alone: the first of these as the judge alone sees it, whose faults nobody corrected; None
            without a judge, or where `statement` is just that.
        quality: the judge's agreement with people; None if both graded no document.
        judge: the judge's name; empty without one.
        usage: what the judge used in this call.
        failed: how many of its replies have no grade.
        for_people: how many documents wait for people, the earliest first; the queries from the
            first of them on do not count yet.
        for_judge: how many queries wait for the judge.
        grades: query id to document id to grade: people's, else the judge's.
        queries: query id to text, of those graded in this call.
        notes: caveats, as sentences.
    """

    statement: Statement
    precision: Statement
    alone: Statement | None
    quality: Quality | None
    judge: str
    usage: Usage
    failed: int
    for_people: int
    for_judge: int
    grades: Mapping[str, Mapping[str, int]] = field(repr=False)
    queries: Mapping[str, str] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    @property
    def alarm(self) -> bool:
        """Whether harm is proven."""
        return self.statement.alarm

    def collection(self, queries: Mapping[str, str] | None = None) -> Collection:
        """Return the grades as a collection, for `verdict`, `losses` and `tune`.

        Only documents that differ between the two orders were graded; for nDCG, those of either
        list. Other systems find others, and a verdict on them says so.

        Args:
            queries: query id, as in `grades`, to text; by default those of this call.

        Raises:
            InvalidArgument: none of the queries has a text.
        """
        from runoff.evaluation import Collection  # noqa: PLC0415 - it takes a while

        known = self.queries if queries is None else queries
        held = {one: grades for one, grades in self.grades.items() if one in known}
        if not held:
            raise InvalidArgument("queries", known, "has no text of a query that was graded")
        by = f"{self.judge or 'people'}{', corrected by nobody' if self.quality is None else ''}"
        whole = self.statement.measure.startswith("nDCG")
        what = "in the first results of two orders" if whole else "that differ between two orders"
        note = f"Grades by {by}; only documents {what} were graded."
        return Collection(dict(known), held, name="live", notes=(note,), relevant_from=2)

    _repr_pretty_ = pretty
    _repr_html_ = html_by("judging_html", "_live")

    def __repr__(self) -> str:
        """Show the statement; `str` has the rest."""
        return f"Judging({self.statement.sentence})"

    def __str__(self) -> str:
        """Return both statements, the judge's quality, and what waits."""
        lines = [str(self.statement), self.precision.sentence]
        if self.alone is not None:
            lines.append(f"By the judge alone: {self.alone.sentence}")
        if self.quality is not None:
            lines.append(str(self.quality))
        return visible("\n".join([*lines, *self.notes]))

    def to_dict(self) -> dict[str, Any]:
        """Return the statements, the judge's quality and what waits, as plain values for JSON."""
        return {
            "statement": self.statement.to_dict(),
            "precision": self.precision.to_dict(),
            "alone": None if self.alone is None else self.alone.to_dict(),
            "quality": None if self.quality is None else self.quality.to_dict(),
            "judge": self.judge,
            "cost": self.usage.cost,
            "failed": self.failed,
            "for_people": self.for_people,
            "for_judge": self.for_judge,
            "notes": list(self.notes),
        }


def found_in(store: Judged, now: Mapping[str, Any]) -> Judging:
    """Return what the grades kept of a directory of observations show.

    Args:
        store: the grades.
        now: what `judge` was asked last.
    """
    return _Grades(store, now).judging()


class _Grades:
    """The queries of one system and what was said of their documents."""

    def __init__(self, store: Judged, now: Mapping[str, Any]) -> None:
        self._now = now
        self._taken = store.taken(now["system"])
        self._judge: Mapping[tuple[str, str], Grade] = (
            store.grades(now["key"]) if now["key"] else {}
        )
        self._people = store.grades(PEOPLE)
        self._waits = [
            (
                bool(now["key"]) and any(self._unasked(query, one) for one in pairs),
                any(
                    one.chance > 0 and (query.query_key, one.text_key) not in self._people
                    for one in pairs
                ),
            )
            for query, pairs in self._taken
        ]

    def _unasked(self, query: Taken, pair: Pair) -> bool:
        grade = self._judge.get((query.query_key, pair.text_key), -1)
        return grade is not None and grade < 0

    def judging(self) -> Judging:
        now = self._now
        judged, graded = (
            bool(now["key"]),
            any(
                (query.query_key, one.text_key) in self._people
                for query, pairs in self._taken
                for one in pairs
                if one.chance > 0
            ),
        )
        mode = "people" if not judged else "both" if graded else "judge"
        measure = now.get("measure", "SDCG")  # older ones do not say
        alone = self._stated("judge", measure) if mode == "both" else None
        for_people = sum(
            (query.query_key, one.text_key) not in self._people
            for query, pairs in self._taken
            for one in pairs
            if one.chance > 0
        )
        for_judge = sum(waits for waits, _ in self._waits)
        notes = [*now["notes"]]
        if measure == "nDCG":
            notes.insert(0, _IDEAL.format(now["cutoff"]))
        if for_people and mode != "judge":
            notes.append(
                f"{for_people} documents wait for people; the queries from the first of them on do "
                "not count yet."
            )
        elif for_people and now.get("people"):
            notes.append(
                f"{for_people} documents wait for people; until one has a grade, the judge is "
                "taken at its word."
            )
        if for_judge:
            notes.append(f"{for_judge} queries wait for the judge: call it again.")
        return Judging(
            self._stated(mode, measure),
            self._stated(mode, "P"),
            alone,
            quality(self._both()),
            now["name"],
            Usage(),
            sum(grade is None for grade in self._judge.values()),
            for_people,
            for_judge,
            self._merged(),
            notes=tuple(notes),
        )

    def _counted(self, mode: str) -> Sequence[tuple[Taken, list[Pair]]]:
        """Return the queries before the first that waits for a judge who counts."""
        for at, (judge, people) in enumerate(self._waits):
            if (judge and mode != "people") or (people and mode != "judge"):
                return self._taken[:at]
        return self._taken

    def _stated(self, mode: str, measure: str) -> Statement:
        counted = self._counted(mode)
        sheet = (
            self._by_query(counted)
            if measure == "nDCG"
            else self._by_document(counted, weighted=measure != "P")
        )
        labels = 0
        if mode != "judge":
            labels = sum(
                one.chance > 0 and self._people.get((query.query_key, one.text_key)) is not None
                for query, pairs in counted
                for one in pairs
            )
        few = {
            name
            for name in {name for query, _ in counted for name in query.slices}
            if 1 < len({query.slices.get(name) for query, _ in counted}) <= _MANY_VALUES
        }
        return stated(
            corrected(sheet, by=mode),
            times=[query.time for query, _ in counted],
            slices=[
                {name: held for name, held in query.slices.items() if name in few}
                for query, _ in counted
            ],
            changed=np.array([bool(pairs) for _, pairs in counted], np.bool_),
            bound=self._now["bound"],
            level=self._now["level"],
            about={
                "measure": f"{measure}@{self._now['cutoff']}",
                "labels": labels,
                "of": _OF[mode],
            },
        )

    def _by_document(self, counted: Sequence[tuple[Taken, list[Pair]]], *, weighted: bool) -> Sheet:
        value: Callable[[float], float] = gain if weighted else is_relevant
        rows = [
            (at, query.query_key, one) for at, (query, pairs) in enumerate(counted) for one in pairs
        ]
        keys = [(key, one.text_key) for _, key, one in rows]
        largest = np.array([query.largest for query, _ in counted], np.float64)
        if not weighted:
            largest *= steepest(self._now.get("measure", "SDCG"), self._now["cutoff"])
        return Sheet(
            np.array([at for at, _, _ in rows], np.int64),
            np.array([one.weight if weighted else one.share for *_, one in rows], np.float64),
            ends_of(_said(self._judge, keys, value)),
            ends_of(_said(self._people, keys, value)),
            np.array([one.chance for *_, one in rows], np.float64),
            largest,
        )

    def _by_query(self, counted: Sequence[tuple[Taken, list[Pair]]]) -> Sheet:
        changed = [(at, *one) for at, one in enumerate(counted) if one[1]]
        width = max((len(pairs) for _, _, pairs in changed), default=0)
        weights, judge, people = (np.zeros((len(changed), width)) for _ in range(3))
        for at, (_, query, pairs) in enumerate(changed):
            keys = [(query.query_key, one.text_key) for one in pairs]
            weights[at, : len(keys)] = [one.weight for one in pairs]
            judge[at, : len(keys)] = _said(self._judge, keys, gain)
            if pairs[0].chance:
                people[at, : len(keys)] = _said(self._people, keys, gain)
        cutoff = self._now["cutoff"]
        possible = extremes(weights, cutoff)
        size = np.ptp(possible, axis=0)
        return Sheet(
            np.array([at for at, _, _ in changed], np.int64),
            size,
            between(weights, judge, cutoff) / size,
            between(weights, people, cutoff) / size,
            np.array([pairs[0].chance for _, _, pairs in changed], np.float64),
            np.array([query.largest for query, _ in counted], np.float64),
            possible / size,
            usual=0.0,
            reach=REACH,
        )

    def _both(self) -> dict[tuple[str, str], tuple[Pair, int, int]]:
        found = {}
        for query, pairs in self._taken:
            for one in pairs:
                key = query.query_key, one.text_key
                judge, people = self._judge.get(key), self._people.get(key)
                if one.chance > 0 and judge is not None and judge >= 0 and people is not None:
                    found[key] = one, judge, people
        return found

    def _merged(self) -> dict[str, dict[str, int]]:
        merged: dict[str, dict[str, int]] = {}
        for query, pairs in self._taken:
            for one in pairs:
                key = query.query_key, one.text_key
                grade = self._people.get(key)
                grade = self._judge.get(key) if grade is None else grade
                if grade is not None and grade >= 0 and one.doc_id:
                    merged.setdefault(query.query_key, {})[one.doc_id] = grade
        return merged


def _said(
    grades: Mapping[tuple[str, str], Grade],
    keys: Sequence[tuple[str, str]],
    value: Callable[[float], float],
) -> NDArray[np.float64]:
    """Return what grades are worth, by the keys of query and text; NaN where there is none."""
    given = (grades.get(key) for key in keys)
    return np.array([np.nan if one is None or one < 0 else value(one) for one in given], np.float64)
