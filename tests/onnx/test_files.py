import json
import os

import pytest
import tiny

from runoff._onnx import cpu
from runoff._onnx.files import checksum, choose, in_directory
from runoff.errors import ModelDamaged, ModelNotFound

OFFICIAL = [
    "onnx/model.onnx",
    "onnx/model_O1.onnx",
    "onnx/model_O4.onnx",
    "onnx/model_qint8_arm64.onnx",
    "onnx/model_qint8_avx512.onnx",
    "onnx/model_qint8_avx512_vnni.onnx",
    "onnx/model_quint8_avx2.onnx",
    "config.json",
    "tokenizer.json",
]
GENERAL = ["onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_quantized.onnx"]


@pytest.fixture
def vnni(monkeypatch):
    monkeypatch.setattr(
        cpu, "int8_flavours", lambda: ("qint8_avx512_vnni", "qint8_avx512", "quint8_avx2")
    )


@pytest.mark.parametrize(
    ("flavours", "expected"),
    [
        (("qint8_avx512_vnni", "qint8_avx512"), "onnx/model_qint8_avx512_vnni.onnx"),
        (("quint8_avx2",), "onnx/model_quint8_avx2.onnx"),
        (("qint8_arm64",), "onnx/model_qint8_arm64.onnx"),
        ((), "onnx/model.onnx"),
    ],
)
def test_the_build_for_the_processor_is_chosen(monkeypatch, flavours, expected):
    """Among a model's builds the one for this processor comes first, else fp32."""
    monkeypatch.setattr(cpu, "int8_flavours", lambda: flavours)
    assert choose(OFFICIAL, "auto", "m")[0] == expected


@pytest.mark.usefixtures("vnni")
@pytest.mark.parametrize(
    ("names", "precision", "expected"),
    [
        (OFFICIAL, "fp32", ("onnx/model.onnx", "fp32")),
        (OFFICIAL, "int8", ("onnx/model_qint8_avx512_vnni.onnx", "int8")),
        (GENERAL, "auto", ("onnx/model_quantized.onnx", "int8")),
        (GENERAL, "fp32", ("onnx/model.onnx", "fp32")),
        (["model.onnx"], "auto", ("model.onnx", "fp32")),
        (["model.onnx", "onnx/model.onnx"], "auto", ("onnx/model.onnx", "fp32")),
        (["model_int8.onnx"], "auto", ("model_int8.onnx", "int8")),
        (["reranker.onnx"], "auto", ("reranker.onnx", "fp32")),
        (["model_fp16.onnx"], "auto", ("model_fp16.onnx", "fp16")),
        (["old/model.onnx", "model.onnx"], "auto", ("model.onnx", "fp32")),
    ],
)
def test_precision_decides_among_builds(names, precision, expected):
    """`fp32` and `int8` insist; `auto` takes int8, then fp32, then the only file there is."""
    assert choose(names, precision, "m") == expected


@pytest.mark.parametrize(
    ("names", "precision"),
    [(["onnx/model.onnx"], "int8"), (["model_int8.onnx"], "fp32"), (["a.onnx", "b.onnx"], "auto")],
)
def test_a_precision_that_is_not_there_is_an_error(names, precision):
    """The error names the model, the precision and the files there are."""
    with pytest.raises(ModelNotFound, match=f"^m: .*{precision}.*{names[0]}"):
        choose(names, precision, "m")


def test_a_model_without_onnx_file_says_how_to_get_one():
    """A model with other weights only is an error that names the export command."""
    with pytest.raises(ModelNotFound, match="runoff export MODEL DIRECTORY"):
        choose(["model.safetensors", "config.json"], "auto", "m")


def test_a_directory_that_is_not_there(tmp_path):
    """A missing directory is named."""
    with pytest.raises(ModelNotFound, match="there is no directory"):
        in_directory(tmp_path / "absent", name="m", precision="auto")


def test_a_directory_without_tokenizer_names_file_and_remedy(model):
    """A missing tokenizer is named with the call that makes one."""
    (model / "tokenizer.json").unlink()
    with pytest.raises(ModelNotFound, match=r"tokenizer\.json is missing.*save_pretrained"):
        in_directory(model, name="m", precision="auto")


def test_a_directory_without_graph(model):
    """A directory without ONNX file says so."""
    (model / "model.onnx").unlink()
    with pytest.raises(ModelNotFound, match="no ONNX file"):
        in_directory(model, name="m", precision="auto")


