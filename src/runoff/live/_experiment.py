"""`Experiment`: let users compare two systems, by interleaving or by a split of users."""

from __future__ import annotations

import hashlib
import logging
import math
import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from runoff._util.arguments import is_share
from runoff._util.messages import error_text
from runoff._util.stored import is_finite, is_text, path_of
from runoff._waiting import workers
from runoff.errors import InvalidArgument
from runoff.live._betting import first_proof
from runoff.live._feedback import KINDS, Events
from runoff.live._interleaving import Team, team_draft
from runoff.live._outcomes import Rules, interleaved, kept, split
from runoff.live._statement import Statement, stated
from runoff.pipeline._systems import as_system
from runoff.types import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from os import PathLike

    from runoff.pipeline._systems import System
    from runoff.types import Response, Result

__all__ = ["Answer", "Experiment", "Needed"]

logger = logging.getLogger("runoff")

Design = Literal["interleave", "split"]

_LONGEST, _STREAMS = 200_000, 40
_FIRST_TRY = 4_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a user is shown.

    Attributes:
        response_id: to be passed to `feedback`; empty for an answer that does not count, as one
            system failed or nothing could be written.
        results: best first; each keeps the rank that its own system gave it.
    """

    response_id: str
    results: tuple[Result, ...] = ()

    def __iter__(self) -> Iterator[Result]:
        """Iterate over the results, best first."""
        return iter(self.results)

    def __len__(self) -> int:
        """Return the number of results."""
        return len(self.results)


@dataclass(frozen=True, slots=True)
class Needed:
    """What traffic an experiment needs, by simulation.

    Attributes:
        answers: how many answers, or users of a split, prove the effect in half of the cases; None
            if 200,000 are not enough.
        likely: the same in nine of ten cases.
        changed: the share of the questions for which the two systems differ in what they show.
        design: `"interleave"` or `"split"`.
    """

    answers: int | None
    likely: int | None
    changed: float
    design: Design

    def __str__(self) -> str:
        """Return it as a sentence."""
        unit = "answers" if self.design == "interleave" else "users"
        shown = [f"more than {_LONGEST:,}" if one is None else f"{one:,}" for one in self._both]
        return (
            f"The two systems differ for {self.changed:.0%} of the questions. {shown[0]} {unit} "
            f"decide in half of the cases, {shown[1]} in nine of ten."
        )

    @property
    def _both(self) -> tuple[int | None, int | None]:
        return self.answers, self.likely


@dataclass(frozen=True, slots=True, repr=False)
class Experiment:
    """Two systems before real users; what these click, praise or cite says which is better.

    ```python
    experiment = Experiment(pipeline, candidate, "experiment/")
    answer = experiment.search("how do cascades work?", user="u1")
    experiment.feedback(answer.response_id, "doc-7", "click")
    print(experiment.result())
    ```

    Interleaving shows one list made of both (team draft: see `docs/live-statistics.md`), and counts
    the answers that either system wins. It runs both systems for each answer, and needs far fewer
    answers than a split, in which a hash of the user decides for good which system answers.

    Args:
        a: the first system: a `TwoStage`, or a retriever or engine of LangChain or LlamaIndex.
        b: the second, whose difference to the first is stated.
        path: a directory for answers and feedback, new or of the same experiment. Several processes
            may share it. It has hashes of users and questions, and document ids.
        design: `"interleave"`, or `"split"` for plain A/B.
        bound: differences up to this, either way, count as none.
        level: the chance of a false statement, over all looks.
        wait: seconds until an answer counts; feedback that comes later does not.
        repeat: seconds in which the same question of the same user counts once.
        daily: answers to one user on a day, beyond which the user counts as a bot.
        bot: returns whether a user is one; such users are answered by `a`, and not counted.

    Raises:
        InvalidArgument: an argument has a value it cannot have.
    """

    a: object
    b: object
    path: str | PathLike[str]
    design: Design = "interleave"
    bound: float = 0.02
    level: float = 0.05
    wait: float = 1800.0
    repeat: float = 3600.0
    daily: int = 200
    bot: Callable[[str], bool] | None = None
    _events: Events = field(init=False, repr=False)
    _systems: dict[str, System] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the arguments, and make or open the directory."""
        if self.design not in ("interleave", "split"):
            raise InvalidArgument("design", self.design, 'must be "interleave" or "split"')
        for name in ("bound", "level"):
            if not is_share(getattr(self, name)) or not getattr(self, name):
                raise InvalidArgument(name, getattr(self, name), "must be above 0 and at most 1")
        for name in ("wait", "repeat", "daily"):
            if not is_finite(getattr(self, name)) or getattr(self, name) < 0:
                raise InvalidArgument(name, getattr(self, name), "must be a number, 0 or more")
        if self.bot is not None and not callable(self.bot):
            raise InvalidArgument("bot", self.bot, "must be a callable from user to True or False")
        systems = {"a": as_system(self.a), "b": as_system(self.b)}
        object.__setattr__(self, "_systems", systems)
        events = Events(path_of("path", self.path), {"design": self.design})
        object.__setattr__(self, "_events", events)

    def __repr__(self) -> str:
        """Show the directory and the design."""
        return f"Experiment({str(self.path)!r}, {self.design!r})"

    def search(
        self,
        query: str | Query,
        *,
        user: str = "",
        top_k: int = 10,
        timeout: float | None = None,
    ) -> Answer:
        """Answer a question with results of both systems, or of the user's own.

        If one system fails, or its answer is degraded, the other's results are returned and do not
        count. A disk that cannot be written costs no answer either.

        Args:
            query: the question.
            user: whoever asks, by any name; only a hash is kept. A split needs it.
            top_k: results to return.
            timeout: seconds, as for `TwoStage.search`.

        Raises:
            InvalidArgument: an argument has a value it cannot have.
            Exception: both systems failed; this is the first one's error.
        """
        asked = query if isinstance(query, Query) else Query(query)
        if not isinstance(user, str) or (self.design == "split" and not user):
            raise InvalidArgument("user", user, "must be a name; a split needs it")
        arm = self._arm(user)

        def found(system: str) -> Response:
            held = self._systems[system]
            response: Response = held.pipeline.search(
                asked, top_k=top_k, timeout=timeout, filters=held.filters
            )
            return response

        if arm != "both":
            response = found(arm)
            teams: list[tuple[str, Team]] = [
                (one.doc_id, "a" if arm == "a" else "b") for one in response
            ]
            counts = response.outcome.complete and not self._is_bot(user)
            return self._answer(asked, user, arm, teams, response.results, counts=counts)
        if self._is_bot(user):
            return Answer("", found("a").results)
        other = workers.submit(lambda: found("b"))
        replies: dict[str, Response] = {}
        failed: list[Exception] = []
        for name in self._systems:
            try:
                replies[name] = found(name) if name == "a" else other.result()
            except Exception as error:  # noqa: BLE001 - one system's fault costs no answer
                logger.warning("experiment: system %s failed: %s", name, error_text(error))
                failed.append(error)
        if not replies:
            raise failed[0]
        complete = [one for one in replies.values() if one.outcome.complete]
        if len(complete) < len(self._systems):
            return Answer("", (complete or list(replies.values()))[0].results)
        results = {one.doc_id: one for name in ("b", "a") for one in replies[name]}
        drafted = team_draft(
            [one.doc_id for one in replies["a"]],
            [one.doc_id for one in replies["b"]],
            top_k,
            lambda: bool(secrets.randbits(1)),
        )
        shown = tuple(_of(replies, doc_id, team) or results[doc_id] for doc_id, team in drafted)
        return self._answer(asked, user, "both", drafted, shown, counts=True)

    def feedback(self, response_id: str, doc_id: str, kind: str) -> None:
        """Keep what a user did with a result.

        Args:
            response_id: of the answer; empty ones are ignored.
            doc_id: of the result.
            kind: `"click"`, `"up"` or `"down"` (thumbs), or `"cited"` (in a generated answer).

        Raises:
            InvalidArgument: there is no such kind, or an id is not a string.
            OSError: it cannot be written.
        """
        if kind not in KINDS:
            raise InvalidArgument("kind", kind, f"must be one of {', '.join(KINDS)}")
        if not is_text(response_id, doc_id):
            raise InvalidArgument("doc_id", doc_id, "must be a string, as response_id")
        if response_id:
            self._events.add(
                {
                    "event": "feedback",
                    "response": response_id,
                    "doc_id": doc_id,
                    "kind": kind,
                    "time": time.time(),
                }
            )

    def result(self, *, now: float | None = None) -> Statement:
        """Return what the users so far prove; it may be asked as often as you like.

        With interleaving, the difference is the share of answers that `b` wins less that of `a`.
        With a split, it is the difference in the share of answers with a result that was liked.

        Args:
            now: until when answers count, in seconds since 1970; by default now.
        """
        now = time.time() if now is None else now
        read = self._events.read(self.wait)
        shown, notes = kept(read, Rules(self.wait, self.repeat, self.daily), now)
        if self.design == "interleave":
            found, measure = interleaved(shown, read), "answers won"
        else:
            found, measure = split(shown, read, now), "success"
        return stated(
            found.values,
            times=found.times,
            slices=(),
            changed=found.changed,
            bound=self.bound,
            level=self.level,
            about={
                "measure": measure,
                "labels": found.labels,
                "unit": found.unit,
                "notes": tuple(notes),
            },
        )

    def dry_run(
        self,
        queries: Iterable[str | Query],
        *,
        effect: float = 0.05,
        clicked: float = 0.3,
        top_k: int = 10,
        seed: int = 0,
    ) -> Needed:
        """Say what traffic it takes, without showing anything to anybody.

        Both systems answer some questions, which tells how often they differ. Users are simulated
        who click in a share of the answers, and there prefer `b` to `a` by `effect`: with
        interleaving, of the answers that can be won and have a click, `b` wins that much more than
        `a`; with a split, users of `b` click that much more often.

        Args:
            queries: usual questions, 20 or more.
            effect: how large a difference should be found, above 0 and at most 1.
            clicked: the share of answers with feedback, above 0 and at most 1.
            top_k: as in `search`.
            seed: of the simulation.

        Raises:
            InvalidArgument: an argument has a value it cannot have.
        """
        for name, share in (("effect", effect), ("clicked", clicked)):
            if not is_share(share) or not share:
                raise InvalidArgument(name, share, "must be above 0 and at most 1")
        differ = []
        for query in queries:
            orders = [
                [
                    one.doc_id
                    for one in held.pipeline.search(query, top_k=top_k, filters=held.filters)
                ]
                for held in self._systems.values()
            ]
            differ.append(orders[0] != orders[1])
        if not differ:
            raise InvalidArgument("queries", (), "must be one or more")
        changed = sum(differ) / len(differ)
        needed = _needed(self.design, changed, effect, clicked, self.level, seed)
        return Needed(*needed, changed, self.design)

    def _arm(self, user: str) -> str:
        if self.design == "interleave":
            return "both"
        digest = hashlib.sha256(self._events.hashed(f"arm {user}").encode()).digest()
        return "ab"[digest[0] & 1]

    def _is_bot(self, user: str) -> bool:
        return self.bot is not None and bool(self.bot(user))

    def _answer(
        self,
        query: Query,
        user: str,
        arm: str,
        teams: list[tuple[str, Team]],
        results: tuple[Result, ...],
        *,
        counts: bool,
    ) -> Answer:
        if not counts:
            return Answer("", results)
        one = uuid.uuid4().hex
        event = {
            "event": "shown",
            "id": one,
            "time": time.time(),
            "user": self._events.hashed(f"user {user}") if user else "",
            "query": self._events.hashed(f"query {query.text}"),
            "arm": arm,
            "teams": teams,
        }
        try:
            self._events.add(event)
        except OSError as error:
            logger.warning("experiment: an answer is not counted: %s", error_text(error))
            return Answer("", results)
        return Answer(one, results)


