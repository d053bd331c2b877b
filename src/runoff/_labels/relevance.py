"""How judgments count: of documents where chunks are found, and of several that answer together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from runoff._util.arguments import is_one_of, is_whole
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runoff.types import Document

_RELEVANCES = ("each", "any", "all")
_ANY, _ALL = "any relevant document", "all relevant documents"

Parents = Mapping[str, str] | Callable[[str], str]
"""Chunk id to the id of its document; a chunk that a mapping lacks is a document itself."""


class View:
    """Judgments and results as measures see them.

    - Chunks count as their document: its first chunk holds its place, and the others take none.
    - With relevance `"any"`, all relevant documents of a query are one, with the highest of their
      grades, found where the first of them is.
    - With `"all"`, they are one that is found where the last of them is, less the places of the
      others before it, so that a perfect answer has it at rank 1; one that is missing, or below the
      cutoff, means that it is not found.

    Args:
        collection: has `.qrels`, and perhaps `.parents`, `.relevance` and `.relevant_from`.

    Attributes:
        plain: whether results and judgments count as they are.
        by_cutoff: whether what is found depends on the cutoff of the measure.
        relevant_from: the lowest grade that measures without grades count as relevant.
        judged: the judgments of documents.
        qrels: the judgments that measures get.
    """

    def __init__(self, collection: object) -> None:
        given: Mapping[str, Mapping[str, int]] = collection.qrels  # type: ignore[attr-defined] # checked before
        self._parents: Parents | None = getattr(collection, "parents", None)
        self._relevance: str = getattr(collection, "relevance", "each")
        self.relevant_from: int = getattr(collection, "relevant_from", 1)
        self.plain = self._parents is None and self._relevance == "each"
        self.by_cutoff = self._relevance == "all"
        self.judged = {query_id: dict(grades) for query_id, grades in given.items()}
        self._sets: dict[str, set[str]] = {}
        self.qrels = self.judged
        if self._relevance != "each":
            self.qrels = {one: self._joined(one, grades) for one, grades in self.judged.items()}

    @property
    def joined(self) -> str:
        """The id of all relevant documents of a query together."""
        return _ALL if self._relevance == "all" else _ANY

    def _joined(self, query_id: str, grades: Mapping[str, int]) -> dict[str, int]:
        together = {one for one, grade in grades.items() if grade >= self.relevant_from}
        if not together:
            return dict(grades)
        self._sets[query_id] = together
        apart = {one: grade for one, grade in grades.items() if one not in together}
        if self._relevance == "all":
            apart |= dict.fromkeys(together, 0)  # judged, and nothing without the others
        return apart | {self.joined: max(grades[one] for one in together)}

    def documents(self, order: Iterable[str]) -> list[str]:
        """Return results as documents: the parents of chunks, each once."""
        if self._parents is None:
            return list(order)
        return list(dict.fromkeys(_parent(self._parents, one) for one in order))

    def seen(self, query_id: str, order: Iterable[str], cutoff: int | None = None) -> list[str]:
        """Return results as measures get them, to be measured by `qrels`.

        Args:
            query_id: of the query.
            order: ids without repetitions, best first.
            cutoff: of the measure, where `by_cutoff` says that it matters.
        """
        found = self.documents(order)
        together = self._sets.get(query_id)
        if together is None:
            return found
        if self._relevance == "any":
            return list(dict.fromkeys(self.joined if one in together else one for one in found))
        counted = found if cutoff is None else found[:cutoff]
        places = [at for at, one in enumerate(counted) if one in together]
        if len(places) < len(together):
            return counted
        last = places[-1]
        before = [one for one in counted[:last] if one not in together]
        return [*before, self.joined, *found[last + 1 :]]

    def counted(self, query_id: str, doc_ids: Sequence[str]) -> list[str]:
        """Return what each of some found ids counts as, in their order."""
        together = self._sets.get(query_id, set())
        parents = self._parents
        named = doc_ids if parents is None else [_parent(parents, one) for one in doc_ids]
        return [self.joined if one in together else one for one in named]

    def unreachable(self, cutoffs: Iterable[int]) -> int:
        """Return how many queries need more documents than the largest cutoff counts."""
        most = max(cutoffs, default=0)
        return sum(len(one) > most for one in self._sets.values()) if most else 0

    def graded(self, query_id: str, doc_ids: Sequence[str]) -> dict[str, int]:
        """Return the grades of found ids, those of chunks by their document."""
        grades = self.judged.get(query_id, {})
        if self._parents is None:
            return grades
        named = {one: _parent(self._parents, one) for one in doc_ids}
        return {one: grades[name] for one, name in named.items() if name in grades}


def as_documents(parents: Parents | None, doc_ids: Iterable[str]) -> set[str]:
    """Return ids that can be found as ids that can be judged."""
    return set(doc_ids) if parents is None else {_parent(parents, one) for one in doc_ids}


def _parent(parents: Parents, doc_id: str) -> str:
    """Return the document that a chunk belongs to.

    Raises:
        InvalidArgument: a function returned something else than an id.
    """
    found = parents.get(doc_id, doc_id) if isinstance(parents, Mapping) else parents(doc_id)
    if not isinstance(found, str) or not found:
        remedy = f"must give the id of a document, a non-empty string (chunk {doc_id!r})"
        raise InvalidArgument("parent_of", found, remedy)
    return found


def resolved_parents(
    given: str | Parents | None, documents: Mapping[str, Document] | None
) -> Parents | None:
    """Return parents that were given as such, or as the name of a metadata field.

    Raises:
        InvalidArgument: it is neither, or no document has that field.
    """
    if given is None or isinstance(given, Mapping) or callable(given):
        return given
    if not isinstance(given, str):
        remedy = "must map chunk ids to documents, be a function of a chunk id, or a metadata field"
        raise InvalidArgument("parent_of", given, remedy)
    if documents is None:
        remedy = "is a metadata field, and the collection has no documents: pass documents="
        raise InvalidArgument("parent_of", given, remedy)
    found = {
        doc_id: str(one.metadata[given])
        for doc_id, one in documents.items()
        if one.metadata.get(given) not in {None, ""}
    }
    if not found:
        known = sorted({name for one in documents.values() for name in one.metadata})[:10]
        remedy = f"must be a metadata field of the documents, such as {known}"
        raise InvalidArgument("parent_of", given, remedy)
    return found


def check_counting(parents: object, relevance: object, relevant_from: object) -> None:
    """Check the attributes of a collection that say how its judgments count.

    Raises:
        InvalidArgument: one has a value that it cannot have.
    """
    if parents is not None and not isinstance(parents, Mapping) and not callable(parents):
        remedy = "must map chunk ids to document ids, or be a function of a chunk id"
        raise InvalidArgument("parents", parents, remedy)
    if not is_one_of(relevance, _RELEVANCES):
        raise InvalidArgument("relevance", relevance, "must be 'each', 'any' or 'all'")
    if not is_whole(relevant_from):
        raise InvalidArgument("relevant_from", relevant_from, "must be a grade of 1 or more")
