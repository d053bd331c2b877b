"""Nothing leaves the machine, and no file is written outside the folders that are named."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from runoff._util import optout

VARIABLES = ["ANONYMIZED_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY"]
SPY = """
import os, sys

class Spy:
    def find_spec(name, path=None, target=None):
        if name in ("chromadb", "huggingface_hub", "onnxruntime", "tokenizers"):
            print(name, "without", [one for one in sys.argv[2:] if one not in os.environ])

sys.meta_path.insert(0, Spy)
"""
USES = {
    "chromadb": "from runoff.recall import Chroma; Chroma.from_path(sys.argv[1], 'c', embed=len)",
    "huggingface_hub": (
        "from runoff._onnx.hub import fetch; "
        "fetch('a/b', wanted=list, revision=None, cache_dir=None, local_files_only=True)"
    ),
    "tokenizers": "from runoff.rerank import CrossEncoder; CrossEncoder('runoff-mini').warmup()",
}


def environment():
    """The variables of this process, without what switches telemetry off."""
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return {**kept, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}


@pytest.mark.parametrize("package", USES)
def test_telemetry_is_off_before_the_import(package, tmp_path):
    """The packages find their variables set when runoff imports them."""
    pytest.importorskip(package)
    done = subprocess.run(
        [sys.executable, "-c", SPY + USES[package], str(tmp_path), *VARIABLES],
        capture_output=True,
        text=True,
        check=False,  # there is no such collection, and no such model
        env=environment(),
    )
    assert f"{package} without []" in done.stdout
    assert "without ['" not in done.stdout


def test_a_users_setting_stays(monkeypatch):
    """A variable that is set already is not changed."""
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    optout.apply()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"


MODELS = """
from runoff.recall._dense.embedder import Embedder
from runoff.rerank import CrossEncoder
assert len(CrossEncoder().score([("oil", "oil")]).values) == 1
assert Embedder()(["oil"]).shape[0] == 1
"""
DEMO = """
import sys
from runoff.cli import app
sys.argv[:] = ["runoff", "demo", "oil", "--path", sys.argv[1], "--cache", sys.argv[2]]
app()
"""


@pytest.mark.parametrize("program", [MODELS, DEMO], ids=["models", "demo"])
def test_nothing_leaves_the_machine(program, tmp_path):
    """System calls show no look-up, no connection, and files in the named cache alone."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    for package in ("runoff_models", "typer"):
        pytest.importorskip(package)
    for name in ("home", "documents"):
        (tmp_path / name).mkdir()
    for number in range(4):
        (tmp_path / "documents" / f"{number}.md").write_text(f"# Note {number}\n\nOil, bread.\n")
    trace = tmp_path / "trace"
    kept = {name: value for name, value in environment().items() if not name.startswith("XDG_")}
    done = subprocess.run(
        [
            *("strace", "-f", "-qq", "-e", "trace=network,file", "-o", str(trace)),
            *(sys.executable, "-c", program, str(tmp_path / "documents"), str(tmp_path / "cache")),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**kept, "HOME": str(tmp_path / "home"), "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=280,
    )
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr[-2000:]
    calls = trace.read_text(errors="replace").splitlines()
    sent = re.compile(r"\b(connect|sendto|sendmsg|sendmmsg)\(|resolv\.conf")
    assert [one for one in calls if sent.search(one)] == []
    made = re.compile(r"\b(?:open|openat|creat|mkdir|mkdirat)\([^\"]*\"([^\"]*)\"(?:.*O_CREAT|, 0)")
    paths = [found[1] for one in calls if " = -1 " not in one and (found := made.search(one))]
    assert any(one.startswith(str(tmp_path / "cache")) for one in paths) == (program == DEMO)
    named = (str(tmp_path / "cache"), "/var/tmp/etilqs_", "/tmp/", "/dev/")
    assert [one for one in paths if not one.startswith(named)] == []
    assert [*(tmp_path / "home").iterdir()] == []
