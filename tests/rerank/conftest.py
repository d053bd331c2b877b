import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny():
    """The module that makes tiny models."""
    path = Path(__file__).parents[1] / "onnx" / "tiny.py"
    spec = importlib.util.spec_from_file_location("tiny", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model(tiny, tmp_path):
    """The directory of a tiny cross-encoder."""
    return tiny.save(tmp_path / "model")
