"""The first use in a process without threads or file descriptors raises a named error."""

import subprocess
import sys
import textwrap

import pytest

resource = pytest.importorskip("resource")

WITHOUT = {
    "files": """
        import resource
        limit = len(os.listdir("/proc/self/fd")) - 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    """,
    "threads": """
        def start(thread):
            raise RuntimeError("can't start new thread")
        threading.Thread.start = start
    """,
}
# imported while there are files: what the use would import without them
REMOTE = """
    import encodings.idna, httpx, ssl
    import runoff.rerank._remote.http
    from runoff.rerank import HTTPRerank
"""
LOCAL = """
    import bm25s, Stemmer, runoff_models, tokenizers, onnxruntime
    from runoff import TwoStage
    from runoff.recall import BM25
    from runoff.rerank import CrossEncoder
    pipeline = TwoStage({"a": BM25(["t"]), "b": BM25(["t"])})
"""
USES = {
    "http": 'HTTPRerank("http://127.0.0.1:9", dialect="jina", model="m").score([("q", "t")])',
    "https": 'HTTPRerank("https://127.0.0.1:9", dialect="jina", model="m").score([("q", "t")])',
    "warmup": 'HTTPRerank("http://127.0.0.1:9", dialect="tei").warmup()',
    "local": 'CrossEncoder("runoff-mini").score([("q", "t")])',
    "search": 'pipeline.search("t", timeout=1)',
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("what", WITHOUT)
def test_a_first_use_without_resources_is_named(what, use):
    """Neither a raw OSError nor a raw RuntimeError, nor a warning about a coroutine."""
    pytest.importorskip("httpx")
    imports = LOCAL if use in {"local", "search"} else REMOTE
    lines = [
        "import gc, os, threading",
        "from runoff.errors import RunoffError",
        *(textwrap.dedent(part) for part in (imports, WITHOUT[what])),
        "try:",
        f"    {USES[use]}",
        "except RunoffError as error:",
        "    print(type(error).__name__, error)",
        "else:",
        '    print("answered")',
        "gc.collect()",
    ]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "never awaited" not in done.stderr
    named = ("PoolFull", "ConnectionFailed", "RecallFailed", "answered")
    assert done.stdout.startswith(named), done.stdout
