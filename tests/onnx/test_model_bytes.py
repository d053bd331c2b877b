"""A model directory that was damaged or altered; weights beside the graph, whatever their name."""

import json
import logging
import os
import shutil
from contextlib import suppress

import numpy as np
import pytest
import tiny
from mutations import mutated_bytes, mutated_json, tally, written

from runoff._onnx.external import external_files
from runoff.errors import ModelDamaged, RunoffError
from runoff.rerank import CrossEncoder

PAIRS = [("alpha", "beta gamma"), ("delta", "rho pi")]
CONFIGS = {
    "config.json": {"max_position_embeddings": 128, "model_type": "bert", "pad_token_id": 0},
    "tokenizer_config.json": {"model_max_length": 64},
    "sentence_bert_config.json": {"max_seq_length": 32},
    "modules.json": [{"type": "sentence_transformers.models.Transformer"}],
}
OURS = {
    "kind": "cross-encoder", "score_kind": "logit", "max_length": 64, "language": "en",
    "default_blend": 0.5, "precision": "int8", "max_position_embeddings": 128,
}  # fmt: skip


def scored(directory):
    """The scores of the pairs by the model of a directory."""
    found = CrossEncoder(str(directory)).score(PAIRS)
    return found.values


@pytest.fixture(scope="module", params=["foreign", "ours", "apart"])
def kept(request, tmp_path_factory):
    """A model's directory, its scores, and where to damage a copy."""
    folder = tmp_path_factory.mktemp("model")
    made = tiny.save_apart if request.param == "apart" else tiny.save
    path = made(folder / "kept", *(["weights.bin"] if request.param == "apart" else []))
    for name, said in CONFIGS.items():
        (path / name).write_text(json.dumps(said))
    if request.param == "ours":
        (path / "config.json").write_text(json.dumps(OURS))
    return path, scored(path), folder / "damaged"


def mutate_bytes(path, source):
    file = source.choice([one for one in sorted(path.iterdir()) if one.suffix == ".json"])
    file.write_bytes(mutated_bytes(file.read_bytes(), source))


def mutate_values(path, source):
    file = path / source.choice([*CONFIGS])
    file.write_text(written(mutated_json(json.loads(file.read_bytes()), source)))


def mutate_tokenizer(path, source):
    file = path / "tokenizer.json"
    file.write_text(written(mutated_json(json.loads(file.read_bytes()), source)))


def mutate_graph(path, source):
    file = path / "model.onnx"
    file.write_bytes(mutated_bytes(file.read_bytes(), source))


def attempt(kept, mutate):
    """Damage a copy in one way, score with it, and say what became of it."""
    original, right, path = kept

    def one(source):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(original, path)
        mutate(path, source)
        values = scored(path)
        return "right" if np.allclose(values, right, 1e-4, equal_nan=True) else "as written"

    return one


@pytest.mark.parametrize("mutate", [mutate_bytes, mutate_values, mutate_tokenizer])
def test_damaged_settings_are_refused_or_right(kept, mutate):
    """Each of some mutations of a model's JSON is a named error or leaves a model that scores."""
    outcomes = tally(20, attempt(kept, mutate))
    assert outcomes.total() == 20


@pytest.mark.slow("240 s: 2,000 mutations of a model's files find what a few do not")
@pytest.mark.parametrize("mutate", [mutate_bytes, mutate_values, mutate_tokenizer])
def test_many_damaged_settings_are_refused_or_right(kept, mutate):
    """Each of 2,100 mutations of a model's JSON is a named error or leaves a model that scores."""
    outcomes = tally(240, attempt(kept, mutate), first=1000)
    assert outcomes.total() == 240


def test_two_models_of_one_graph_do_not_share_weights(tmp_path):
    """Directories with the same graph and other weights score differently."""
    one = tiny.save_apart(tmp_path / "one", "weights.bin")
    other = tiny.save_apart(tmp_path / "other", "weights.bin", seed=5)
    shutil.copyfile(one / "model.onnx", other / "model.onnx")
    assert not np.allclose(scored(one), scored(other))


@pytest.mark.parametrize("where", ["../secret.bin", "/etc/hostname", "a/../../b", "..\\b"])
def test_weights_outside_the_folder_are_never_read(tmp_path, where):
    """A graph that names a file outside its folder is refused before it is loaded."""
    path = tiny.save_apart(tmp_path / "model", "weights.bin")
    relocate(path / "model.onnx", where)
    shutil.copyfile(path / "weights.bin", tmp_path / "secret.bin")
    with pytest.raises(ModelDamaged, match="outside its own folder"):
        scored(path)


