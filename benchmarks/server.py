"""A rerank server that others wrote, asked through `HTTPRerank`: its scores, its limits, its end.

`RUNOFF_RERANK_SERVER` is the command that starts it, with `{model}` and `{port}` where they belong;
`RUNOFF_RERANK_DIALECT` is how it is spoken to, `infinity` unless said otherwise. It serves the
network of `backends`, which is scored in this process too.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import numpy as np
from backends import save
from harness import Report, Requirement, Skipped, Table, interleaved, ratio
from judged import Collection

from runoff.deadline import Deadline
from runoff.errors import CircuitOpen, RunoffError
from runoff.recall import BM25
from runoff.rerank import CrossEncoder, HTTPRerank
from runoff.rerank._remote.breaker import Circuit
from runoff.rerank._remote.dialects import as_dialect
from runoff.rerank._remote.retries import Retries
from runoff.types import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness import Options

    from runoff.scores import PairScores

__all__ = ["run"]

_DOCUMENTS, _WORDS, _ROUNDS, _CALLERS = 50, 60, 3, 4
_QUERIES, _WHOLE = 4, 10  # queries, and documents of each that are scored whole
_APART = 1e-3
_BUDGET, _LATE = 0.25, 0.05  # seconds
_START = 120.0  # seconds
_FAILURES, _COOLDOWN = 5, 1.0
Pairs = list[tuple[str, str]]


def run(options: Options) -> Report:
    """Measure all of it on one server, which is killed and started again at the end."""
    command = os.environ.get("RUNOFF_RERANK_SERVER")
    if not command:
        raise Skipped(
            "no server: set RUNOFF_RERANK_SERVER to a command, such as 'infinity_emb v2 "
            "--model-id {model} --port {port}'"
        )
    if importlib.util.find_spec("sentence_transformers") is None:
        raise Skipped(
            'sentence-transformers is absent: pip install "runoff[sentence-transformers]"'
        )
    asked = _asked(1 if options.quick else _QUERIES, 8 if options.quick else _DOCUMENTS)
    # whole texts show how both sides cut; starts of texts are enough to measure time
    whole = [pairs[:_WHOLE] for pairs in asked]
    pairs = [(query, " ".join(text.split()[:_WORDS])) for query, text in asked[0]]
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "cross-encoder")
        save(model, weights=0.1)
        server = _Server(command, model, Path(folder, "server.log"))
        local = {
            "torch": CrossEncoder(model, backend="torch", device="cpu"),
            "onnx": CrossEncoder(model),
        }
        try:
            server.start()
            remote = _scorer(server.url, max_length=512, timeout=_START)
            agreement, apart = _agreement(remote, local, whole)
            latency = _latency(remote, local, pairs, 1 if options.quick else _ROUNDS)
            crowd = _crowd(remote, pairs)
            refused = _refused(server.url, pairs)
            deadlines, late = _deadlines(server, pairs)
            end, first, back = _end(server, pairs)
        finally:
            server.kill()
    return Report(
        [agreement, latency, crowd, refused, deadlines, end],
        [
            Requirement("server beside torch in this process, in logits", apart, _APART),
            Requirement(f"ms beyond a deadline of {_BUDGET * 1000:.0f} ms", late, _LATE * 1000),
            Requirement("requests refused before the circuit opened", float(first), _FAILURES),
            Requirement("pairs scored after the restart", back, 1.0, at_least=True),
        ],
        [f"server: {command}"],
    )


class _Server:
    """The server's process.

    Args:
        command: how it is started.
        model: the folder it is to serve.
        log: where it may write.
    """

    def __init__(self, command: str, model: Path, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._command = [
            part.replace("{model}", str(model)).replace("{port}", str(port))
            for part in shlex.split(command)
        ]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it and wait until it is healthy; return the seconds that took."""
        began = time.perf_counter()
        with self._log.open("ab") as log:
            # in a group of its own: what it starts ends with it
            self._process = subprocess.Popen(  # noqa: S603 - the user's command
                self._command, stdout=log, stderr=log, start_new_session=True
            )
        while not self._healthy():
            waited = time.perf_counter() - began
            if self._process.poll() is not None or waited > _START:
                said = self._log.read_text("utf-8", "replace")[-2000:]
                raise Skipped(f"the server did not start within {waited:.0f} s; it said:\n{said}")
            time.sleep(0.2)
        return time.perf_counter() - began

    def _healthy(self) -> bool:
        try:
            with urlopen(f"{self.url}/health", timeout=1) as reply:  # noqa: S310 - loopback
                return bool(reply.status == 200)  # noqa: PLR2004 - HTTP
        except OSError:
            return False

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, and what it started too."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()


