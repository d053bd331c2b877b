"""One long text, one key and one model: what they break is theirs alone."""

import pytest
from servers import good, serving

pytest.importorskip("httpx")

from runoff.errors import CircuitOpen, RequestRejected, ServerFailed
from runoff.rerank import CohereRerank, HTTPRerank, Retries
from runoff.rerank._remote.breaker import Circuit, breaker_of
from runoff.rerank._remote.transport import status_error

ONCE = {"retries": Retries(1), "circuit": Circuit(1, cooldown=60)}
SAID = [
    "input (4001 tokens) is too large to process. increase the physical batch size",
    "too many tokens in batch",
    "This model's maximum context length is 512 tokens",
    "input length 4001 exceeds the context size",
]


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("status", [500, 424])
def test_a_text_that_is_too_long_costs_no_other_its_score(status, said):
    """A 500 about one long text of six: five are scored, and the breaker stays closed."""

    def answer(asked):
        if any(len(text) > 1000 for text in asked.body["documents"]):
            return status, {"error": {"message": said}}
        return 200, good(asked.body["documents"])

    pairs = [("q", text) for text in ("a", "b", "long " * 800, "c", "d", "e")]
    with serving(answer) as server:
        scorer = HTTPRerank(server.url, dialect="jina", model="m", **ONCE)
        for _ in range(2):
            scores = scorer.score(pairs)
            assert scores.scored.tolist() == [True, True, False, True, True, True]
            assert scores.reason == "request_rejected"


@pytest.mark.parametrize(
    "said", ["out of memory", "rate limit of 100000 tokens per minute exceeded"]
)
def test_other_500s_are_still_the_servers(said):
    """A 500 that is not about the length of a text is a failure of the server."""
    error = status_error(500, {"error": said}, {}, "m")
    assert isinstance(error, ServerFailed)
    assert isinstance(status_error(500, {"error": SAID[0]}, {}, "m"), RequestRejected)


@pytest.mark.parametrize(
    "other",
    [{"api_key": "sk-other-0123456789"}, {"model": "n"}, {"headers": {"x-tenant": "b"}}],
    ids=lambda one: next(iter(one)),
)
def test_a_limited_key_or_model_stops_no_other(other):
    """Key A is limited and its circuit opens; B's request is sent and answered."""

    def answer(asked):
        key = asked.headers["authorization"], asked.body["model"], asked.headers.get("x-tenant")
        if key == ("Bearer sk-limited-0123456789", "m", None):
            return 429, {"message": "slow down"}
        return 200, good(asked.body["documents"])

    with serving(answer) as server:
        first = {"dialect": "jina", "model": "m", "api_key": "sk-limited-0123456789", **ONCE}
        with pytest.raises(ServerFailed):
            HTTPRerank(server.url, **first).score([("q", "text")])
        sent = len(server.asked)
        with pytest.raises(CircuitOpen):
            HTTPRerank(server.url, **first).score([("q", "text")])
        assert len(server.asked) == sent
        assert HTTPRerank(server.url, **(first | other)).score([("q", "text")]).scored.all()


def test_cohere_keys_have_a_circuit_each():
    """The same for the official SDK."""
    pytest.importorskip("cohere")

    def answer(asked):
        if asked.headers["authorization"] == "Bearer limited":
            return 429, {"message": "slow down"}
        return 200, good(asked.body["documents"]) | {"id": "1", "meta": {}}

    with serving(answer) as server:
        for key, error in (("limited", ServerFailed), ("limited", CircuitOpen), ("free", None)):
            scorer = CohereRerank("m", api_key=key, base_url=server.url, **ONCE)
            if error is None:
                assert scorer.score([("q", "text")]).scored.all()
            else:
                with pytest.raises(error):
                    scorer.score([("q", "text")])


def test_breakers_hold_neither_keys_nor_ever_more_memory():
    """The scope is a digest, and of 3,000 scopes the oldest are forgotten."""
    from runoff.rerank._remote import breaker
    from runoff.rerank._remote.access import as_key, scope_of

    scope = scope_of("m", as_key("sk-secret"), {"a": "sk-header"})
    assert "secret" not in scope
    assert scope == scope_of("m", as_key("sk-secret"), {"a": "sk-header"})
    first = breaker_of("http://many.example", Circuit(2), "m", "0")
    for number in range(3000):
        breaker_of("http://many.example", Circuit(2), "m", f"{number}")
    assert len(breaker._breakers) <= 1000
    assert breaker_of("http://many.example", Circuit(2), "m", "0") is not first
