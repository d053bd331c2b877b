"""Every fault of the chaos server, byte for byte."""

import json
import math
import time
import zlib
from email.utils import parsedate_to_datetime

import pytest
from wire import PATHS, QUERY, TEXTS, post

from runoff.errors import (
    AuthenticationFailed,
    BadReply,
    ConnectionFailed,
    DeadlineExceeded,
    ModelNotFound,
    RequestRejected,
    ServerFailed,
)
from runoff.testing.chaos import FAULTS, ChaosServer, expected_score

HUGE = 200 * 1024 * 1024
DIALECTS = [*PATHS, "cohere"]
RIGHT = [
    (n, expected_score(QUERY, TEXTS[n]))
    for n in sorted(range(4), key=lambda n: -expected_score(QUERY, TEXTS[n]))
]
ODD = (
    "string_scores missing_index duplicate_index index_out_of_range negative_index nan infinity "
    "minus_infinity"
)
MEANT = {
    DeadlineExceeded: ("timeout", "hang drip drip_head"),
    ConnectionFailed: ("connection", "reset reset_midway length_too_long"),
    ServerFailed: (
        "server_error",
        "408 409 424 429 500 502 503 504 429_seconds 429_date 429_ms",
    ),
    RequestRejected: ("request_rejected", "400 413 422"),
    AuthenticationFailed: ("", "401 403 498"),
    ModelNotFound: ("", "404"),
    BadReply: (
        "bad_reply",
        (
            f"length_too_short redirect html empty truncated wrong_schema missing_results {ODD} "
            "oversized oversized_chunked gzip_bomb"
        ),
    ),
    None: ("", "all_equal reversed_ties"),
}
FIRST = RIGHT[0][0]
ROWS = {
    "missing_index": RIGHT[:-1],
    "duplicate_index": [*RIGHT[:-1], RIGHT[0]],
    "index_out_of_range": [*RIGHT[:-1], (4, RIGHT[-1][1])],
    "negative_index": [*RIGHT[:-1], (-1, RIGHT[-1][1])],
    "string_scores": [(n, str(score)) for n, score in RIGHT],
    "infinity": [(FIRST, math.inf), *RIGHT[1:]],
    "minus_infinity": [(FIRST, -math.inf), *RIGHT[1:]],
    "all_equal": [(n, 0.5) for n in range(4)],
    "reversed_ties": [(n, 0.5) for n in (3, 2, 1, 0)],
}


@pytest.fixture(params=DIALECTS)
def dialect(request):
    return request.param


@pytest.fixture
def server(dialect):
    with ChaosServer(dialect=dialect) as running:
        yield running


def _met(server, name, dialect, wait=5.0):
    """Send a request that gets a fault, check the record, and return the reply."""
    server.fault = FAULTS[name]
    got = post(server.url, dialect, wait=wait)
    assert [one.fault for one in server.requests] == [name]
    return got


def _rows(body):
    reply = json.loads(body)
    rows = reply if isinstance(reply, list) else reply["results"]
    return [
        (row["index"], row["score" if isinstance(reply, list) else "relevance_score"])
        for row in rows
    ]


def _good(server, dialect):
    server.fault = None
    return post(server.url, dialect).body


def test_meaning():
    """Every fault names the error that a client should raise, and every fault is tested."""
    said = {
        name: (error, reason) for error, (reason, names) in MEANT.items() for name in names.split()
    }
    assert {name: (fault.error, fault.reason) for name, fault in FAULTS.items()} == said
    permanent = {name for name, fault in FAULTS.items() if fault.permanent}
    assert permanent == {"401", "403", "498", "404"}
    assert all(name == fault.name for name, fault in FAULTS.items())


