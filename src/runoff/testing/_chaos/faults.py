"""The ways a rerank server can misbehave, each with the error that a client should raise."""

from __future__ import annotations

import functools
import math
import struct
import time
import zlib
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from runoff.errors import (
    AuthenticationFailed,
    BadReply,
    ConnectionFailed,
    DeadlineExceeded,
    ModelNotFound,
    RequestRejected,
    RunoffError,
    ServerFailed,
    TransientError,
)
from runoff.testing._chaos.replies import Job, Row, encode, error_reply, reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DRIP = 0.05
_HUGE = 200 * 1024 * 1024
_BLOCK = b" " * 65_536
_PACKED = b" " * 1_048_576


class Exchange(Protocol):
    """What a fault gets to answer one request: the job and the connection.

    Writing raises `OSError` once the client has left or the server closes; do not catch it.
    """

    @property
    def job(self) -> Job:
        """The request, with its right answer."""

    @property
    def elsewhere(self) -> str:
        """The URL of this path on another host and port of the same machine."""

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Write a status line and headers, their names in lower case."""

    def write(self, data: bytes) -> None:
        """Write raw bytes."""

    def send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Write a whole reply, of type JSON unless `headers` say otherwise."""

    def wait(self, seconds: float) -> bool:
        """Sleep; return False as soon as the server closes."""

    def hang(self) -> None:
        """Send nothing until the client leaves or the server closes."""

    def reset(self) -> None:
        """Close the connection with an RST."""

    def last(self) -> None:
        """Close the connection after this request."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave.

    Attributes:
        name: its key in `FAULTS`.
        error: what a client should raise or degrade with; None if it should accept the reply.
        act: answers one request.
    """

    name: str
    error: type[RunoffError] | None
    act: Callable[[Exchange], None] = field(repr=False, compare=False)

    @property
    def permanent(self) -> bool:
        """Whether trying again cannot help."""
        return self.error is not None and not issubclass(self.error, TransientError)

    @property
    def reason(self) -> str:
        """The `Degradation.reason` to report; empty if the error is permanent or there is none."""
        if self.error is not None and issubclass(self.error, TransientError):
            return self.error.reason
        return ""


def _status(
    status: int, headers: Callable[[], dict[str, str]] = dict
) -> Callable[[Exchange], None]:
    def act(exchange: Exchange) -> None:
        try:
            message = HTTPStatus(status).phrase.lower()
        except ValueError:
            message = "invalid token"
        body, own = error_reply(exchange.job.dialect, status, message)
        exchange.send(status, body, own | headers())

    return act


def _rows(
    change: Callable[[list[Row], int], list[Row]],
) -> Callable[[Exchange], None]:
    """Answer with changed rows; `change` gets the right rows and the number of texts."""

    def act(exchange: Exchange) -> None:
        rows = change(list(exchange.job.rows), len(exchange.job.texts))
        exchange.send(200, encode(reply(exchange.job, tuple(rows))))

    return act


def _first_score(value: object) -> Callable[[Exchange], None]:
    return _rows(lambda rows, _: [replace(rows[0], score=value), *rows[1:]] if rows else rows)


def _last_index(index: Callable[[list[Row], int], int]) -> Callable[[Exchange], None]:
    return _rows(
        lambda rows, n: [*rows[:-1], replace(rows[-1], index=index(rows, n))] if rows else rows
    )


def _equal(rows: list[Row], *, backwards: bool) -> list[Row]:
    return [Row(n, 0.5) for n in sorted((row.index for row in rows), reverse=backwards)]


def _duplicate(rows: list[Row], _: int) -> list[Row]:
    return [*rows, *rows] if len(rows) == 1 else [*rows[:-1], *rows[:1]]


def _good(exchange: Exchange) -> bytes:
    return encode(reply(exchange.job, exchange.job.rows))


def _wrong_schema(exchange: Exchange) -> None:
    right: Any = reply(exchange.job, exchange.job.rows)
    wrong = {"results": right} if isinstance(right, list) else None
    exchange.send(200, encode(wrong or right.get("results", right.get("rankings"))))


def _strings(rows: list[Row], _: int) -> list[Row]:
    return [replace(row, score=str(row.score)) for row in rows]


def _length(announced: Callable[[int], int]) -> Callable[[Exchange], None]:
    """Announce a wrong content length, send the body, and close."""

    def act(exchange: Exchange) -> None:
        body = _good(exchange)
        exchange.head(200, {"content-length": str(announced(len(body)))})
        exchange.write(body)
        exchange.last()

    return act


def _drip(exchange: Exchange) -> None:
    exchange.head(200, {"content-length": str(_HUGE)})
    while exchange.wait(_DRIP):
        exchange.write(b" ")


def _drip_head(exchange: Exchange) -> None:
    exchange.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while exchange.wait(_DRIP):
        exchange.write(b"a")


