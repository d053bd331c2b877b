"""What tests of several rooms share: a profile, tiny models, a real Chroma."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

# an example's time limit measures the machine, not the code
# each run draws others; before a release, `--hypothesis-profile thorough`
settings.register_profile("runoff", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("runoff")


def pytest_report_collectionfinish(config, items):
    """List what `make test-slow` is about to run, with the time each part takes."""
    if config.option.markexpr != "slow":
        return []
    parts = dict.fromkeys(
        f"  {item.location[0]}: {mark.args[0]}"
        for item in items
        for mark in item.iter_markers("slow")
    )
    return ["what is slow, and how long it takes on 2 cores:", *parts]


@pytest.fixture(scope="session")
def tiny():
    """The module that makes tiny models."""
    pytest.importorskip("onnx", reason="the test group is not installed")
    import tiny

    return tiny


@pytest.fixture
def model(tiny, tmp_path):
    """The directory of a tiny cross-encoder."""
    return tiny.save(tmp_path / "model")


class Server(NamedTuple):
    """A `chroma run` on loopback."""

    port: int
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="session")
def chromadb():
    """Return chromadb, or skip where it is not installed."""
    return pytest.importorskip("chromadb")


@pytest.fixture(scope="session")
def chroma_settings(chromadb):
    """Return a maker of settings that send no telemetry."""
    from chromadb.config import Settings

    return lambda: Settings(anonymized_telemetry=False)


@pytest.fixture(scope="module")
def chroma_server(tmp_path_factory, chromadb):
    """Start a real server on a free port, and stop it at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("chroma")), "run"]
    command += ["--path", str(tmp_path_factory.mktemp("chroma")), "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        if process.poll() is not None:
            pytest.fail(f"chroma run ended with {process.returncode}")
        time.sleep(0.1)
    yield Server(port, process)
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def postgres():
    """Return the connection string of a real PostgreSQL with pgvector."""
    import engines

    with engines.postgres_server() as server:
        yield server.get_uri()


@pytest.fixture(scope="module")
def chroma_http(chromadb, chroma_server, chroma_settings):
    """Return a client of that server."""
    client = chromadb.HttpClient("127.0.0.1", chroma_server.port, settings=chroma_settings())
    yield client
    for one in (client, client._admin_client):  # chromadb's own close leaves connections open
        one._server._session.close()
