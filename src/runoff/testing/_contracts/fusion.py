"""The contract of a fusion."""

from __future__ import annotations

import itertools
import math
import random
from typing import TYPE_CHECKING, ClassVar

from runoff.protocols import Fusion
from runoff.testing._contracts.base import Contract, require, require_unchanged
from runoff.types import Document, Hit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CASES = 100


class FusionContract(Contract):
    """The contract of a fusion; subclass it and implement `make`.

    ```python
    class TestMine(FusionContract):
        def make(self):
            return Mine()
    ```

    Attributes:
        sources: the names of the sources in the tests, for a fusion that is configured with names.
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
        require(isinstance(self.make(), Fusion), "a fusion has fuse(rankings)")

    def test_every_key_and_no_other(self) -> None:
        """Exactly the keys of the hits have a score."""
        fusion = self.make()
        for rankings in self._cases():
            keys = {hit.key for hits in rankings.values() for hit in hits}
            fused = fusion.fuse(rankings)
            require(
                set(fused) == keys,
                "fuse(rankings) has a score for the key of every hit and for no other key",
            )

    def test_keys_identify(self) -> None:
        """Hits are merged by `Hit.key`, not by document id."""
        hits = {name: [_hit(f"{name}-id", 1.0, key="same")] for name in self.sources}
        require(set(self.make().fuse(hits)) == {"same"}, "hits are merged by Hit.key")

    def test_finite(self) -> None:
        """Every fusion score is a finite float, even for odd scores of the sources."""
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
            require(
                all(
                    isinstance(score, float) and math.isfinite(score)
                    for score in fusion.fuse(rankings).values()
                ),
                "every fusion_score is a finite float, even for NaN, infinite, single and equal "
                "scores of the sources",
            )

    def test_nothing_found(self) -> None:
        """Empty rankings fuse to an empty mapping, without an error."""
        nothing: dict[str, list[Hit]] = {name: [] for name in self.sources}
        require(not self.make().fuse(nothing), "empty rankings fuse to an empty mapping")

    def test_source_order_changes_nothing(self) -> None:
        """The order of the sources does not change a single bit of a score."""
        fusion = self.make()
        for rankings in self._cases():
            results = [
                dict(fusion.fuse({name: rankings[name] for name in order}))
                for order in itertools.permutations(rankings)
            ]
            require(
                all(result == results[0] for result in results),
                "the order of the sources does not change a bit of any score (use math.fsum)",
            )

    def test_agreement(self) -> None:
        """A document that every source ranks above another is not fused below it."""
        fusion = self.make()
        for rankings in self._cases():
            fused = fusion.fuse(rankings)
            ranks = [{hit.key: rank for rank, hit in enumerate(h)} for h in rankings.values()]
            for ahead, behind in itertools.permutations(fused, 2):
                if all(r.get(ahead, math.inf) <= r.get(behind, math.inf) for r in ranks):
                    require(
                        fused[ahead] >= fused[behind],
                        "a document that every source ranks above another (or finds without the "
                        "other) is not fused below it",
                    )

    def test_higher_is_better(self) -> None:
        """If all sources agree on an order, the first document is fused above the last."""
        hits = [_hit(key, 9.0 - place) for place, key in enumerate("abcde")]
        fused = self.make().fuse(dict.fromkeys(self.sources, hits))
        require(fused["a"] > fused["e"], "a higher fusion_score is better")

    def test_inputs_unchanged(self) -> None:
        """`fuse` does not change the rankings."""
        for rankings in self._cases()[:10]:
            require_unchanged(self.make().fuse, rankings, "the rankings")

    def _cases(self) -> list[Mapping[str, Sequence[Hit]]]:
        """Make rankings with overlap, gaps, ties and different scales, the same ones every time."""
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
