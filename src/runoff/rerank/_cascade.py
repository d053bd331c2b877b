"""A cascade: a cheap reranker reads many candidates, and a stronger one the best of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.arguments import count, plain_numbers
from runoff._util.faults import degrades, lacks
from runoff._util.messages import config_repr, name_of
from runoff.errors import InvalidArgument
from runoff.rerank._inner import Composed, Inner, as_inner, asked
from runoff.rerank._llm.listwise import ListwiseLLM
from runoff.scores import Usage
from runoff.trace import StageTrace
from runoff.types import Reranking

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.protocols import Reranker
    from runoff.rerank._inner import StageAnswer
    from runoff.scores import Match
    from runoff.types import Candidate, Document, Dropped, Query, Ranked

_FEWEST = 3  # of two scores, the gap is always two standard deviations


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of a cascade.

    Attributes:
        reranker: a reranker, a scorer, a model name, or a reranker of LlamaIndex or LangChain.
        keep: how many candidates, the best by this stage, the next one reads; None for the last.
        margin: later stages are skipped when this stage's best score lies at least this many of
            its own (population) standard deviations above its second best; None never skips.

    Raises:
        InvalidArgument: an argument has an invalid value.
    """

    reranker: Inner
    keep: int | None = None
    margin: float | None = None
    _second: Reranker = field(init=False, repr=False, compare=False)

    __repr__ = config_repr

    def __post_init__(self) -> None:
        object.__setattr__(self, "_second", as_inner("reranker", self.reranker))
        keep, margin = self.keep, self.margin
        if keep is not None:
            count("keep", keep)
            plain_numbers(self, "keep")
        if margin is not None and not (
            isinstance(margin, Real) and not isinstance(margin, bool) and 0 < margin < math.inf
        ):
            raise InvalidArgument("margin", margin, "must be standard deviations, above 0, or None")
        if margin is not None and isinstance(self._second, ListwiseLLM):
            remedy = f"needs scores, but {name_of(self._second)} returns only an order"
            raise InvalidArgument("margin", margin, remedy)

    @property
    def second(self) -> Reranker:
        """The reranker that was made of what was given."""
        return self._second


@dataclass(frozen=True, slots=True, repr=False)
class Cascade(Composed):
    """Rerankers in sequence: each reads the best candidates of the one before.

    ```python
    Cascade([Step(cheap, keep=20), "runoff-mini"])
    ```

    The first stage reads every candidate. Each later stage reads the first `keep` of the order so
    far and reorders only those; the others keep their order below. Scores of two stages are never
    compared: only candidates that the last stage scored have a `rerank_score` and a `pair_score`,
    and `kind` and `model` are that stage's. Equal scores keep their fused order.

    All stages share one deadline, and each may use all that is left of it. A stage with a transient
    error is left out, and a stage that scores only some candidates reorders those; either way the
    answer is degraded. A permanent error is raised.

    Attributes:
        steps: a `Step`, or a pair of reranker and keep, for each stage; the last may be a bare
            reranker.

    Raises:
        InvalidArgument: an argument has an invalid value.
    """

    steps: Sequence[Step | tuple[Inner, int] | Inner]
    _stages: tuple[Step, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.steps, str) or not isinstance(self.steps, Sequence) or not self.steps:
            raise InvalidArgument(
                "steps", self.steps, "must list one stage or more, cheapest first"
            )
        stages = tuple(map(_step, self.steps))
        object.__setattr__(self, "steps", stages)
        object.__setattr__(self, "_stages", stages)
        *earlier, last = stages
        for place, step in enumerate(earlier):
            if step.keep is None:
                remedy = "must say how many candidates the next stage reads"
                raise InvalidArgument(f"steps[{place}].keep", None, remedy)
            if _threshold(step) is not None:
                remedy = "only the last stage may have a threshold: the answer has its scores"
                raise InvalidArgument(f"steps[{place}]", _threshold(step), remedy)
            if step.margin is not None and _threshold(last) is not None:
                remedy = (
                    "could skip the last stage, and with it the threshold: set a margin or a "
                    "threshold, not both"
                )
                raise InvalidArgument(f"steps[{place}].margin", step.margin, remedy)
        for name in ("keep", "margin"):
            if (value := getattr(last, name)) is not None:
                remedy = "must be None: no stage follows the last"
                raise InvalidArgument(f"steps[{len(earlier)}].{name}", value, remedy)

    @property
    def name(self) -> str:
        """The names of the stages, first to last."""
        return " > ".join(name_of(step.second) for step in self._stages)

    @property
    def _inner(self) -> list[Reranker]:
        return [step.second for step in self._stages]

    def _asking(
        self, query: Query, candidates: Sequence[Candidate], deadline: Deadline
    ) -> Asking[Reranking]:
        order = _Order(candidates)
        reads: int | None = None
        for place, step in enumerate(self._stages):
            read = order.first(reads)
            if not read:
                break
            answer = yield from asked(step.second, query, read, deadline.branch())
            order.add(answer)
            ahead = _lead(answer.reranking) if step.margin is not None else 0.0
            if step.margin is not None and ahead >= step.margin:
                skipped = [name_of(one.second) for one in self._stages[place + 1 :]]
                order.skip(
                    skipped,
                    f"{', '.join(skipped)} skipped: the best of {answer.name} leads by {ahead:.1f} "
                    f"standard deviations (margin {step.margin:g})",
                )
                break
            reads = step.keep
        return order.reranking()


