"""HTTPRerank against servers that behave and servers that do not."""

import json
import math
import threading
from dataclasses import replace

import numpy as np
import pytest
from servers import serving

from runoff.errors import (
    BadReply,
    InvalidArgument,
    ModelNotFound,
    RequestRejected,
)
from runoff.rerank import Dialect, HTTPRerank, Retries
from runoff.rerank._remote.dialects import DIALECTS
from runoff.scores import ScoreKind
from runoff.testing.chaos import FAULTS, ChaosServer, expected_score
from runoff.testing.contracts import PairScorerContract

QUERY = "how is green tea steeped"
TEXTS = ["green tea", "a river", "tea is steeped", "how is green tea steeped", "the sea"]
PAIRS = [(QUERY, text) for text in TEXTS]
DIALECT = pytest.mark.parametrize("dialect", DIALECTS)


def make(server, dialect="tei", **arguments):
    arguments.setdefault("circuit", None)
    if dialect in {"jina", "cohere", "nvidia"}:
        arguments = {"model": "chaos", "api_key": "sk-chaos", **arguments}
    return HTTPRerank(server.url, dialect=dialect, **arguments)


def posts(server):
    return [one for one in server.requests if one.method == "POST"]


def expected(pairs, *, raw):
    scores = np.array([expected_score(*pair) for pair in pairs])
    return np.log(scores / (1 - scores)) if raw else scores


@pytest.fixture
def server():
    with ChaosServer() as chaos:
        yield chaos


@pytest.fixture(params=DIALECTS)
def spoken(request):
    with ChaosServer(dialect=request.param) as chaos:
        yield request.param, chaos


def test_every_dialect_gives_the_right_scores(spoken):
    """Scores come in input order, on the scale that the kind says, with tokens where counted."""
    dialect, server = spoken
    scores = make(server, dialect).score(PAIRS)
    raw = scores.kind is ScoreKind.LOGIT
    assert raw == (dialect in {"tei", "infinity", "nvidia"})
    assert np.allclose(scores.values, expected(PAIRS, raw=raw), atol=1e-6)
    assert scores.scored.all()
    assert not scores.reason
    assert scores.usage.requests == 1
    assert (scores.usage.tokens or 0) > 0 or dialect not in {"vllm", "jina"}
    assert scores.usage.billed_units == (1 if dialect == "cohere" else None)


def test_every_dialect_gives_probabilities(spoken):
    """`activation="sigmoid"` asks for scores within 0 and 1; NVIDIA's servers have only logits."""
    dialect, server = spoken
    scores = make(server, dialect, activation="sigmoid").score(PAIRS)
    raw = dialect == "nvidia"
    assert scores.kind is (ScoreKind.LOGIT if raw else ScoreKind.PROBABILITY)
    assert np.allclose(scores.values, expected(PAIRS, raw=raw), atol=1e-6)


def test_every_dialect_pairs_by_index(spoken):
    """Equal scores that come in another order, or all equal, stay with their texts."""
    dialect, server = spoken
    for fault in ("all_equal", "reversed_ties"):
        server.fault = FAULTS[fault]
        assert make(server, dialect).score(PAIRS).values.tolist() == [0.5] * len(PAIRS)


@DIALECT
def test_a_long_text_costs_no_other_its_score(dialect):
    """A text over the model's limit is cut, marked where the limit is known, and scored."""
    long = "green tea " * 3000
    with ChaosServer(dialect=dialect, token_limit=64) as server:
        known = {} if dialect == "tei" else {"max_length": 64}
        scores = make(server, dialect, **known).score([PAIRS[0], (QUERY, long), PAIRS[1]])
    assert scores.scored.all()
    assert scores.truncated.tolist() == [False, True, False]
    assert "1 of 3 texts are longer" in scores.notes[0]


def test_a_query_over_the_limit_is_noted():
    """Where the limit is known, a query that is longer than all of it has a note of its own."""
    with ChaosServer(dialect="vllm", token_limit=64) as server:
        scores = make(server, "vllm", max_length=64).score([("green tea " * 500, "a river")])
    assert "the query alone is longer" in scores.notes[-1]


def test_odd_texts_cost_no_other_its_score(spoken):
    """Blank texts are never sent; half a surrogate pair is sent as U+FFFD."""
    dialect, server = spoken
    odd = ["", " \n", "green \ud83d tea", "nul \x00", "🫖 tea"]
    scores = make(server, dialect).score([PAIRS[0], *((QUERY, one) for one in odd), PAIRS[1]])
    assert scores.scored.tolist() == [True, False, False, True, True, True, True]
    assert scores.reason == "request_rejected"
    sent = posts(server)[0].body[DIALECTS[dialect].documents]
    if dialect == "nvidia":
        sent = [one["text"] for one in sent]
    assert sent == ["green tea", "green \ufffd tea", "nul \x00", "🫖 tea", "a river"]
    same = make(server, dialect).score([PAIRS[0], PAIRS[1]])
    assert scores.values[[0, 6]].tolist() == same.values.tolist()


