"""Cross-encoder scores of a pair alone and in company, and what batching would cost.

The library runs one pair at a time on each core. Batches here go through the same ONNX file and
tokens, padded, in one session with as many threads as cores.
"""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from harness import Report, Requirement, Skipped, Table, interleaved, ratio
from judged import Collection

from runoff._onnx import cpu, resolve, runtime
from runoff._onnx.tokens import TextEncoder
from runoff.errors import MissingExtra
from runoff.recall import BM25
from runoff.rerank import CrossEncoder
from runoff.types import Query

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness import Options
    from numpy.typing import NDArray

    from runoff._onnx.tokens import Encoded

__all__ = ["run"]

_DOCUMENTS = 100
_SINGLE = 25  # pairs that are scored alone too
_BATCH = 32
_BUDGETS = (1024, 2048, 4096)
_BOUNDS = {"fp32": 1e-5, "int8": 1e-3}


def run(options: Options) -> Report:
    """Measure the embedded model, and the directory that RUNOFF_BENCH_FP32 names, if any."""
    collection = Collection.load("scifact", 1 if options.quick else 20)
    bm25 = BM25(collection.documents)
    pairs = [
        [(text, hit.document.text) for hit in bm25.retrieve(Query(text), depth=_DOCUMENTS)]
        for text in collection.queries.values()
    ]
    pairs = [one for one in pairs if len(one) > 1][: 1 if options.quick else 3]
    if options.quick:
        pairs = [one[:4] for one in pairs]
    tables: list[Table] = []
    requirements: list[Requirement] = []
    notes: list[str] = []
    for model in filter(None, ("runoff-mini", os.environ.get("RUNOFF_BENCH_FP32"))):
        scorer = CrossEncoder(model)
        try:
            scorer.warmup()
        except MissingExtra as missing:
            notes.append(f"skipped {model}: {missing}")
            continue
        batches = _Batches(model)
        company, required = _company(scorer, batches, pairs)
        tables.append(company)
        requirements.append(required)
        speed, slower = _speed(scorer, batches, pairs[0], 1 if options.quick else 5)
        tables.append(speed)
        requirements.append(slower)
    if not tables:
        raise Skipped("; ".join(notes))
    return Report(tables, requirements, notes)


def _company(
    scorer: CrossEncoder, batches: _Batches, pairs: list[list[tuple[str, str]]]
) -> tuple[Table, Requirement]:
    largest: dict[str, float] = {
        "pair by pair": 0.0,
        f"fixed batches of {_BATCH}": 0.0,
        "tokens in a batch: 2048": 0.0,
    }
    precision = ""
    for of_query in pairs:
        among = scorer.score(of_query)
        precision = among.model.precision
        spread = float(among.values.std())
        some = np.linspace(0, len(of_query) - 1, min(_SINGLE, len(of_query)), dtype=int)
        alone = np.array([scorer.score([of_query[at]]).values[0] for at in some])
        batched: dict[str, NDArray[np.floating]] = {
            "pair by pair": among.values,
            f"fixed batches of {_BATCH}": batches.fixed(of_query, _BATCH),
            "tokens in a batch: 2048": batches.budget(of_query, 2048),
        }
        for name, values in batched.items():
            apart = float(np.abs(values[some] - alone).max())
            largest[name] = max(largest[name], apart if precision == "fp32" else apart / spread)
    unit = "in logits" if precision == "fp32" else "in standard deviations of a query's scores"
    table = Table(
        f"{scorer.name} ({precision}): largest difference of a pair alone and among the others",
        ("run", unit),
        list(largest.items()),
        f"{_SINGLE} pairs of each of {len(pairs)} queries with {len(pairs[0])} documents.",
    )
    bound = _BOUNDS.get(precision, 1e-3)
    return table, Requirement(
        f"{scorer.name} ({precision}), a pair alone and among others, {unit}",
        largest["pair by pair"],
        bound,
    )


def _speed(
    scorer: CrossEncoder, batches: _Batches, pairs: list[tuple[str, str]], rounds: int
) -> tuple[Table, Requirement]:
    calls: dict[str, Callable[[], object]] = {
        "pair by pair over the cores": lambda: scorer.score(pairs),
        f"fixed batches of {_BATCH}": lambda: batches.fixed(pairs, _BATCH),
    }
    for budget in _BUDGETS:
        calls[f"by length, {budget} tokens a batch"] = lambda budget=budget: batches.budget(
            pairs, budget
        )  # type: ignore[misc]
    seconds = interleaved(rounds, calls)
    first = next(iter(calls))
    tokens = scorer.score(pairs).usage.tokens
    table = Table(
        f"Seconds to score {len(pairs)} documents with {scorer.name}",
        ("run", "seconds", "pair by pair is faster by"),
        [
            (name, statistics.median(taken), ratio(seconds, name, first))
            for name, taken in seconds.items()
        ],
        f"{tokens} tokens, {cpu.cores()} cores, medians of {rounds} interleaved rounds.",
    )
    fixed = f"fixed batches of {_BATCH}"
    what = f"{scorer.name}: time of {fixed}, times that of pair by pair"
    return table, Requirement(what, ratio(seconds, fixed, first))


class _Input(NamedTuple):
    place: int
    encoded: Encoded


class _Batches:
    """Scores padded batches in one session."""

    def __init__(self, model: str) -> None:
        from tokenizers import Tokenizer  # noqa: PLC0415 - heavy

        files, onnxruntime = resolve.resolve(model), runtime.load()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cpu.cores()
        self._session = onnxruntime.InferenceSession(
            str(files.onnx), options, providers=["CPUExecutionProvider"]
        )
        tokenizer = Tokenizer.from_file(str(files.tokenizer))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._encoder = TextEncoder(tokenizer, files.max_length)
        self._names = [one.name for one in self._session.get_inputs()]

    def fixed(self, pairs: list[tuple[str, str]], size: int) -> NDArray[np.float64]:
        """Score batches of a fixed size in input order."""
        inputs = self._inputs(pairs)
        return self._run([inputs[at : at + size] for at in range(0, len(inputs), size)])

    def budget(self, pairs: list[tuple[str, str]], tokens: int) -> NDArray[np.float64]:
        """Score batches of like length with at most so many tokens each, padding included."""
        batches: list[list[_Input]] = []
        for one in sorted(self._inputs(pairs), key=lambda one: len(one.encoded)):
            fits = batches and (len(batches[-1]) + 1) * len(one.encoded) <= tokens
            if fits:
                batches[-1].append(one)
            else:
                batches.append([one])
        return self._run(batches)

    def _inputs(self, pairs: list[tuple[str, str]]) -> list[_Input]:
        return [
            _Input(at, self._encoder.pair(self._encoder.query(query), document))
            for at, (query, document) in enumerate(pairs)
        ]

    def _run(self, batches: list[list[_Input]]) -> NDArray[np.float64]:
        values = np.empty(sum(map(len, batches)))
        for batch in batches:
            shape = (len(batch), max(len(one.encoded) for one in batch))
            feeds = {name: np.zeros(shape, np.int64) for name in self._names}
            for row, one in enumerate(batch):
                size = len(one.encoded)
                feeds["input_ids"][row, :size] = one.encoded.ids[0]
                for name, filled in (
                    ("attention_mask", np.ones(size, np.int64)),
                    ("token_type_ids", one.encoded.type_ids[0]),
                ):
                    if name in feeds:
                        feeds[name][row, :size] = filled
            (found,) = self._session.run(None, feeds)[:1]
            values[[one.place for one in batch]] = np.asarray(found)[:, 0]
        return values
