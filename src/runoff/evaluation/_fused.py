"""Fusion from recorded ranks and scores: what the pipeline's own fusion gives, to the last bit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runoff.fusion._convex import Convex, normalizer_of
from runoff.fusion._rrf import RRF
from runoff.types import Document, Hit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._recording import Origin, RecordedQuery
    from runoff.fusion._normalize import Normalizer
    from runoff.protocols import Fusion

__all__ = ["Fused", "Prepared"]

_NOWHERE = int(np.iinfo(np.int32).max)
_NORMALIZED = 2


@dataclass(frozen=True, slots=True)
class Fused:
    """One fused order.

    Attributes:
        order: rows of the recorded query, best first.
        score: the fusion_score of every row, shape (n,); meaningless where no source found it.
    """

    order: NDArray[np.int64]
    score: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Scored:
    """What normalizers look at of a hit."""

    score: float
    score_range: tuple[float | None, float | None]


class Prepared:
    """One recorded query with what every replay of it needs, found once.

    Args:
        query: the recorded query.
    """

    __slots__ = ("_by_rank", "_hits", "_last", "_normalized", "_tie", "query")

    def __init__(self, query: RecordedQuery) -> None:
        self.query = query
        place = sorted(range(len(query)), key=query.keys.__getitem__)
        self._tie = np.empty(len(query), np.int64)
        self._tie[place] = np.arange(len(query))
        self._by_rank = {name: _by_rank(origin) for name, origin in query.origins.items()}
        self._last: tuple[object, int, Fused] | None = None
        self._hits: dict[str, list[_Scored]] = {}
        self._normalized: dict[str, list[tuple[int, object, NDArray[np.float64]]]] = {}

    def fused(self, fusion: Fusion | None, weights: dict[str, float], depth: int) -> Fused:
        """Return the fused order of the first `depth` hits of each source.

        That of the last call is kept, save for a foreign fusion, which may answer otherwise.

        Args:
            fusion: None takes the recorded scores.
            weights: of RRF, or shares of a convex combination.
            depth: hits of each source.
        """
        last = self._last
        if last is not None and last[0] == fusion and last[1] == depth:
            return last[2]
        query = self.query
        best = np.full(len(query), _NOWHERE, np.int32)
        for name, rows in self._by_rank.items():
            near = rows[:depth]
            best[near] = np.minimum(best[near], query.origins[name].rank[near])
        if fusion is None:
            score = query.fusion_score
        elif type(fusion) is RRF:
            score = self._reciprocal(weights, fusion.rank_constant, depth)
        elif type(fusion) is Convex:
            score = self._convex(weights, normalizer_of(fusion.normalizer), depth)
        else:
            score = self._asked(fusion, depth)
        found = np.flatnonzero(best != _NOWHERE)
        order = np.lexsort((self._tie[found], best[found], -score[found]))
        made = Fused(found[order], score)
        if fusion is None or type(fusion) in (RRF, Convex):
            self._last = (fusion, depth, made)
        return made

    def _reciprocal(
        self, weights: dict[str, float], constant: float, depth: int
    ) -> NDArray[np.float64]:
        shares = []
        for name, rows in self._by_rank.items():
            near = rows[:depth]
            share = np.zeros(len(self.query))
            share[near] = weights[name] / (constant + np.arange(1, len(near) + 1))
            shares.append(share)
        return _summed(shares)

    def _convex(
        self,
        weights: dict[str, float],
        normalizer: Normalizer,
        depth: int,
    ) -> NDArray[np.float64]:
        return _summed(
            [
                weights[name] * self._normal(name, rows[:depth], normalizer, depth)
                for name, rows in self._by_rank.items()
            ]
        )

    def _normal(
        self,
        name: str,
        rows: NDArray[np.int64],
        normalizer: Normalizer,
        depth: int,
    ) -> NDArray[np.float64]:
        """Return one source's normalised scores; a few are kept, as settings differ in weights."""
        kept = self._normalized.setdefault(name, [])
        for known in kept:
            if known[0] == depth and known[1] == normalizer:
                return known[2]
        if name not in self._hits:
            origin = self.query.origins[name]
            ends = zip(_known(origin.low), _known(origin.high), strict=True)
            every = [_Scored(*one) for one in zip(origin.score.tolist(), ends, strict=True)]
            self._hits[name] = [every[row] for row in self._by_rank[name].tolist()]
        normalized = normalizer.normalize(self._hits[name][: len(rows)])  # type: ignore[arg-type] # see `_Scored`
        values = np.full(len(self.query), normalizer.missing(normalized))
        values[rows] = normalized
        kept[_NORMALIZED - 1 :] = []
        kept.insert(0, (depth, normalizer, values))
        return values

    def _asked(self, fusion: Fusion, depth: int) -> NDArray[np.float64]:
        query = self.query
        rankings = {}
        for name, rows in self._by_rank.items():
            origin = query.origins[name]
            low, high, scores = _known(origin.low), _known(origin.high), origin.score.tolist()
            rankings[name] = [
                Hit(
                    Document(query.doc_ids[row], query.texts[row] if query.texts else ""),
                    scores[row],
                    (low[row], high[row]),
                    query.keys[row],
                )
                for row in rows[:depth].tolist()
            ]
        scores_by_key = fusion.fuse(rankings)
        return np.array([scores_by_key.get(key, -math.inf) for key in query.keys], np.float64)


def _by_rank(origin: Origin) -> NDArray[np.int64]:
    found = np.flatnonzero(origin.rank)
    return found[np.argsort(origin.rank[found])]


def _known(ends: NDArray[np.float64]) -> list[float | None]:
    return [None if math.isnan(end) else end for end in ends.tolist()]


def _summed(shares: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return sums rounded once, as `math.fsum` rounds them; those of two numbers always are."""
    if len(shares) == 1:
        return shares[0]
    if len(shares) == 2:  # noqa: PLR2004 - see above
        return shares[0] + shares[1]
    columns = zip(*(one.tolist() for one in shares), strict=True)
    return np.array(list(map(math.fsum, columns)), np.float64)
