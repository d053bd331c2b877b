"""The first stage, replayed: fusion from recorded ranks and scores, then grouping.

Fusion gives what the pipeline's own fusion gives, to the last bit.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.duplicates import near_pairs
from runoff._util.text import words
from runoff.errors import InvalidArgument
from runoff.fusion._convex import Convex, normalizer_of
from runoff.fusion._rrf import RRF
from runoff.fusion._suited import falling, suited
from runoff.fusion._weights import rrf_weights
from runoff.pipeline._identity import other_texts
from runoff.types import Document, Hit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from runoff._recording.query import Origin, RecordedQuery
    from runoff._recording.recording import Recording
    from runoff._recording.scores import StageScores
    from runoff._recording.setup import GroupSetup
    from runoff.fusion._normalize import Normalizer
    from runoff.grouping import Grouping
    from runoff.protocols import Fusion
    from runoff.types import Candidate

_NOT_FOUND = int(np.iinfo(np.int32).max)
_NORMALIZED = 2  # normalised score columns kept for one source
KEPT = 1_000_000  # pairs of a recording that stay prepared for the next replay, some 200 MB


@dataclass(frozen=True, slots=True)
class Fused:
    """One fused order.

    Attributes:
        order: rows of the recorded query, best first.
        score: the fusion_score of every row, shape (n,); meaningless for rows not in `order`.
    """

    order: NDArray[np.int64]
    score: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Near:
    """What the first hits of every source are, whatever their weights.

    Attributes:
        depth: how many hits of each source.
        rows: of the recorded query, those that tie in the order in which ties are broken.
    """

    depth: int
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Scored:
    """The part of a hit that normalizers read."""

    score: float
    score_range: tuple[float | None, float | None]


class Prepared:
    """One recorded query with everything that its replays share.

    Args:
        query: the recorded query.

    Attributes:
        recorded: its recorded scores, once a replay has asked for them.
    """

    __slots__ = (
        "_by_rank",
        "_falling",
        "_last",
        "_near",
        "_normalized",
        "_others",
        "_tie",
        "query",
        "recorded",
    )

    def __init__(self, query: RecordedQuery) -> None:
        self.query = query
        place = sorted(range(len(query)), key=query.keys.__getitem__)
        self._tie = np.empty(len(query), np.int64)
        self._tie[place] = np.arange(len(query))
        self._by_rank = {name: _by_rank(origin) for name, origin in query.origins.items()}
        self._others = other_texts(query.outcome.notes, query.origins, query.doc_ids)
        self._falling: dict[str, int] | None = None
        self._last: tuple[object, dict[str, float], int, Fused] | None = None
        self._near: _Near | None = None
        self.recorded: StageScores | None = None
        self._normalized: dict[str, list[tuple[int, object, NDArray[np.float64]]]] = {}

    def fused(self, fusion: Fusion | None, weights: dict[str, float], depth: int) -> Fused:
        """Return the fused order of the first `depth` hits of each source.

        The order of the last call is kept, except for a fusion of the user's, whose answers may
        differ from call to call.

        Args:
            fusion: how sources are fused; None takes the recorded scores.
            weights: source name to its weight (RRF) or share (Convex); ignored by other fusions.
            depth: hits of each source.
        """
        last = self._last
        if last is not None and (*last[1:3], last[0]) == (weights, depth, fusion):
            return last[3]
        near = self._found(depth)
        if fusion is None:
            score = self.query.fusion_score
        elif type(fusion) is RRF:
            score = self._reciprocal(weights, fusion.rank_constant, depth)
        elif type(fusion) is Convex and not self._comparable(depth):
            by_rank = RRF(fusion.weights)
            of_ranks = rrf_weights(by_rank.weights, self.query.origins)
            score = self._reciprocal(of_ranks, by_rank.rank_constant, depth)
        elif type(fusion) is Convex:
            score = self._convex(fusion, weights, depth)
        else:
            score = self._by_foreign(fusion, depth)
        # the rows are in the order of ties, and the sort is stable
        made = Fused(near.rows[np.argsort(-score[near.rows], kind="stable")], score)
        if fusion is None or type(fusion) in (RRF, Convex):
            self._last = (fusion, weights, depth, made)
        return made

    def _found(self, depth: int) -> _Near:
        """Return what the first hits of every source are, whatever their weights."""
        if self._near is None or self._near.depth != depth:
            query = self.query
            best = np.full(len(query), _NOT_FOUND, np.int32)
            for name, rows in self._by_rank.items():
                first = rows[:depth]
                best[first] = np.minimum(best[first], query.origins[name].rank[first])
            found = np.flatnonzero(best != _NOT_FOUND)
            tied = found[np.lexsort((self._tie[found], best[found]))]
            self._near = _Near(depth, tied)
        return self._near

    def check_texts(self, rows: NDArray[np.int64], depth: int) -> None:
        """Refuse rows for which a different text would be read than the one recorded.

        The text of the first source that finds a document is read. With a smaller depth or fewer
        sources that may be another source, and nothing is known of what its text scores.

        Args:
            rows: whose texts are read.
            depth: hits of each source.

        Raises:
            InvalidArgument: names the document and the sources.
        """
        if not self._others:
            return
        for row in rows.tolist():
            found = (
                name for name, origin in self.query.origins.items() if 0 < origin.rank[row] <= depth
            )
            name = next(found, None)
            if name in self._others.get(row, ()):
                remedy = (
                    f"was made with a different text of {self.query.doc_ids[row]!r} (query "
                    f"{self.query.query_id!r}) than that of {name!r}, which these settings use: "
                    "give all sources the same text of a document, or record with the depth and "
                    "the sources in use"
                )
                raise InvalidArgument("recording", f"depth {depth}", remedy)

    def _comparable(self, depth: int) -> bool:
        """Whether every source gave scores that fall along its order; see `Convex.suited`."""
        if self._falling is None:
            self._falling = {
                name: falling(self.query.origins[name].score[rows].tolist())
                for name, rows in self._by_rank.items()
            }
        return all(self._falling[name] >= len(rows[:depth]) for name, rows in self._by_rank.items())

    def _reciprocal(
        self, weights: dict[str, float], constant: float, depth: int
    ) -> NDArray[np.float64]:
        shares = []
        for name, rows in self._by_rank.items():
            near = rows[:depth]
            share = np.zeros(len(self.query))
            share[near] = weights[name] / (float(constant) + np.arange(1, len(near) + 1))
            shares.append(share)
        return _summed(shares)

    def _convex(
        self,
        fusion: Convex,
        weights: dict[str, float],
        depth: int,
    ) -> NDArray[np.float64]:
        normalizer = normalizer_of(fusion.normalizer)
        shares = []
        for name, rows in self._by_rank.items():
            values = self._normal(name, rows[:depth], normalizer, depth)
            share = 1.0
            if fusion.spreads is not None:
                near = rows[:depth]
                scores = self.query.origins[name].score[near].tolist()
                share = fusion.share(name, scores, values[near].tolist())
            shares.append(weights[name] * share * values)
        return _summed(shares)

    def _normal(
        self,
        name: str,
        rows: NDArray[np.int64],
        normalizer: Normalizer,
        depth: int,
    ) -> NDArray[np.float64]:
        """Return one source's normalised scores; the last few are kept for other weights."""
        kept = self._normalized.setdefault(name, [])
        for known in kept:
            if known[0] == depth and known[1] == normalizer:
                return known[2]
        # not kept: what stays in memory by the hit keeps the garbage collector busy
        origin = self.query.origins[name]
        ends = zip(_known(origin.low[rows]), _known(origin.high[rows]), strict=True)
        hits = list(map(_Scored, origin.score[rows].tolist(), ends))
        normalized = normalizer.normalize(hits)  # type: ignore[arg-type] # see `_Scored`
        values = np.full(len(self.query), normalizer.missing(normalized))
        values[rows] = normalized
        kept[_NORMALIZED - 1 :] = []
        kept.insert(0, (depth, normalizer, values))
        return values

    def _by_foreign(self, fusion: Fusion, depth: int) -> NDArray[np.float64]:
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
        scores_by_key = suited(fusion, rankings)[0].fuse(rankings)
        return np.array([scores_by_key.get(key, -math.inf) for key in query.keys], np.float64)