def _scorer(url: str, **options: Any) -> HTTPRerank:  # noqa: ANN401 - as HTTPRerank takes them
    dialect = as_dialect(os.environ.get("RUNOFF_RERANK_DIALECT", "infinity"))
    model = "cross-encoder" if dialect.model_needed else None
    return HTTPRerank(url, dialect=dialect, model=model, **options)


def _asked(queries: int, documents: int) -> list[Pairs]:
    collection = Collection.load("scifact", queries)
    bm25 = BM25(collection.documents)
    return [
        [(text, hit.document.text) for hit in bm25.retrieve(Query(text), depth=documents)]
        for text in collection.queries.values()
    ]


def _agreement(
    remote: HTTPRerank, local: dict[str, CrossEncoder], asked: Sequence[Pairs]
) -> tuple[Table, float]:
    """Compare scores and orders with those of this process."""
    found = [remote.score(pairs) for pairs in asked]
    rows = []
    for name, scorer in local.items():
        expected = [scorer.score(pairs) for pairs in asked]
        apart = max(
            float(np.abs(one.values - other.values).max())
            for one, other in zip(found, expected, strict=True)
        )
        same = sum(_order(one) == _order(other) for one, other in zip(found, expected, strict=True))
        cut = (sum(int(one.truncated.sum()) for one in side) for side in (found, expected))
        rows.append((name, apart, f"{same} of {len(asked)}", *cut))
    spread = statistics.mean(float(one.values.std()) for one in found)
    table = Table(
        f"The same network served and in this process, {len(asked)} queries of {len(asked[0])}",
        ("in this process", "largest difference", "same order", "cut, by the client", "cut, here"),
        rows,
        f"{found[0].kind} of {found[0].model.name}, which calls itself {found[0].model.revision!r};"
        f" usage {found[0].usage}; deviation of the scores of a query {spread:.2g}.",
    )
    return table, float(rows[0][1])


def _order(scores: PairScores) -> list[int]:
    return np.argsort(-scores.values, kind="stable").tolist()  # type: ignore[no-any-return]


def _latency(
    remote: HTTPRerank, local: dict[str, CrossEncoder], pairs: Pairs, rounds: int
) -> Table:
    scorers: dict[str, CrossEncoder | HTTPRerank] = {
        "torch, here": local["torch"],
        "onnx, here": local["onnx"],
        "server, one request": remote,
        "server, requests of 16": replace(remote, batch=16),
        "server, requests of 4": replace(remote, batch=4),
    }
    calls: dict[str, Callable[[], object]] = {
        name: lambda scorer=scorer: scorer.score(pairs)  # type: ignore[misc]
        for name, scorer in scorers.items()
    }
    seconds = interleaved(rounds, calls)
    return Table(
        f"Seconds to score {len(pairs)} documents of {_WORDS} words",
        ("scorer", "median", "least", "most", "of torch, here"),
        [
            (
                name,
                statistics.median(took),
                min(took),
                max(took),
                ratio(seconds, name, "torch, here"),
            )
            for name, took in seconds.items()
        ],
        f"{rounds} interleaved rounds.",
    )


def _crowd(remote: HTTPRerank, pairs: Pairs) -> Table:
    """Let several callers ask at once."""
    began = time.perf_counter()
    with ThreadPoolExecutor(_CALLERS) as pool:
        told = list(pool.map(lambda _: _told(remote, pairs), range(_CALLERS)))
    return Table(
        f"{_CALLERS} callers at once, {len(pairs)} documents each",
        ("answer", "callers"),
        [(one, told.count(one)) for one in dict.fromkeys(told)],
        f"{time.perf_counter() - began:.1f} s for all.",
    )


