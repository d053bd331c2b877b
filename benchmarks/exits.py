"""Early exit of runoff-mini, beside a narrower window of the same time.

A head on the third of six layers reads every candidate, and the other three layers read the better
ones. The head is linear and learns the model's own scores, within each query, from files of the
`train` folder; the model stays as it is. What is finished has the score that it would have without
an exit; the others follow in fused order. With a blend, what the head says is
mixed with the fusion scores like the scores themselves. The window reads as many candidates, in
fused order, as the same time allows. Needs the package onnx.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from harness import Report, Requirement, Skipped, Table, cache_root, say
from judged import Collection, bootstrap, mean, measured
from recalled import sources

from runoff import TwoStage
from runoff._onnx import cpu, resolve, runtime, sessions
from runoff._onnx.passes.graph import need_onnx
from runoff._onnx.tokens import TextEncoder
from runoff.errors import MissingExtra
from runoff.rerank._blend import blended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness import Options
    from judged import Values
    from numpy.typing import NDArray

    from runoff._onnx.tokens import Encoded

__all__ = ["run"]

_MODEL = "runoff-mini"
_HIDDEN = "/output/LayerNorm_5/LayerNormalization_output_0"  # after the third layer
_REST = ("attention_mask", "token_type_ids")  # what the other layers read besides
_LEARNED = ("train/docs-us-gov", "train/nq-dev-oracle", "train/openstax-exercises")
_LESSONS, _EACH = 60, 20  # queries of a file, and candidates of each
_RIDGE = 10  # of the mean square of a feature, which is 1; by leaving out one file in turn
_COLLECTIONS = ("cranfield", "msmarco-dl19-pool", "scifact")
_QUERIES, _QUICK, _DEPTH = 43, 2, 100
_LENGTH = 128  # tokens read of a pair
_SHARES = (0.75, 0.5, 0.25)  # of the candidates, finished
_WAYS = [(0.5, True)] + [way for one in _SHARES for way in ((one, False), (0.5 + one / 2, True))]
_BLEND = 0.5  # the model's own
_ROUNDS = 5
_MEASURE = "nDCG@10"


class _Read(NamedTuple):
    """What the halves say of a query's candidates, in fused order.

    Attributes:
        final: the model's own scores, shape (n,).
        features: of the third layer, shape (n, features).
        fusion: fusion scores, shape (n,).
    """

    final: NDArray[np.float64]
    features: NDArray[np.float64]
    fusion: NDArray[np.float64]


class _Halves:
    """The model as two graphs, run pair by pair on one thread as the library runs it whole."""

    def __init__(self) -> None:
        onnx = need_onnx()
        files = resolve.resolve(_MODEL)
        model = onnx.shape_inference.infer_shapes(onnx.load(files.onnx))
        cut = onnx.utils.Extractor(model)
        self._whole = sessions.load(files)
        self._encoder = TextEncoder(self._whole.tokenizer, _LENGTH)
        self._first, self._second = (
            _session(cut.extract_model(inputs, outputs).SerializeToString())
            for inputs, outputs in (
                (["input_ids", *_REST], [_HIDDEN]),
                ([_HIDDEN, *_REST], ["logits"]),
            )
        )

    @property
    def digest(self) -> str:
        """The checksum of the model."""
        return self._whole.digest

    def encoded(self, query: str, document: str) -> Encoded:
        """Return the tokens of a pair."""
        return self._encoder.pair(self._encoder.query(query), document)

    def whole(self, pair: Encoded) -> float:
        """Return the score by the graph as it is shipped."""
        return float(self._whole.run(pair, "logits")[0, 0])

    def early(self, pair: Encoded) -> NDArray[np.float32]:
        """Return the hidden states after three layers."""
        return self._first.run([_HIDDEN], {"input_ids": pair.ids, **_rest(pair)})[0]

    @staticmethod
    def heard(pair: Encoded, hidden: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the head reads of the hidden states.

        That is what the model's own head reads of the last layer (the products of the mean states
        of query and document, their sum, which is a cosine, and the state of [CLS]), and MaxSim.
        """
        document = pair.type_ids[0] > 0
        query, text = hidden[0][~document], hidden[0][document]
        products = _unit(query.mean(0)) * _unit(text.mean(0))
        late = (_unit(query) @ _unit(text).T).max(1).mean()
        return np.concatenate([products, [products.sum(), late], hidden[0, 0]])

    def finished(self, pair: Encoded, hidden: NDArray[np.float32]) -> float:
        """Return the score by the other three layers."""
        return float(self._second.run(["logits"], {_HIDDEN: hidden, **_rest(pair)})[0][0, 0])

    def both(self, pair: Encoded) -> list[float]:
        """Return the score, and what the head reads."""
        hidden = self.early(pair)
        return [self.finished(pair, hidden), *self.heard(pair, hidden)]


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _rest(pair: Encoded) -> dict[str, NDArray[np.int64]]:
    return dict(zip(_REST, (np.ones_like(pair.ids), pair.type_ids), strict=True))


