"""The embedded models: whole, loadable, and doing what their cards say."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

import runoff_models

BI_ENCODERS = ("all-MiniLM-L6-v2", "runoff-late")
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
QUERY = "how do plants turn sunlight into energy?"
RELEVANT = "Photosynthesis converts light into chemical energy, which the plant stores as sugar."
IRRELEVANT = "The treaty was signed in 1648 and ended the war between the two kingdoms."


def run(name: str, *texts: str) -> np.ndarray:
    """The model's output for one text or one pair, shape (dims,)."""
    folder = runoff_models.path(name)
    session = onnxruntime.InferenceSession(
        folder / "model_int8.onnx", providers=["CPUExecutionProvider"]
    )
    encoded = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(*texts)
    columns = (encoded.ids, encoded.attention_mask, encoded.type_ids)
    feed = {key: np.array([column], np.int64) for key, column in zip(INPUTS, columns, strict=True)}
    return session.run(None, feed)[0][0]


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the data folder, which the package reads in place of its own."""
    target = tmp_path / "data"
    shutil.copytree(Path(runoff_models.__file__).parent / "data", target)
    monkeypatch.setattr(runoff_models, "_DATA", target)
    return target


def test_names() -> None:
    """There are three models, and each has a folder of its own."""
    assert runoff_models.names() == ("all-MiniLM-L6-v2", "runoff-late", "runoff-mini")
    assert len({runoff_models.path(name) for name in runoff_models.names()}) == 3


def test_unknown_name_lists_those_there_are() -> None:
    """A wrong name is a ValueError that names the right ones."""
    with pytest.raises(ValueError, match="all-MiniLM-L6-v2, runoff-late, runoff-mini"):
        runoff_models.path("../secrets")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (name, path.name)
        for name in runoff_models.names()
        for path in sorted((Path(runoff_models.__file__).parent / "data" / name).iterdir())
        if path.name not in {"README.md", "checksums.json"}
    ],
)
def test_a_flipped_byte_is_found(copied: Path, name: str, file: str) -> None:
    """One changed bit raises an error with the file, both checksums and the remedy."""
    damaged = copied / name / file
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(runoff_models.ModelDamagedError) as caught:
        runoff_models.path(name)
    error = caught.value
    assert error.file == damaged
    assert error.expected != error.found
    for part in (str(damaged), error.expected, error.found, "pip install --force-reinstall"):
        assert part in str(error)


@pytest.mark.parametrize("file", ["model_int8.onnx", "checksums.json"])
def test_a_missing_file_is_found(copied: Path, file: str) -> None:
    """A file that is gone raises the same error, checksums included."""
    (copied / "runoff-mini" / file).unlink()
    with pytest.raises(runoff_models.ModelDamagedError, match=file):
        runoff_models.path("runoff-mini")


def test_verified_once_per_process(copied: Path) -> None:
    """A second call does not read the files again."""
    first = runoff_models.path("runoff-mini")
    (copied / "runoff-mini" / "config.json").write_text("{}")
    assert runoff_models.path("runoff-mini") == first


@pytest.mark.parametrize("name", runoff_models.names())
def test_folder_stands_alone(name: str) -> None:
    """Each folder has its card and config, and its tokenizer neither cuts nor pads."""
    folder = runoff_models.path(name)
    assert "English" in (folder / "README.md").read_text(encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["name"] == name
    assert config["language"] == "en"
    assert config["max_length"] <= 512
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.truncation is None
    assert tokenizer.padding is None
    assert len(tokenizer.encode("word " * 900).ids) == 902


def test_embedding_has_norm_one() -> None:
    """The bi-encoders pool and normalise inside their graphs, whatever the length."""
    for name, text in itertools.product(BI_ENCODERS, ("a", RELEVANT, RELEVANT * 20)):
        embedding = run(name, text)
        assert embedding.shape == (384,)
        assert embedding.dtype == np.float32
        assert np.linalg.norm(embedding) == pytest.approx(1.0, abs=1e-5)


def test_bi_encoder_prefers_the_relevant_text() -> None:
    """The cosine of the query with an answer is far above that with another text."""
    for name in BI_ENCODERS:
        query, right, wrong = (run(name, text) for text in (QUERY, RELEVANT, IRRELEVANT))
        assert query @ right > query @ wrong + 0.3


def test_late_interaction_has_what_its_settings_name() -> None:
    """Arrays have the stated shapes, and query weights are positive, those of rare words larger."""
    folder = runoff_models.path("runoff-late")
    settings = json.loads((folder / "late.json").read_text(encoding="utf-8"))
    arrays = {
        name: np.fromfile(folder / one["file"], "<f4").reshape(one["shape"])
        for name, one in settings.items()
        if isinstance(one, dict)
    }
    shapes = {name: one.shape for name, one in arrays.items()}
    assert shapes == {"projection": (384, 128), "mean": (384,), "weights": (30522,)}
    assert (arrays["weights"] > 0).all()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    the, plants = (arrays["weights"][tokenizer.token_to_id(one)] for one in ("the", "plants"))
    assert plants > 2 * the


def test_cross_encoder_prefers_the_relevant_text() -> None:
    """The logit of an answer is finite and above that of another text, a short or a long one."""
    right = run("runoff-mini", QUERY, RELEVANT)
    assert right.shape == (1,)
    assert right.dtype == np.float32
    for wrong in (IRRELEVANT, IRRELEVANT * 20, ""):
        logit = run("runoff-mini", QUERY, wrong)
        assert np.isfinite(logit).all()
        assert right[0] > logit[0] + 1.0


def test_batch_axis_is_free() -> None:
    """A padded batch runs and keeps its order; runoff itself scores one pair a run."""
    folder = runoff_models.path("runoff-mini")
    session = onnxruntime.InferenceSession(
        folder / "model_int8.onnx", providers=["CPUExecutionProvider"]
    )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch([(QUERY, RELEVANT), (QUERY, IRRELEVANT)])
    feed = {
        "input_ids": np.array([e.ids for e in encoded]),
        "attention_mask": np.array([e.attention_mask for e in encoded]),
        "token_type_ids": np.array([e.type_ids for e in encoded]),
    }
    logits = session.run(None, feed)[0]
    assert logits.shape == (2, 1)
    assert logits[0, 0] > logits[1, 0]
