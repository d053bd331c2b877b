"""`health`: what is odd about a second stage, seen without any judgments."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from runoff.evaluation._drift import drifts
from runoff.evaluation._findings import Finding, Health, percent
from runoff.evaluation._observations import observations
from runoff.scores import ScoreKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._observations import Observation
    from runoff.evaluation._recording import Recording
    from runoff.recall._analyzers import Analyze
    from runoff.trace import Trace
    from runoff.types import Response

__all__ = ["health"]

_FEW = 20  # scores, or queries, from which nothing is said about their range or their firsts
_DEGRADED, _TIES, _CUT, _PHANTOM = 0.01, 0.05, 0.1, 0.05
_SATURATED, _SATURATION = 0.9995, 0.1
_ALIKE, _FLIPS = 0.95, 0.9
_LAST, _PROMOTED = 0.75, 0.25  # of what is read; of what is promoted, chance takes as much
_SIGMOID_0, _SIGMOID_1 = 0.5, 1 / (1 + np.exp(-1.0))  # of 0 and 1
_ROUNDING = 1e-6


def health(
    seen: Recording | Iterable[Response | Trace],
    *,
    reference: Recording | Iterable[Response | Trace] | None = None,
    analyzer: str | Analyze = "english",
    texts: Mapping[str, str] | None = None,
) -> Health:
    """Return what is odd about a second stage; no judgments are needed.

    Looked at are degraded answers, the range of the scores, ties and saturation, cut texts, how far
    the second stage agrees with the first, where the promoted documents came from, and hits that
    share no word with their question (the phantom hits of Jacob et al. 2024, "Drowning in
    Documents"). Bounds are rules of thumb, save those of drift, which chance crosses once in a
    hundred times.

    Args:
        seen: a recording, whose answers are those of the system as it is configured; or live
            responses or traces.
        reference: what it was before; what has changed since is told as well.
        analyzer: what a word is, for phantom hits, as `BM25` takes it.
        texts: document id to text, for phantom hits of a recording that kept no texts.

    Raises:
        InvalidArgument: something else is given, or there is no answer in it.
    """
    found = observations("seen", seen, texts)
    findings = [
        _degraded(found), _kind(found), _constant(found), _ties(found), _saturated(found),
        _truncated(found), _correlated(found), _flips(found), _promoted(found),
        _phantoms(found, analyzer),
    ]  # fmt: skip
    if reference is not None:
        findings += drifts(found, observations("reference", reference))
    order = {True: 0, False: 1, None: 2}
    return Health(len(found), tuple(sorted(findings, key=lambda one: order[one.odd])))


def _found(check: str, figure: float, odd: bool, sentence: str, advice: str) -> Finding:  # noqa: FBT001 - private
    return Finding(check, float(figure), bool(odd), sentence, advice if odd else "")


def _nothing(check: str, why: str) -> Finding:
    return Finding(check, None, None, why)


def _degraded(found: Sequence[Observation]) -> Finding:
    share = sum(bool(one.degraded) for one in found) / len(found)
    reasons = Counter(reason for one in found for reason in one.degraded)
    most = "".join(f", mostly {reason}" for reason, _ in reasons.most_common(1))
    return _found(
        "degraded", share, share > _DEGRADED,
        f"{percent(share)} of the answers are degraded{most}.",
        "more time, fewer candidates, or a `Fallback` behind what fails",
    )  # fmt: skip


def _kind(found: Sequence[Observation]) -> Finding:
    kinds = {one.kind for one in found if len(one.score)}
    values = _values(found)
    if len(kinds) != 1 or len(values) < _FEW:
        return _nothing("kind", "Too few scores of one kind to say whether they are of that kind.")
    kind = kinds.pop()
    low, high = float(values.min()), float(values.max())
    inside = (values >= -_ROUNDING) & (values <= 1 + _ROUNDING)
    outside = 1 - float(inside.mean())
    twice = _SIGMOID_0 - _ROUNDING <= low < high <= _SIGMOID_1 + _ROUNDING
    figure, what, advice = 0.0, "", ""
    if kind in {ScoreKind.PROBABILITY, ScoreKind.LOGIT} and twice:
        figure, what = 1.0, ": all lie where the sigmoid of a probability lies"
        advice = "taking one of two sigmoids away: the model's own, or the one put around it"
    elif kind is ScoreKind.PROBABILITY and outside > 0:
        figure, what = outside, f", and {percent(outside)} are no probabilities"
        advice = "declaring them logits, or having the sigmoid applied"
    elif kind is ScoreKind.LOGIT and outside == 0 and low < high:
        figure, what = 1.0, ": they look like probabilities"
        advice = "declaring them probabilities, so that a threshold means what it says"
    span = f"The scores, called {kind}, run from {low:.3g} to {high:.3g}"
    return _found("kind", figure, figure > 0, f"{span}{what}.", advice)


def _constant(found: Sequence[Observation]) -> Finding:
    several = [one for one in found if len(one.score) > 1]
    if not several:
        return _nothing("constant", "Nothing was scored beside something else.")
    share = sum(float(np.ptp(one.score)) == 0 for one in several) / len(several)
    return _found(
        "constant", share, share > 0,
        f"For {percent(share)} of the queries every candidate has the same score.",
        "looking at what the model is sent: an empty question or an unloaded head scores so",
    )  # fmt: skip


def _ties(found: Sequence[Observation]) -> Finding:
    several = [one for one in found if len(one.score) > 1 and np.ptp(one.score) > 0]
    if not several:
        return _nothing("ties", "No query has several scores.")
    share = float(np.mean([_tied(one.score) for one in several]))
    return _found(
        "ties", share, share > _TIES,
        f"{percent(share)} of the candidates share their score with another of the same query, "
        "and fusion orders them.",
        "scores that are not rounded, logits in place of probabilities, or removing duplicates",
    )  # fmt: skip


def _tied(scores: NDArray[np.float64]) -> float:
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    return float((counts[places] > 1).mean())


def _saturated(found: Sequence[Observation]) -> Finding:
    values = _values(found)
    several = [one for one in found if len(one.score) > 1]
    if not several or values.min() < -_ROUNDING or values.max() > 1 + _ROUNDING:
        return _nothing("saturation", "The scores do not end at 1.")
    share = sum(float(np.sort(one.score)[-2]) >= _SATURATED for one in several) / len(several)
    return _found(
        "saturation", share, share > _SATURATION,
        f"For {percent(share)} of the queries the best two scores are both {_SATURATED} or more.",
        "the model's logits, which keep apart what the sigmoid flattens",
    )  # fmt: skip


def _truncated(found: Sequence[Observation]) -> Finding:
    cut = np.concatenate([one.truncated for one in found])
    if not len(cut):
        return _nothing("truncation", "Nothing was scored.")
    share = float(cut.mean())
    return _found(
        "truncation", share, share > _CUT,
        f"{percent(share)} of the texts that were read lost their end to the token limit.",
        "`passages=` of `Pointwise`, smaller chunks, or a model with a longer limit",
    )  # fmt: skip


def _correlated(found: Sequence[Observation]) -> Finding:
    several = [one for one in found if len(one.score) > 2 and np.ptp(one.score) > 0]  # noqa: PLR2004 - two ranks always agree or not
    if not several:
        return _nothing("agreement", "No query has three scores that differ.")
    mean = float(np.mean([_spearman(-one.place, one.score) for one in several]))
    advice = (
        "removing the second stage, or lowering the weight of fusion in its blend"
        if mean > 0
        else "checking the sign: distances given as scores put the best last"
    )
    return _found(
        "agreement", mean, mean > _ALIKE or mean < 0,
        f"The order of the scores agrees with the fused order by {mean:.2f} (Spearman).", advice,
    )  # fmt: skip


def _spearman(one: NDArray[np.int64], other: NDArray[np.float64]) -> float:
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks, equal values sharing the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[places]
    return ranks


def _flips(found: Sequence[Observation]) -> Finding:
    several = [one for one in found if len(one.score) > 1 and one.answer]
    if not several:
        return _nothing("flips", "Nothing was scored beside something else.")
    share = sum(one.answer[0] != one.first for one in several) / len(several)
    never = share == 0 and len(several) >= _FEW
    return _found(
        "flips", share, never or share > _FLIPS,
        f"{percent(share)} of the answers begin with another document than fusion alone would have "
        "first.",
        "seeing whether the second stage is on and earns its time" if never
        else "a verdict on judged queries: it trusts nothing that the first stage says",
    )  # fmt: skip


def _promoted(found: Sequence[Observation]) -> Finding:
    places = [(each.place, one.read) for one in found for each in one.promoted]
    if not places:
        return _nothing("promoted", "No result came from below what fusion alone would return.")
    low = sum(place > _LAST * read for place, read in places) / len(places)
    sources = Counter(
        each.sources[0] for one in found for each in one.promoted if len(each.sources) == 1
    )
    alone = "".join(
        f", {percent(count / len(places))} found by {name} alone"
        for name, count in sources.most_common()
    )
    median = float(np.median([place for place, _ in places]))
    return _found(
        "promoted", low, low > _PROMOTED,
        f"{len(places)} results were promoted, from place {median:.0f} in the median; "
        f"{percent(low)} from the last quarter of what is read{alone}.",
        "a wider window, if `curve` or `losses` agrees; a reranker that guesses looks the same",
    )  # fmt: skip


def _phantoms(found: Sequence[Observation], analyzer: str | Analyze) -> Finding:
    known = [one for one in found if one.query and any(text is not None for _, text in one.top)]
    if not known:
        why = "Hits without a word of the question cannot be told without texts and questions"
        return _nothing("phantoms", f"{why}: record(..., texts=True), or health(..., texts=).")
    from runoff.recall._analyzers import make_analyzer  # noqa: PLC0415 - it loads a stemmer

    words = make_analyzer(analyzer)
    share = sum(_phantom(one, set(words(one.query)), words) for one in known) / len(known)
    return _found(
        "phantoms", share, share > _PHANTOM,
        f"For {percent(share)} of the queries one of the first three results shares no word with "
        "the question and came from the lower half of what was read.",
        "reading some of them; if they are wrong, a narrower window or a blend with fusion",
    )  # fmt: skip


def _phantom(one: Observation, asked: set[str], words: Analyze) -> bool:
    low = [text for place, text in one.top if text is not None and place > one.read / 2]
    return bool(asked) and any(asked.isdisjoint(words(text)) for text in low)


def _values(found: Sequence[Observation]) -> NDArray[np.float64]:
    return np.concatenate([one.score for one in found])
