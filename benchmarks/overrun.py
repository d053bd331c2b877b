"""How far searches over texts made to be slow run past their timeout.

Queries of two million characters, documents of five million, near-duplicates by the hundred, a
model that never returns and a server that sends a byte at a time: each is searched with a timeout,
by `search` and by `asearch`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from harness import Report, Requirement, Skipped, Table, percentile, say

from runoff import Document, Query, TwoStage
from runoff.errors import MissingExtra, RunoffError
from runoff.grouping import Grouping
from runoff.recall import BM25
from runoff.rerank import CrossEncoder, HTTPRerank, LateInteraction, Pointwise, Retries
from runoff.scores import ModelIdentity, PairScores, ScoreKind
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness import Options

    from runoff.deadline import Deadline

__all__ = ["run"]

LETTERS = {
    "Thai": "ก",
    "Hangul": "각",
    "Han": "東",
    "emoji joiners": "👨\u200d👩\u200d",
    "compatibility ligatures": "\ufb03",
    "a ligature of 18 letters": "\ufdfa",
    "lone surrogates": "\ud800",
    "combining marks": "\u0300\u0316",
    "marks that are letters": "\u0f73\u0f75",
    "one word": "ä",
    "words of 99 letters": "x" * 99 + " ",
    "words of 101 letters": "x" * 101 + " ",
    "white space": "\u3000",
    "punctuation": "!",
    "control characters": "\x01",
    "prose": "alpha beta ",
}
_TIMEOUT = 0.2
_QUERY = 2_000_000  # characters
_DOCUMENT = 5_000_000
_ROUNDS = 12
_BOUND = 50.0  # ms

Cell: TypeAlias = "tuple[TwoStage, str]"


class _Listed:
    """A source whose hits are made already."""

    keeps_deadline = True

    def __init__(self, texts: Sequence[str]) -> None:
        self.hits = [
            Hit(Document(f"d{at:04}", text), 1 / (at + 1)) for at, text in enumerate(texts)
        ]

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        del query, deadline
        return self.hits[:depth]


class _Free:
    """A scorer that cannot split texts, and scores every pair at once."""

    keeps_deadline = True
    name = "free"

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        del deadline
        count = len(pairs)
        return PairScores(
            np.arange(count, dtype=np.float32),
            np.ones(count, np.bool_),
            np.zeros(count, np.bool_),
            ScoreKind.LOGIT,
            ModelIdentity(self.name),
        )


def run(options: Options) -> Report:
    """Search every cell in turn, round by round."""
    logging.getLogger("runoff").setLevel(logging.CRITICAL)  # degraded answers are what is measured
    rounds = 1 if options.quick else options.queries or _ROUNDS
    tables, every = [], []
    with contextlib.ExitStack() as stack:
        for title, make in (
            ("hostile queries", _queries),
            ("hostile documents", _documents),
            ("near-duplicates", _duplicates),
            ("a model that never returns", lambda: _forever(stack)),
            ("servers that send a byte at a time", lambda: _dripping(stack)),
        ):
            try:
                cells = make()
            except (MissingExtra, ImportError, Skipped) as missing:
                say(f"skipped {title}: {missing}")
                continue
            found = _overruns(cells, rounds)
            every += [one for ones in found.values() for one in ones]
            tables.append(_table(title, found, rounds))
    worst = percentile(every, 99)
    return Report(tables, [Requirement("overrun of all searches, p99 in ms", worst, _BOUND)])


def _overruns(cells: dict[str, Cell], rounds: int) -> dict[str, list[float]]:
    """Return milliseconds past the timeout of each search; an error counts when it was raised."""
    found: dict[str, list[float]] = {name: [] for name in cells}
    loop = asyncio.new_event_loop()
    for at in range(-1, rounds):
        for name, (pipeline, query) in cells.items():
            time.sleep(_TIMEOUT)  # what the search before left running ends meanwhile
            began = loop.time()
            with contextlib.suppress(RunoffError):
                if at % 2:
                    pipeline.search(query, timeout=_TIMEOUT)
                else:
                    loop.run_until_complete(pipeline.asearch(query, timeout=_TIMEOUT))
            if at >= 0:
                found[name].append(max(0.0, (loop.time() - began - _TIMEOUT) * 1000))
    loop.close()
    return found


def _table(title: str, found: dict[str, list[float]], rounds: int) -> Table:
    rows = [
        (name, percentile(ones, 50), percentile(ones, 99), max(ones))
        for name, ones in found.items()
    ]
    every = [one for ones in found.values() for one in ones]
    rows.append(("all", percentile(every, 50), percentile(every, 99), max(every)))
    about = f"Timeout {_TIMEOUT} s; {rounds} rounds, search and asearch in turn."
    return Table(f"Overrun in ms: {title}", ("texts", "p50", "p99", "most"), rows, about)


def _queries() -> dict[str, Cell]:
    index = BM25([(f"d{number}", f"alpha word{number} ก 東京") for number in range(100)])
    sources = {"bm25": index, "s": _Listed(["alpha", "beta"])}
    cells = {}
    for kind, reranker in (
        ("cross-encoder", CrossEncoder("runoff-mini")),
        ("late interaction", LateInteraction()),
    ):
        pipeline = TwoStage(sources, reranker=reranker)
        pipeline.search("wärme")
        for name, one in LETTERS.items():
            cells[f"{name}, {kind}"] = pipeline, "alpha " + one * (_QUERY // len(one)) + "x"
    return cells


def _documents() -> dict[str, Cell]:
    scorer = CrossEncoder("runoff-mini")
    cells: dict[str, Cell] = {}
    for name, one in LETTERS.items():
        text = one * (_DOCUMENT // len(one))
        sources = {"s": _Listed([text] * 10)}
        for how, reranker in (
            ("the start", scorer),
            ("passages", Pointwise(scorer, passages="max")),
            ("passages by words", Pointwise(_Free(), passages="max")),
            ("late interaction", LateInteraction()),
        ):
            cells[f"{name}, {how}"] = TwoStage(sources, reranker=reranker), "alpha"
    return cells


def _duplicates() -> dict[str, Cell]:
    def few_words(texts: int) -> list[str]:
        source = random.Random(1)  # noqa: S311 - texts
        words = [f"w{number}" for number in range(10)]
        return [" ".join(source.choices(words, k=200)) for _ in range(texts)]

    lists = {f"{depth} texts of ten words": few_words(depth) for depth in (200, 500, 1000)}
    lists["20 texts of 5 MB"] = [f"{at} {'ab cd ' * 800_000}" for at in range(20)]
    for name, one in LETTERS.items():
        lists[f"20 texts of {name}"] = [f"{at} {one * (_QUERY // len(one))}" for at in range(20)]
    group = Grouping(duplicates=0.6)
    return {
        name: (TwoStage({"s": _Listed(texts)}, reranker=None, group=group, depth=len(texts)), "q")
        for name, texts in lists.items()
    }


def _forever(stack: contextlib.ExitStack) -> dict[str, Cell]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    model = _endless(folder)
    return {"loops": (TwoStage({"s": _Listed(["alpha"] * 10)}, reranker=model), "alpha")}


def _endless(folder: Path) -> CrossEncoder:
    """Save a cross-encoder whose graph is a loop without end."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: PLC0415 - as above

    import onnx  # noqa: PLC0415 - a benchmark may lack it
    from onnx import TensorProto, helper  # noqa: PLC0415 - as above

    words = {one: at for at, one in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b"))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))  # noqa: S106 - a token
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["going"]),
            helper.make_node("Add", ["sum", "sum"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("at", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1, 1]),
        ],
        [
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [1, 1]),
        ],
    )
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [1, 1], [0.0])
    names = ("input_ids", "attention_mask")
    graph = helper.make_graph(
        [helper.make_node("Loop", ["", "yes", "zero"], ["logits"], body=body)],
        "endless",
        [helper.make_tensor_value_info(one, TensorProto.INT64, [1, "n"]) for one in names],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1])],
        [yes, zero],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, folder / "model.onnx")
    (folder / "config.json").write_text('{"num_labels": 1}')
    return CrossEncoder(folder)


def _dripping(stack: contextlib.ExitStack) -> dict[str, Cell]:
    url = stack.enter_context(_drips())
    source = _Listed([f"alpha {at}" for at in range(10)])
    how = {"dialect": "vllm", "circuit": None, "retries": Retries(1)}
    return {
        "endless reply": (TwoStage({"s": source}, reranker=HTTPRerank(url, **how)), "alpha"),
    }


@contextlib.contextmanager
def _drips() -> Iterator[str]:
    """The URL of a server whose replies never end, in chunks of one byte."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    listener = socket.create_server(("127.0.0.1", 0))
    closing = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(head)
            while not closing.wait(0.001):
                connection.sendall(b"1\r\n \r\n" * 5)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while not closing.is_set():
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    closing.set()
    listener.close()
