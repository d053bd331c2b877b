"""Clicks with the positions at which documents were shown, as probabilities of relevance.

A user clicks on a document that is looked at and attractive (the position-based model: Richardson,
Dominowska and Ragno 2007; Craswell et al. 2008). How likely a position is looked at, its
propensity, is fitted by documents that one query showed at several positions, as clicks that are
Poisson with an effect of each document and of each position (Hausman, Hall and Griliches 1984):
what a document is worth cancels out, so better documents at the top do no harm (compare Agarwal et
al. 2019). Then relevant and other documents have one attractiveness each, and each position its
share of relevant documents; all are fitted by expectation maximisation (Dempster, Laird and Rubin
1977), and every document gets its probability.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.messages import number_of
from runoff.errors import InvalidArgument, MalformedData

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from runoff._labels.formats import Gathered

Impression = tuple[str, str, str, int, int, int]
"""Place, query id, document id, position, clicks, and how often it was shown there."""

_SCALE = 100  # grades are percent
_ROUNDS = 1000
_STILL = 1e-8
_UNSURE = 0.25  # standard error of the logarithm of a propensity
_APART = 2.0  # attractiveness of relevant documents, in that of the others
_PRIOR = 10.0  # documents that a position's share of relevant ones starts from
_RARE = 0.02  # where fewer documents are relevant, or all others, that is no reason for doubt
_RELIABLE = 0.9  # the least share of the variance of relevance that clicks have to explain


@dataclass(frozen=True, slots=True)
class _Log:
    """What was shown and clicked, a row for each document of a query at a position.

    Attributes:
        pairs: query id and document id.
        positions: in ascending order.
        pair: index of each row's pair.
        place: index of each row's position.
        shown: how often.
        clicked: how often.
    """

    pairs: tuple[tuple[str, str], ...]
    positions: tuple[int, ...]
    pair: NDArray[np.int64]
    place: NDArray[np.int64]
    shown: NDArray[np.float64]
    clicked: NDArray[np.float64]

    def by_pair(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of each pair's rows."""
        return np.bincount(self.pair, values, minlength=len(self.pairs)).astype(np.float64)

    def by_place(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of each position's rows."""
        return np.bincount(self.place, values, minlength=len(self.positions)).astype(np.float64)

    def rows(self, kept: NDArray[np.bool_]) -> _Log:
        """Return some of the rows, with all pairs and positions."""
        columns = (self.pair[kept], self.place[kept], self.shown[kept], self.clicked[kept])
        return _Log(self.pairs, self.positions, *columns)


def judge_by_clicks(
    gathered: Gathered,
    impressions: Iterable[Impression],
    *,
    propensity: object,
    clip: float,
) -> None:
    """Add judgments in percent, how likely each document that was shown is relevant.

    Args:
        gathered: what they are added to, with notes and perhaps a caveat.
        impressions: what was shown and clicked.
        propensity: position to the chance that it is looked at, or these chances from position 1
            on; None fits them.
        clip: propensities below this count as this.

    Raises:
        InvalidArgument: an argument has a value it cannot have, or no propensity can be fitted.
    """
    if isinstance(clip, bool) or not isinstance(clip, int | float) or not 0 < clip < 1:
        raise InvalidArgument("clip", clip, "must be above 0 and below 1")
    log = _collected(impressions)
    doubts: list[str] = []
    if propensity is None:
        looked, error = _fitted(log)
        how = "fitted"
        if error > _UNSURE:
            doubts.append(
                "clicks whose positions varied too little to fit how likely each is to be seen"
            )
    else:
        looked, how = _given(propensity, log.positions), "as given"
    known = np.isfinite(looked)[log.place]
    left = float(log.shown[~known].sum())
    log = log.rows(known)
    clipped = log.by_place(log.shown)[looked < clip].sum() / log.shown.sum()
    looked = np.maximum(looked, clip)
    chances, share, (low, high) = _relevance(log, looked[log.place])
    if not high >= _APART * low:
        doubts.append("clicks that do not tell relevant documents from others")
    exposure = log.by_pair(log.shown * looked[log.place])
    told = _reliable(exposure, share, low, high)
    if not told.any():
        remedy = (
            f"no document was looked at often enough to say whether it is relevant: at most "
            f"{exposure.max():.0f} times"
        )
        raise InvalidArgument(
            "impressions", number_of(round(log.shown.sum()), "impression"), remedy
        )
    for (query_id, doc_id), chance, there in zip(log.pairs, chances.tolist(), told, strict=True):
        if there:
            gathered.judge("clicks", query_id, doc_id, round(chance * _SCALE))
    gathered.relevant_from = _SCALE // 2
    gathered.caveat = "; ".join(doubts)
    few = float((~told[exposure > 0]).mean())
    gathered.told = list(_notes(log, looked, how, (low, high), few, clipped, left))


def _collected(impressions: Iterable[Impression]) -> _Log:
    rows: dict[tuple[str, str, int], list[int]] = {}
    for where, query_id, doc_id, position, clicked, shown in impressions:
        if position < 1:
            raise MalformedData(where, position, "positions start at 1")
        if not 0 <= clicked <= shown:
            remedy = f"must be 0 or more, and at most as often as it was shown ({shown})"
            raise MalformedData(where, clicked, remedy)
        held = rows.setdefault((query_id, doc_id, position), [0, 0])
        held[0] += shown
        held[1] += clicked
    if not any(shown for shown, _ in rows.values()):
        raise InvalidArgument("impressions", [], "must have at least one impression")
    pairs = {pair: at for at, pair in enumerate(dict.fromkeys(one[:2] for one in rows))}
    positions = {place: at for at, place in enumerate(sorted({one[2] for one in rows}))}
    counts = np.array(list(rows.values()), np.float64)
    return _Log(
        tuple(pairs),
        tuple(positions),
        np.array([pairs[one[:2]] for one in rows]),
        np.array([positions[one[2]] for one in rows]),
        counts[:, 0],
        counts[:, 1],
    )


def _given(propensity: object, positions: Sequence[int]) -> NDArray[np.float64]:
    listed = propensity
    if isinstance(listed, Sequence) and not isinstance(listed, str):
        listed = dict(enumerate(listed, 1))
    remedy = "must map positions to chances above 0 and at most 1, or list them from position 1 on"
    if not isinstance(listed, Mapping):
        raise InvalidArgument("propensity", propensity, remedy)
    for chance in listed.values():
        if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 < chance <= 1:
            raise InvalidArgument("propensity", chance, remedy)
    absent = [position for position in positions if position not in listed]
    if absent:
        raise InvalidArgument("propensity", propensity, f"lacks position {absent[0]}")
    return np.array([float(listed[position]) for position in positions])


def _fitted(log: _Log) -> tuple[NDArray[np.float64], float]:
    """Return the propensity of each position, NaN if unknown, and the largest standard error.

    The errors are of logarithms, from the Fisher information of the position alone.
    """
    total = log.by_pair(log.clicked)
    linked = _linked(log.rows((total > 0)[log.pair]))
    inside = linked[log.place] & (total > 0)[log.pair]
    places = log.by_pair(inside.astype(np.float64))
    kept = log.rows(inside & (places > 1)[log.pair])
    looked = np.where(linked, 1.0, np.nan)
    held = np.unique(kept.place)
    if len(held) < 2:  # noqa: PLR2004 - nothing to compare
        remedy = (
            "must be given: no document was clicked that one query showed at several positions, so "
            "it cannot be fitted. Swap some results at random while logging, or pass propensity="
        )
        raise InvalidArgument("propensity", None, remedy)
    clicks = kept.by_place(kept.clicked)
    worth = kept.by_pair(kept.clicked)
    for _ in range(_ROUNDS):
        exposure = kept.by_pair(kept.shown * looked[kept.place])
        each = np.divide(worth, exposure, out=np.zeros_like(worth), where=exposure > 0)
        expected = kept.by_place(kept.shown * each[kept.pair])
        new = looked.copy()
        new[held] = clicks[held] / expected[held]
        new /= np.nanmax(new)
        change = np.nanmax(np.abs(new - looked))
        looked = new
        if change < _STILL:
            break
    exposure = kept.by_pair(kept.shown * looked[kept.place])
    share = kept.shown * looked[kept.place] / exposure[kept.pair]
    information = kept.by_place(worth[kept.pair] * share * (1 - share))[held]
    return looked, float(1 / math.sqrt(max(information.min(), 1e-12)))


def _linked(log: _Log) -> NDArray[np.bool_]:
    """Return the positions that clicked documents link with the one clicked most."""
    together = np.zeros((len(log.positions), len(log.pairs)), np.bool_)
    together[log.place, log.pair] = True
    linked = np.zeros(len(log.positions), np.bool_)
    linked[np.argmax(log.by_place(log.clicked))] = True
    while True:
        wider = together[:, together[linked].any(axis=0)].any(axis=1) | linked
        if (wider == linked).all():
            return linked
        linked = wider


def _reliable(
    exposure: NDArray[np.float64], share: NDArray[np.float64], low: float, high: float
) -> NDArray[np.bool_]:
    """Return which pairs were looked at often enough for clicks to tell whether they are relevant.

    Chances in between shrink differences, and more for documents far down. The share of variance
    that remains is at most that of Bhattacharyya's bound (Kailath 1967) for Poisson counts. It
    depends on how often a document was looked at and not on its clicks, which would select.

    Args:
        exposure: how often each pair was looked at, by expectation.
        share: the relevant share at its position.
        low: the attractiveness of others.
        high: of relevant documents.
    """
    overlap = np.exp(-exposure * (math.sqrt(high) - math.sqrt(low)) ** 2 / 2)
    share = np.clip(share, _RARE, 1 - _RARE)
    left = overlap / (2 * np.sqrt(share * (1 - share)))
    found: NDArray[np.bool_] = (left <= 1 - _RELIABLE) & (exposure > 0)
    return found


def _relevance(
    log: _Log, looked: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, float]]:
    """Fit how attractive relevant and other documents are, and which are relevant.

    Args:
        log: the rows.
        looked: the propensity of each row.

    Returns:
        the chance of each pair to be relevant, the share of such documents at its position, and the
        attractiveness of others and of relevant documents.
    """
    unclicked = log.shown - log.clicked
    exposure, clicks = log.by_pair(log.shown * looked), log.by_pair(log.clicked)
    rate = clicks.sum() / exposure.sum()
    attractive = np.clip([rate / 2, min(0.9, rate * 3)], 1e-4, 0.99)
    # the position at which it was shown most
    order = np.lexsort((log.shown, log.pair))
    usual = np.zeros(len(log.pairs), np.int64)
    usual[log.pair[order]] = log.place[order]
    share = np.full(len(log.positions), 0.3)
    chances = np.zeros(len(log.pairs))
    sizes = np.bincount(usual, exposure > 0, minlength=len(share))
    for _ in range(_ROUNDS):
        scores = [
            log.by_pair(log.clicked * np.log(one * looked) + unclicked * np.log1p(-one * looked))
            for one in attractive
        ]
        prior = np.log(share) - np.log1p(-share)
        new = 1 / (1 + np.exp(np.clip(scores[0] - scores[1] - prior[usual], -500, 500)))
        overall = new[exposure > 0].mean()
        counted = np.bincount(usual, new * (exposure > 0), minlength=len(share))
        share = np.clip((counted + _PRIOR * overall) / (sizes + _PRIOR), 1e-6, 1 - 1e-6)
        for at, weight in enumerate(((1 - new)[log.pair], new[log.pair])):
            one = attractive[at]
            # unclicked, and looked at all the same
            missed = unclicked * looked * (1 - one) / (1 - looked * one)
            clicked = (weight * log.clicked).sum()
            attractive[at] = np.clip(
                clicked / max(clicked + (weight * missed).sum(), 1e-12), 1e-4, 1 - 1e-4
            )
        change = np.abs(new - chances).max()
        chances = new
        if change < _STILL:
            break
    low, high = attractive.tolist()
    return chances, share[usual], (low, high)


