"""From scores of pairs to an order of candidates."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from runoff._util.arguments import is_blend, is_share
from runoff._util.messages import number_of
from runoff._waiting import workers
from runoff._waiting.drive import run, run_async
from runoff.errors import InvalidArgument
from runoff.rerank._blend import blended
from runoff.rerank._cache.as_store import as_store
from runoff.rerank._cache.cached import Cached
from runoff.rerank._cost import Metered
from runoff.rerank._pairs import check_queries
from runoff.rerank._passages import as_passages, plan, within
from runoff.rerank._wrapping import Around, check_scorer, matcher_of, scored
from runoff.scores import Threshold
from runoff.types import Dropped, Ranked, Reranking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.protocols import PairScorer
    from runoff.rerank._cache.disk import DiskCache
    from runoff.rerank._cache.memory import MemoryCache
    from runoff.rerank._cost import Cap, Price
    from runoff.rerank._passages import Fold, Passages, Plan
    from runoff.scores import PairScores
    from runoff.types import Candidate, Document, Query

BELOW = "below threshold"
"""The reason of a candidate that was dropped."""


@dataclass(frozen=True, slots=True, repr=False)
class Pointwise(Around):
    """A reranker that scores each candidate on its own and orders candidates by their scores.

    With a blend, the order is that of `blend * z(pair_score) + (1 - blend) * z(fusion_score)`,
    where z is the distance from the mean in (population) standard deviations over the scored
    candidates, and 0 where all are equal. The score is written on the scale of the pair scores,
    `blend * pair_score + (1 - blend) * (mean + deviation * z(fusion_score))`, which gives the same
    order and leaves a single candidate its own score. Equal scores keep their fused order.

    Candidates without a score are returned in fused order, with the reason. With a blend, a score
    is not used where a candidate above it is unscored because time was up or a request failed: a
    partial answer is no evidence against the fused order.

    Attributes:
        scorer: what scores the pairs.
        blend: the weight of the pair scores, within 0 and 1; None or 1 leaves fusion out; `"auto"`
            asks the scorer for its `default_blend`.
        threshold: candidates whose pair score lies below it are dropped; it is bound to the kind
            and model of the scores, refuses others, and is not applied when a candidate could not
            be scored.
        text: what the scorer reads of a document; None is its text. Passages are reported only
            where this contains the document's own text.
        passages: how documents longer than the scorer reads are scored: `"first"` reads only the
            start, `"max"` and `"top-m"` score them window by window; see `Passages`. With a
            deadline the first windows of all candidates are scored before any second window.
        cache: where scores are kept for the next search: True or a `MemoryCache`, a path or a
            `DiskCache`; None keeps none. See `runoff.rerank.Cached`.
        price: what the scorer costs, for `usage.cost`.
        cap: the most that one search may use. See `runoff.rerank.Metered` for both.

    Raises:
        InvalidArgument: an argument has an invalid value.
    """

    scorer: PairScorer
    _: KW_ONLY
    blend: float | Literal["auto"] | None = "auto"
    threshold: Threshold | None = None
    text: Callable[[Document], str] | None = None
    passages: Passages | Fold = "first"
    cache: MemoryCache | DiskCache | str | Path | bool | None = None
    price: Price | None = None
    cap: Cap | None = None

    def __post_init__(self) -> None:
        check_scorer(self.scorer)
        if not is_blend(self.blend):
            raise InvalidArgument("blend", self.blend, 'must be within 0 and 1, "auto" or None')
        if self.threshold is not None and not isinstance(self.threshold, Threshold):
            raise InvalidArgument(
                "threshold",
                self.threshold,
                "must be a Threshold, which says what kind of score it was chosen on",
            )
        if self.text is not None and not callable(self.text):
            raise InvalidArgument("text", self.text, "must be a callable from document to text")
        as_passages(self.passages)
        # a copy made by `dataclasses.replace` goes on with the same cache
        object.__setattr__(self, "cache", as_store(self.cache))
        self._layered()

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Score the candidates and order them.

        Raises:
            BadReply: the scorer returned another number of scores than it was given pairs.
            RequestRejected: the query is blank.
            ScoreKindMismatch: the threshold was made for other scores.
            RunoffError: any error of the scorer.
        """
        return run(self._asking(query, candidates, deadline))

    async def arerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Do what `rerank` does without blocking the event loop.

        A scorer without `ascore` is run in the bounded pool of worker threads.

        Raises:
            DeadlineExceeded: such a scorer did not return in time.
            PoolFull: every worker thread is busy.
            RunoffError: as `rerank`.
        """
        return await run_async(self._asking(query, candidates, deadline))

    def _asking(
        self, query: Query, candidates: Sequence[Candidate], deadline: Deadline | None
    ) -> Asking[Reranking]:
        if not candidates:
            return Reranking(())
        check_queries(self.name, (query.text,))
        making = partial(self._plan, query, candidates, deadline)
        if as_passages(self.passages).fold == "first":
            planned = making()
        else:  # splitting many long texts takes a while, so an event loop has it done in a thread
            limit = None if self.keeps_deadline else deadline
            planned = yield from workers.aside(making, limit, self.name)
        scores = yield from scored(self._layered(), planned.pairs, deadline)
        order = self._order(candidates, planned, scores)
        return replace(order, matcher=matcher_of(query.text, self.scorer, self.text))

    def _layered(self) -> PairScorer:
        """Return the scorer with its meter and, around that, its cache: what is cached is free."""
        scorer = self.scorer
        if self.price is not None or self.cap is not None:
            scorer = Metered(scorer, price=self.price, cap=self.cap)
        return scorer if self.cache is None else Cached(scorer, store=self.cache)

    def _plan(
        self, query: Query, candidates: Sequence[Candidate], deadline: Deadline | None
    ) -> Plan:
        read = self.text or _text
        texts = [read(candidate.document) for candidate in candidates]
        return plan(as_passages(self.passages), self.scorer, query.text, texts, deadline)

    def _order(
        self, candidates: Sequence[Candidate], planned: Plan, scores: PairScores
    ) -> Reranking:
        scores = planned.folded(scores)
        if self.threshold is not None:
            self.threshold.check(scores.kind, scores.model)
        weight = self.weight if scores.scored.any() else None
        usable = scores.scored if weight in (None, 1) else _in_turn(scores)
        known, unscored = np.flatnonzero(usable).tolist(), np.flatnonzero(~usable).tolist()
        pair_scores = scores.values[known].astype(np.float64)
        fusion_scores = np.array([candidates[index].fusion_score for index in known], np.float64)
        own = pair_scores.tolist()
        mixed = blended(pair_scores, fusion_scores, weight).tolist()
        placed = sorted(range(len(known)), key=lambda place: -mixed[place])  # stable
        ordered, dropped = [], []
        # the scores are float32: the limit is rounded like them
        limit = -math.inf if self.threshold is None else float(np.float32(self.threshold.value))
        bar = -math.inf if unscored else limit
        for place in placed:
            index = known[place]
            candidate, cut = candidates[index], bool(scores.truncated[index])
            found = scores.passages[index] if scores.passages else ()
            passages = found and within(found, planned.texts[index], candidate.document.text)
            if own[place] < bar:
                dropped.append(Dropped(candidate, BELOW, own[place], mixed[place], cut, passages))
            else:
                ordered.append(Ranked(candidate, mixed[place], own[place], cut, passages))
        reason = scores.reason or ("bad_reply" if unscored else "")
        return Reranking(
            tuple(ordered),
            tuple(candidates[index] for index in unscored),
            tuple(dropped),
            scores.kind,
            scores.model,
            scores.usage,
            reason,
            self._detail(reason, scores.scored, len(known)) if unscored else "",
            scores.load_ms,
            scores.notes,
            thresholded=self.threshold is not None and not unscored,
        )

    @property
    def weight(self) -> float | None:
        """The weight of the pair scores, with `"auto"` resolved; None leaves fusion out.

        Raises:
            InvalidArgument: the `default_blend` of the scorer is not a weight.
        """
        if self.blend != "auto":
            return self.blend
        asked = getattr(self.scorer, "default_blend", None)
        if asked is not None and not is_share(asked):
            raise InvalidArgument(
                "blend", asked, f"the default_blend of {self.name} must be within 0 and 1, or None"
            )
        return asked

    def _detail(self, reason: str, scored: NDArray[np.bool_], used: int) -> str:
        why = {
            "timeout": "before the deadline",
            "bad_reply": "with a finite value",
            "cap": "within its cap",
        }
        total, unused = len(scored), int(scored.sum()) - used
        more = number_of(
            unused,
            "more score below a candidate without one was",
            "more scores below a candidate without one were",
        )
        rest = f"; {more} not used" if unused else ""
        if self.threshold is not None:
            rest += "; the threshold was not applied"
        return f"{self.name} scored {used} of {total} {why.get(reason, f'({reason})')}{rest}"


def _in_turn(scores: PairScores) -> NDArray[np.bool_]:
    """Return which scores a blend may use: all but those below one that was late or failed.

    Fusion ranks the candidate above higher, and a partial answer is no evidence against that. A
    bad value of a single pair affects no other pair.
    """
    if scores.scored.all() or scores.reason in ("", "bad_reply"):
        return scores.scored
    return np.arange(len(scores.scored)) < int(np.argmin(scores.scored))


def _text(document: Document) -> str:
    return document.text
