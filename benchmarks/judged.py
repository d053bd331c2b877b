"""Judged collections, what is slow to compute over them, and measures by ir-measures."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from harness import Skipped, cache_root, data_root, say

from runoff import Document, Query
from runoff.scores import PairScores

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from runoff.deadline import Deadline
    from runoff.recall import Embedder
    from runoff.rerank import CrossEncoder
    from runoff.types import Hit

__all__ = ["Collection", "Given", "Remembered", "Runs", "Values", "bootstrap", "measured"]

Runs = dict[str, list[str]]
Values = dict[str, dict[str, float]]

_RESAMPLES = 10_000
_TRAIN = "train/"


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents, queries and judgments.

    Attributes:
        name: the folder's name.
        documents: with the title before the text.
        queries: judged queries by id.
        qrels: query id to document id to grade.
        given: query id to (document id, score) best first, where the folder brings a first stage.
    """

    name: str
    documents: list[Document]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    given: dict[str, list[tuple[str, float]]]

    @classmethod
    def load(cls, name: str, queries: int | None = None, split: str = "test") -> Collection:
        """Read a BEIR-style folder below the data root, or a file of its `train` folder.

        Args:
            name: the folder, or `train/` and a file of (query, positive) rows without its ending:
                its passages are the collection then, and each query has one relevant document.
            queries: how many judged queries to take at most, evenly spread over the judgments.
            split: whose judgments: `"test"`, `"dev"` or `"train"`.

        Raises:
            Skipped: the folder is not there, or has no such judgments.
        """
        folder = data_root() / name
        if name.startswith(_TRAIN):
            return cls._of_pairs(name, folder.with_name(f"{folder.name}.jsonl.gz"), queries)
        if not (folder / "corpus.jsonl.gz").is_file():
            msg = f"no collection {name} in the data folder"
            raise Skipped(msg)
        files = ["qrels.full.tsv", "qrels.tsv"] if split == "test" else [f"qrels.{split}.tsv"]
        judgments = next((folder / one for one in files if (folder / one).is_file()), None)
        if judgments is None:
            msg = f"{name} has no {split} judgments"
            raise Skipped(msg)
        qrels: dict[str, dict[str, int]] = {}
        for query_id, doc_id, grade in _rows(judgments):
            qrels.setdefault(query_id, {})[doc_id] = int(grade)
        if queries is not None and len(qrels) > queries:
            ids, places = list(qrels), np.linspace(0, len(qrels) - 1, queries, dtype=int)
            qrels = {ids[at]: qrels[ids[at]] for at in places.tolist()}
        given: dict[str, list[tuple[str, float]]] = {}
        run = folder / "bm25.anserini.top100.run.tsv"
        for query_id, doc_id, _, score in _rows(run) if run.is_file() else ():
            if query_id in qrels:
                given.setdefault(query_id, []).append((doc_id, float(score)))
        return cls(
            name,
            [
                Document(str(row["_id"]), f"{row.get('title') or ''} {row['text']}".strip())
                for row in _json_lines(folder / "corpus.jsonl.gz")
            ],
            {
                str(row["_id"]): str(row["text"])
                for row in _json_lines(folder / "queries.jsonl.gz")
                if str(row["_id"]) in qrels
            },
            qrels,
            given,
        )

    @classmethod
    def _of_pairs(cls, name: str, path: Path, queries: int | None) -> Collection:
        if not path.is_file():
            msg = f"no file {name} in the data folder"
            raise Skipped(msg)
        rows = list(_json_lines(path))
        texts = dict.fromkeys(
            text
            for row in rows
            for text in (row.get("positive") or row["text"], *row.get("negatives", ()))
        )
        ids = {text: str(at) for at, text in enumerate(texts)}
        right: dict[str, dict[str, int]] = {}
        for row in rows:
            if row.get("label", 1):
                right.setdefault(row["query"], {})[ids[row.get("positive") or row["text"]]] = 1
        chosen = sorted(right, key=lambda one: hashlib.sha256(one.encode()).digest())[:queries]
        return cls(
            name.replace("/", "-"),
            [Document(doc_id, text) for text, doc_id in ids.items()],
            {f"q{at}": text for at, text in enumerate(chosen)},
            {f"q{at}": right[text] for at, text in enumerate(chosen)},
            {},
        )


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)


def _rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text("utf-8").splitlines()[1:]]