def _session(model: bytes) -> Any:  # noqa: ANN401 - onnxruntime has no types
    onnxruntime = runtime.load()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], disabled_optimizers=[*runtime.SLOWER]
    )


def run(options: Options) -> Report:
    """Measure time and nDCG@10 by the share of candidates that is finished."""
    try:
        halves = _Halves()
    except MissingExtra as missing:
        raise Skipped(str(missing)) from missing
    some = _QUICK if options.quick else None
    lessons = [
        one
        for name in _LEARNED[:some]
        for one in _reads(Collection.load(name, some or _LESSONS), halves, _EACH)[0]
    ]
    head = _head(lessons)
    tables, timed = [], None
    for name in options.collections or _COLLECTIONS:
        collection = Collection.load(name, some or options.queries or _QUERIES)
        reads, ids = _reads(collection, halves, _DEPTH)
        tables.append(_quality(collection, reads, ids, head))
        timed = timed or collection
    seconds, same = _time(timed, halves, 1 if options.quick else _ROUNDS)
    return Report([*tables, seconds], [same])


def _reads(
    collection: Collection, halves: _Halves, each: int
) -> tuple[list[_Read], list[list[str]]]:
    """Return what the halves say of the candidates of every query, and their ids; kept on disk.

    Where fewer than all candidates are asked for, they are drawn at random.
    """
    pipeline = TwoStage(sources(collection, _DEPTH), reranker=None, depth=_DEPTH)
    drawn = np.random.default_rng(0)
    name = f"{collection.name}-{len(collection.queries)}-{each}-{_LENGTH}-{halves.digest[:16]}"
    path = cache_root() / f"exits-{name}.npz"
    kept = dict(np.load(path)) if path.is_file() else {}
    reads, ids = [], []
    for query_id, text in collection.queries.items():
        found = list(pipeline.search(text, top_k=_DEPTH))
        places = np.sort(drawn.permutation(len(found))[:each])
        found = [found[at] for at in places]
        if query_id not in kept:
            pairs = [halves.encoded(text, one.document.text) for one in found]
            with ThreadPoolExecutor(cpu.cores()) as threads:
                kept[query_id] = np.array(list(threads.map(halves.both, pairs)), np.float32)
            np.savez(path, **kept)
            say(f"{collection.name}: {len(kept)} queries")
        values = kept[query_id].astype(np.float64)
        fusion = np.array([one.fusion_score for one in found])
        reads.append(_Read(values[:, 0], values[:, 1:], fusion))
        ids.append([one.doc_id for one in found])
    return reads, ids


def _head(lessons: Sequence[_Read]) -> NDArray[np.float64]:
    """Return the weights of a ridge regression on the model's scores, within each query."""
    features = np.concatenate([one.features - one.features.mean(0) for one in lessons])
    finals = np.concatenate([one.final - one.final.mean() for one in lessons])
    spread = features.std(0)
    features /= spread
    square = features.T @ features + _RIDGE * len(finals) * np.eye(features.shape[1])
    return np.linalg.solve(square, features.T @ finals) / spread


