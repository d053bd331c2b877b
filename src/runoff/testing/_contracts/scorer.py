"""The contract of a pair scorer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from runoff.protocols import AsyncPairScorer, PairScorer
from runoff.scores import ModelIdentity, PairScores, ScoreKind
from runoff.testing._contracts import samples
from runoff.testing._contracts.base import (
    AwaitedContract,
    require,
    require_unchanged,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from numpy.typing import NDArray

    from runoff.deadline import Deadline


class PairScorerContract(AwaitedContract):
    """The contract of a pair scorer; subclass it and implement `make`.

    ```python
    class TestMine(PairScorerContract):
        def make(self):
            return Mine()
    ```

    Attributes:
        pairs: (query text, document text) pairs with different scores, short enough not to be
            truncated.
        token_limit: whether the model has a token limit that the scorer knows, so that it marks
            the text of 20,000 words among the odd texts as truncated.
    """

    pairs: ClassVar[tuple[tuple[str, str], ...]] = tuple(samples.pairs())
    token_limit: ClassVar[bool] = True

    def make(self) -> PairScorer:
        """Make the scorer under test."""
        raise NotImplementedError

    def bound(self, scores: PairScores) -> float:
        """Return the largest allowed difference between two scores of one pair.

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

    def awaited(self, part: PairScorer) -> Callable[[], Coroutine[Any, Any, object]] | None:
        """Score all pairs."""
        return (lambda: part.ascore(self.pairs)) if isinstance(part, AsyncPairScorer) else None

    def same(self, left: PairScores, right: PairScores) -> bool:
        """Whether all scores agree within `bound` and everything else exactly."""
        return (
            len(left) == len(right)
            and bool(np.array_equal(left.scored, right.scored))
            and bool(np.array_equal(left.truncated, right.truncated))
            and (left.kind, left.model) == (right.kind, right.model)
            and _close(left.values, right.values, self.bound(left))
        )

    def test_is_a_scorer(self) -> None:
        """The part has `score`, which returns `PairScores` with a score for each pair."""
        scorer = self.make()
        require(isinstance(scorer, PairScorer), "a scorer has score(pairs, deadline=)")
        scores = scorer.score(self.pairs, deadline=None)
        require(isinstance(scores, PairScores), "score returns PairScores")
        require(len(scores) == len(self.pairs), "there is one score for each pair")

    def test_types(self) -> None:
        """Values are float32, `scored` and `truncated` are booleans, and kind and model are set."""
        scores = self.use(self.make())
        require(scores.values.dtype == np.float32, "values are float32")
        require(scores.scored.dtype == np.bool_, "scored is an array of booleans")
        require(scores.truncated.dtype == np.bool_, "truncated is an array of booleans")
        require(isinstance(scores.kind, ScoreKind), "kind is a ScoreKind")
        require(
            isinstance(scores.model, ModelIdentity) and scores.model.name,
            "model has the name of the model that made the scores",
        )
        if scores.kind is ScoreKind.PROBABILITY:
            inside = (scores.values >= 0) & (scores.values <= 1)
            require(inside.all(), "probabilities lie between 0 and 1")

    def test_every_pair_is_scored(self) -> None:
        """Without a deadline every ordinary pair is scored and none is truncated."""
        scores = self.use(self.make())
        require(scores.scored.all(), "without a deadline every pair is scored")
        require(np.isfinite(scores.values).all(), "a scored value is finite")
        require(not scores.truncated.any(), "short texts are not marked as truncated")
        require(not scores.reason, "reason is empty when every pair is scored")

    def test_usage(self) -> None:
        """Usage counts the pairs that were scored."""
        scores = self.use(self.make())
        require(
            scores.usage.pairs == len(self.pairs),
            f"usage.pairs is {len(self.pairs)} for {len(self.pairs)} scored pairs",
        )

    def test_scores_differ(self) -> None:
        """Not all pairs get the same score, without which other tests prove nothing."""
        scores = self.use(self.make())
        require(
            float(np.ptp(scores.values)) > self.bound(scores),
            "different pairs get different scores",
        )

    def test_input_order(self) -> None:
        """Values are in the order of the pairs: reversed pairs give reversed values."""
        scorer = self.make()
        forward, backward = self.use(scorer), scorer.score(self.pairs[::-1])
        require(
            _close(forward.values, backward.values[::-1], self.bound(forward)),
            "values come in the order in which the pairs were given",
        )

    def test_alone_or_among_others(self) -> None:
        """A pair's score does not depend on the pairs beside it."""
        scorer = self.make()
        together = self.use(scorer)
        alone = np.array([scorer.score([pair]).values[0] for pair in self.pairs], np.float32)
        require(
            _close(together.values, alone, self.bound(together)),
            "a pair scored alone gets the score it gets among others (within "
            f"{self.bound(together):.2g}); they differ by {_distance(together.values, alone):.2g}",
        )

    def test_equal_pairs(self) -> None:
        """Equal pairs get equal scores, wherever they stand."""
        scorer = self.make()
        doubled = scorer.score([*self.pairs, *self.pairs])
        half = len(self.pairs)
        require(
            _close(doubled.values[:half], doubled.values[half:], self.bound(doubled)),
            "equal pairs get equal scores",
        )

    def test_no_pairs(self) -> None:
        """No pairs give no scores, and no error."""
        require(len(self.make().score([])) == 0, "no pairs give PairScores of length 0")

    def test_odd_texts(self) -> None:
        """Blank, huge and malformed texts raise nothing and change no other pair's score."""
        scorer = self.make()
        query, text = self.pairs[0]
        complete = self.use(scorer)
        for odd in samples.ODD_TEXTS:
            beside = [(query, text), (query, odd), (query, text)]
            scores = scorer.score(beside)
            require(len(scores) == len(beside), "there is one score for each pair")
            require(
                _close(scores.values[[0, 2]], complete.values[[0, 0]], self.bound(complete)),
                f"an odd text ({odd[:12]!r}) does not change the scores of other pairs",
            )
        if self.token_limit:
            require(
                scorer.score([(query, samples.ODD_TEXTS[-1])]).truncated.all(),
                "a text of 20,000 words is marked as truncated",
            )

    def test_inputs_unchanged(self) -> None:
        """`score` does not change the list of pairs, and accepts a tuple as well."""
        scorer = self.make()
        require_unchanged(scorer.score, list(self.pairs), "the list of pairs")
        require(
            self.same(scorer.score(list(self.pairs)), scorer.score(tuple(self.pairs))),
            "a list and a tuple of pairs get the same scores",
        )

    def test_deadline(self) -> None:
        """When time is up, pairs are marked unscored with a reason, or `TransientError` is raised.

        Scored pairs have their true scores. A scorer with `keeps_deadline` returns in time.
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
            require(len(scores) == len(many), "unscored pairs are marked, not left out")
            require(
                scores.scored.all() or scores.reason, "scores with unscored pairs have a reason"
            )
            expected = np.tile(complete.values, 8)
            require(
                _close(scores.values[scores.scored], expected[scores.scored], self.bound(complete)),
                "pairs scored in time have the scores they have without a deadline",
            )


def _close(left: NDArray[np.float32], right: NDArray[np.float32], bound: float) -> bool:
    return _distance(left, right) <= bound


def _distance(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Return the largest difference; infinity if only one of two values is missing."""
    if left.shape != right.shape or not np.array_equal(np.isnan(left), np.isnan(right)):
        return math.inf
    both = ~np.isnan(left)
    return float(np.abs(left[both].astype(float) - right[both]).max(initial=0.0))
