"""The contract of a first-stage source."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from runoff.errors import FilterNotSupported
from runoff.protocols import AsyncRecallSource, RecallSource
from runoff.testing._contracts import samples
from runoff.testing._contracts.base import (
    AwaitedContract,
    in_threads,
    require,
    require_unchanged,
    within,
)
from runoff.types import Document, Hit, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from runoff.filters import Filter


class RecallSourceContract(AwaitedContract):
    """The contract of a source; subclass it and implement `make` over given documents.

    ```python
    class TestMine(RecallSourceContract):
        def make(self, documents):
            return Mine(documents)
    ```

    Attributes:
        documents: the documents of the source; override them if yours has documents of its own.
        queries: questions, at least one of which finds something.
        filters: conditions on the documents' metadata.
    """

    documents: ClassVar[tuple[Document, ...]] = samples.DOCUMENTS
    queries: ClassVar[tuple[str, ...]] = samples.QUERIES
    filters: ClassVar[tuple[Filter, ...]] = samples.FILTERS

    def make(self, documents: Sequence[Document]) -> RecallSource:
        """Make the source under test over these documents."""
        raise NotImplementedError

    def part(self) -> RecallSource:
        """Make the source under test."""
        return self.make(copy.deepcopy(self.documents))

    def use(self, part: RecallSource) -> object:
        """Ask every query."""
        return [_summary(part.retrieve(query, depth=5)) for query in self._queries()]

    def awaited(self, part: RecallSource) -> Callable[[], Coroutine[Any, Any, object]] | None:
        """Ask every query."""
        if not isinstance(part, AsyncRecallSource):
            return None

        async def ask() -> object:
            return [_summary(await part.aretrieve(query, depth=5)) for query in self._queries()]

        return ask

    def test_is_a_source(self) -> None:
        """The part has `retrieve`, which returns a sequence of hits and finds something."""
        source = self.part()
        require(isinstance(source, RecallSource), "a source has retrieve(query, depth=, deadline=)")
        answers = [source.retrieve(one, depth=5, deadline=None) for one in self._queries()]
        require(
            all(
                isinstance(hits, Sequence) and all(isinstance(hit, Hit) for hit in hits)
                for hits in answers
            ),
            "retrieve returns a sequence of Hit",
        )
        require(any(answers), "at least one of the contract's queries finds something")

    def test_best_first(self) -> None:
        """Hits come best first, by finite scores of which higher is better, or all without one."""
        for hits in self._answers():
            scores = [hit.score for hit in hits]
            require(
                all(isinstance(score, int | float) for score in scores),
                "a score is a Python number, not a NumPy float32",
            )
            if scores and all(map(math.isnan, scores)):
                continue
            require(
                all(map(math.isfinite, scores)),
                "a score is finite; a source that only ranks gives NaN to every hit",
            )
            require(scores == sorted(scores, reverse=True), "hits come best first")

    def test_unique_ids(self) -> None:
        """No id occurs twice in an answer."""
        for hits in self._answers():
            ids = [hit.doc_id for hit in hits]
            require(len(ids) == len(set(ids)), "ids are unique in an answer")

    def test_at_most_depth(self) -> None:
        """An answer has at most `depth` hits, and a depth beyond the documents is not an error."""
        source = self.part()
        for depth in (1, 2, len(self.documents), len(self.documents) + 1, 1000):
            for query in self._queries():
                hits = source.retrieve(query, depth=depth)
                require(len(hits) <= depth, "an answer has at most depth hits")

    def test_documents_as_held(self) -> None:
        """A hit has the id and the whole text of a document that the source was given."""
        texts = {one.doc_id: one.text for one in self.documents}
        for hits in self._answers():
            for hit in hits:
                require(
                    hit.doc_id in texts, "a hit has the id of a document that the source was given"
                )
                require(
                    hit.document.text == texts[hit.doc_id],
                    "a hit has the whole text of its document",
                )

    def test_score_range(self) -> None:
        """No score lies outside the `score_range` of its hit."""
        for hits in self._answers():
            for hit in hits:
                low, high = hit.score_range
                require(
                    (low is None or hit.score >= low) and (high is None or hit.score <= high),
                    f"a score lies within score_range; {hit.score} is not in {hit.score_range}",
                )

    def test_filters_are_exact(self) -> None:
        """A filtered answer has exactly the matching documents of the unfiltered one.

        This holds at every depth, since the filter applies before the cut. A source may raise
        `FilterNotSupported` instead.
        """
        source = self.part()
        metadata = {one.doc_id: one.metadata for one in self.documents}
        for query in self._queries():
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
                    require(
                        got <= expected,
                        f"{condition!r} is applied, but {sorted(got - expected)} came back",
                    )
                    require(
                        len(got) == min(depth, len(expected)),
                        f"{condition!r} is applied before the cut: at depth {depth} "
                        f"{min(depth, len(expected))} documents should come back, {len(got)} did",
                    )

    def test_inputs_unchanged(self) -> None:
        """The source changes neither documents nor query, and callers may change their answers."""
        documents = copy.deepcopy(self.documents)
        source = self.make(documents)
        for query in self._queries():
            require_unchanged(lambda one: source.retrieve(one, depth=5), query, "the query")
            hits = source.retrieve(query, depth=5)
            before = _summary(hits)
            if isinstance(hits, list):
                hits.clear()
            require(
                _summary(source.retrieve(query, depth=5)) == before,
                "changing an answer does not change the next one",
            )
        require(documents == self.documents, "the documents are unchanged")

    def test_threads_with_queries_of_their_own(self) -> None:
        """Threads that ask different questions at once get the answers to their own."""
        source = self.part()
        asked = self._queries() * 4
        alone = [_summary(source.retrieve(one, depth=5)) for one in asked]
        together = in_threads(lambda one: _summary(source.retrieve(one, depth=5)), asked)
        require(together == alone, "each thread gets the answer to its own question")

    def test_deadline(self) -> None:
        """When time is up, a source returns hits or raises a `TransientError`.

        A source with `keeps_deadline` does so in time.
        """
        source = self.part()
        query = self._queries()[0]
        source.retrieve(query, depth=5)
        for seconds in (0.0, 0.02):
            hits = within(
                seconds,
                lambda deadline: source.retrieve(query, depth=5, deadline=deadline),
                source,
                self.patience,
            )
            require(
                hits is None or all(isinstance(hit, Hit) for hit in hits),
                "when time is up, a source returns hits or raises a TransientError",
            )

    def _queries(self) -> list[Query]:
        return [Query(text) for text in self.queries]

    def _answers(self) -> list[Sequence[Hit]]:
        source = self.part()
        answers = [source.retrieve(one, depth=len(self.documents)) for one in self._queries()]
        require(any(answers), "at least one of the contract's queries finds something")
        return answers


def _summary(hits: Sequence[Hit]) -> list[tuple[str, str, float]]:
    return [(hit.doc_id, hit.document.text, hit.score) for hit in hits]
