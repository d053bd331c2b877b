"""A rerank server that misbehaves on demand, for tests of whatever calls one.

It serves real HTTP on loopback from daemon threads, in the dialects of TEI, vLLM, Jina, infinity
and Cohere, and needs nothing beyond the standard library:

```python
from runoff.testing.chaos import FAULTS, ChaosServer

with ChaosServer() as server:
    server.fault = FAULTS["503"]
    ...  # call server.url + "/rerank", "/v1/rerank" or "/v2/rerank"
```
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import socketserver
import struct
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Self

from runoff.errors import InvalidArgument
from runoff.testing.chaos_faults import FAULTS, Fault
from runoff.testing.chaos_replies import (
    Dialect,
    Job,
    Refusal,
    dialect_of,
    error_body,
    expected_score,
    read_job,
    reply,
    tei_info,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

__all__ = ["FAULTS", "ChaosServer", "Fault", "Received", "expected_score"]

_LINGER_NONE = struct.pack("ii", 1, 0)
_DIALECTS = ("tei", "vllm", "jina", "infinity", "cohere")


@dataclass(slots=True)
class Received:
    """One request as it arrived.

    Attributes:
        method: `"POST"` or `"GET"`.
        path: such as `"/rerank"`.
        headers: by name in lower case, `authorization` included.
        body: the parsed JSON, or None where it is none.
        connection: which connection it came on, from 1.
        open_connections: how many were open when it came.
        fault: the name of the fault it met, or None.
        sent: bytes written in answer so far.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    connection: int
    open_connections: int
    fault: str | None = None
    sent: int = 0


