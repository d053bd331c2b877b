"""The HTTP side of a chaos server: its connections and the requests on them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import struct
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Protocol

from runoff.errors import InvalidArgument
from runoff.testing._chaos.replies import (
    Dialect,
    Job,
    Refusal,
    dialect_of,
    encode,
    error_reply,
    read_job,
    reply,
    reply_headers,
    tei_info,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runoff.testing._chaos.faults import Fault

_LINGER_NONE = struct.pack("ii", 1, 0)
_LONGEST_LINE = 65_536


@dataclass(slots=True)
class Received:
    """One request as it arrived.

    Attributes:
        method: `"POST"` or `"GET"`.
        path: such as `"/rerank"`.
        headers: by name in lower case, including `authorization`.
        body: the parsed JSON, or None if it was not JSON.
        connection: the number of its connection, from 1.
        open_connections: how many connections were open when it arrived.
        fault: the name of the fault applied to it, or None.
        sent: bytes written in reply so far.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    connection: int
    open_connections: int
    fault: str | None = None
    sent: int = 0


@dataclass(slots=True)
class Traffic:
    """The connections and requests of a server; `lock` guards all of it.

    Attributes:
        lock: held to read or change the other attributes, and to choose a fault.
        closing: set once the server closes.
        open: the thread of every open connection.
        ended: threads whose connection is closed and which are about to end.
        requests: the requests received, in order.
        connections: how many connections were opened so far.
        in_hand: how many requests are in progress.
        most: the highest `in_hand` so far.
    """

    lock: threading.RLock = field(default_factory=threading.RLock)
    closing: threading.Event = field(default_factory=threading.Event)
    open: dict[socket.socket, threading.Thread] = field(default_factory=dict)
    ended: list[threading.Thread] = field(default_factory=list)
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    in_hand: int = 0
    most: int = 0

    def end(self, *, within: float) -> list[threading.Thread]:
        """Cut every connection; return the threads that still run after `within` seconds."""
        last = time.monotonic() + within
        with self.lock:
            connections, threads = list(self.open), [*self.open.values(), *self.ended]
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(max(0.0, last - time.monotonic()))
        return [thread for thread in threads if thread.is_alive()]


class Rules(Protocol):
    """How to answer, read again for every request."""

    token_limit: int
    latency: float

    @property
    def dialect(self) -> Dialect | None:
        """The API to speak on every path that it has."""

    @property
    def elsewhere(self) -> Any:  # noqa: ANN401 - a ChaosServer, which imports this file
        """The server to which redirects point."""


class Listener(socketserver.TCPServer):
    """Accepts connections on a free port of 127.0.0.1, each served by a daemon thread.

    Args:
        rules: how to answer.
        traffic: where to keep connections and requests.
        key: the only key to accept; None accepts any, or none where the API needs none.
        next_fault: returns the fault of the next request; called with the lock held.
    """

    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(
        self,
        rules: Rules,
        traffic: Traffic,
        key: str | None,
        next_fault: Callable[[], Fault | None],
    ) -> None:
        self.rules = rules
        self.traffic = traffic
        self.key = key
        self.next_fault = next_fault
        # `_serve` makes the handlers itself
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - inherited
        traffic = self.traffic
        with traffic.lock:
            number = traffic.connections + 1
            thread = threading.Thread(
                target=self._serve,
                args=(request, client_address, number),
                name=f"chaos-{number}",
                daemon=True,
            )
            thread.start()
            traffic.ended = [one for one in traffic.ended if one.is_alive()]
            traffic.open[request] = thread
            traffic.connections = number

    def _serve(self, request: socket.socket, client_address: Any, number: int) -> None:  # noqa: ANN401
        try:
            with contextlib.suppress(OSError):  # the client left, or the server closes
                _Handler(request, client_address, self, number)
        finally:
            self.shutdown_request(request)
            with self.traffic.lock:
                self.traffic.ended.append(self.traffic.open.pop(request))


