"""The chaos server does on the wire what it says, and leaves nothing behind."""

import contextlib
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from runoff.errors import InvalidArgument
from runoff.testing.chaos import FAULTS, ChaosServer, expected_score

httpx = pytest.importorskip("httpx", reason="the test group is not installed")

QUERY = "green tea water"
TEXTS = ["a river", "green tea", "green tea in water", "no tea"]
RIGHT = sorted(range(4), key=lambda n: -expected_score(QUERY, TEXTS[n]))
KEY = {"Authorization": "Bearer secret"}


@pytest.fixture
def server():
    with ChaosServer() as running:
        yield running


def _ask(server, path="/v2/rerank", timeout=5.0, texts=TEXTS, **more):
    body = {"model": "m", "query": QUERY, "documents": texts, **more}
    return httpx.post(server.url + path, json=body, headers=KEY, timeout=timeout)


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
@pytest.mark.parametrize("dialect", [None, "vllm"])
def test_good_replies(path, dialect):
    """Infinity, Jina, Cohere and vLLM reply best first, with the documented scores."""
    with ChaosServer(dialect=dialect) as server:
        results = _ask(server, path).json()["results"]
    assert [row["index"] for row in results] == RIGHT
    assert [row["relevance_score"] for row in results] == [
        expected_score(QUERY, TEXTS[n]) for n in RIGHT
    ]


def test_tei(server):
    """TEI replies with a bare array, turns ties round, and refuses more than 32 texts."""

    def ask(texts):
        return httpx.post(server.url + "/rerank", json={"query": QUERY, "texts": texts})

    assert [row["index"] for row in ask(TEXTS).json()] == RIGHT
    assert [row["index"] for row in ask(["a", "b", "c"]).json()] == [2, 1, 0]
    refused = ask(["a"] * 33)
    assert refused.status_code == 422
    assert refused.json() == {
        "error": "batch size 33 > maximum allowed batch size 32",
        "error_type": "Validation",
    }
    assert httpx.get(server.url + "/info").json()["max_client_batch_size"] == 32


def test_vllm_refuses_long_texts():
    """A text over the limit of vLLM is answered with 400."""
    with ChaosServer(dialect="vllm") as server:
        refused = _ask(server, texts=["word " * 600])
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "input_tokens"


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "drip_head"])
def test_every_fault_shows(server, name):
    """No fault's reply is the right one, and the record names the fault."""
    server.fault = FAULTS[name]
    right = [(n, expected_score(QUERY, TEXTS[n])) for n in RIGHT]
    got = None
    with (
        contextlib.suppress(httpx.HTTPError),
        httpx.stream(
            "POST",
            server.url + "/v2/rerank",
            json={"query": QUERY, "documents": TEXTS},
            headers=KEY,
            timeout=0.2,
        ) as reply,
    ):
        if name.isdigit():
            assert reply.status_code == int(name)
        start, body = time.monotonic(), b""
        for block in reply.iter_bytes():
            body += block
            if len(body) > 1_000_000 or time.monotonic() > start + 0.3:
                break
        else:
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                results = json.loads(body)["results"]
                got = [(row["index"], row["relevance_score"]) for row in results]
    assert got != right
    assert server.requests[0].fault == name


def test_drip_head(server):
    """The head itself comes byte by byte, and never ends."""
    server.fault = FAULTS["drip_head"]
    body = json.dumps({"query": QUERY, "documents": TEXTS}).encode()
    head = f"POST /rerank HTTP/1.1\r\nHost: chaos\r\nContent-Length: {len(body)}\r\n\r\n"
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(head.encode() + body)
        got = b"".join(client.recv(100) for _ in range(6))
    assert got.startswith(b"HTTP/1.1 200 OK")
    assert b"\r\n\r\n" not in got


def test_script_then_good(server):
    """A script is followed in order, then replies are good."""
    server.script([None, "503", FAULTS["429"]])
    assert [_ask(server).status_code for _ in range(4)] == [200, 503, 429, 200]


def test_share_is_seeded(server):
    """The same seed gives the same faults."""
    met = []
    for _ in range(2):
        server.faults(rate=0.5, seed=3, among=["500", "503"])
        met.append([_ask(server).status_code for _ in range(20)])
    assert met[0] == met[1]
    assert set(met[0]) == {200, 500, 503}


def test_redirect_leads_elsewhere(server):
    """A client that follows the redirect leaves its request at the second server."""
    server.fault = FAULTS["redirect"]
    body = {"query": QUERY, "documents": TEXTS}
    httpx.post(server.url + "/v2/rerank", json=body, headers=KEY, follow_redirects=True)
    assert len(server.elsewhere.requests) == 1
    assert "authorization" not in server.elsewhere.requests[0].headers


def test_closing_ends_hanging_handlers():
    """Closing ends two hundred hanging requests within seconds, and leaves no thread."""
    before = threading.active_count()
    with ChaosServer() as server, ThreadPoolExecutor(200) as pool:
        server.fault = FAULTS["hang"]
        asked = [pool.submit(_ask, server, timeout=30) for _ in range(200)]
        while server.most_requests < 200:
            time.sleep(0.01)
        start = time.monotonic()
        server.close()
        assert all(one.exception() is not None for one in asked)
        assert time.monotonic() - start < 5
    assert threading.active_count() == before


def test_connections_are_reused(server):
    """A client's requests come on one connection, and a thousand leave no thread."""
    before = threading.active_count()
    with httpx.Client(headers=KEY) as client:
        for _ in range(1000):
            client.post(server.url + "/v2/rerank", json={"query": "q", "documents": ["d"]})
    assert server.total_connections == 1
    while server.open_connections:
        time.sleep(0.01)
    time.sleep(0.05)
    assert threading.active_count() == before


def test_cohere_sdk(server):
    """Cohere's own SDK reads the replies, and refuses to work with a wrong key."""
    cohere = pytest.importorskip("cohere", reason="the peers group is not installed")
    with httpx.Client() as http:
        client = cohere.ClientV2(api_key="secret", base_url=server.url, httpx_client=http)
        reply = client.rerank(model="rerank-v3.5", query=QUERY, documents=["tea"] * 101)
        assert len(reply.results) == 101
        assert reply.meta.billed_units.search_units == 2
        server.fault = FAULTS["401"]
        with pytest.raises(cohere.UnauthorizedError):
            client.rerank(model="rerank-v3.5", query=QUERY, documents=TEXTS)


def test_refuses_unknown_names(server):
    """An unknown fault or dialect is an error that names the known ones."""
    with pytest.raises(InvalidArgument, match="hang"):
        server.script(["no such fault"])
    with pytest.raises(InvalidArgument, match="tei"):
        ChaosServer(dialect="rest")
