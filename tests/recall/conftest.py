"""Real Chroma collections: embedded, persistent, and over HTTP on loopback."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest


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


@pytest.fixture(scope="session")
def chroma_client(chromadb, chroma_settings):
    """Return an embedded client."""
    return chromadb.EphemeralClient(chroma_settings())


@pytest.fixture(scope="session")
def make_collection(chroma_client):
    """Return a maker of collections from ids, embeddings, metadatas and documents."""
    numbers = itertools.count()

    def make(client=None, *, space=None, **records):
        if client is None:
            how = {"configuration": {"hnsw": {"space": space}}} if space else {}
        else:  # a server of chromadb 1.0 tells the space in no other way
            how = {"metadata": {"hnsw:space": space or "l2"}}
        made = (client or chroma_client).create_collection(
            f"collection-{next(numbers)}", embedding_function=None, **how
        )
        if records:
            made.add(**records | {"embeddings": np.asarray(records["embeddings"], np.float32)})
        return made

    return make


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