def test_only_blank_texts_send_nothing(server):
    """Pairs without text are unscored without a request."""
    scores = make(server).score([(QUERY, ""), (QUERY, "\t")])
    assert not scores.scored.any()
    assert posts(server) == []


def test_batches_are_what_the_server_takes(server):
    """TEI says 32 in /info, which is asked once; a larger batch= does not go beyond it."""
    many = [(QUERY, f"text {n} tea") for n in range(100)]
    for batch in (None, 50, 500):
        assert make(server, batch=batch).score(many).scored.all()
    sizes = sorted(len(one.body["texts"]) for one in posts(server))
    assert sizes == sorted([32, 32, 32, 4] * 3)
    assert [one.path for one in server.requests].count("/info") == 1


@pytest.mark.parametrize("limit", [1, 4, 30])
def test_a_batch_limit_is_learned_from_a_rejection(limit):
    """A batch above a limit that the server names only when it rejects is split, at one rejection.

    The second call knows.
    """

    def answer(asked):
        if asked.method == "GET":
            return 404, {"error": "not found"}
        texts = asked.body["texts"]
        if len(texts) > limit:
            found = f"batch size {len(texts)} > maximum allowed batch size {limit}"
            return 422, {"error": found, "error_type": "Validation"}
        return 200, [{"index": n, "score": len(text)} for n, text in enumerate(texts)]

    many = [(QUERY, "x" * (n + 1)) for n in range(32)]
    with serving(answer) as server:
        scorer = make(server)
        assert scorer.score(many).values.tolist() == list(range(1, 33))
        pieces = math.ceil(32 / limit)
        assert len([one for one in server.asked if one.method == "POST"]) == 1 + pieces
        server.asked.clear()
        assert scorer.score(many).scored.all()
        assert len([one for one in server.asked if one.method == "POST"]) == pieces


@pytest.mark.parametrize("bad", [{0}, {39}, {17}, {3, 21, 30}])
def test_rejected_texts_cost_no_other_its_score(bad):
    """Of 40 texts in one batch, only those that the server will not read stay unscored."""

    def answer(asked):
        texts = asked.body["documents"]
        if any(text.startswith("bad") for text in texts):
            return 400, {"message": "invalid request: a document cannot be read"}
        return 200, {"results": [{"index": n, "relevance_score": 0.5} for n, _ in enumerate(texts)]}

    pairs = [(QUERY, f"bad {n}" if n in bad else f"text {n}") for n in range(40)]
    with serving(answer) as server:
        scores = make(server, "cohere").score(pairs)
    assert set(np.flatnonzero(~scores.scored)) == bad
    assert scores.reason == "request_rejected"
    assert "cannot be read" in scores.notes[0]


def test_a_request_that_is_wrong_in_itself_is_not_tried_for_ever():
    """Where nothing at all is read, the search for the bad text ends after a few requests."""
    with serving(lambda _: (400, {"message": "no such option"})) as server:
        with pytest.raises(RequestRejected, match="no such option"):
            make(server, "cohere").score([(QUERY, f"text {n}") for n in range(1000)])
        assert len(server.asked) <= 17


