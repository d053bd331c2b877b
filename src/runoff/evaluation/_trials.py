"""Many settings of one recorded system, measured on every judged query."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from runoff.errors import InvalidArgument
from runoff.evaluation._costs import Costs
from runoff.evaluation._measures import Evaluator
from runoff.evaluation._settings import Answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._costs import Spent
    from runoff.evaluation._measures import Judged
    from runoff.evaluation._recording import Recording
    from runoff.evaluation._settings import Setting
    from runoff.rerank._cost import Price

__all__ = ["Trials", "tried"]


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """What every setting gives and takes, query by query.

    Attributes:
        settings: in the order tried; the first is the reference.
        query_ids: the judged queries.
        values: measure to values, float64, shape (settings, queries).
        pairs: read by the reranker's first stage, float64, shape (settings, queries).
        ms: milliseconds, shape (settings, queries).
        cost: money, shape (settings, queries); None where no price is known.
        notes: what to bear in mind, as sentences.
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
        """Return the trials as these queries alone see them.

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


def tried(
    recording: Recording,
    collection: Judged,
    settings: Sequence[Setting],
    measures: Sequence[object],
    price: Price | None = None,
) -> Trials:
    """Replay and measure settings; nothing is searched or scored.

    Results go as deep as the measures look, whatever `top_k` the system has. A setting that would
    need what was not recorded is left out, with a note; the first may not be.

    Raises:
        InvalidArgument: a judged query was not recorded, the first setting cannot be replayed, or
            as `Evaluator`.
        ScoreKindMismatch: a threshold was made for other scores.
        MissingExtra: ir-measures is not installed.
    """
    evaluator = Evaluator(collection, measures)
    recorded = set(recording.query_ids)
    for query_id in evaluator.query_ids:
        if query_id not in recorded:
            raise InvalidArgument("collection", query_id, "is a judged query without a recording")
    answers = Answers(recording, evaluator.query_ids)
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
    notes = []
    if refused:
        notes.append(f"{len(refused)} settings were left out, the first because: {refused[0]}")
    if costs.cached:
        notes.append(f"{costs.cached} pairs came from a cache: a first search takes longer.")
    if degraded := sum(one.degraded for one in answers.queries):
        notes.append(f"{degraded} queries were recorded degraded and lack a part in every setting.")
    money = [one.cost for one in spent if one.cost is not None]
    return Trials(
        tuple(done),
        evaluator.query_ids,
        {name: np.array(column) for name, column in values.items()},
        np.array(pairs, np.float64),
        np.array([one.ms for one in spent]),
        np.array(money) if len(money) == len(spent) else None,
        tuple(notes),
    )
