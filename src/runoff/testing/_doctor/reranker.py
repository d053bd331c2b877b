"""Checks of a second stage over questions whose answers are known."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._util.messages import number_of
from runoff.deadline import Deadline
from runoff.evaluation._health.health import health
from runoff.protocols import AsyncReranker
from runoff.recall._function import Function
from runoff.rerank._inner import as_inner
from runoff.testing._doctor.findings import failed, fine, made, nothing, odd
from runoff.testing._doctor.questions import FILLER
from runoff.types import Candidate, Document, Query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._health.observations import Finding
    from runoff.protocols import Reranker
    from runoff.scores import ScoreKind
    from runoff.types import Reranking

_REVERSED, _RANDOM = 0.25, 0.75  # of the pairs of an answer and another text, ranked right
_TOLERANCE = 0.02  # of the standard deviation of scores: servers compute in half precision
_LONG = 150  # words; the smallest limit in use is 256 tokens
_SEEN = 0.1  # of what an answer adds to the score of a short text
_SLOW_MS = 1000.0  # for one pair
_NO_SCORES = "It gives an order without scores."
_HEALTH = ("kind", "constant", "ties", "saturation")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a reranker made of texts.

    Attributes:
        scores: one for each text, as given; NaN where it gave none.
        order: the places of the texts, best first.
        missing: how many texts it did not order.
        kind: the scale of the scores.
        truncated: how many texts were cut.
    """

    scores: NDArray[np.float64]
    order: tuple[int, ...]
    missing: int
    kind: ScoreKind
    truncated: int


def examined(part: object, questions: Mapping[str, str]) -> tuple[int, list[Finding]]:
    """Return how many questions a second stage was asked, and the result of every check."""
    reranker = as_inner("part", part)
    probe = _Probe(reranker, questions)
    try:
        probe.ask(next(iter(questions)), probe.texts[:2])  # loads the model
    except Exception as error:  # noqa: BLE001 - what it raises is the finding
        return 1, [failed(error)]
    checks = (
        _kept, _noise, _orientation, _question, _places, _neighbours, _equal_texts, _truncation,
        _instruction, _awaited, _latency,
    )  # fmt: skip
    found = made(checks, probe)
    unsure = any(one.odd for one in found if one.check in {"noise", "place", "neighbours"})
    return len(questions), [*found, *([] if unsure else _distribution(probe))]


