"""Errors of anyone's clients are told without the keys and passwords that they repeat."""

import json
import logging
import time

import pytest
from parts import Fixed, Found

from runoff._util.messages import error_text
from runoff._util.without_secrets import without_secrets
from runoff.pipeline import TwoStage
from runoff.types import Document, Hit

KEY = "s3cr3t-Value_of+key=="
SAID = [
    "failed with headers {'Authorization': 'Bearer KEY'}",
    "Authorization: Basic KEY",
    "authorization=KEY",
    "{b'authorization': b'Bearer KEY'}",
    "GET https://user:KEY@host/x?api_key=KEY",
    "https://host/x#access_token=KEY",
    "postgresql://u:KEY@h/db failed",
    "connection to host=h user=u password=KEY dbname=x failed",
    '{"api_key": "KEY", "x": 1}',
    "{'api_key': 'KEY'}",
    "x-api-key: KEY",
    "OPENAI_API_Key=KEY is wrong",
    "AccountKey=KEY;EndpointSuffix=core",
    "aws_secret_access_key = KEY",
    "PWD=KEY;UID=sa",
    'client_secret="KEY"',
    '{"token": "KEY"}',
    "token=KEY",
    "Bearer KEY",
]
WRITTEN = [
    "Incorrect API key provided: sk-proj-0123456789abcdefgh. You can find",
    "key hf_0123456789abcdefgh is invalid",
    "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl expired",
    "AKIAIOSFODNN7EXAMPLE has no access",
]
HARMLESS = [
    "input (4001 tokens) is too large",
    "token limit: 512, tokens: 4001",
    "unexpected token: identifier at line 1",
    "Basic authentication is required",
    "the bearer of this message",
    "no api key was given: set COHERE_API_KEY",
    "password authentication failed for user 'u'",
    "column secret does not exist",
    "https://host/path: 404 for model sk-learn",
    "KeyError: 'key'",
]


@pytest.mark.parametrize("said", SAID)
def test_a_named_secret_is_masked(said):
    """What follows the name of a key, a password or a header is not told."""
    told = without_secrets(said.replace("KEY", KEY))
    assert KEY not in told
    assert "s3cr3t" not in told


@pytest.mark.parametrize("said", WRITTEN)
def test_a_key_is_known_by_its_form(said):
    """Keys as vendors write them, and JSON Web Tokens, are masked without a name."""
    assert "***" in without_secrets(said)


@pytest.mark.parametrize("said", HARMLESS)
def test_other_words_stay(said):
    """The cause of a fault is told in full where it has no secret."""
    assert without_secrets(said) == said


def test_masking_takes_no_longer_than_reading():
    """Long and hostile messages do not hold the interpreter."""
    for said in ("a" * 5000, "api_key=" * 600, "x-" * 2500, "bearer " * 700, "://" * 1600):
        begun = time.thread_time()
        error_text(ValueError(said))
        assert time.thread_time() - begun < 0.5


def test_a_degraded_answer_does_not_tell_a_foreign_key(caplog):
    """Outcome, trace, explanation and log have the cause without the key."""

    def fails(_):
        raise ConnectionError(f"refused: {{'Authorization': 'Bearer {KEY}'}}, password={KEY}")

    pipeline = TwoStage({"a": Found([Hit(Document("a", "oil"), 1.0)])}, reranker=Fixed(fails))
    with caplog.at_level(logging.DEBUG):
        response = pipeline.search("q")
    assert "refused" in caplog.text
    assert "refused" in str(response.explain())
    said = (repr(response.outcome.degraded), json.dumps(response.to_dict()), caplog.text)
    assert "s3cr3t" not in "".join((*said, str(response.explain())))
