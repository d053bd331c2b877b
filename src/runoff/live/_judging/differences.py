"""What differs between two top-k lists, and what a document's gain adds to their difference.

Two measures are sums over documents, so a sample of the documents estimates them without bias:

- SDCG@k, scaled discounted cumulative gain (as cwl_eval names it: Azzopardi, Thomas and Moffat
  2019): a document at rank r adds gain / log2(r + 1), and the sum is divided by that of k perfect
  documents. The gain of grade g is (2**g - 1) / 7. It is nDCG with one divisor for all queries: the
  divisor of nDCG needs every relevant document of a query, which nobody knows on live traffic.
- P@k: the share of the top k with a grade of 2 or 3.

A document at the same rank in both lists adds nothing to either difference. It does count in
nDCG@k, which is a quotient (`ratio.py`) and needs the grades of all documents of both lists.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.live._observation import Observation

GRADES = 3
"""The highest grade; the lowest is 0."""

MEASURES = ("SDCG", "nDCG")
"""What may be stated; P@k stands beside either."""

ORDERS = ("fused", "shadow")
"""What an order may be compared with; see `orders`."""

_RELEVANT = 2


@dataclass(frozen=True, slots=True)
class Row:
    """A document of the first k of either list.

    Attributes:
        doc_id: its id.
        text_key: of its text.
        at: its place among the observation's candidates.
        before: its rank in the first list; 0 where it is not among the first k.
        after: its rank in the second list; 0 as before.
        weight: what a gain of 1 adds to the difference in SDCG@k.
        share: the same for P@k.
    """

    doc_id: str
    text_key: str
    at: int
    before: int
    after: int
    weight: float
    share: float


def gain(grade: float) -> float:
    """Return the gain of a grade, 0 to 1."""
    return float((2**grade - 1) / (2**GRADES - 1))


def is_relevant(grade: float) -> float:
    """Return 1 for a grade that counts as relevant in P@k, else 0."""
    return float(grade >= _RELEVANT)


def orders(seen: Observation, against: str) -> tuple[Sequence[int], Sequence[int]]:
    """Return both orders of an observation, as places of its candidates.

    Args:
        seen: the observation.
        against: `"fused"`: the first stage, then the answer; `"shadow"`: the answer, then what the
            shadow reranker would have made of it.
    """
    if against == "fused":
        return seen.fused, seen.reranked
    if against == "shadow":
        return seen.reranked, seen.shadowed
    raise InvalidArgument("against", against, 'must be "fused" or "shadow"')


def differing(
    seen: Observation, cutoff: int, against: str = "fused", *, whole: bool = False
) -> list[Row]:
    """Return the documents whose ranks differ within the first `cutoff` of either order.

    Args:
        seen: the observation.
        cutoff: k.
        against: as in `orders`.
        whole: if any rank differs, return all documents of both lists.
    """
    ranks: dict[int, list[int]] = {}
    for side, order in enumerate(orders(seen, against)):
        for rank, at in enumerate(order[:cutoff], 1):
            ranks.setdefault(at, [0, 0])[side] = rank
    perfect = sum(discount(rank) for rank in range(1, cutoff + 1))
    rows = [
        Row(
            seen.doc_ids[at],
            seen.text_hashes[at],
            at,
            before,
            after,
            (discount(after) - discount(before)) / perfect,
            ((after > 0) - (before > 0)) / cutoff,
        )
        for at, (before, after) in sorted(ranks.items())
    ]
    moved = [one for one in rows if one.before != one.after]
    return rows if whole and moved else moved


def steepest(measure: str, cutoff: int) -> float:
    """Return how much P@k can change by, at most, for each unit of a query's size in the measure.

    If n documents enter, P@k changes by up to n / k. The size of SDCG@k has at least the discount
    of rank k for each. That of nDCG@k is at least what n perfect documents at the last ranks reach
    of an ideal of n.
    """
    discounts = [discount(rank) for rank in range(1, cutoff + 1)]
    if measure == "SDCG":
        return sum(discounts) / discounts[-1] / cutoff
    return max(
        many / cutoff * sum(discounts[:many]) / sum(discounts[-many:])
        for many in range(1, cutoff + 1)
    )


@cache
def discount(rank: int) -> float:
    """Return what a gain counts at a rank; 0 for rank 0, outside of the list."""
    return 1 / math.log2(rank + 1) if rank else 0.0
