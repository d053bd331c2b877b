"""onnxruntime is imported in one place, which switches its telemetry off first."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import runoff
from runoff._onnx import runtime

SPY = """
import os, sys

class Spy:
    def find_spec(name, path=None, target=None):
        if name == "onnxruntime":
            print("imported with", os.environ.get("ORT_DISABLE_TELEMETRY"))

sys.meta_path.insert(0, Spy)
"""
USES = {
    "a scorer": "from runoff.rerank import CrossEncoder; CrossEncoder(sys.argv[1]).warmup()",
    "the export": (
        "from pathlib import Path; from runoff.export._graph import to_int8; "
        "to_int8(*(Path(sys.argv[1]) / name for name in ('model.onnx', 'model_int8.onnx')))"
    ),
}


def told(code, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-c", SPY + code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**environment, "PYTHONPATH": ":".join(sys.path)},
    )
    return done.stdout


@pytest.mark.parametrize("use", USES)
def test_telemetry_is_off_before_the_import(model, use):
    """In a new process the variable is set by the time onnxruntime is looked for."""
    assert told(USES[use], str(model)) == "imported with 1\n"


def test_the_users_own_setting_stays(model):
    """A variable that is set already is not changed."""
    out = told(USES["a scorer"], str(model), ORT_DISABLE_TELEMETRY="0")
    assert out == "imported with 0\n"


def test_no_other_file_imports_onnxruntime():
    """Every import goes through `runoff._onnx.runtime`."""
    root = Path(runoff.__file__).parent
    imports = re.compile(
        r"^\s*(import|from) onnxruntime\b|import_module\(.onnxruntime", re.MULTILINE
    )
    found = [path for path in root.rglob("*.py") if imports.search(path.read_text("utf-8"))]
    assert found == []
    assert "import_module(module)" in Path(runtime.__file__).read_text("utf-8")
