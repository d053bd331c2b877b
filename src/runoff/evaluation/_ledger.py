"""The ledger of lost quality: what `losses` returns, as values, a table and JSON."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from runoff.evaluation._shown import pretty

if TYPE_CHECKING:
    from collections.abc import Mapping

    from altair import LayerChart

__all__ = ["CEILINGS", "ENTRIES", "Ledger", "LostDocument", "Move", "QueryLedger"]

_SHOWN = 5e-5  # what four places show

ENTRIES = {
    "not_retrieved": "found by no source",
    "below_depth": "found below the depth in use",
    "grouped": "grouped under another",
    "fused_low": "lost in fusion or below the window",
    "dropped": "dropped by the reranker",
    "degraded": "degraded: a source or score was missing",
    "demoted": "demoted by the reranker",
    "truncated": "demoted, and read with its text cut",
    "filtered": "filtered by the threshold",
}
"""Where quality is lost, in the order of the pipeline, with what it means."""

CEILINGS = {
    "judged": "every relevant document first",
    "recorded": "of what any source found at the recorded depth",
    "depth": "of what they found at the depth in use",
    "grouping": "of what stands for itself after grouping",
    "window": "with what the window holds in the best order",
    "kept": "without what the reranker dropped",
    "scored": "with what has no score left where it is",
    "reranked": "in the reranker's order",
    "answered": "after the threshold: what is answered",
}
"""The best that is left after each stage, in the order of the pipeline."""


@dataclass(frozen=True, slots=True)
class LostDocument:
    """A relevant document that stands lower than it could, and where it was lost.

    Attributes:
        query_id: the query.
        doc_id: the document.
        entry: the entry of the ledger, a key of `ENTRIES`.
        grade: its judgment, above 0.
        loss: its share of the entry in this query; the shares of an entry sum to the entry.
        where: where it was lost, in words.
    """

    query_id: str
    doc_id: str
    entry: str
    grade: int
    loss: float
    where: str


@dataclass(frozen=True, slots=True)
class QueryLedger:
    """Where one query's quality is lost.

    Attributes:
        query_id: the query.
        text: the question.
        ideal: the best value there is: 1, or 0 where no document is relevant.
        achieved: the value of the answer.
        entries: entry to loss; they sum to `ideal - achieved`. `dropped`, `degraded` and `filtered`
            are below 0 where the answer gained by them; the others never are.
        ceilings: stage to the best value that is left after it.
        documents: those concerned, in the order of the entries, the largest loss first.
    """

    query_id: str
    text: str
    ideal: float
    achieved: float
    entries: Mapping[str, float] = field(repr=False)
    ceilings: Mapping[str, float] = field(repr=False)
    documents: tuple[LostDocument, ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return {
            "query_id": self.query_id,
            "text": self.text,
            "ideal": self.ideal,
            "achieved": self.achieved,
            "entries": dict(self.entries),
            "ceilings": dict(self.ceilings),
            "documents": [asdict(one) for one in self.documents],
        }


@dataclass(frozen=True, slots=True)
class Move:
    """One thing to do next.

    Attributes:
        action: what to do.
        entry: what it is about, a key of `ENTRIES`.
        loss: the mean loss that is booked there.
        at_most: no outcome of this move gains more, over all queries; see `losses`.
        brings: the gain, where it can be read off the recording; None where it cannot.
    """

    action: str
    entry: str
    loss: float
    at_most: float
    brings: float | None = None

    def __str__(self) -> str:
        """Return it as a sentence."""
        if self.brings is None:
            gain = f"could bring {self.at_most:.3f} at most"
        else:
            gain = f"brings {self.brings:+.3f} on these queries"
        return f"{self.action}: {gain}; {self.loss:.3f} is lost there"


@dataclass(frozen=True, slots=True, repr=False)
class Ledger:
    """Where quality is lost, as means over the queries.

    Attributes:
        measure: the measure, such as `nDCG@10`.
        ideal: mean of the best values there are.
        achieved: mean value of the answers.
        entries: entry to mean loss; they sum to `ideal - achieved`.
        ceilings: stage to the mean of the best values left after it.
        moves: what to do next, the largest loss first.
        queries: the same for every query, in the collection's order.
        notes: what to bear in mind, as sentences.
    """

    measure: str
    ideal: float
    achieved: float
    entries: Mapping[str, float]
    ceilings: Mapping[str, float]
    moves: tuple[Move, ...]
    queries: tuple[QueryLedger, ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Show how much there is; `str` has the table."""
        return (
            f"Ledger({self.measure} {self.achieved:.4f} of {self.ideal:.4f}, "
            f"{len(self.queries)} queries)"
        )

    def __getitem__(self, query_id: str) -> QueryLedger:
        """Return the ledger of one query.

        Raises:
            KeyError: there is no such query.
        """
        for one in self.queries:
            if one.query_id == query_id:
                return one
        raise KeyError(query_id)

    def documents(self, entry: str | None = None) -> list[LostDocument]:
        """Return the documents concerned, the largest loss first.

        Args:
            entry: those of one entry; None takes all.
        """
        found = [
            one for query in self.queries for one in query.documents if entry in (None, one.entry)
        ]
        return sorted(found, key=lambda one: -one.loss)

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from runoff.report._sections import ledger_html  # noqa: PLC0415 - a report, when asked for

        return ledger_html(self)

    def plot(self) -> LayerChart:
        """Return the way from the ideal down to what is achieved, as an Altair chart.

        Raises:
            MissingExtra: Altair is not installed.
        """
        from runoff.report._plots import ledger_plot  # noqa: PLC0415 - Altair is an extra

        return ledger_plot(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return {
            "measure": self.measure,
            "ideal": self.ideal,
            "achieved": self.achieved,
            "entries": dict(self.entries),
            "ceilings": dict(self.ceilings),
            "moves": [asdict(one) for one in self.moves],
            "queries": [one.to_dict() for one in self.queries],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        """Return the ledger as a table, then the ceilings and the moves."""
        concerned = dict.fromkeys(ENTRIES, 0)
        for one in self.documents():
            concerned[one.entry] += 1
        lines = [f"{self.measure} over {len(self.queries)} queries", _row("ideal", self.ideal)]
        lines += [
            f"{_row(f'  {ENTRIES[name]}', -loss, sign='+')}  {concerned[name]:>5} documents"
            for name, loss in self.entries.items()
            if loss or concerned[name]
        ]
        lines += [_row("achieved", self.achieved), "", "what could still be reached, at best"]
        above = math.inf
        for name, best in self.ceilings.items():
            if abs(best - above) >= _SHOWN:  # a stage that loses nothing needs no line
                lines.append(_row(f"  {CEILINGS[name]}", best))
                above = best
        if self.moves:
            lines += ["", "next moves"]
            lines += [f"  {rank}. {move}" for rank, move in enumerate(self.moves, 1)]
        return "\n".join([*lines, *self.notes])


def _row(what: str, value: float, sign: str = "") -> str:
    return f"{what:<52}{value:>{sign}8.4f}"
