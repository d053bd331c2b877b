"""`Experiment`: let users compare two systems, by interleaving or by a split of users."""

from __future__ import annotations

import hashlib
import logging
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runoff._util.arguments import is_one_of, is_share
from runoff._util.display import html_by
from runoff._util.messages import error_text
from runoff._util.stored import is_finite, is_text, path_of
from runoff._waiting import workers
from runoff.errors import InvalidArgument, PoolFull
from runoff.live._answers import Answer, Shown, shown_of
from runoff.live._feedback import KINDS, Events
from runoff.live._needed import Design, Needed, needed
from runoff.live._outcomes import Rules, interleaved, kept, split
from runoff.live._statement import Statement, stated
from runoff.pipeline._boundary import joined
from runoff.pipeline._systems import as_system
from runoff.types import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from os import PathLike

    from runoff.pipeline._systems import System
    from runoff.types import Response

logger = logging.getLogger("runoff")


@dataclass(frozen=True, slots=True, repr=False)
class Experiment:
    """An experiment that compares two systems by what real users click, praise or cite.

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
        InvalidArgument: an argument has a value it cannot have, or the two have different filters.
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
        if not is_one_of(self.design, ("interleave", "split")):
            raise InvalidArgument("design", self.design, 'must be "interleave" or "split"')
        for name in ("bound", "level"):
            if not is_share(getattr(self, name)) or not getattr(self, name):
                raise InvalidArgument(name, getattr(self, name), "must be above 0 and at most 1")
        for name in ("wait", "repeat", "daily"):
            if not is_finite(getattr(self, name)) or getattr(self, name) < 0:
                raise InvalidArgument(name, getattr(self, name), "must be a number, 0 or more")
        if self.bot is not None and not callable(self.bot):
            raise InvalidArgument("bot", self.bot, "must be a callable from user to True or False")
        systems = {"a": as_system(self.a, "a"), "b": as_system(self.b, "b")}
        within = {name: joined(one.filters, one.pipeline.filters) for name, one in systems.items()}
        if within["a"] != within["b"]:
            remedy = (
                f"must be the filters of a, {within['a']}: users of one system would see documents "
                "that the other may not return"
            )
            raise InvalidArgument("filters of b", within["b"], remedy)
        object.__setattr__(self, "_systems", systems)
        events = Events(path_of("path", self.path), {"design": self.design})
        object.__setattr__(self, "_events", events)

    _repr_html_ = html_by("repr_html", "_notebook")

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
        asked = _asked(query, user, self.design)
        bot = self._is_bot(user)
        arms = self._arms(user, bot=bot)
        replies: dict[str, Response | Exception] = {}
        other: workers.Job[Response] | None = None
        if len(arms) > 1:
            try:
                other = workers.submit(lambda: self._found(arms[1], asked, top_k, timeout))
            except PoolFull as error:
                replies[arms[1]] = error
        try:
            replies[arms[0]] = self._found(arms[0], asked, top_k, timeout)
        except Exception as error:  # noqa: BLE001 - one system's fault costs no answer
            replies[arms[0]] = error
        if other is not None:
            try:
                replies[arms[1]] = other.result()
            except Exception as error:  # noqa: BLE001 - as above
                replies[arms[1]] = error
        return self._answer(asked, user, shown_of(replies, top_k, bot=bot))

    async def asearch(
        self,
        query: str | Query,
        *,
        user: str = "",
        top_k: int = 10,
        timeout: float | None = None,  # noqa: ASYNC109 - the budget degrades; it does not cancel
    ) -> Answer:
        """Answer without blocking the event loop; see `search`.

        Both systems search at once. If the call is cancelled, so are their searches; an answer that
        was cancelled while it was being noted may count as one without feedback.
        """
        import asyncio  # noqa: PLC0415 - half of this package's import time

        asked = _asked(query, user, self.design)
        bot = await self._is_bot_async(user)
        arms = self._arms(user, bot=bot)
        found = await asyncio.gather(
            *(self._afound(arm, asked, top_k, timeout) for arm in arms), return_exceptions=True
        )
        shown = shown_of(dict(zip(arms, found, strict=True)), top_k, bot=bot)
        try:
            return await workers.run_async(
                lambda: self._answer(asked, user, shown), None, "an answer is noted"
            )
        except PoolFull as error:
            _warn_uncounted(error)
            return Answer("", shown.results)

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

    async def afeedback(self, response_id: str, doc_id: str, kind: str) -> None:
        """Keep what a user did with a result without blocking the event loop; see `feedback`.

        It is kept even if the call is cancelled, as where the user has left the page.
        """
        import asyncio  # noqa: PLC0415 - as above

        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def tell(_: object) -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(done.set)

        try:
            given = workers.submit(lambda: self._heard(response_id, doc_id, kind))
        except PoolFull:
            self._heard(response_id, doc_id, kind)
            return
        given.add_done_callback(tell)
        await done.wait()
        given.result()

    def _heard(self, response_id: str, doc_id: str, kind: str) -> None:
        try:
            self.feedback(response_id, doc_id, kind)
        except OSError as error:  # nobody may be waiting for it any more
            logger.warning("experiment: feedback is lost: %s", error_text(error))
            raise

    def result(self, *, now: float | None = None) -> Statement:
        """Return what feedback has proven so far; call it as often as you like.

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
                "notes": (*found.notes, *notes),
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
        """Simulate how much traffic the experiment needs; users see nothing.

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
        found = needed(self.design, changed, effect, clicked, self.level, seed)
        return Needed(*found, changed, self.design)

    def _arms(self, user: str, *, bot: bool) -> tuple[str, ...]:
        """Return which systems search."""
        if self.design == "interleave":
            return ("a",) if bot else ("a", "b")
        digest = hashlib.sha256(self._events.hashed(f"arm {user}").encode()).digest()
        return ("ab"[digest[0] & 1],)

    def _found(self, arm: str, query: Query, top_k: int, timeout: float | None) -> Response:
        held = self._systems[arm]
        return held.pipeline.search(query, top_k=top_k, timeout=timeout, filters=held.filters)

    async def _afound(
        self,
        arm: str,
        query: Query,
        top_k: int,
        timeout: float | None,  # noqa: ASYNC109 - as above
    ) -> Response:
        held = self._systems[arm]
        return await held.pipeline.asearch(
            query, top_k=top_k, timeout=timeout, filters=held.filters
        )

    def _is_bot(self, user: str) -> bool:
        try:
            return self.bot is not None and bool(self.bot(user))
        except Exception as error:  # noqa: BLE001 - it costs no answer, and none counts by mistake
            logger.warning("experiment: bot= failed: %s", error_text(error))
            return True

    async def _is_bot_async(self, user: str) -> bool:
        if self.bot is None:
            return False
        try:
            return await workers.run_async(lambda: self._is_bot(user), None, "asking for bots")
        except PoolFull as error:
            logger.warning("experiment: bot= could not be called: %s", error_text(error))
            return True

    def _answer(self, query: Query, user: str, shown: Shown) -> Answer:
        """Note an answer if it counts, and return it."""
        if not shown.counts:
            return Answer("", shown.results)
        one = uuid.uuid4().hex
        event = {
            "event": "shown",
            "id": one,
            "time": time.time(),
            "user": self._events.hashed(f"user {user}") if user else "",
            "query": self._events.hashed(f"query {query.text}"),
            "arm": shown.arm,
            "teams": shown.teams,
        }
        try:
            self._events.add(event)
        except OSError as error:
            _warn_uncounted(error)
            return Answer("", shown.results)
        return Answer(one, shown.results)


def _asked(query: str | Query, user: str, design: Design) -> Query:
    asked = query if isinstance(query, Query) else Query(query)
    if not isinstance(user, str) or (design == "split" and not user):
        raise InvalidArgument(
            "user",
            user,
            'must be a string that identifies the user; it is required by design="split"',
        )
    return asked


def _warn_uncounted(error: Exception) -> None:
    logger.warning("experiment: an answer is not counted: %s", error_text(error))
