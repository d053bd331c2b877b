"""int8 weights of the embedded models stay within what processors without VNNI can add."""

import numpy as np
import pytest

import onnx
from runoff._onnx.resolve import resolve

runoff_models = pytest.importorskip("runoff_models", reason="runoff-models is not installed")
_LARGEST_ACTIVATION, _INT16 = 255, 32_767


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "runoff-late", "runoff-mini"])
def test_two_products_fit_into_16_bits(name):
    """AVX2 adds two products of an unsigned and a signed byte in 16 bits, and cuts what is more."""
    model = onnx.load(resolve(name).onnx)
    weights = {one.name: one for one in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type == "MatMulInteger"]
    assert len(products) >= 36
    for node in products:
        values = onnx.numpy_helper.to_array(weights[node.input[1]])
        assert values.dtype == np.int8
        assert 2 * _LARGEST_ACTIVATION * int(np.abs(values.astype(int)).max()) <= _INT16
