"""Grouping, recorded and replayed: which candidates belong together, whatever the fused order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from runoff._util.duplicates import near_pairs
from runoff._util.text import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._recording import RecordedQuery
    from runoff.evaluation._setup import GroupSetup
    from runoff.grouping import Grouping
    from runoff.types import Candidate

__all__ = ["Groups", "grouped", "groups_of"]

Groups = tuple["NDArray[np.int32]", "NDArray[np.int32]", "NDArray[np.int32]", "NDArray[np.int32]"]


def groups_of(grouping: Grouping | None, candidates: Sequence[Candidate]) -> Groups:
    """Return group, twin, near and grouped_under of candidates, as in `RecordedQuery`."""
    many = len(candidates)
    nothing = np.full(many, -1, np.int32)
    near = np.zeros((0, 2), np.int32)
    if grouping is None:
        return nothing, nothing, near, nothing
    groups, twins, under = nothing, nothing, nothing.copy()
    if grouping.by is not None:
        found = [grouping.group_of(one.document) for one in candidates]
        groups = _codes([None if one in (None, "") else one for one in found])
    if grouping.duplicates is not None:
        texts = [grouping.text_of(one.document) for one in candidates]
        twins = _codes([" ".join(words(one.casefold())) or None for one in texts])
        if grouping.duplicates < 1:
            near = np.array(near_pairs(texts, grouping.duplicates), np.int32).reshape(-1, 2)
    row = {one.key: at for at, one in enumerate(candidates)}
    for head in grouping.group(candidates):
        for one in head.grouped:
            under[row[one.key]] = row[head.key]
    return groups, twins, near, under


def _codes(values: Sequence[object]) -> NDArray[np.int32]:
    known: dict[object, int] = {}
    return np.array(
        [-1 if one is None else known.setdefault(one, len(known)) for one in values], np.int32
    )


def grouped(
    query: RecordedQuery, setup: GroupSetup | None, order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], dict[int, int]]:
    """Return the rows that stay, in the order given, and the head of each row that does not.

    Args:
        query: the recorded query.
        setup: how candidates are grouped; None for not at all.
        order: rows in fused order.
    """
    if setup is None:
        return order, {}
    heads: dict[int, int] = {}
    rows: list[int] = order.tolist()
    if setup.by:
        members: dict[int, list[int]] = {}
        for row in rows:
            group = int(query.group[row])
            if group < 0:
                continue
            seen = members.setdefault(group, [])
            if len(seen) < setup.per_group:
                seen.append(row)
            else:
                heads[row] = seen[0]
    if setup.duplicates is not None:
        left = [row for row in rows if row not in heads]
        same = _alike(query, left)
        heads = {row: same.get(head, head) for row, head in heads.items()} | same
    return np.array([row for row in rows if row not in heads], np.int64), heads


def _alike(query: RecordedQuery, rows: Sequence[int]) -> dict[int, int]:
    first: dict[int, int] = {}
    heads: dict[int, int] = {}
    for row in rows:
        twin = int(query.twin[row])
        if twin >= 0 and (head := first.setdefault(twin, row)) != row:
            heads[row] = head
    rivals: dict[int, set[int]] = {}
    for one, other in query.near.tolist():
        rivals.setdefault(one, set()).add(other)
        rivals.setdefault(other, set()).add(one)
    moved: dict[int, int] = {}
    stay: list[int] = []
    for row in rows:
        if row in heads or row not in rivals:
            continue
        like = next((one for one in stay if one in rivals[row]), None)
        if like is None:
            stay.append(row)
        else:
            moved[row] = like
    return {row: moved.get(head, head) for row, head in heads.items()} | moved
