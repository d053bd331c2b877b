"""The ledger of lost quality: what `losses` returns, as values, a table and JSON."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._util.display import html_by, pretty
from runoff._util.lazy import import_name
from runoff._util.messages import number_of, visible
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from altair import LayerChart
    from numpy.typing import NDArray

    from runoff._labels.relevance import View
    from runoff._recording.query import RecordedQuery

LEAST = 1e-12  # a smaller loss or gain is rounding
_SHOWN = 5e-5  # a smaller difference is invisible with four decimals

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
"""Where quality is lost, in the order of the pipeline, and the words for it."""

CEILINGS = {
    "judged": "every relevant document first",
    "recorded": "of what any source found at the recorded depth",
    "depth": "of what they found at the depth in use",
    "grouping": "of what is left after grouping",
    "window": "with the window in the best order",
    "kept": "without what the reranker dropped",
    "scored": "with only the scored candidates in the best order",
    "reranked": "in the reranker's order",
    "answered": "after the threshold: the answer",
}
"""The best value that is still possible after each stage, in the order of the pipeline."""


@dataclass(frozen=True, slots=True)
class LostDocument:
    """A relevant document that is missing or ranked lower than possible, and where it was lost.

    Attributes:
        query_id: the query.
        doc_id: the document.
        entry: the entry of the ledger, a key of `ENTRIES`.
        grade: its judgment, above 0.
        loss: its share of the loss in this query; the shares of an entry sum to the entry.
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
        ideal: the best possible value: 1, or 0 if no document is relevant.
        achieved: the value of the answer.
        entries: entry to loss; they sum to `ideal - achieved`. `dropped`, `degraded` and `filtered`
            are below 0 if the answer gained by them; the others never are.
        ceilings: stage to the best value that is still possible after it.
        documents: the lost documents, in the order of the entries, the largest loss first.
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
    """One possible next step.

    Attributes:
        action: what to do.
        entry: the entry of the ledger it would reduce, a key of `ENTRIES`.
        loss: the mean loss booked there.
        at_most: the most that this move can gain, as a mean over all queries; see `losses`.
        brings: the gain on these queries, if it can be replayed; None if it cannot.
    """

    action: str
    entry: str
    loss: float
    at_most: float
    brings: float | None = None

    def __str__(self) -> str:
        """Return the move as a sentence."""
        if self.brings is None:
            gain = f"could gain up to {self.at_most:.3f}"
        else:
            gain = f"gains {self.brings:+.3f} on these queries"
        return visible(f"{self.action}: {gain}; {self.loss:.3f} is lost there")