def _reset_midway(exchange: Exchange) -> None:
    body = _good(exchange)
    exchange.head(200, {"content-length": str(len(body))})
    exchange.write(body[: len(body) // 2])
    exchange.wait(_DRIP)  # an immediate RST would discard what the client has not read yet
    exchange.reset()


def _oversized(exchange: Exchange) -> None:
    exchange.head(200, {"content-length": str(_HUGE)})
    for _ in range(_HUGE // len(_BLOCK)):
        exchange.write(_BLOCK)


def _oversized_chunked(exchange: Exchange) -> None:
    exchange.head(200, {"transfer-encoding": "chunked"})
    block = b"%x\r\n%b\r\n" % (len(_BLOCK), _BLOCK)
    for _ in range(_HUGE // len(_BLOCK)):
        exchange.write(block)
    exchange.write(b"0\r\n\r\n")


@functools.cache
def _bomb() -> bytes:
    """Compress one block and repeat it: after a full flush a deflate block is independent."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    block = packer.compress(_PACKED) + packer.flush(zlib.Z_FULL_FLUSH)
    times, checksum = _HUGE // len(_PACKED), 0
    for _ in range(times):
        checksum = zlib.crc32(_PACKED, checksum)
    head, last = b"\x1f\x8b\x08" + bytes(6) + b"\xff", b"\x03\x00"
    return head + block * times + last + struct.pack("<II", checksum, _HUGE)


def _gzip_bomb(exchange: Exchange) -> None:
    exchange.send(200, _bomb(), {"content-encoding": "gzip"})


def _redirect(exchange: Exchange) -> None:
    exchange.send(307, b"", {"location": exchange.elsewhere})


def _html(exchange: Exchange) -> None:
    page = b"<!doctype html><title>Welcome</title><h1>Sign in to the network</h1>"
    exchange.send(200, page, {"content-type": "text/html; charset=utf-8"})


def _truncated(exchange: Exchange) -> None:
    body = _good(exchange)
    exchange.send(200, body[: len(body) // 2])


_ALL: tuple[Fault, ...] = (
    Fault("hang", DeadlineExceeded, lambda exchange: exchange.hang()),
    Fault("drip", DeadlineExceeded, _drip),
    Fault("drip_head", DeadlineExceeded, _drip_head),
    Fault("reset", ConnectionFailed, lambda exchange: exchange.reset()),
    Fault("reset_midway", ConnectionFailed, _reset_midway),
    Fault("length_too_long", ConnectionFailed, _length(lambda n: n + 100)),
    Fault("length_too_short", BadReply, _length(lambda n: n // 2)),
    *(
        Fault(str(status), ServerFailed, _status(status))
        for status in (408, 409, 424, 429, 500, 502, 503, 504)
    ),
    Fault("429_seconds", ServerFailed, _status(429, lambda: {"retry-after": "1"})),
    Fault(
        "429_date",
        ServerFailed,
        _status(429, lambda: {"retry-after": formatdate(time.time() + 2, usegmt=True)}),
    ),
    Fault("429_ms", ServerFailed, _status(429, lambda: {"retry-after-ms": "50"})),
    *(Fault(str(status), RequestRejected, _status(status)) for status in (400, 413, 422)),
    *(Fault(str(status), AuthenticationFailed, _status(status)) for status in (401, 403, 498)),
    Fault("404", ModelNotFound, _status(404)),
    Fault("redirect", BadReply, _redirect),
    Fault("html", BadReply, _html),
    Fault("empty", BadReply, lambda exchange: exchange.send(200, b"")),
    Fault("truncated", BadReply, _truncated),
    Fault("wrong_schema", BadReply, _wrong_schema),
    Fault("missing_results", BadReply, lambda exchange: exchange.send(200, b"{}")),
    Fault("string_scores", BadReply, _rows(_strings)),
    Fault("missing_index", BadReply, _rows(lambda rows, _: rows[:-1])),
    Fault("duplicate_index", BadReply, _rows(_duplicate)),
    Fault("index_out_of_range", BadReply, _last_index(lambda _, n: n)),
    Fault("negative_index", BadReply, _last_index(lambda _, __: -1)),
    Fault("nan", BadReply, _first_score(math.nan)),
    Fault("infinity", BadReply, _first_score(math.inf)),
    Fault("minus_infinity", BadReply, _first_score(-math.inf)),
    Fault("oversized", BadReply, _oversized),
    Fault("oversized_chunked", BadReply, _oversized_chunked),
    Fault("gzip_bomb", BadReply, _gzip_bomb),
    Fault("all_equal", None, _rows(lambda rows, _: _equal(rows, backwards=False))),
    Fault("reversed_ties", None, _rows(lambda rows, _: _equal(rows, backwards=True))),
)

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _ALL}
"""Every fault by its name, such as `"hang"`, `"503"` or `"reversed_ties"`."""
