"""The pairs that runoff-late learns from: files, what is held out, hard negatives, topics."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bm25s
import numpy as np
import Stemmer
from common import normalise, read_jsonl

from runoff.recall import Embedder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# Files whose licence permits distributing a model trained on them; the card credits them.
FILES = (
    "boolq-val",
    "clapnq-dev",
    "covidqa-200423",
    "docs-aws",
    "docs-databases",
    "docs-guides",
    "docs-kubernetes-cloud",
    "docs-languages",
    "docs-microsoft",
    "docs-python-libs",
    "docs-tools-security",
    "docs-us-gov",
    "docs-web",
    "fetaqa-devtest",
    "interview-faq",
    "medquad",
    "nq-dev-oracle",
    "openstax-exercises",
    "openstax-sections",
    "pubmedqa-labeled",
    "qed-nq-dev",
    "recipes",
    "selqa-devtest",
    "squad-train-part",
    "stackexchange-small-sites",
    "strategyqa-facts",
    "tldr-pages",
    "tydiqa-en",
)
ROWS = 900  # of a file at most
FEWER = {"fetaqa-devtest": 400, "strategyqa-facts": 400}  # made-up questions
HELD_OUT = 11  # one passage in so many
LETTERS = 2000  # of a passage at most: more than any encoder here reads
DEPTH = 20  # negatives by BM25, and as many by embeddings
TOPIC = 120  # queries, about


@dataclass(frozen=True)
class Pairs:
    """Rows of all files; a passage of several rows is one entry.

    Attributes:
        passages: distinct texts.
        files: the file of each passage, as an index into FILES.
        queries: texts.
        positives: for each query, the index of its passage.
        held: for each query, whether it is held out: then its passage serves no other query.
    """

    passages: list[str]
    files: NDArray[np.int32]
    queries: list[str]
    positives: NDArray[np.int32]
    held: NDArray[np.bool_]

    @property
    def query_files(self) -> NDArray[np.int32]:
        """The file of each query."""
        return self.files[self.positives]


def load(root: Path, seed: int = 0) -> Pairs:
    """Read the files, at most ROWS of each, and hold out every eleventh passage with its queries.

    Left out: queries of the evaluation folders (letters and digits compared), and rows to be
    trained on whose query or passage is held out in another file.
    """
    shuffler = random.Random(seed)
    forbidden = {
        normalise(row["text"])
        for path in root.glob("*/queries.jsonl.gz")
        for row in read_jsonl(path)
    }
    rows: list[tuple[int, str, str]] = []
    for at, name in enumerate(FILES):
        found = [
            (at, row["query"], row["positive"][:LETTERS])
            for row in read_jsonl(root / "train" / f"{name}.jsonl.gz")
            if row.get("query") and row.get("positive") and normalise(row["query"]) not in forbidden
        ]
        shuffler.shuffle(found)
        rows += found[: FEWER.get(name, ROWS)]
    held_texts = {normalise(text) for _, _, text in rows if _out(text)}
    held_queries = {normalise(query) for _, query, text in rows if _out(text)}
    numbers: dict[str, int] = {}
    passages: list[str] = []
    files: list[int] = []
    queries: list[str] = []
    positives: list[int] = []
    held: list[bool] = []
    seen: set[tuple[str, int]] = set()
    for at, query, text in rows:
        key = normalise(text)
        out = key in held_texts
        if not out and normalise(query) in held_queries:
            continue
        if key not in numbers:
            numbers[key] = len(passages)
            passages.append(text)
            files.append(at)
        if (normalise(query), numbers[key]) in seen:
            continue
        seen.add((normalise(query), numbers[key]))
        queries.append(query)
        positives.append(numbers[key])
        held.append(out)
    return Pairs(
        passages,
        np.array(files, np.int32),
        queries,
        np.array(positives, np.int32),
        np.array(held, np.bool_),
    )


def _out(text: str) -> bool:
    digest = hashlib.md5(normalise(text).encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT == 0


def embedded(texts: list[str]) -> NDArray[np.float32]:
    """Embeddings by the embedded all-MiniLM-L6-v2, whose weights the student starts from."""
    return Embedder("all-MiniLM-L6-v2", max_length=256)(texts)


def by_words(passages: list[str], queries: list[str], depth: int) -> NDArray[np.int32]:
    """The BM25 top `depth` passages of each query, best first."""
    stemmer = Stemmer.Stemmer("english")

    def tokens(texts: list[str]) -> object:
        return bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False)

    index = bm25s.BM25()
    index.index(tokens(passages), show_progress=False)
    found, _ = index.retrieve(tokens(queries), k=depth, show_progress=False)
    return found.astype(np.int32)


def by_meaning(
    passages: NDArray[np.float32], queries: NDArray[np.float32], depth: int
) -> NDArray[np.int32]:
    """The `depth` passages of the largest cosine with each query, best first."""
    best = []
    for start in range(0, len(queries), 512):
        scores = queries[start : start + 512] @ passages.T
        top = np.argpartition(-scores, depth, axis=1)[:, :depth]
        order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1)
        best.append(np.take_along_axis(top, order, 1).astype(np.int32))
    return np.concatenate(best)


def topics(vectors: NDArray[np.float32], seed: int = 0) -> NDArray[np.int32]:
    """A topic for each query: k-means on its embedding, 10 rounds on the unit sphere."""
    randomly = np.random.default_rng(seed)
    centres = vectors[randomly.permutation(len(vectors))[: max(1, len(vectors) // TOPIC)]]
    for _ in range(10):
        nearest = (vectors @ centres.T).argmax(1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, vectors)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0, sums / np.maximum(lengths, 1e-9), centres)
    return (vectors @ centres.T).argmax(1).astype(np.int32)


def chosen(pairs: Pairs, count: int) -> NDArray[np.int64]:
    """Which of the queries that are not held out are trained on: `count` at random, in order."""
    learned = np.flatnonzero(~pairs.held)
    return np.sort(np.random.default_rng(0).permutation(len(learned))[:count])


def negatives(pairs: Pairs, cache: Path) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Hard negatives and the topic of each training query; kept in `cache`.

    Returns:
        For each training query, in order: passages of training queries that BM25 or the embeddings
        rank high, shape (n, 2 * DEPTH), among them perhaps its own; and its topic, shape (n,).
    """
    file = cache / "negatives.npz"
    if not file.exists():
        learned = np.flatnonzero(~pairs.held)
        pool = np.unique(pairs.positives[learned])
        texts = [pairs.passages[at] for at in pool]
        queries = [pairs.queries[at] for at in learned]
        words = by_words(texts, queries, DEPTH)
        asked = embedded(queries)
        meaning = by_meaning(embedded(texts), asked, DEPTH)
        np.savez(file, hard=pool[np.hstack([words, meaning])], topics=topics(asked))
    stored = np.load(file)
    return stored["hard"], stored["topics"]
