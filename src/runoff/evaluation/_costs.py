"""What a query would cost with other pairs or fewer sources, from its recorded stages."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._recording import RecordedQuery
    from runoff.evaluation._setup import StepSetup
    from runoff.rerank._cost import Price
    from runoff.trace import StageTrace

__all__ = ["Costs", "Spent"]


@dataclass(frozen=True, slots=True)
class Spent:
    """What each query takes with one setting.

    Attributes:
        ms: milliseconds of recall, fusion and reranking, shape (queries,).
        cost: money, shape (queries,); None where no price is known.
    """

    ms: NDArray[np.float64]
    cost: NDArray[np.float64] | None


class Costs:
    """Foretells what queries take, from the time and the usage that were recorded.

    The reranker's time and usage are taken to grow with the pairs it reads. Units that a vendor
    bills are rounded up to whole ones, so that what they cost is rather too high. Sources are asked
    at the same time, so that the slowest counts. A cascade is taken to skip nothing.

    Args:
        queries: the recorded queries.
        steps: the stages of the second stage, as configured.
        price: of the reranker, for recordings whose usage has no cost.

    Raises:
        InvalidArgument: the price is none.
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
        self._reads = [_reads(query, len(steps)) for query in self._queries]

    @property
    def cached(self) -> int:
        """How many pairs came from a cache when this was recorded, so that they took no time."""
        return sum(stage.usage.cached for reads in self._reads for stage in reads)

    def of(self, sources: Sequence[str], pairs: Sequence[int]) -> Spent:
        """Return what each query takes.

        Args:
            sources: the sources that are asked.
            pairs: of each query, what the first stage of the reranker reads; 0 for nothing.
        """
        found = [
            self._one(query, reads, sources, many)
            for query, reads, many in zip(self._queries, self._reads, pairs, strict=True)
        ]
        ms, cost = (np.array(column, np.float64) for column in zip(*found, strict=True))
        return Spent(ms, None if np.isnan(cost).any() else cost)

    def _one(
        self,
        query: RecordedQuery,
        reads: Sequence[StageTrace],
        sources: Sequence[str],
        pairs: int,
    ) -> tuple[float, float]:
        asked = [one for one in query.stages if one.stage == "recall" and one.source in sources]
        ms = max((one.latency_ms for one in asked), default=0.0)
        ms += sum(one.latency_ms for one in query.stages if one.stage == "fusion")
        cost = math.fsum(one.usage.cost or 0.0 for one in asked)
        for stage, keep in zip(reads, self._keeps, strict=False):
            if not pairs:
                break
            ms += stage.latency_ms * pairs / max(1, stage.entered)
            cost += self._cost(stage, pairs)
            pairs = pairs if keep is None else min(pairs, keep)
        return ms, cost

    def _cost(self, stage: StageTrace, pairs: int) -> float:
        """Return what one stage costs for so many pairs; NaN where that is not known."""
        usage = stage.usage
        whole = usage.cost if self._price is None else self._price.of(usage)
        if whole is None or not stage.entered:
            return math.nan
        share = pairs / stage.entered
        if usage.pairs:  # a pair may be read as several passages, and what was cached cost nothing
            share *= (usage.pairs + usage.cached) / usage.pairs
        if usage.billed_units:
            share = math.ceil(usage.billed_units * share) / usage.billed_units
        return whole * share


def _reads(query: RecordedQuery, steps: int) -> tuple[StageTrace, ...]:
    for stage in query.stages:
        if stage.stage == "rerank":
            return stage.parts if len(stage.parts) == steps else (stage,)
    return ()