@pytest.mark.parametrize("name", [name for name in FAULTS if name[:3].isdigit()])
def test_status(server, name, dialect):
    """A status has the dialect's error body and the header in its name, and ends with a FIN."""
    before = time.time()
    got = _met(server, name, dialect)
    assert (got.status, got.end) == (int(name[:3]), "fin")
    assert int(got.headers["content-length"]) == len(got.body)
    given = {k: v for k, v in got.headers.items() if k.startswith("retry-after")}
    if name == "429_date":
        told = parsedate_to_datetime(given.pop("retry-after")).timestamp()
        assert before + 0.9 < told < time.time() + 2.1
    expected = {"429_seconds": {"retry-after": "1"}, "429_ms": {"retry-after-ms": "50"}}
    assert given == expected.get(name, {})
    if dialect == "tei" and name == "413":
        assert got.headers["content-type"] == "text/plain; charset=utf-8"
        return
    assert got.headers["content-type"] == "application/json"
    body = json.loads(got.body)
    if dialect == "tei":
        kinds = {"400": "Empty", "422": "Validation", "429": "Overloaded", "503": "Unhealthy"}
        assert body.keys() == {"error", "error_type"}
        assert body["error_type"] == kinds.get(name[:3], "Backend")
    elif dialect == "cohere":
        assert body.keys() == {"id", "message"}
    elif dialect == "jina":
        assert body.keys() == {"detail"}
    else:
        assert body["error"].keys() == {"message", "type", "param", "code"}
        assert body["error"]["code"] == int(name[:3])


@pytest.mark.parametrize("name", ROWS)
def test_rows(server, name, dialect):
    """Faulty rows differ from the right ones only in what the fault is named for."""
    got = _met(server, name, dialect)
    assert (got.status, got.end) == (200, "fin")
    assert _rows(got.body) == ROWS[name]


def test_nan(server, dialect):
    """The best row's score is the bare word NaN, and every other row is right."""
    got = _met(server, "nan", dialect)
    assert got.body.count(b"NaN") == 1
    (index, score), *others = _rows(got.body)
    assert (index, others) == (FIRST, RIGHT[1:])
    assert math.isnan(score)


@pytest.mark.parametrize("name", ["infinity", "minus_infinity"])
def test_infinity(server, name, dialect):
    """Infinities are written as the bare words of Python's JSON."""
    got = _met(server, name, dialect)
    word = b":Infinity" if name == "infinity" else b":-Infinity"
    assert got.body.count(b"Infinity") == got.body.count(word) == 1


@pytest.mark.parametrize(("name", "body"), [("empty", b""), ("missing_results", b"{}")])
def test_whole_body(server, name, body, dialect):
    """A reply without a body says so, and one without results is an empty object."""
    got = _met(server, name, dialect)
    assert (got.status, got.end, got.body) == (200, "fin", body)
    assert got.headers["content-length"] == str(len(body))


def test_wrong_schema(server, dialect):
    """The rows are right, but wrapped where they should be bare, and the other way round."""
    got = json.loads(_met(server, "wrong_schema", dialect).body)
    assert isinstance(got, dict) == (dialect == "tei")
    assert _rows(json.dumps(got["results"] if dialect == "tei" else {"results": got})) == RIGHT