def test_requests_at_a_time_are_bounded(server):
    """`concurrency` bounds the requests in hand, over all calls of the process together."""
    server.latency = 0.02
    scorer = make(server, batch=1, concurrency=3)
    many = [(QUERY, f"text {n}") for n in range(12)]
    threads = [threading.Thread(target=scorer.score, args=(many,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(posts(server)) == 36
    assert server.most_requests == 3


def test_connections_are_kept(server):
    """Twenty calls one after the other use one connection."""
    scorer = make(server)
    for _ in range(20):
        scorer.score(PAIRS)
    assert server.total_connections == 1


def test_usage_is_summed_over_batches_and_splits():
    """Requests, tokens and billed units are those of all replies; refused requests count too."""

    def answer(asked):
        texts = asked.body["documents"]
        if "bad" in texts:
            return 422, {"message": "bad"}
        meta = {"billed_units": {"search_units": 1}, "tokens": {"input_tokens": 10 * len(texts)}}
        results = [{"index": n, "relevance_score": 0.5} for n, _ in enumerate(texts)]
        return 200, {"results": results, "meta": meta}

    with serving(answer) as server:
        scores = make(server, "cohere", batch=4).score(
            [(QUERY, one) for one in ("a", "b", "bad", "c", "d")]
        )
        asked = len(server.asked)
    assert scores.scored.tolist() == [True, True, False, True, True]
    # 4 refused; 2 and 2 of them, the second refused; "bad" and "c"; and the batch of "d"
    assert (scores.usage.requests, asked) == (6, 6)
    assert scores.usage.tokens == 40
    assert scores.usage.billed_units == 3
    assert scores.usage.pairs == 4


def test_an_unusable_key_in_a_reply_changes_nothing_else(server):
    """A key such as "x" or "1", given to servers that take none, does not damage replies."""
    for key in ("x", "1", "-", "score"):
        assert make(server, api_key=key).score(PAIRS).scored.all()


@pytest.mark.parametrize(
    ("url", "dialect", "path"),
    [
        ("", "tei", "/rerank"),
        ("/", "vllm", "/v1/rerank"),
        ("/v1", "vllm", "/v1/rerank"),
        ("/v1/", "jina", "/v1/rerank"),
        ("/v2", "cohere", "/v2/rerank"),
        ("/rerank", "vllm", "/rerank"),
        ("/v2/rerank?api-version=3", "vllm", "/v2/rerank?api-version=3"),
        ("/a/prefix", "tei", "/a/prefix/rerank"),
        ("/team-rerank", "tei", "/team-rerank/rerank"),
        ("/v1/reranking", "jina", "/v1/reranking"),
        ("/v1/retrieval/nvidia/reranking/", "vllm", "/v1/retrieval/nvidia/reranking"),
        ("/v1/ranking", "vllm", "/v1/ranking"),
    ],
)
def test_urls_are_completed(url, dialect, path):
    """A base URL with or without version, slash, prefix or the whole path leads to one place."""
    with serving(lambda _: (404, {"error": "nothing here"})) as server:
        scorer = HTTPRerank(server.url + url, dialect=dialect, model="m", circuit=None)
        with pytest.raises(ModelNotFound, match="nothing here; check url="):
            scorer.score(PAIRS)
        assert [one.path for one in server.asked if one.method == "POST"] == [path]


def test_a_host_named_rerank_is_no_path():
    """In a container network a host may be called `rerank`."""
    from runoff.rerank._remote.http import _base, _endpoint

    assert _endpoint("http://rerank", DIALECTS["tei"]) == "http://rerank/rerank"
    assert _endpoint("http://my-rerank/", DIALECTS["vllm"]) == "http://my-rerank/v1/rerank"
    endpoints = ("http://rerank/v2/rerank?a=b", "http://rerank/v1/reranking")
    for url in ("http://rerank", "http://rerank/v1", *endpoints):
        assert _base(url, DIALECTS["vllm"]) == "http://rerank"


def test_a_dialect_of_ones_own(server):
    """Another vendor's form is one object."""
    own = Dialect("voyage", path="/v1/rerank", top_n="top_k", results=("data",), score="score")

    def answer(asked):
        assert asked.body["top_k"] == 2
        return 200, {"data": [{"index": 1, "score": 0.75}, {"index": 0, "score": 0.25}]}

    with serving(answer) as other:
        scores = HTTPRerank(other.url, dialect=own, circuit=None).score(PAIRS[:2])
    assert scores.values.tolist() == [0.25, 0.75]


def test_nvidias_objects():
    """A reranking NIM gets query and passages as objects, cuts long ones, and returns logits."""

    def answer(asked):
        assert asked.body == {
            "query": {"text": PAIRS[0][0]},
            "passages": [{"text": text} for _, text in PAIRS[:2]],
            "truncate": "END",
            "model": "m",
        }
        return 200, {"rankings": [{"index": 1, "logit": 7.5}, {"index": 0, "logit": -2.0}]}

    with serving(answer) as other:
        for url in (other.url, f"{other.url}/v1/retrieval/nvidia/m/reranking"):
            scorer = HTTPRerank(url, dialect="nvidia", model="m", api_key="key", circuit=None)
            scores = scorer.score(PAIRS[:2])
            assert scores.values.tolist() == [-2.0, 7.5]
            assert scores.kind is ScoreKind.LOGIT
        paths = [one.path for one in other.asked if one.body]
    assert paths == ["/v1/ranking", "/v1/retrieval/nvidia/m/reranking"]


def test_an_instruction_is_sent_where_there_is_a_field_for_it():
    """A dialect's field holds the instruction, scores are cached by it, and others refuse it."""
    own = Dialect("own", path="/v1/rerank", instruction="task")

    def answer(asked):
        assert asked.body["task"] == "find recipes"
        return 200, {"results": [{"index": 0, "relevance_score": 0.5}]}

    with serving(answer) as server:
        scorer = HTTPRerank(server.url, dialect=own, instruction="find recipes", circuit=None)
        assert scorer.score(PAIRS[:1]).scored.all()
        assert scorer.cache_key != replace(scorer, instruction=None).cache_key
    with pytest.raises(InvalidArgument, match="the tei dialect has no field for it"):
        HTTPRerank("http://host", dialect="tei", instruction="find recipes")


@pytest.mark.parametrize("score", [1e39, -1e300])
def test_a_score_beyond_float32_is_no_score(score):
    """A score beyond float32 leaves its pair unscored, with a reason and without a warning."""
    reply = [{"index": 0, "score": score}, {"index": 1, "score": 1.5}]
    with serving(lambda asked: (200, reply) if asked.body else (404, {})) as server:
        scores = make(server).score(PAIRS[:2])
    assert scores.scored.tolist() == [False, True]
    assert scores.reason == "bad_reply"


def test_scores_that_are_no_probabilities_say_so():
    """Scores outside 0 and 1 make the kind of the scores unknown."""
    results = [{"index": 0, "relevance_score": -3.5}, {"index": 1, "relevance_score": 2}]
    with serving(lambda _: (200, {"results": results})) as server:
        scores = make(server, "jina").score(PAIRS[:2])
    assert scores.kind is ScoreKind.UNKNOWN
    assert "they are not probabilities" in scores.notes[0]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"url": "localhost:8080"}, "url"),
        ({"url": "ftp://localhost"}, "url"),
        ({"url": "http://"}, "url"),
        ({"url": "http://[::1"}, "url"),
        ({"url": "http://host:99999"}, "url"),
        ({"url": 5}, "url"),
        ({"dialect": "pinecone"}, "dialect"),
        ({"dialect": "jina"}, "model"),
        ({"api_key": ""}, "api_key"),
        ({"headers": {"a": 1}}, "headers"),
        ({"api_key": "k", "headers": {"authorization": "Bearer k"}}, "headers"),
        ({"activation": "softmax"}, "activation"),
        ({"batch": 0}, "batch"),
        ({"concurrency": 0}, "concurrency"),
        ({"max_length": -1}, "max_length"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": math.inf}, "timeout"),
        ({"retries": 3}, "retries"),
        ({"circuit": 5}, "circuit"),
        ({"ca": "/no/such/file"}, "ca"),
    ],
)
def test_wrong_arguments_are_named(arguments, named):
    """Each wrong argument is refused at once, by name."""
    with pytest.raises(InvalidArgument) as caught:
        HTTPRerank(**{"url": "http://localhost", "dialect": "tei"} | arguments)
    assert caught.value.argument == named