def _refused(url: str, pairs: Pairs) -> Table:
    """Send what a server may refuse, each beside a text that it can read."""
    query, text = pairs[0]
    once = _scorer(url, retries=Retries(1), circuit=None)
    many = [(query, "a")] * 2500
    cases: list[tuple[str, HTTPRerank, Pairs]] = [
        ("another model's name", replace(once, model="no/such-model"), [(query, text)]),
        ("a text of 5,000 words", once, [(query, "word " * 5_000), (query, text)]),
        ("a text of 200,000 characters", once, [(query, "text " * 40_000), (query, text)]),
        ("half a surrogate pair", once, [(query, "half \ud800"), (query, text)]),
        ("a blank text", once, [(query, " \n"), (query, text)]),
        ("a blank query", once, [(" ", text)]),
        (f"{len(many):,} texts at once", replace(once, batch=len(many)), many),
        (
            "a path that it does not have",
            replace(once, url=f"{url}/nowhere/rerank"),
            [(query, text)],
        ),
    ]
    return Table(
        "What it will not read",
        ("sent", "answer"),
        [(what, _told(scorer, told)) for what, scorer, told in cases],
    )


def _told(scorer: HTTPRerank, pairs: Pairs, deadline: Deadline | None = None) -> str:
    """Return in one line what scoring came to."""
    try:
        found = scorer.score(pairs, deadline=deadline)
    except RunoffError as error:
        return f"{type(error).__name__}: {error}"
    requests = f"{found.usage.requests} request" + "s" * (found.usage.requests != 1)
    told = f"{int(found.scored.sum())} of {len(found)} scored in {requests}"
    notes = [note for note in found.notes if "estimate" not in note]
    return "; ".join((told, *([found.reason] if found.reason else []), *notes))


def _deadlines(server: _Server, pairs: Pairs) -> tuple[Table, float]:
    """Ask for more than fits, then ask a server that has stopped; return the ms beyond it too."""
    scorer = _scorer(server.url, batch=4, circuit=None)
    rows = [_within("more texts than fit", scorer, pairs)]
    time.sleep(3)  # what was given up is still in its queue
    server.send(signal.SIGSTOP)
    rows.append(_within("a server that has stopped", scorer, pairs))
    server.send(signal.SIGCONT)
    time.sleep(3)
    rows.append(_within("the same, going on, without a deadline", scorer, pairs, None))
    table = Table(
        f"A deadline of {_BUDGET * 1000:.0f} ms, requests of 4",
        ("asked", "ms", "answer"),
        rows,
    )
    return table, max(row[1] for row in rows[:2]) - _BUDGET * 1000


def _within(
    what: str, scorer: HTTPRerank, pairs: Pairs, budget: float | None = _BUDGET
) -> tuple[str, float, str]:
    began = time.perf_counter()
    said = _told(scorer, pairs, Deadline(budget))
    return what, (time.perf_counter() - began) * 1000, said


def _end(server: _Server, pairs: Pairs) -> tuple[Table, int, float]:
    """Kill the server while it works, ask it again, and again when it is back."""
    scorer = _scorer(
        server.url,
        retries=Retries(1),
        circuit=Circuit(_FAILURES, cooldown=_COOLDOWN),
    )
    threading.Timer(0.1, lambda: server.send(signal.SIGKILL)).start()
    rows = [_within("killed after 100 ms", scorer, pairs, None)]
    server.kill()
    refused = 0
    while refused < 2 * _FAILURES:
        row = _within(f"gone, call {refused + 1}", scorer, pairs, None)
        rows.append(row)
        if row[2].startswith(CircuitOpen.__name__):
            break
        refused += 1
    took = server.start()
    time.sleep(_COOLDOWN)
    rows.append(_within(f"back after {took:.0f} s", scorer, pairs, None))
    scored = scorer.score(pairs).scored.mean()
    return Table("Its end, and after it", ("when", "ms", "answer"), rows), refused, float(scored)