def test_html(server, dialect):
    """A proxy's page has status 200 and the content type HTML."""
    got = _met(server, "html", dialect)
    assert (got.status, got.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert got.body.startswith(b"<!doctype html>")


def test_redirect(server, dialect):
    """The redirect keeps the method, and names another host and port of this machine."""
    got = _met(server, "redirect", dialect)
    port = server.elsewhere.url.rpartition(":")[2]
    path = PATHS.get(dialect, "/v2/rerank")
    assert (got.status, got.body) == (307, b"")
    assert got.headers["location"] == f"http://localhost:{port}{path}"
    assert port not in server.url
    assert server.elsewhere.requests == []


def test_truncated(server, dialect):
    """Half of the right reply arrives, announced as all of it."""
    got = _met(server, "truncated", dialect)
    assert got.end == "fin"
    assert int(got.headers["content-length"]) == len(got.body) == len(_good(server, dialect)) // 2
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        json.loads(got.body)


@pytest.mark.parametrize(
    ("name", "announced"),
    [("length_too_long", lambda n: n + 100), ("length_too_short", lambda n: n // 2)],
)
def test_wrong_length(server, name, announced, dialect):
    """The right reply arrives with a wrong content length, and then a FIN."""
    got = _met(server, name, dialect)
    assert got.end == "fin"
    assert _rows(got.body) == RIGHT
    assert int(got.headers["content-length"]) == announced(len(got.body))


def test_reset(server, dialect):
    """The connection ends with an RST before any byte."""
    got = _met(server, "reset", dialect)
    assert (got.raw, got.end) == (b"", "rst")


def test_reset_midway(server, dialect):
    """Half of the announced reply arrives, then an RST."""
    got = _met(server, "reset_midway", dialect)
    assert (got.status, got.end) == (200, "rst")
    assert len(got.body) == int(got.headers["content-length"]) // 2


def test_hang(server, dialect):
    """No byte arrives, and the connection stays open."""
    got = _met(server, "hang", dialect, wait=0.15)
    assert (got.raw, got.end) == (b"", "silence")


@pytest.mark.parametrize("dialect", ["tei", "cohere"], indirect=True)
def test_drip(server, dialect):
    """After a complete head, a blank of an announced 200 MB arrives every 50 ms."""
    got = _met(server, "drip", dialect, wait=0.8)
    assert (got.status, got.end) == (200, "silence")
    assert int(got.headers["content-length"]) == HUGE
    assert got.body == b" " * len(got.body)
    assert 2 <= len(got.body) <= 16


@pytest.mark.parametrize("dialect", ["tei", "cohere"], indirect=True)
def test_drip_head(server, dialect):
    """The head itself arrives one byte every 50 ms and never ends."""
    got = _met(server, "drip_head", dialect, wait=0.8)
    start = b"HTTP/1.1 200 OK\r\nX-Slow: "
    dripped = got.raw.removeprefix(start)
    assert (len(got.raw) - len(dripped), got.end) == (len(start), "silence")
    assert dripped == b"a" * len(dripped)
    assert 2 <= len(dripped) <= 16


def test_oversized(server, dialect):
    """200 MB are announced and started, and the server stops when the client leaves."""
    got = _met(server, "oversized", dialect)
    assert (got.status, got.end) == (200, "flood")
    assert int(got.headers["content-length"]) == HUGE
    _idle(server)
    assert 1_000_000 <= server.requests[0].sent < HUGE / 4


def test_oversized_chunked(server, dialect):
    """Chunks of 64 KiB arrive without an announced end."""
    got = _met(server, "oversized_chunked", dialect)
    assert (got.status, got.end) == (200, "flood")
    assert got.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in got.headers
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    assert got.body.startswith(chunk * 14)
    _idle(server)
    assert 1_000_000 <= server.requests[0].sent < HUGE / 4


def test_gzip_bomb(server, dialect):
    """A small gzip body with a right checksum unpacks to a thousand times its size."""
    got = _met(server, "gzip_bomb", dialect)
    assert (got.status, got.end) == (200, "fin")
    assert got.headers["content-encoding"] == "gzip"
    assert int(got.headers["content-length"]) == len(got.body) < HUGE / 500
    unpacker, size, packed = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16), 0, got.body
    if dialect != "cohere":  # the body is the same in all: unpacking it all once is enough
        assert unpacker.decompress(packed, 1_000_000) == b" " * 1_000_000
        return
    while not unpacker.eof:
        size += len(unpacker.decompress(packed, 4_194_304))
        packed = unpacker.unconsumed_tail
    assert (size, unpacker.unused_data) == (HUGE, b"")


def _idle(server):
    last = time.monotonic() + 5
    while server.open_connections:
        assert time.monotonic() < last, "the server still writes to a client that left"
        time.sleep(0.005)


def test_every_fault_is_met():
    """Each fault is the subject of one of the tests above."""
    alone = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    tabled = {*ROWS, "empty", "missing_results", "length_too_long", "length_too_short"}
    statuses = {name for name in FAULTS if name[:3].isdigit()}
    assert FAULTS.keys() <= alone | tabled | statuses
