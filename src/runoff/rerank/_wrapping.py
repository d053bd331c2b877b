"""What scorers around another scorer share: they answer for it, and ask it in either way."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from runoff._waiting import workers
from runoff.errors import BadReply, InvalidArgument
from runoff.scores import PairScores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.deadline import Deadline
    from runoff.protocols import PairScorer

__all__ = ["Wrapping", "ask", "ask_async", "name_of"]


def name_of(scorer: PairScorer) -> str:
    """Return a scorer's name, or its class's."""
    return str(getattr(scorer, "name", type(scorer).__name__))


def ask(
    scorer: PairScorer, pairs: Sequence[tuple[str, str]], deadline: Deadline | None
) -> PairScores:
    """Have pairs scored.

    Raises:
        InvalidArgument: the scorer returned something else than scores.
        BadReply: it returned another number of scores than it was given pairs.
        RunoffError: whatever the scorer raises.
    """
    return _checked(scorer, scorer.score(pairs, deadline=deadline), len(pairs))


async def ask_async(
    scorer: PairScorer, pairs: Sequence[tuple[str, str]], deadline: Deadline | None
) -> PairScores:
    """Do what `ask` does without blocking the event loop.

    A scorer without `ascore` is run in the bounded pool of worker threads.

    Raises:
        DeadlineExceeded: such a scorer did not come back in time.
        PoolFull: every worker thread is busy.
        RunoffError: as `ask`.
    """
    ascore = getattr(scorer, "ascore", None)
    if ascore is not None:
        return _checked(scorer, await ascore(pairs, deadline=deadline), len(pairs))
    call = partial(scorer.score, pairs, deadline=deadline)
    waits = None if getattr(scorer, "keeps_deadline", False) else deadline
    return _checked(scorer, await workers.run_async(call, waits, name_of(scorer)), len(pairs))


def _checked(scorer: PairScorer, scores: object, count: int) -> PairScores:
    if not isinstance(scores, PairScores):
        raise InvalidArgument("scorer", scores, f"{name_of(scorer)} must return PairScores")
    if len(scores) != count:
        msg = f"{name_of(scorer)} returned {len(scores)} scores for {count} pairs"
        raise BadReply(msg)
    return scores


class Wrapping:
    """A scorer around `scorer` that answers for it where nothing changes."""

    __slots__ = ()

    scorer: PairScorer

    @property
    def name(self) -> str:
        """The scorer's name."""
        return name_of(self.scorer)

    @property
    def keeps_deadline(self) -> bool:
        """Whether the scorer returns by itself what it has when the deadline comes."""
        return bool(getattr(self.scorer, "keeps_deadline", False))

    @property
    def default_blend(self) -> float | None:
        """The weight the scorer asks for when mixed with fusion scores, or None."""
        asked: float | None = getattr(self.scorer, "default_blend", None)
        return asked

    def warmup(self) -> None:
        """Warm the scorer up, if it can be."""
        warmup = getattr(self.scorer, "warmup", None)
        if warmup is not None:
            warmup()
