"""Two systems' values side by side, and the questions that a verdict asks of their differences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.messages import number_of
from runoff.errors import InvalidArgument
from runoff.evaluation._measures.measures import Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Slice = tuple[str, str]
"""Name and value, such as `("language", "de")`."""

Values = Mapping[str, Mapping[str, float]]
"""Measure to query id to value."""

Slicing = Mapping[str, object] | Callable[[str], object]
"""Query id to the name of its slice; None leaves a query out."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two systems measured on the same queries by the same measures.

    Attributes:
        query_ids: in the order of the first system.
        measures: in the order of the first system.
        before: the first system's values, float64, shape (measures, queries).
        after: the second's.
        judged: Judged@k of both, shape (2, measures, queries), NaN for a query without results;
            None unless it is known of both.
        texts: query id to text, as far as known.
        notes: what is odd about either run, as sentences.
    """

    query_ids: tuple[str, ...]
    measures: tuple[str, ...]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    judged: NDArray[np.float64] | None
    texts: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def deltas(self) -> NDArray[np.float64]:
        """After minus before, shape (measures, queries)."""
        return self.after - self.before

    def judged_shares(self, measure: int, members: NDArray[np.bool_]) -> tuple[float, float] | None:
        """Return mean Judged@k of both over these queries; None if unknown."""
        if self.judged is None:
            return None
        found = self.judged[:, measure, members]
        seen = ~np.isnan(found)
        if not seen.any(axis=1).all():
            return None
        before, after = (float(row[there].mean()) for row, there in zip(found, seen, strict=True))
        return before, after


@dataclass(frozen=True, slots=True)
class Question:
    """One measure on all queries, or on a slice of them.

    Attributes:
        measure: its index in `Pair.measures`.
        slice: the slice; None for all queries.
        members: whether each query belongs, shape (queries,).
    """

    measure: int
    slice: Slice | None
    members: NDArray[np.bool_]


def paired(before: Measured | Values, after: Measured | Values) -> Pair:
    """Put two systems' values side by side.

    Raises:
        InvalidArgument: they have different queries or measures, or none, or a value is not finite.
    """
    first, second = _by_query(before, "before"), _by_query(after, "after")
    measures = tuple(first)
    if set(measures) != set(second):
        remedy = f"must have the same measures as `before`, {list(measures)}"
        raise InvalidArgument("after", list(second), remedy)
    ids = tuple(first[measures[0]])
    for argument, values in (("before", first), ("after", second)):
        for measure in measures:
            _check(f"{argument}[{measure!r}]", values[measure], ids)
    judged = None
    texts: dict[str, str] = {}
    if isinstance(before, Measured) and isinstance(after, Measured):
        places = {query_id: at for at, query_id in enumerate(after.query_ids)}
        order = [places[query_id] for query_id in ids]
        shares = [after.judged[measure][order] for measure in measures]
        judged = np.array([[before.judged[measure] for measure in measures], shares])
    for given in (before, after):
        texts |= dict(given.texts) if isinstance(given, Measured) else {}
    rows = [
        [[values[one][query_id] for query_id in ids] for one in measures]
        for values in (first, second)
    ]
    columns = np.array(rows, np.float64)
    return Pair(ids, measures, columns[0], columns[1], judged, texts, _notes(before, after))


def by_text(query_ids: Sequence[str], texts: Mapping[str, str]) -> list[list[int]]:
    """Return the places of the queries of each text, whatever its case and spacing, in order."""
    found: dict[str, list[int]] = {}
    for at, query_id in enumerate(query_ids):
        text = " ".join(texts.get(query_id, "").casefold().split())
        found.setdefault(text or f"\0{query_id}", []).append(at)
    return list(found.values())


def repeated(queries: int, texts: int) -> str:
    """Return the note that queries repeat the text of others."""
    return (
        f"{queries - texts} of {queries} queries repeat the text of another; each text counts "
        "once, with the mean of its values."
    )


def once_each(pair: Pair) -> Pair:
    """Return the pair with the queries of one text as one.

    It has the id of the first and the mean values of all: asking a question again proves no more.
    """
    asked = by_text(pair.query_ids, pair.texts)
    several = [rows for rows in asked if len(rows) > 1]
    if not several:
        return pair
    before, after = pair.before.copy(), pair.after.copy()
    judged = None if pair.judged is None else pair.judged.copy()
    for rows in several:
        for values in (before, after):
            values[:, rows[0]] = values[:, rows].mean(axis=1)
        if judged is not None:
            some = judged[:, :, rows]
            seen = (~np.isnan(some)).sum(axis=2)
            judged[:, :, rows[0]] = np.where(
                seen, np.nansum(some, axis=2) / np.maximum(seen, 1), np.nan
            )
    first = [rows[0] for rows in asked]
    return replace(
        pair,
        query_ids=tuple(pair.query_ids[at] for at in first),
        before=before[:, first],
        after=after[:, first],
        judged=None if judged is None else judged[:, :, first],
        notes=(*pair.notes, repeated(len(pair.query_ids), len(first))),
    )


def _notes(before: Measured | Values, after: Measured | Values) -> tuple[str, ...]:
    first, second = (one.notes if isinstance(one, Measured) else () for one in (before, after))
    shared = [note for note in first if note in second]
    named = [*(f"before: {note}" for note in first), *(f"after: {note}" for note in second)]
    return (*shared, *(one for one in named if one.partition(": ")[2] not in shared))


def _by_query(given: Measured | Values, argument: str) -> Values:
    if not isinstance(given, Measured) and not (
        isinstance(given, Mapping) and all(isinstance(one, Mapping) for one in given.values())
    ):
        remedy = "must be what `evaluate` returned, or map measures to query ids to values"
        raise InvalidArgument(argument, given, remedy)
    values = (
        given
        if not isinstance(given, Measured)
        else {measure: given.by_query(measure) for measure in given.values}
    )
    if not values or not all(values.values()):
        raise InvalidArgument(argument, given, "must have at least one measure and one query")
    return values


def _check(argument: str, found: Mapping[str, float], ids: tuple[str, ...]) -> None:
    odd = set(found).symmetric_difference(ids)
    if odd:
        remedy = "is a query with a missing value: every measure needs the same queries in both"
        raise InvalidArgument(argument, min(odd), remedy)
    for query_id, value in found.items():
        if not math.isfinite(value):
            raise InvalidArgument(argument, value, f"must be finite (query {query_id!r})")


def questions(
    pair: Pair, slices: Mapping[str, Slicing], smallest: int
) -> tuple[list[Question], list[str]]:
    """Return every measure on all queries, then the first one on every large enough slice.

    Args:
        pair: the values.
        slices: name to slicing.
        smallest: slices of fewer queries are left out.

    Returns:
        The questions, and a note for each slicing with slices that are too small.

    Raises:
        InvalidArgument: a slicing is neither a mapping nor a function, or has no slice for any
            query.
    """
    if not isinstance(slices, Mapping):
        raise InvalidArgument("slices", slices, "must map names to slicings")
    everything = np.ones(len(pair.query_ids), np.bool_)
    asked = [Question(at, None, everything) for at in range(len(pair.measures))]
    notes = []
    for name, slicing in slices.items():
        values = _sliced(name, slicing, pair.query_ids)
        sizes = Counter(value for value in values if value is not None)
        large = [value for value in sorted(sizes) if sizes[value] >= smallest]
        if len(large) < len(sizes):
            few = len(sizes) - len(large)
            notes.append(
                f"{number_of(few, 'slice')} of {name!r} {'has' if few == 1 else 'have'} fewer "
                f"than {number_of(smallest, 'query')}: not tested."
            )
        for value in large:
            members = np.array([value == one for one in values], np.bool_)
            if not members.all():
                asked.append(Question(0, (name, value), members))
    return asked, notes


def _sliced(name: str, slicing: Slicing, query_ids: tuple[str, ...]) -> list[str | None]:
    argument = f"slices[{name!r}]"
    if isinstance(slicing, Mapping):
        found = [slicing.get(query_id) for query_id in query_ids]
    elif callable(slicing):
        found = [slicing(query_id) for query_id in query_ids]
    else:
        remedy = "must map query ids to values, or be a function of a query id"
        raise InvalidArgument(argument, slicing, remedy)
    if all(value is None for value in found):
        raise InvalidArgument(
            argument, slicing, f"has no slice for any of the queries, such as {query_ids[0]!r}"
        )
    return [None if value is None else str(value) for value in found]