def _of(replies: dict[str, Response], doc_id: str, team: Team) -> Result | None:
    """Return a result as its own system returned it."""
    return next((one for one in replies.get(team, ()) if one.doc_id == doc_id), None)


def _needed(
    design: Design, changed: float, effect: float, clicked: float, level: float, seed: int
) -> tuple[int | None, int | None]:
    """Return after how many values an effect is proven, in half and in nine tenths of the cases."""
    rng = np.random.default_rng(seed)
    many = _FIRST_TRY
    while many <= _LONGEST:
        shape = (_STREAMS, many)
        if design == "interleave":
            won = rng.random(shape) < clicked * changed
            values = won * np.where(rng.random(shape) < (1 + effect) / 2, 1.0, -1.0)
        else:
            sides = np.where(rng.random(shape) < 1 / 2, 1.0, -1.0)
            liked = rng.random(shape) < np.clip(clicked + (sides > 0) * effect, 0, 1)
            values = 2 * sides * (liked - (clicked + effect / 2))
        worst = float(-max(1.0, 2 * max(clicked + effect / 2, 1 - clicked - effect / 2)))
        found = first_proof(values, worst, 0.0, level=level / 2).astype(np.float64)
        found[found == 0] = math.inf
        half, most = np.quantile(found, [0.5, 0.9], method="higher").tolist()
        if math.isfinite(most) or many == _LONGEST:
            return tuple(None if math.isinf(one) else int(one) for one in (half, most))  # type: ignore[return-value] # two
        many = min(_LONGEST, many * 4)
    return None, None
