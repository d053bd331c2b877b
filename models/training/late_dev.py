"""What a checkpoint of runoff-late is worth on held-out queries: this, and nothing else, chooses.

For each file, its held-out queries search a collection of their own passages and others of the
file, CORPUS at most. Candidates are the BM25 and the dense top 50 by the default fusion; dense is
all-MiniLM-L6-v2 for every model. The second stage has the weight .5.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import late_pairs
import numpy as np
import torch
from common import data_root
from late_network import TOKENS, Late, batch, tokenised
from late_teacher import alike

from runoff import Document, TwoStage
from runoff.recall import BM25
from runoff.rerank._blend import blended
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from runoff import Query
    from runoff.deadline import Deadline

CORPUS = 200  # passages of a file
DEPTH = 50
LENGTH, QUERY = 160, 64  # tokens read
BLEND = 0.5
DENSE_SPREAD = 0.063  # of all-MiniLM-L6-v2's cosines, as its config.json states
SYSTEMS = ("first stage", "pooled alone", "late alone", "default with it")
Values = dict[str, dict[str, list[float]]]


@dataclass
class Encoded:
    """Texts by one model: tokens' unit vectors, their weights in a query, pooled vectors."""

    tokens: list[NDArray[np.float32]]
    weights: list[NDArray[np.float32]]
    pooled: NDArray[np.float32]


@dataclass
class _Ready:
    """A source with its hits made before."""

    hits: Mapping[str, Sequence[Hit]]
    score_spread: float

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        del deadline
        return self.hits[query.text][:depth]


