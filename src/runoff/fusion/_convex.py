"""Convex combination: the weighted mean of normalised scores."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from runoff._util.display import html_by
from runoff._util.gained import gained
from runoff.errors import InvalidArgument
from runoff.fusion._normalize import MinMax, Normalizer, TheoreticalMinMax, ZScore
from runoff.fusion._rrf import RRF
from runoff.fusion._suited import without_order
from runoff.fusion._weights import Weights, shares

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runoff.types import Hit

_BY_NAME: dict[str, Callable[[], Normalizer]] = {
    "minmax": MinMax,
    "theoretical": TheoreticalMinMax,
    "zscore": ZScore,
}
_OWN = frozenset(_BY_NAME.values())


@dataclass(frozen=True, slots=True)
class Convex:
    """Fuse by score: a document scores the weighted mean of its normalised scores.

    Each source's scores are normalised separately for each query. For a document that a source did
    not return, the normalizer says what a missing score is worth: never more than the worst hit.
    Bruch, Gai and Ingber (TOIS 2023, arXiv 2210.11934) found this better than rank fusion on most
    collections, with a few judged queries enough to choose the weights.

    Scores that do not exist cannot be normalised: where a source gives no scores, or scores that
    do not fall along its order, a pipeline fuses by rank instead, and says so (see `suited`).

    With `spreads`, weights follow the query. Scores that are nearly equal hardly tell which
    document is right, so a source's z-scores are multiplied by the deviation of its scores for this
    query, divided by its usual deviation; the factor is kept within 1/2 and 2.

    Attributes:
        weights: source name to weight, for every source; they are divided by their sum. None gives
            all sources equal weights.
        spreads: source name to the deviation that its scores usually have within a list, above 0,
            for the normalizer `ZScore`; a source that is not named counts the same for every query.
            The default fusion of a pipeline takes the `score_spread` of its sources, if all have
            one.
        normalizer: `ZScore()`, `MinMax()`, `TheoreticalMinMax()`, their short names `"zscore"`,
            `"minmax"` and `"theoretical"`, or anything with the methods of `Normalizer`.

    Raises:
        InvalidArgument: a weight is not a finite number of 0 or more, a spread is not a finite
            number above 0 or the normalizer is no `ZScore`, or `normalizer` is not a normalizer.
    """

    weights: Mapping[str, float] | None = None
    _: KW_ONLY
    normalizer: Normalizer | Literal["minmax", "theoretical", "zscore"] = field(
        default_factory=ZScore
    )
    spreads: Mapping[str, float] | None = None

    _repr_html_ = html_by("configured_html", "_notebook")

    def __post_init__(self) -> None:
        """Check the weights, and replace the name of a normalizer by the normalizer."""
        if self.weights is not None and not isinstance(self.weights, Weights):
            object.__setattr__(self, "weights", Weights(self.weights))
        object.__setattr__(self, "normalizer", normalizer_of(self.normalizer))
        if self.spreads is not None:
            object.__setattr__(self, "spreads", _spreads(self.spreads, self.normalizer))

    __setstate__ = gained("spreads")

    def share(self, source: str, scores: Sequence[float], normalized: Sequence[float]) -> float:
        """Return how much a source counts for a query, beside its weight: 1/2 to 2.

        Args:
            source: its name.
            scores: of its hits, best first.
            normalized: their z-scores, in the same order.
        """
        usual = None if self.spreads is None else self.spreads.get(source)
        if usual is None or len(scores) < 2:  # noqa: PLR2004 - one score has no deviation
            return 1.0
        # the worst hit comes last, and z-scores are apart by as many deviations
        apart, deviations = scores[0] - scores[-1], normalized[0] - normalized[-1]
        if not math.isfinite(apart):
            return 1.0
        return min(max(apart / deviations / usual if deviations else 0.0, 0.5), 2.0)

    def suited(self, rankings: Mapping[str, Sequence[Hit]]) -> tuple[Convex | RRF, str]:
        """Return the fusion to use for these hits, and a sentence that says why if it is another.

        It is `RRF` with the same weights if the scores of a source are NaN, or rise anywhere along
        its order. A source without hits does not matter.
        """
        faults = without_order(rankings)
        if not faults:
            return self, ""
        return RRF(self.weights), f"fused by rank (RRF) instead of by score: {', '.join(faults)}"

    def fuse(self, rankings: Mapping[str, Sequence[Hit]]) -> dict[str, float]:
        """Map the key of every hit to its fusion_score, higher is better.

        A key that occurs twice in one list counts once, at its better rank. `math.fsum` rounds the
        sum once, so the order of the sources changes nothing.

        Args:
            rankings: the hits of every source of the pipeline, by its name; empty where it found
                nothing.

        Returns:
            finite scores on the normalizer's scale: 0 to 1, up to rounding, for both kinds of
            min-max.

        Raises:
            InvalidArgument: a weight is for an unknown source, a source has no weight, the weights
                of all sources are 0, or the normalizer returned too few, too many or non-finite
                values.
        """
        normalizer = cast("Normalizer", self.normalizer)  # as checked
        weights = shares(self.weights, rankings)
        ours = isinstance(normalizer, (MinMax, TheoreticalMinMax, ZScore))
        parts: list[tuple[dict[str, float], float]] = []  # by key, and of a key that is absent
        for source, hits in rankings.items():
            first: dict[str, Hit] = {hit.key: hit for hit in hits}
            if len(first) < len(hits):
                first = {hit.key: hit for hit in reversed(hits)}
                first = {hit.key: first[hit.key] for hit in hits}
            normalized = normalizer.normalize(tuple(first.values()))
            missing = normalizer.missing(normalized)
            if not ours and (
                len(normalized) != len(first) or not all(map(math.isfinite, (*normalized, missing)))
            ):
                raise InvalidArgument(
                    "normalizer",
                    normalizer,
                    f"must return a finite number for each of the {len(first)} hits of {source!r}",
                )
            weight = weights[source]
            if self.spreads is not None:
                scores = [hit.score for hit in first.values()]
                weight *= self.share(source, scores, normalized)
            weighted = zip(first, [weight * one for one in normalized], strict=True)
            parts.append((dict(weighted), weight * missing))
        if len(parts) == 1:
            return parts[0][0]
        if len(parts) == 2:  # noqa: PLR2004 - the usual number; a sum of two is rounded once anyway
            (one, no_one), (two, no_two) = parts
            fused = {key: value + two.get(key, no_two) for key, value in one.items()}
            for key, value in two.items():
                if key not in one:
                    fused[key] = no_one + value
            return fused
        keys = dict.fromkeys(key for known, _ in parts for key in known)
        return {key: math.fsum([known.get(key, absent) for known, absent in parts]) for key in keys}


def _spreads(given: object, normalizer: object) -> Weights:
    if not isinstance(normalizer, ZScore):
        raise InvalidArgument("spreads", given, 'needs normalizer="zscore"')
    try:
        spreads = Weights(given)  # type: ignore[arg-type] # which is checked
    except InvalidArgument:
        spreads = None
    if spreads is None or not all(spreads.values()):
        remedy = 'must map names of sources to deviations above 0, such as {"bm25": 1.06}'
        raise InvalidArgument("spreads", given, remedy)
    return spreads


def normalizer_of(given: object) -> Normalizer:
    """Return a normalizer as it was given, or the one with this short name.

    Raises:
        InvalidArgument: it is neither.
    """
    if isinstance(given, str) and given in _BY_NAME:
        return _BY_NAME[given]()
    if type(given) in _OWN:  # without asking the protocol, which takes as long as a fusion
        return cast("Normalizer", given)
    if isinstance(given, Normalizer) and not isinstance(given, type):
        return given
    names = ", ".join(map(repr, _BY_NAME))
    raise InvalidArgument(
        "normalizer", given, f"must be one of {names}, or have normalize() and missing()"
    )


DEFAULT = Convex()
"""The default of a pipeline; see `runoff.fusion._default`."""