@pytest.mark.parametrize("text", ["{", "[1]", "\xff"])
def test_a_damaged_config_is_an_error(model, text):
    """A config.json that is not a JSON object is an error."""
    (model / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelDamaged, match=r"config\.json"):
        _ = in_directory(model, name="m", precision="auto").config


@pytest.mark.parametrize("text", ['{"a": 1}', "[1]", '[{"path": ""}]'])
def test_damaged_modules_are_an_error(model, text):
    """A modules.json of another form is damaged, not ignored."""
    (model / "modules.json").write_text(text)
    with pytest.raises(ModelDamaged, match=r"modules\.json"):
        in_directory(model, name="m", precision="auto").modules()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 512),
        ({"config.json": {"max_position_embeddings": 128}}, 128),
        (
            {
                "config.json": {
                    "max_position_embeddings": 514,
                    "model_type": "xlm-roberta",
                    "pad_token_id": 1,
                }
            },
            512,
        ),
        ({"tokenizer_config.json": {"model_max_length": 256}}, 256),
        ({"tokenizer_config.json": {"model_max_length": 1e30}}, 512),
        (
            {
                "config.json": {"max_position_embeddings": 512},
                "tokenizer_config.json": {"model_max_length": 8192},
            },
            512,
        ),
        (
            {
                "sentence_bert_config.json": {"max_seq_length": 64},
                "tokenizer_config.json": {"model_max_length": 256},
            },
            64,
        ),
        ({"config.json": {"max_length": 20, "max_position_embeddings": 512}}, 512),
        ({"config.json": {"max_length": 20, "kind": "cross-encoder"}}, 20),
    ],
)
def test_the_limit_is_the_one_the_model_was_made_for(model, settings, expected):
    """The token limit is found where each kind of model states it, within its positions."""
    (model / "config.json").unlink()
    for name, content in settings.items():
        (model / name).write_text(json.dumps(content))
    assert in_directory(model, name="m", precision="auto").max_length == expected


@pytest.mark.parametrize("weights", ["model.onnx_data", "weights.bin", "deep/er"])
def test_the_digest_follows_every_file(tmp_path, weights):
    """The checksum changes with the graph, its weights under any name, and the tokenizer."""
    files = in_directory(tiny.save_apart(tmp_path, weights), name="m", precision="auto")
    digests = [files.digest()]
    for name, more in (("model.onnx", b"\x08\x08"), (weights, b" "), ("tokenizer.json", b" ")):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + more)
        digests.append(files.digest())
    assert len(set(digests)) == 4


def test_the_digest_is_read_once(model):
    """A file is read again only when its size or time of change differs."""
    files = in_directory(model, name="m", precision="auto")
    first, state = files.digest(), files.onnx.stat()
    content = files.onnx.read_bytes()
    files.onnx.write_bytes(content.replace(b"tiny", b"huge"))
    os.utime(files.onnx, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert files.digest() == first
    os.utime(files.onnx, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert files.digest() != first


def test_a_file_that_has_gone_is_named(model):
    """A graph that goes away after it was found is an error that names it."""
    files = in_directory(model, name="m", precision="auto")
    files.onnx.unlink()
    with pytest.raises(ModelNotFound, match=r"model\.onnx cannot be read"):
        files.digest()


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_file_that_is_not_as_it_was_made_is_refused(tmp_path, name):
    """The recorded checksums of a model made for runoff are checked."""
    tiny.save(tmp_path, config={"kind": "cross-encoder"})
    files = in_directory(tmp_path, name="mine", precision="auto")
    whole = files.digest()
    recorded = {name: checksum(tmp_path / name)}
    (tmp_path / "checksums.json").write_text(json.dumps(recorded))
    assert files.digest() == whole
    (tmp_path / "checksums.json").write_text(json.dumps({name: "0" * 64}))
    with pytest.raises(ModelDamaged, match=f"{name} does not have the recorded checksum"):
        files.digest()


def test_checksums_of_foreign_models_are_theirs(tmp_path):
    """In another model, a file of that name is not read."""
    tiny.save(tmp_path)
    (tmp_path / "checksums.json").write_text('{"model.onnx": "0"}')
    in_directory(tmp_path, name="theirs", precision="auto").digest()
