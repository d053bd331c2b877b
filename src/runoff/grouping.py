"""Grouping: candidates of one document, or with the same text, are read and returned as one.

A document cut into chunks comes back as many candidates, and so does a text that was stored twice.
Grouping runs after fusion and before the window, so that the reranker reads no text twice and no
single document fills the answer. Nothing is lost: the other candidates of a group are listed under
the one that stands for them.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING

from runoff._util.arguments import count
from runoff._util.duplicates import alike
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from runoff.types import Candidate, Document

__all__ = ["Grouping"]


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which candidates belong together, and how many of each group are kept.

    The candidate with the best fused rank stands for its group.

    Attributes:
        by: a metadata field, such as `"parent_id"`, or a callable from document to group. A
            document whose group is None or an empty string belongs to no group.
        duplicates: above 0 and at most 1; None keeps duplicates. At 1, texts that differ only in
            whitespace and case are duplicates; below 1, so are texts whose sets of three-word
            sequences have at least this Jaccard similarity (shared sequences divided by all
            sequences of the two). One of them is always kept. With a deadline, finding them takes
            a quarter of the time left at most, and a note says how many were not compared.
        per_group: how many candidates of a group are kept; the first stands for all others.
        text: returns the text that is compared to find duplicates; None compares the document's
            text.

    Raises:
        InvalidArgument: an argument has a value it cannot have, or both `by` and `duplicates` are
            missing.
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
        """Return the candidates that are kept, in the order given, each with those it represents.

        Raises:
            InvalidArgument: a document's group is not hashable, so groups cannot be compared.
        """
        return self.group_within(candidates, math.inf)[0]

    def group_within(
        self, candidates: Sequence[Candidate], seconds: float
    ) -> tuple[list[Candidate], tuple[str, ...]]:
        """Do what `group` does in limited time.

        Candidates that there is no time to compare with others are kept as they are.

        Args:
            candidates: in fused order.
            seconds: how long finding duplicates may take.

        Returns:
            the candidates that are kept, and a sentence for the user when some were not compared.

        Raises:
            InvalidArgument: as for `group`.
        """
        notes: tuple[str, ...] = ()
        heads: dict[int, int] = {}  # place of a grouped candidate: place of its head
        if self.by is not None:
            seen: dict[Hashable, list[int]] = {}
            for place, candidate in enumerate(candidates):
                group = self.group_of(candidate.document)
                if group is None or group == "":
                    continue
                members = seen.setdefault(group, [])
                if len(members) < self.per_group:
                    members.append(place)
                else:
                    heads[place] = members[0]
        if self.duplicates is not None:
            left = [place for place in range(len(candidates)) if place not in heads]
            texts = [self.text_of(candidates[place].document) for place in left]
            found, unread = alike(texts, self.duplicates, seconds)
            if unread:
                note = (
                    f"{unread} of {len(texts)} candidates were not checked for duplicates: they "
                    "are too many or too long for the time left"
                )
                notes = (note,)
            same = {left[at]: left[head] for at, head in found.items()}
            # a head that is itself a duplicate takes its group along
            heads = {place: same.get(head, head) for place, head in heads.items()} | same
        under: dict[int, list[Candidate]] = {}
        for place in sorted(heads):
            under.setdefault(heads[place], []).append(candidates[place])
        kept = [
            replace(one, grouped=(*one.grouped, *under[place])) if place in under else one
            for place, one in enumerate(candidates)
            if place not in heads
        ]
        return kept, notes

    def group_of(self, document: Document) -> Hashable | None:
        """Return the group of a document by `by`; None or an empty string for no group.

        Raises:
            InvalidArgument: the group is not hashable.
        """
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

    def text_of(self, document: Document) -> str:
        """Return the text of a document that is compared to find duplicates."""
        return document.text if self.text is None else self.text(document)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)
