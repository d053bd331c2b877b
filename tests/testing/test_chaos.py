"""The chaos server's good replies, refusals, settings and end; its faults have their own file."""

import contextlib
import json
import math
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from wire import PATHS, QUERY, TEXTS, asked, head, post, send

from runoff.errors import DeadlineExceeded, InvalidArgument, ServerFailed
from runoff.testing.chaos import FAULTS, ChaosServer, Fault, expected_score

RIGHT = sorted(range(4), key=lambda n: -expected_score(QUERY, TEXTS[n]))
SCORES = [expected_score(QUERY, TEXTS[n]) for n in RIGHT]
TOP, BEST = RIGHT[0], SCORES[0]
LOGITS = [math.log(score / (1 - score)) for score in SCORES]
UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
BYTES = {
    "tei": '[{"index":0,"score":SCORE}]',
    "vllm": (
        '{"id":"rerank-HEX","model":"m","usage":{"prompt_tokens":5,"total_tokens":5},'
        '"results":[{"index":0,"document":{"text":"thé vert","multi_modal":null},'
        '"relevance_score":SCORE}]}'
    ),
    "jina": (
        '{"model":"m","object":"list","usage":{"total_tokens":5},"results":[{"index":0,'
        '"relevance_score":SCORE,"document":{"text":"thé vert"}}]}'
    ),
    "infinity": (
        '{"object":"rerank","results":[{"relevance_score":SCORE,"index":0,"document":null}],'
        '"model":"m","usage":{"prompt_tokens":5,"total_tokens":5},"id":"infinity-UUID",'
        '"created":NOW}'
    ),
    "cohere": (
        '{"results":[{"index":0,"relevance_score":SCORE}],"id":"UUID","meta":{"api_version":'
        '{"version":"2","is_experimental":false},"billed_units":{"search_units":1}}}'
    ),
}


@pytest.fixture
def server():
    with ChaosServer() as running:
        yield running


def _results(server, dialect, **more):
    reply = json.loads(post(server.url, dialect, **more).body)
    return reply if isinstance(reply, list) else reply["results"]


def _indices(server, dialect, **more):
    return [row["index"] for row in _results(server, dialect, **more)]


def _scores(server, dialect, **more):
    name = "score" if dialect == "tei" else "relevance_score"
    return [row[name] for row in _results(server, dialect, **more)]


def _statuses(server, n):
    return [post(server.url).status for _ in range(n)]


@pytest.mark.parametrize("dialect", BYTES)
def test_bytes(dialect):
    """A good reply is, but for its id and date, these bytes: no blanks, letters unescaped."""
    text = "thé vert"
    with ChaosServer(dialect=dialect) as server:
        got = post(server.url, dialect, model="m", **{_field(dialect): [text]})
    expected = re.escape(BYTES[dialect].replace("SCORE", str(expected_score(QUERY, text))))
    expected = expected.replace("UUID", UUID).replace("HEX", "[0-9a-f]{32}")
    found = re.fullmatch(expected.replace("NOW", "([0-9]+)"), got.body.decode())
    assert found, got.body
    assert all(abs(int(now) - time.time()) < 10 for now in found.groups())
    assert got.raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert got.headers["content-type"] == "application/json"
    assert int(got.headers["content-length"]) == len(got.body)


def _field(dialect):
    return "texts" if dialect == "tei" else "documents"


def test_tei_headers(server):
    """TEI tells its times, and how many characters and tokens it read."""
    headers = post(server.url, "tei").headers
    assert {name for name in headers if name.startswith("x-")} == {
        "x-compute-type",
        "x-compute-time",
        "x-compute-characters",
        "x-compute-tokens",
        "x-total-time",
        "x-tokenization-time",
        "x-queue-time",
        "x-inference-time",
    }
    assert headers["x-compute-characters"] == str(4 * len(QUERY) + sum(map(len, TEXTS)))
    assert headers["x-compute-tokens"] == str(4 * 3 + 2 + 2 + 4 + 2)


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
@pytest.mark.parametrize("dialect", [None, "vllm"])
def test_paths(path, dialect):
    """Every path replies best first, with the documented scores."""
    body = json.dumps(asked()).encode()
    with ChaosServer(dialect=dialect) as server:
        start = head(server.url, path, f"Content-Length: {len(body)}")
        rows = json.loads(send(server.url, start + body, wait=5).body)["results"]
    assert [(row["index"], row["relevance_score"]) for row in rows] == list(
        zip(RIGHT, SCORES, strict=True)
    )


def test_unknown_path(server):
    """A path of no dialect is not found."""
    got = send(server.url, head(server.url, "/v3/rerank", "Content-Length: 2") + b"{}")
    assert (got.status, json.loads(got.body)) == (404, {"detail": "Not Found"})


