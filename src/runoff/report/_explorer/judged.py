"""The judgments of recorded queries: the collection's, with the grades given on the page."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from runoff._labels.collection import Collection
from runoff._labels.relevance import View
from runoff.evaluation._measures.measures import Evaluator
from runoff.evaluation._verdict.verdict import MAIN_SHARE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runoff.report._explorer.labels import Labels


CUTOFF = 10
MEASURE = f"nDCG@{CUTOFF}"
LEVEL = 0.05 * MAIN_SHARE
"""What a verdict on several measures leaves the first: the intervals here are the report's."""
_T = TypeVar("_T")


class Judgments:
    """What is known about the relevance of documents, made anew when a grade changes.

    Args:
        collection: the judgments; None for none.
        labels: the grades given on the page; they replace the collection's.
        texts: query id to text, of the queries at hand; judgments of others are left out.
    """

    def __init__(
        self, collection: Collection | None, labels: Labels, texts: Mapping[str, str]
    ) -> None:
        self.given = collection
        self.labels = labels
        self._texts = texts
        self._lock = Lock()
        self._made: dict[str, tuple[int, object]] = {}

    @property
    def version(self) -> int:
        """A number that changes with every grade."""
        return self.labels.version

    @property
    def collection(self) -> Collection | None:
        """The judgments, without documents; None if there are none."""
        return self._once("collection", self._merged)

    @property
    def view(self) -> View | None:
        """The judgments as measures see them; None if there are none."""
        return self._once("view", lambda found: None if found is None else View(found))

    @property
    def evaluator(self) -> Evaluator | None:
        """What measures runs by them; None if there are none."""
        return self._once(
            "evaluator", lambda found: None if found is None else Evaluator(found, [MEASURE])
        )

    def grades(self, query_id: str, doc_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the grades of documents of a query, as far as they are known."""
        view = self.view
        return {} if view is None else view.graded(query_id, doc_ids)

    def _once(self, name: str, make: Callable[[Collection | None], _T]) -> _T:
        found = None if name == "collection" else self.collection
        with self._lock:
            version, made = self._made.get(name, (-1, None))
            if version != self.version:
                version, made = self.version, make(found)
                self._made[name] = version, made
            return made  # type: ignore[return-value] # what `make` returned

    def _merged(self, _none: Collection | None) -> Collection | None:
        given, texts = self.given, self._texts
        known = {} if given is None else given.qrels
        qrels = {one: dict(grades) for one, grades in known.items() if one in texts}
        for query_id, grades in self.labels.qrels.items():
            if query_id in texts:
                qrels[query_id] = qrels.get(query_id, {}) | grades
        if not qrels:
            return None
        queries = {one: texts[one] for one in qrels}
        if given is None:
            return Collection(queries, qrels, name="labels")
        labels = {one: dict(found) for one, found in given.labels.items() if one in qrels}
        # checking the documents of a large collection takes a while, and nothing here needs them
        return replace(given, queries=queries, qrels=qrels, labels=labels, documents=None)
