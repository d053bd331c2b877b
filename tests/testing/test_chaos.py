"""The chaos server lets in, serves, follows its settings, and ends."""

import contextlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from wire import QUERY, TEXTS, asked, post, send

from runoff.errors import DeadlineExceeded, InvalidArgument, ServerFailed
from runoff.testing.chaos import FAULTS, ChaosServer, Fault, expected_score

RIGHT = sorted(range(4), key=lambda n: -expected_score(QUERY, TEXTS[n]))
SCORES = [expected_score(QUERY, TEXTS[n]) for n in RIGHT]


@pytest.fixture
def server():
    with ChaosServer() as running:
        yield running


def _results(server, dialect, **more):
    reply = json.loads(post(server.url, dialect, **more).body)
    return reply if isinstance(reply, list) else reply["results"]


def _indices(server, dialect, **more):
    return [row["index"] for row in _results(server, dialect, **more)]


def _statuses(server, n):
    return [post(server.url).status for _ in range(n)]


def test_key():
    """Only the configured key is accepted; only the word `Bearer` may differ in case."""
    with ChaosServer(key="Secret") as server:
        body = json.dumps(asked()).encode()

        def status(path, value):
            given = f"Authorization: {value}\r\n" if value else ""
            start = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{given}"
            start += f"Content-Length: {len(body)}\r\n\r\n"
            return send(server.url, start.encode() + body, wait=5).status

        for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
            assert [status(path, f"{word} Secret") for word in ("Bearer", "bearer", "BEARER")] == (
                [200, 200, 200]
            )
            wrong = ["Bearer secret", "Bearer SECRET", "Bearer Secret2", "Secret", "Basic Secret"]
            assert {status(path, value) for value in [*wrong, "Bearer ", ""]} == {401}


def test_missing_key(server):
    """Cohere requires a key, with its own error message; the others require none."""
    body = json.dumps(asked()).encode()
    start = f"HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"

    def keyless(path):
        return send(server.url, f"POST {path} {start}".encode() + body, wait=5)

    refused = keyless("/v2/rerank")
    assert (refused.status, json.loads(refused.body)["message"]) == (401, "no api key supplied")
    assert [keyless(path).status for path in ("/rerank", "/v1/rerank")] == [200, 200]


def test_latency(server):
    """A good reply takes `latency` seconds; a fault's comes at once."""
    server.script([None, "503"])
    took = []
    for status, server.latency in ((200, 0.2), (503, 60.0)):
        start = time.monotonic()
        assert post(server.url).status == status
        took.append(time.monotonic() - start)
    assert took[0] >= 0.2
    assert took[1] < 30


def test_concurrency(server):
    """Requests at the same time are answered at the same time, each with its own answer."""
    server.latency = 0.3
    asks = [["tea"] * n for n in range(1, 21)]
    with ThreadPoolExecutor(20) as pool:
        got = list(pool.map(lambda one: _indices(server, "cohere", documents=one), asks))
    assert server.most_requests > 2
    assert [len(one) for one in got] == list(range(1, 21))
    assert server.most_requests > 10
    assert server.total_connections == len(server.requests) == 20


def test_script_then_good(server):
    """The script comes first, in order, before `faults` and `fault`; then replies are good."""
    server.faults(rate=1, among=["500"])
    server.script([None, "503", FAULTS["429"]])
    assert _statuses(server, 4) == [200, 503, 429, 500]
    server.clear()
    server.fault = FAULTS["502"]
    server.script([None])
    assert _statuses(server, 2) == [200, 502]


def test_script_meets_requests_in_recorded_order(server):
    """Of concurrent requests the n-th on record got the script's n-th step."""
    steps = ["500", "502", "503", "504"] * 10
    server.script(steps)
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: post(server.url), steps))
    assert [one.fault for one in server.requests] == steps


def test_refused_requests_use_no_step(server):
    """A refused request gets no fault and does not use up a step of the script."""
    server.script(["503"])
    assert post(server.url, documents=[]).status == 400
    assert _statuses(server, 2) == [503, 200]


def test_share_is_seeded(server):
    """The same seed gives the same faults, another seed gives others, at about the given rate."""
    met = []
    for seed in (3, 3, 4):
        server.faults(rate=0.5, seed=seed, among=["500", "503"])
        met.append(_statuses(server, 40))
    assert met[0] == met[1] != met[2]
    assert set(met[0]) == {200, 500, 503}
    assert 10 <= met[0].count(200) <= 30


def test_clear(server):
    """After `clear` replies are good and fast, and no requests are on record."""
    server.fault, server.latency = FAULTS["500"], 30.0
    server.faults(rate=1, among=["502"])
    server.script(["503", "504"])
    assert _statuses(server, 1) == [503]
    server.clear()
    assert (server.requests, server.most_requests, server.fault) == ([], 0, None)
    assert _statuses(server, 1) == [200]
    assert [one.fault for one in server.requests] == [None]


def test_redirect_leads_elsewhere(server):
    """A client that follows the redirect sends the second server its request without the key."""
    httpx = pytest.importorskip("httpx", reason="the test group is not installed")
    server.fault = FAULTS["redirect"]
    key = {"Authorization": "Bearer secret"}
    httpx.post(server.url + "/v2/rerank", json=asked(), headers=key, follow_redirects=True)
    (met,) = server.elsewhere.requests
    assert met.body == asked()
    assert "authorization" not in met.headers