def test_ties():
    """TEI turns equal scores round, and the others leave them in the order of the request."""
    for dialect in [*PATHS, "cohere"]:
        with ChaosServer(dialect=dialect) as server:
            order = _indices(server, dialect, **{_field(dialect): ["a", "b", "c"]})
        assert order == ([2, 1, 0] if dialect == "tei" else [0, 1, 2]), dialect


def test_tei_batch(server):
    """TEI takes 32 texts, refuses 33, and says so in `GET /info`."""
    httpx = pytest.importorskip("httpx", reason="the test group is not installed")
    assert len(_indices(server, "tei", texts=["a"] * 32)) == 32
    refused = post(server.url, "tei", texts=["a"] * 33)
    assert (refused.status, json.loads(refused.body)) == (
        422,
        {
            "error": "batch size 33 > maximum allowed batch size 32",
            "error_type": "Validation",
        },
    )
    assert httpx.get(server.url + "/info").json()["max_client_batch_size"] == 32


def test_top_n():
    """`top_n` cuts the list; vLLM takes 0 for all, and TEI has no such field."""
    for dialect, few, zero in [
        ("tei", 4, 4),
        ("vllm", 2, 4),
        ("jina", 2, None),
        ("infinity", 2, None),
        ("cohere", 2, None),
    ]:
        with ChaosServer(dialect=dialect) as server:
            assert _indices(server, dialect, top_n=2) == RIGHT[:few], dialect
            assert len(_indices(server, dialect, top_n=9)) == 4
            if zero is None:
                assert post(server.url, dialect, top_n=0).status == 422
            else:
                assert len(_indices(server, dialect, top_n=0)) == zero


@pytest.mark.parametrize(
    ("dialect", "asks"),
    [
        ("tei", {"raw_scores": True}),
        ("infinity", {"raw_scores": True}),
        ("vllm", {"use_activation": False}),
    ],
)
def test_raw_scores(dialect, asks):
    """Logits come to whoever asks in the dialect's own words, and to nobody else."""
    with ChaosServer(dialect=dialect) as server:
        assert _scores(server, dialect, **asks) == LOGITS
        assert _scores(server, dialect, **{name: not value for name, value in asks.items()}) == (
            SCORES
        )
    with ChaosServer(dialect="jina") as server:
        assert _scores(server, "jina", **asks) == SCORES


def test_returned_texts():
    """Texts come back as each dialect returns them, where they are asked for or always come."""
    best = TEXTS[TOP]
    for dialect, asks, expected in [
        ("tei", {}, None),
        ("tei", {"return_text": True}, {"text": best}),
        ("infinity", {}, {"document": None}),
        ("infinity", {"return_documents": True}, {"document": best}),
        ("jina", {}, {"document": {"text": best}}),
        ("jina", {"return_documents": False}, None),
        ("vllm", {"return_documents": False}, {"document": {"text": best, "multi_modal": None}}),
        ("cohere", {"return_documents": True}, None),
    ]:
        with ChaosServer(dialect=dialect) as server:
            row = _results(server, dialect, **asks)[0]
        more = {k: v for k, v in row.items() if k not in {"index", "score", "relevance_score"}}
        assert more == (expected or {}), (dialect, asks)


def test_relevant_spans(server):
    """Spans are where the query's words stand in the text; they are cut, and dropped when weak."""

    def spans(**more):
        asks = {"mode": "enabled", **more}
        return {
            row["index"]: row["relevant_spans"]
            for row in _results(server, "cohere", relevant_spans=asks)
        }

    got = spans()
    assert [TEXTS[2][one["start"] : one["end"]] for one in got[2]] == ["green", "tea", "water"]
    assert got[0] == []
    assert [len(got) for got in spans(max_spans=1).values()] == [1, 1, 1, 0]
    assert {n for n, got in spans(threshold=BEST).items() if got} == {TOP}
    assert "relevant_spans" not in _results(server, "cohere")[0]


def test_search_units(server):
    """Cohere bills a unit for a hundred chunks, and a chunk for every 500 words of a text."""

    def units(documents, **more):
        reply = json.loads(post(server.url, documents=documents, **more).body)
        return reply["meta"]["billed_units"]["search_units"]

    assert [units(["tea"] * n) for n in (1, 100, 101)] == [1, 1, 2]
    long = "word " * 501
    assert [units([long] * n) for n in (50, 51)] == [1, 2]
    assert units([long] * 51, max_tokens_per_doc=500) == 1