class _Handler(BaseHTTPRequestHandler):
    """Serves the requests of one connection, and is the `Exchange` that faults get."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener
    job: Job

    def __init__(
        self,
        request: socket.socket,
        client_address: Any,  # noqa: ANN401 - inherited
        server: Listener,
        number: int,
    ) -> None:
        self._number = number
        self._dialect: Dialect | None = None
        super().__init__(request, client_address, server)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
        """Log nothing."""

    def do_GET(self) -> None:
        """Answer TEI's `GET /info`, the only path for GET."""
        self._dialect = None
        with self.server.traffic.lock:
            self._record(None, None)
        if self.path == "/info":
            self.send(200, encode(tei_info(self.server.rules.token_limit)))
        else:
            self.send(404, encode({"detail": "Not Found"}))

    def do_POST(self) -> None:
        try:
            raw, refusal = self._read_body(), None
        except Refusal as no:
            self.last()
            raw, refusal = b"", no
        body = None
        with contextlib.suppress(ValueError, RecursionError):
            body = json.loads(raw)
        self._dialect = dialect_of(self.path, body, self.server.rules.dialect)
        refusal = refusal or self._refusal(body)
        traffic = self.server.traffic
        with traffic.lock:
            fault = self.server.next_fault() if refusal is None else None
            self._record(body, fault)
            traffic.in_hand += 1
            traffic.most = max(traffic.most, traffic.in_hand)
        try:
            self._answer(refusal, fault)
        finally:
            with traffic.lock:
                traffic.in_hand -= 1

    def _read_body(self) -> bytes:
        """Return the request's body.

        Raises:
            Refusal: its length is missing or invalid.
            ConnectionError: the client left before the end of it.
        """
        if self.headers.get("Transfer-Encoding", "").strip().lower() == "chunked":
            return b"".join(iter(self._read_chunk, b""))
        length = self.headers.get("Content-Length")
        if length is None:
            raise Refusal(411, "Length Required")
        if not length.strip().isdecimal():
            raise Refusal(400, "Bad Request")
        return self._read(int(length))

    def _read_chunk(self) -> bytes:
        size = self.rfile.readline(_LONGEST_LINE).partition(b";")[0].strip()
        try:
            chunk = self._read(int(size, 16))
        except ValueError:
            raise Refusal(400, "Bad Request") from None
        if not chunk:
            while self.rfile.readline(_LONGEST_LINE).strip():  # trailers
                pass
        elif self._read(2) != b"\r\n":
            raise Refusal(400, "Bad Request")
        return chunk

    def _read(self, length: int) -> bytes:
        if length < 0:
            raise ValueError(length)
        got = self.rfile.read(length)
        if len(got) < length:
            raise ConnectionError("the client left in the middle of its request")
        return got

    def _refusal(self, body: object) -> Refusal | None:
        """Return why to refuse a request; None once `job` is set."""
        if self._dialect is None:
            return Refusal(404, "Not Found")
        try:
            self._admit(self._dialect)
            self.job = read_job(self._dialect, body, token_limit=self.server.rules.token_limit)
        except Refusal as no:
            return no
        return None

    def _admit(self, dialect: Dialect) -> None:
        scheme, _, token = self.headers.get("Authorization", "").strip().partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else ""
        key = self.server.key
        if not given and (key is not None or dialect == "cohere"):
            raise Refusal(401, "no api key supplied")
        if key is not None and given != key:
            raise Refusal(401, "invalid api token")

    def _record(self, body: object, fault: Fault | None) -> None:
        traffic = self.server.traffic
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._received = Received(
            self.command, self.path, headers, body, self._number, len(traffic.open)
        )
        self._received.fault = None if fault is None else fault.name
        traffic.requests.append(self._received)

    def _answer(self, refusal: Refusal | None, fault: Fault | None) -> None:
        if refusal is not None:
            body, headers = error_reply(
                self._dialect, refusal.status, refusal.message, refusal.kind
            )
            self.send(refusal.status, body, headers)
        elif fault is not None:
            fault.act(self)
        elif self.wait(self.server.rules.latency):
            self.send(200, encode(reply(self.job, self.job.rows)))

    @property
    def elsewhere(self) -> str:
        try:
            second = self.server.rules.elsewhere
        except InvalidArgument:
            raise ConnectionAbortedError("the server closes") from None
        return str(second.url).replace("127.0.0.1", "localhost") + self.path

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        self.write(self._head(status, headers))

    def write(self, data: bytes) -> None:
        if self.server.traffic.closing.is_set():
            raise ConnectionAbortedError("the server closes")
        self.wfile.write(data)
        self._received.sent += len(data)

    def send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        length = {"content-length": str(len(body))}
        self.write(self._head(status, length | dict(headers or {})) + body)

    def wait(self, seconds: float) -> bool:
        return not self.server.traffic.closing.wait(seconds)

    def hang(self) -> None:
        self.last()
        while self.connection.recv(_LONGEST_LINE):
            pass

    def reset(self) -> None:
        self.last()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        os.close(self.connection.detach())  # `close` would wait until its file objects are closed

    def last(self) -> None:
        self.close_connection = True

    def _head(self, status: int, headers: Mapping[str, str]) -> bytes:
        sent = {"date": formatdate(usegmt=True), "content-type": "application/json"}
        if status == HTTPStatus.OK and self._dialect is not None:
            sent |= reply_headers(self.job)
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:  # such as Cohere's 498
            phrase = ""
        lines = [f"{name}: {value}" for name, value in (sent | dict(headers)).items()]
        return "\r\n".join([f"HTTP/1.1 {status} {phrase}", *lines, "\r\n"]).encode("latin-1")
