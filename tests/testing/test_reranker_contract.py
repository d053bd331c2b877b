import asyncio
import math
import random
import time
from dataclasses import dataclass, replace

import numpy as np
import pytest

from runoff.errors import DeadlineExceeded
from runoff.testing.contracts import RerankerContract
from runoff.types import Dropped, Ranked, Reranking


def overlap(query, candidate):
    words = set(query.text.lower().strip("?").split())
    return float(len(words & set(candidate.document.text.lower().strip(".").split())))


@dataclass(frozen=True)
class Words:
    """A sound reranker: shared words."""

    def ranked(self, query, candidates):
        found = [Ranked(one, overlap(query, one)) for one in candidates]
        return tuple(sorted(found, key=lambda r: (-r.rerank_score, r.candidate.fusion_rank)))

    def rerank(self, query, candidates, *, deadline=None):
        return Reranking(self.ranked(query, candidates))


@dataclass(frozen=True)
class Dropping(Words):
    def rerank(self, query, candidates, *, deadline=None):
        ranked = self.ranked(query, candidates)
        dropped = (
            Dropped(one.candidate, "no shared word") for one in ranked if not one.rerank_score
        )
        return Reranking(tuple(r for r in ranked if r.rerank_score), dropped=tuple(dropped))


@dataclass(frozen=True)
class Anytime(Words):
    """Stops at its deadline and returns what it has."""

    keeps_deadline = True

    def rerank(self, query, candidates, *, deadline=None):
        read = []
        for one in candidates:
            if deadline is not None and deadline.finite:
                time.sleep(0.002)
                if deadline.expired:
                    break
            read.append(one)
        rest = tuple(candidates[len(read) :])
        return Reranking(self.ranked(query, read), rest, reason="timeout" if rest else "")


@dataclass(frozen=True)
class Async(Words):
    async def arerank(self, query, candidates, *, deadline=None):
        await asyncio.sleep(0.001)
        return self.rerank(query, candidates)


def contract(reranker):
    class Mine(RerankerContract):
        def make(self):
            return reranker()

    return Mine


class ListOfScores(Words):
    def rerank(self, query, candidates, *, deadline=None):
        return list(self.ranked(query, candidates))


class NoChange(Words):
    def rerank(self, query, candidates, *, deadline=None):
        return Reranking(tuple(Ranked(one, -float(n)) for n, one in enumerate(candidates)))


class TopFive(Words):
    def rerank(self, query, candidates, *, deadline=None):
        return Reranking(self.ranked(query, candidates)[:5])


class Twice(Words):
    def rerank(self, query, candidates, *, deadline=None):
        ranked = self.ranked(query, candidates)
        return Reranking(ranked, tuple(one.candidate for one in ranked[-1:]))


class Overwrites(Words):
    def rerank(self, query, candidates, *, deadline=None):
        ranked = self.ranked(query, candidates)
        return Reranking(
            tuple(
                replace(r, candidate=replace(r.candidate, fusion_score=r.rerank_score))
                for r in ranked
            )
        )


class NeedsCandidates(Words):
    def rerank(self, query, candidates, *, deadline=None):
        best = max(overlap(query, one) for one in candidates)
        return Reranking(self.ranked(query, candidates)) if best >= 0 else None


class WorstFirst(Words):
    def rerank(self, query, candidates, *, deadline=None):
        return Reranking(self.ranked(query, candidates)[::-1])


class NaNFirst(Words):
    def rerank(self, query, candidates, *, deadline=None):
        first, *rest = self.ranked(query, candidates) or (None,)
        head = () if first is None else (replace(first, rerank_score=math.nan),)
        return Reranking((*head, *rest))


class NumpyScores(Words):
    def rerank(self, query, candidates, *, deadline=None):
        ranked = self.ranked(query, candidates)
        return Reranking(tuple(replace(r, rerank_score=np.float32(r.rerank_score)) for r in ranked))


class NoReasonToDrop(Dropping):
    def rerank(self, query, candidates, *, deadline=None):
        reranking = super().rerank(query, candidates)
        return replace(
            reranking, dropped=tuple(replace(one, reason="") for one in reranking.dropped)
        )


class TiesReversed(Words):
    """Sorts upwards, then reverses, as a well-known server does."""

    def rerank(self, query, candidates, *, deadline=None):
        found = [Ranked(one, overlap(query, one)) for one in candidates]
        return Reranking(tuple(sorted(found, key=lambda r: r.rerank_score)[::-1]))


class Batched(Words):
    """Equal texts get unequal scores, as with batch-dependent quantisation."""

    def rerank(self, query, candidates, *, deadline=None):
        found = [
            Ranked(one, overlap(query, one) + 0.001 * (n % 3)) for n, one in enumerate(candidates)
        ]
        found.sort(key=lambda r: (-r.rerank_score, r.candidate.fusion_rank))
        return Reranking(tuple(found))


