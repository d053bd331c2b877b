import math
from dataclasses import dataclass, field

import pytest

from runoff.fusion import RRF
from runoff.testing.contracts import FusionContract


def contract(fusion):
    class Mine(FusionContract):
        def make(self):
            return fusion() if isinstance(fusion, type) else fusion

    return Mine


@dataclass(frozen=True)
class Sound:
    def fuse(self, rankings):
        return RRF().fuse(rankings)


class Plain(Sound):
    """Adds in the order of the sources."""

    def fuse(self, rankings):
        scores = {}
        for hits in rankings.values():
            for rank, hit in enumerate(hits, 1):
                scores[hit.key] = scores.get(hit.key, 0.0) + 1 / (60 + rank)
        return scores


class Upside(Sound):
    def fuse(self, rankings):
        return {key: -score for key, score in super().fuse(rankings).items()}


class Forgetful(Sound):
    def fuse(self, rankings):
        scores = super().fuse(rankings)
        return dict(sorted(scores.items(), key=lambda item: -item[1])[:3])


class ById(Sound):
    def fuse(self, rankings):
        return {hit.doc_id: 1.0 / n for hits in rankings.values() for n, hit in enumerate(hits, 1)}


class Raw(Sound):
    """Adds raw scores, NaN and infinity included."""

    def fuse(self, rankings):
        scores = {}
        for hits in rankings.values():
            for hit in hits:
                scores.setdefault(hit.key, []).append(hit.score)
        return {key: sum(given) for key, given in scores.items()}


class NeedsHits(Sound):
    def fuse(self, rankings):
        best = max(len(hits) for hits in rankings.values())
        return {k: s / best + 0 / best for k, s in super().fuse(rankings).items()} | (
            {} if best else {"none": math.nan}
        )


class Mutating(Sound):
    def fuse(self, rankings):
        scores = super().fuse(rankings)
        rankings.clear()
        return scores


class Flat(Sound):
    def fuse(self, rankings):
        return dict.fromkeys(super().fuse(rankings), 1.0)


@dataclass
class Thawed:
    power: float = 1.0
    calls: list = field(default_factory=list)

    def fuse(self, rankings):
        return {key: score**self.power for key, score in RRF().fuse(rankings).items()}


@dataclass(frozen=True)
class Counting:
    calls: list = field(default_factory=list, init=False)

    def fuse(self, rankings):
        self.calls.append(None)
        return {k: s + len(self.calls) for k, s in RRF().fuse(rankings).items()}


@dataclass(frozen=True)
class WithKey:
    key: str = "sk-1234"

    def fuse(self, rankings):
        return RRF().fuse(rankings)


@pytest.mark.parametrize("fusion", [Sound, RRF()])
def test_sound_fusion_passes(verdicts, fusion):
    """A sound fusion passes every test that applies to it."""
    ended = verdicts(contract(fusion))
    assert {name: how for name, how in ended.items() if how != "passed"} == {
        "test_warmup": "skipped: the part has no warmup"
    }


@pytest.mark.parametrize(
    ("fusion", "failing"),
    [
        (object(), {"test_is_a_fusion"}),
        (Plain, {"test_source_order_changes_nothing"}),
        (Upside, {"test_higher_is_better", "test_agreement"}),
        (Forgetful, {"test_every_key_and_no_other"}),
        (ById, {"test_keys_identify"}),
        (Raw, {"test_finite"}),
        (NeedsHits, {"test_nothing_found"}),
        (Mutating, {"test_inputs_unchanged"}),
        (Flat, {"test_higher_is_better"}),
        (Thawed, {"test_configuration_is_frozen"}),
        (Counting(), {"test_same_answer_again", "test_threads"}),
    ],
)
def test_broken_fusion_fails(verdicts, fusion, failing):
    """Each broken part fails the test for its fault."""
    ended = verdicts(contract(fusion))
    assert failing <= {n for n, how in ended.items() if how.startswith(("failed", "broke"))}


def test_secrets_are_found(verdicts):
    """The contract finds a key in a repr if `secrets` has the key."""

    class Mine(FusionContract):
        secrets = ("sk-1234",)

        def make(self):
            return WithKey()

    assert verdicts(Mine)["test_secrets_stay_secret"].startswith("failed")