def _by_rank(origin: Origin) -> NDArray[np.int64]:
    found = np.flatnonzero(origin.rank)
    return found[np.argsort(origin.rank[found])]


def _known(ends: NDArray[np.float64]) -> list[float | None]:
    if np.isnan(ends).all():
        return [None] * len(ends)
    return [None if math.isnan(end) else end for end in ends.tolist()]


def _summed(shares: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return sums rounded once, as by `math.fsum`; the sum of two numbers always is."""
    if len(shares) == 1:
        return shares[0]
    if len(shares) == 2:  # noqa: PLR2004 - see above
        return shares[0] + shares[1]
    columns = zip(*(one.tolist() for one in shares), strict=True)
    return np.array(list(map(math.fsum, columns)), np.float64)


_ready: weakref.WeakKeyDictionary[Recording, list[Prepared]] = weakref.WeakKeyDictionary()


def prepared(recording: Recording) -> Iterator[Prepared]:
    """Return the queries prepared for replays; those of a small recording are kept."""
    kept = _ready.get(recording)
    if kept is None and recording.pairs <= KEPT:
        kept = _ready[recording] = [Prepared(query) for query in recording]
    return iter(kept) if kept is not None else map(Prepared, recording)


Groups = tuple["NDArray[np.int32]", "NDArray[np.int32]", "NDArray[np.int32]", "NDArray[np.int32]"]


def group_recorded(grouping: Grouping | None, candidates: Sequence[Candidate]) -> Groups:
    """Return the columns group, twin, near and grouped_under of a `RecordedQuery`."""
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
    """Return the heads in the order given, and for every other row the head it is grouped under.

    Args:
        query: the recorded query.
        setup: how candidates are grouped; None groups nothing.
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
    """Return each row that duplicates an earlier one, with the row it is grouped under."""
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
