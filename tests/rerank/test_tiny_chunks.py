"""A server that sends its reply a byte at a time takes no time from other servers."""

import socket
import threading
import time

import pytest

httpx = pytest.importorskip("httpx", reason="the http extra is not installed")
from runoff.deadline import Deadline  # noqa: E402 - see above
from runoff.errors import BadReply, RunoffError  # noqa: E402 - see above
from runoff.rerank import HTTPRerank, Retries  # noqa: E402 - see above
from runoff.testing.chaos import ChaosServer  # noqa: E402 - see above

PAIRS = [("green tea", "a river"), ("green tea", "green tea")]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def tiny_chunks():
    """The URL of a server whose replies never end, in chunks of one byte."""
    listener = socket.create_server(("127.0.0.1", 0))
    closing = threading.Event()

    def answer(connection):
        with connection:
            connection.recv(65536)
            try:
                connection.sendall(HEAD)
                while not closing.is_set():
                    connection.sendall(b"1\r\n \r\n" * 10_000)
            except OSError:
                return

    def serve():
        while not closing.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    closing.set()
    listener.close()


def slowest(good, requests=20):
    times = []
    for _ in range(requests):
        began = time.perf_counter()
        assert good.score(PAIRS, deadline=Deadline(5)).scored.all()
        times.append(time.perf_counter() - began)
    return max(times)


@pytest.mark.slow("3 s: 20 requests beside a flood of chunks, by the clock")
def test_another_server_is_not_starved(tiny_chunks):
    """Requests to another server take about as long as when no such reply is being read."""
    bad = [
        HTTPRerank(f"{tiny_chunks}/{number}", dialect="vllm", circuit=None, retries=Retries(1))
        for number in range(3)
    ]
    with ChaosServer(dialect="vllm") as server:
        good = HTTPRerank(server.url, dialect="vllm", circuit=None)
        alone = slowest(good)
        done = threading.Event()

        def read(scorer):
            while not done.is_set():
                with pytest.raises(RunoffError):
                    scorer.score(PAIRS, deadline=Deadline(1))

        threads = [threading.Thread(target=read, args=(one,)) for one in bad]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        try:
            beside = slowest(good)
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert beside < alone + 0.15


def test_a_reply_in_tiny_chunks_is_a_bad_reply(tiny_chunks):
    """Thousands of chunks of a byte are refused by name, long before they reach the size bound."""
    scorer = HTTPRerank(tiny_chunks, dialect="vllm", circuit=None, retries=Retries(1))
    with pytest.raises(BadReply, match="bytes a chunk"):
        scorer.score(PAIRS, deadline=Deadline(5))
