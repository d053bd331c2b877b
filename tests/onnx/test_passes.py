"""Passes over graphs: the same scores in less time, or the original where they differ."""

import json
import logging
import shutil

import numpy as np
import pytest
import transformer

import onnx
from runoff._onnx import sessions
from runoff._onnx.passes import kept
from runoff._onnx.passes.clean import clean
from runoff._onnx.resolve import resolve
from runoff._onnx.samples import sample_pairs
from runoff._onnx.tokens import TextEncoder
from runoff.rerank import CrossEncoder

PAIRS = [("alpha beta", text) for text in ("beta", "pi rho nu", "gamma " * 90, "")]


@pytest.fixture(autouse=True)
def assets(tmp_path, monkeypatch):
    """A cache of its own, into which small graphs are written too."""
    monkeypatch.setattr(kept, "_LEAST", 0)
    sessions.forget()
    return tmp_path / "cache/assets/runoff/graphs"


def scorer(directory, **options):
    return CrossEncoder(directory, cache_dir=directory.parent / "cache", **options)


def inputs(directory):
    files = resolve(directory)
    encoder = TextEncoder(sessions.load(files).tokenizer, files.max_length)
    return [encoder.pair(encoder.query(query), text) for query, text in sample_pairs(48)]


def kinds(model):
    return [node.op_type for node in model.graph.node]


def cleaned(directory, **options):
    model = onnx.load(directory / "model.onnx")
    return clean(model, inputs(directory), **{"whole": True} | options), model


def original(directory, **options):
    """Scores of the graph as it is: an export that says it is clean is left alone."""
    copy = directory.with_name("original")
    shutil.copytree(directory, copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"graph": "clean"}))
    return CrossEncoder(copy, **options).score(PAIRS).values


def manifest(assets):
    (folder,) = assets.iterdir()
    return json.loads((folder / "runoff.json").read_text())


def test_shapes_are_written_down(tmp_path):
    """No shape is computed where reshapes only repeat batch and length; positions still need it."""
    changes, model = cleaned(transformer.save(tmp_path / "model", pooled=True))
    assert changes.reshapes == 4 * transformer.LAYERS
    assert kinds(model).count("Shape") == 1
    onnx.checker.check_model(model)


@pytest.mark.parametrize(("batch", "tokens"), [(1, 5), (3, 48), (7, 2)])
def test_a_clean_graph_computes_the_same_in_batches(tmp_path, batch, tokens):
    """Batch and length stay free, also those that no run had while it was changed."""
    import onnxruntime

    directory = transformer.save(tmp_path / "model")
    _, model = cleaned(directory, whole=False)
    rng = np.random.default_rng(0)
    mask = rng.random((batch, tokens)) < 0.8
    feeds = {
        "input_ids": rng.integers(0, 20, (batch, tokens)),
        "attention_mask": mask.astype(np.int64),
        "token_type_ids": rng.integers(0, 2, (batch, tokens)),
    }
    found, expected = (
        onnxruntime.InferenceSession(one).run(None, feeds)[0]
        for one in (model.SerializeToString(), directory / "model.onnx")
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_last_layer_is_computed_for_the_first_token(tmp_path):
    """From the head back to keys and values, which all tokens need, one row is computed."""
    import onnxruntime

    directory = transformer.save(tmp_path / "model")
    changes, model = cleaned(directory)
    assert changes.rows > 10
    softmax = [node.output[0] for node in model.graph.node if node.op_type == "Softmax"]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in softmax)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    ids = np.arange(10)[None]
    feeds = {one.name: ids % 2 if "type" in one.name else ids for one in session.get_inputs()}
    _, *weights = session.run(None, feeds)
    assert sorted(one.shape[2] for one in weights) == [1, 10]


def test_a_head_that_reads_all_tokens_gets_all(tmp_path):
    """Where the mean of all tokens is read, no row is left out."""
    changes, _ = cleaned(transformer.save(tmp_path / "model", pooled=True))
    assert changes.rows == 0


def test_a_mask_that_masks_nothing_is_left_out(tmp_path):
    """Unpadded inputs need no attention mask, and the graph asks for none."""
    changes, model = cleaned(transformer.save(tmp_path / "model"))
    assert changes.masks == transformer.LAYERS
    assert "attention_mask" not in [one.name for one in model.graph.input]


def test_a_window_that_masks_long_inputs_stays(tmp_path):
    """A mask that hides nothing in 17 tokens and something in 48 is kept."""
    changes, model = cleaned(transformer.save(tmp_path / "model", window=20))
    assert changes.masks == 0
    assert changes.reshapes
    assert "Abs" in kinds(model)


