"""Whether `health` notices losses without judgments, and how often it does where nothing changed.

A system answers other questions than the reference did, as live traffic does, or the same ones
again (canaries). Its index loses documents, its blend or window changes, or nothing does. A flaky
system loses 3% of its hits at random in every run, and its reference was run three times.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from harness import Report, Requirement, Skipped, Table, say
from judged import Collection
from recalled import sources

from runoff import Query, TwoStage
from runoff.evaluation import health
from runoff.rerank import Pointwise
from runoff.scores import ModelIdentity, PairScores, ScoreKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness import Options

    from runoff.deadline import Deadline
    from runoff.protocols import RecallSource
    from runoff.types import Hit, Response

__all__ = ["run"]

COLLECTIONS = ("squad2-dev",)
LIVE, CANARIES = (100, 200), (20, 40)
_QUERIES = 700
_RECORDED, _DEPTH, _WINDOW = 60, 30, 20
_FLAKY = 0.03
_FOUND, _FALSE = 0.9, 0.05


@dataclass(frozen=True, slots=True)
class _Change:
    """What becomes of the system: a share of lost documents, another blend, another window."""

    lost: float = 0.0
    blend: float | None = None
    window: int = _WINDOW


CHANGES = {
    "nothing": _Change(),
    "30% of the documents lost": _Change(lost=0.3),
    "15% of the documents lost": _Change(lost=0.15),
    "blend .4 instead of none": _Change(blend=0.4),
    f"window 5 instead of {_WINDOW}": _Change(window=5),
}


def run(options: Options) -> Report:
    """Measure what is found, with how many questions, and false alarms."""
    trials = 2 if options.quick else 6
    rows: list[Sequence[object]] = []
    required: list[Requirement] = []
    notes: list[str] = []
    for name in options.collections or COLLECTIONS:
        try:
            collection = Collection.load(name, options.queries or _QUERIES)
            bench = _Bench(collection)
        except Skipped as missing:
            notes.append(f"skipped {name}: {missing}")
            continue
        for what, change in CHANGES.items():
            say(f"{name}: {what}")
            loss, shares = bench.measured(change, trials if change != _Change() else 7 * trials)
            rows.append((name, what, loss, *shares))
            for share, how in zip(shares, _columns(), strict=True):
                alarm = f"{what}, {name}, {how}"
                if change == _Change():
                    required.append(Requirement(f"false alarms, {alarm}", share, _FALSE))
                elif change.lost >= 0.3 or change.blend is not None:  # noqa: PLR2004 - those asked for
                    required.append(Requirement(f"found, {alarm}", share, _FOUND, at_least=True))
    if not rows:
        raise Skipped("; ".join(notes))
    return Report(
        [
            Table(
                "Share of trials in which a check of drift is odd",
                ("collection", "change", "nDCG@10", *_columns()),
                rows,
                f"{trials} trials, seven times as many where nothing changes. The second stage is "
                "made up: it mostly knows the relevant document.",
            )
        ],
        required if not options.quick else (),
        notes,
    )


def _columns() -> list[str]:
    return [
        *(f"{one} other questions" for one in LIVE),
        *(f"{one} canaries" for one in CANARIES),
        *(f"{one} flaky canaries" for one in CANARIES),
    ]


class _Bench:
    """One collection, with the hits of every query and the answers of every system."""

    def __init__(self, collection: Collection) -> None:
        self._judged = collection
        self._ids = {text: query_id for query_id, text in collection.queries.items()}
        self._hits = {
            name: {
                text: source.retrieve(Query(text), depth=_RECORDED)
                for text in collection.queries.values()
            }
            for name, source in sources(collection, _RECORDED).items()
        }
        self._answers: dict[tuple[object, str], Response] = {}

    def measured(self, change: _Change, trials: int) -> tuple[float, list[float]]:
        """Return the mean change of nDCG@10, and in which share of trials it is noticed."""
        rng = np.random.default_rng(0)
        texts = list(self._ids)
        every = [one.doc_id for one in self._judged.documents]
        losses, alarms = [], np.zeros(len(_columns()))
        for trial in range(trials):
            gone = rng.choice(every, round(change.lost * len(every)), replace=False).tolist()
            lost = frozenset(gone)
            order = [texts[at] for at in rng.permutation(len(texts)).tolist()]
            half = max(LIVE) if len(order) >= 2 * max(LIVE) else len(order) // 2
            found = []
            for count in LIVE:
                now, then = order[half : half + count], order[: min(count, half)]
                found.append(
                    self._odd(self._asked(change, lost, now), self._asked(_Change(), (), then))
                )
            before, after = (
                self._quality(self._asked(one, gone_, now))
                for one, gone_ in ((_Change(), frozenset()), (change, lost))
            )
            losses.append(after - before)
            for count in CANARIES:
                same = order[:count]
                now_, then_ = (
                    self._asked(one, gone_, same)
                    for one, gone_ in ((change, lost), (_Change(), ()))
                )
                found.append(self._odd(now_, then_))
            for count in CANARIES:
                same = order[:count]
                runs = [self._asked(_Change(), (), same, flaky=4 * trial + at) for at in range(3)]
                again = self._asked(change, lost, same, flaky=4 * trial + 3)
                found.append(self._odd(again, runs[0], runs[1:]))
            alarms += found
        return float(np.mean(losses)), (alarms / trials).tolist()

    def _odd(
        self,
        now: Sequence[Response],
        then: Sequence[Response],
        repeats: Sequence[Sequence[Response]] = (),
    ) -> bool:
        found = health(now, reference=then, repeats=repeats)
        return any(one.check.startswith("drift") for one in found.odd)

    def _asked(
        self,
        change: _Change,
        lost: frozenset[str] | tuple[()],
        texts: Sequence[str],
        flaky: int | None = None,
    ) -> list[Response]:
        key = (change, frozenset(lost), flaky)
        given: Mapping[str, RecallSource] = {
            name: _Losing(hits, frozenset(lost), flaky) for name, hits in self._hits.items()
        }
        system = TwoStage(
            given,
            reranker=Pointwise(_Knowing(self._judged, self._ids), blend=change.blend),
            depth=_DEPTH,
            window=change.window,
        )
        found = []
        for text in texts:
            if (key, text) not in self._answers:
                answer = system.search(text, top_k=10)
                if lost or flaky is not None:
                    found.append(answer)
                    continue
                self._answers[key, text] = answer
            found.append(self._answers[key, text])
        return found

    def _quality(self, answers: Sequence[Response]) -> float:
        return float(np.mean([self._ndcg(one) for one in answers]))

    def _ndcg(self, answer: Response) -> float:
        grades = self._judged.qrels[self._ids[answer.query.text]]
        gains = [
            grades.get(one.doc_id, 0) / math.log2(1 + rank)
            for rank, one in enumerate(answer.results, 1)
        ]
        best = [
            grade / math.log2(1 + rank)
            for rank, grade in enumerate(sorted(grades.values(), reverse=True)[:10], 1)
        ]
        return math.fsum(gains) / math.fsum(best)


class _Losing:
    """A source with ready hits that has lost documents, and may lose more at random."""

    def __init__(
        self, hits: Mapping[str, Sequence[Hit]], lost: frozenset[str], flaky: int | None
    ) -> None:
        self._hits, self._lost, self._flaky = hits, lost, flaky

    def retrieve(
        self,
        query: Query,
        *,
        depth: int,
        deadline: Deadline | None = None,  # noqa: ARG002 - the protocol
    ) -> Sequence[Hit]:
        """Return the hits that are left."""
        hits = [one for one in self._hits[query.text] if one.doc_id not in self._lost]
        if self._flaky is not None:
            rng = np.random.default_rng([self._flaky, round(1e9 * _chance(query.text))])
            kept = rng.random(len(hits)) >= _FLAKY
            hits = [one for one, keep in zip(hits, kept.tolist(), strict=True) if keep]
        return hits[:depth]


class _Knowing:
    """A scorer that mostly knows the relevant document, and else scores by chance."""

    def __init__(self, judged: Collection, ids: Mapping[str, str]) -> None:
        self._qrels, self._ids = judged.qrels, ids
        self._documents = {one.text: one.doc_id for one in judged.documents}

    def score(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        deadline: Deadline | None = None,  # noqa: ARG002 - the protocol
    ) -> PairScores:
        """Return 3 for a relevant document and 0 for others, plus noise with deviation 1."""
        values = []
        for text, passage in pairs:
            doc_id = self._documents[passage]
            relevant = self._qrels[self._ids[text]].get(doc_id, 0) > 0
            one, other = _chance(text, doc_id), _chance(doc_id, text)
            noise = math.sqrt(-2 * math.log(max(one, 1e-12))) * math.cos(2 * math.pi * other)
            values.append(3.0 * relevant + noise)
        count = len(values)
        return PairScores(
            np.array(values, np.float32),
            np.ones(count, np.bool_),
            np.zeros(count, np.bool_),
            ScoreKind.LOGIT,
            ModelIdentity("knowing"),
        )


def _chance(*texts: str) -> float:
    """Return a number from 0 to 1 that depends on the texts alone."""
    digest = hashlib.blake2b("\0".join(texts).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
