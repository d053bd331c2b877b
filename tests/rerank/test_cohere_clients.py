"""CohereRerank with clients that were made elsewhere, and what they raise."""

import asyncio
import dataclasses
import threading
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from cohere_clients import AsyncClient, Client

from runoff._waiting import private_loop
from runoff.deadline import Deadline
from runoff.errors import (
    AuthenticationFailed,
    BadReply,
    ConnectionFailed,
    DeadlineExceeded,
    ModelNotFound,
    RequestRejected,
    ServerFailed,
    TransientError,
)
from runoff.rerank import CohereRerank, Retries
from runoff.testing.chaos import FAULTS, ChaosServer, expected_score

cohere = pytest.importorskip("cohere", reason="the cohere extra is not installed")

PLANTED = "co-planted-0123456789abcdef"
PAIRS = [("green tea", text) for text in ("green tea", "a river", "tea", "a green sea")]
EXPECTED = [expected_score(*pair) for pair in PAIRS]


@pytest.fixture
def server():
    with ChaosServer(dialect="cohere") as chaos:
        yield chaos


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("how", ["score", "ascore"])
async def test_any_client_with_a_rerank_will_do(kind, how):
    """Synchronous or not, answering with objects or mappings, in any order."""
    scorer = CohereRerank("deployed", client=kind())
    scores = scorer.score(PAIRS) if how == "score" else await scorer.ascore(PAIRS)
    assert np.allclose(scores.values, [len(text) / 1000 for _, text in PAIRS])
    assert scores.usage.billed_units == (1 if kind is Client else None)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_cohere_s_own_clients_will_do(server, kind, request):
    """A client of the SDK that was made elsewhere is asked without its own retries."""
    if kind == "sync":
        make_client, connections = cohere.ClientV2, httpx.Client()
        request.addfinalizer(connections.close)
    else:
        make_client, connections = cohere.AsyncClientV2, httpx.AsyncClient()
        request.addfinalizer(lambda: private_loop.run(connections.aclose, None, "client"))
    client = make_client(api_key=PLANTED, base_url=server.url, httpx_client=connections)
    scorer = CohereRerank(client=client, retries=Retries(1), circuit=None)
    assert np.allclose(scorer.score(PAIRS).values, EXPECTED)
    server.fault = FAULTS["503"]
    with pytest.raises(ServerFailed):
        scorer.score(PAIRS)
    assert len(server.requests) == 2


async def test_a_blocking_client_blocks_no_loop_and_no_deadline():
    """A synchronous client that hangs is left behind at the deadline, and others go on."""
    free = threading.Event()

    class Hangs:
        def rerank(self, model, query, documents):
            assert free.wait(30)

    late = asyncio.create_task(CohereRerank(client=Hangs()).ascore(PAIRS, deadline=Deadline(0.1)))
    await asyncio.sleep(0.01)
    assert (await CohereRerank(client=Client()).ascore(PAIRS)).scored.all()
    with pytest.raises(DeadlineExceeded):
        await late
    free.set()  # not before: nobody waited for it


def client_error(status, code):
    """Make an error in the form of botocore's ClientError, which has no status attribute."""
    error = type("ClientError", (Exception,), {"__module__": "botocore.exceptions"})(code)
    error.response = {
        "Error": {"Code": code, "Message": f"{code} it is"},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {"retry-after": "3"}},
    }
    return error


def boto(name, base="HTTPClientError"):
    module = {"__module__": "botocore.exceptions"}
    return type(name, (type(base, (Exception,), module),), module)("it failed")


class StatusError(Exception):
    """As httpx and requests raise it, with the reply beside it."""

    def __init__(self, status):
        self.response = SimpleNamespace(status_code=status, headers={})


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (client_error(400, "ValidationException"), RequestRejected),
        (client_error(403, "AccessDeniedException"), AuthenticationFailed),
        (client_error(404, "ResourceNotFoundException"), ModelNotFound),
        (client_error(429, "ThrottlingException"), ServerFailed),
        (client_error(503, "ServiceUnavailableException"), ServerFailed),
        (boto("ReadTimeoutError"), DeadlineExceeded),
        (boto("ConnectTimeoutError"), DeadlineExceeded),
        (boto("EndpointConnectionError"), ConnectionFailed),
        (boto("ConnectionClosedError"), ConnectionFailed),
        (StatusError(401), AuthenticationFailed),
        (StatusError(502), ServerFailed),
        (TimeoutError("slow"), DeadlineExceeded),
        (ConnectionResetError("gone"), ConnectionFailed),
        (KeyError("a bug"), KeyError),
        (SystemExit(3), SystemExit),
        (asyncio.CancelledError(), BadReply),
    ],
    ids=lambda one: getattr(one, "__name__", type(one).__name__),
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_a_client_raises_is_understood(error, expected, kind):
    """Errors of botocore, httpx and Python become runoff's; a bug stays what it is.

    Whatever it was, the next call is served.
    """
    scorer = CohereRerank(client=kind(error), retries=Retries(1), circuit=None)
    with pytest.raises(expected) as caught:
        scorer.score(PAIRS, deadline=Deadline(5))
    assert type(caught.value) is expected
    if expected is ServerFailed and isinstance(getattr(error, "response", None), dict):
        assert caught.value.retry_after == 3
        assert "it is" in str(caught.value)
    assert CohereRerank(client=kind()).score(PAIRS, deadline=Deadline(5)).scored.all()


def test_a_circuit_is_that_of_one_client():
    """A client made where a failed one was in memory starts with a closed circuit."""
    for _ in range(20):
        client = Client(ConnectionResetError("gone"))
        scorer = CohereRerank(client=client, retries=Retries(1))
        for _ in range(5):
            with pytest.raises(ConnectionFailed):
                scorer.score(PAIRS)
        assert len(client.asked) == 5
        with pytest.raises(TransientError, match="no requests for another"):
            dataclasses.replace(scorer, batch=9).score(PAIRS)
        del client, scorer
