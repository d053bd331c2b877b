"""The command line with the extra `cli` alone."""

import subprocess
import sys

import pytest

pytest.importorskip("typer", reason="the cli extra is not installed")

# what other extras bring
OTHERS = [
    "altair",
    "anywidget",
    "chromadb",
    "cohere",
    "elasticsearch",
    "httpx",
    "ir_measures",
    "krippendorff",
    "lancedb",
    "langchain_core",
    "llama_index",
    "onnx",
    "openpyxl",
    "opentelemetry",
    "pyarrow",
    "pymilvus",
    "qdrant_client",
    "rank_bm25",
    "ray",
    "runoff_models",
    "sentence_transformers",
    "starlette",
    "torch",
    "uvicorn",
]
COMMANDS = "demo evaluate advise explain explore watch label doctor bench export version bulk"


def run(*arguments):
    """Run a command where nothing of the other extras can be imported."""
    code = (
        f"import sys; sys.modules |= dict.fromkeys({OTHERS!r}); sys.argv[0] = 'runoff'; "
        "from runoff.cli import app; app()"
    )
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def test_every_command_is_listed():
    """Help names all commands, and what one of them needs stops no other."""
    done = run("--help")
    assert done.returncode == 0, done.stderr
    assert set(COMMANDS.split()) <= set(done.stdout.replace("│", " ").split())


@pytest.mark.parametrize(
    "arguments",
    [("watch", "observations"), ("demo", "why does the sea rise?"), ("bulk", "encode", "a", "b")],
)
def test_a_command_names_the_extra_that_it_needs(arguments, tmp_path, monkeypatch):
    """One line says what to install."""
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.returncode == 1
    assert 'pip install "runoff[' in done.stderr
    assert "Traceback" not in done.stderr
