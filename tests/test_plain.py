"""Responses and traces as JSON: the documented fields, no NaN, and texts only if asked."""

import json
import re
from pathlib import Path

import pytest
from parts import Backwards, Listed

from runoff import TwoStage
from runoff.types import Document, Hit

SECRET = "zanzibar"
PAGE = Path(__file__).parent.parent / "docs" / "signals.md"


@pytest.fixture
def response():
    """An answer with a source that gives no scores, and one that fails with a text in its error."""
    hits = [Hit(Document(name, f"{SECRET} {name}"), float("nan")) for name in "abc"]
    sources = {"one": Listed(*hits), "two": Listed(error=OSError(f"no {SECRET}"))}
    return TwoStage(sources, reranker=Backwards(), window=2).search(f"{SECRET}?", timeout=30)


def test_it_is_strict_json_without_texts(response):
    """Every value is one that JSON has; texts of query, documents and errors come only if asked."""
    for one in (response, response.trace):
        written = json.dumps(one.to_dict(), allow_nan=False)
        assert json.loads(written)["version"] == 1
        assert SECRET not in written
        assert SECRET in json.dumps(one.to_dict(texts=True), allow_nan=False)


def test_it_has_what_the_response_has(response):
    """Results, outcome and fates are those of the response."""
    said = response.to_dict(texts=True)
    assert [one["doc_id"] for one in said["results"]] == [one.doc_id for one in response]
    assert [one["text"] for one in said["results"]] == [one.text for one in response]
    assert said["results"][0]["sources"] == {"one": {"rank": 2, "score": None}}
    assert said["outcome"]["complete"] is False
    assert said["outcome"]["degraded"][0]["source"] == "two"
    assert said["outcome"]["budget_ms"] == 30_000
    assert said["trace"] == response.trace.to_dict(texts=True)
    assert [one["failed"] for one in said["trace"]["stages"]] == [False, True, False, False]
    assert [one["scoring"] for one in said["trace"]["fates"]] == ["reranked", "reranked", "tail"]


def names(value, path=""):
    """Yield the dotted name of every field; those of an item of a list end in []."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{path}{name}"
            yield from names(inner, f"{path}{name}.")
    elif isinstance(value, list) and value:
        yield from names(value[0], f"{path[:-1]}[].")


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not in a wheel")
def test_every_field_is_documented(response):
    """The page lists every field, and no other."""
    listed = set(re.findall(r"^\| `([\w.\[\]]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE))
    said = {
        re.sub(r"\bsources\.\w+", "sources.NAME", name)
        for name in names(response.to_dict(texts=True))
    }
    absent = {f"results[].passages[].{one}" for one in ("start", "end", "score")}  # of this answer
    assert listed == said | absent