def encoded(net: Late, ids: Sequence[Tensor]) -> Encoded:
    """Encode texts, batches of like lengths, one on each core."""
    tokens: list[NDArray[np.float32]] = [np.empty(0)] * len(ids)
    weights, pooled = list(tokens), list(tokens)

    def run(which: list[int]) -> None:
        with torch.inference_mode():
            found = net(*batch([ids[at] for at in which]))
        for row, at in enumerate(which):
            kept = found.kept[row]
            tokens[at] = found.tokens[row][kept].numpy()
            weights[at] = found.weights[row][kept].numpy()
            pooled[at] = found.pooled[row].numpy()

    with ThreadPoolExecutor(
        os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        list(pool.map(run, alike([len(one) for one in ids], TOKENS)))
    return Encoded(tokens, weights, np.stack(pooled))


def maxsim(
    query: NDArray[np.float32], weights: NDArray[np.float32], found: list[NDArray[np.float32]]
) -> NDArray[np.float64]:
    """The weighted mean of a query's best cosines in each document."""
    ends = np.cumsum([0] + [len(one) for one in found])
    best = np.maximum.reduceat(np.concatenate(found) @ query.T, ends[:-1], axis=0)
    return (best @ (weights / weights.sum())).astype(np.float64)


def ndcg(order: Sequence[str], right: str) -> float:
    """nDCG@10 where one document is relevant."""
    return next((1 / math.log2(at + 2) for at, one in enumerate(order[:10]) if one == right), 0.0)


class Dev:
    """The held-out queries, their collections, and the first stage, which is the same for all."""

    def __init__(self, root: Path, baseline: Late) -> None:
        self._pairs = pairs = late_pairs.load(root)
        randomly = np.random.default_rng(0)
        held = np.flatnonzero(pairs.held)
        files = pairs.query_files[held]
        self.collections: list[tuple[str, NDArray[np.int64], NDArray[np.int64]]] = []
        for at, name in enumerate(late_pairs.FILES):
            queries = held[files == at]
            own = np.unique(pairs.positives[queries])
            others = np.setdiff1d(np.flatnonzero(pairs.files == at), own)
            more = randomly.permutation(others)[: max(0, CORPUS - len(own))]
            self.collections.append((name, queries, np.concatenate([own, more])))
        used = np.unique(np.concatenate([corpus for _, _, corpus in self.collections]))
        self._row = {passage: row for row, passage in enumerate(used.tolist())}
        self._query_row = {query: row for row, query in enumerate(held.tolist())}
        self._texts = tokenised([pairs.passages[at] for at in used], LENGTH)
        self._queries = tokenised([pairs.queries[at] for at in held], QUERY)
        self.baseline = self.encode(baseline)
        self._first = {name: self._found(q, c) for name, q, c in self.collections}

    def encode(self, net: Late) -> tuple[Encoded, Encoded]:
        """A model's queries and documents."""
        return encoded(net.eval(), self._queries), encoded(net.eval(), self._texts)

    def _found(
        self, queries: NDArray[np.int64], corpus: NDArray[np.int64]
    ) -> dict[int, list[tuple[int, float]]]:
        """The candidates of each query with their fusion scores, best first."""
        documents = [Document(str(at), self._pairs.passages[at]) for at in corpus]
        bm25 = BM25(documents)
        asked, found = self.baseline
        vectors = found.pooled[[self._row[at] for at in corpus.tolist()]]
        dense = {}
        for query in queries.tolist():
            cosines = vectors @ asked.pooled[self._query_row[query]]
            top = np.argsort(-cosines, kind="stable")[:DEPTH]
            dense[self._pairs.queries[query]] = [
                Hit(documents[at], float(cosines[at]), (-1.0, 1.0)) for at in top.tolist()
            ]
        sources = {"bm25": bm25, "dense": _Ready(dense, DENSE_SPREAD)}
        pipeline = TwoStage(sources, reranker=None, depth=DEPTH)
        answers = {}
        for query in queries.tolist():
            response = pipeline.search(self._pairs.queries[query], top_k=DEPTH)
            answers[query] = [(int(one.doc_id), one.fusion_score) for one in response.results]
        return answers

    def measure(self, model: tuple[Encoded, Encoded]) -> Values:
        """nDCG@10 of each query by file and system."""
        asked, found = model
        values: Values = {}
        for name, queries, corpus in self.collections:
            rows = [self._row[at] for at in corpus.tolist()]
            mine: dict[str, list[float]] = {system: [] for system in SYSTEMS}
            for query in queries.tolist():
                row, right = self._query_row[query], str(self._pairs.positives[query])
                candidates = self._first[name][query]
                ids = [str(at) for at, _ in candidates]
                fused = np.array([score for _, score in candidates])
                texts = [found.tokens[self._row[at]] for at, _ in candidates]
                late = maxsim(asked.tokens[row], asked.weights[row], texts)
                cosines = found.pooled[rows] @ asked.pooled[row]
                orders = (
                    ids,
                    [str(corpus[at]) for at in np.argsort(-cosines, kind="stable")],
                    [ids[at] for at in np.argsort(-late, kind="stable")],
                    [ids[at] for at in np.argsort(-blended(late, fused, BLEND), kind="stable")],
                )
                for system, order in zip(SYSTEMS, orders, strict=True):
                    mine[system].append(ndcg(order, right))
            values[name] = mine
        return values


def means(values: Values) -> dict[str, float]:
    """The mean over files of each system."""
    return {
        system: round(float(np.mean([np.mean(one[system]) for one in values.values()])), 4)
        for system in SYSTEMS
    }


def loaded(checkpoint: Path, start: Path | None = None, share: float = 1.0) -> Late:
    """A checkpoint, or `share` of it and the rest of another."""
    state = torch.load(checkpoint, weights_only=True)
    if start is not None:
        before = torch.load(start, weights_only=True)
        state = {name: share * one + (1 - share) * before[name] for name, one in state.items()}
    net = Late()
    net.load_state_dict(state)
    return net


def main() -> None:
    """Print a table of the checkpoints that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--start", type=Path, required=True, help="start.pt: the untrained model")
    parser.add_argument(
        "--models",
        nargs="*",
        default=[],
        help="checkpoints; PATH:0.5 is half of it and half of --start",
    )
    parser.add_argument("--out", type=Path, help="add each model's values of all queries to it")
    parser.add_argument("--data", help="data root (default: RUNOFF_DATA, else ../shared/data)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    dev = Dev(data_root(args.data), loaded(args.start))
    for given in ["start, equal weights", "start", *args.models]:
        path, _, share = given.partition(":")
        if given == "start, equal weights":
            asked, found = dev.baseline
            equal = [np.ones_like(one) for one in asked.weights]
            model = Encoded(asked.tokens, equal, asked.pooled), found
        elif given == "start":
            model = dev.baseline
        else:
            model = dev.encode(loaded(Path(path), args.start, float(share or 1)))
        values = dev.measure(model)
        print(given, json.dumps(means(values)), flush=True)
        if args.out:
            with args.out.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"model": given, "values": values}) + "\n")


if __name__ == "__main__":
    main()
