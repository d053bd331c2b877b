"""Does the ledger blame the stage that was broken, and does any repair gain more than its bound?

Each stage of a healthy system is broken in turn. On samples of queries, the entry that grows most
over the healthy system's ledger must be the broken stage's, and what the repair gains must be
within the bound that the broken system's ledger gives.
"""

from __future__ import annotations

import functools
import logging
import math
import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from harness import Report, Requirement, Skipped, Table, say
from judged import Collection, Given, Remembered

from runoff import Query, TwoStage
from runoff.errors import ConnectionFailed, MissingExtra
from runoff.evaluation import record
from runoff.fusion import RRF
from runoff.grouping import Grouping
from runoff.recall import BM25
from runoff.rerank import CrossEncoder, Pointwise
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Threshold
from runoff.types import Document, Dropped, Reranking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness import Options

    from runoff.deadline import Deadline
    from runoff.evaluation import Ledger, Recording
    from runoff.protocols import PairScorer
    from runoff.types import Candidate

__all__ = ["COLLECTIONS", "FAULTS", "Trial", "run", "trials"]

COLLECTIONS = ("scifact", "nfcorpus", "cranfield")
FAULTS = {
    "a source left out": "not_retrieved",
    "depth 100 cut to 10": "below_depth",
    "grouped by a field of 8 values": "grouped",
    "fusion weights upside down": "fused_low",
    "window 50 cut to 5": "fused_low",
    "a reranker that drops half": "dropped",
    "half of the answers degraded": "degraded",
    "the order of the reranker reversed": "demoted",
    "texts cut after 8 words": "truncated",
    "a threshold that 2 of 50 pass": "filtered",
}
"""What is broken, and the entry that must grow most."""

_DEPTH, _WINDOW, _CUT = 100, 50, 8
_QUERIES, _SAMPLE = 150, 30
_SHARE = 0.95
_WORD = re.compile(r"\w+")


def run(options: Options) -> Report:
    """Break every stage of two systems on every collection."""
    logging.getLogger("runoff").setLevel(logging.ERROR)  # answers are degraded on purpose
    queries = 5 if options.quick else options.queries or _QUERIES
    size = min(queries, _SAMPLE)
    found: list[Trial] = []
    notes: list[str] = []
    tables: list[Table] = []
    for name in options.collections or COLLECTIONS:
        try:
            collection = Collection.load(name, queries)
        except Skipped as missing:
            notes.append(f"skipped {name}: {missing}")
            continue
        for title, scorer in _scorers(collection, notes).items():
            say(f"{name}: breaking every stage around {title}")
            healthy, made = trials(collection, scorer, size)
            found += made
            tables.append(_losses(f"{name}, {title}", healthy))
            if isinstance(scorer, Remembered):
                scorer.save()
    if not found:
        raise Skipped("; ".join(notes))
    tables.insert(0, _blamed(found))
    requirements = [
        Requirement(
            "share of samples in which the broken stage grows most",
            sum(one.right for one in found) / len(found), _SHARE, at_least=True,
        ),
        Requirement(
            "gain of a repair above its bound, the most", max(one.excess for one in found), 1e-9
        ),
    ]  # fmt: skip
    # smaller samples are seldom as clear
    return Report(tables, requirements if size == _SAMPLE else (), notes)


@dataclass(frozen=True, slots=True)
class Trial:
    """One fault on one sample of queries.

    Attributes:
        fault: what is broken, of `FAULTS`.
        blamed: the entry that grew most.
        grown: by how much.
        gain: what the repair brings.
        bound: the most that the broken system's ledger says it could; NaN where it names no move.
    """

    fault: str
    blamed: str
    grown: float
    gain: float
    bound: float

    @property
    def right(self) -> bool:
        """Whether the broken stage is blamed."""
        return self.blamed == FAULTS[self.fault]

    @property
    def excess(self) -> float:
        """What the repair gains above its bound; no bound is one of 0."""
        return self.gain - (0.0 if math.isnan(self.bound) else self.bound)


