import asyncio
import time
from dataclasses import dataclass, replace

import numpy as np
import pytest

from runoff.errors import DeadlineExceeded
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage
from runoff.testing.contracts import PairScorerContract


def overlap(query, text):
    shared = set(query.lower().strip("?").split()) & set(text.lower().strip(".").split())
    return len(shared) + len(text) % 97 / 100


@dataclass(frozen=True)
class Words:
    """A sound scorer: shared words."""

    name: str = "words"

    def score(self, pairs, *, deadline=None):
        values = np.array([overlap(*pair) for pair in pairs], np.float32).reshape(len(pairs))
        return PairScores(
            values,
            np.ones(len(pairs), bool),
            np.array([len(text) > 5000 for _, text in pairs], bool),
            ScoreKind.LOGIT,
            ModelIdentity(self.name),
            Usage(pairs=len(pairs)),
        )


@dataclass(frozen=True)
class Anytime(Words):
    """Stops at its deadline and returns what it has."""

    keeps_deadline = True

    def score(self, pairs, *, deadline=None):
        scores = super().score(pairs)
        scored = scores.scored.copy()
        if deadline is not None and deadline.finite:
            for place in range(len(pairs)):
                if deadline.expired:
                    scored[place:] = False
                    break
                time.sleep(0.001)
        return replace(scores, scored=scored, reason="" if scored.all() else "timeout")


@dataclass(frozen=True)
class Async(Words):
    async def ascore(self, pairs, *, deadline=None):
        await asyncio.sleep(0.001)
        return self.score(pairs)


def contract(scorer):
    class Mine(PairScorerContract):
        def make(self):
            return scorer()

    return Mine


class NoScores(Words):
    def score(self, pairs, *, deadline=None):
        return super().score(pairs).values


class OneShort(Words):
    def score(self, pairs, *, deadline=None):
        return super().score(pairs[:-1])


class Integers(Words):
    def score(self, pairs, *, deadline=None):
        scores = super().score(pairs)
        return replace(scores, truncated=scores.truncated.astype(int))


class Nameless(Words):
    def score(self, pairs, *, deadline=None):
        return replace(super().score(pairs), model=ModelIdentity(""))


class NotAProbability(Words):
    def score(self, pairs, *, deadline=None):
        return replace(super().score(pairs), kind=ScoreKind.PROBABILITY)


class LeavesOneOut(Words):
    def score(self, pairs, *, deadline=None):
        scores = super().score(pairs)
        return replace(scores, scored=np.arange(len(pairs)) != 3)


class Uncounted(Words):
    def score(self, pairs, *, deadline=None):
        return replace(super().score(pairs), usage=Usage())


class Constant(Words):
    def score(self, pairs, *, deadline=None):
        scores = super().score(pairs)
        return replace(scores, values=np.zeros_like(scores.values))


class Sorted(Words):
    """Returns scores best first, a fault of several libraries."""

    def score(self, pairs, *, deadline=None):
        scores = super().score(pairs)
        return replace(scores, values=np.sort(scores.values)[::-1])


class Relative(Words):
    """Scores are relative to those of the batch."""

    def score(self, pairs, *, deadline=None):
        scores = super().score(pairs)
        return replace(scores, values=scores.values - scores.values.mean()) if pairs else scores


class ByPlace(Words):
    def score(self, pairs, *, deadline=None):
        scores = super().score(pairs)
        return replace(scores, values=scores.values + np.arange(len(pairs)))


class NeedsPairs(Words):
    def score(self, pairs, *, deadline=None):
        assert pairs
        return super().score(pairs)


class AllOrNothing(Words):
    """One odd text costs all pairs their scores."""

    def score(self, pairs, *, deadline=None):
        scores = super().score(pairs)
        odd = any(not text.strip() for _, text in pairs)
        return replace(scores, scored=scores.scored & (not odd), reason="odd" * odd)


class ChokesOnSurrogates(Words):
    def score(self, pairs, *, deadline=None):
        for _, text in pairs:
            text.encode()
        return super().score(pairs)


class HidesTruncation(Words):
    def score(self, pairs, *, deadline=None):
        scores = super().score(pairs)
        return replace(scores, truncated=np.zeros(len(pairs), bool))


class SortsItsInput(Words):
    def score(self, pairs, *, deadline=None):
        if isinstance(pairs, list):
            pairs.sort(key=lambda pair: len(pair[1]))
        return super().score(pairs)


