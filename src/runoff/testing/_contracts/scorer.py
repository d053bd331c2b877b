"""The contract of a pair scorer."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from runoff.protocols import AsyncPairScorer, PairScorer
from runoff.scores import ModelIdentity, PairScores, ScoreKind
from runoff.testing._contracts import samples
from runoff.testing._contracts.base import (
    Contract,
    demand,
    demand_loop_is_free,
    demand_unchanged,
    skip,
    within,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runoff.deadline import Deadline

__all__ = ["PairScorerContract"]


class PairScorerContract(Contract):
    """What every scorer does; subclass it and say how to make yours.

    ```python
    class TestMine(PairScorerContract):
        def make(self):
            return Mine()
    ```

    Attributes:
        pairs: (query text, document text) pairs that the model scores differently, short enough
            to be read whole.
        token_limit: whether the model has a token limit that the scorer knows, so that it marks
            the text of 20,000 words among the odd texts as truncated.
    """

    pairs: ClassVar[tuple[tuple[str, str], ...]] = tuple(samples.pairs())
    token_limit: ClassVar[bool] = True

    def make(self) -> PairScorer:
        """Make the scorer under test."""
        raise NotImplementedError

    def bound(self, scores: PairScores) -> float:
        """Return how far two scores of one pair may be apart.

        It is 1e-5 or, for a model whose precision begins with `int8`, 1e-3 of the standard
        deviation of the scores.
        """
        if scores.model.precision.startswith("int8"):
            return 1e-3 * float(np.nanstd(scores.values))
        return 1e-5

    def part(self) -> PairScorer:
        """Make the scorer under test."""
        return self.make()

    def use(self, part: PairScorer) -> PairScores:
        """Score all pairs."""
        return part.score(self.pairs)

    def same(self, left: PairScores, right: PairScores) -> bool:
        """Whether all scores are the same within `bound`, and the marks exactly."""
        return (
            len(left) == len(right)
            and bool(np.array_equal(left.scored, right.scored))
            and bool(np.array_equal(left.truncated, right.truncated))
            and (left.kind, left.model) == (right.kind, right.model)
            and _close(left.values, right.values, self.bound(left))
        )

    def test_is_a_scorer(self) -> None:
        """The part has `score`, which answers with `PairScores`, one for each pair."""
        scorer = self.make()
        demand(isinstance(scorer, PairScorer), "a scorer has score(pairs, deadline=)")
        scores = scorer.score(self.pairs, deadline=None)
        demand(isinstance(scores, PairScores), "score returns PairScores")
        demand(len(scores) == len(self.pairs), "there is one score for each pair")

    def test_types(self) -> None:
        """Values are float32, marks are booleans, and kind and model say what the values are."""
        scores = self.use(self.make())
        demand(scores.values.dtype == np.float32, "values are float32")
        demand(scores.scored.dtype == np.bool_, "scored is an array of booleans")
        demand(scores.truncated.dtype == np.bool_, "truncated is an array of booleans")
        demand(isinstance(scores.kind, ScoreKind), "kind is a ScoreKind")
        demand(
            isinstance(scores.model, ModelIdentity) and scores.model.name,
            "model names the model that made the scores",
        )
        if scores.kind is ScoreKind.PROBABILITY:
            inside = (scores.values >= 0) & (scores.values <= 1)
            demand(inside.all(), "probabilities lie within 0 and 1")

    def test_every_pair_is_scored(self) -> None:
        """Without a deadline, every ordinary pair is scored and none is truncated."""
        scores = self.use(self.make())
        demand(scores.scored.all(), "without a deadline every pair is scored")
        demand(np.isfinite(scores.values).all(), "a scored value is finite")
        demand(not scores.truncated.any(), "short texts are not marked as truncated")
        demand(not scores.reason, "reason is empty when every pair is scored")

    def test_usage(self) -> None:
        """Usage counts the pairs that were scored."""
        scores = self.use(self.make())
        demand(
            scores.usage.pairs == len(self.pairs),
            f"usage.pairs is {len(self.pairs)} for {len(self.pairs)} pairs",
        )

    def test_scores_differ(self) -> None:
        """Not all pairs get the same score: the other tests would prove nothing."""
        scores = self.use(self.make())
        demand(
            float(np.ptp(scores.values)) > self.bound(scores),
            "different pairs get different scores",
        )

    def test_input_order(self) -> None:
        """Values come in the order of the pairs: reversed pairs give reversed values."""
        scorer = self.make()
        forward, backward = self.use(scorer), scorer.score(self.pairs[::-1])
        demand(
            _close(forward.values, backward.values[::-1], self.bound(forward)),
            "values come in the order in which the pairs were given",
        )

    def test_alone_or_among_others(self) -> None:
        """A pair's score does not depend on the pairs beside it."""
        scorer = self.make()
        together = self.use(scorer)
        alone = np.array([scorer.score([pair]).values[0] for pair in self.pairs], np.float32)
        demand(
            _close(together.values, alone, self.bound(together)),
            "a pair scored alone gets the score it gets among others (within "
            f"{self.bound(together):.2g}); they differ by {_distance(together.values, alone):.2g}",
        )

    def test_equal_pairs(self) -> None:
        """Equal pairs get equal scores, wherever they stand."""
        scorer = self.make()
        doubled = scorer.score([*self.pairs, *self.pairs])
        half = len(self.pairs)
        demand(
            _close(doubled.values[:half], doubled.values[half:], self.bound(doubled)),
            "equal pairs get equal scores",
        )

    def test_no_pairs(self) -> None:
        """No pairs give no scores, and no error."""
        demand(len(self.make().score([])) == 0, "no pairs give PairScores of length 0")

    def test_odd_texts(self) -> None:
        """Blank, huge and ill-formed texts cost no other pair its score, and raise nothing."""
        scorer = self.make()
        query, text = self.pairs[0]
        complete = self.use(scorer)
        for odd in samples.ODD_TEXTS:
            beside = [(query, text), (query, odd), (query, text)]
            scores = scorer.score(beside)
            demand(len(scores) == len(beside), "there is one score for each pair")
            demand(
                _close(scores.values[[0, 2]], complete.values[[0, 0]], self.bound(complete)),
                f"an odd text ({odd[:12]!r}) beside them changes no pair's score",
            )
        if self.token_limit:
            demand(
                scorer.score([(query, samples.ODD_TEXTS[-1])]).truncated.all(),
                "a text of 20,000 words is marked as truncated",
            )

    def test_inputs_unchanged(self) -> None:
        """A list of pairs is left as it was, and a tuple of pairs does as well."""
        scorer = self.make()
        demand_unchanged(scorer.score, list(self.pairs), "the list of pairs")
        demand(
            self.same(scorer.score(list(self.pairs)), scorer.score(tuple(self.pairs))),
            "a list and a tuple of pairs get the same scores",
        )

    def test_async_agrees(self) -> None:
        """`ascore` gives what `score` gives, several at once and in every new event loop."""
        scorer = self.make()
        if not isinstance(scorer, AsyncPairScorer):
            skip("the scorer has no ascore")

        async def ask() -> list[PairScores]:
            return await asyncio.gather(*(scorer.ascore(self.pairs) for _ in range(3)))

        expected = self.use(scorer)
        for _ in range(2):
            answers = asyncio.run(ask())
            demand(all(self.same(one, expected) for one in answers), "ascore agrees with score")

    def test_async_does_not_block(self) -> None:
        """Awaiting `ascore` leaves the event loop free."""
        scorer = self.make()
        if not isinstance(scorer, AsyncPairScorer):
            skip("the scorer has no ascore")
        self.use(scorer)
        demand_loop_is_free(lambda: scorer.ascore(self.pairs))

    def test_deadline(self) -> None:
        """Out of time, pairs are marked as unscored with a reason, or `TransientError` is raised.

        Pairs that were scored have their true scores. A scorer that says `keeps_deadline` returns
        in time.
        """
        scorer = self.make()
        complete = self.use(scorer)
        many = self.pairs * 8

        def score(deadline: Deadline) -> PairScores:
            return scorer.score(many, deadline=deadline)

        for seconds in (0.0, 0.02):
            scores = within(seconds, score, scorer, self.patience)
            if scores is None:
                continue
            demand(len(scores) == len(many), "unscored pairs are marked, not left out")
            demand(scores.scored.all() or scores.reason, "unscored pairs have a reason")
            expected = np.tile(complete.values, 8)
            demand(
                _close(scores.values[scores.scored], expected[scores.scored], self.bound(complete)),
                "pairs scored in time have the scores they have without a deadline",
            )


def _close(left: NDArray[np.float32], right: NDArray[np.float32], bound: float) -> bool:
    return _distance(left, right) <= bound


def _distance(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Return the largest difference; infinity where one has a value and the other has none."""
    if left.shape != right.shape or not np.array_equal(np.isnan(left), np.isnan(right)):
        return math.inf
    both = ~np.isnan(left)
    return float(np.abs(left[both].astype(float) - right[both]).max(initial=0.0))
