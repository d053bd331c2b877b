"""A reranker asked within its deadline, and what every reranking must be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, TypeAlias

from runoff._util.display import Configured
from runoff._util.faults import lacks
from runoff._util.messages import error_text, name_of, number_of, short_repr
from runoff._waiting import workers
from runoff._waiting.drive import run, run_async
from runoff._waiting.watch import Watch
from runoff.deadline import Deadline
from runoff.errors import BadReply, InvalidArgument
from runoff.protocols import AsyncReranker, Reranker, Warmable
from runoff.rerank._as_reranker import as_reranker
from runoff.trace import StageTrace
from runoff.types import Reranking

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runoff._waiting.drive import Asking
    from runoff.deadline import Branch
    from runoff.protocols import PairScorer
    from runoff.types import Candidate, Query

Inner: TypeAlias = "Reranker | PairScorer | str"


class Composed(Configured):
    """A reranker made of others: `_inner` names them, and `_asking` asks them."""

    __slots__ = ()

    @property
    def _inner(self) -> Iterable[Reranker]:
        raise NotImplementedError

    def _asking(
        self, query: Query, candidates: Sequence[Candidate], deadline: Deadline
    ) -> Asking[Reranking]:
        raise NotImplementedError

    @property
    def keeps_deadline(self) -> bool:
        """True: at the deadline it answers without the rerankers that are late."""
        return True

    def warmup(self) -> None:
        for one in self._inner:
            if isinstance(one, Warmable):
                one.warmup()

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Rerank with one reranker after another.

        Raises:
            Exception: a permanent error of one of them, unless it may be left out.
        """
        return run(self._asking(query, candidates, deadline or Deadline()))

    async def arerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Do what `rerank` does without blocking the event loop."""
        return await run_async(self._asking(query, candidates, deadline or Deadline()))


def parts_of(reranker: Composed) -> Iterable[Reranker]:
    """Return the rerankers that one is made of."""
    return reranker._inner  # noqa: SLF001 - of the class above


def as_inner(argument: str, reranker: object) -> Reranker:
    """Return a `Reranker` for anything that `as_reranker` takes, except None.

    Raises:
        InvalidArgument: it is not a reranker, a scorer or a model name.
    """
    made = as_reranker(reranker)
    if made is None:
        raise InvalidArgument(argument, reranker, "must be a reranker, a scorer or a model name")
    return made


def reranked(
    reranker: Reranker, query: Query, candidates: Sequence[Candidate], deadline: Deadline, what: str
) -> Asking[Reranking]:
    """Ask a reranker, and wait for its answer until the deadline.

    Args:
        reranker: one with `keeps_deadline` is trusted to return in time.
        query: the question.
        candidates: what it reads, in fused order.
        deadline: when its answer is no longer waited for.
        what: the stage's name in the error.

    Raises:
        DeadlineExceeded: time is up; the call is left running in its worker thread.
        Exception: any error of the reranker.
    """
    deadline.check(what)
    limit = None if getattr(reranker, "keeps_deadline", False) else deadline
    call = partial(reranker.rerank, query, candidates, deadline=deadline)
    acall = None
    if isinstance(reranker, AsyncReranker):
        acall = partial(reranker.arerank, query, candidates, deadline=deadline)
    return (yield from workers.within(call, acall, limit, what))


def check_reranking(reranking: object, given: Sequence[Candidate]) -> Reranking:
    """Return a reranking that has every candidate once and is ordered by finite scores.

    Candidates without a score, which an earlier stage of a cascade ordered, must come last.

    Raises:
        BadReply: a check failed; says which.
    """
    if not isinstance(reranking, Reranking):
        raise BadReply(f"the reranker returned {short_repr(reranking)}, not a Reranking")
    try:
        back = [one.candidate.key for one in reranking.ordered]
        back += [candidate.key for candidate in reranking.unscored]
        back += [one.candidate.key for one in reranking.dropped]
    except (AttributeError, TypeError) as error:
        msg = f"the reranker returned a Reranking that contains the wrong types: {error}"
        raise BadReply(msg) from error
    if sorted(back) != sorted(candidate.key for candidate in given):
        known = {candidate.key for candidate in given}
        raise BadReply(
            f"the reranker was given {number_of(len(given), 'candidate')} and returned "
            f"{len(back)}: "
            f"{len(known - set(back))} missing, {len(set(back) - known)} unknown, "
            f"{len(back) - len(set(back))} repeated"
        )
    if reranking.ordered and not reranking.dropped and reranking.ordered[0].rerank_score is None:
        raise BadReply("the reranker ordered candidates but scored none")
    unscored = False
    for one in reranking.ordered:
        doc_id, score = one.candidate.document.doc_id, one.rerank_score
        if score is None:
            unscored = True
        elif not (type(score) is float or isinstance(score, Real)) or not math.isfinite(score):
            msg = f"the reranker gave {doc_id!r} the score {score}, which is not a finite number"
            raise BadReply(msg)
        elif unscored:
            msg = f"the reranker placed {doc_id!r}, with a score, below a candidate without one"
            raise BadReply(msg)
    return reranking


@dataclass(frozen=True, slots=True, eq=False)
class StageAnswer:
    """How one reranker answered.

    Attributes:
        name: the reranker's name.
        reranking: its answer, checked; empty when there is an error.
        error: what it raised, or what is wrong with its answer; None when all is well.
        trace: what it was given, what it returned and how long it took.
    """

    name: str
    reranking: Reranking
    error: Exception | None
    trace: StageTrace


def asked(
    reranker: Reranker, query: Query, candidates: Sequence[Candidate], deadline: Branch
) -> Asking[StageAnswer]:
    """Ask one reranker once; errors are returned and not raised."""
    name, watch = name_of(reranker), Watch(deadline)
    reranking, error, problem = Reranking(()), None, ""
    try:
        answer = yield from reranked(reranker, query, candidates, deadline, name)
        reranking = check_reranking(answer, candidates)
        problem = lacks(reranking)[1]
    except Exception as raised:  # noqa: BLE001 - the caller decides what it means
        error, problem = raised, error_text(raised)
    finally:
        deadline.leave()
    latency_ms, load_ms = watch.read()
    ordered, usage, parts = len(reranking.ordered), reranking.usage, reranking.parts
    trace = StageTrace(
        "rerank", name, latency_ms, len(candidates), ordered, load_ms, usage, problem, parts
    )
    return StageAnswer(name, reranking, error, trace)