class ChaosServer:
    """A rerank server on 127.0.0.1 that runs inside a `with` block.

    `POST /rerank` speaks TEI where the body has `texts` and infinity where it has `documents`,
    `/v1/rerank` speaks Jina, `/v2/rerank` Cohere, and `GET /info` is TEI's. Texts score
    `expected_score(query, text)`; a token is a word between blanks. Faults meet requests for
    scores only. Where several settings apply, the script goes first, then the random share, then
    `fault`.

    Args:
        dialect: which API to speak on every path that has it; `"vllm"` has all three.
        key: the one key to accept. Without it Cohere's API takes any key, and the others none too.
        token_limit: words of query and text that are read: vLLM refuses more, TEI and infinity
            cut the text.

    Attributes:
        fault: what happens to every request; None for good replies.
        latency: seconds before every good reply.
        requests: what arrived, in order.
        total_connections: how many connections were opened so far.
        most_requests: the highest number of requests in hand at one time.

    Raises:
        InvalidArgument: no such dialect.
    """

    def __init__(
        self, *, dialect: Dialect | None = None, key: str | None = None, token_limit: int = 512
    ) -> None:
        if dialect is not None and dialect not in _DIALECTS:
            raise InvalidArgument("dialect", dialect, f"must be one of {', '.join(_DIALECTS)}")
        self.dialect = dialect
        self.token_limit = token_limit
        self.latency = 0.0
        self.fault: Fault | None = None
        self.requests: list[Received] = []
        self.total_connections = 0
        self.most_requests = 0
        self._key = key
        self._in_hand = 0
        self._script: list[Fault | None] = []
        self._share: tuple[float, random.Random, tuple[Fault, ...]] | None = None
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._elsewhere: ChaosServer | None = None
        self._listener: _Listener | None = None

    def __enter__(self) -> Self:
        if self._closing.is_set() or self._listener is not None:
            raise InvalidArgument("server", self, "serves in one `with` block only; make another")
        self._listener = _Listener(self)
        self._accepting = threading.Thread(
            target=self._listener.serve_forever, args=(0.01,), name="chaos-server", daemon=True
        )
        self._accepting.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ChaosServer(dialect={self.dialect!r}, fault={self.fault!r})"

    @property
    def url(self) -> str:
        """Where it serves, without a path."""
        return f"http://127.0.0.1:{self._serving().server_address[1]}"

    @property
    def elsewhere(self) -> ChaosServer:
        """The second server, at `localhost` and another port, to which `redirect` leads."""
        with self._lock:
            if self._elsewhere is None:
                self._serving()
                self._elsewhere = ChaosServer(
                    dialect=self.dialect, token_limit=self.token_limit
                ).__enter__()
            return self._elsewhere

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        with self._lock:
            return len(self._open)

    def faults(self, *, rate: float, seed: int = 0, among: Iterable[str | Fault] = FAULTS) -> None:
        """Let a random share of the requests meet one of these faults.

        The n-th request after this call meets the same fault for the same seed.

        Args:
            rate: the share, from 0 to 1.
            seed: of the random choice.
            among: faults, or their names.

        Raises:
            InvalidArgument: the rate is out of range, no fault is given, or there is none such.
        """
        if not 0 <= rate <= 1:
            raise InvalidArgument("rate", rate, "must be between 0 and 1")
        chosen = tuple(_fault(one) for one in among)
        if not chosen:
            raise InvalidArgument("among", among, "must name at least one fault")
        with self._lock:
            self._share = (rate, random.Random(seed), chosen)  # noqa: S311 - no secret

    def script(self, steps: Sequence[str | Fault | None]) -> None:
        """Say what each of the next requests meets, in the order of their arrival.

        Args:
            steps: faults, their names, or None for a good reply.

        Raises:
            InvalidArgument: there is no such fault.
        """
        checked = [None if step is None else _fault(step) for step in steps]
        with self._lock:
            self._script = checked

    def clear(self) -> None:
        """Behave from now on, and forget what arrived; connections stay open."""
        with self._lock:
            self.fault, self._share, self._script, self.latency = None, None, [], 0.0
            self.requests, self.most_requests = [], self._in_hand

    def close(self) -> None:
        """End every connection, hanging ones too, and wait for their threads."""
        self._closing.set()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown()
            listener.server_close()
            self._accepting.join()
        with self._lock:
            left = list(self._open.items())
            second, self._elsewhere = self._elsewhere, None
        for connection, _ in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for _, thread in left:
            thread.join()
        if second is not None:
            second.close()

    def _serving(self) -> _Listener:
        if self._listener is None:
            raise InvalidArgument("server", self, "serves only inside its `with` block")
        return self._listener

    def _next_fault(self) -> Fault | None:
        """Choose what the request that has just arrived meets; called with the lock held."""
        if self._script:
            return self._script.pop(0)
        if self._share is not None:
            rate, dice, among = self._share
            if dice.random() < rate:
                return dice.choice(among)
        return self.fault


def _fault(named: str | Fault) -> Fault:
    if isinstance(named, Fault):
        return named
    if named not in FAULTS:
        raise InvalidArgument("fault", named, f"must be one of {', '.join(FAULTS)}")
    return FAULTS[named]


class _Listener(socketserver.TCPServer):
    """Accepts connections, each served by a daemon thread that the chaos server knows."""

    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, chaos: ChaosServer) -> None:
        self.chaos = chaos
        self.numbers: dict[socket.socket, int] = {}
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - inherited
        """Start the thread of a connection."""
        thread = threading.Thread(
            target=self._serve, args=(request, client_address), name="chaos", daemon=True
        )
        with self.chaos._lock:  # noqa: SLF001 - one thing in two classes
            self.chaos._open[request] = thread  # noqa: SLF001
            self.chaos.total_connections += 1
            self.numbers[request] = self.chaos.total_connections
        thread.start()

    def _serve(self, request: socket.socket, client_address: Any) -> None:  # noqa: ANN401
        try:
            with contextlib.suppress(OSError):  # the client left, or the server closes
                self.finish_request(request, client_address)
        finally:
            with self.chaos._lock:  # noqa: SLF001
                self.chaos._open.pop(request, None)  # noqa: SLF001
                self.numbers.pop(request)
            self.shutdown_request(request)


