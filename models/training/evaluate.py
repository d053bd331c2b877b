"""Print the numbers of the cards: both models over three collections, and what a pair costs.

None of these collections trains or selects anything. Candidates are the BM25 top 100; unjudged
documents count as not relevant; ties keep BM25's order.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import bm25s
import ir_measures
import numpy as np
import Stemmer
from common import INPUTS, Encoder, data_root, read_jsonl
from ir_measures import nDCG

if TYPE_CHECKING:
    from collections.abc import Callable

Rankings = dict[str, dict[str, float]]
COLLECTIONS = {"dl19": "msmarco-dl19-pool", "scifact": "scifact", "nfcorpus": "nfcorpus"}
THREADS = 2


class Collection:
    """Texts, queries, judgments and the BM25 top 100 of one collection."""

    def __init__(self, folder: Path) -> None:
        self.texts = {
            str(row["_id"]): f"{row.get('title') or ''} {row['text']}".strip()
            for row in read_jsonl(folder / "corpus.jsonl.gz")
        }
        full = folder / "qrels.full.tsv"
        lines = (full if full.exists() else folder / "qrels.tsv").read_text().splitlines()[1:]
        self.qrels = [
            ir_measures.Qrel(q, d, int(grade))
            for q, d, grade in (line.split("\t") for line in lines)
        ]
        judged = {qrel.query_id for qrel in self.qrels}
        self.queries = {
            str(row["_id"]): row["text"]
            for row in read_jsonl(folder / "queries.jsonl.gz")
            if str(row["_id"]) in judged
        }
        run = folder / "bm25.anserini.top100.run.tsv"
        self.bm25 = self._read(run) if run.exists() else self._search()

    def _read(self, run: Path) -> Rankings:
        found: Rankings = {}
        for line in run.read_text().splitlines()[1:]:
            query, document, _, score = line.split("\t")
            if query in self.queries:
                found.setdefault(query, {})[document] = float(score)
        return found

    def _search(self) -> Rankings:
        def tokens(texts: list[str]) -> object:
            return bm25s.tokenize(
                texts, stopwords="en", stemmer=Stemmer.Stemmer("english"), show_progress=False
            )

        ids = list(self.texts)
        index = bm25s.BM25(k1=1.2, b=0.75)
        index.index(tokens(list(self.texts.values())), show_progress=False)
        found, scores = index.retrieve(
            tokens(list(self.queries.values())), k=100, show_progress=False
        )
        return {
            query: {ids[i]: float(s) for i, s in zip(row, values, strict=True) if s > 0}
            for query, row, values in zip(self.queries, found, scores, strict=True)
        }

    def ndcg(self, scores: Rankings) -> float:
        """nDCG@10 of the candidates in the order of the scores."""
        run = [
            ir_measures.ScoredDoc(query, document, -float(rank))
            for query, row in scores.items()
            for rank, document in enumerate(sorted(row, key=row.__getitem__, reverse=True))
        ]
        return float(ir_measures.calc_aggregate([nDCG @ 10], self.qrels, run)[nDCG @ 10])


def spread(
    function: Callable[[tuple[str, ...]], np.ndarray], inputs: list[tuple[str, ...]]
) -> list[np.ndarray]:
    """One run an input, over as many threads as cores."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, inputs))


def cross_scores(encoder: Encoder, collection: Collection) -> Rankings:
    """The logits of every candidate."""
    keys = [(query, document) for query, row in collection.bm25.items() for document in row]
    values = spread(
        encoder,
        [(collection.queries[query], collection.texts[document]) for query, document in keys],
    )
    found: Rankings = {}
    for (query, document), value in zip(keys, values, strict=True):
        found.setdefault(query, {})[document] = float(value[0])
    return found


def embedded(encoder: Encoder, texts: dict[str, str]) -> dict[str, np.ndarray]:
    """The unit embedding of each text."""
    return dict(zip(texts, spread(encoder, [(text,) for text in texts.values()]), strict=True))


def standardised(row: dict[str, float]) -> dict[str, float]:
    """The scores of one query's candidates at mean 0 and standard deviation 1."""
    values = list(row.values())
    mean, deviation = statistics.fmean(values), statistics.pstdev(values) or 1.0
    return {document: (value - mean) / deviation for document, value in row.items()}


