"""The contract of a first-stage source."""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from runoff.errors import FilterNotSupported
from runoff.protocols import AsyncRecallSource, RecallSource
from runoff.testing._contracts import samples
from runoff.testing._contracts.base import (
    Contract,
    demand,
    demand_loop_is_free,
    demand_unchanged,
    in_threads,
    skip,
    within,
)
from runoff.types import Document, Hit, Query

if TYPE_CHECKING:
    from runoff.filters import Filter

__all__ = ["RecallSourceContract"]


class RecallSourceContract(Contract):
    """What every source does; subclass it and say how to make yours over given documents.

    ```python
    class TestMine(RecallSourceContract):
        def make(self, documents):
            return Mine(documents)
    ```

    Attributes:
        documents: what the source holds; give your own where a source comes with its documents.
        queries: questions of which at least one finds something.
        filters: conditions on the documents' metadata.
    """

    documents: ClassVar[tuple[Document, ...]] = samples.DOCUMENTS
    queries: ClassVar[tuple[str, ...]] = samples.QUERIES
    filters: ClassVar[tuple[Filter, ...]] = samples.FILTERS

    def make(self, documents: Sequence[Document]) -> RecallSource:
        """Make the source under test, holding these documents."""
        raise NotImplementedError

    def part(self) -> RecallSource:
        """Make the source under test."""
        return self.make(copy.deepcopy(self.documents))

    def use(self, part: RecallSource) -> object:
        """Ask every query."""
        return [_told(part.retrieve(query, depth=5)) for query in self._asked()]

    def test_is_a_source(self) -> None:
        """The part has `retrieve`, and answers with a sequence of hits, some query with one."""
        source = self.part()
        demand(isinstance(source, RecallSource), "a source has retrieve(query, depth=, deadline=)")
        answers = [source.retrieve(one, depth=5, deadline=None) for one in self._asked()]
        demand(
            all(
                isinstance(hits, Sequence) and all(isinstance(hit, Hit) for hit in hits)
                for hits in answers
            ),
            "retrieve returns a sequence of Hit",
        )
        demand(any(answers), "at least one of the contract's queries finds something")

    def test_best_first(self) -> None:
        """Hits come best first by scores that are finite numbers, higher being better."""
        for hits in self._answers():
            scores = [hit.score for hit in hits]
            demand(
                all(isinstance(score, int | float) for score in scores),
                "a score is a Python number (a NumPy float32 is none)",
            )
            demand(all(map(math.isfinite, scores)), "a score is finite")
            demand(scores == sorted(scores, reverse=True), "hits come best first")

    def test_unique_ids(self) -> None:
        """No id occurs twice in an answer."""
        for hits in self._answers():
            ids = [hit.doc_id for hit in hits]
            demand(len(ids) == len(set(ids)), "ids are unique in an answer")

    def test_at_most_depth(self) -> None:
        """An answer has at most `depth` hits, and asking for more than there is, is no error."""
        source = self.part()
        for depth in (1, 2, len(self.documents), len(self.documents) + 1, 1000):
            for query in self._asked():
                hits = source.retrieve(query, depth=depth)
                demand(len(hits) <= depth, "an answer has at most depth hits")

    def test_documents_as_held(self) -> None:
        """A hit carries the document as the source was given it: id and text."""
        texts = {one.doc_id: one.text for one in self.documents}
        for hits in self._answers():
            for hit in hits:
                demand(hit.doc_id in texts, "a hit's id is that of a document the source holds")
                demand(hit.document.text == texts[hit.doc_id], "a hit carries the whole text")

    def test_score_range(self) -> None:
        """No score lies outside the range that the source says it knows."""
        for hits in self._answers():
            for hit in hits:
                low, high = hit.score_range
                demand(
                    (low is None or hit.score >= low) and (high is None or hit.score <= high),
                    f"a score lies within score_range; {hit.score} is not in {hit.score_range}",
                )

    def test_filters_are_exact(self) -> None:
        """Under a filter, an answer holds the matching documents of the unfiltered one, no other.

        That is so at every depth: the filter comes before the cut. Or `FilterNotSupported` is
        raised.
        """
        source = self.part()
        metadata = {one.doc_id: one.metadata for one in self.documents}
        for query in self._asked():
            everything = source.retrieve(query, depth=len(self.documents))
            for condition in self.filters:
                expected = {
                    hit.doc_id for hit in everything if condition.matches(metadata[hit.doc_id])
                }
                for depth in (1, 3, len(self.documents)):
                    filtered = Query(query.text, filters=condition)
                    try:
                        hits = source.retrieve(filtered, depth=depth)
                    except FilterNotSupported:
                        continue
                    got = {hit.doc_id for hit in hits}
                    demand(
                        got <= expected,
                        f"{condition!r} is honoured; {sorted(got - expected)} must not come back",
                    )
                    demand(
                        len(got) == min(depth, len(expected)),
                        f"{condition!r} is honoured before the cut: at depth {depth} "
                        f"{min(depth, len(expected))} documents match, {len(got)} came back",
                    )

    def test_inputs_unchanged(self) -> None:
        """Neither the documents nor the query are changed, and an answer is the caller's own."""
        documents = copy.deepcopy(self.documents)
        source = self.make(documents)
        for query in self._asked():
            demand_unchanged(lambda one: source.retrieve(one, depth=5), query, "the query")
            hits = source.retrieve(query, depth=5)
            before = _told(hits)
            if isinstance(hits, list):
                hits.clear()
            demand(
                _told(source.retrieve(query, depth=5)) == before,
                "what the caller does to an answer does not change the next",
            )
        demand(documents == self.documents, "the documents are not changed")

    def test_threads_with_queries_of_their_own(self) -> None:
        """Threads that ask different things at once each get the answer to their own question."""
        source = self.part()
        asked = self._asked() * 4
        alone = [_told(source.retrieve(one, depth=5)) for one in asked]
        together = in_threads(lambda one: _told(source.retrieve(one, depth=5)), asked)
        demand(together == alone, "each thread gets the answer to its own question")

    def test_async_agrees(self) -> None:
        """`aretrieve` gives what `retrieve` gives, several at once and in every new event loop."""
        source = self.part()
        if not isinstance(source, AsyncRecallSource):
            skip("the source has no aretrieve")

        async def ask() -> list[object]:
            answers = (source.aretrieve(one, depth=5) for one in self._asked())
            return [_told(hits) for hits in await asyncio.gather(*answers)]

        expected = self.use(source)
        for _ in range(2):
            demand(asyncio.run(ask()) == expected, "aretrieve agrees with retrieve")

    def test_async_does_not_block(self) -> None:
        """Awaiting `aretrieve` leaves the event loop free."""
        source = self.part()
        if not isinstance(source, AsyncRecallSource):
            skip("the source has no aretrieve")
        self.use(source)
        demand_loop_is_free(lambda: source.aretrieve(self._asked()[0], depth=5))

    def test_deadline(self) -> None:
        """Out of time, a source answers with proper hits or raises a `TransientError`.

        One that says `keeps_deadline` does so in time.
        """
        source = self.part()
        query = self._asked()[0]
        source.retrieve(query, depth=5)
        for seconds in (0.0, 0.02):
            hits = within(
                seconds,
                lambda deadline: source.retrieve(query, depth=5, deadline=deadline),
                source,
                self.patience,
            )
            demand(
                hits is None or all(isinstance(hit, Hit) for hit in hits),
                "out of time, a source returns hits or raises a TransientError",
            )

    def _asked(self) -> list[Query]:
        return [Query(text) for text in self.queries]

    def _answers(self) -> list[Sequence[Hit]]:
        source = self.part()
        answers = [source.retrieve(one, depth=len(self.documents)) for one in self._asked()]
        demand(any(answers), "at least one of the contract's queries finds something")
        return answers


def _told(hits: Sequence[Hit]) -> list[tuple[str, str, float]]:
    return [(hit.doc_id, hit.document.text, hit.score) for hit in hits]