@dataclass(frozen=True, slots=True, repr=False)
class Ledger:
    """Where quality is lost, as means over the queries.

    Attributes:
        measure: the measure, such as `nDCG@10`.
        ideal: mean of the best possible values.
        achieved: mean value of the answers.
        entries: entry to mean loss; they sum to `ideal - achieved`.
        ceilings: stage to the mean of the best values that are still possible after it.
        moves: possible next steps, the largest loss first.
        queries: the ledger of every query, in the collection's order.
        notes: caveats, as sentences.
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
        """Show the totals; `str` has the table."""
        return (
            f"Ledger({self.measure} {self.achieved:.4f} of {self.ideal:.4f}, "
            f"{number_of(len(self.queries), 'query')})"
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
        """Return the lost documents, the largest loss first.

        Args:
            entry: an entry of the ledger; None takes all.
        """
        found = [
            one for query in self.queries for one in query.documents if entry in (None, one.entry)
        ]
        return sorted(found, key=lambda one: -one.loss)

    _repr_pretty_ = pretty

    _repr_html_ = html_by("ledger_html")

    def plot(self) -> LayerChart:
        """Return the losses between the ideal and the achieved value, as an Altair chart.

        Raises:
            MissingExtra: Altair is not installed.
        """
        chart: LayerChart = import_name("runoff.report._plots", "ledger_plot")(self)
        return chart

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
        lost = dict.fromkeys(ENTRIES, 0)
        for one in self.documents():
            lost[one.entry] += 1
        lines = [
            f"{self.measure} over {number_of(len(self.queries), 'query')}",
            _row("ideal", self.ideal),
        ]
        lines += [
            f"{_row(f'  {ENTRIES[name]}', -loss, sign='+')}  "
            f"{number_of(lost[name], 'document'):>15}"
            for name, loss in self.entries.items()
            if loss or lost[name]
        ]
        lines += [_row("achieved", self.achieved), "", "what could still be reached, at best"]
        above = math.inf
        for name, best in self.ceilings.items():
            if abs(best - above) >= _SHOWN:  # a stage without a loss gets no line
                lines.append(_row(f"  {CEILINGS[name]}", best))
                above = best
        if self.moves:
            lines += ["", "next moves"]
            lines += [f"  {rank}. {move}" for rank, move in enumerate(self.moves, 1)]
        return visible("\n".join([*lines, *self.notes]))


def _row(label: str, value: float, sign: str = "") -> str:
    return f"{label:<52}{value:>{sign}8.4f}"


class Gains:
    """The gains of one query's rows, and the nDCG of any order of them.

    Attributes:
        cutoff: how many ranks count.
        grades: document id to grade, of the relevant documents.
        gain: of every row of the recorded query, float64; rows that count as one have the same.
        ideal: the best possible value: 1, or 0 if no document is relevant.

    Raises:
        InvalidArgument: a document is twice among the candidates.
    """

    def __init__(self, query: RecordedQuery, view: View, cutoff: int) -> None:
        if len(set(query.doc_ids)) < len(query):
            twice = Counter(query.doc_ids).most_common(1)[0][0]
            remedy = (
                f"is twice among the candidates of query {query.query_id!r}: pass `id_of=` to "
                "`TwoStage`, so that both count as one document"
            )
            raise InvalidArgument("recording", twice, remedy)
        self.cutoff = cutoff
        grades = view.qrels[query.query_id]
        self.grades = {one: grade for one, grade in grades.items() if grade > 0}
        self._query, self._view = query, view
        self._counted = view.counted(query.query_id, query.doc_ids)
        gains = [self.grades.get(one, 0) for one in self._counted]
        self.gain = np.array(gains, np.float64)
        places = min(cutoff, max(len(query.doc_ids), len(self.grades)))
        self._discounts = 1 / np.log2(np.arange(2, places + 2))
        best = sorted(self.grades.values(), reverse=True)[:cutoff]
        self._most = float(np.dot(best, self._discounts[: len(best)])) if best else 0.0
        self.ideal = 1.0 if best else 0.0

    def value(self, rows: NDArray[np.int64]) -> float:
        """Return the nDCG of rows in this order."""
        if not self._most:
            return 0.0
        if self._view.plain:
            gains = self.gain[rows[: self.cutoff]]
        else:
            gains = np.array([self.grades.get(one, 0) for one in self.ids(rows)], np.float64)
        return float(np.dot(gains, self._discounts[: len(gains)])) / self._most

    def ids(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the ids that count of rows in this order, up to the cutoff."""
        query, most = self._query, self.cutoff
        if self._view.plain:
            return [query.doc_ids[row] for row in rows[:most].tolist()]
        found = [query.doc_ids[row] for row in rows.tolist()]
        return self._view.seen(query.query_id, found, most)[:most]

    def row(self, doc_id: str, rows: Iterable[int]) -> int | None:
        """Return the first of these rows that counts as a document; None if none does."""
        return next((row for row in rows if self._counted[row] == doc_id), None)

    def best(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return rows by their gain, the highest first; equal ones stay in order."""
        ordered: NDArray[np.int64] = rows[np.argsort(-self.gain[rows], kind="stable")]
        return ordered

    def shares(self, before: Sequence[str], after: Sequence[str]) -> dict[str, float]:
        """Return what each relevant document loses between two orders of ids, if it loses."""
        old, new = self._worth(before), self._worth(after)
        lost = {one: worth - new.get(one, 0.0) for one, worth in old.items()}
        return {one: loss for one, loss in lost.items() if loss > LEAST}

    def _worth(self, order: Sequence[str]) -> dict[str, float]:
        near = zip(order, self._discounts.tolist(), strict=False)
        return {
            one: self.grades[one] * discount / self._most
            for one, discount in near
            if one in self.grades
        }
