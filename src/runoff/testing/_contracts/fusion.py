"""The contract of a fusion."""

from __future__ import annotations

import itertools
import math
import random
from typing import TYPE_CHECKING, ClassVar

from runoff.protocols import Fusion
from runoff.testing._contracts.base import Contract, demand, demand_unchanged
from runoff.types import Document, Hit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FusionContract"]

_CASES = 100


class FusionContract(Contract):
    """What every fusion does; subclass it and say how to make yours.

    ```python
    class TestMine(FusionContract):
        def make(self):
            return Mine()
    ```

    Attributes:
        sources: the names of the sources in the tests, for a fusion that has to know them.
    """

    sources: ClassVar[tuple[str, ...]] = ("bm25", "dense", "graph")

    def make(self) -> Fusion:
        """Make the fusion under test."""
        raise NotImplementedError

    def part(self) -> Fusion:
        """Make the fusion under test."""
        return self.make()

    def use(self, part: Fusion) -> object:
        """Fuse a hundred sets of rankings."""
        return [dict(part.fuse(rankings)) for rankings in self._cases()]

    def test_is_a_fusion(self) -> None:
        """The part has `fuse`."""
        demand(isinstance(self.make(), Fusion), "a fusion has fuse(rankings)")

    def test_every_key_and_no_other(self) -> None:
        """The key of every hit has a score, and nothing else has one."""
        fusion = self.make()
        for rankings in self._cases():
            keys = {hit.key for hits in rankings.values() for hit in hits}
            fused = fusion.fuse(rankings)
            demand(set(fused) == keys, "fuse maps the key of every hit, and no other, to a score")

    def test_keys_identify(self) -> None:
        """Documents are told apart by `Hit.key`, not by their ids."""
        hits = {name: [_hit(f"{name}-id", 1.0, key="same")] for name in self.sources}
        demand(set(self.make().fuse(hits)) == {"same"}, "documents are merged by Hit.key")

    def test_finite(self) -> None:
        """Every score is a finite float, whatever the sources' scores are."""
        fusion = self.make()
        odd = [math.inf, math.nan, 1e308, 0.0, -0.0, 5e-324, -1e308, -math.inf]
        cases = [
            *self._cases(),
            {name: [_hit(str(n), score) for n, score in enumerate(odd)] for name in self.sources},
            *({name: [_hit("lone", score)] for name in self.sources} for score in odd),
            *(
                {name: [_hit("a", score), _hit("b", score)] for name in self.sources}
                for score in odd
            ),
        ]
        for rankings in cases:
            demand(
                all(
                    isinstance(score, float) and math.isfinite(score)
                    for score in fusion.fuse(rankings).values()
                ),
                "every fusion_score is a finite float, also for NaN, infinite, lone and equal "
                "scores",
            )

    def test_nothing_found(self) -> None:
        """Sources that found nothing give no candidates, and no error."""
        nothing: dict[str, list[Hit]] = {name: [] for name in self.sources}
        demand(not self.make().fuse(nothing), "empty rankings fuse to an empty mapping")

    def test_source_order_changes_nothing(self) -> None:
        """The order in which sources are given changes not even the last bit."""
        fusion = self.make()
        for rankings in self._cases():
            results = [
                dict(fusion.fuse({name: rankings[name] for name in order}))
                for order in itertools.permutations(rankings)
            ]
            demand(
                all(result == results[0] for result in results),
                "the order of the sources changes no bit of a score (use math.fsum)",
            )

    def test_agreement(self) -> None:
        """A document that every source puts ahead of another is not fused below it."""
        fusion = self.make()
        for rankings in self._cases():
            fused = fusion.fuse(rankings)
            ranks = [{hit.key: rank for rank, hit in enumerate(h)} for h in rankings.values()]
            for ahead, behind in itertools.permutations(fused, 2):
                if all(r.get(ahead, math.inf) <= r.get(behind, math.inf) for r in ranks):
                    demand(
                        fused[ahead] >= fused[behind],
                        "a document that every source puts ahead of another (or the other was not "
                        "found) is not fused below it",
                    )

    def test_higher_is_better(self) -> None:
        """Where all sources agree on an order, the first document is fused above the last."""
        hits = [_hit(key, 9.0 - place) for place, key in enumerate("abcde")]
        fused = self.make().fuse(dict.fromkeys(self.sources, hits))
        demand(fused["a"] > fused["e"], "a higher fusion_score is better")

    def test_inputs_unchanged(self) -> None:
        """The rankings are left as they were."""
        for rankings in self._cases()[:10]:
            demand_unchanged(self.make().fuse, rankings, "what was passed to fuse")

    def _cases(self) -> list[Mapping[str, Sequence[Hit]]]:
        """Make rankings with overlap, gaps, ties and scales of their own, always the same ones."""
        dice = random.Random(0)  # noqa: S311 - test data
        cases: list[Mapping[str, Sequence[Hit]]] = []
        for _ in range(_CASES):
            rankings = {}
            for scale, name in zip(itertools.cycle((1.0, 0.01, 30.0)), self.sources, strict=False):
                found = dice.sample("abcdefghijkl", dice.randrange(13))
                scores = sorted((scale * dice.randrange(-5, 20) for _ in found), reverse=True)
                rankings[name] = [_hit(k, s) for k, s in zip(found, scores, strict=True)]
            cases.append(rankings)
        return cases


def _hit(doc_id: str, score: float, key: str = "") -> Hit:
    return Hit(Document(doc_id, f"text of {doc_id}"), score, key=key)
