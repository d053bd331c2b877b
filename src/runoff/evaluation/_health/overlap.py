"""`rank_biased_overlap`: how much two rankings of one question agree, the top counting most."""

from __future__ import annotations

from collections.abc import Sequence

from runoff._util.arguments import between
from runoff.errors import InvalidArgument


def rank_biased_overlap(
    one: Sequence[str], other: Sequence[str], *, persistence: float = 0.9
) -> float:
    """Return how much two rankings agree: 1 if they are equal, 0 if they share no document.

    It is the rank-biased overlap of Webber, Moffat and Zobel (2010), extrapolated from the ranks
    that both have (their equation 32, which allows different lengths): the share that the first d
    of both have in common, a weighted mean over all depths d, each weighing `persistence` times as
    much as the one before. With .9 the first ten ranks carry 86% of the weight.

    Args:
        one: document ids, best first.
        other: the same of the other ranking.
        persistence: above 0 and below 1: higher looks deeper.

    Returns:
        0 to 1; two empty rankings agree fully.

    Raises:
        InvalidArgument: `persistence` is out of its range, or a ranking repeats a document.
    """
    between("persistence", persistence, 1.0)
    for name, ids in (("one", one), ("other", other)):
        if not isinstance(ids, Sequence):
            raise InvalidArgument(name, ids, "must be a list of document ids, best first")
        if len(set(ids)) < len(ids):
            raise InvalidArgument(name, list(ids), "must list each document once")
    short, long = sorted((one, other), key=len)
    if not short:
        return 1.0 if not long else 0.0
    seen_short: set[str] = set()
    seen_long: set[str] = set()
    common = common_short = 0
    total = 0.0
    for depth, doc_id in enumerate(long, 1):
        pair = {doc_id} | ({short[depth - 1]} if depth <= len(short) else set())
        seen_long.add(doc_id)
        if depth <= len(short):
            seen_short.add(short[depth - 1])
        common += sum(each in seen_short and each in seen_long for each in pair)
        if depth <= len(short):
            common_short = common
        share = common / depth
        if depth > len(short):
            share += common_short * (depth - len(short)) / (len(short) * depth)
        total += share * persistence**depth
    end = (common - common_short) / len(long) + common_short / len(short)
    found = (1 - persistence) / persistence * total + end * persistence ** len(long)
    return min(1.0, max(0.0, found))
