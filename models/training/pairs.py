"""The training pairs: which files are used, what is held out, and how negatives are mined."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import bm25s
import Stemmer
from common import normalise, read_jsonl

if TYPE_CHECKING:
    from pathlib import Path

# Only files whose licence clearly permits distributing a model trained on them.
# `rows` caps a file, `repeat` weighs it.
FILES: dict[str, dict[str, int]] = {
    "squad-nqg-sentences": {},
    "qnli-labeled": {},
    "medquad": {"rows": 3000},
    "pubmedqa-labeled": {},
    "covidqa-200423": {},
    "clapnq-dev": {},
    "qed-nq-dev": {"repeat": 3},
}
HELD_OUT_WHOLE = (
    "clapnq-dev"  # real search queries over passages: the slice nearest to what the model is for
)
HELD_OUT_ROWS = 80  # of each other file


@dataclass
class Example:
    """One query with its positive document and documents mined as negatives, hardest first."""

    source: str
    query: str
    positive: str
    negatives: list[str] = field(default_factory=list)


def _rows(root: Path, name: str) -> list[Example]:
    rows = read_jsonl(root / "train" / f"{name}.jsonl.gz")
    if name != "qnli-labeled":
        return [Example(name, row["query"], row["positive"]) for row in rows if row.get("positive")]
    wrong: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row["label"] == 0:
            wrong[normalise(row["query"])].append(row["text"])
    return [
        Example(name, row["query"], row["text"], wrong[normalise(row["query"])])
        for row in rows
        if row["label"] == 1
    ]


def _evaluation_queries(root: Path) -> set[str]:
    found: set[str] = set()
    for path in root.glob("*/queries.jsonl.gz"):
        found.update(normalise(row["text"]) for row in read_jsonl(path))
    return found


def _labelled_wrong(root: Path) -> dict[str, list[str]]:
    """QNLI's sentences labelled as not answering, which serve SQuAD's questions too."""
    wrong: dict[str, list[str]] = defaultdict(list)
    for row in read_jsonl(root / "train" / "qnli-labeled.jsonl.gz"):
        if row["label"] == 0:
            wrong[normalise(row["query"])].append(row["text"])
    return wrong


def mine(examples: list[Example], pool: list[str], depth: int) -> None:
    """Add the BM25 top `depth` of the pool to each example's negatives, its positives left out."""
    stemmer = Stemmer.Stemmer("english")

    def tokens(texts: list[str]) -> object:
        return bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False)

    index = bm25s.BM25()
    index.index(tokens(pool), show_progress=False)
    found, _ = index.retrieve(
        tokens([e.query for e in examples]), k=min(depth, len(pool)), show_progress=False
    )
    positives: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        positives[normalise(example.query)].add(normalise(example.positive))
    for example, ids in zip(examples, found, strict=True):
        right = positives[normalise(example.query)]
        mined = [pool[i] for i in ids if normalise(pool[i]) not in right]
        example.negatives = list(dict.fromkeys(example.negatives + mined))


def load(
    root: Path, *, depth: int = 24, seed: int = 0
) -> tuple[list[Example], list[Example], dict[str, dict[str, int]]]:
    """Training examples, held-out examples and the rows used of each file.

    Queries equal to an evaluation query (normalised) are dropped; no query is on both sides.
    """
    shuffler = random.Random(seed)
    forbidden, wrong = _evaluation_queries(root), _labelled_wrong(root)
    files: dict[str, list[Example]] = {}
    counts: dict[str, dict[str, int]] = {}
    for name, options in FILES.items():
        rows = _rows(root, name)
        kept = [e for e in rows if normalise(e.query) not in forbidden]
        shuffler.shuffle(kept)
        files[name] = kept[: options.get("rows", len(kept))]
        counts[name] = {
            "usable": len(rows),
            "dropped": len(rows) - len(kept),
            "held_out": 0,
            "used": 0,
        }
    held_queries: set[str] = set()
    for name, examples in files.items():
        by_hash = sorted(
            {normalise(e.query) for e in examples},
            key=lambda q: hashlib.md5(q.encode(), usedforsecurity=False).digest(),
        )
        held_queries.update(by_hash if name == HELD_OUT_WHOLE else by_hash[:HELD_OUT_ROWS])
    train: list[Example] = []
    held: list[Example] = []
    for name, examples in files.items():
        pool = list(dict.fromkeys(e.positive for e in examples))
        if name == "squad-nqg-sentences":
            for example in examples:
                example.negatives = list(wrong.get(normalise(example.query), ()))
        if name == "qnli-labeled":
            pool = list(dict.fromkeys(pool + [text for texts in wrong.values() for text in texts]))
        if name == HELD_OUT_WHOLE:
            pool += [e.positive for e in files["qed-nq-dev"]]
        mine(examples, pool, depth)
        learn = [e for e in examples if normalise(e.query) not in held_queries]
        held += [e for e in examples if normalise(e.query) in held_queries]
        train += learn * FILES[name].get("repeat", 1)
        counts[name].update(held_out=len(examples) - len(learn), used=len(learn))
    return train, held, counts
