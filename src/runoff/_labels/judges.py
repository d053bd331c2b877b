"""Several judges of one document: one grade of theirs, and how far they agree."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Literal

import numpy as np

from runoff._util.messages import number_of
from runoff.errors import InvalidArgument, MalformedData, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator

Level = Literal["nominal", "ordinal", "interval"]
"""Of measurement."""

_RULES = ("majority", "mean")
_RELIABLE, _TENTATIVE = 0.8, 0.667  # Krippendorff 2004, page 429


class Judges:
    """Collects the grades that several judges gave the same documents.

    Args:
        rule: `"majority"` takes the grade that most judges gave, and the lower of two that as many
            gave; `"mean"` takes the mean, rounded to a whole grade, halves down.

    Raises:
        InvalidArgument: there is no such rule.
    """

    def __init__(self, rule: str) -> None:
        if rule not in _RULES:
            raise InvalidArgument("judges", rule, "must be 'majority' or 'mean'")
        self._rule = rule
        self._given: dict[tuple[str, str], dict[str, int]] = {}
        self._places: dict[tuple[str, str], str] = {}

    def add(self, where: str, query_id: str, doc_id: str, judge: str, grade: int) -> None:
        """Add one judge's grade.

        Raises:
            MalformedData: the judge gave the document another grade.
        """
        pair = query_id, doc_id
        self._places.setdefault(pair, where)
        given = self._given.setdefault(pair, {})
        if given.setdefault(judge, grade) != grade:
            remedy = f"{judge!r} already gave document {doc_id!r} the grade {given[judge]}"
            raise MalformedData(where, grade, remedy)

    def settled(self) -> Iterator[tuple[str, str, str, int]]:
        """Yield place, query id, document id and the one grade."""
        for (query_id, doc_id), given in self._given.items():
            grade = _settle(list(given.values()), self._rule)
            yield self._places[query_id, doc_id], query_id, doc_id, grade

    def notes(self) -> list[str]:
        """Return how many judges there are and how far they agree, as sentences."""
        judges = sorted({one for given in self._given.values() for one in given})
        if not judges:
            return []
        several = [given for given in self._given.values() if len(given) > 1]
        if not several:
            return [
                (
                    f"{number_of(len(judges), 'judge')}, and no document judged twice: their "
                    "agreement is unknown."
                )
            ]
        differ = [given for given in several if len(set(given.values())) > 1]
        grades = {one for given in several for one in given.values()}
        level: Level = "nominal"
        if len(grades) > 2:  # noqa: PLR2004 - yes and no
            level = "ordinal" if self._rule == "majority" else "interval"  # a mean takes distances
        found = alpha(list(self._given.values()), level)
        said = (
            "all gave the same grade"
            if math.isnan(found)
            else f"Krippendorff's alpha ({level}) is {found:.2f}{_meaning(found)}"
        )
        rule = "and on a tie the lower" if self._rule == "majority" else "halves down"
        note = (
            f"{number_of(len(judges), 'judge')}; "
            f"{number_of(len(several), 'document has', 'documents have')} several of them, "
            "who differ on "
            f"{len(differ)}: {said}. The grade is the {self._rule}, {rule}."
        )
        return [note]


def alpha(given: list[dict[str, int]], level: Level) -> float:
    """Return Krippendorff's alpha: 1 is perfect agreement, 0 what chance gives.

    Args:
        given: of each document, judge to grade.
        level: `"nominal"`, `"ordinal"` or `"interval"`.

    Returns:
        NaN if all grades are equal, where it is not defined.

    Raises:
        MissingExtra: krippendorff is not installed.
    """
    try:
        import krippendorff  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingExtra("krippendorff", "eval") from None
    several = [one for one in given if len(one) > 1]
    grades = sorted({grade for one in several for grade in one.values()})
    if len(grades) < 2:  # noqa: PLR2004 - not defined
        return math.nan
    place = {grade: at for at, grade in enumerate(grades)}
    counts = np.zeros((len(several), len(grades)), np.int64)
    for row, one in zip(counts, several, strict=True):
        for grade in one.values():
            row[place[grade]] += 1
    return float(
        krippendorff.alpha(value_counts=counts, value_domain=grades, level_of_measurement=level)
    )


def _settle(given: list[int], rule: str) -> int:
    if rule == "mean":
        return math.ceil(sum(given) / len(given) - 0.5)
    counts = Counter(given)
    return min(counts, key=lambda grade: (-counts[grade], grade))


def _meaning(found: float) -> str:
    if found >= _RELIABLE:
        return ""
    if found >= _TENTATIVE:
        return ", enough for tentative conclusions only"
    return ", too little to rely on: agree on what is relevant, and judge again"
