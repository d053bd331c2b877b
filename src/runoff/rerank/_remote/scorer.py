"""What scorers that send requests share: how they are called, and the arguments of all of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from runoff._util.arguments import seconds
from runoff._waiting import private_loop
from runoff._waiting.drive import ask, run, run_async
from runoff.errors import DeadlineExceeded, InvalidArgument
from runoff.rerank._pairs import checked
from runoff.rerank._remote.breaker import Circuit
from runoff.rerank._remote.retries import Retries
from runoff.scores import ModelIdentity, PairScores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.scores import ScoreKind


def check_policy(timeout: object, retries: object, circuit: object) -> None:
    """Refuse wrong values of the arguments that all remote scorers share.

    Raises:
        InvalidArgument: names the argument.
    """
    seconds("timeout", timeout)
    if not isinstance(retries, Retries):
        raise InvalidArgument("retries", retries, "must be Retries(attempts), such as Retries(1)")
    if circuit is not None and not isinstance(circuit, Circuit):
        raise InvalidArgument("circuit", circuit, "must be a Circuit, or None for no breaker")


class RemoteScorer:
    """A scorer whose requests run on the private event loop."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name of the model or the server, for errors and traces."""
        raise NotImplementedError

    @property
    def keeps_deadline(self) -> bool:
        """True: at the deadline it returns what has arrived."""
        return True

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Score n pairs of (query text, document text), in input order.

        Pairs with a blank query or document are not sent. These, and pairs that have no finite
        score by the deadline, stay unscored; `reason` says why.

        Raises:
            InvalidArgument: a pair is not two strings, or the installed client does not know an
                argument.
            MissingExtra: the client's package is not installed.
            AuthenticationFailed: the key is missing or was refused.
            ModelNotFound: there is no such model or path.
            PermanentError: another failure that trying again cannot change.
            TransientError: nothing was scored, and trying again may help.
        """
        return run(self._asking(pairs, deadline))

    async def ascore(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Do what `score` does without blocking the event loop; cancelling it cancels requests."""
        return await run_async(self._asking(pairs, deadline))

    def _asking(
        self, pairs: Sequence[tuple[str, str]], deadline: Deadline | None
    ) -> Asking[PairScores]:
        given = checked(pairs)
        if not given or (deadline is not None and deadline.expired):
            reason = DeadlineExceeded.reason
            return PairScores.none_of(len(given), self._kind(), ModelIdentity(self.name), reason)
        work = partial(self._scored, given, deadline)
        return (
            yield from ask(
                partial(private_loop.run, work, deadline, self.name),
                partial(private_loop.run_async, work, deadline, self.name),
            )
        )

    def _kind(self) -> ScoreKind:
        """Return the scale that scores are expected to have."""
        raise NotImplementedError

    async def _scored(self, pairs: list[tuple[str, str]], deadline: Deadline | None) -> PairScores:
        """Send requests for one or more pairs, on the private loop."""
        raise NotImplementedError
