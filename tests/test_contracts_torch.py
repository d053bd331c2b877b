"""The contracts of a scorer and of a reranker, run on cross-encoders on torch and OpenVINO."""

import pytest

reason = "the extra sentence-transformers is not installed: make test-torch"
sentence_transformers = pytest.importorskip("sentence_transformers", reason=reason)
import torch_tiny  # noqa: E402 - see above

from runoff.rerank import CrossEncoder, Pointwise  # noqa: E402 - see above
from runoff.testing.contracts import (  # noqa: E402 - see above
    PairScorerContract,
    RerankerContract,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the exporters to OpenVINO


@pytest.fixture(scope="module", autouse=True)
def models(tmp_path_factory, request):
    """Tiny models that read the contract's pairs whole."""
    made = tmp_path_factory.mktemp("models")
    torch_tiny.bert(made / "bert", positions=1024)
    torch_tiny.bert(made / "two", labels=2, positions=1024)
    torch_tiny.qwen(made / "qwen", positions=1024)
    request.module.models_at = made


def at(name, **options):
    return CrossEncoder(models_at / name, **{"backend": "torch", "device": "cpu", **options})  # noqa: F821 - set above


class TestTorch(PairScorerContract):
    def make(self):
        return at("bert")


class TestTorchInBatches(PairScorerContract):
    def make(self):
        return at("bert", batch_size=8)


class TestTorchAsProbability(PairScorerContract):
    def make(self):
        return at("two", activation="sigmoid")


class TestCausal(PairScorerContract):
    pairs = PairScorerContract.pairs[::4]

    def make(self):
        if not hasattr(sentence_transformers.CrossEncoder, "preprocess"):
            pytest.skip("causal models need sentence-transformers 5.4")
        return at("qwen")


class TestOpenVINO(PairScorerContract):
    pairs = PairScorerContract.pairs[::4]

    def make(self):
        pytest.importorskip("openvino", reason="the extra openvino is not installed")
        return at("bert", backend="openvino", device=None)


class TestPointwiseTorch(RerankerContract):
    def make(self):
        return Pointwise(at("bert"))
