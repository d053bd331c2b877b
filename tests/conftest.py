import pytest
from hypothesis import settings

# an example's time limit measures the machine, not the code
settings.register_profile("runoff", deadline=None)
settings.load_profile("runoff")


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