def relocate(graph, where):
    """Change where a graph says that its weights are."""
    import onnx

    made = onnx.load(graph, load_external_data=False)
    for tensor in made.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = where
    graph.write_bytes(made.SerializeToString())


def test_missing_weights_are_named(tmp_path):
    """Weights that are not there are named, with the remedy."""
    path = tiny.save_apart(tmp_path / "model", "weights.bin")
    (path / "weights.bin").unlink()
    with pytest.raises(ModelDamaged, match=r"'weights\.bin'.*are missing"):
        scored(path)


links = pytest.mark.skipif(os.name != "posix", reason="links need a right of their own there")


@links
def test_weights_linked_as_in_a_hub_cache_are_read(tmp_path):
    """Graph and weights that are links to files of one folder are read, as the Hub keeps them."""
    path = tiny.save_apart(tmp_path / "snapshots" / "main", "weights.bin")
    expected = scored(path)
    (tmp_path / "blobs").mkdir()
    for number, name in enumerate(("model.onnx", "weights.bin")):
        (path / name).rename(tmp_path / "blobs" / str(number))
        (path / name).symlink_to(f"../../blobs/{number}")
    assert (scored(path) == expected).all()


@links
def test_weights_linked_elsewhere_are_refused_with_the_reason(tmp_path):
    """A link to weights outside the model's folder is refused, and the message says so."""
    path = tiny.save_apart(tmp_path / "model", "weights.bin")
    (path / "weights.bin").rename(tmp_path / "elsewhere.bin")
    (path / "weights.bin").symlink_to("../elsewhere.bin")
    with pytest.raises(ModelDamaged, match=r"are a link to .*elsewhere\.bin.*copy the file"):
        scored(path)


def test_weights_in_every_place_of_a_graph_are_found(tmp_path):
    """External files of branches and attributes count like those of initializers."""
    import onnx
    from onnx import TensorProto, helper

    def apart(name):
        tensor = TensorProto(name=name, data_type=1, dims=[1], data_location=1)
        tensor.external_data.add(key="location", value=name)
        (tmp_path / name).write_bytes(b"1234")
        return tensor

    inner = helper.make_graph([], "inner", [], [], [apart("branch")])
    nodes = [
        helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner),
        helper.make_node("Constant", [], ["z"], value=apart("constant")),
    ]
    made = helper.make_model(helper.make_graph(nodes, "outer", [], [], [apart("weight")]))
    onnx.save(made, tmp_path / "model.onnx")
    found = external_files(tmp_path / "model.onnx", "m")
    assert [one.name for one in found] == ["branch", "constant", "weight"]


def test_a_damaged_graph_is_a_named_error(kept, caplog):
    """The search for weights reads no graph for ever, and raises what is named."""
    original, _, path = kept

    def one(source):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(original, path)
        mutate_graph(path, source)
        external_files(path / "model.onnx", "m")
        return "read"

    caplog.set_level(logging.ERROR)
    assert tally(50, one).keys() <= {"read", "ModelDamaged"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("config.json", {"kind": "cross-encoder", "score_kind": []}),
        ("config.json", {"kind": "cross-encoder", "default_blend": {}}),
        ("config.json", {"model_type": ["bert"]}),
        ("config.json", {"model_type": "roberta", "pad_token_id": "1"}),
        ("config.json", {"architectures": 5}),
        ("modules.json", {"type": "x"}),
        ("modules.json", [5]),
        ("modules.json", 5),
    ],
)
def test_settings_of_wrong_types_raise_nothing_raw(tmp_path, name, said):
    """A setting of a wrong type is a named error, or counts as not stated."""
    path = tiny.save(tmp_path)
    (path / name).write_text(json.dumps(said))
    with suppress(RunoffError):  # any other error fails
        assert np.isfinite(scored(path)).all()


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_deeply_nested_settings_are_damage(tmp_path, name):
    """JSON nested deeply is a damaged model."""
    path = tiny.save(tmp_path)
    (path / name).write_text("[" * 100_000)
    with pytest.raises(ModelDamaged, match="cannot be read"):
        scored(path)