def _notes(
    log: _Log,
    looked: NDArray[np.float64],
    how: str,
    attractive: tuple[float, float],
    few: float,
    clipped: float,
    left: float,
) -> Iterator[str]:
    weights = 1 / looked[log.place]
    clicks = log.clicked.sum()
    effective = (log.clicked * weights).sum() ** 2 / max((log.clicked * weights**2).sum(), 1e-12)
    shown = ", ".join(
        f"{position}: {chance:.2f}"
        for position, chance in zip(log.positions, looked.tolist(), strict=True)
        if math.isfinite(chance)
    )
    low, high = attractive
    yield (
        f"Judged by {number_of(round(clicks), 'click')} on "
        f"{number_of(round(log.shown.sum()), 'impression')}: grades are the "
        f"chance in percent that a document is relevant, and grades from 50 on count as relevant. "
        f"Positions are looked at with the chances {shown} ({how}); when looked at, relevant "
        f"documents are clicked in {high:.0%} of cases, others in {low:.0%}."
    )
    yield (
        f"Weighted by position, the clicks are worth {effective:,.0f} of equal weight. "
        f"{few:.0%} of the documents were looked at too rarely, and are not judged, like all that "
        "were never shown."
    )
    if clipped:
        yield (
            f"{clipped:.0%} of the impressions are at positions so rarely looked at that their "
            "propensity was raised to the limit: documents there are rated too low."
        )
    if left:
        yield (
            f"{number_of(round(left), 'impression is', 'impressions are')} at positions that "
            "no clicked document links with the "
            "others, so they are left out."
        )
