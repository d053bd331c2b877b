"""The explorer's server: who is answered, how it stops, and what a slow system does to it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading

import httpx
import pytest
from explored import SCRIPT, explorer
from recorded import documents

from runoff import Document, TwoStage
from runoff.errors import InvalidArgument
from runoff.pipeline._systems import as_system
from runoff.recall import BM25
from runoff.report._explorer.opened import opened
from runoff.report._explorer.server import application, serve

PORT = 8765
ORIGIN = f"http://127.0.0.1:{PORT}"
JSON = {"Content-Type": "application/json", "Origin": ORIGIN}


@pytest.fixture(scope="module")
def page():
    return explorer()


def client(page):
    transport = httpx.ASGITransport(app=application(page, "secret", PORT))
    return httpx.AsyncClient(transport=transport, base_url=ORIGIN)


async def test_every_answer_forbids_foreign_content(page):
    """Answers, errors and unknown addresses carry the policy, and are never stored."""
    async with client(page) as asked:
        for path in ("/secret/api/state", "/secret/api/none", "/other/api/state", "/x"):
            found = await asked.get(path)
            assert found.headers["cache-control"] == "no-store"
            policy = found.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert found.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/secret/api/state", {}, 200),
        ("/secret/api/state", {"Host": f"localhost:{PORT}"}, 200),
        ("/secret/api/state", {"Host": "evil.example"}, 421),
        ("/secret/api/state", {"Host": "127.0.0.1:1"}, 421),
        ("/secre/api/state", {}, 404),
        ("/secret2/api/state", {}, 404),
        ("/%C3%A9/api/state", {}, 404),
        ("/", {}, 404),
        ("/secret/../secret/api/state", {}, 200),
        ("/secret/%2e%2e/%2e%2e/etc/passwd", {}, 404),
        ("/secret/explorer.py", {}, 404),
        ("/secret/api/query?id=none", {}, 404),
        ("/secret/api/queries?sort=x", {}, 400),
    ],
)
async def test_only_the_printed_address_is_answered(page, path, headers, status):
    """Other hosts, tokens and files get an error that says nothing about what is there."""
    async with client(page) as asked:
        found = await asked.get(path, headers=headers)
    assert found.status_code == status
    assert status == 200 or found.json()["error"]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (JSON, b"{}", 200),
        (JSON | {"Origin": "http://evil.example"}, b"{}", 403),
        (JSON | {"Origin": "null"}, b"{}", 403),
        ({"Content-Type": "application/json"}, b"{}", 403),
        (JSON | {"Content-Type": "text/plain"}, b"{}", 415),
        (JSON | {"Content-Type": "application/json; charset=utf-8"}, b"{}", 200),
        (JSON, b"{", 400),
        (JSON, b"[" * 100_000, 400),
        (JSON, b"\xff", 400),
        (JSON, b'"' + b"x" * 1_000_001 + b'"', 413),
        (JSON, b'{"window": 1e400}', 400),
    ],
)
async def test_a_post_is_taken_only_from_the_page_itself(page, headers, body, status):
    """A foreign page, a form and a damaged body change nothing."""
    async with client(page) as asked:
        found = await asked.post("/secret/api/replay", headers=headers, content=body)
    assert found.status_code == status


async def test_other_methods_are_refused(page):
    """There is nothing to PUT or DELETE."""
    async with client(page) as asked:
        for method in ("PUT", "DELETE", "PATCH"):
            assert (await asked.request(method, "/secret/api/state")).status_code == 405


async def test_hostile_texts_are_only_text():
    """Texts reach the page as JSON that holds no markup, whatever is in them."""
    hostile = [
        SCRIPT,
        "\u202egnp.exe",
        "</script><img src=x onerror=1>",
        "a\x00b\x1b[31m",
        "x" * 10**6,
    ]
    found = [Document(f"d{at}{SCRIPT}", f"tide {text}") for at, text in enumerate(hostile)]
    system = as_system(TwoStage({"bm25": BM25(found)}, reranker=None))
    async with client(opened(system=system)) as asked:
        body = json.dumps({"text": f"tide {SCRIPT}"})
        reply = await asked.post("/secret/api/search", headers=JSON, content=body)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    items = reply.json()["after"]
    assert {one["text"] for one in items} == {one.text[:4000] for one in found}
    assert [one["text_cut"] for one in items].count(True) == 1


async def test_an_error_of_the_system_is_said_with_its_remedy():
    """A search that fails is an error of the system, and the server goes on."""

    class Broken:
        def retrieve(self, query, *, depth, deadline=None):
            raise InvalidArgument("index", "gone", "must be built first")

    system = as_system(TwoStage({"broken": Broken()}, reranker=None, on_error="raise"))
    async with client(opened(system=system)) as asked:
        reply = await asked.post("/secret/api/search", headers=JSON, content='{"text": "tide"}')
        assert reply.status_code == 400
        assert "must be built first" in reply.json()["error"]
        assert (await asked.get("/secret/api/state")).status_code == 200


async def test_a_slow_system_is_cut_off_and_keeps_nobody_waiting():
    """Other questions are answered meanwhile, and the deadline ends the search."""
    release = threading.Event()

    class Slow:
        def retrieve(self, query, *, depth, deadline=None):
            release.wait(60)
            return []

    given = documents()
    system = as_system(TwoStage({"bm25": BM25(given), "slow": Slow()}, reranker=None))
    page = opened(system=system, timeout=0.5)
    try:
        async with client(page) as asked:
            body = '{"text": "tide and moon"}'
            search = asked.post("/secret/api/search", headers=JSON, content=body)
            found = (await search).json()
            assert (await asked.get("/secret/api/state")).status_code == 200
    finally:
        release.set()
    assert found["outcome"]["status"] == "degraded"
    assert "recall slow: timeout" in found["outcome"]["sentences"][0]
    assert found["after"]


def test_a_port_that_is_taken_is_refused_by_name(page):
    """So is one that does not exist."""
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        for port in (other.getsockname()[1], 70_000):
            with pytest.raises(InvalidArgument, match="a free one is taken"):
                serve(page, port)


PROGRAM = """
import time
from recorded import documents
from runoff import TwoStage
from runoff.pipeline._systems import as_system
from runoff.report._explorer.opened import opened
from runoff.report._explorer.server import serve

class Slow:
    def retrieve(self, query, *, depth, deadline=None):
        print("searching", flush=True)
        time.sleep(600)

system = as_system(TwoStage({"slow": Slow()}, reranker=None))
serve(opened(system=system, timeout=None), ready=lambda address: print(address, flush=True))
print("stopped", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has another Ctrl-C")
def test_ctrl_c_stops_a_real_server_even_while_a_search_hangs():
    """It listens on 127.0.0.1 only, prints its address once, and ends in seconds."""
    path = os.pathsep.join(one for one in sys.path if one)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        address = process.stdout.readline().strip()
        parts = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/[\w-]{20,}/", address)
        assert httpx.get(f"{address}api/state").status_code == 200
        replies = []

        def search():
            given = {"json": {"text": "tide"}, "headers": {"Origin": parts[1]}, "timeout": 60}
            with httpx.stream("POST", f"{address}api/search", **given) as reply:
                replies.append(reply.status_code)

        asked = threading.Thread(target=search)
        asked.start()
        assert process.stdout.readline() == "searching\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        asked.join()
    assert replies == [503]
    assert out == "stopped\n"
    assert "Traceback" not in err
    assert process.returncode == 0