def _order(read: _Read, ids: Sequence[str], finish: NDArray[np.intp], weight: float) -> list[str]:
    """Return the ids of those finished, by their scores, and of the others in fused order."""
    finish = np.sort(finish)
    mixed = blended(read.final[finish], read.fusion[finish], weight)
    ahead = finish[np.argsort(-mixed, kind="stable")]
    behind = np.setdiff1d(np.arange(len(ids)), finish)
    return [ids[at] for at in (*ahead, *behind)]


def _quality(
    collection: Collection,
    reads: Sequence[_Read],
    ids: Sequence[Sequence[str]],
    head: NDArray[np.float64],
) -> Table:
    def values(share: float, weight: float, *, window: bool) -> dict[str, float]:
        runs = {}
        for query_id, read, own in zip(collection.queries, reads, ids, strict=True):
            count = max(1, round(share * len(own)))
            promise = blended(read.features @ head, read.fusion, weight)
            best = np.argsort(-promise, kind="stable")
            finish = np.arange(len(own)) if window else best
            runs[query_id] = _order(read, own, finish[:count], weight)
        found: Values = measured(runs, collection, [_MEASURE])
        return dict(found[_MEASURE])

    rows: list[tuple[object, ...]] = []
    for weight, scored in ((1.0, "scores alone"), (_BLEND, f"blend {_BLEND:g}")):
        whole = values(1.0, weight, window=True)
        rows.append((f"{scored}: all", 1.0, mean(whole), 0.0, 0.0, 0.0))
        for read, window in _WAYS:
            one = values(read, weight, window=window)
            change = bootstrap(one, whole)
            name = f"window of {read:.0%}" if window else f"exit, {read:.0%} finished"
            layers = read if window else 0.5 + read / 2
            figures = mean(one), change.mean, change.low, change.high
            rows.append((f"{scored}: {name}", layers, *figures))
    heard = np.mean([np.corrcoef(one.features @ head, one.final)[0, 1] for one in reads])
    return Table(
        f"{_MEASURE} of {_MODEL} with an early exit on {collection.name}",
        ("second stage", "layers", _MEASURE, "change", "low", "high"),
        rows,
        f"{len(reads)} judged queries, z-scores of BM25 and dense, {_DEPTH} candidates, "
        f"{_LENGTH} tokens of each read; changes "
        "from all finished, with 95% bootstrap intervals. Layers: share of them computed. Within a "
        f"query the head's scores correlate with the model's own by {heard:.2f}.",
    )


def _time(collection: Collection, halves: _Halves, rounds: int) -> tuple[Table, Requirement]:
    """Return processor time of the ways to read a query's candidates, in turns."""
    text = next(iter(collection.queries.values()))
    pairs = [halves.encoded(text, one.text) for one in collection.documents[:_DEPTH]]
    seconds: dict[str, list[float]] = {}
    apart = 0.0
    for _ in range(rounds):
        started = time.process_time()
        scores = [halves.whole(pair) for pair in pairs]
        whole = time.process_time() - started
        started = time.process_time()
        hidden = [halves.early(pair) for pair in pairs]
        first = time.process_time() - started
        started = time.process_time()
        ends = [halves.finished(*both) for both in zip(pairs, hidden, strict=True)]
        second = time.process_time() - started
        apart = max(apart, float(np.abs(np.subtract(scores, ends)).max()))
        seconds.setdefault("the first three layers", []).append(first / whole)
        seconds.setdefault("the other three", []).append(second / whole)
        for share in _SHARES:
            one = (first + share * second) / whole
            seconds.setdefault(f"exit, {share:.0%} finished", []).append(one)
    tokens = sum(map(len, pairs))
    table = Table(
        f"Processor time, of {_MODEL} whole",
        ("what", "median", "least", "largest"),
        [(name, float(np.median(one)), min(one), max(one)) for name, one in seconds.items()],
        f"The first {len(pairs)} documents of {collection.name}, {tokens} tokens, one thread, "
        f"{rounds} rounds in turn; without the head.",
    )
    return table, Requirement("largest difference of a finished score", apart, 0.0)
