"""The contract of a reranker."""

from __future__ import annotations

import copy
import itertools
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from runoff.protocols import AsyncReranker, Reranker
from runoff.testing._contracts import samples
from runoff.testing._contracts.base import (
    AwaitedContract,
    require,
    require_unchanged,
    within,
)
from runoff.types import Candidate, Query, Reranking

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from runoff.deadline import Deadline


class RerankerContract(AwaitedContract):
    """The contract of a reranker; subclass it and implement `make`.

    ```python
    class TestMine(RerankerContract):
        def make(self):
            return Mine()
    ```

    Attributes:
        query: the query.
        candidates: the candidates, in fused order; the reranker must change their order.
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
        return _summary(part.rerank(self.query, self.given()))

    def awaited(self, part: Reranker) -> Callable[[], Coroutine[Any, Any, object]] | None:
        """Rerank all candidates."""
        if not isinstance(part, AsyncReranker):
            return None

        async def rerank() -> object:
            return _summary(await part.arerank(self.query, self.given()))

        return rerank

    def given(self) -> tuple[Candidate, ...]:
        """Return copies of the candidates, so that one test cannot spoil another."""
        return copy.deepcopy(self.candidates)

    def test_is_a_reranker(self) -> None:
        """The part has `rerank`, which returns a `Reranking`."""
        reranker = self.make()
        require(
            isinstance(reranker, Reranker), "a reranker has rerank(query, candidates, deadline=)"
        )
        reranking = reranker.rerank(self.query, self.given(), deadline=None)
        require(isinstance(reranking, Reranking), "rerank returns a Reranking")

    def test_reorders(self) -> None:
        """The order of the sample candidates changes, without which other tests prove little."""
        ordered = self.make().rerank(self.query, self.given()).ordered
        require(
            [one.candidate.key for one in ordered] != [one.key for one in self.candidates],
            "the reranker changes the order of the sample candidates",
        )

    def test_partition(self) -> None:
        """Every candidate comes back unchanged exactly once: ordered, unscored or dropped."""
        reranker = self.make()
        for count in range(len(self.candidates) + 1):
            given = self.candidates[:count]
            self._require_partition(reranker.rerank(self.query, given), given)

    def test_no_candidates(self) -> None:
        """No candidates give an empty reranking, without an error."""
        reranking = self.make().rerank(self.query, [])
        require(not _all(reranking), "no candidates give an empty Reranking")

    def test_best_first(self) -> None:
        """`ordered` is best first by finite rerank scores; every dropped candidate has a reason.

        Candidates without a score, which an earlier stage of a cascade placed, come last.
        """
        reranking = self.make().rerank(self.query, self.given())
        scores = [one.rerank_score for one in reranking.ordered]
        while scores and scores[-1] is None:
            scores.pop()
        require(scores or not reranking.ordered, "at least one ordered candidate has a score")
        finite = [one for one in scores if isinstance(one, float) and math.isfinite(one)]
        require(len(finite) == len(scores), "a rerank_score is a finite Python float")
        require(finite == sorted(finite, reverse=True), "ordered is best first by rerank_score")
        require(
            all(one.reason for one in reranking.dropped), "every dropped candidate has a reason"
        )

    def test_ties_keep_fused_order(self) -> None:
        """Candidates with the same text stay in fused order."""
        reranker = self.make()
        text = self.candidates[0].document.text
        given = samples.candidates((text,) * 7)
        reranking = reranker.rerank(self.query, given)
        self._require_partition(reranking, given)
        require(
            [one.candidate.fusion_rank for one in reranking.ordered]
            == sorted(one.candidate.fusion_rank for one in reranking.ordered),
            "candidates with equal texts keep their fused order",
        )

    def test_equal_scores_keep_fused_order(self) -> None:
        """Of two candidates with equal rerank scores, the better fused one comes first."""
        texts = tuple(one.document.text for one in self.candidates)
        given = samples.candidates((*texts, *reversed(texts)))
        ordered = self.make().rerank(self.query, given).ordered
        require(
            all(
                ahead.candidate.fusion_rank < behind.candidate.fusion_rank
                for ahead, behind in itertools.pairwise(ordered)
                if ahead.rerank_score == behind.rerank_score is not None
            ),
            "candidates with equal rerank scores keep their fused order",
        )

    def test_unscored_in_fused_order(self) -> None:
        """Unscored candidates are in fused order, and the reranking has a reason."""
        reranker = self.make()
        reranker.rerank(self.query, self.given())
        for seconds in (0.0, 0.01, 0.03):
            self._require_partition_in_time(reranker, seconds)

    def test_odd_texts(self) -> None:
        """Huge and malformed texts raise nothing, and every candidate comes back."""
        odd = tuple(text for text in samples.ODD_TEXTS if text.strip())
        given = samples.candidates((*odd, *(one.document.text for one in self.candidates[:3])))
        reranking = self.make().rerank(self.query, given)
        self._require_partition(reranking, given)
        readable = {one.key for one in given[len(odd) :]}
        lost = readable & {one.key for one in reranking.unscored}
        require(not lost, "odd texts do not cost another candidate its score")

    def test_inputs_unchanged(self) -> None:
        """`rerank` does not change the list of candidates, and accepts a tuple as well."""
        reranker = self.make()
        given = list(self.given())
        require_unchanged(lambda some: reranker.rerank(self.query, some), given, "the candidates")
        require(
            _summary(reranker.rerank(self.query, given)) == self.use(reranker),
            "a list and a tuple of candidates get the same reranking",
        )

    def _require_partition_in_time(self, reranker: Reranker, seconds: float) -> None:
        def rerank(deadline: Deadline) -> Reranking:
            return reranker.rerank(self.query, self.given(), deadline=deadline)

        reranking = within(seconds, rerank, reranker, self.patience)
        if reranking is None:
            return
        self._require_partition(reranking, self.candidates)
        ranks = [one.fusion_rank for one in reranking.unscored]
        require(ranks == sorted(ranks), "unscored candidates are in fused order")
        require(not ranks or reranking.reason, "a reranking with unscored candidates has a reason")

    @staticmethod
    def _require_partition(reranking: Reranking, given: Sequence[Candidate]) -> None:
        back = Counter(one.key for one in _all(reranking))
        sent = Counter(one.key for one in given)
        require(
            back == sent,
            "ordered, unscored and dropped together have every candidate exactly once; missing: "
            f"{sorted(sent - back)}, extra: {sorted(back - sent)}",
        )
        by_key = {one.key: one for one in given}
        require(
            all(one == by_key[one.key] for one in _all(reranking)),
            "candidates come back unchanged",
        )


def _all(reranking: Reranking) -> list[Candidate]:
    return [
        *(one.candidate for one in reranking.ordered),
        *reranking.unscored,
        *(one.candidate for one in reranking.dropped),
    ]


def _summary(reranking: Reranking) -> object:
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
