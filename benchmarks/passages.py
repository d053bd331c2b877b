"""Long documents: what reading all their windows brings over reading the start, and costs.

The collections at hand have short texts, so long ones are made of them: documents are joined, each
with three others that a fixed shuffle gives, and a joined document is relevant where one of its
four is. What is relevant stands at the start of one in four.
"""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from harness import Report, Skipped, Table, say
from judged import Collection, bootstrap, mean, measured

from runoff import Document, TwoStage
from runoff.errors import MissingExtra
from runoff.recall import BM25
from runoff.rerank import CrossEncoder, Passages, Pointwise
from runoff.scores import PairScores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness import Options
    from judged import Runs

    from runoff.deadline import Deadline

__all__ = ["run"]

_JOINED = 4
_DEPTH = 100
_WINDOW = 10
_MEASURE = "nDCG@10"
_QUERIES = 40
_SYSTEMS: dict[str, tuple[Passages, float | None]] = {
    "first": (Passages("first"), None),
    "max": (Passages("max"), None),
    "top-m, m = 2": (Passages("top-m", m=2), None),
    "first, blend 0.5": (Passages("first"), 0.5),
    "max, blend 0.5": (Passages("max"), 0.5),
    "top-m, m = 2, blend 0.5": (Passages("top-m", m=2), 0.5),
}


def run(options: Options) -> Report:
    """Measure order, pairs and time of each way to read long documents."""
    name = next(iter(options.collections), "scifact")
    collection = _joined(Collection.load(name, 2 if options.quick else options.queries or _QUERIES))
    scorer = _Kept(CrossEncoder())
    try:
        scorer.scorer.warmup()
    except MissingExtra as missing:
        raise Skipped(str(missing)) from missing
    bm25 = BM25(collection.documents)
    runs: dict[str, Runs] = {system: {} for system in ("BM25 alone", *_SYSTEMS)}
    pairs: dict[str, list[int]] = {system: [] for system in _SYSTEMS}
    seconds: dict[str, list[float]] = {system: [] for system in _SYSTEMS}
    truncated: dict[str, int] = dict.fromkeys(_SYSTEMS, 0)
    for at, (query_id, text) in enumerate(collection.queries.items()):
        alone = TwoStage({"bm25": bm25}, reranker=None, depth=_DEPTH).search(text)
        runs["BM25 alone"][query_id] = [result.doc_id for result in alone]
        for system, (passages, blend) in _SYSTEMS.items():
            second = Pointwise(scorer, blend=blend, passages=passages)
            pipeline = TwoStage({"bm25": bm25}, reranker=second, depth=_DEPTH, window=_WINDOW)
            scorer.seconds = 0.0
            response = pipeline.search(text)
            runs[system][query_id] = [result.doc_id for result in response]
            pairs[system].append(response.trace.usage.pairs)
            seconds[system].append(scorer.seconds)
            truncated[system] += response.trace.truncated
        if at % 10 == 0:
            say(f"{collection.name}: {at} of {len(collection.queries)} queries")
    values = {one: measured(found, collection, [_MEASURE])[_MEASURE] for one, found in runs.items()}
    rows: list[tuple[object, ...]] = [("BM25 alone", mean(values["BM25 alone"]), "", "", "", "")]
    for system in _SYSTEMS:
        against = bootstrap(values[system], values["first"])
        rows.append(
            (
                system,
                mean(values[system]),
                f"{against.mean:+.3f} ({against.low:+.3f} to {against.high:+.3f})",
                statistics.mean(pairs[system]),
                statistics.median(seconds[system]),
                truncated[system] / len(pairs[system]),
            )
        )
    lengths = [len(one.text.split()) for one in collection.documents]
    table = Table(
        f"{_MEASURE} on {collection.name}, {_JOINED} documents in one",
        ("passages", _MEASURE, "beside first", "pairs", "seconds scoring, p50", "truncated"),
        rows,
        f"{len(collection.qrels)} queries, {len(lengths)} documents of "
        f"{statistics.median(lengths):.0f} words (p50), BM25, window {_WINDOW}; pairs, seconds and "
        "truncated documents are for each query. A pair that was scored for one system is not "
        "scored again for the next; its seconds are counted again.",
    )
    return Report([table])


def _joined(collection: Collection) -> Collection:
    """Return the collection with its documents joined by fours and its judgments moved along."""
    order = list(collection.documents)
    random.Random(0).shuffle(order)  # noqa: S311 - a fixed order, and no secret
    groups = [order[at : at + _JOINED] for at in range(0, len(order), _JOINED)]
    home = {one.doc_id: f"joined-{at}" for at, group in enumerate(groups) for one in group}
    qrels: dict[str, dict[str, int]] = {}
    for query_id, judged in collection.qrels.items():
        moved = qrels.setdefault(query_id, {})
        for doc_id, grade in judged.items():
            if doc_id in home:
                moved[home[doc_id]] = max(grade, moved.get(home[doc_id], 0))
    documents = [
        Document(f"joined-{at}", "\n\n".join(one.text for one in group))
        for at, group in enumerate(groups)
    ]
    return replace(collection, documents=documents, qrels=qrels, given={})


class _Kept:
    """A cross-encoder that scores a pair once, alone, and remembers what that took."""

    name = "runoff-mini"

    def __init__(self, scorer: CrossEncoder) -> None:
        self.scorer = scorer
        self.seconds = 0.0
        self._known: dict[tuple[str, str], tuple[PairScores, float]] = {}

    def windows(
        self,
        query: str,
        texts: Sequence[str],
        *,
        length: int | None = None,
        overlap: int = 0,
        deadline: Deadline | None = None,
    ) -> list[Iterator[tuple[int, int]]]:
        """Part texts as the cross-encoder does."""
        return self.scorer.windows(query, texts, length=length, overlap=overlap, deadline=deadline)

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Score what is new, and count the seconds of all."""
        del deadline
        new = [pair for pair in pairs if pair not in self._known]
        if new:
            began = time.perf_counter()
            found = self.scorer.score(new)
            each = (time.perf_counter() - began) / len(new)
            for at, pair in enumerate(new):
                part = replace(
                    found,
                    values=found.values[at : at + 1],
                    scored=found.scored[at : at + 1],
                    truncated=found.truncated[at : at + 1],
                )
                self._known[pair] = (part, each)
        known = [self._known[pair] for pair in pairs]
        self.seconds += sum(each for _, each in known)
        first = known[0][0]
        return PairScores(
            np.concatenate([one.values for one, _ in known]),
            np.concatenate([one.scored for one, _ in known]),
            np.concatenate([one.truncated for one, _ in known]),
            first.kind,
            first.model,
            replace(first.usage, pairs=len(pairs), tokens=None),
        )
