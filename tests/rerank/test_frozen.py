"""A frozen application, and onnxruntime under another name: neither has the usual metadata."""

import importlib.metadata
import sys
from pathlib import Path

import pytest

from runoff._onnx import resolve
from runoff.errors import ModelNotFound
from runoff.rerank._local import backends


def test_versions_without_metadata(monkeypatch):
    """Where the package's metadata is missing, its module says the version."""
    onnxruntime = pytest.importorskip("onnxruntime")

    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert backends.versions("onnxruntime") == (onnxruntime.__version__,)


def test_a_model_that_is_not_bundled(monkeypatch, tmp_path):
    """A frozen application without the model's data is told to bundle it, not to reinstall."""
    models = pytest.importorskip("runoff_models")
    monkeypatch.setattr(models, "_DATA", tmp_path)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(ModelNotFound, match=r"not bundled.*--collect-data runoff_models"):
        resolve.resolve("runoff-mini")


def test_the_hooks_are_found():
    """The folder that PyInstaller is told holds a hook for each package."""
    from runoff.__pyinstaller import get_hook_dirs

    (folder,) = get_hook_dirs()
    hooks = sorted(one.name for one in Path(folder).glob("hook-*.py"))
    assert hooks == ["hook-runoff.py", "hook-runoff_models.py"]