def test_long_texts():
    """VLLM refuses a text over its limit unless told to cut; TEI and infinity cut it."""
    long = "word " * 600 + "green tea water"
    with ChaosServer(dialect="vllm") as server:
        refused = post(server.url, "vllm", documents=[long])
        assert refused.status == 400
        assert json.loads(refused.body)["error"]["param"] == "input_tokens"
        cut = _scores(server, "vllm", documents=[long], truncate_prompt_tokens=-1)
        assert cut == [expected_score(QUERY, "word")]
        short = _scores(server, "vllm", documents=["b green tea"], truncate_prompt_tokens=5)
        assert short == [expected_score(QUERY, "b green")]
    with ChaosServer() as server:
        assert _scores(server, "tei", texts=[long]) == [expected_score(QUERY, "word")]
        assert _scores(server, "infinity", documents=[long]) == [expected_score(QUERY, "word")]
        refused = post(server.url, "tei", texts=[long], truncate=False)
        assert (refused.status, json.loads(refused.body)["error_type"]) == (422, "Validation")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"documents": []}, "list of documents must not be empty"),
        ({"documents": ["a"] * 10_001}, "more than 10000 documents"),
        ({"query": " "}, "query cannot be empty"),
        ({"documents": ["a", ""]}, "document at index 1 cannot be empty"),
    ],
)
def test_cohere_refuses(server, more, message):
    """Cohere refuses what is empty, and too many documents, with 400 and its reason."""
    refused = post(server.url, **more)
    body = json.loads(refused.body)
    assert (refused.status, body.keys()) == (400, {"id", "message"})
    assert body["message"] == f"invalid request: {message}"


@pytest.mark.parametrize("dialect", [*PATHS, "cohere"])
@pytest.mark.parametrize(
    "more",
    [
        {"query": None},
        {"texts": None, "documents": None},
        {"texts": [{"title": "no text"}], "documents": [{"title": "no text"}]},
        {"texts": [{"text": 1}], "documents": [{"text": 1}]},
        {"texts": ["a", None], "documents": ["a", None]},
        {"top_n": "3"},
        {"top_n": 1.5},
        {"top_n": True},
        {"top_n": -1},
        {"max_tokens_per_doc": "3"},
        {"relevant_spans": {"mode": "enabled", "max_spans": "3"}},
        {"relevant_spans": {"mode": "enabled", "threshold": "3"}},
        {"truncate_prompt_tokens": "3"},
    ],
)
def test_malformed(dialect, more):
    """A field of the wrong type is answered with 422 where the API has the field."""
    only = {
        "max_tokens_per_doc": {"cohere"},
        "relevant_spans": {*PATHS, "cohere"},
        "truncate_prompt_tokens": {"vllm"},
        "top_n": {"vllm", "jina", "infinity", "cohere"},
    }
    refused = dialect in only.get(next(iter(more)), {dialect})
    with ChaosServer(dialect=dialect) as server:
        assert post(server.url, dialect, **more).status == (422 if refused else 200)
        assert server.requests[0].fault is None


def test_jina_takes_objects():
    """Jina takes a document as an object with its text."""
    with ChaosServer(dialect="jina") as server:
        rows = _indices(server, "jina", documents=[{"text": one} for one in TEXTS])
    assert rows == RIGHT


@pytest.mark.parametrize("body", [b"", b"not json", b"[1]", b"[" * 100_000, b'"\xff"'])
def test_no_json_object(server, body):
    """A body that is no JSON object is answered with 400, by TEI in plain text."""
    for path, kind in [
        ("/rerank", "text/plain; charset=utf-8"),
        ("/v2/rerank", "application/json"),
    ]:
        start = head(server.url, path, f"Content-Length: {len(body)}")
        got = send(server.url, start + body, wait=5)
        assert (got.status, got.headers["content-type"]) == (400, kind)


def test_chunked_request(server):
    """A body in chunks, with extensions and trailers, is read as one."""
    body = json.dumps(asked()).encode()
    chunks = b"".join(b"%x;a=b\r\n%b\r\n" % (len(one), one) for one in (body[:7], body[7:]))
    start = head(server.url, "/v2/rerank", "Transfer-Encoding: chunked")
    got = send(server.url, start + chunks + b"0\r\nX-Trailer: 1\r\n\r\n", wait=5)
    assert got.status == 200
    assert server.requests[0].body == asked()


@pytest.mark.parametrize(
    ("extra", "body", "status"),
    [
        ("X-None: 1", b"", 411),
        ("Content-Length: -1", b"", 400),
        ("Content-Length: many", b"", 400),
        ("Transfer-Encoding: chunked", b"many\r\n", 400),
        ("Transfer-Encoding: chunked", b"-1\r\n", 400),
        ("Transfer-Encoding: chunked", b"1\r\nabc\r\n", 400),
    ],
)
def test_wrong_lengths(server, extra, body, status):
    """A body whose length is not told, or told wrongly, is refused and ends the connection."""
    got = send(server.url, head(server.url, "/v2/rerank", extra) + body, wait=5)
    assert got.status == status


