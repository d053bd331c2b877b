"""Replies of the servers, as in the examples of their documentation."""

import json
import math

import pytest

from runoff.errors import BadReply, InvalidArgument, ModelNotFound, RequestRejected
from runoff.rerank._remote.dialects import DIALECTS, About, Dialect, Item, as_dialect
from runoff.scores import Passage, Usage

TEI, VLLM, JINA, INFINITY, COHERE = (
    DIALECTS[name] for name in ("tei", "vllm", "jina", "infinity", "cohere")
)


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (TEI, {"query": "q", "texts": ["a", "b"], "truncate": True, "raw_scores": True}),
        (
            VLLM,
            {"query": "q", "documents": ["a", "b"], "truncate_prompt_tokens": -1, "model": "m"},
        ),
        (
            JINA,
            {
                "query": "q",
                "documents": ["a", "b"],
                "return_documents": False,
                "model": "m",
                "top_n": 2,
            },
        ),
        (
            INFINITY,
            {
                "query": "q",
                "documents": ["a", "b"],
                "return_documents": False,
                "model": "m",
                "raw_scores": True,
            },
        ),
        (COHERE, {"query": "q", "documents": ["a", "b"], "model": "m"}),
    ],
)
def test_requests(dialect, body):
    """A request has the names of its dialect and asks for all texts, and for logits."""
    model = "m" if "model" in body else None
    assert dialect.request("q", ["a", "b"], model, raw=True) == body


@pytest.mark.parametrize(
    ("dialect", "reply", "usage"),
    [
        (TEI, '[{"index":1,"score":0.75},{"index":0,"score":0.5}]', Usage()),
        (
            VLLM,
            (
                '{"id":"rerank-1","model":"m","usage":{"prompt_tokens":56,"total_tokens":56},"results":'
                '[{"index":1,"document":{"text":"b","multi_modal":null},"relevance_score":0.75},'
                '{"index":0,"document":{"text":"a"},"relevance_score":0.5}]}'
            ),
            Usage(tokens=56),
        ),
        (
            JINA,
            (
                '{"model":"m","object":"list","usage":{"total_tokens":9},"results":'
                '[{"index":1,"relevance_score":0.75},{"index":0,"relevance_score":0.5}]}'
            ),
            Usage(tokens=9),
        ),
        (
            INFINITY,
            (
                '{"object":"rerank","results":[{"relevance_score":0.75,"index":1,"document":null},'
                '{"relevance_score":0.5,"index":0,"document":null}],"model":"m",'
                '"usage":{"prompt_tokens":7,"total_tokens":7},"id":"i","created":1}'
            ),
            Usage(),  # these are characters
        ),
        (
            COHERE,
            (
                '{"id":"x","results":[{"index":1,"relevance_score":0.75},'
                '{"index":0,"relevance_score":0.5}],"meta":{"api_version":{"version":"2"},'
                '"billed_units":{"search_units":1}}}'
            ),
            Usage(billed_units=1.0),
        ),
    ],
)
def test_replies(dialect, reply, usage):
    """A reply of each dialect is parsed, with its usage."""
    said = json.loads(reply)
    assert dialect.read(said) == [Item(1, 0.75), Item(0, 0.5)]
    assert dialect.usage(said) == usage


def test_relevant_spans_are_passages():
    """Cohere's spans become passages, best first; what is malformed is left out."""
    spans = [
        {"start": 0, "end": 4, "score": 0.2},
        {"start": 5, "end": 9, "score": 0.9},
        {"start": 9, "end": 9, "score": 1.0},
        {"start": "0", "end": 4, "score": 1.0},
        "nonsense",
    ]
    said = {"results": [{"index": 0, "relevance_score": 0.9, "relevant_spans": spans}]}
    (item,) = COHERE.read(said)
    assert item.passages == (Passage(5, 9, 0.9), Passage(0, 4, 0.2))


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"results": None},
        {"results": {"index": 0}},
        [],
        "text",
        7,
        None,
        {"results": ["a"]},
        {"results": [{"relevance_score": 0.5}]},
        {"results": [{"index": "0", "relevance_score": 0.5}]},
        {"results": [{"index": True, "relevance_score": 0.5}]},
        {"results": [{"index": 0.0, "relevance_score": 0.5}]},
        {"results": [{"index": 0}]},
        {"results": [{"index": 0, "relevance_score": "0.5"}]},
        {"results": [{"index": 0, "relevance_score": True}]},
    ],
)
def test_what_is_no_reply_is_refused(reply):
    """A reply of another form is a BadReply that names the dialect."""
    with pytest.raises(BadReply, match="cohere dialect"):
        COHERE.read(reply)


def test_null_is_a_score_that_is_no_number():
    """Strict JSON has no NaN, and writes null."""
    (item,) = TEI.read([{"index": 0, "score": None}])
    assert math.isnan(item.score)


