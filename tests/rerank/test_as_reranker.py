"""What a user may hand over as second stage."""

import subprocess
import sys

import pytest

from runoff.errors import InvalidArgument
from runoff.rerank import CrossEncoder, Pointwise
from runoff.rerank._as_reranker import as_reranker


def test_names_and_scorers_are_wrapped():
    """A model name and a bare scorer become pointwise rerankers; None stays none."""
    assert as_reranker("runoff-mini") == Pointwise(CrossEncoder("runoff-mini"))
    assert as_reranker(CrossEncoder()) == Pointwise(CrossEncoder())
    assert as_reranker(None) is None


def test_a_reranker_is_taken_as_it_is():
    """What reranks already is not wrapped."""
    reranker = Pointwise(CrossEncoder())
    assert as_reranker(reranker) is reranker


@pytest.mark.parametrize("wrong", [3, object(), CrossEncoder, ["runoff-mini"]])
def test_anything_else_is_refused_with_what_is_accepted(wrong):
    """The message lists every accepted kind."""
    with pytest.raises(InvalidArgument, match="a Reranker, a PairScorer, a model name, None"):
        as_reranker(wrong)


FOREIGN = {
    "langchain_core": """
from langchain_core.documents.compressor import BaseDocumentCompressor
class Foreign(BaseDocumentCompressor):
    def compress_documents(self, documents, query, callbacks=None):
        return documents
""",
    "llama_index.core": """
from llama_index.core.postprocessor.types import BaseNodePostprocessor
class Foreign(BaseNodePostprocessor):
    def _postprocess_nodes(self, nodes, query_bundle=None):
        return nodes
""",
}


@pytest.mark.parametrize("framework", FOREIGN)
def test_a_frameworks_reranker_needs_no_import_of_its_adapter(framework):
    """A LangChain compressor or LlamaIndex postprocessor works in a pipeline as it is."""
    pytest.importorskip(framework, reason="the framework is not installed")
    code = (
        FOREIGN[framework]
        + """
from runoff.rerank._as_reranker import as_reranker
print(hasattr(as_reranker(Foreign()), "rerank"))
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "True"
