"""`evaluate`: measures by ir-measures, one value for every judged query."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from runoff._labels.relevance import View
from runoff._labels.remarks import check_found, check_judged, check_queries, foreign
from runoff._util.arguments import check_list
from runoff._util.display import html_by, pretty
from runoff._util.messages import number_of, visible
from runoff.errors import InvalidArgument
from runoff.evaluation._measures.names import (
    counting_from,
    cutoff_in,
    deepest,
    judged_name,
    library,
    parsed_measure,
)
from runoff.evaluation._measures.providers import PlainEvaluator, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEASURES = ("nDCG@10", "RR@10", "R@100")
"""The measures by default; the first decides a verdict."""

Run = Mapping[str, Sequence[str]]
"""Query id to document ids, best first."""


class Judged(Protocol):
    """Queries with judgments, such as a `Collection`."""

    @property
    def queries(self) -> Mapping[str, str]:
        """Query id to text."""

    @property
    def qrels(self) -> Mapping[str, Mapping[str, int]]:
        """Query id to document id to grade."""


@dataclass(frozen=True, slots=True, repr=False)
class Measured:
    """One system's value of every measure for every judged query.

    Attributes:
        query_ids: the judged queries, in the collection's order.
        values: measure to float64 values, shape (queries,), in the order of `query_ids`; read-only.
        judged: measure to the share of the results within its cutoff that were judged, 0 to 1,
            shape (queries,); NaN for a query without results, and for all where no judgment says
            "not relevant", so that this share says nothing.
        texts: query id to text.
        notes: those of the collection, and what is odd about the run, as sentences.
        answers: query id to the results, best first, of the judged queries that have any.
        qrels: query id to document id to grade: the judgments it was measured by.
        caveat: why nothing can be proven by these judgments; empty if it can.
    """

    query_ids: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    judged: Mapping[str, NDArray[np.float64]]
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    qrels: Mapping[str, Mapping[str, int]] = field(default_factory=dict, repr=False)
    caveat: str = ""

    def __reduce__(self) -> tuple[type[Measured], tuple[object, ...]]:
        """Rebuild from plain dictionaries, since read-only views cannot be pickled."""
        plain = (dict(self.values), dict(self.judged), dict(self.texts))
        qrels = {query_id: dict(grades) for query_id, grades in self.qrels.items()}
        rest = (self.notes, dict(self.answers), qrels, self.caveat)
        return type(self), (self.query_ids, *plain, *rest)

    def mean(self, measure: str) -> float:
        """Return the mean over all judged queries; one without results counts as zero."""
        return float(self._of(self.values, measure).mean())

    def judged_share(self, measure: str) -> float:
        """Return the mean of Judged@k over the queries with results; NaN if there is none."""
        found = self._of(self.judged, measure)
        return float(np.nanmean(found)) if not np.isnan(found).all() else float("nan")

    def by_query(self, measure: str) -> dict[str, float]:
        """Return query id to value."""
        return dict(zip(self.query_ids, self._of(self.values, measure).tolist(), strict=True))

    _repr_pretty_ = pretty

    _repr_html_ = html_by("measured_html")

    def __repr__(self) -> str:
        """Show the means; `str` has a table."""
        means = ", ".join(f"{name} {self.mean(name):.4f}" for name in self.values)
        return f"Measured({means}, {number_of(len(self.query_ids), 'query')})"

    def _of(self, found: Mapping[str, NDArray[np.float64]], measure: str) -> NDArray[np.float64]:
        if measure not in found:
            raise InvalidArgument(
                "measure", measure, f"must be one of the measures of this result, {list(found)}"
            )
        return found[measure]

    def __str__(self) -> str:
        """Return one line for each measure: its mean, and Judged@k."""
        lines = []
        width = max(10, *map(len, self.values))
        for name in self.values:
            share = self.judged_share(name)
            judged = "" if np.isnan(share) else f"  ({judged_name(name)} {share:.3f})"
            lines.append(f"{name:<{width}} {self.mean(name):.4f}{judged}")
        return visible(
            "\n".join([*lines, number_of(len(self.query_ids), "judged query"), *self.notes])
        )


class Evaluator:
    """Measures prepared once for a collection, for many runs.

    Judgments count as `Collection.counting` says. There are no ties: a run is an order, and
    ir-measures receives scores that fall strictly with the rank. A judged query without results
    counts as zero; an unjudged query is left out.

    Args:
        collection: has the judgments.
        measures: as ir-measures names them, or its objects.

    Attributes:
        measures: their names.
        query_ids: the judged queries, in the collection's order.
        deepest: the largest cutoff of the measures; None if one has no cutoff.
        notes: what is odd about the judgments, as sentences.

    Raises:
        InvalidArgument: the collection has no judgments, no measure is given, a measure is unknown,
            or no installed package computes it.
        MissingExtra: ir-measures is not installed.
    """

    def __init__(self, collection: Judged, measures: Iterable[object] = MEASURES) -> None:
        ir_measures = library()
        check_judged(collection)
        if not isinstance(measures, str):
            check_list("measures", measures, "measures")
        given = [measures] if isinstance(measures, str) else list(measures)
        self._view = View(collection)
        least = self._view.relevant_from
        parsed = list(
            dict.fromkeys(counting_from(parsed_measure(ir_measures, one), least) for one in given)
        )
        if not parsed:
            raise InvalidArgument("measures", measures, "must name at least one measure")
        self.measures = tuple(str(one) for one in parsed)
        # fewer documents are left of chunks that are cut
        self.deepest = deepest(parsed) if self._view.plain else None
        self.query_ids = tuple(collection.qrels)
        self._texts = MappingProxyType({one: collection.queries[one] for one in self.query_ids})
        judged = {name: parsed_measure(ir_measures, judged_name(name)) for name in self.measures}
        self._judged = {name: str(measure) for name, measure in judged.items()}
        self._qrels = self._view.qrels
        self.notes = tuple(getattr(collection, "notes", ()))
        self._caveat = str(getattr(collection, "caveat", ""))
        grades = [grade for given in self._view.judged.values() for grade in given.values()]
        self._positive = min(grades, default=1) > 0
        cutoffs = {one: cutoff_in(one) if self._view.by_cutoff else None for one in parsed}
        if missed := self._view.unreachable(one for one in cutoffs.values() if one):
            few = (
                f"{number_of(missed, 'query needs', 'queries need')} more documents than any "
                f"measure counts, and {'scores' if missed == 1 else 'score'} 0."
            )
            self.notes = (*self.notes, few)
        try:
            # each with the cutoff at which results are looked at
            self._evaluators = [
                (cutoff, PlainEvaluator(ir_measures, group, self._qrels))
                for cutoff, group in _grouped(cutoffs).items()
            ]
            self._shares = None
            if not self._positive:
                shares = set(judged.values())
                self._shares = PlainEvaluator(ir_measures, shares, self._view.judged)
        except ValueError as error:
            raise InvalidArgument("measures", list(self.measures), str(error)) from None

    def check_found(self, found: Mapping[str, Sequence[str]]) -> None:
        """Raise if no candidate of a judged query is a judged document.

        Args:
            found: query id to the ids of all candidates.

        Raises:
            InvalidArgument: none is, so no figure would mean anything.
        """
        documents = {one: self._view.documents(ids) for one, ids in found.items()}
        check_found([documents], self._view.judged)

    def evaluate(self, run: Run) -> Measured:
        """Return every measure of every judged query.

        Args:
            run: query id to document ids, best first; it is not changed.

        Raises:
            InvalidArgument: a query's results repeat a document, or are not a list of ids, or no
                answered query is judged.
        """
        if not isinstance(run, Mapping):
            raise InvalidArgument("run", run, "must map query ids to document ids, best first")
        check_queries(run, self._view.judged)
        listed = {
            query_id: _falling(query_id, run[query_id])
            for query_id in self.query_ids
            if run.get(query_id) is not None
        }
        scored = {query_id: scores for query_id, scores in listed.items() if scores}
        places = {query_id: at for at, query_id in enumerate(self.query_ids)}
        found = {name: np.zeros(len(places)) for name in (*self.measures, *self._judged.values())}

        def column_of(measure: object) -> NDArray[np.float64]:
            return found[str(measure)]

        orders = {one: self._view.documents(scores) for one, scores in scored.items()}
        for cutoff, evaluator in self._evaluators:
            seen = {one: self._view.seen(one, scores, cutoff) for one, scores in scored.items()}
            _fill(column_of, places, evaluator.iter_calc(_scores(seen)))
        if self._shares is not None:
            _fill(column_of, places, self._shares.iter_calc(_scores(orders)))
        empty = np.array([query_id not in scored for query_id in self.query_ids])
        for column in found.values():
            column[empty] = 0.0
        judged = {
            name: np.where(empty | self._positive, np.nan, found[self._judged[name]])
            for name in self.measures
        }
        values = {name: found[name] for name in self.measures}
        for column in (*values.values(), *judged.values()):
            column.flags.writeable = False
        notes = (
            *self.notes,
            *_oddities(run, self._qrels, int(empty.sum())),
            *foreign(orders, self._view.judged),
        )
        answers = {one: tuple(self._view.seen(one, scores)) for one, scores in scored.items()}
        return Measured(
            self.query_ids,
            MappingProxyType(values),
            MappingProxyType(judged),
            self._texts,
            notes,
            MappingProxyType(answers),
            MappingProxyType(self._qrels),
            self._caveat,
        )


def evaluate(run: Run, collection: Judged, measures: Iterable[object] = MEASURES) -> Measured:
    """Return every measure of every judged query of a run; see `Evaluator`.

    Args:
        run: query id to document ids, best first.
        collection: has the judgments.
        measures: as ir-measures names them, or its objects.

    Raises:
        InvalidArgument: as `Evaluator` and its `evaluate`.
        MissingExtra: ir-measures is not installed.
    """
    return Evaluator(collection, measures).evaluate(run)


def measured_once(
    measures: Sequence[str],
    qrels: Mapping[str, Mapping[str, int]],
    *runs: Run,
) -> list[dict[str, NDArray[np.float64]]]:
    """Return for each run measure to the value of every query of `qrels`, in their order.

    Args:
        measures: names that `Evaluator` accepts.
        qrels: query id to document id to grade.
        *runs: query id to document ids without repetitions, best first.
    """
    ir_measures = library()
    named = {parsed_measure(ir_measures, one): one for one in measures}
    places = {query_id: at for at, query_id in enumerate(qrels)}
    evaluator = PlainEvaluator(ir_measures, list(named), qrels)
    measured = []
    for run in runs:
        found = {name: np.zeros(len(places)) for name in measures}
        scored = _scores({one: order for one, order in run.items() if one in places and order})
        answered = (one for one in evaluator.iter_calc(scored) if one.query_id in scored)
        columns: dict[object, NDArray[np.float64]] = {
            measure: found[name] for measure, name in named.items()
        }
        _fill(columns.__getitem__, places, answered)
        measured.append(found)
    return measured


def _fill(
    column_of: Callable[[object], NDArray[np.float64]],
    places: Mapping[str, int],
    values: Iterable[Value],
) -> None:
    """Put values into the columns of their measures, which ir-measures hashes slowly."""
    last, column = None, np.zeros(0)
    for one in values:
        if one.measure is not last:
            last, column = one.measure, column_of(one.measure)
        column[places[one.query_id]] = one.value


def _grouped(cutoffs: Mapping[Any, int | None]) -> dict[int | None, set[Any]]:
    groups: dict[int | None, set[Any]] = {}
    for measure, cutoff in cutoffs.items():
        groups.setdefault(cutoff, set()).add(measure)
    return groups


def _scores(orders: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    """Return scores that fall with the rank, exact in single precision."""
    return {
        query_id: dict(zip(order, map(float, range(len(order), 0, -1)), strict=True))
        for query_id, order in orders.items()
    }


def _falling(query_id: str, given: object) -> dict[str, float]:
    """Return document id to a score that falls with the rank, exact in single precision."""
    order: list[str] = []
    # a set has no order, and a mapping to scores need not be sorted by them
    fit = isinstance(given, Iterable) and not isinstance(given, str | Mapping | AbstractSet)
    if fit:
        order = list(cast("Iterable[str]", given))
    if not fit or not all(isinstance(doc_id, str) for doc_id in order):
        remedy = f"must list document ids, best first (query {query_id!r})"
        raise InvalidArgument("run", given, remedy)
    scores = _scores({query_id: order})[query_id]
    if len(scores) < len(order):
        twice = next(doc_id for at, doc_id in enumerate(order) if doc_id in order[:at])
        remedy = (
            f"is repeated in the results of query {query_id!r}; where chunks stand for "
            "documents, keep the chunks' own ids and use Collection.counting(parent_of=)"
        )
        raise InvalidArgument("run", twice, remedy)
    return scores


def _oddities(run: Run, qrels: Mapping[str, object], empty: int) -> list[str]:
    unjudged = sum(query_id not in qrels for query_id in run)
    notes = []
    if empty:
        notes.append(
            f"{empty} of {number_of(len(qrels), 'judged query')} "
            f"{'has' if empty == 1 else 'have'} no results and "
            f"{'counts' if empty == 1 else 'count'} as zero."
        )
    if unjudged:
        notes.append(
            f"{number_of(unjudged, 'query')} of the run {'has' if unjudged == 1 else 'have'} "
            f"no judgments and {'is' if unjudged == 1 else 'are'} left out."
        )
    return notes
