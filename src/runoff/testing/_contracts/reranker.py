"""The contract of a reranker."""

from __future__ import annotations

import asyncio
import copy
import itertools
import math
from collections import Counter
from typing import TYPE_CHECKING, ClassVar

from runoff.protocols import AsyncReranker, Reranker
from runoff.testing._contracts import samples
from runoff.testing._contracts.base import (
    Contract,
    demand,
    demand_loop_is_free,
    demand_unchanged,
    skip,
    within,
)
from runoff.types import Candidate, Query, Reranking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.deadline import Deadline

__all__ = ["RerankerContract"]


class RerankerContract(Contract):
    """What every reranker does; subclass it and say how to make yours.

    ```python
    class TestMine(RerankerContract):
        def make(self):
            return Mine()
    ```

    Attributes:
        query: what is asked.
        candidates: what is reranked, in fused order; the reranker must not leave all in place.
    """

    query: ClassVar[Query] = Query(samples.QUERIES[1])
    candidates: ClassVar[tuple[Candidate, ...]] = tuple(samples.candidates())

    def make(self) -> Reranker:
        """Make the reranker under test."""
        raise NotImplementedError

    def part(self) -> Reranker:
        """Make the reranker under test."""
        return self.make()

    def use(self, part: Reranker) -> object:
        """Rerank all candidates."""
        return _told(part.rerank(self.query, self.given()))

    def given(self) -> tuple[Candidate, ...]:
        """Return the candidates as copies, so that no fault spreads from test to test."""
        return copy.deepcopy(self.candidates)

    def test_is_a_reranker(self) -> None:
        """The part has `rerank`, which answers with a `Reranking`."""
        reranker = self.make()
        demand(
            isinstance(reranker, Reranker), "a reranker has rerank(query, candidates, deadline=)"
        )
        reranking = reranker.rerank(self.query, self.given(), deadline=None)
        demand(isinstance(reranking, Reranking), "rerank returns a Reranking")

    def test_reorders(self) -> None:
        """The sample candidates do not all stay in place: the other tests would prove little."""
        ordered = self.make().rerank(self.query, self.given()).ordered
        demand(
            [one.candidate.key for one in ordered] != [one.key for one in self.candidates],
            "the reranker changes the order of the contract's candidates",
        )

    def test_partition(self) -> None:
        """Every candidate comes back exactly once and as it was: ordered, unscored or dropped."""
        reranker = self.make()
        for count in range(len(self.candidates) + 1):
            given = self.candidates[:count]
            self._demand_partition(reranker.rerank(self.query, given), given)

    def test_no_candidates(self) -> None:
        """No candidates give an empty reranking, and no error."""
        reranking = self.make().rerank(self.query, [])
        demand(not _all(reranking), "no candidates give an empty Reranking")

    def test_best_first(self) -> None:
        """`ordered` is best first by finite rerank scores; every dropped one has a reason.

        Those without a score, which an earlier stage of a cascade placed, come last.
        """
        reranking = self.make().rerank(self.query, self.given())
        scores = [one.rerank_score for one in reranking.ordered]
        while scores and scores[-1] is None:
            scores.pop()
        demand(scores or not reranking.ordered, "what is ordered is not all without a score")
        finite = [one for one in scores if isinstance(one, float) and math.isfinite(one)]
        demand(len(finite) == len(scores), "a rerank_score is a finite Python float")
        demand(finite == sorted(finite, reverse=True), "ordered is best first by rerank_score")
        demand(all(one.reason for one in reranking.dropped), "what is dropped has a reason")

    def test_ties_keep_fused_order(self) -> None:
        """Candidates with one and the same text stay in fused order."""
        reranker = self.make()
        text = self.candidates[0].document.text
        given = samples.candidates((text,) * 7)
        reranking = reranker.rerank(self.query, given)
        self._demand_partition(reranking, given)
        demand(
            [one.candidate.fusion_rank for one in reranking.ordered]
            == sorted(one.candidate.fusion_rank for one in reranking.ordered),
            "ties keep fused order: equal texts are not reordered",
        )

    def test_equal_scores_keep_fused_order(self) -> None:
        """Wherever two rerank scores are equal, the one with the better fused rank is ahead."""
        texts = tuple(one.document.text for one in self.candidates)
        given = samples.candidates((*texts, *reversed(texts)))
        ordered = self.make().rerank(self.query, given).ordered
        demand(
            all(
                ahead.candidate.fusion_rank < behind.candidate.fusion_rank
                for ahead, behind in itertools.pairwise(ordered)
                if ahead.rerank_score == behind.rerank_score is not None
            ),
            "equal rerank scores keep fused order",
        )

    def test_unscored_in_fused_order(self) -> None:
        """Unscored candidates are in fused order, and there is a reason for them."""
        reranker = self.make()
        reranker.rerank(self.query, self.given())
        for seconds in (0.0, 0.01, 0.03):
            self._demand_in_time(reranker, seconds)

    def test_odd_texts(self) -> None:
        """Huge and ill-formed texts raise nothing, and every candidate comes back."""
        odd = tuple(text for text in samples.ODD_TEXTS if text.strip())
        given = samples.candidates((*odd, *(one.document.text for one in self.candidates[:3])))
        reranking = self.make().rerank(self.query, given)
        self._demand_partition(reranking, given)
        readable = {one.key for one in given[len(odd) :]}
        lost = readable & {one.key for one in reranking.unscored}
        demand(not lost, "odd texts cost no other candidate its score")

    def test_inputs_unchanged(self) -> None:
        """The list of candidates is left as it was, and a tuple does as well."""
        reranker = self.make()
        given = list(self.given())
        demand_unchanged(lambda some: reranker.rerank(self.query, some), given, "the candidates")
        demand(
            _told(reranker.rerank(self.query, given)) == self.use(reranker),
            "a list and a tuple of candidates are reranked alike",
        )

    def test_async_agrees(self) -> None:
        """`arerank` gives what `rerank` gives, several at once and in every new event loop."""
        reranker = self.make()
        if not isinstance(reranker, AsyncReranker):
            skip("the reranker has no arerank")

        async def ask() -> list[Reranking]:
            calls = (reranker.arerank(self.query, self.given()) for _ in range(3))
            return await asyncio.gather(*calls)

        expected = self.use(reranker)
        for _ in range(2):
            answers = [_told(one) for one in asyncio.run(ask())]
            demand(all(one == expected for one in answers), "arerank agrees with rerank")

    def test_async_does_not_block(self) -> None:
        """Awaiting `arerank` leaves the event loop free."""
        reranker = self.make()
        if not isinstance(reranker, AsyncReranker):
            skip("the reranker has no arerank")
        self.use(reranker)
        demand_loop_is_free(lambda: reranker.arerank(self.query, self.given()))

    def _demand_in_time(self, reranker: Reranker, seconds: float) -> None:
        def rerank(deadline: Deadline) -> Reranking:
            return reranker.rerank(self.query, self.given(), deadline=deadline)

        reranking = within(seconds, rerank, reranker, self.patience)
        if reranking is None:
            return
        self._demand_partition(reranking, self.candidates)
        ranks = [one.fusion_rank for one in reranking.unscored]
        demand(ranks == sorted(ranks), "unscored candidates are in fused order")
        demand(not ranks or reranking.reason, "unscored candidates have a reason")

    @staticmethod
    def _demand_partition(reranking: Reranking, given: Sequence[Candidate]) -> None:
        back = Counter(one.key for one in _all(reranking))
        sent = Counter(one.key for one in given)
        demand(
            back == sent,
            "ordered, unscored and dropped partition the candidates exactly; missing: "
            f"{sorted(sent - back)}, extra: {sorted(back - sent)}",
        )
        by_key = {one.key: one for one in given}
        demand(
            all(one == by_key[one.key] for one in _all(reranking)),
            "candidates come back as they were given",
        )


def _all(reranking: Reranking) -> list[Candidate]:
    return [
        *(one.candidate for one in reranking.ordered),
        *reranking.unscored,
        *(one.candidate for one in reranking.dropped),
    ]


def _told(reranking: Reranking) -> object:
    return (
        [
            (one.candidate.key, one.rerank_score, one.pair_score, one.truncated)
            for one in reranking.ordered
        ],
        [one.key for one in reranking.unscored],
        [(one.candidate.key, one.reason) for one in reranking.dropped],
        reranking.kind,
        reranking.model,
    )
