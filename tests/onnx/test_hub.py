"""The Hugging Face path, against a cache laid out on disk and a hub served on loopback."""

import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest

from runoff._onnx import hub
from runoff._onnx.resolve import resolve
from runoff.errors import ModelNotFound

NAME = "org/tiny-reranker"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tiny, tmp_path):
    """A Hub cache that holds one revision of one model."""
    root = tmp_path / "hub" / f"models--{NAME.replace('/', '--')}"
    tiny.save(root / "snapshots" / COMMIT, file="onnx/model.onnx")
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(COMMIT)
    return tmp_path / "hub"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("org/name", True),
        ("cross-encoder/ms-marco-MiniLM-L6-v2", True),
        ("org/na.me_1", True),
        ("name", False),
        ("./name", False),
        ("../name", False),
        ("/abs/path", False),
        ("a/b/c", False),
        ("org/", False),
        ("org\\name", False),
    ],
)
def test_hub_names_are_told_from_paths(text, expected):
    """Only org/name is a name of the Hub."""
    assert hub.is_name(text) is expected


def test_a_cached_model_is_found_without_network(cache):
    """With `local_files_only` the cache answers alone."""
    files = resolve(NAME, cache_dir=cache, local_files_only=True)
    assert files.onnx.parts[-4:] == ("snapshots", COMMIT, "onnx", "model.onnx")
    assert files.name == NAME


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_a_cached_revision_is_found(cache, revision):
    """A branch and a commit that the cache knows are found in it."""
    files = resolve(NAME, cache_dir=cache, revision=revision, local_files_only=True)
    assert files.directory.name == COMMIT


def test_a_revision_that_is_not_cached_is_named(cache):
    """A revision that the cache lacks is an error that names it."""
    with pytest.raises(ModelNotFound, match=f"{NAME} at v9: it is not in the .* cache"):
        resolve(NAME, cache_dir=cache, revision="v9", local_files_only=True)


def test_offline_and_absent_names_the_remedy(tmp_path):
    """A model that is not cached, with the network off, is an error that says what to do."""
    with pytest.raises(ModelNotFound, match=f"hf download {NAME}"):
        resolve(NAME, cache_dir=tmp_path, local_files_only=True)


def test_a_cached_model_without_tokenizer_is_named(cache):
    """An incomplete snapshot is an error that names the missing file."""
    next(cache.rglob("tokenizer.json")).unlink()
    with pytest.raises(ModelNotFound, match=r"tokenizer\.json is missing"):
        resolve(NAME, cache_dir=cache, local_files_only=True)


def test_a_cache_that_vanishes_is_looked_up_again(cache):
    """A directory remembered from an earlier call is not trusted to exist."""
    resolve(NAME, cache_dir=cache, local_files_only=True)
    shutil.rmtree(cache)
    with pytest.raises(ModelNotFound):
        resolve(NAME, cache_dir=cache, local_files_only=True)