class Given:
    """A source with ready hits for every query text, and the spread of scores of their source."""

    keeps_deadline = True

    def __init__(
        self, hits: Mapping[str, Sequence[Hit]], score_spread: float | None = None
    ) -> None:
        self._hits = hits
        self.score_spread = score_spread

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Return the first `depth` of them."""
        del deadline
        return self._hits.get(query.text, ())[:depth]


def embeddings(name: str, texts: Sequence[str], embedder: Embedder) -> NDArray[np.float32]:
    """Return the embeddings of texts, computed once for each model and list of texts."""
    digest = hashlib.sha256(embedder.identity.revision.encode())
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    path = cache_root() / f"{name}-{digest.hexdigest()[:16]}.npy"
    if path.is_file():
        kept: NDArray[np.float32] = np.load(path, allow_pickle=False)
        return kept
    say(f"embedding {len(texts)} texts of {name}")
    values = embedder(texts)
    partial = path.with_suffix(".partial.npy")
    np.save(partial, values)
    partial.replace(path)
    return values


class Remembered:
    """A cross-encoder whose scores are kept on disk, for measuring orders and never time.

    Kept by the model's checksum and the pair's texts, so that a new model starts afresh.
    """

    keeps_deadline = True

    def __init__(self, scorer: CrossEncoder, name: str) -> None:
        scorer.warmup()
        first = scorer.score([("query", "document")])
        self._scorer = scorer
        self._like = first
        self._path = cache_root() / f"{name}-pairs-{first.model.revision}.npz"
        self._values: dict[str, float] = {}
        self._new = 0
        if self._path.is_file():
            with np.load(self._path, allow_pickle=False) as kept:
                self._values = dict(
                    zip(kept["keys"].tolist(), kept["values"].tolist(), strict=True)
                )

    @property
    def name(self) -> str:
        """The scorer's name."""
        return self._scorer.name

    @property
    def default_blend(self) -> float | None:
        """The scorer's."""
        return self._scorer.default_blend

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Score what was never scored before, and remember it."""
        del deadline
        keys = [_pair_key(*pair) for pair in pairs]
        unknown = {
            key: pair for key, pair in zip(keys, pairs, strict=True) if key not in self._values
        }
        if unknown:
            found = self._scorer.score(list(unknown.values()))
            self._values |= dict(zip(unknown, found.values.tolist(), strict=True))
            self._new += len(unknown)
        return PairScores(
            np.array([self._values[key] for key in keys], np.float32),
            np.ones(len(keys), np.bool_),
            np.zeros(len(keys), np.bool_),
            self._like.kind,
            self._like.model,
        )

    def save(self) -> None:
        """Write what is new to disk."""
        if not self._new:
            return
        partial = self._path.with_suffix(".partial.npz")
        np.savez(
            partial,
            keys=np.array(list(self._values), dtype="U32"),
            values=np.array(list(self._values.values()), dtype=np.float32),
        )
        partial.replace(self._path)
        self._new = 0


def _pair_key(query: str, text: str) -> str:
    whole = f"{query}\0{text}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(whole).hexdigest()[:32]


def measured(run: Runs, collection: Collection, measures: Sequence[str]) -> Values:
    """Return every measure of every judged query; one without results counts as zero.

    Args:
        run: query id to document ids, best first.
        collection: has the judgments.
        measures: names as ir-measures spells them.

    Raises:
        Skipped: ir-measures is not installed.
    """
    try:
        import ir_measures  # noqa: PLC0415 - an extra
    except ImportError:
        msg = 'measures need ir-measures: pip install "runoff[eval]"'
        raise Skipped(msg) from None
    parsed = {ir_measures.parse_measure(name): name for name in measures}
    qrels = [
        ir_measures.Qrel(query_id, doc_id, grade)
        for query_id, grades in collection.qrels.items()
        for doc_id, grade in grades.items()
    ]
    scored = [
        ir_measures.ScoredDoc(query_id, doc_id, float(-rank))
        for query_id, order in run.items()
        for rank, doc_id in enumerate(order, 1)
    ]
    values: Values = {name: dict.fromkeys(collection.qrels, 0.0) for name in measures}
    for metric in ir_measures.iter_calc(list(parsed), qrels, scored):
        values[parsed[metric.measure]][metric.query_id] = metric.value
    return values


def mean(values: Mapping[str, float]) -> float:
    """Return the mean over queries."""
    return sum(values.values()) / max(1, len(values))


@dataclass(frozen=True, slots=True)
class Difference:
    """One system against another, query by query.

    Attributes:
        mean: mean difference.
        low: lower end of its 95% bootstrap interval.
        high: upper end.
        wins: queries on which the first is better.
        ties: queries without a difference.
        losses: queries on which it is worse.
    """

    mean: float
    low: float
    high: float
    wins: int
    ties: int
    losses: int


def bootstrap(first: Mapping[str, float], second: Mapping[str, float]) -> Difference:
    """Compare two systems by a percentile bootstrap over queries, 10,000 resamples."""
    delta = np.array([first[query_id] - second[query_id] for query_id in second])
    draws = np.random.default_rng(0).integers(0, len(delta), (_RESAMPLES, len(delta)))
    low, high = np.percentile(delta[draws].mean(axis=1), (2.5, 97.5))
    return Difference(
        float(delta.mean()),
        float(low),
        float(high),
        int((delta > 0).sum()),
        int((delta == 0).sum()),
        int((delta < 0).sum()),
    )
