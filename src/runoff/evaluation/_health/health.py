"""`health`: what is odd about a second stage, and what has changed, without any judgments."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.arguments import check_list, check_mapping
from runoff._util.messages import number_of
from runoff.errors import InvalidArgument
from runoff.evaluation._health.drift import drifts
from runoff.evaluation._health.observations import Finding, Health, observations
from runoff.scores import ScoreKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff._recording.recording import Recording
    from runoff.evaluation._health.observations import Answer, Observation
    from runoff.recall._analyzers import Analyze

_FEW = 20  # with fewer scores or queries, range and first results are not judged
_DEGRADED, _TIES, _CUT, _PHANTOM = 0.01, 0.05, 0.1, 0.05
_SATURATED, _SATURATION = 0.9995, 0.1
_ALIKE, _FLIPS = 0.95, 0.9
_LAST, _PROMOTED = 0.75, 0.25  # the last quarter of the read; chance promotes as many from it
_SIGMOID_0, _SIGMOID_1 = 0.5, 1 / (1 + np.exp(-1.0))  # of 0 and 1
_ROUNDING = 1e-6


def health(
    seen: Recording | Iterable[Answer],
    *,
    reference: Recording | Iterable[Answer] | None = None,
    repeats: Sequence[Recording | Iterable[Answer]] = (),
    analyzer: str | Analyze = "english",
    texts: Mapping[str, str] | None = None,
) -> Health:
    """Return what is odd about a second stage; no judgments are needed.

    It checks degraded answers, the range of the scores, ties and saturation, cut texts, how far the
    second stage agrees with the first, the fused places of promoted documents, and results that
    share no word with their question (the phantom hits of Jacob et al. 2024, "Drowning in
    Documents"). The bounds are rules of thumb, except those of drift: chance crosses any of them
    in at most 5% of comparisons.

    A fixed set of questions (canaries), asked again of a system that should not have changed, finds
    smaller changes than other questions do. If even the unchanged system answers them differently
    from time to time, `repeats` says by how much.

    Args:
        seen: a recording, whose answers are those of the system as it is configured; or live
            responses or traces, or the observations of `runoff.live.watch`.
        reference: an earlier recording, or earlier responses or traces, to compare with.
        repeats: the questions of `reference` asked again of the unchanged system, once or more.
        analyzer: how texts become words, for phantom hits, as `BM25` takes it.
        texts: document id to text, for phantom hits of a recording that kept no texts.

    Raises:
        InvalidArgument: an argument is neither of these, or has no answer, or there are repeats
            without a reference or without its questions.
    """
    if texts is not None:
        check_mapping("texts", texts, "document ids to texts")
    check_list("repeats", repeats, "recordings, or of lists of answers")
    found = observations("seen", seen, texts)
    findings = [
        _degraded(found), _kind(found), _constant(found), _ties(found), _saturated(found),
        _truncated(found), _correlated(found), _flips(found), _promoted(found),
        _phantoms(found, analyzer),
    ]  # fmt: skip
    if reference is not None:
        again = [observations("repeats", one) for one in repeats]
        findings += drifts(found, observations("reference", reference), again)
    elif len(repeats):
        raise InvalidArgument(
            "repeats", repeats, "apply only with a `reference`, whose searches they repeat"
        )
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
        f"{_percent(share)} of the answers are degraded{most}.",
        "a longer timeout, fewer candidates, or a `Fallback` behind the part that fails",
    )  # fmt: skip


def _kind(found: Sequence[Observation]) -> Finding:
    kinds = {one.kind for one in found if len(one.score)}
    values = _values(found)
    if len(kinds) != 1 or len(values) < _FEW:
        return _nothing("kind", "Too few scores of one kind to check their range.")
    kind = kinds.pop()
    low, high = float(values.min()), float(values.max())
    inside = (values >= -_ROUNDING) & (values <= 1 + _ROUNDING)
    outside = 1 - float(inside.mean())
    twice = _SIGMOID_0 - _ROUNDING <= low < high <= _SIGMOID_1 + _ROUNDING
    figure, what, advice = 0.0, "", ""
    if kind in {ScoreKind.PROBABILITY, ScoreKind.LOGIT} and twice:
        figure, what = 1.0, ": all lie in the range of the sigmoid of a probability"
        advice = "removing one of two sigmoids: the model's own, or the one applied to its output"
    elif kind is ScoreKind.PROBABILITY and outside > 0:
        figure, what = outside, f", and {_percent(outside)} are not probabilities"
        advice = "declaring them logits, or applying the sigmoid"
    elif kind is ScoreKind.LOGIT and outside == 0 and low < high:
        figure, what = 1.0, ": they look like probabilities"
        advice = "declaring them probabilities, so that a threshold is on the right scale"
    span = f"The scores, declared as {kind}, range from {low:.3g} to {high:.3g}"
    return _found("kind", figure, figure > 0, f"{span}{what}.", advice)


def _constant(found: Sequence[Observation]) -> Finding:
    several = [one for one in found if len(one.score) > 1]
    if not several:
        return _nothing("constant", "No query has two scores.")
    share = sum(float(np.ptp(one.score)) == 0 for one in several) / len(several)
    return _found(
        "constant", share, share > 0,
        f"For {_percent(share)} of the queries every candidate has the same score.",
        "checking what the model is sent: an empty question or an untrained head gives such scores",
    )  # fmt: skip


def _ties(found: Sequence[Observation]) -> Finding:
    several = [one for one in found if len(one.score) > 1 and np.ptp(one.score) > 0]
    if not several:
        return _nothing("ties", "No query has two different scores.")
    share = float(np.mean([_tied(one.score) for one in several]))
    return _found(
        "ties", share, share > _TIES,
        f"{_percent(share)} of the candidates share their score with another of the same query, "
        "so their fused order decides.",
        "unrounded scores, logits instead of probabilities, or removing duplicates",
    )  # fmt: skip


def _tied(scores: NDArray[np.float64]) -> float:
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    return float((counts[places] > 1).mean())


def _saturated(found: Sequence[Observation]) -> Finding:
    values = _values(found)
    several = [one for one in found if len(one.score) > 1]
    if not several or values.min() < -_ROUNDING or values.max() > 1 + _ROUNDING:
        return _nothing("saturation", "The scores are not limited to 0 to 1.")
    share = sum(float(np.sort(one.score)[-2]) >= _SATURATED for one in several) / len(several)
    return _found(
        "saturation", share, share > _SATURATION,
        f"For {_percent(share)} of the queries the best two scores are both {_SATURATED} or more.",
        "the model's logits, since the sigmoid flattens high scores",
    )  # fmt: skip


def _truncated(found: Sequence[Observation]) -> Finding:
    cut = np.concatenate([one.truncated for one in found])
    if not len(cut):
        return _nothing("truncation", "No text was scored.")
    share = float(cut.mean())
    return _found(
        "truncation", share, share > _CUT,
        f"{_percent(share)} of the scored texts were cut at the model's token limit.",
        "`passages=` of `Pointwise`, smaller chunks, or a model with a longer limit",
    )  # fmt: skip


def _correlated(found: Sequence[Observation]) -> Finding:
    several = [one for one in found if len(one.score) > 2 and np.ptp(one.score) > 0]  # noqa: PLR2004 - two ranks always agree or not
    if not several:
        return _nothing("agreement", "No query has three different scores.")
    mean = float(np.mean([_spearman(-one.place, one.score) for one in several]))
    advice = (
        "removing the second stage, or lowering the weight of fusion in its blend"
        if mean > 0
        else "checking the sign: distances passed as scores rank the best last"
    )
    return _found(
        "agreement", mean, mean > _ALIKE or mean < 0,
        f"The scores correlate with the fused order by {mean:.2f} (Spearman).", advice,
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
        return _nothing("flips", "No query has two scores.")
    share = sum(one.answer[0] != one.first for one in several) / len(several)
    never = share == 0 and len(several) >= _FEW
    return _found(
        "flips", share, never or share > _FLIPS,
        f"For {_percent(share)} of the queries the second stage changed the first result.",
        "checking whether the second stage is on and worth its time" if never
        else "a verdict on judged queries: the second stage overrules the first almost always",
    )  # fmt: skip


def _promoted(found: Sequence[Observation]) -> Finding:
    places = [(each.place, one.read) for one in found for each in one.promoted]
    if not places:
        return _nothing("promoted", "Every result is among those that fusion alone would return.")
    low = sum(place > _LAST * read for place, read in places) / len(places)
    sources = Counter(
        each.sources[0] for one in found for each in one.promoted if len(each.sources) == 1
    )
    alone = "".join(
        f", {_percent(count / len(places))} found by {name} alone"
        for name, count in sources.most_common()
    )
    median = float(np.median([place for place, _ in places]))
    return _found(
        "promoted", low, low > _PROMOTED,
        f"{number_of(len(places), 'result was', 'results were')} promoted, the median one from "
        f"fused rank {median:.0f}; {_percent(low)} came from the last quarter of the candidates "
        f"read{alone}.",
        "a wider window, if `curve` or `losses` agrees; a random reranker looks the same",
    )  # fmt: skip


def _phantoms(found: Sequence[Observation], analyzer: str | Analyze) -> Finding:
    known = [one for one in found if one.query and any(text is not None for _, text in one.top)]
    if not known:
        why = "Finding results that share no word with the question needs texts and questions"
        return _nothing("phantoms", f"{why}: record(..., texts=True), or health(..., texts=...).")
    from runoff.recall._analyzers import make_analyzer  # noqa: PLC0415 - it loads a stemmer

    words = make_analyzer(analyzer)
    share = sum(_phantom(one, set(words(one.query)), words) for one in known) / len(known)
    return _found(
        "phantoms", share, share > _PHANTOM,
        f"For {_percent(share)} of the queries one of the first three results shares no word with "
        "the question and was promoted from the lower half of the candidates read.",
        "reading some of them; if they are wrong, a narrower window or a blend with fusion",
    )  # fmt: skip


def _phantom(one: Observation, asked: set[str], words: Analyze) -> bool:
    low = [text for place, text in one.top if text is not None and place > one.read / 2]
    return bool(asked) and any(asked.isdisjoint(words(text)) for text in low)


def _values(found: Sequence[Observation]) -> NDArray[np.float64]:
    return np.concatenate([one.score for one in found])


def _percent(share: float) -> str:
    return f"{share:.1%}"
