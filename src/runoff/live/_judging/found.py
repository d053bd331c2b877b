"""What the grades of a directory of observations show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._util.display import html_by, pretty
from runoff._util.messages import number_of, visible
from runoff.errors import InvalidArgument
from runoff.live._judging.differences import gain, is_relevant, steepest
from runoff.live._judging.graded import graded, worth
from runoff.live._judging.quality import Quality, quality
from runoff.live._judging.ratio import REACH, between, extremes
from runoff.live._ppi import Sheet, corrected, ends_of
from runoff.live._statement import Statement, stated
from runoff.scores import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runoff.evaluation import Collection
    from runoff.live._judging.graded import Graded
    from runoff.live._judging.store import Judged

_MANY_VALUES = 20  # a slice with more of them names users or sessions
_OF = {
    "both": "people's grades, which the judge predicts",
    "people": "people's grades",
    "judge": "the judge's own grades, which nobody checked",
}
_IDEAL = "The ideal of nDCG@{} is the best order of the documents of either list."


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
    return _Found(store, now).judging()


class _Found:
    """What the grades of one system's queries show."""

    def __init__(self, store: Judged, now: Mapping[str, Any]) -> None:
        self._now = now
        self._said = graded(store, now["system"], now["key"])
        self._failed = store.failed(now["key"]) if now["key"] else 0

    def judging(self) -> Judging:
        now, said = self._now, self._said
        judged = bool(now["key"])
        mode = "people" if not judged else "both" if said.heard.any() else "judge"
        measure = now.get("measure", "SDCG")  # older ones do not say
        alone = self._stated("judge", measure) if mode == "both" else None
        for_people = int(said.unheard.sum())
        for_judge = int(said.waits(said.unasked).sum()) if judged else 0
        notes = [*now["notes"]]
        if measure == "nDCG":
            notes.insert(0, _IDEAL.format(now["cutoff"]))
        if for_people and mode != "judge":
            notes.append(
                f"{number_of(for_people, 'document waits', 'documents wait')} for people; the "
                "query of the first one and all later queries do not count yet."
            )
        elif for_people and now.get("people"):
            notes.append(
                f"{number_of(for_people, 'document waits', 'documents wait')} for people; "
                "until one has a grade, the judge's grades count unchecked."
            )
        if for_judge:
            notes.append(
                f"{number_of(for_judge, 'query waits', 'queries wait')} for the judge: call "
                "it again."
            )
        return Judging(
            self._stated(mode, measure),
            self._stated(mode, "P"),
            alone,
            quality(said.both),
            now["name"],
            Usage(),
            self._failed,
            for_people,
            for_judge,
            said.merged,
            notes=tuple(notes),
        )

    def _counted(self, mode: str) -> int:
        """Return how many queries are before the first that waits for a judge who counts."""
        said = self._said
        waits = np.zeros(len(said.times), np.bool_)
        if self._now["key"] and mode != "people":
            waits |= said.waits(said.unasked)
        if mode != "judge":
            waits |= said.waits(said.unheard)
        return int(waits.argmax()) if waits.any() else len(waits)

    def _stated(self, mode: str, measure: str) -> Statement:
        said = self._said.first(self._counted(mode))
        sheet = (
            self._by_query(said)
            if measure == "nDCG"
            else self._by_document(said, weighted=measure != "P")
        )
        values: dict[str, set[str | None]] = {name: set() for one in said.slices for name in one}
        for name, held in values.items():
            held.update(one.get(name) for one in said.slices)
        few = {name for name, held in values.items() if 1 < len(held) <= _MANY_VALUES}
        return stated(
            corrected(sheet, by=mode),
            times=said.times,
            slices=[
                {name: held for name, held in one.items() if name in few} for one in said.slices
            ],
            changed=said.waits(np.ones(len(said.query), np.bool_)),
            bound=self._now["bound"],
            level=self._now["level"],
            about={
                "measure": f"{measure}@{self._now['cutoff']}",
                "labels": 0 if mode == "judge" else int((said.heard & (said.people >= 0)).sum()),
                "of": _OF[mode],
            },
        )

    def _by_document(self, said: Graded, *, weighted: bool) -> Sheet:
        value: Callable[[float], float] = gain if weighted else is_relevant
        largest = said.largest.copy()
        if not weighted:
            largest *= steepest(self._now.get("measure", "SDCG"), self._now["cutoff"])
        return Sheet(
            said.query,
            said.weight if weighted else said.share,
            ends_of(worth(said.judge, value)),
            ends_of(worth(said.people, value)),
            said.chance,
            largest,
        )

    def _by_query(self, said: Graded) -> Sheet:
        changed, first, row = np.unique(said.query, return_index=True, return_inverse=True)
        chance = said.chance[first]
        width = int(said.place.max(initial=-1)) + 1
        weights, judge, people = (np.zeros((len(changed), width)) for _ in range(3))
        weights[row, said.place] = said.weight
        judge[row, said.place] = worth(said.judge, gain)
        picked = chance[row] > 0
        people[row[picked], said.place[picked]] = worth(said.people[picked], gain)
        cutoff = self._now["cutoff"]
        possible = extremes(weights, cutoff)
        size = np.ptp(possible, axis=0)
        return Sheet(
            changed,
            size,
            between(weights, judge, cutoff) / size,
            between(weights, people, cutoff) / size,
            chance,
            said.largest,
            possible / size,
            usual=0.0,
            reach=REACH,
        )
