"""A fallback: when a reranker fails, the next one answers within the same deadline."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from numbers import Real
from typing import TYPE_CHECKING, Literal

from runoff._util.arguments import is_one_of
from runoff._util.faults import degrades, lacks
from runoff._util.messages import name_of, visible
from runoff.errors import InvalidArgument
from runoff.rerank._inner import Composed, Inner, as_inner, asked
from runoff.scores import Usage
from runoff.types import Reranking

if TYPE_CHECKING:
    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.protocols import Reranker
    from runoff.rerank._inner import StageAnswer
    from runoff.types import Candidate, Query

logger = logging.getLogger("runoff")


@dataclass(frozen=True, slots=True, repr=False)
class Fallback(Composed):
    """Rerankers in order of preference; the first complete answer is used.

    When a reranker has a transient error, is late or leaves candidates without a score, the next
    one is asked to score all candidates. If none scores them all, the answer with the fewest
    unscored candidates is used (of equals, the first), and it is degraded. A complete answer of a
    later reranker is complete; a note, a WARNING and the trace say which ones failed and why.
    `kind`, `model` and the threshold are those of the reranker that answered.

    With a deadline, each reranker but the last may use `share` of the time left, so that one that
    hangs leaves time for the next. Without a deadline, a reranker that hangs is waited for.

    Attributes:
        rerankers: a reranker, a scorer, a model name, or a reranker of LlamaIndex or LangChain for
            each, best first.
        share: the part of the time left that each but the last may use, above 0 and below 1.
        on_permanent: on a permanent error, such as a bad key, `"raise"` raises it and `"next"`
            asks the next reranker.

    Raises:
        InvalidArgument: an argument has an invalid value.
    """

    rerankers: Sequence[Inner]
    _: KW_ONLY
    share: float = 0.5
    on_permanent: Literal["raise", "next"] = "raise"
    _second: tuple[Reranker, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given, share = self.rerankers, self.share
        if isinstance(given, str) or not isinstance(given, Sequence) or not given:
            raise InvalidArgument("rerankers", given, "must list one reranker or more, best first")
        object.__setattr__(self, "rerankers", tuple(given))
        made = tuple(as_inner(f"rerankers[{place}]", one) for place, one in enumerate(given))
        object.__setattr__(self, "_second", made)
        if not isinstance(share, Real) or isinstance(share, bool) or not 0 < share < 1:
            raise InvalidArgument("share", share, "must be above 0 and below 1")
        if not is_one_of(self.on_permanent, ("raise", "next")):
            raise InvalidArgument("on_permanent", self.on_permanent, 'must be "raise" or "next"')

    @property
    def name(self) -> str:
        """The names of the rerankers, best first."""
        return " or ".join(map(name_of, self._second))

    @property
    def _inner(self) -> Sequence[Reranker]:
        return self._second

    def _asking(
        self, query: Query, candidates: Sequence[Candidate], deadline: Deadline
    ) -> Asking[Reranking]:
        if not candidates:
            return Reranking(())
        answers: list[StageAnswer] = []
        for place, one in enumerate(self._second, 1):
            share = self.share if place < len(self._second) else 1.0
            answer = yield from asked(one, query, candidates, deadline.branch(share))
            answers.append(answer)
            if answer.error is None and not lacks(answer.reranking)[0]:
                return self._complete(answers)
            if answer.error is not None and self.on_permanent == "raise" and not _reason(answer):
                raise answer.error
        return _best(answers, candidates)

    def _complete(self, answers: Sequence[StageAnswer]) -> Reranking:
        """Return the last answer, with a note for each reranker that failed before it."""
        *failed, last = answers
        notes = []
        for answer, one in zip(failed, self._second, strict=False):
            note = f"{last.name} answered in place of {answer.name} ({answer.trace.error})"
            if getattr(one, "threshold", None) is not None:
                note += f"; the threshold of {answer.name} was not applied"
            logger.warning("fallback: %s", visible(note))
            notes.append(note)
        return _with(last.reranking, answers, notes)


def _reason(answer: StageAnswer) -> str:
    """Return why an answer is incomplete; an empty string for a permanent error."""
    if answer.error is not None:
        return degrades(answer.error, "transient")
    return lacks(answer.reranking)[0]


def _detail(answer: StageAnswer) -> str:
    error = answer.trace.error
    return error if answer.error is None else f"{answer.name}: {error}"


def _best(answers: Sequence[StageAnswer], candidates: Sequence[Candidate]) -> Reranking:
    """Return the answer with the fewest unscored candidates, and the reasons of all.

    Raises:
        Exception: nothing was ordered, and one of the errors is permanent.
    """
    detail = "; ".join(map(_detail, answers))
    some = [answer for answer in answers if answer.reranking.ordered]
    if some:
        best = min(some, key=lambda answer: len(answer.reranking.unscored))
        return replace(_with(best.reranking, answers, ()), detail=detail)
    for answer in answers:
        if answer.error is not None and not _reason(answer):
            raise answer.error
    nothing = Reranking((), tuple(candidates), reason=_reason(answers[0]), detail=detail)
    return _with(nothing, answers, ())


def _with(reranking: Reranking, answers: Sequence[StageAnswer], notes: Sequence[str]) -> Reranking:
    """Return a reranking with the usage, load time and traces of all that were asked."""
    return replace(
        reranking,
        usage=sum((one.trace.usage for one in answers), Usage()),
        load_ms=sum(one.trace.load_ms for one in answers),
        notes=(*reranking.notes, *notes),
        parts=tuple(one.trace for one in answers),
    )