class Handler(BaseHTTPRequestHandler):
    """As much of the Hub's protocol as a download needs."""

    files: dict
    asked: list

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if path.startswith(f"/api/models/{NAME}/tree/"):
            files = [(name, len(body)) for name, body in self.files.items()]
            self.reply([{"type": "file", "path": a, "size": b, "oid": "0"} for a, b in files])
        elif path in {f"/api/models/{NAME}", f"/api/models/{NAME}/revision/main"}:
            names = [{"rfilename": name} for name in self.files]
            about = {"private": False, "downloads": 0, "likes": 0, "tags": []}
            self.reply({"id": NAME, "modelId": NAME, "sha": COMMIT, "siblings": names, **about})
        elif path.startswith(f"/{NAME}/resolve/"):
            name = path.split("/", 5)[5]
            self.asked.append(name)
            self.send(200, self.files[name], sha256(self.files[name]).hexdigest())
        else:
            self.send(404, b"{}", error="RepoNotFound")

    def reply(self, content):
        self.send(200, json.dumps(content).encode())

    def send(self, status, body, etag=None, error=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", COMMIT)
        if etag:
            self.send_header("ETag", f'"{etag}"')
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@contextmanager
def serving(directory):
    names = [path for path in directory.rglob("*") if path.is_file()]
    files = {path.relative_to(directory).as_posix(): path.read_bytes() for path in names}
    handler = type("Bound", (Handler,), {"files": files, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", handler.asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(model, cache_dir, **environment):
    """Resolve a model in a fresh interpreter, since the Hub's settings are read at import."""
    code = (
        "import sys\n"
        "from runoff.errors import RunoffError\n"
        "from runoff._onnx.resolve import resolve\n"
        "try:\n"
        "    found = resolve(sys.argv[1], cache_dir=sys.argv[2])\n"
        "    print(found.onnx.relative_to(found.directory).as_posix(), found.precision)\n"
        "except RunoffError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    proxies = {"http_proxy", "https_proxy", "all_proxy"}
    kept = {name: value for name, value in os.environ.items() if name.lower() not in proxies}
    done = subprocess.run(
        [sys.executable, "-c", code, model, str(cache_dir)],
        env={**kept, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_only_the_needed_files_are_downloaded(tiny, tmp_path):
    """Of a repository, the settings, the tokenizer and one ONNX file with its data come down."""
    repository = tiny.save(tmp_path / "repository", file="onnx/model.onnx")
    (repository / "onnx" / "model.onnx_data").write_bytes(b"weights")
    for name in ("onnx/model_O4.onnx", "model.safetensors", "README.md", "run.py"):
        (repository / name).write_bytes(b"not wanted")
    with serving(repository) as (endpoint, asked):
        assert ask(NAME, tmp_path / "hub", HF_ENDPOINT=endpoint) == "onnx/model.onnx fp32"
    assert set(asked) == {
        "config.json",
        "tokenizer.json",
        "onnx/model.onnx",
        "onnx/model.onnx_data",
    }
    assert ask(NAME, tmp_path / "hub", HF_HUB_OFFLINE="1") == "onnx/model.onnx fp32"
    gone = ask(NAME, tmp_path / "hub", HF_ENDPOINT=endpoint)
    assert gone == "onnx/model.onnx fp32"


def test_an_unknown_model_is_named(tiny, tmp_path):
    """A name that the Hub does not know is a ModelNotFound, not a network error."""
    with serving(tiny.save(tmp_path / "repository")) as (endpoint, _):
        said = ask("org/absent", tmp_path / "hub", HF_ENDPOINT=endpoint)
    assert said.startswith("ModelNotFound org/absent: ")
    assert "has no such model" in said


def test_a_repository_without_graph_downloads_nothing(tiny, tmp_path):
    """A repository without ONNX file is an error before anything is downloaded."""
    repository = tiny.save(tmp_path / "repository")
    (repository / "model.onnx").rename(repository / "model.safetensors")
    with serving(repository) as (endpoint, asked):
        said = ask(NAME, tmp_path / "hub", HF_ENDPOINT=endpoint)
    assert "no ONNX file" in said
    assert asked == []


def test_unreachable_and_absent_says_so(tmp_path):
    """Without network and without cached files the error says both."""
    said = ask(NAME, tmp_path / "hub", HF_ENDPOINT="http://127.0.0.1:9")
    assert said.startswith(f"ModelNotFound {NAME}: the Hugging Face Hub cannot be reached")


def test_a_cache_that_cannot_be_written_is_named(tiny, tmp_path):
    """A cache folder that cannot be made is an error that names the remedy."""
    (tmp_path / "file").write_text("in the way")
    with serving(tiny.save(tmp_path / "repository")) as (endpoint, _):
        said = ask(NAME, tmp_path / "file" / "hub", HF_ENDPOINT=endpoint)
    assert said.startswith("ModelNotFound")
    assert "cache_dir" in said


def test_switched_off_by_the_environment(tmp_path):
    """HF_HUB_OFFLINE is honoured and named."""
    assert "HF_HUB_OFFLINE" in ask(NAME, tmp_path / "hub", HF_HUB_OFFLINE="1")