class _Probe:
    """A reranker, the questions, and its answers to each over all answers' texts."""

    def __init__(self, reranker: Reranker, questions: Mapping[str, str]) -> None:
        self.reranker = reranker
        self.questions = tuple(questions)
        self.texts = tuple(questions.values())
        self._answers: list[_Answer] = []

    @property
    def answers(self) -> list[_Answer]:
        """The answer to each question, over all texts in an order that favours none."""
        if not self._answers:
            self._answers = [self.ask(one, self.texts) for one in self.questions]
        return self._answers

    @property
    def spread(self) -> float:
        """The standard deviation of the scores; 0 where it gives none."""
        known = np.concatenate([one.scores[~np.isnan(one.scores)] for one in self.answers])
        return float(known.std()) if len(known) else 0.0

    @property
    def ranks_only(self) -> bool:
        """Whether its scores are 1 / rank, as those of a reranker that gives an order alone."""
        return any(one.order for one in self.answers) and all(
            one.scores[list(one.order)].tolist() == [1 / (at + 1) for at in range(len(one.order))]
            for one in self.answers
        )

    def ask(self, question: str, texts: Sequence[str]) -> _Answer:
        """Return what the reranker makes of texts, given in this order."""
        given = _candidates(texts)
        return _read(self.reranker.rerank(Query(question), given, deadline=Deadline()), given)

    def alike(self, one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
        """Whether scores are equal but for rounding."""
        return _gap(one, other) <= _TOLERANCE * self.spread


def _candidates(texts: Sequence[str]) -> list[Candidate]:
    return [
        Candidate(Document(f"probe-{number}", text), f"probe-{number}", 1 / number, number)
        for number, text in enumerate(texts, 1)
    ]


def _read(made: Reranking, given: Sequence[Candidate]) -> _Answer:
    places = {one.key: place for place, one in enumerate(given)}
    scores = np.full(len(given), np.nan)
    for one in made.ordered:
        score = one.rerank_score if one.pair_score is None else one.pair_score
        if score is not None:
            scores[places[one.candidate.key]] = score
    order = tuple(places[one.candidate.key] for one in made.ordered)
    cut = sum(one.truncated for one in made.ordered)
    return _Answer(scores, order, len(given) - len(order), made.kind, cut)


def _gap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the largest difference; infinite where only one of two has a score."""
    if (np.isnan(one) != np.isnan(other)).any():
        return float("inf")
    both = np.abs(one - other)[~np.isnan(one)]
    return float(both.max()) if len(both) else 0.0


def _kept(probe: _Probe) -> Finding:
    missing = max(one.missing for one in probe.answers)
    if not missing:
        return fine("kept", 0, f"It orders all of {number_of(len(probe.texts), 'text')}.")
    return odd(
        "kept", missing,
        f"Of {len(probe.texts)} texts {missing} come back without a score or not at all.",
        "raising or removing its own top_n or threshold: a second stage orders all that it reads",
    )  # fmt: skip


def _noise(probe: _Probe) -> Finding:
    first, again = probe.answers[0], probe.ask(probe.questions[0], probe.texts)
    gap = _gap(first.scores, again.scores)
    if probe.alike(first.scores, again.scores) and first.order == again.order:
        return fine("noise", gap, "The same texts get the same scores again.")
    return odd(
        "noise", gap, f"The same texts get different scores when asked again, by up to {gap:.3g}.",
        "switching the model to evaluation (no dropout), and a temperature of 0",
    )  # fmt: skip


def _orientation(probe: _Probe) -> Finding:
    right = []
    for number, one in enumerate(probe.answers):
        ranks = {place: rank for rank, place in enumerate(one.order)}
        if number in ranks:
            worse = [rank for place, rank in ranks.items() if place != number]
            right += [rank > ranks[number] for rank in worse]
    if not right:
        return nothing(
            "orientation", "It orders none of the answers, so its direction cannot be seen."
        )
    share = float(np.mean(right))
    text = f"Of the pairs of an answer and another text, {share:.0%} are in the right order"
    if share >= _RANDOM:
        return fine("orientation", share, f"{text}.")
    if share > _REVERSED:
        return odd(
            "orientation", share, f"{text}: as many as by chance.",
            "checking the model and its template: a causal language model served as a reranker, a "
            "prompt without the model's own template, or an untrained head looks like this",
        )  # fmt: skip
    scores = np.concatenate([one.scores for one in probe.answers])
    known = scores[~np.isnan(scores)]
    if len(known) and known.min() >= 0 and known.max() <= 1:
        return odd(
            "orientation", share, f'{text}: it scores how likely "no" is, instead of "yes".',
            "swapping the tokens of yes and no, or taking the other class of the model",
        )  # fmt: skip
    return odd(
        "orientation", share, f"{text}: the best text comes last.",
        "negating its scores: distances and losses are lower for better texts",
    )  # fmt: skip


def _question(probe: _Probe) -> Finding:
    rows = np.array([one.scores for one in probe.answers])
    if np.isnan(rows).any():
        return nothing("question", "Not every text has a score, so questions cannot be compared.")
    moved = float(np.abs(rows - rows[0]).max())
    if moved > _TOLERANCE * probe.spread and probe.spread > 0:
        return fine("question", moved, "The scores of a text depend on the question.")
    if float(np.ptp(rows)) == 0:
        return nothing("question", "All scores are equal; see constant.")
    return odd(
        "question", moved, "A text gets the same score for every question.",
        "checking that the question reaches the model: the template may have no place for it",
    )  # fmt: skip


def _places(probe: _Probe) -> Finding:
    if probe.ranks_only:
        return nothing("place", _NO_SCORES)
    first = probe.answers[0].scores
    turned = probe.ask(probe.questions[0], probe.texts[::-1]).scores[::-1]
    gap = _gap(first, turned)
    if probe.alike(first, turned):
        return fine("place", gap, "A text's score does not depend on its place in the request.")
    by_place = probe.alike(first, turned[::-1])
    detail = ": the scores belong to places, not to texts" if by_place else ""
    return odd(
        "place", gap,
        f"The same texts in reverse order get other scores, by up to {gap:.3g}{detail}.",
        "pairing scores with texts by the index that a reply states: replies are often sorted",
    )  # fmt: skip


def _neighbours(probe: _Probe) -> Finding:
    if probe.ranks_only:
        return nothing("neighbours", _NO_SCORES)
    several = min(4, len(probe.texts))
    alone = np.concatenate(
        [probe.ask(probe.questions[0], [text]).scores for text in probe.texts[:several]]
    )
    among = probe.answers[0].scores[:several]
    gap = _gap(among, alone)
    if probe.alike(among, alone):
        return fine("neighbours", gap, "A text's score does not depend on the texts beside it.")
    return odd(
        "neighbours", gap,
        f"A text gets a different score alone than among others, by up to {gap:.3g}.",
        "removing a normalisation over each request (softmax, min-max), or padding that the model "
        "reads: such scores cannot be compared between questions, nor have a threshold",
    )  # fmt: skip


def _equal_texts(probe: _Probe) -> Finding:
    text = probe.texts[1]
    made = probe.ask(probe.questions[0], [text, probe.texts[0], text, text])
    places = [place for place in made.order if place != 1]
    if places == sorted(places):
        return fine("equal texts", 0, "Equal texts stay in the order of the first stage.")
    return odd(
        "equal texts", 1, f"Three equal texts come back in the order {[p + 1 for p in places]}.",
        "a stable sort by falling score: sorting upwards and reversing turns ties around",
    )  # fmt: skip


def _truncation(probe: _Probe) -> Finding:
    brief = FILLER.partition(". ")[0] + "."
    filler = " ".join((FILLER.split() * _LONG)[:_LONG])
    seen, cut = [], 0
    for question, answer in list(zip(probe.questions, probe.texts, strict=True))[:4]:
        short = probe.ask(question, [brief, f"{brief} {answer}"])
        long = probe.ask(question, [filler, f"{filler} {answer}"])
        gain = float(short.scores[1] - short.scores[0])
        if np.isfinite(gain) and gain > 0:
            seen.append(float(long.scores[1] - long.scores[0]) / gain)
        cut += long.truncated
    if not seen:
        return nothing(
            "long texts", "An answer does not raise the score, so a cut answer cannot be noticed."
        )
    share = float(np.median(seen))
    if share > _SEEN:
        return fine("long texts", share, f"An answer after {_LONG} words still raises the score.")
    silent = "" if cut else ", and does not say so"
    return odd(
        "long texts", share, f"It does not read an answer after {_LONG} words{silent}.",
        "a larger max_length of the model or its server, or `passages=` of `Pointwise`",
    )  # fmt: skip


def _instruction(probe: _Probe) -> Finding:
    without = _uninstructed(probe.reranker)
    if without is None:
        return nothing("instruction", "It has no instruction.")
    bare = _Probe(without, dict(zip(probe.questions, probe.texts, strict=True)))
    gap = _gap(probe.answers[0].scores, bare.answers[0].scores)
    if gap > 0:
        return fine("instruction", gap, "Its instruction changes the scores.")
    return odd(
        "instruction", gap, "Its instruction changes no score.",
        "the field's name in the `Dialect`, and whether the served model was trained with one",
    )  # fmt: skip


def _uninstructed(reranker: Any) -> Any:  # noqa: ANN401 - any reranker of fields
    """Return a copy without the instruction; None if there is none."""
    if not dataclasses.is_dataclass(reranker) or isinstance(reranker, type):
        return None
    if getattr(reranker, "instruction", None):
        return dataclasses.replace(reranker, instruction=None)
    inner = getattr(reranker, "scorer", None)
    made = _uninstructed(inner) if inner is not None else None
    return None if made is None else dataclasses.replace(reranker, scorer=made)


def _awaited(probe: _Probe) -> Finding:
    reranker = probe.reranker
    if not isinstance(reranker, AsyncReranker):
        return nothing("async", "It cannot be awaited; a pipeline runs it in a thread.")
    given = _candidates(probe.texts)
    made = asyncio.run(reranker.arerank(Query(probe.questions[0]), given, deadline=Deadline()))
    awaited, first = _read(made, given), probe.answers[0]
    gap = _gap(first.scores, awaited.scores)
    if probe.alike(first.scores, awaited.scores) and first.order == awaited.order:
        return fine("async", gap, "Awaited, it gives the same answer.")
    return odd(
        "async", gap, f"Awaited, it gives other scores, by up to {gap:.3g}.",
        "one body for both ways, and one client",
    )  # fmt: skip


def _latency(probe: _Probe) -> Finding:
    taken = []
    for question in probe.questions[:3]:
        start = time.perf_counter()
        probe.ask(question, probe.texts)
        taken.append((time.perf_counter() - start) * 1000)
    each = float(np.median(taken)) / len(probe.texts)
    text = f"It takes {each:.1f} ms for a short text, in requests of {len(probe.texts)}."
    if each <= _SLOW_MS:
        return fine("latency", each, text)
    return odd("latency", each, text, "a smaller model, fewer candidates, or a `timeout`")


def _distribution(probe: _Probe) -> list[Finding]:
    """Return what `health` says of the scores of the probe's answers."""
    from runoff.pipeline._two_stage import TwoStage  # noqa: PLC0415 - only where answers are sound

    documents = [(one.document, -float(one.fusion_rank)) for one in _candidates(probe.texts)]
    source = Function(lambda _, depth: documents[:depth])
    number = len(documents)
    pipeline = TwoStage(
        {"probe": source}, reranker=probe.reranker, depth=number, window=number, on_error="raise"
    )
    try:
        seen = [pipeline.search(one, top_k=number) for one in probe.questions]
    except Exception as error:  # noqa: BLE001 - what it raises is the finding
        return [failed(error)]
    found = health(seen)
    return [one for one in found.findings if one.check in _HEALTH]
