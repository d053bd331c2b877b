"""Late-interaction models of sentence-transformers and Stanford's ColBERT, exported."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the export extra is not installed")
pytest.importorskip("sentence_transformers.multi_vector_encoder", reason="new in version 6")
pytest.importorskip("onnx", reason="the export extra is not installed")
import sentence_transformers
import torch
import torch_late
import torch_tiny
from commands import runoff

from runoff.errors import InvalidArgument, ModelNotFound
from runoff.export import export_late_interaction
from runoff.export._late_interaction import is_late_interaction
from runoff.rerank import LateInteraction, TokenStore

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of torch and transformers
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
PAIRS = [
    ("alpha", "alpha. beta"),
    ("alpha beta gamma", "delta, epsilon"),
    ("pi rho", "pi " * 40),
    ("nu xi", "omicron kappa " * 90),  # longer than any of them reads
    ("eta " * 40, "mu"),
]
CASES = {
    "plain": {},
    "expanded": {
        "expansion": {"strategy": "fixed", "attend": False, "length": 12},
        "prompts": {"query": "[Q] ", "document": "[D] "},
    },
    "attending": {"expansion": {"strategy": "min", "attend": True, "length": 9}},
}


def saved(case, folder):
    if case == "colbert":
        return torch_late.colbert(folder)
    return torch_late.multi_vector(folder, **CASES[case])


@pytest.mark.parametrize("case", [*CASES, "colbert"])
def test_scores_are_those_of_torch(tmp_path, case):
    """Token vectors agree within 1e-4, and scores within what int8 vectors in the store allow."""
    source, out = saved(case, tmp_path / "model"), tmp_path / "out"
    assert is_late_interaction(source)
    made = export_late_interaction(source, out, precision="fp32")
    assert made.difference < 1e-4
    assert (made.kind, made.scorer, made.pairs) == ("similarity", "LateInteraction", 64)
    original = sentence_transformers.MultiVectorEncoder(str(source), device="cpu")
    scorer = LateInteraction(out, store=TokenStore(), weights="equal", max_windows=1)
    encoder = scorer.encoding.encoder
    expected = []
    for query, document in PAIRS:
        asked = np.asarray(original.encode_query(query, convert_to_numpy=True))
        held = np.asarray(original.encode_document(document, convert_to_numpy=True))
        np.testing.assert_allclose(encoder.query(query).vectors, asked, atol=1e-4)
        np.testing.assert_allclose(encoder.floats(document)[0], held, atol=1e-4)
        expected.append((asked @ held.T).max(axis=1).mean())
    found = scorer.score(PAIRS)
    np.testing.assert_allclose(found.values, expected, atol=5e-3)
    assert found.truncated.tolist() == [False, False, False, True, False]


def test_int8_is_checked_and_used(tmp_path):
    """With both graphs, int8 runs; its agreement is stated."""
    source = saved("plain", tmp_path / "model")
    made = export_late_interaction(source, tmp_path / "out", agreement=0.9)
    assert made.agreement > 0.9
    assert set(made.bytes) == {"fp32", "int8"}
    scorer = LateInteraction(tmp_path / "out", store=TokenStore())
    assert scorer.score(PAIRS).model.precision == "int8"


def test_parts_that_cannot_be_expressed_are_refused(tmp_path):
    """A further module is named, and no folder appears."""

    class Pooling(torch.nn.Identity):
        """No module that the format knows."""

    source = saved("plain", tmp_path / "model")
    model = sentence_transformers.MultiVectorEncoder(str(source), device="cpu")
    from runoff.export._late_interaction import _settings

    with pytest.raises(InvalidArgument, match="Pooling"):
        _settings("model", torch.nn.Sequential(*model, Pooling()))


def test_pickled_weights_are_not_loaded(tmp_path):
    """A model without safetensors is refused, in the part where they are missing."""
    source = saved("plain", tmp_path / "model")
    (source / "1_Dense" / "model.safetensors").rename(source / "1_Dense" / "pytorch_model.bin")
    with pytest.raises(ModelNotFound, match="1_Dense has no safetensors"):
        export_late_interaction(source, tmp_path / "out")
    with pytest.raises(ModelNotFound, match="no directory"):
        export_late_interaction(tmp_path / "nowhere", tmp_path / "out")


@pytest.mark.parametrize("options", [{"precision": "int4"}, {"agreement": 2}])
def test_wrong_arguments_are_named(tmp_path, options):
    """The error names the argument."""
    with pytest.raises(InvalidArgument, match=next(iter(options))):
        export_late_interaction(tmp_path, tmp_path / "out", **options)


def test_the_command_knows_the_kind(tmp_path):
    """`runoff export` writes either kind, and says which class runs it."""
    source = saved("colbert", tmp_path / "model")
    command = ("export", str(source), "out", "--precision", "fp32")
    done = runoff(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "scores are similarities" in done.stdout
    assert f"LateInteraction('{tmp_path}/out')" in done.stdout
    assert not is_late_interaction(torch_tiny.bert(tmp_path / "cross"))
    refused = runoff(*command, "--max-length", "9", cwd=tmp_path)
    assert refused.returncode == 2
    assert "states its own lengths" in refused.stderr