def test_descriptions():
    """The descriptions of TEI and vLLM are parsed, and invalid ones are ignored."""

    def read(said):
        return TEI.about[1](said, None)

    said = {
        "model_id": "BAAI/bge-reranker-base",
        "model_sha": "abc",
        "model_dtype": "float16",
        "max_client_batch_size": 64,
        "max_input_length": 512,
    }
    assert read(said) == About("BAAI/bge-reranker-base@abc", "float16", 64, 512)
    assert VLLM.about[1]({"data": [{"id": "m", "max_model_len": 8192}]}, None) == About(
        "m", max_length=8192
    )
    for nonsense in ({}, [], None, "x", {"data": []}, {"data": ["x"]}, {"model_id": 5}):
        assert read(nonsense) == About()
        assert VLLM.about[1](nonsense, None) == About()


def test_a_batch_limit_is_read_from_the_rejection():
    """TEI's own words name its limit."""
    assert TEI.limit_in("batch size 100 > maximum allowed batch size 32") == 32
    assert TEI.limit_in("text is too long") is None
    assert COHERE.limit_in("batch size 100 > maximum allowed batch size 32") is None


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"error": "Model is overloaded", "error_type": "Overloaded"}, "Model is overloaded"),
        ({"error": {"message": "too long", "type": "BadRequestError", "code": 400}}, "too long"),
        ({"object": "error", "message": "flat", "code": 400}, "flat"),
        ({"detail": "jina's"}, "jina's"),
        ({"message": "invalid api token", "id": "1"}, "invalid api token"),
        ({"detail": [{"msg": "field required", "input": "a text"}]}, "field required"),
        (
            {
                "detail": [
                    {"loc": ["body", "documents", 1], "msg": "too long", "input": "private text"},
                    {"loc": ["body", "top_n"], "msg": "too small", "input": 0},
                    "private text",
                ]
            },
            "documents.1: too long; top_n: too small",
        ),
        ({"detail": {"input": ["a text"]}}, ""),
        ("plain\n text", "plain text"),
        ({}, ""),
        (None, ""),
    ],
)
def test_error_messages(said, message):
    """The message is found in every server's form of error."""
    assert Dialect.message(said) == message


def test_the_batch_limit_is_found_in_what_infinity_says():
    """The limit of texts is understood, and the limit of characters is not taken for it."""
    texts = "documents: List should have at most 2048 items after validation, not 2049"
    characters = "documents.0: String should have at most 122880 characters"
    assert INFINITY.limit_in(texts) == 2048
    assert INFINITY.limit_in(characters) is None


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_lone_surrogates_are_not_sent(dialect):
    """Half a surrogate pair, over which servers fail for all texts, goes out as U+FFFD."""
    body = dialect.request("q\ud800", ["a\udfff", "\N{HONEYBEE}"], None, raw=True)
    sent = [body[dialect.query], *body[dialect.documents]]
    if dialect.wrapped:
        sent = [one[dialect.wrapped] for one in sent]
    assert sent == ["q\ufffd", "a\ufffd", "\N{HONEYBEE}"]


def test_long_messages_are_shortened():
    """A page of HTML is not repeated."""
    assert len(Dialect.message("x" * 5000)) == 200


def test_a_dialect_may_be_ones_own():
    """A row of one's own is taken; an unknown name lists those there are."""
    own = Dialect("voyage", path="/v1/rerank", results=("data",))
    assert as_dialect(own) is own
    with pytest.raises(InvalidArgument, match='"tei", "vllm", "jina", "infinity", "cohere"'):
        as_dialect("voyage")


def test_an_error_message_is_masked_before_it_is_shortened():
    """No part of a key is left where the message is cut."""
    said = {"message": "x" * 190 + "sk-planted-0123456789"}
    message = Dialect.message(said, lambda text: text.replace("sk-planted-0123456789", "***"))
    assert message == "x" * 190 + "***"


def test_numbers_without_bound_are_read():
    """A whole number too large for a float is an infinite score, and no other error."""
    reply = {"results": [{"index": 0, "relevance_score": 10**400}]}
    assert COHERE.read(reply) == [Item(0, math.inf)]
    assert COHERE.usage({"meta": {"billed_units": {"search_units": math.nan}}}) == Usage()
    assert COHERE.usage({"meta": {"billed_units": {"search_units": -1}}}) == Usage()


def test_one_of_several_models_speaks_for_itself():
    """Of the models that a server lists, the one asked for is used, in any order."""
    listed = {"data": [{"id": "a", "max_model_len": 10}, {"id": "b", "max_model_len": 20}]}
    read = DIALECTS["infinity"].about[1]
    assert read(listed, "b") == About("b", max_length=20)
    assert read(listed, "c") == read(listed, None) == About()


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (400, "Invalid model: two", ModelNotFound),
        (404, "The model `x` does not exist.", ModelNotFound),
        (422, "model 'x' not found", ModelNotFound),
        (400, "This model's maximum context length is 512 tokens.", RequestRejected),
        (422, "top_n must be positive", RequestRejected),
    ],
)
def test_a_model_that_is_not_there_is_permanent(status, message, error):
    """An unknown model raises `ModelNotFound`, whatever status the server sends."""
    pytest.importorskip("httpx", reason="the http extra is not installed")
    from runoff.rerank._remote.transport import status_error

    found = status_error(status, {"message": message}, {}, "me")
    assert type(found) is error
