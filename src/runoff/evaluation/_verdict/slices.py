"""Slices of the queries for a verdict: by length, script, agreement of sources, score margin.

A slice must not depend on the results: one made from the outcome, such as "the queries that became
worse", proves nothing. Every function returns query id to the name of its slice.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.arguments import check_list, check_mapping, count
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_BANDS = ("low", "middle", "high")


def banded(values: Mapping[str, float], *, decimals: int = 2) -> dict[str, str]:
    """Return each query's third, such as `"low (0 to 0.4)"`; equal values stay together.

    Args:
        values: query id to a finite number.
        decimals: of the bounds in the names.

    Raises:
        InvalidArgument: a value is not finite.
    """
    numbers = np.array(list(values.values()), np.float64)
    if not np.isfinite(numbers).all():
        raise InvalidArgument("values", dict(values), "must be finite")
    if not numbers.size:
        return {}
    edges = np.quantile(numbers, (1 / 3, 2 / 3), method="lower")
    bands = np.searchsorted(edges, numbers, side="left")
    names = {}
    for band in np.unique(bands).tolist():
        inside = numbers[bands == band]
        low, high = (f"{round(float(end), decimals):g}" for end in (inside.min(), inside.max()))
        names[band] = (
            f"{_BANDS[band]} ({low})" if low == high else f"{_BANDS[band]} ({low} to {high})"
        )
    return {one: names[band] for one, band in zip(values, bands.tolist(), strict=True)}


def _check_texts(queries: object) -> None:
    check_mapping("queries", queries, "query ids to texts")
    for text in queries.values():  # type: ignore[attr-defined] # as checked
        if not isinstance(text, str):
            raise InvalidArgument("queries", text, "must map query ids to texts")


def _checked(query_ids: Iterable[str], argument: str, lookup: object) -> list[str]:
    """Return the query ids as a list; refuse other types, and a lookup that is not callable."""
    check_list("query_ids", query_ids, "query ids")
    found = list(query_ids)
    for one in found:
        if not isinstance(one, str):
            raise InvalidArgument("query_ids", one, "must be a list of query ids")
    if not callable(lookup):
        raise InvalidArgument(argument, lookup, "must be callable with a query id")
    return found


def by_length(queries: Mapping[str, str]) -> dict[str, str]:
    """Return the third of each query by its number of words, or of letters where no query has two.

    Args:
        queries: query id to text.
    """
    _check_texts(queries)
    counts = {query_id: len(text.split()) for query_id, text in queries.items()}
    if max(counts.values(), default=0) <= 1:
        counts = {query_id: len(text.strip()) for query_id, text in queries.items()}
    return banded(counts, decimals=0)


def by_script(queries: Mapping[str, str]) -> dict[str, str]:
    """Return the script each query is written in, such as `"Latin"` or `"Han"`.

    Args:
        queries: query id to text.
    """
    _check_texts(queries)
    from runoff._onnx.languages import main_script  # noqa: PLC0415 - only this needs it

    return {query_id: main_script(text) for query_id, text in queries.items()}


def by_agreement(
    query_ids: Iterable[str],
    rankings: Callable[[str], Iterable[Sequence[str]]],
    *,
    cutoff: int = 10,
) -> dict[str, str]:
    """Return the third of each query by how far its sources agree.

    Agreement is the share of the first `cutoff` documents that two sources have in common, averaged
    over pairs of sources; a query with fewer than two sources is left out.

    Args:
        query_ids: the queries.
        rankings: gives a query's document ids, best first, for each source.
        cutoff: how many documents of each source are compared.

    Raises:
        InvalidArgument: an argument has an invalid value.
    """
    cutoff = count("cutoff", cutoff)
    found = {}
    for query_id in _checked(query_ids, "rankings", rankings):
        tops = [set(order[:cutoff]) for order in rankings(query_id)]
        shared = [len(one & other) / cutoff for one, other in combinations(tops, 2)]
        if shared:
            found[query_id] = sum(shared) / len(shared)
    return banded(found)


def by_margin(query_ids: Iterable[str], scores: Callable[[str], Sequence[float]]) -> dict[str, str]:
    """Return the third of each query by the lead of its best score over the next.

    Args:
        query_ids: the queries; one with fewer than two scores is left out.
        scores: gives the scores of a query's results, best first, of one kind and one model.

    Raises:
        InvalidArgument: an argument has an invalid value.
    """
    found = {}
    for query_id in _checked(query_ids, "scores", scores):
        best = list(scores(query_id)[:2])
        if len(best) > 1:
            found[query_id] = float(best[0]) - float(best[1])
    return banded(found, decimals=3)
