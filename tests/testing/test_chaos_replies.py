"""What the chaos server replies and refuses in each dialect, down to the bytes."""

import json
import math
import re
import time

import pytest
from wire import PATHS, QUERY, TEXTS, asked, head, post, send

from runoff.testing.chaos import ChaosServer, expected_score

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


@pytest.mark.parametrize("dialect", BYTES)
def test_bytes(dialect):
    """Except for id and date, a good reply is exactly these bytes: no blanks, letters unescaped."""
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
    """TEI reports its times and how many characters and tokens it read."""
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
    """TEI reverses equal scores; the others keep them in the order of the request."""
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
    """`top_n` cuts the list; for vLLM 0 means all, and TEI has no such field."""
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
    """Logits are returned only to requests that ask for them in the dialect's own way."""
    with ChaosServer(dialect=dialect) as server:
        assert _scores(server, dialect, **asks) == LOGITS
        assert _scores(server, dialect, **{name: not value for name, value in asks.items()}) == (
            SCORES
        )
    with ChaosServer(dialect="jina") as server:
        assert _scores(server, "jina", **asks) == SCORES


def test_returned_texts():
    """Texts come back in each dialect's form, on request or always."""
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
    """Spans are the positions of the query's words, with a limit and a threshold."""

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
    """VLLM refuses a text over its limit unless asked to truncate; TEI and infinity truncate it."""
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
        "relevant_spans": {"cohere"},
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
    """A body that is not a JSON object is answered with 400, by TEI in plain text."""
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
    """A body with a missing or wrong length is refused and ends the connection."""
    got = send(server.url, head(server.url, "/v2/rerank", extra) + body, wait=5)
    assert got.status == status