def test_closing_ends_hanging_handlers():
    """Closing ends two hundred hanging requests within seconds, and leaves no thread."""
    before = threading.active_count()
    with ChaosServer() as server, ThreadPoolExecutor(200) as pool:
        server.fault = FAULTS["hang"]
        waiting = [pool.submit(post, server.url, wait=30) for _ in range(200)]
        while server.most_requests < 200:
            time.sleep(0.01)
        start = time.monotonic()
        server.close()
        assert {one.result().end for one in waiting} <= {"fin", "rst"}
        assert time.monotonic() - start < 25
    assert threading.active_count() == before


@pytest.mark.parametrize(
    "name", [None, "hang", "drip", "drip_head", "oversized", "oversized_chunked", "redirect"]
)
def test_closing_ends_every_handler(name):
    """`close` ends every handler, whatever its fault, even if the client does not read."""
    before = set(threading.enumerate())
    with ChaosServer() as server, ThreadPoolExecutor(5) as pool:
        server.fault = None if name is None else FAULTS[name]
        server.latency = 30.0
        for _ in range(5):
            pool.submit(post, server.url, wait=30)
        while len(server.requests) < 5:
            time.sleep(0.005)
        start = time.monotonic()
        server.close()
        assert time.monotonic() - start < 25
        mine = {one for one in threading.enumerate() if one.name.startswith("chaos")}
        assert mine <= before


def test_closing_is_bounded(monkeypatch):
    """If a custom fault does not end, `close` raises after its time limit."""
    monkeypatch.setattr("runoff.testing.chaos._CLOSING", 0.2)
    released = threading.Event()
    stuck = Fault("stuck", ServerFailed, lambda _: released.wait(30))
    with ThreadPoolExecutor(1) as pool:
        server = ChaosServer().__enter__()
        server.fault = stuck
        pool.submit(post, server.url, wait=30)
        while not server.requests:
            time.sleep(0.005)
        start = time.monotonic()
        try:
            with pytest.raises(DeadlineExceeded, match="chaos-1"):
                server.close()
            assert time.monotonic() - start < 25
        finally:
            released.set()
    server.close()
    assert not [one for one in threading.enumerate() if one.name.startswith("chaos")]


def test_connections_are_reused(server):
    """A client's requests share one connection even after errors, and leave no thread behind."""
    httpx = pytest.importorskip("httpx", reason="the test group is not installed")
    before = threading.active_count()
    server.faults(rate=0.1, among=["503", "422", "nan"])
    with httpx.Client(headers={"Authorization": "Bearer secret"}) as client:
        for _ in range(200):
            client.post(server.url + "/v2/rerank", json={"query": "q", "documents": ["d"]})
    assert len(server.requests) == 200
    assert {one.connection for one in server.requests} == {server.total_connections} == {1}
    last = time.monotonic() + 5
    while threading.active_count() != before and time.monotonic() < last:
        time.sleep(0.005)
    assert threading.active_count() == before


@pytest.fixture
def cohere():
    return pytest.importorskip("cohere", reason="the peers group is not installed")


def test_cohere_sdk(server, cohere):
    """Cohere's own SDK reads the replies, and raises its own errors."""
    httpx = pytest.importorskip("httpx", reason="the test group is not installed")
    with httpx.Client() as http:
        client = cohere.ClientV2(api_key="secret", base_url=server.url, httpx_client=http)
        reply = client.rerank(model="rerank-v3.5", query=QUERY, documents=["tea"] * 101)
        assert len(reply.results) == 101
        assert reply.meta.billed_units.search_units == 2
        server.fault = FAULTS["401"]
        with pytest.raises(cohere.UnauthorizedError):
            client.rerank(model="rerank-v3.5", query=QUERY, documents=TEXTS)


async def test_cohere_async_sdk(server, cohere):
    """The async SDK reads the replies, tries a 503 again, and raises its own errors."""
    httpx = pytest.importorskip("httpx", reason="the test group is not installed")
    async with httpx.AsyncClient() as http:
        client = cohere.AsyncClientV2(api_key="secret", base_url=server.url, httpx_client=http)

        async def rerank():
            return await client.rerank(
                model="rerank-v3.5", query=QUERY, documents=list(TEXTS), top_n=2
            )

        server.script(["429_ms"])
        reply = await rerank()
        assert [(one.index, one.relevance_score) for one in reply.results] == (
            list(zip(RIGHT, SCORES, strict=True))[:2]
        )
        assert [one.fault for one in server.requests] == ["429_ms", None]
        for name, error in [
            ("401", cohere.UnauthorizedError),
            ("404", cohere.NotFoundError),
            ("422", cohere.UnprocessableEntityError),
            ("498", cohere.InvalidTokenError),
        ]:
            server.fault = FAULTS[name]
            with pytest.raises(error):
                await rerank()


def test_refuses_wrong_arguments(server):
    """A wrong argument is an error that names the right ones."""
    with pytest.raises(InvalidArgument, match="hang"):
        server.script(["no such fault"])
    with pytest.raises(InvalidArgument, match="tei"):
        ChaosServer(dialect="rest")
    with pytest.raises(InvalidArgument, match="between 0 and 1"):
        server.faults(rate=1.1)
    with pytest.raises(InvalidArgument, match="at least one"):
        server.faults(rate=1, among=[])


def test_serves_once():
    """Outside its block a server has no URL, and it cannot be entered again."""
    server = ChaosServer()
    with pytest.raises(InvalidArgument, match="only inside"):
        _ = server.url
    with server, pytest.raises(InvalidArgument, match="make another"):
        server.__enter__()
    for use in (lambda: server.url, lambda: server.elsewhere, server.__enter__):
        with pytest.raises(InvalidArgument):
            use()
    with contextlib.closing(server):  # closing again does no harm
        assert server.open_connections == 0
