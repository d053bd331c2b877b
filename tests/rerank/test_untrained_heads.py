"""A checkpoint without the weights of its head is refused: torch would make up random ones."""

import json

import numpy as np
import pytest

from runoff._onnx.files import ModelDirectory
from runoff.errors import InvalidArgument
from runoff.rerank._local.sentence_transformers import _check_architecture

ENCODER = ("bert.embeddings.word_embeddings.weight", "bert.encoder.layer.0.output.dense.weight")


def saved(directory, *names, config=None):
    """A model directory whose safetensors file has a header and no more than zeros."""
    directory.mkdir()
    stated = {"architectures": ["BertForSequenceClassification"]} if config is None else config
    (directory / "config.json").write_text(json.dumps(stated), "utf-8")
    zeros = np.zeros(len(names), np.float32).tobytes()
    header = {
        name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * at, 4 * at + 4]}
        for at, name in enumerate(names)
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (directory / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + zeros)
    return ModelDirectory("ours", directory)


def test_an_encoder_that_calls_itself_a_classifier_is_refused(tmp_path):
    """Without weights of a head every score would be random, and nothing would say so."""
    with pytest.raises(InvalidArgument, match="no weights of a classifier"):
        _check_architecture(saved(tmp_path / "m", *ENCODER))


@pytest.mark.parametrize(
    "head",
    ["classifier.weight", "score.weight", "classification_head.out_proj.weight",
     "logits_proj.weight", "classifier.dense.weight", "_orig_mod.classifier.bias"],
)  # fmt: skip
def test_a_head_of_any_architecture_is_known(head, tmp_path):
    """Heads have other names in other architectures; one of them is enough."""
    _check_architecture(saved(tmp_path / "m", *ENCODER, head))


def test_what_cannot_be_known_is_left_to_loading(tmp_path):
    """A model's own code may call its head anything; a damaged header is an error later."""
    config = {
        "architectures": ["OwnForSequenceClassification"],
        "auto_map": {"AutoModelForSequenceClassification": "own.Own"},
    }
    _check_architecture(saved(tmp_path / "own", *ENCODER, config=config))
    damaged = saved(tmp_path / "damaged", *ENCODER)
    (tmp_path / "damaged" / "model.safetensors").write_bytes(b"\xff" * 100)
    _check_architecture(damaged)