class UnscoredShuffled(Anytime):
    def rerank(self, query, candidates, *, deadline=None):
        reranking = super().rerank(query, candidates, deadline=deadline)
        return replace(reranking, unscored=reranking.unscored[::-1])


class NoReason(Anytime):
    def rerank(self, query, candidates, *, deadline=None):
        return replace(super().rerank(query, candidates, deadline=deadline), reason="")


class LosesTheRest(Anytime):
    def rerank(self, query, candidates, *, deadline=None):
        return replace(super().rerank(query, candidates, deadline=deadline), unscored=())


class ChokesOnSurrogates(Words):
    def rerank(self, query, candidates, *, deadline=None):
        for one in candidates:
            one.document.text.encode()
        return super().rerank(query, candidates)


class OddCostsAll(Words):
    def rerank(self, query, candidates, *, deadline=None):
        if any("\x00" in one.document.text for one in candidates):
            return Reranking((), tuple(candidates), reason="request_rejected")
        return super().rerank(query, candidates)


class SortsItsInput(Words):
    def rerank(self, query, candidates, *, deadline=None):
        reranking = super().rerank(query, candidates)
        if isinstance(candidates, list):
            candidates.sort(key=lambda one: -overlap(query, one))
        return reranking


class WritesMetadata(Words):
    """Writes the score into the caller's document, a fault of several libraries."""

    def rerank(self, query, candidates, *, deadline=None):
        reranking = super().rerank(query, candidates)
        for one in reranking.ordered:
            one.candidate.document.metadata["score"] = one.rerank_score
        return reranking


class Noisy(Words):
    def rerank(self, query, candidates, *, deadline=None):
        ranked = self.ranked(query, candidates)
        return Reranking(
            tuple(replace(r, rerank_score=r.rerank_score + random.random()) for r in ranked)
        )


class AsyncDiffers(Async):
    async def arerank(self, query, candidates, *, deadline=None):
        return Reranking((), tuple(candidates), reason="error")


class AsyncBlocks(Async):
    async def arerank(self, query, candidates, *, deadline=None):
        time.sleep(0.01)  # noqa: ASYNC251 - the fault
        return self.rerank(query, candidates)


class BreaksItsWord(Anytime):
    def rerank(self, query, candidates, *, deadline=None):
        if deadline is not None and deadline.finite:
            time.sleep(0.3)
            raise DeadlineExceeded("late")
        return super().rerank(query, candidates)


@pytest.mark.parametrize("reranker", [Words, Dropping, Anytime, Async])
def test_sound_reranker_passes(verdicts, reranker):
    """A sound reranker passes every test that applies to it."""
    ended = verdicts(contract(reranker))
    assert not {n: how for n, how in ended.items() if how.startswith(("failed", "broke"))}
    asynchronous = {ended["test_async_agrees"], ended["test_async_does_not_block"]}
    assert (asynchronous == {"passed"}) is (reranker is Async)


@pytest.mark.parametrize(
    ("reranker", "failing"),
    [
        (ListOfScores, "test_is_a_reranker"),
        (NoChange, "test_reorders"),
        (TopFive, "test_partition"),
        (Twice, "test_partition"),
        (Overwrites, "test_partition"),
        (NeedsCandidates, "test_no_candidates"),
        (WorstFirst, "test_best_first"),
        (NaNFirst, "test_best_first"),
        (NumpyScores, "test_best_first"),
        (NoReasonToDrop, "test_best_first"),
        (TiesReversed, "test_ties_keep_fused_order"),
        (TiesReversed, "test_equal_scores_keep_fused_order"),
        (Batched, "test_ties_keep_fused_order"),
        (UnscoredShuffled, "test_unscored_in_fused_order"),
        (NoReason, "test_unscored_in_fused_order"),
        (LosesTheRest, "test_unscored_in_fused_order"),
        (ChokesOnSurrogates, "test_odd_texts"),
        (OddCostsAll, "test_odd_texts"),
        (SortsItsInput, "test_inputs_unchanged"),
        (WritesMetadata, "test_inputs_unchanged"),
        (Noisy, "test_same_answer_again"),
        (AsyncDiffers, "test_async_agrees"),
        (AsyncBlocks, "test_async_does_not_block"),
    ],
)
def test_broken_reranker_fails(verdicts, reranker, failing):
    """Each broken part fails the test for its fault."""
    assert verdicts(contract(reranker))[failing].startswith(("failed", "broke"))


def test_broken_promise_to_keep_deadlines(verdicts):
    """A reranker with `keeps_deadline` that returns late fails."""

    class Strict(contract(BreaksItsWord)):
        patience = 0.1

    assert "returns by its deadline" in verdicts(Strict)["test_unscored_in_fused_order"]
