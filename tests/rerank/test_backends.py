"""The choice of a backend: what is refused before anything is loaded, and what is missing."""

import importlib
import json
import subprocess
import sys

import pytest

from runoff.errors import InvalidArgument, MissingExtra, ModelNotFound
from runoff.rerank import CrossEncoder


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("backend", "jax"),
        ("backend", None),
        ("device", 0),
        ("device", ["cuda:0", "cuda:1"]),
        ("dtype", "int8"),
        ("trust_remote_code", "yes"),
        ("prompt", 3),
        ("prompt_name", ["query"]),
        ("batch_size", 0),
        ("batch_size", True),
        ("batch_size", 1.5),
    ],
)
def test_wrong_values_are_refused_at_once(argument, value):
    """A value that no backend can honour is named when the object is made."""
    with pytest.raises(InvalidArgument) as caught:
        CrossEncoder("./model", **{"backend": "torch", argument: value})
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    ("backend", "argument", "value"),
    [
        ("onnx", "device", "cuda"),
        ("onnx", "dtype", "float16"),
        ("onnx", "trust_remote_code", True),
        ("onnx", "prompt", "query: "),
        ("onnx", "prompt_name", "query"),
        ("onnx", "batch_size", 8),
        ("openvino", "device", "cuda"),
        ("openvino", "dtype", "bfloat16"),
        ("openvino", "precision", "int8"),
        ("torch", "precision", "int8"),
    ],
)
def test_what_a_backend_cannot_honour_is_refused(backend, argument, value):
    """An argument of another backend is named, never ignored."""
    with pytest.raises(InvalidArgument, match=f'backend="{backend}" does not support it') as caught:
        CrossEncoder("./model", backend=backend, **{argument: value})
    assert caught.value.argument == argument


def test_one_prompt_is_enough():
    """A prompt and the name of another are not given together."""
    with pytest.raises(InvalidArgument, match="together with prompt"):
        CrossEncoder("./model", backend="torch", prompt="a", prompt_name="b")


def test_embedded_models_are_onnx():
    """The default model on another backend is refused with what to do."""
    for model in ("runoff-mini", "absent"):
        with pytest.raises(
            InvalidArgument, match="is an embedded model, which needs backend"
        ) as caught:
            CrossEncoder(model, backend="torch")
        assert caught.value.argument == "backend"


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_a_missing_directory_is_named(tmp_path, backend):
    """A path without a model is an error that names it."""
    with pytest.raises(ModelNotFound, match="there is no directory"):
        CrossEncoder(tmp_path / "absent", backend=backend).warmup()


def test_a_pickle_is_not_loaded(tmp_path):
    """Pickled weights are refused, and the error says how to convert them."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelNotFound, match=r"no \.safetensors.*save_pretrained"):
        CrossEncoder(tmp_path, backend="torch").warmup()


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_a_missing_package_is_named_with_its_command(tmp_path, monkeypatch, backend):
    """Without sentence-transformers the error names the extra that brings it."""
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text('{"architectures": ["BertForSequenceClassification"]}')
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r'pip install "runoff\[sentence-transformers\]"'):
        CrossEncoder(tmp_path, backend=backend).score([("alpha", "beta")])


@pytest.mark.parametrize(
    "settings",
    [
        {"architectures": ["BertModel"]},
        {"architectures": ["BertForMaskedLM"]},
        {},
    ],
)
def test_a_model_without_a_head_is_refused(tmp_path, settings):
    """A model that is not a cross-encoder is refused; it gets no head of random weights."""
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(InvalidArgument, match="that of a cross-encoder ends in"):
        CrossEncoder(tmp_path, backend="torch").warmup()


@pytest.mark.parametrize("backend", ["onnx", "torch", "openvino"])
def test_a_hub_name_without_network_is_not_found(backend, tmp_path):
    """With the Hub switched off, a model that is not in the cache is ModelNotFound and says so."""
    code = (
        "from runoff.rerank import CrossEncoder\n"
        "from runoff.errors import ModelNotFound\n"
        f"scorer = CrossEncoder('org/absent', backend={backend!r}, cache_dir={str(tmp_path)!r})\n"
        "try:\n    scorer.warmup()\n"
        "except ModelNotFound as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"HF_HUB_OFFLINE": "1", "PYTHONPATH": ":".join(sys.path), "PATH": ""},
    )
    assert "org/absent: it is not in the Hugging Face cache" in done.stdout


def test_a_hub_model_is_found_in_the_cache(tmp_path):
    """A fetched model's directory is found without network, weights in shards included."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    root = tmp_path / "models--org--fetched"
    snapshot = root / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(commit)
    (snapshot / "model-00001-of-00001.safetensors").write_bytes(b"")
    scorer = CrossEncoder("org/fetched", backend="torch", cache_dir=tmp_path, local_files_only=True)
    assert scorer._files().directory == snapshot


@pytest.mark.parametrize(
    ("backend", "code", "expected"),
    [
        ("torch", False, {"model.safetensors", "2_Dense/model.safetensors"}),
        ("torch", True, {"model.safetensors", "2_Dense/model.safetensors", "modeling.py"}),
        ("openvino", False, {"openvino/openvino_model.xml", "openvino/openvino_model.bin"}),
    ],
)
def test_only_what_is_run_is_fetched(backend, code, expected, monkeypatch, tmp_path):
    """Of a repository only the settings and the weights of the backend are downloaded."""
    import huggingface_hub
    from huggingface_hub.utils import filter_repo_objects

    held = ["config.json", "tokenizer.json", "chat_template.jinja", "modeling.py", "README.md"]
    held += ["model.safetensors", "2_Dense/model.safetensors", "original/model.safetensors"]
    held += ["pytorch_model.bin", "onnx/model.onnx"]
    held += ["openvino/openvino_model.xml", "openvino/openvino_model.bin"]
    fetched = []

    class Api:
        def model_info(self, name, **options):
            siblings = [type("Sibling", (), {"rfilename": one}) for one in held]
            return type("Info", (), {"siblings": siblings})

    def download(name, *, allow_patterns, **options):
        fetched.extend(filter_repo_objects(held, allow_patterns=allow_patterns))
        for one in fetched:
            (tmp_path / one).parent.mkdir(exist_ok=True)
            (tmp_path / one).touch()
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    name = f"org/{backend}-{code}"
    CrossEncoder(name, backend=backend, trust_remote_code=code)._files()
    settings = {"config.json", "tokenizer.json", "chat_template.jinja"}
    assert set(fetched) == settings | expected


def test_a_backend_is_imported_when_it_is_used():
    """Making a cross-encoder for torch imports no torch."""
    before = set(sys.modules)
    importlib.import_module("runoff.rerank._local.cross_encoder")
    CrossEncoder("./model", backend="torch", device="cuda:0", dtype="bfloat16", batch_size=8)
    assert {"torch", "transformers", "sentence_transformers"} & (set(sys.modules) - before) == set()
