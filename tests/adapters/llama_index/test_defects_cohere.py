"""Defects of LlamaIndex's Cohere reranker: the real packages against a server on this machine."""

import contextlib
import importlib.metadata
import os
import pickle
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from packaging.requirements import Requirement

from runoff.llama_index import RunoffRerank, provenance

cohere = pytest.importorskip("cohere")
theirs = pytest.importorskip("llama_index.postprocessor.cohere_rerank")

PACKAGE = "llama-index-postprocessor-cohere-rerank"
QUERY = "sort dictionaries by value"
TIMEOUT = 0.5


class Outage:
    """A server that answers 503 to everything, and counts."""

    def __init__(self):
        self.calls = 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler):  # noqa: N805 - its base names it; self is the server
                self.calls += 1
                handler.rfile.read(int(handler.headers["Content-Length"]))
                handler.send_response(503)
                handler.send_header("Content-Length", "2")
                handler.end_headers()
                handler.wfile.write(b"{}")

            def log_message(self, *args):
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def outage(monkeypatch):
    """An outage of Cohere."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Outage()
    yield server
    server.close()


@pytest.fixture
def make():
    """A function that makes their reranker; connections, which they leave open, are closed."""
    with contextlib.ExitStack() as opened:

        def make(url=None):
            made = theirs.CohereRerank(api_key="key", model="rerank-v3.5", base_url=url)
            opened.enter_context(made._client)
            return made

        yield make


class TestDefect6Outage:
    """Their retries around the client's own retries make an outage last for minutes."""

    def test_theirs(self, make, outage, scored, monkeypatch):
        """30 calls and more than 90 s of sleep, then the error."""
        slept = []
        monkeypatch.setattr(time, "sleep", slept.append)
        with pytest.raises(cohere.errors.ServiceUnavailableError):
            make(outage.url).postprocess_nodes(scored, query_str=QUERY)
        assert outage.calls == 30
        assert sum(slept) > 90

    @pytest.fixture
    def sleepless(self, monkeypatch):
        """Sleeps take their time, but end with the test, so that no thread is left behind."""
        over = threading.Event()

        def sleep(seconds):
            if over.wait(seconds):
                raise SystemExit

        monkeypatch.setattr(time, "sleep", sleep)
        yield over
        over.set()

    @pytest.mark.usefixtures("sleepless")
    def test_ours_over_theirs(self, make, outage, scored):
        """The same reranker in ours: the incoming order within the deadline, named degraded."""
        ours = RunoffRerank(reranker=make(outage.url), timeout=TIMEOUT, top_n=10)
        started = time.perf_counter()
        came = ours.postprocess_nodes(scored, query_str=QUERY)
        assert time.perf_counter() - started < 30  # theirs sleeps for 90 s
        assert [one.node_id for one in came] == [one.node_id for one in scored]
        told = provenance(came[0])
        assert told["complete"] is False
        assert told["degraded"][0]["reason"] == "timeout"
        assert outage.calls >= 1

    @pytest.mark.usefixtures("sleepless")
    async def test_ours_over_theirs_awaited(self, make, outage, scored):
        """Awaited it keeps its deadline too, and closing the loop waits for no thread."""
        ours = RunoffRerank(reranker=make(outage.url), timeout=TIMEOUT, top_n=10)
        started = time.perf_counter()
        came = await ours.apostprocess_nodes(scored, query_str=QUERY)
        assert time.perf_counter() - started < 30  # theirs sleeps for 90 s
        assert [one.node_id for one in came] == [one.node_id for one in scored]
        assert provenance(came[0])["degraded"][0]["reason"] == "timeout"


class TestDefect15CoherePlumbing:
    """Pins, addresses, keys and pickles of their Cohere reranker."""

    def test_theirs_pins_old_clients(self):
        """Its metadata exclude cohere 7."""
        requires = importlib.metadata.requires(PACKAGE)
        assert any(one.startswith("cohere") and "<7" in one for one in requires)

    def test_ours_accepts_new_clients(self):
        """Our requirement of cohere allows version 7."""
        asked = [Requirement(one) for one in importlib.metadata.requires("runoff") or []]
        clients = [one.specifier for one in asked if one.name == "cohere"]
        assert clients
        assert all(one.contains("7.3.1") for one in clients)

    def test_theirs_defeats_the_address_in_the_environment(self):
        """The client reads CO_API_URL, but the explicit None they pass overrides it."""
        script = (
            "import cohere\n"
            "from llama_index.postprocessor.cohere_rerank import CohereRerank\n"
            "for client in (cohere.ClientV2('key'), CohereRerank(api_key='key')._client):\n"
            "    print(client._client_wrapper.get_base_url())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "CO_API_URL": "http://127.0.0.1:9"},
            capture_output=True,
            text=True,
            check=True,
        )
        client, reranker = done.stdout.split()
        assert client == "http://127.0.0.1:9"
        assert reranker == "https://api.cohere.com"

    def test_theirs_does_not_know_the_clients_key(self, monkeypatch):
        """CO_API_KEY, which the client takes, is a bare KeyError."""
        monkeypatch.delenv("COHERE_API_KEY", raising=False)
        monkeypatch.setenv("CO_API_KEY", "key")
        cohere.ClientV2()
        with pytest.raises(KeyError):
            theirs.CohereRerank()

    def test_theirs_loses_its_address(self, make, outage):
        """to_dict writes no base_url, though one was given."""
        assert make(outage.url).to_dict()["base_url"] is None

    def test_theirs_comes_back_without_a_client(self, make, scored):
        """An unpickled one fails at its first query."""
        back = pickle.loads(pickle.dumps(make()))
        with pytest.raises(AttributeError, match="_client"):
            back.postprocess_nodes(scored, query_str=QUERY)
