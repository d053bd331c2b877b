"""Scorers around another scorer: how they ask it, what it answers for them, and the innermost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from runoff._util.display import Configured
from runoff._util.messages import name_of, number_of
from runoff._waiting import workers
from runoff._waiting.drive import ask
from runoff.errors import BadReply, InvalidArgument
from runoff.scores import PairScores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.protocols import PairScorer
    from runoff.scores import Match
    from runoff.types import Document


def check_scorer(scorer: object) -> None:
    """Refuse an object that cannot score.

    Raises:
        InvalidArgument: it has no method `score`.
    """
    if not callable(getattr(scorer, "score", None)):
        raise InvalidArgument("scorer", scorer, "must have a method score(pairs)")


def scored(
    scorer: PairScorer, pairs: Sequence[tuple[str, str]], deadline: Deadline | None
) -> Asking[PairScores]:
    """Have a scorer score pairs, and check what it returns.

    On an event loop, a scorer without `ascore` runs in the bounded pool of worker threads.

    Raises:
        InvalidArgument: the scorer did not return `PairScores`.
        BadReply: it did not return one score for each pair.
        DeadlineExceeded: a scorer in a worker thread did not return in time.
        PoolFull: every worker thread is busy.
        RunoffError: any error of the scorer.
    """
    name = name_of(scorer)
    call = partial(scorer.score, pairs, deadline=deadline)

    async def call_async() -> PairScores:
        ascore = getattr(scorer, "ascore", None)
        if ascore is not None:
            awaited: PairScores = await ascore(pairs, deadline=deadline)
            return awaited
        limit = None if getattr(scorer, "keeps_deadline", False) else deadline
        return await workers.run_async(call, limit, name)

    scores: object = yield from ask(call, call_async)
    if not isinstance(scores, PairScores):
        raise InvalidArgument("scorer", scores, f"{name} must return PairScores")
    if len(scores) != len(pairs):
        raise BadReply(
            f"{name} returned {number_of(len(scores), 'score')} for {number_of(len(pairs), 'pair')}"
        )
    return scores


class Around(Configured):
    """A part around a scorer that answers for it where nothing changes."""

    __slots__ = ()

    scorer: PairScorer

    @property
    def name(self) -> str:
        """The scorer's name."""
        return name_of(self.scorer)

    @property
    def keeps_deadline(self) -> bool:
        """Whether the scorer stops at the deadline by itself and returns what it has."""
        return bool(getattr(self.scorer, "keeps_deadline", False))

    def warmup(self) -> None:
        """Load what the scorer has to load, if anything."""
        warmup = getattr(self.scorer, "warmup", None)
        if warmup is not None:
            warmup()


class Wrapping(Around):
    """A scorer around another one."""

    __slots__ = ()

    @property
    def default_blend(self) -> float | None:
        """The weight the scorer asks for when mixed with fusion scores, or None."""
        blend: float | None = getattr(self.scorer, "default_blend", None)
        return blend


def innermost(scorer: PairScorer) -> PairScorer:
    """Return the scorer inside all wrappings."""
    while isinstance(scorer, Wrapping):
        scorer = scorer.scorer
    return scorer


@runtime_checkable
class _Matching(Protocol):
    def matches(self, query: str, document: str) -> tuple[Match, ...]: ...


@dataclass(frozen=True, slots=True)
class Matcher:
    """A callable from a document to its matches; a copy or pickle of an answer goes without."""

    query: str
    scorer: _Matching
    text: Callable[[Document], str] | None

    def __call__(self, document: Document) -> tuple[Match, ...]:
        """Return the matches, those that make most of the score first.

        Raises:
            RunoffError: the scorer's error.
        """
        read = document.text if self.text is None else self.text(document)
        return self.scorer.matches(self.query, read)

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        """Return None in its place: the model stays in this process."""
        return _nothing, ()


def _nothing() -> None:
    return None


def matcher_of(
    query: str, scorer: PairScorer, text: Callable[[Document], str] | None
) -> Matcher | None:
    """Return what matches a query with documents; None where the scorer cannot."""
    inner = innermost(scorer)
    return Matcher(query, inner, text) if isinstance(inner, _Matching) else None
