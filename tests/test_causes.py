"""The cause of a degraded answer stands in the log, the outcome and the provenance."""

import json
import logging
import time

import pytest
from parts import Backwards, Listed, both

from runoff._util import provenance
from runoff.errors import EmbeddingError
from runoff.pipeline import TwoStage
from runoff.pipeline._masking import without_texts
from runoff.types import Query


def everywhere(response, caplog):
    """Return the cause from each place; also what the log says."""
    (fault,) = response.outcome.degraded
    (told,) = json.loads(provenance.encode(response, response[0]))["degraded"]
    return fault.detail, told["detail"], caplog.messages[-1]


@pytest.mark.parametrize("stage", ["recall", "rerank"])
def test_the_cause_stands_in_log_outcome_and_provenance(stage, caplog):
    """The message of the error is in all three, whichever stage failed."""
    cause = ConnectionError("no route to db-7 (errno 113)")
    if stage == "recall":
        pipeline = TwoStage({"a": Listed("a"), "b": Listed(error=cause)}, reranker=None)
    else:
        pipeline = TwoStage({"a": Listed("a")}, reranker=Backwards(error=cause))
    with caplog.at_level(logging.WARNING, "runoff"):
        response = both(pipeline, "what else")
    detail, told, logged = everywhere(response, caplog)
    assert detail == told == "ConnectionError: no route to db-7 (errno 113)"
    assert logged.endswith(f": connection ({detail})")


def test_a_cause_repeats_neither_password_query_nor_document(caplog):
    """A URL's password and key, the query, and a document that the error quotes, are left out."""
    text = "the patient was given forty milligrams on the second of May"

    class Quotes(Backwards):
        def rerank(self, query, candidates, *, deadline=None):
            del deadline
            said = [one.document.text[:50] for one in candidates]
            msg = f"https://me:hunter2@db/x?key=sk-9 lost with {query.text!r} and {said}"
            raise ConnectionError(msg)

    class Long(Listed):
        def retrieve(self, query, *, depth, deadline=None):
            return [
                type(hit)(type(hit.document)(hit.document.doc_id, text), hit.score)
                for hit in super().retrieve(query, depth=depth, deadline=deadline)
            ]

    pipeline = TwoStage({"a": Long("a")}, reranker=Quotes())
    with caplog.at_level(logging.WARNING, "runoff"):
        response = pipeline.search("dose of\nmorphine")
    for said in everywhere(response, caplog):
        assert "https://db/x lost with" in said
        for secret in ("hunter2", "sk-9", "morphine", "patient", "milligrams"):
            assert secret not in said


def test_a_huge_query_is_masked_quickly():
    """Both ends of a query of two million characters are masked, at the cost of a short one."""
    query = "".join(f"word{number}!" for number in range(200_000))
    message = f"error at {query[:300]} and {query[-200:]}: drab"
    began = time.thread_time()
    assert without_texts(message, [query], []) == "error at *** and ***: drab"
    assert time.thread_time() - began < 0.1  # escaping it alone took twice that


@pytest.mark.parametrize("query", ["茶叶", "ab", "a\tb\\c", "[", "x" * 50])
def test_a_query_is_masked_however_it_is_written(query):
    """As it is, as `repr` and as JSON writes it; a query of two ASCII letters is left alone."""
    for written in (query, repr(query), json.dumps(query)):
        said = without_texts(f"error at {written}: drab", [query], [])
        if query in {"ab", "["}:
            assert said == f"error at {written}: drab"
        else:
            assert written.strip("'\"") not in said
            assert said.startswith("error at ")
            assert said.endswith(": drab")


@pytest.mark.parametrize("on_error", ["transient", "raise"])
@pytest.mark.parametrize(
    "error",
    [
        EmbeddingError("384 dimensions, expected 768"),
        ValueError("shapes (3,4) and (5,) not aligned: 4 (dim 1) != 5 (dim 0)"),
        AssertionError("_async_engine not found"),
    ],
)
def test_a_fault_of_a_source_that_cannot_pass_is_raised(error, on_error):
    """A wrong dimension or a missing engine raises: the rest alone would hide it for ever."""
    pipeline = TwoStage(
        {"a": Listed("a"), "b": Listed(error=error)}, reranker=None, on_error=on_error
    )
    with pytest.raises(type(error)) as caught:
        pipeline.search(Query("what else"))
    assert caught.value is error
    lenient = TwoStage(
        {"a": Listed("a"), "b": Listed(error=error)}, reranker=None, on_error="degrade"
    )
    (fault,) = both(lenient, "what else").outcome.degraded
    assert fault.reason == "permanent"
    assert str(error) in fault.detail