class _Handler(BaseHTTPRequestHandler):
    """Serves the requests of one connection; what a fault needs of it is `Exchange`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener
    job: Job
    _received: Received

    def setup(self) -> None:
        """Number the connection."""
        super().setup()
        self.chaos = self.server.chaos
        self._number = self.server.numbers[self.connection]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer TEI's `GET /info`; nothing else is there."""
        self._record(None)
        if self.path == "/info":
            self._send_json(200, tei_info(self.chaos.token_limit))
        else:
            self._send_json(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        """Score, refuse or misbehave."""
        chaos = self.chaos
        if "Content-Length" not in self.headers:
            self.last()
            self._send_json(411, {"detail": "Length Required"})
            return
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        body = None
        with contextlib.suppress(ValueError):
            body = json.loads(raw)
        with chaos._lock:  # noqa: SLF001
            self._record(body)
            chaos._in_hand += 1  # noqa: SLF001
            chaos.most_requests = max(chaos.most_requests, chaos._in_hand)  # noqa: SLF001
        try:
            self._answer(body)
        except OSError:
            self.close_connection = True
        finally:
            with chaos._lock:  # noqa: SLF001
                chaos._in_hand -= 1  # noqa: SLF001

    def _record(self, body: object) -> None:
        self._received = Received(
            self.command,
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            body,
            self._number,
            self.chaos.open_connections,
        )
        self.chaos.requests.append(self._received)

    def _answer(self, body: object) -> None:
        chaos = self.chaos
        dialect = dialect_of(self.path, body, chaos.dialect)
        if dialect is None:
            self._send_json(404, {"detail": "Not Found"})
            return
        try:
            self._admit(dialect)
            self.job = read_job(dialect, body, token_limit=chaos.token_limit)
        except Refusal as no:
            self._send_json(no.status, error_body(dialect, no.status, no.message, no.kind))
            return
        with chaos._lock:  # noqa: SLF001
            fault = chaos._next_fault()  # noqa: SLF001
        if fault is not None:
            self._received.fault = fault.name
            fault.act(self)
        elif self.wait(chaos.latency):
            self._send_json(200, reply(self.job, self.job.rows))

    def _admit(self, dialect: Dialect) -> None:
        given, key = self.headers.get("Authorization", ""), self.chaos._key  # noqa: SLF001
        if not given and (key is not None or dialect == "cohere"):
            raise Refusal(401, "no api key supplied")
        if key is not None and given.lower() != f"bearer {key}".lower():
            raise Refusal(401, "invalid api token")

    def _send_json(self, status: int, body: object) -> None:
        self.send(status, json.dumps(body).encode())

    @property
    def elsewhere(self) -> str:
        """The URL of this path on the second server."""
        second = self.chaos.elsewhere.url.replace("127.0.0.1", "localhost")
        return second + self.path

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Write a status line and headers."""
        self.write(_head(status, {"Content-Type": "application/json"} | dict(headers)))

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.wfile.write(data)
        self._received.sent += len(data)

    def send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Write a whole reply; it is JSON unless `headers` say otherwise."""
        given = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        self.write(_head(status, given | dict(headers or {})) + body)

    def wait(self, seconds: float) -> bool:
        """Sleep; return False as soon as the server closes."""
        return not self.chaos._closing.wait(seconds)  # noqa: SLF001

    def hang(self) -> None:
        """Say nothing until the client leaves or the server closes."""
        self.last()
        while self.connection.recv(65_536):
            pass

    def reset(self) -> None:
        """Close the connection with an RST."""
        self.last()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        os.close(self.connection.detach())  # `close` would wait for the files made of the socket

    def last(self) -> None:
        """Close the connection after this request."""
        self.close_connection = True


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Chaos", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
