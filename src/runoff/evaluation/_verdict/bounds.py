"""A verdict under the worst and the best possible judgments of unjudged documents."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from runoff._labels.headers import BESIDE
from runoff._util.messages import number_of, visible
from runoff._util.stored import path_of
from runoff._util.text import given_id, snippet
from runoff._util.whole import write_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike

    from runoff.evaluation._verdict.pairing import Pair, Slice
    from runoff.evaluation._verdict.result import Comparison, Decision, Verdict
    from runoff.evaluation._verdict.unjudged import Doubt, Extent
    from runoff.types import Document

_LISTED = 5
_KEPT = ("keep", "keep for these slices")
COLUMNS = ("query_id", "query", "doc_id", "grade", *BESIDE)
"""The columns of the documents to judge; the first four are those of `Collection.from_csv`."""


@dataclass(frozen=True, slots=True, repr=False)
class Unjudged:
    """How judgments of the unjudged documents could change a verdict.

    Attributes:
        documents: how many (query, document) pairs without a judgment are among the counted
            results of either system.
        queries: how many queries have such documents.
        grade: the highest grade of the collection, which such a document might have.
        rate: the share of relevant documents among the judged ones of the counted results.
        worst: the main comparison if their judgments favoured the first system most.
        best: the main comparison if their judgments favoured the second system most.
        condensed: the mean difference if they are taken out of both results (Sakai 2007).
        beside: `"Bpref"` and `"infAP"`, measures made for incomplete judgments, to the mean
            difference by them.
        decides: whether the decision depends on them.
        likely: what would be decided if each were relevant with a chance of `rate` at most. That is
            plausible and not proven: what a better system finds may be relevant more often.
        judge: the documents, in the order in which judging them decides most.
        texts: query id to text.
    """

    documents: int
    queries: int
    grade: int
    rate: float
    worst: Comparison
    best: Comparison
    condensed: float
    beside: Mapping[str, float]
    decides: bool
    likely: Decision
    judge: tuple[Doubt, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def range(self) -> tuple[float, float]:
        """The difference under the worst and under the best judgments."""
        return self.worst.difference, self.best.difference

    def rows(self, documents: Mapping[str, Document | str] | None = None) -> list[tuple[str, ...]]:
        """Return headings and one row for each document to judge, with an empty grade to fill in.

        Args:
            documents: document id to document or text, for the column `text`.
        """
        rows: list[tuple[str, ...]] = [COLUMNS]
        for one in self.judge:
            given = "" if documents is None else documents.get(one.doc_id, "")
            rows.append(
                (
                    one.query_id,
                    self.texts.get(one.query_id, ""),
                    one.doc_id,
                    "",
                    given if isinstance(given, str) else given.text,
                    str(one.before or ""),
                    str(one.after or ""),
                    f"{one.effect:+.6f}",
                )
            )
        return rows

    def to_csv(
        self, path: str | PathLike[str], documents: Mapping[str, Document | str] | None = None
    ) -> None:
        """Write the documents to judge to a table; fill in `grade` and pass it to `with_judgments`.

        Args:
            path: the file; an existing one is replaced.
            documents: document id to document or text, for the column `text`.

        Raises:
            OSError: the file cannot be written.
        """
        write_table(path_of("path", path), self.rows(documents))

    def __repr__(self) -> str:
        """Show how many documents there are and the range of the difference."""
        low, high = self.range
        return (
            f"Unjudged({number_of(self.documents, 'document')}, "
            f"{number_of(self.queries, 'query')}, {low:+.4f} to "
            f"{high:+.4f}{', decides' if self.decides else ''})"
        )

    def __str__(self) -> str:
        """Return the range, the figures beside it, and the first documents to judge."""
        lines = [self.sentence]
        if self.decides:
            lines += [
                snippet(
                    f"judge  {one.doc_id} ({one.effect:+.4f} if relevant) for {self._named(one)}",
                    140,
                )
                for one in self.judge[:_LISTED]
            ]
        return visible("\n".join(lines))

    def _named(self, one: Doubt) -> str:
        """Return a query's text, with its id unless that was derived from the text."""
        text = self.texts.get(one.query_id, "")
        name = given_id(one.query_id, text)
        return f"{name}: {text}" if name else text

    @property
    def sentence(self) -> str:
        """The range and the figures beside it, in two sentences."""
        worst, best = self.worst, self.best
        beside = ", ".join(f"{name} {value:+.4f}" for name, value in self.beside.items())
        return (
            f"{number_of(self.documents, 'counted result')} of "
            f"{number_of(self.queries, 'query')} {'was' if self.documents == 1 else 'were'} "
            "not judged. With "
            f"their judgments {worst.measure} changes by {worst.difference:+.4f} to "
            f"{best.difference:+.4f} (with the 95% intervals {worst.interval[0]:+.4f} to "
            f"{best.interval[1]:+.4f}); if they are taken out of the results, by "
            f"{self.condensed:+.4f} ({beside})."
        )


