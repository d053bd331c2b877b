"""int8 products are exact on processors without VNNI, which add two of them in 16 bits."""

import json

import numpy as np
import pytest

import onnx
from onnx import TensorProto, helper, numpy_helper
from runoff._onnx import cpu, sessions
from runoff._onnx.resolve import resolve
from runoff._onnx.tokens import TextEncoder

_LARGEST_ACTIVATION, _INT16 = 255, 32_767
_WIDTH = 64
_ENTRY = "session.x64quantprecision"


@pytest.fixture
def whole_range(tiny, model):
    """A model whose activations and int8 weights are as large as they can be: it gives 127 x 64."""
    weights = {
        "ones": np.ones((len(tiny.tokenizer().get_vocab()), _WIDTH), np.float32),
        "weights": np.full((_WIDTH, 1), 127, np.int8),
        "none": np.zeros((), np.int8),
    }
    nodes = [
        helper.make_node("Gather", ["ones", "input_ids"], ["embedded"]),
        helper.make_node("ReduceMean", ["embedded"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("DynamicQuantizeLinear", ["mean"], ["bytes", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["bytes", "weights", "zero", "none"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["cast", "scale"], ["logits"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "whole range",
        [value("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [value("logits", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(one, name) for name, one in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, model / "model.onnx")
    sessions.forget()
    yield resolve(model)
    sessions.forget()


def test_weights_of_the_whole_range_are_multiplied_exactly(whole_range):
    """No sum is cut off, whatever the processor: a pair of these products does not fit 16 bits."""
    loaded = sessions.load(whole_range)
    encoded = TextEncoder(loaded.tokenizer, 16).text("alpha beta")
    assert loaded.run(encoded, "logits").item() == pytest.approx(127 * _WIDTH, rel=1e-5)


@pytest.mark.parametrize(
    ("cut", "config", "unsigned"),
    [(True, {}, True), (False, {}, False), (True, {"kind": "cross-encoder"}, False)],
)
def test_only_where_sums_are_cut_weights_are_multiplied_unsigned(
    monkeypatch, whole_range, cut, config, unsigned
):
    """Processors with VNNI keep the faster signed product, and so do models made for runoff."""
    monkeypatch.setattr(cpu, "cuts_int8_sums", lambda: cut)
    (whole_range.directory / "config.json").write_text(json.dumps(config))
    options = sessions.load(whole_range)._session.get_session_options()
    if unsigned:
        assert options.get_session_config_entry(_ENTRY) == "1"
    else:
        with pytest.raises(RuntimeError, match=_ENTRY):
            options.get_session_config_entry(_ENTRY)


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "runoff-late", "runoff-mini"])
def test_two_products_fit_into_16_bits(name):
    """AVX2 adds two products of an unsigned and a signed byte in 16 bits, and cuts what is more."""
    pytest.importorskip("runoff_models", reason="runoff-models is not installed")
    model = onnx.load(resolve(name).onnx)
    weights = {one.name: one for one in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type == "MatMulInteger"]
    assert len(products) >= 36
    for node in products:
        values = onnx.numpy_helper.to_array(weights[node.input[1]])
        assert values.dtype == np.int8
        assert 2 * _LARGEST_ACTIVATION * int(np.abs(values.astype(int)).max()) <= _INT16
