"""`runoff export` as a user meets it; where torch is, also with a model."""

import importlib.util
import json

import pytest

pytest.importorskip("typer", reason="the cli extra is not installed")
pytest.importorskip("onnx", reason="the export extra is not installed")

from commands import runoff

TORCH = importlib.util.find_spec("sentence_transformers") is not None


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("runoff-mini", "out"), 2, "is an embedded model"),
        (("nobody/nothing", "there"), 2, "exists already"),
        (("nobody/nothing", "absent/out"), 2, "its parent folder absent"),
        (("nobody/nothing", "out", "--precision", "int4"), 2, "must be one of both, fp32, int8"),
        (("nobody/nothing", "out", "--agreement", "2"), 2, "must be a number within 0 and 1"),
        (("nobody/nothing", "out"), 1, "not in the Hugging Face cache and the network is switched"),
        (("./absent", "out"), 1, "there is no directory absent"),
        (("there", "out"), 1, "it has no .safetensors file"),
    ],
)
def test_what_cannot_be_exported_is_told(tmp_path, monkeypatch, arguments, code, message):
    """The message names what is wrong, nothing is written, and no traceback is shown."""
    # read from the environment at its first import, which may have been in another test
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "there").mkdir()
    done = runoff("export", *arguments, cwd=tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert names(tmp_path) == ["there"]


@pytest.mark.skipif(not TORCH, reason="the export extra is not installed")
def test_a_model_is_exported_and_described(tmp_path):
    """A plain word can name a folder; results go to standard output, as text or JSON."""
    import torch_tiny

    torch_tiny.bert(tmp_path / "bert")
    done = runoff("export", "bert", "out", "--precision", "fp32", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "reads 128 tokens, scores are logits" in done.stdout
    assert f"CrossEncoder('{tmp_path}/out')" in done.stdout
    asked = ("export", "./bert", "more", "--agreement", "0.5", "--json")
    found = json.loads(runoff(*asked, cwd=tmp_path).stdout)
    assert found["bytes"].keys() == {"fp32", "int8"}
    assert found["difference"] < 1e-4
