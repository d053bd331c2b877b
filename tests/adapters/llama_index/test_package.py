import subprocess
import sys

import pytest

import runoff.llama_index
from runoff.llama_index import RunoffRerank, TwoStageRetriever, provenance, two_stage

BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name == "llama_index" or name.startswith("llama_index."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
from runoff.errors import MissingExtra
import runoff
try:
    import runoff.llama_index
except MissingExtra as error:
    print(error)
"""


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_missing_framework_names_the_pip_command():
    """Without llama-index-core the error says what to install."""
    assert run(BLOCKED) == ('llama-index-core is not installed: pip install "runoff[llama-index]"')


HYBRID = """
import sys
import runoff.llama_index
print(*sys.modules)
from llama_index.core import MockEmbedding, Settings
from llama_index.core.schema import TextNode
nodes = [TextNode(id_="a", text="alpha"), TextNode(id_="b", text="beta")]
hybrid = runoff.llama_index.HybridRetriever.from_defaults(
    nodes=nodes, embed_model=MockEmbedding(4), reranker=None
)
assert hybrid.retrieve("beta")[0].node_id == "b"
assert Settings._llm is None and Settings._embed_model is None
print(*sys.modules)
"""


def test_nothing_unasked_for_is_loaded():
    """A fresh process loads no torch, no model and no other framework, and resolves no LLM."""
    imported, used = (line.split() for line in run(HYBRID).splitlines())
    assert "runoff.llama_index" in imported
    unwanted = ("torch", "runoff.langchain", "chromadb", "onnxruntime", "openai")
    assert [name for name in imported if name.startswith(unwanted)] == []
    assert [name for name in used if name.startswith((*unwanted, "llama_index.llms"))] == []


def test_the_public_names_are_pinned():
    """The public names are these."""
    assert runoff.llama_index.__all__ == [
        "FilteredQueryBundle",
        "HybridRetriever",
        "RunoffEmbedding",
        "RunoffRerank",
        "TwoStageRetriever",
        "as_filter",
        "provenance",
        "two_stage",
    ]


@pytest.fixture
def model():
    """The embedded reranker, where its package and weights are installed."""
    pytest.importorskip("runoff_models")
    from runoff.errors import RunoffError
    from runoff.rerank import CrossEncoder

    try:
        CrossEncoder().warmup()
    except RunoffError as error:
        pytest.skip(f"the embedded model is not there: {error}")


async def test_the_default_model_reranks(model, scored, index, llm):
    """Without a blend with the hashed words, the embedded model decides, in every form alike."""
    query = "How can I sort a dict by its values?"
    plain = RunoffRerank(top_n=10, blend=None)
    came = plain.postprocess_nodes(scored, query_str=query)
    assert came[0].node_id == "sort"
    assert provenance(came[0])["model"] == "runoff-late"
    assert provenance(came[0])["complete"] is True
    awaited = await plain.apostprocess_nodes(scored, query_str=query)
    assert [(one.node_id, one.score) for one in awaited] == [
        (one.node_id, one.score) for one in came
    ]
    assert TwoStageRetriever(index.as_retriever(), blend=None).retrieve(query)[0].node_id == "sort"
    engine = two_stage(index.as_query_engine(llm=llm), top_n=1, blend=None)
    assert [one.node_id for one in engine.query(query).source_nodes] == ["sort"]
