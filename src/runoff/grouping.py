"""Candidates that say the same, put under one of them before the second stage reads any.

A document cut into chunks comes back as many candidates, and so does a text that was stored twice.
Grouping happens after fusion and before the window: no text is paid for twice and no one document
fills the answer. Nothing is lost: the others are listed under the one that stands for them.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING

from runoff._util.arguments import count
from runoff._util.duplicates import alike
from runoff.errors import InvalidArgument
from runoff.trace import Fate, FateKind, Scoring

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from runoff.types import Candidate, Document

__all__ = ["Grouping", "as_grouping", "grouped_fates"]


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which candidates belong together, and how many of them stay.

    Candidates are looked at in fused order, so the best-fused of a group stands for it.

    Attributes:
        by: the metadata field, or a callable from document, that says which group a document is
            of, such as `"parent_id"`. A document with None or an empty string there is of none.
        duplicates: texts that differ only in whitespace and case are one; below 1, so are texts
            whose sets of three-word sequences have at least this Jaccard similarity (what both have
            divided by what either has). Above 0; None leaves duplicates alone. One always stays.
        per_group: candidates of one group that stay; the first stands for those that do not.
        text: what is compared to find duplicates; None is the document's text.

    Raises:
        InvalidArgument: an argument has a value it cannot have, or neither `by` nor `duplicates`
            is given.
    """

    by: str | Callable[[Document], object] | None = None
    _: KW_ONLY
    duplicates: float | None = None
    per_group: int = 1
    text: Callable[[Document], str] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        if self.by is not None and not callable(self.by) and not _is_name(self.by):
            remedy = "must be a metadata field or a callable from document to group"
            raise InvalidArgument("group", self.by, remedy)
        near = self.duplicates
        if near is not None and (
            isinstance(near, bool) or not isinstance(near, Real) or not 0 < near <= 1
        ):
            remedy = "must be a similarity above 0 and at most 1, or None"
            raise InvalidArgument("duplicates", near, remedy)
        if self.by is None and near is None:
            raise InvalidArgument("group", self.by, "needs by= or duplicates=")
        if self.text is not None and not callable(self.text):
            raise InvalidArgument("text", self.text, "must be a callable from document to text")
        object.__setattr__(self, "per_group", count("per_group", self.per_group))

    def group(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return the candidates that stay, in the order given; each holds those it stands for.

        Raises:
            InvalidArgument: a document's group cannot be compared (it is not hashable).
        """
        heads: dict[int, int] = {}  # place of one that does not stay: place of its head
        if self.by is not None:
            seen: dict[Hashable, list[int]] = {}
            for place, candidate in enumerate(candidates):
                group = self._group(candidate.document)
                if group is None or group == "":
                    continue
                members = seen.setdefault(group, [])
                if len(members) < self.per_group:
                    members.append(place)
                else:
                    heads[place] = members[0]
        if self.duplicates is not None:
            left = [place for place in range(len(candidates)) if place not in heads]
            texts = [self._text(candidates[place].document) for place in left]
            same = {left[at]: left[head] for at, head in alike(texts, self.duplicates).items()}
            # whoever stood for others takes them along
            heads = {place: same.get(head, head) for place, head in heads.items()} | same
        under: dict[int, list[Candidate]] = {}
        for place in sorted(heads):
            under.setdefault(heads[place], []).append(candidates[place])
        return [
            replace(one, grouped=(*one.grouped, *under[place])) if place in under else one
            for place, one in enumerate(candidates)
            if place not in heads
        ]

    def _group(self, document: Document) -> Hashable | None:
        if isinstance(self.by, str):
            group = document.metadata.get(self.by)
        else:
            group = self.by(document) if self.by is not None else None
        try:
            hash(group)
        except TypeError:
            remedy = f"must be one value, such as a string (document {document.doc_id!r})"
            raise InvalidArgument("group", group, remedy) from None
        known: Hashable = group
        return known

    def _text(self, document: Document) -> str:
        return document.text if self.text is None else self.text(document)


def as_grouping(given: object) -> Grouping | None:
    """Return a `Grouping`, given as it is or by its `by`; None stays None: no grouping.

    Raises:
        InvalidArgument: it is none of these.
    """
    if given is None or isinstance(given, Grouping):
        return given
    return Grouping(given)  # type: ignore[arg-type] # it checks


def grouped_fates(candidates: Sequence[Candidate]) -> tuple[Fate, ...]:
    """Return what became of the candidates that others stand for."""
    return tuple(
        Fate(one, FateKind.GROUPED, None, Scoring.GROUPED, grouped_under=head.key)
        for head in candidates
        for one in head.grouped
    )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)