def _step(given: Step | tuple[Inner, int] | Inner) -> Step:
    if isinstance(given, Step):
        return given
    return Step(*given) if isinstance(given, tuple) else Step(given)


def _threshold(step: Step) -> object:
    return getattr(step.second, "threshold", None)


def _lead(reranking: Reranking) -> float:
    """Return by how many standard deviations the best leads; 0 unless all have a score."""
    if lacks(reranking)[0]:
        return 0.0
    scores = [one.rerank_score for one in reranking.ordered if one.rerank_score is not None]
    return lead(scores) if len(scores) == len(reranking.ordered) else 0.0


def lead(scores: Sequence[float] | NDArray[np.float64]) -> float:
    """Return by how many of their standard deviations the first score leads the second.

    Args:
        scores: best first; of fewer than three, or of equal ones, the lead is 0.
    """
    if len(scores) < _FEWEST:
        return 0.0
    deviation = float(np.std(scores))
    return float(scores[0] - scores[1]) / deviation if deviation else 0.0


class _Order:
    """The order so far: candidates that a stage placed, then the others in fused order."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._place = {one.key: place for place, one in enumerate(candidates)}
        self._placed: list[Ranked] = []
        self._unread = list(candidates)
        self._dropped: list[Dropped] = []
        self._parts: list[StageTrace] = []
        self._faults: list[tuple[str, str]] = []
        self._notes: list[str] = []
        self._answered = Reranking(())
        self._matcher: Callable[[Document], tuple[Match, ...]] | None = None

    def first(self, count: int | None) -> list[Candidate]:
        """Return the first `count` candidates; None for all."""
        return [*(one.candidate for one in self._placed), *self._unread][:count]

    def add(self, stage: StageAnswer) -> None:
        """Put what a stage ordered first.

        Raises:
            Exception: the stage's error, when it is permanent.
        """
        self._parts.append(stage.trace)
        answer = stage.reranking
        if stage.error is not None:
            reason = degrades(stage.error, "transient")
            if not reason:
                raise stage.error
            self._faults.append((reason, f"{stage.name}: {stage.trace.error}"))
            return
        self._notes += answer.notes
        reason, detail = lacks(answer)
        if reason:
            self._faults.append((reason, detail))
        if not answer.ordered and reason:
            return  # it scored nothing, so the scores of the stage before stand
        self._answered = answer
        self._matcher = answer.matcher or self._matcher  # of the last stage that can say
        self._dropped += answer.dropped
        moved = {one.candidate.key for one in answer.ordered}
        moved |= {one.candidate.key for one in answer.dropped}
        behind = [
            replace(one, rerank_score=None, pair_score=None)
            for one in self._placed
            if one.candidate.key not in moved
        ]
        # the stage saw the order of the one before, but equal scores keep the fused order
        ahead = sorted(
            answer.ordered,
            key=lambda one: (
                (1, 0.0, 0)
                if one.rerank_score is None
                else (0, -one.rerank_score, self._place[one.candidate.key])
            ),
        )
        self._placed = [*ahead, *behind]
        self._unread = [one for one in self._unread if one.key not in moved]

    def skip(self, names: Sequence[str], note: str) -> None:
        """Trace stages that were not needed."""
        self._parts += [StageTrace("rerank", name, 0.0, 0, 0) for name in names]
        self._notes.append(note)

    def reranking(self) -> Reranking:
        """Return the order, with what is missing from it."""
        return Reranking(
            tuple(self._placed),
            tuple(self._unread),
            tuple(self._dropped),
            self._answered.kind,
            self._answered.model,
            sum((part.usage for part in self._parts), Usage()),
            self._faults[0][0] if self._faults else "",
            "; ".join(detail for _, detail in self._faults),
            sum(part.load_ms for part in self._parts),
            tuple(dict.fromkeys(self._notes)),
            self._answered.thresholded,
            tuple(self._parts),
            self._matcher,
        )