@pytest.mark.parametrize(("batch", "tokens"), [(1, 5), (3, 48), (7, 2)])
@pytest.mark.parametrize("scaled", [False, True])
def test_attention_is_one_operator_that_computes_the_same(tmp_path, batch, tokens, scaled):
    """It needs no softmax besides, whichever part is scaled, and keeps batch and length free."""
    import onnxruntime

    directory = transformer.save(tmp_path / "model", scaled=scaled)
    changes, model = cleaned(directory, fuse=True)
    assert changes.attentions == transformer.LAYERS
    assert kinds(model).count("MultiHeadAttention") == transformer.LAYERS
    assert "Softmax" not in kinds(model)
    rng = np.random.default_rng(0)
    feeds = {
        "input_ids": rng.integers(0, 20, (batch, tokens)),
        "attention_mask": np.ones((batch, tokens), np.int64),
        "token_type_ids": rng.integers(0, 2, (batch, tokens)),
    }
    sessions = [
        onnxruntime.InferenceSession(one)
        for one in (model.SerializeToString(), directory / "model.onnx")
    ]
    found, expected = (
        one.run(None, {name.name: feeds[name.name] for name in one.get_inputs()})[0]
        for one in sessions
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_last_attention_answers_the_first_token_alone(tmp_path):
    """Where the head reads [CLS], one query is asked of all keys."""
    import onnxruntime

    changes, model = cleaned(transformer.save(tmp_path / "model"), fuse=True)
    assert changes.rows > 10
    made = [node.output[0] for node in model.graph.node if node.op_type == "MultiHeadAttention"]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    ids = np.arange(10)[None]
    feeds = {one.name: ids % 2 if "type" in one.name else ids for one in session.get_inputs()}
    _, *found = session.run(None, feeds)
    assert [one.shape for one in found] == [(1, 10, transformer.WIDTH), (1, 1, transformer.WIDTH)]


@pytest.mark.parametrize("options", [{"whole": False}, {"fuse": False}])
def test_attention_stays_where_a_mask_may_hide_or_nobody_asked(tmp_path, options):
    """A mask is part of what softmax reads, and the operator is onnxruntime's alone."""
    changes, model = cleaned(transformer.save(tmp_path / "model"), **{"fuse": True} | options)
    assert changes.attentions == 0
    assert kinds(model).count("Softmax") == transformer.LAYERS
    assert {one.domain for one in model.opset_import} == {""}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_scores_agree_and_the_manifest_says_how_far(tmp_path, assets, precision):
    """A model in a folder is run by the graph that is kept, and scores as before."""
    directory = transformer.save(tmp_path / "model", int8=precision == "int8")
    found = scorer(directory, precision=precision).score(PAIRS).values
    expected = original(directory, precision=precision)
    said = manifest(assets)
    facts = said["facts"]
    assert list(said["files"]) == ["model.onnx"]
    assert (facts["reshapes"], facts["masks"]) == (8, 2)
    if precision == "fp32":
        assert facts["rows"] > 10
        assert facts["attentions"] == transformer.LAYERS
        assert facts["largest"] <= 1e-4
        np.testing.assert_allclose(found, expected, atol=1e-4)
    else:
        assert facts["agreement"] >= 0.99
        np.testing.assert_allclose(found, expected, atol=0.25 * facts["spread"])


def test_a_graph_is_made_once(tmp_path, assets, monkeypatch):
    """A second process finds it, checked by its sum; the key of cached scores says it is used."""
    directory = transformer.save(tmp_path / "model")
    first = scorer(directory)
    first.warmup()
    made = [*assets.glob("*/generations/*/model.onnx")]
    assert len(made) == 1
    key = first.cache_key
    sessions.forget()
    monkeypatch.setattr(kept, "clean", None)
    again = scorer(directory)
    assert again.cache_key == key
    assert [*assets.glob("*/generations/*/model.onnx")] == made
    monkeypatch.setattr(kept, "_LEAST", 1e9)
    assert scorer(directory).cache_key != key


def test_a_damaged_graph_is_made_again(tmp_path, assets):
    """A changed byte in the cache is a miss: the file is never run."""
    directory = transformer.save(tmp_path / "model")
    expected = scorer(directory).score(PAIRS).values
    (path,) = assets.glob("*/generations/*/model.onnx")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    sessions.forget()
    np.testing.assert_array_equal(scorer(directory).score(PAIRS).values, expected)
    (again,) = assets.glob("*/generations/*/model.onnx")
    assert again != path


def test_a_graph_that_scores_differently_is_not_used(tmp_path, assets, monkeypatch):
    """Where a pass goes wrong, the original is run, and the manifest says why."""

    def wrong(model, *_, **options):
        changes = clean(model, *_, **options)
        for one in model.graph.initializer:
            if list(one.dims) == [transformer.WIDTH, 1]:
                one.raw_data = bytes(reversed(one.raw_data))
        return changes

    monkeypatch.setattr(kept, "clean", wrong)
    directory = transformer.save(tmp_path / "model")
    found = scorer(directory).score(PAIRS).values
    np.testing.assert_array_equal(found, original(directory))
    said = manifest(assets)
    assert said["files"] == {}
    assert "differ" in said["facts"]["refused"][0]["why"]


def test_a_graph_that_cannot_be_changed_is_run_as_it_is(tmp_path, assets, monkeypatch):
    """A fault in a pass is in the manifest, and is not tried again."""
    faults = []

    def fails(*_, **__):
        faults.append(1)
        raise ValueError("no such node")

    monkeypatch.setattr(kept, "clean", fails)
    directory = transformer.save(tmp_path / "model")
    scorer(directory).warmup()
    scorer(directory).warmup()
    assert manifest(assets)["facts"]["refused"][0]["why"] == "ValueError: no such node"
    assert len(faults) == 4  # with one row and without, with fused attention and without


def test_a_cache_that_cannot_be_written_changes_nothing(tmp_path, caplog):
    """The original is run, and the log says why."""
    (tmp_path / "cache").write_text("")
    directory = transformer.save(tmp_path / "model")
    with caplog.at_level(logging.INFO, "runoff"):
        assert scorer(directory).score(PAIRS).scored.all()
    assert "is used unchanged" in caplog.text


def test_without_onnx_the_original_is_run(tmp_path, assets, monkeypatch):
    """Nothing is written where the package onnx is not installed."""
    monkeypatch.setattr(kept.importlib.util, "find_spec", lambda _: None)
    scorer(transformer.save(tmp_path / "model")).warmup()
    assert not assets.exists()