def trials(
    collection: Collection, scorer: PairScorer, size: int = _SAMPLE
) -> tuple[Ledger, list[Trial]]:
    """Return the healthy system's ledger, and every fault on samples of `size` queries."""
    sources = _sources(collection)
    known = _Known(scorer)

    def recorded(reranker: object, names: Sequence[str] = tuple(sources), **more: Any) -> Recording:  # noqa: ANN401 - of a TwoStage
        given = {name: sources[name] for name in names}
        system = TwoStage(
            given,
            reranker=reranker,
            depth=_DEPTH,
            window=_WINDOW,
            **more,  # type: ignore[arg-type] # what is broken
        )
        return record(system, collection, _DEPTH, progress=False, workers=1)

    healthy = recorded(Pointwise(known, blend=None))
    upside_down = {"bm25": 0.02, "opening": 5.0}
    broken: dict[str, Callable[[], tuple[Recording, dict[str, Any]]]] = {
        "a source left out": lambda: (recorded(Pointwise(known, blend=None), ["opening"]), {}),
        "depth 100 cut to 10": lambda: (healthy, {"depth": 10}),
        "grouped by a field of 8 values": lambda: (
            recorded(Pointwise(known, blend=None), group=Grouping(_eighth)), {}
        ),
        "fusion weights upside down": lambda: (healthy, {"fusion": RRF(upside_down)}),
        "window 50 cut to 5": lambda: (healthy, {"window": 5}),
        "a reranker that drops half": lambda: (recorded(_Dropping(known)), {}),
        "half of the answers degraded": lambda: (recorded(_Spoiled(known, _failing)), {}),
        "the order of the reranker reversed": lambda: (
            recorded(Pointwise(_Spoiled(known, _reversed), blend=None)), {}
        ),
        "texts cut after 8 words": lambda: (
            recorded(Pointwise(_Spoiled(known, _cut), blend=None)), {}
        ),
        "a threshold that 2 of 50 pass": lambda: (healthy, {"threshold": _high(healthy)}),
    }  # fmt: skip
    samples = [_part(collection, at, size) for at in range(len(collection.qrels) // size)]
    before = [healthy.losses(one) for one in samples]
    found = []
    for fault, breaking in broken.items():
        recording, settings = breaking()
        for sample, whole in zip(samples, before, strict=True):
            found.append(_trial(fault, whole, recording.losses(sample, **settings)))
    return healthy.losses(collection), found


def _trial(fault: str, healthy: Ledger, broken: Ledger) -> Trial:
    grown = {entry: loss - healthy.entries[entry] for entry, loss in broken.entries.items()}
    blamed = max(grown, key=grown.__getitem__)
    bounds = [one.at_most for one in broken.moves if one.entry == FAULTS[fault]]
    gain = healthy.achieved - broken.achieved
    return Trial(fault, blamed, grown[blamed], gain, max(bounds, default=math.nan))


def _part(collection: Collection, at: int, size: int) -> Collection:
    """Return every so many-th query, a sample of the whole judged range."""
    steps = len(collection.qrels) // size
    ids = list(collection.qrels)[at::steps][:size]
    qrels = {one: collection.qrels[one] for one in ids}
    texts = {one: collection.queries[one] for one in ids}
    return Collection(collection.name, collection.documents, texts, qrels, {})


def _sources(collection: Collection) -> dict[str, Given]:
    """Return BM25 over whole texts, and over their first words."""
    openings = [
        Document(one.doc_id, " ".join(one.text.split()[:12])) for one in collection.documents
    ]
    whole = {one.doc_id: one for one in collection.documents}
    made = {}
    for name, documents in (("bm25", collection.documents), ("opening", openings)):
        index = BM25(documents)
        hits = {
            text: index.retrieve(Query(text), depth=_DEPTH) for text in collection.queries.values()
        }
        made[name] = Given(
            {
                text: [type(hit)(whole[hit.doc_id], hit.score) for hit in found]
                for text, found in hits.items()
            }
        )
    return made


def _scorers(collection: Collection, notes: list[str]) -> dict[str, PairScorer]:
    made: dict[str, PairScorer] = {"word overlap": Overlap(collection.documents)}
    try:
        made["runoff-mini"] = Remembered(CrossEncoder("runoff-mini"), collection.name)
    except MissingExtra as missing:
        notes.append(f"skipped runoff-mini: {missing}")
    return made


def _scores(
    values: Sequence[float], name: str, truncated: Sequence[bool] | None = None
) -> PairScores:
    return PairScores(
        np.array(values, np.float32),
        np.ones(len(values), np.bool_),
        np.array(truncated or [False] * len(values), np.bool_),
        ScoreKind.LOGIT,
        ModelIdentity(name),
    )


class Overlap:
    """A scorer that sums how rare the words are that query and text share."""

    name = "overlap"
    keeps_deadline = True

    def __init__(self, documents: Sequence[Document]) -> None:
        self._many = len(documents)
        self._having: dict[str, int] = {}
        for one in documents:
            for word in _words(one.text):
                self._having[word] = self._having.get(word, 0) + 1

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Score every pair."""
        del deadline
        values = []
        for query, text in pairs:
            words = _words(text)
            shared = sorted(_words(query) & words)
            rare = [math.log(1 + self._many / self._having.get(word, 1)) for word in shared]
            values.append(math.fsum(rare) / math.log(8 + len(words)))
        return _scores(values, self.name)


@functools.lru_cache(maxsize=20_000)
def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


class _Known:
    """A scorer that scores no pair twice."""

    keeps_deadline = True

    def __init__(self, scorer: PairScorer) -> None:
        self._scorer = scorer
        self._values: dict[tuple[str, str], float] = {}
        self.name = str(getattr(scorer, "name", "scorer"))

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Score what is new."""
        del deadline
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._values]
        if new:
            self._values |= dict(zip(new, self._scorer.score(new).values.tolist(), strict=True))
        return _scores([self._values[pair] for pair in pairs], self.name)


@dataclass(frozen=True, slots=True)
class _Spoiled:
    """A scorer that scores by a function of another scorer and of pairs."""

    scorer: PairScorer
    how: Callable[[PairScorer, Sequence[tuple[str, str]]], PairScores]
    keeps_deadline: bool = field(default=True, init=False)

    @property
    def name(self) -> str:
        return self.how.__name__.strip("_")

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        del deadline
        return self.how(self.scorer, pairs)


def _reversed(scorer: PairScorer, pairs: Sequence[tuple[str, str]]) -> PairScores:
    return _scores((-scorer.score(pairs).values).tolist(), "reversed")


def _cut(scorer: PairScorer, pairs: Sequence[tuple[str, str]]) -> PairScores:
    split = [text.split() for _, text in pairs]
    cut = [(query, " ".join(words[:_CUT])) for (query, _), words in zip(pairs, split, strict=True)]
    values = scorer.score(cut).values.tolist()
    return _scores(values, "cut", [len(words) > _CUT for words in split])


def _failing(scorer: PairScorer, pairs: Sequence[tuple[str, str]]) -> PairScores:
    """Score, unless the query is one of the half for which nobody answers."""
    if pairs and _digest(pairs[0][0]) % 2:
        msg = "nobody answers"
        raise ConnectionFailed(msg)
    return scorer.score(pairs)


@dataclass(frozen=True, slots=True)
class _Dropping:
    """A reranker that takes half of the documents out."""

    scorer: PairScorer
    name: str = "dropping"
    keeps_deadline: bool = field(default=True, init=False)

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        made = Pointwise(self.scorer, blend=None).rerank(query, candidates, deadline=deadline)
        half = [one for one in made.ordered if _digest(one.candidate.key) % 2]
        gone = [one for one in made.ordered if not _digest(one.candidate.key) % 2]
        return Reranking(
            tuple(half), (), tuple(Dropped(one.candidate, "not wanted") for one in gone)
        )


def _eighth(document: Document) -> int:
    return _digest(document.doc_id) % 8


def _digest(text: str) -> int:
    return zlib.crc32(text.encode())


def _high(recording: Recording) -> Threshold:
    """Return a threshold that two of the first 50 candidates of a query pass, in the median."""
    third = [
        np.sort(scores)[-3]
        for query in recording
        if len(scores := query.pair_score[:_WINDOW]) > 2  # noqa: PLR2004 - the third
    ]
    return Threshold(float(np.median(third)), ScoreKind.LOGIT)


def _blamed(found: Sequence[Trial]) -> Table:
    rows = []
    for fault, entry in FAULTS.items():
        own = [one for one in found if one.fault == fault]
        rows.append(
            (
                fault, entry, len(own), sum(one.right for one in own) / len(own),
                float(np.mean([one.gain for one in own])), max(one.excess for one in own),
            )
        )  # fmt: skip
    return Table(
        "Each stage broken in turn",
        ("fault", "entry", "samples", "blamed", "mean gain of the repair", "most above the bound"),
        rows,
        f"Samples of at most {_SAMPLE} queries; nDCG@10. The last column is never above 0.",
    )


def _losses(title: str, healthy: Ledger) -> Table:
    entries: Mapping[str, float] = healthy.entries
    moves = [(one.entry, one.action, one.at_most, one.brings) for one in healthy.moves]
    rows = [("ideal", healthy.ideal, "", "")]
    rows += [(entry, -loss, "", "") for entry, loss in entries.items() if loss]
    rows += [("achieved", healthy.achieved, "", "")]
    told = "; ".join(
        f"{action} at most {most:.3f}" + ("" if brings is None else f" and brings {brings:+.3f}")
        for _, action, most, brings in moves
    )
    return Table(
        f"Healthy: {title}",
        ("entry", "nDCG@10"),
        [row[:2] for row in rows],
        f"Next moves: {told}.",
    )