def in_doubt(
    pair: Pair,
    extent: Extent,
    decided: Callable[[Pair], Verdict],
    found: Verdict,
    *,
    brief: bool = False,
) -> Verdict:
    """Return a verdict that holds whatever the judgments of the unjudged documents would be.

    It is decided three times: with these documents as not relevant, with the judgments that favour
    the first system most, and with those that favour the second most. What all three say is
    proven; each allows for the sampling of queries, so both kinds of doubt count.

    Args:
        pair: the two systems' values.
        extent: what the unjudged documents could do to the first measure.
        decided: returns the verdict on a pair.
        found: the verdict that counts unjudged documents as not relevant.
        brief: whether `Verdict.unjudged` and the reason are left as they are.
    """

    def at(chance: float) -> tuple[Verdict, Verdict, Verdict]:
        worst, best = (
            decided(
                replace(
                    pair,
                    before=np.vstack([sides[:1], pair.before[1:]]),
                    after=np.vstack([sides[1:], pair.after[1:]]),
                )
            )
            for sides in extent.ends(chance)
        )
        return worst, found, best

    every = at(extent.chance)
    worst, _, best = every
    decision = _decision(every)
    keep_for, remove_for = _shared(every, "keep_for"), _shared(every, "remove_for")
    if brief:
        return replace(found, decision=decision, keep_for=keep_for, remove_for=remove_for)
    decides = decision == "undecided" and len({one.decision for one in every}) > 1
    likely = decision
    if decides and extent.rate < extent.chance:
        likely = _decision(at(extent.rate))
    unjudged = Unjudged(
        len(extent.doubts),
        len({one.query_id for one in extent.doubts}),
        extent.grade,
        extent.rate,
        worst.main,
        best.main,
        float(extent.condensed().mean()),
        extent.beside(),
        decides,
        likely,
        _ordered(extent.doubts, worst, found, best),
        pair.texts,
    )
    more = found.more_queries if decision == "undecided" and not decides else None
    reason = _asking(unjudged, found) if decides else found.reason
    return replace(
        found,
        decision=decision,
        reason=reason,
        more_queries=more,
        keep_for=keep_for,
        remove_for=remove_for,
        unjudged=unjudged,
    )


def _decision(every: tuple[Verdict, ...]) -> Decision:
    decisions = {one.decision for one in every}
    if len(decisions) == 1:
        (decision,) = decisions
        if decision != "keep for these slices" or _shared(every, "keep_for"):
            return decision
        return "undecided"
    if decisions <= set(_KEPT):
        # each keeps at least these slices; those that only some keep are in doubt
        return "keep for these slices" if _shared(every, "keep_for") else "undecided"
    return "undecided"


def _shared(
    every: tuple[Verdict, ...], name: Literal["keep_for", "remove_for"]
) -> tuple[Slice, ...]:
    first, *others = (getattr(one, name) for one in every)
    return tuple(one for one in first if all(one in other for other in others))


def _ordered(
    doubts: tuple[Doubt, ...], worst: Verdict, found: Verdict, best: Verdict
) -> tuple[Doubt, ...]:
    """Return the documents in the order in which judging them decides most.

    A gain that only the worst judgments deny depends on documents that would help the first system,
    and a loss that only the best judgments deny on those that would help the second.
    """
    sign = 0
    if found.decision != "undecided":
        sign = -1 if best.decision == found.decision else 0
        sign = 1 if worst.decision == found.decision and not sign else sign
    return tuple(sorted(doubts, key=lambda one: (one.effect * sign < 0, -abs(one.effect))))


def _asking(unjudged: Unjudged, found: Verdict) -> str:
    main = found.main
    low, high = unjudged.range
    return (
        f"judge these first: {main.measure} {main.difference:+.4f} on "
        f"{number_of(main.queries, 'query')} holds "
        f"if the {number_of(unjudged.documents, 'result')} that nobody judged "
        f"{'is' if unjudged.documents == 1 else 'are'} not relevant; with other "
        f"judgments it lies between {low:+.4f} and {high:+.4f}.{_likely(unjudged)}"
    )


def _likely(unjudged: Unjudged) -> str:
    if unjudged.likely == "undecided":
        return ""
    return (
        f" If they are relevant no more often than the judged ones ({unjudged.rate:.0%}), the "
        f"decision is {unjudged.likely!r}."
    )