def test_key():
    """Only the one key is let in; of the header's value only `Bearer` may change its case."""
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
    """Cohere needs some key, in its own words, and the others need none."""
    body = json.dumps(asked()).encode()
    start = f"HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"

    def keyless(path):
        return send(server.url, f"POST {path} {start}".encode() + body, wait=5)

    refused = keyless("/v2/rerank")
    assert (refused.status, json.loads(refused.body)["message"]) == (401, "no api key supplied")
    assert [keyless(path).status for path in ("/rerank", "/v1/rerank")] == [200, 200]


def test_latency(server):
    """A good reply comes after `latency` seconds, and a fault's at once."""
    server.latency = 0.2
    server.script([None, "503"])
    took = []
    for status in (200, 503):
        start = time.monotonic()
        assert post(server.url).status == status
        took.append(time.monotonic() - start)
    assert took[0] >= 0.2 > took[1]


def test_concurrency(server):
    """Requests at the same time are answered at the same time, each with its own answer."""
    server.latency = 0.3
    asks = [["tea"] * n for n in range(1, 21)]
    start = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        got = list(pool.map(lambda one: _indices(server, "cohere", documents=one), asks))
    assert time.monotonic() - start < 20 * 0.3 / 2
    assert [len(one) for one in got] == list(range(1, 21))
    assert server.most_requests > 10
    assert server.total_connections == len(server.requests) == 20


def test_script_then_good(server):
    """A script is followed in order, before the share and `fault`; then replies are good."""
    server.faults(rate=1, among=["500"])
    server.script([None, "503", FAULTS["429"]])
    assert _statuses(server, 4) == [200, 503, 429, 500]
    server.clear()
    server.fault = FAULTS["502"]
    server.script([None])
    assert _statuses(server, 2) == [200, 502]


def test_script_meets_requests_in_recorded_order(server):
    """Of requests at the same time, the n-th on record met the script's n-th step."""
    steps = ["500", "502", "503", "504"] * 10
    server.script(steps)
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: post(server.url), steps))
    assert [one.fault for one in server.requests] == steps


def test_refused_requests_use_no_step(server):
    """A request that is refused meets no fault, and leaves the script as it is."""
    server.script(["503"])
    assert post(server.url, documents=[]).status == 400
    assert _statuses(server, 2) == [503, 200]


def test_share_is_seeded(server):
    """The same seed gives the same faults, another seed others, and the rate is about kept."""
    met = []
    for seed in (3, 3, 4):
        server.faults(rate=0.5, seed=seed, among=["500", "503"])
        met.append(_statuses(server, 40))
    assert met[0] == met[1] != met[2]
    assert set(met[0]) == {200, 500, 503}
    assert 10 <= met[0].count(200) <= 30


def test_clear(server):
    """After `clear` replies are good and quick, and nothing is on record."""
    server.fault, server.latency = FAULTS["500"], 30.0
    server.faults(rate=1, among=["502"])
    server.script(["503", "504"])
    assert _statuses(server, 1) == [503]
    server.clear()
    assert (server.requests, server.most_requests, server.fault) == ([], 0, None)
    assert _statuses(server, 1) == [200]
    assert [one.fault for one in server.requests] == [None]


def test_redirect_leads_elsewhere(server):
    """A client that follows the redirect leaves its request, without the key, at the second."""
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
        assert time.monotonic() - start < 5
    assert threading.active_count() == before


@pytest.mark.parametrize(
    "name", [None, "hang", "drip", "drip_head", "oversized", "oversized_chunked", "redirect"]
)
def test_closing_ends_every_handler(name):
    """No handler outlives `close`, whatever it does, nor where the client does not read."""
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
        assert time.monotonic() - start < 3
        mine = {one for one in threading.enumerate() if one.name.startswith("chaos")}
        assert mine <= before


def test_closing_is_bounded(monkeypatch):
    """Where a fault of the caller's own does not end, `close` says so after its time is up."""
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
            assert time.monotonic() - start < 2
        finally:
            released.set()
    server.close()
    assert not [one for one in threading.enumerate() if one.name.startswith("chaos")]


def test_connections_are_reused(server):
    """A client's requests come on one connection, errors between them, and leave no thread."""
    httpx = pytest.importorskip("httpx", reason="the test group is not installed")
    before = threading.active_count()
    server.faults(rate=0.1, among=["503", "422", "nan"])
    with httpx.Client(headers={"Authorization": "Bearer secret"}) as client:
        for _ in range(1000):
            client.post(server.url + "/v2/rerank", json={"query": "q", "documents": ["d"]})
    assert len(server.requests) == 1000
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
