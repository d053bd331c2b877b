"""What a cascade saves and costs: a bi-encoder's similarity before the embedded cross-encoder.

The control is a narrower window, which saves the same pairs and needs no cascade.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from harness import Report, Skipped, Table, say
from judged import Collection, Remembered, bootstrap, embeddings, mean, measured
from quality import DEPTH, WINDOW
from recalled import sources

from runoff import TwoStage
from runoff.recall import Embedder
from runoff.rerank import Cascade, CrossEncoder, Pointwise, Step
from runoff.scores import PairScores, ScoreKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness import Options
    from judged import Runs
    from numpy.typing import NDArray

    from runoff.deadline import Deadline
    from runoff.protocols import Reranker
    from runoff.scores import ModelIdentity

__all__ = ["run"]

COLLECTIONS = ("scifact", "nfcorpus")
MARGINS = (0.5, 1.0, 1.5, 2.0, 3.0)
_NARROW = (20, 10)
_WIDE = 100
_MEASURE = "nDCG@10"
_QUICK = 5


@dataclass(frozen=True)
class Similarity:
    """A scorer of the cosine between ready embeddings of query and document."""

    vectors: dict[str, NDArray[np.float32]]
    model: ModelIdentity
    name: str = "similarity"
    keeps_deadline: bool = True

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Multiply the vectors of each pair."""
        del deadline
        values = [float(self.vectors[query] @ self.vectors[text]) for query, text in pairs]
        return PairScores(
            np.array(values, np.float32),
            np.ones(len(pairs), np.bool_),
            np.zeros(len(pairs), np.bool_),
            ScoreKind.SIMILARITY,
            self.model,
        )


class _Counted:
    """A remembered cross-encoder that counts the pairs it was given."""

    keeps_deadline = True

    def __init__(self, scorer: Remembered) -> None:
        self._scorer = scorer
        self.name = scorer.name
        self.default_blend = scorer.default_blend
        self.pairs = 0

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Score and count."""
        self.pairs += len(pairs)
        return self._scorer.score(pairs, deadline=deadline)


def run(options: Options) -> Report:
    """Measure nDCG@10 and the pairs that the cross-encoder reads."""
    tables: list[Table] = []
    notes: list[str] = []
    for name in options.collections or COLLECTIONS:
        try:
            collection = Collection.load(name, _QUICK if options.quick else options.queries)
        except Skipped as missing:
            notes.append(f"skipped {name}: {missing}")
            continue
        tables.append(_table(collection))
    if not tables:
        raise Skipped("; ".join(notes))
    return Report(tables, notes=notes)


def _systems(cheap: Similarity, strong: _Counted) -> Iterator[tuple[str, int, Reranker]]:
    """Yield name, window and second stage of each system; the first is the reference."""
    first, last = Pointwise(cheap, blend=None), Pointwise(strong)
    for window in (WINDOW, *_NARROW):
        yield f"window {window}", window, last
    for window in (WINDOW, _WIDE):
        for keep in _NARROW:
            cascade = Cascade([Step(first, keep), last])
            yield f"similarity keeps {keep} of {window}", window, cascade
    blended = Pointwise(cheap, blend=0.5)
    for keep in _NARROW:
        cascade = Cascade([Step(blended, keep), last])
        yield f"similarity with fusion keeps {keep} of {_WIDE}", _WIDE, cascade
    yield f"similarity alone, window {WINDOW}", WINDOW, first
    yield f"similarity with fusion alone, window {WINDOW}", WINDOW, blended
    for margin in MARGINS:
        cascade = Cascade([Step(blended, _NARROW[0], margin), last])
        yield f"similarity with fusion keeps 20 of {WINDOW}, margin {margin:g}", WINDOW, cascade


def _table(collection: Collection) -> Table:
    found = sources(collection, DEPTH)
    embedder = Embedder()
    vectors: dict[str, NDArray[np.float32]] = {}
    for name, texts in (
        (f"{collection.name}-queries", list(collection.queries.values())),
        (collection.name, [one.text for one in collection.documents]),
    ):
        vectors |= dict(zip(texts, embeddings(name, texts, embedder), strict=True))
    scorer = Remembered(CrossEncoder(), collection.name)
    strong = _Counted(scorer)
    runs: dict[str, Runs] = {}
    pairs: dict[str, float] = {}
    skipped: dict[str, float] = {}
    count = len(collection.queries)
    for name, window, second in _systems(Similarity(vectors, embedder.identity), strong):
        pipeline = TwoStage(found, reranker=second, depth=DEPTH, window=window)
        strong.pairs, left_out, order = 0, 0, {}
        for at, (query_id, text) in enumerate(collection.queries.items(), 1):
            before = strong.pairs
            order[query_id] = [one.doc_id for one in pipeline.search(text, top_k=10)]
            left_out += strong.pairs == before
            if at % 25 == 0:
                scorer.save()
        runs[name], pairs[name] = order, strong.pairs / count
        skipped[name] = left_out / count
        scorer.save()
        say(f"{collection.name}: {name}")
    values = {name: measured(one, collection, [_MEASURE])[_MEASURE] for name, one in runs.items()}
    reference = values[next(iter(values))]
    rows = []
    for name, one in values.items():
        change = bootstrap(one, reference)
        rows.append(
            (name, mean(one), change.mean, change.low, change.high, pairs[name], skipped[name])
        )
    return Table(
        f"{_MEASURE} and pairs read by {strong.name} on {collection.name}",
        ("second stage", _MEASURE, "difference", "low", "high", "pairs a query", "skipped"),
        rows,
        f"{count} judged queries, z-scores of BM25 and dense, depth {DEPTH}; differences from the "
        "first row with 95% bootstrap intervals. The similarity is that of the dense source: "
        "its pairs cost nothing here. Skipped: share of queries the cross-encoder never saw.",
    )
