"""Many settings of one recorded system: the quality of each, and what it costs per query."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from runoff._labels.remarks import check_recorded, degraded
from runoff._util.messages import number_of
from runoff.errors import InvalidArgument
from runoff.evaluation._grid import Answers
from runoff.evaluation._measures.measures import Evaluator
from runoff.evaluation._verdict.pairing import by_text, repeated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff._recording.query import RecordedQuery
    from runoff._recording.recording import Recording
    from runoff._recording.setup import StepSetup
    from runoff.evaluation._grid import Setting
    from runoff.evaluation._measures.measures import Judged
    from runoff.rerank._cost import Price
    from runoff.trace import StageTrace


@dataclass(frozen=True, slots=True)
class Spent:
    """What each query costs with one setting.

    Attributes:
        ms: milliseconds of recall, fusion and reranking, shape (queries,).
        cost: money, shape (queries,); None if no price is known.
    """

    ms: NDArray[np.float64]
    cost: NDArray[np.float64] | None


class Costs:
    """Estimates what queries cost, from the recorded latency and usage.

    It assumes that the reranker's latency and usage grow in proportion to the pairs it reads, that
    sources run at the same time, so that the slowest counts, and that a cascade skips no stage. The
    units that a vendor bills are rounded up to whole ones, so their cost is rather too high.

    Args:
        queries: the recorded queries.
        steps: the stages of the second stage, as configured.
        price: of the reranker, for recordings whose usage has no cost.

    Raises:
        InvalidArgument: the price is not a `Price`.
    """

    def __init__(
        self,
        queries: Iterable[RecordedQuery],
        steps: Sequence[StepSetup],
        price: Price | None = None,
    ) -> None:
        if price is not None and not callable(getattr(price, "of", None)):
            raise InvalidArgument("price", price, "must be a Price, or None")
        self._queries = list(queries)
        self._keeps = [step.keep for step in steps]
        self._price = price
        self._stages = [_rerank_stages(query, len(steps)) for query in self._queries]

    @property
    def cached(self) -> int:
        """How many pairs came from a cache while recording, and so took no time."""
        return sum(stage.usage.cached for stages in self._stages for stage in stages)

    def of(self, sources: Sequence[str], pairs: Sequence[int]) -> Spent:
        """Return what each query costs.

        Args:
            sources: the names of the sources in use.
            pairs: for each query, how many pairs the reranker's first stage reads.
        """
        found = [
            self._one(query, stages, sources, many)
            for query, stages, many in zip(self._queries, self._stages, pairs, strict=True)
        ]
        ms, cost = (np.array(column, np.float64) for column in zip(*found, strict=True))
        return Spent(ms, None if np.isnan(cost).any() else cost)

    def _one(
        self,
        query: RecordedQuery,
        stages: Sequence[StageTrace],
        sources: Sequence[str],
        pairs: int,
    ) -> tuple[float, float]:
        asked = [one for one in query.stages if one.stage == "recall" and one.source in sources]
        ms = max((one.latency_ms for one in asked), default=0.0)
        ms += sum(one.latency_ms for one in query.stages if one.stage == "fusion")
        cost = math.fsum(one.usage.cost or 0.0 for one in asked)
        for stage, keep in zip(stages, self._keeps, strict=False):
            if not pairs:
                break
            ms += stage.latency_ms * pairs / max(1, stage.entered)
            cost += self._cost(stage, pairs)
            pairs = pairs if keep is None else min(pairs, keep)
        return ms, cost

    def _cost(self, stage: StageTrace, pairs: int) -> float:
        """Return what one stage costs for this many pairs; NaN if unknown."""
        usage = stage.usage
        whole = usage.cost if self._price is None else self._price.of(usage)
        if whole is None or not stage.entered:
            return math.nan
        share = pairs / stage.entered
        if usage.pairs:  # a pair may be read as several passages, and cached pairs were free
            share *= (usage.pairs + usage.cached) / usage.pairs
        if usage.billed_units:
            share = math.ceil(usage.billed_units * share) / usage.billed_units
        return whole * share


def _rerank_stages(query: RecordedQuery, steps: int) -> tuple[StageTrace, ...]:
    for stage in query.stages:
        if stage.stage == "rerank":
            return stage.parts if len(stage.parts) == steps else (stage,)
    return ()


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """The quality and the cost of every setting, query by query.

    Attributes:
        settings: in the order tried; the first is the reference.
        query_ids: the judged queries.
        values: measure to values, float64, shape (settings, queries).
        pairs: read by the reranker's first stage, float64, shape (settings, queries).
        ms: milliseconds, shape (settings, queries).
        cost: money, shape (settings, queries); None if no price is known.
        notes: caveats, as sentences.
    """

    settings: tuple[Setting, ...]
    query_ids: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    pairs: NDArray[np.float64]
    ms: NDArray[np.float64]
    cost: NDArray[np.float64] | None
    notes: tuple[str, ...] = ()

    @property
    def measures(self) -> tuple[str, ...]:
        """The names of the measures; the first decides."""
        return tuple(self.values)

    @property
    def quality(self) -> NDArray[np.float64]:
        """The values of the first measure, shape (settings, queries)."""
        return self.values[self.measures[0]]

    def only(self, at: NDArray[np.int64]) -> Trials:
        """Return the same trials with only these queries.

        Args:
            at: places in `query_ids`.
        """
        return replace(
            self,
            query_ids=tuple(self.query_ids[one] for one in at.tolist()),
            values={name: rows[:, at] for name, rows in self.values.items()},
            pairs=self.pairs[:, at],
            ms=self.ms[:, at],
            cost=None if self.cost is None else self.cost[:, at],
        )

    def once_each(self, texts: Mapping[str, str]) -> Trials:
        """Return the trials with the queries of one text as one, which has their mean values.

        Args:
            texts: query id to text.
        """
        asked = by_text(self.query_ids, texts)
        if len(asked) == len(self.query_ids):
            return self

        def mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.array([rows[:, at].mean(axis=1) for at in asked]).T

        return replace(
            self,
            query_ids=tuple(self.query_ids[at[0]] for at in asked),
            values={name: mean(rows) for name, rows in self.values.items()},
            pairs=mean(self.pairs),
            ms=mean(self.ms),
            cost=None if self.cost is None else mean(self.cost),
            notes=(*self.notes, repeated(len(self.query_ids), len(asked))),
        )


def run_trials(
    recording: Recording,
    collection: Judged,
    settings: Sequence[Setting],
    measures: Sequence[object],
    price: Price | None = None,
) -> Trials:
    """Replay and measure settings; nothing is searched or scored.

    Results are cut at the largest cutoff of the measures, not at the system's `top_k`. A setting
    that needs what was not recorded is left out, with a note, except the first, which raises.

    Raises:
        InvalidArgument: a judged query was not recorded, no candidate is a judged document, the
            first setting cannot be replayed, or as `Evaluator`.
        ScoreKindMismatch: a threshold was made for other scores.
        MissingExtra: ir-measures is not installed.
    """
    evaluator = Evaluator(collection, measures)
    check_recorded(recording, collection)
    answers = Answers(recording, evaluator.query_ids)
    evaluator.check_found({one.query_id: one.doc_ids for one in answers.queries})
    costs = Costs(answers.queries, recording.setup.steps, price)
    top_k = evaluator.deepest
    done: list[Setting] = []
    values: dict[str, list[NDArray[np.float64]]] = {name: [] for name in evaluator.measures}
    pairs: list[list[int]] = []
    spent: list[Spent] = []
    refused: list[InvalidArgument] = []
    for setting in settings:
        try:
            runs = answers.to(setting, top_k)
            measured = evaluator.evaluate(runs)
        except InvalidArgument as error:
            if not done:
                raise
            refused.append(error)
            continue
        for name, column in values.items():
            column.append(measured.values[name])
        done.append(setting)
        pairs.append([runs[query_id].pairs for query_id in evaluator.query_ids])
        spent.append(costs.of(setting.sources, pairs[-1]))
    notes = list(evaluator.notes)
    if refused:
        notes.append(
            f"{number_of(len(refused), 'setting was', 'settings were')} left out; the first "
            f"because: {refused[0]}"
        )
    if costs.cached:
        notes.append(
            f"{number_of(costs.cached, 'pair')} came from a cache: without it, searches take "
            "longer."
        )
    notes += degraded(recording)
    money = [one.cost for one in spent if one.cost is not None]
    made = Trials(
        tuple(done),
        evaluator.query_ids,
        {name: np.array(column) for name, column in values.items()},
        np.array(pairs, np.float64),
        np.array([one.ms for one in spent]),
        np.array(money) if len(money) == len(spent) else None,
        tuple(notes),
    )
    return made.once_each(collection.queries)