class AsyncDiffers(Async):
    async def ascore(self, pairs, *, deadline=None):
        return self.score(pairs[::-1])


class AsyncBlocks(Async):
    async def ascore(self, pairs, *, deadline=None):
        time.sleep(0.01)  # noqa: ASYNC251 - the fault
        return self.score(pairs)


class NoReason(Anytime):
    def score(self, pairs, *, deadline=None):
        return replace(super().score(pairs, deadline=deadline), reason="")


class Guesses(Anytime):
    """Pairs it had no time for get a score nevertheless."""

    def score(self, pairs, *, deadline=None):
        scores = super().score(pairs, deadline=deadline)
        values = np.where(scores.scored, scores.values, 0).astype(np.float32)
        return replace(scores, values=values, scored=np.ones(len(pairs), bool), reason="")


class BreaksItsWord(Anytime):
    def score(self, pairs, *, deadline=None):
        if deadline is not None and deadline.finite:
            time.sleep(0.3)
            raise DeadlineExceeded("late")
        return super().score(pairs)


class Stateful(Words):
    """Keeps the pairs on the class while it works."""

    pairs = ()

    def score(self, pairs, *, deadline=None):
        Stateful.pairs = (*Stateful.pairs, *pairs)
        time.sleep(0.001)
        try:
            return super().score(Stateful.pairs[: len(Stateful.pairs)])
        finally:
            Stateful.pairs = ()


class Noisy(Words):
    def score(self, pairs, *, deadline=None):
        scores = super().score(pairs)
        noise = np.random.default_rng().normal(0, 0.01, len(pairs))
        return replace(scores, values=(scores.values + noise).astype(np.float32))


@pytest.mark.parametrize("scorer", [Words, Anytime, Async])
def test_sound_scorer_passes(verdicts, scorer):
    """A sound scorer passes every test that applies to it."""
    ended = verdicts(contract(scorer))
    assert not {n: how for n, how in ended.items() if how.startswith(("failed", "broke"))}
    asynchronous = {ended["test_async_agrees"], ended["test_async_does_not_block"]}
    assert (asynchronous == {"passed"}) is (scorer is Async)


@pytest.mark.parametrize(
    ("scorer", "failing"),
    [
        (NoScores, "test_is_a_scorer"),
        (OneShort, "test_is_a_scorer"),
        (Integers, "test_types"),
        (Nameless, "test_types"),
        (NotAProbability, "test_types"),
        (LeavesOneOut, "test_every_pair_is_scored"),
        (Uncounted, "test_usage"),
        (Constant, "test_scores_differ"),
        (Sorted, "test_input_order"),
        (Relative, "test_alone_or_among_others"),
        (ByPlace, "test_equal_pairs"),
        (NeedsPairs, "test_no_pairs"),
        (AllOrNothing, "test_odd_texts"),
        (ChokesOnSurrogates, "test_odd_texts"),
        (HidesTruncation, "test_odd_texts"),
        (SortsItsInput, "test_inputs_unchanged"),
        (AsyncDiffers, "test_async_agrees"),
        (AsyncBlocks, "test_async_does_not_block"),
        (NoReason, "test_deadline"),
        (Guesses, "test_deadline"),
        (Stateful, "test_threads"),
        (Noisy, "test_same_answer_again"),
    ],
)
def test_broken_scorer_fails(verdicts, scorer, failing):
    """Each broken part fails the test for its fault."""
    assert verdicts(contract(scorer))[failing].startswith(("failed", "broke"))


def test_broken_promise_to_keep_deadlines(verdicts):
    """A scorer with `keeps_deadline` that returns late fails."""

    class Strict(contract(BreaksItsWord)):
        patience = 0.1

    assert "returns by its deadline" in verdicts(Strict)["test_deadline"]


def test_int8_has_a_bound_of_its_own(verdicts):
    """An int8 model may differ by at most 1e-3 of a standard deviation."""

    def shaky(share):
        class Shaky(Words):
            def score(self, pairs, *, deadline=None):
                scores = super().score(pairs)
                values = scores.values + np.float32(share) * (len(pairs) == 1)
                return replace(scores, values=values, model=ModelIdentity("words", "", "int8"))

        return verdicts(contract(Shaky))["test_alone_or_among_others"]

    assert shaky(5e-4) == "passed"
    assert shaky(5e-3).startswith("failed")
