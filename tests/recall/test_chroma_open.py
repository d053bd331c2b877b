"""Opening Chroma collections, and reading their space."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from words import embed, told

from runoff.errors import (
    ConnectionFailed,
    IndexNotFound,
    InvalidArgument,
    MissingExtra,
)
from runoff.recall import Chroma
from runoff.types import Query


class Recorded:
    """What `Chroma` reads of a collection, with a given configuration and metadata."""

    name = "recorded"

    def __init__(self, configuration, metadata=None):
        self.configuration_json = configuration
        self.metadata = metadata

    def query(self):
        raise AssertionError


@pytest.mark.parametrize(
    ("configuration", "metadata", "given_", "space"),
    [
        ({"hnsw": {"space": "cosine"}}, None, None, "cosine"),
        ({"hnsw": None, "spann": {"space": "ip"}}, None, None, "ip"),
        ({"hnsw": {"space": "cosine"}}, {"hnsw:space": "ip"}, None, "cosine"),
        ({"hnsw": None}, {"hnsw:space": "ip"}, None, "ip"),
        ({}, {"hnsw:space": "l2"}, None, "l2"),
        (None, {"hnsw:space": "cosine"}, "cosine", "cosine"),
        ({"hnsw_configuration": {"space": "l2"}}, {"hnsw:space": "cosine"}, None, "cosine"),
        ({"hnsw_configuration": {"space": "l2"}}, None, "cosine", "cosine"),
    ],
)
def test_the_space_is_read_from_the_configuration(configuration, metadata, given_, space):
    """The configuration is used before older metadata; an old server's default is ignored."""
    assert Chroma(Recorded(configuration, metadata), embed=embed, space=given_).space == space


@pytest.mark.parametrize(
    ("configuration", "metadata", "given_", "said"),
    [
        ({"hnsw": {"space": "manhattan"}}, None, None, "manhattan"),
        ({}, {"hnsw:space": "hamming"}, None, "hamming"),
        ({"hnsw": None}, {}, None, "pass space="),
        ({"hnsw_configuration": {"space": "l2"}}, None, None, "pass space="),
        ({"hnsw": {"space": "cosine"}}, None, "l2", "must be .cosine."),
        ({}, None, "euclid", "euclid"),
    ],
)
def test_an_unknown_space_is_an_error(configuration, metadata, given_, said):
    """A space that is unknown, unrecorded or contradicted raises InvalidArgument."""
    with pytest.raises(InvalidArgument, match=said):
        Chroma(Recorded(configuration, metadata), embed=embed, space=given_)


def test_older_metadata_names_the_space(chroma_client):
    """A real collection made with `hnsw:space` metadata is read as such."""
    made = chroma_client.create_collection(
        "older", metadata={"hnsw:space": "ip"}, embedding_function=None
    )
    assert Chroma(made, embed=embed).space == "ip"


@pytest.fixture(scope="module")
def path(tmp_path_factory, chromadb, chroma_settings, make_collection):
    path = tmp_path_factory.mktemp("persistent")
    client = chromadb.PersistentClient(str(path), chroma_settings())
    make_collection(client, ids=["a"], embeddings=embed(["fish"]), documents=["fish"])
    client.get_or_create_collection("docs", embedding_function=None).add(
        ids=["a", "b"], embeddings=embed(["fish", "bird"]), documents=["fish", "bird"]
    )
    return path


def test_a_collection_is_opened_by_name(path):
    """A collection opens from a directory and a name alone."""
    source = Chroma.from_path(path, "docs", embed=embed)
    assert told(source.retrieve(Query("fish"), depth=1)) == [("a", 1.0)]


def test_an_unknown_collection_lists_those_there_are(path):
    """A wrong name raises IndexNotFound with the existing names."""
    with pytest.raises(IndexNotFound, match="docs"):
        Chroma.from_path(path, "dox", embed=embed)


def test_a_directory_that_is_none_is_left_alone(tmp_path):
    """A directory without a Chroma database raises IndexNotFound, and none is created there."""
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(IndexNotFound, match=r"chroma\.sqlite3"):
            Chroma.from_path(path, "docs", embed=embed)
    assert list(tmp_path.iterdir()) == []


def test_other_settings_are_named(path):
    """A directory that is open with other settings raises InvalidArgument with the remedy."""
    code = (
        "import sys, chromadb\n"
        "from chromadb.config import Settings\n"
        "from runoff.errors import InvalidArgument\n"
        "from runoff.recall import Chroma\n"
        "settings = Settings(anonymized_telemetry=False, allow_reset=True)\n"
        "client = chromadb.PersistentClient(sys.argv[1], settings)\n"
        "try:\n"
        "    Chroma.from_path(sys.argv[1], 'docs', embed=len)\n"
        "except InvalidArgument as error:\n"
        "    print(error.argument)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "path"


def test_without_chromadb_the_extra_is_named(monkeypatch, tmp_path):
    """Without chromadb installed, `from_path` and `from_http` name the pip command."""
    monkeypatch.setitem(sys.modules, "chromadb", None)
    with pytest.raises(MissingExtra, match=r'pip install "runoff\[chroma\]"'):
        Chroma.from_path(tmp_path, "docs", embed=embed)
    with pytest.raises(MissingExtra):
        Chroma.from_http("docs", embed=embed)


def test_a_server_that_is_not_there_is_a_failed_connection(chromadb):
    """`from_http` to a port where nobody listens raises ConnectionFailed with host and port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(ConnectionFailed, match=str(port)):
            Chroma.from_http("docs", embed=embed, host="127.0.0.1", port=port)