def mixed(left: Rankings, right: Rankings) -> Rankings:
    """Both halves standardised by query and added with equal weight."""
    result: Rankings = {}
    for query in left:
        a, b = standardised(left[query]), standardised(right[query])
        result[query] = {document: a[document] + b[document] for document in a}
    return result


def reciprocal_ranks(rankings: Rankings) -> Rankings:
    """1 / (60 + rank) in place of each score."""
    return {
        query: {
            d: 1.0 / (60 + rank)
            for rank, d in enumerate(sorted(row, key=row.__getitem__, reverse=True), 1)
        }
        for query, row in rankings.items()
    }


def measure(collection: Collection, mini: Encoder, bi: Encoder, *, whole: bool) -> dict[str, float]:
    """nDCG@10 by system; `whole` adds the exact dense search over the collection."""
    crossed = cross_scores(mini, collection)
    wanted = (
        collection.texts
        if whole
        else {d: collection.texts[d] for row in collection.bm25.values() for d in row}
    )
    documents, queries = embedded(bi, wanted), embedded(bi, collection.queries)
    dense = {
        q: {d: float(queries[q] @ documents[d]) for d in row} for q, row in collection.bm25.items()
    }
    figures = {
        "bm25": collection.ndcg(collection.bm25),
        "runoff-mini": collection.ndcg(crossed),
        "bi-encoder": collection.ndcg(dense),
        "mini + bi-encoder": collection.ndcg(mixed(crossed, dense)),
        "mini + bm25": collection.ndcg(mixed(crossed, collection.bm25)),
        "mini + 1/(60+rank)": collection.ndcg(mixed(crossed, reciprocal_ranks(collection.bm25))),
    }
    if whole:
        matrix, ids = np.stack(list(documents.values())), np.array(list(documents))
        best: Rankings = {}
        for query, vector in queries.items():
            scores = matrix @ vector
            top = np.argsort(-scores, kind="stable")[:100]
            best[query] = dict(zip(ids[top].tolist(), scores[top].tolist(), strict=True))
        figures["bi-encoder, dense search"] = collection.ndcg(best)
    return figures


def milliseconds(encoder: Encoder) -> dict[str, float]:
    """The median latency of one input on one thread, by its number of tokens."""
    random = np.random.default_rng(0)
    result = {}
    for tokens in (64, 128, 256, 512):
        columns = (
            random.integers(1000, 30000, (1, tokens)),
            np.ones((1, tokens)),
            np.repeat([[0, 1]], [8, tokens - 8], 1),
        )
        feed = {name: column.astype(np.int64) for name, column in zip(INPUTS, columns, strict=True)}
        times = []
        for _ in range(30):
            started = time.perf_counter()
            encoder.session.run(None, feed)
            times.append(1000 * (time.perf_counter() - started))
        result[str(tokens)] = round(statistics.median(times), 1)
    return result


def main() -> None:
    """Measure, print a table, and write the figures when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="data root (default: RUNOFF_DATA, else ../shared/data)")
    parser.add_argument(
        "--models", type=Path, default=Path(__file__).parents[1] / "src/runoff_models/data"
    )
    parser.add_argument(
        "--model-file", default="model_int8.onnx", help="the ONNX file in each model's folder"
    )
    parser.add_argument("--collections", nargs="*", choices=COLLECTIONS, default=list(COLLECTIONS))
    parser.add_argument(
        "--mini-length", type=int, help="max_length of runoff-mini, in place of its config's"
    )
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    encoders = {}
    for name in ("runoff-mini", "all-MiniLM-L6-v2"):
        folder = args.models / name
        length = json.loads((folder / "config.json").read_text())["max_length"]
        if name == "runoff-mini" and args.mini_length:
            length = args.mini_length
        encoders[name] = Encoder(folder / args.model_file, folder / "tokenizer.json", length)
    mini, bi = encoders.values()
    report: dict[str, dict[str, float]] = {}
    for name in args.collections:
        collection = Collection(data_root(args.data) / COLLECTIONS[name])
        report[name] = measure(collection, mini, bi, whole=name == "scifact")
        for system, figure in report[name].items():
            print(f"{name:10} {system:26} nDCG@10 {figure:.4f}", flush=True)
    for name, encoder in encoders.items():
        report[f"{name} ms by tokens"] = milliseconds(encoder)
        print(f"{name:18} ms on one thread by tokens: {report[f'{name} ms by tokens']}")
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