class Contract(PairScorerContract):
    __test__ = False
    patience = 0.3  # on a busy machine; the bound itself is tested elsewhere
    dialect = "tei"
    arguments = {}  # noqa: RUF012 - of one class each

    @pytest.fixture(autouse=True)
    def _serve(self, monkeypatch):
        for name in ("JINA_API_KEY", "CO_API_KEY"):  # what unpickled ones read
            monkeypatch.setenv(name, "sk-chaos")
        with ChaosServer(dialect=self.dialect) as self.server:
            yield

    def make(self):
        return make(self.server, self.dialect, **self.arguments)


class TestTei(Contract):
    __test__ = True


class TestVllm(Contract):
    __test__ = True
    dialect = "vllm"
    arguments = {"max_length": 512}  # noqa: RUF012


class TestJina(Contract):
    __test__ = True
    dialect = "jina"
    token_limit = False
    secrets = ("sk-chaos",)


class TestInfinity(Contract):
    __test__ = True
    dialect = "infinity"
    arguments = {"max_length": 512}  # noqa: RUF012


class TestCohereApi(Contract):
    __test__ = True
    dialect = "cohere"
    secrets = ("sk-chaos",)


def test_replies_in_other_encodings_are_json_or_refused():
    """Bytes that are not JSON raise one named error, for any charset."""
    for raw in (b"\xff\xfe\x00", json.dumps([]).encode("utf-16")[:-1], b"[" * 100_000):
        answer = serving(lambda asked, raw=raw: (200, raw) if asked.body else (404, {}))
        with answer as server, pytest.raises(BadReply):
            make(server, retries=Retries(1)).score(PAIRS)
