"""LlamaIndex's vector stores, real ones, behind the adapter: each column of the table is a test."""

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.vector_stores.postgres", reason="as for LangChain")

import shelf
from llama_index.core.schema import TextNode
from store_rows import LEAVES, QUESTION, check_filters, rows, verdict

from runoff.llama_index import HybridRetriever, TwoStageRetriever
from runoff.llama_index._convert import Reading
from runoff.llama_index._pushed import pushed
from runoff.llama_index._sources import index_source
from runoff.llama_index._stores import content
from runoff.llama_index._widen import awaitable
from runoff.testing import doctor
from runoff.types import Query


def nodes(number=60):
    return [TextNode(id_=one, text=text, metadata=dict(data)) for one, text, data in rows(number)]


@pytest.fixture(params=shelf.LLAMA_INDEX)
def kind(request):
    return request.param


@pytest.fixture
def index(kind, tmp_path):
    return shelf.index_of(kind, tmp_path, nodes())


def id_of(hit):
    return hit.document.doc_id


def test_recall_is_widened(index, kind, note):
    """A store returns as many nodes as asked for."""
    source = index_source(index, Reading())
    for depth in (1, 7, 60):
        assert len(source.retrieve(Query(QUESTION), depth=depth)) == depth
    note("LlamaIndex", kind, "widen", "exact")


def test_scores_fall(index, kind, note):
    """The nearest node comes first, with the highest score."""
    source = index_source(index, Reading())
    for node in nodes()[:5]:
        hits = source.retrieve(Query(node.get_content("embed")), depth=20)
        assert hits[0].document.doc_id == node.node_id
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)
    note("LlamaIndex", kind, "score", "exact")


def test_filters_are_exact(index, kind, note):
    """Random filters return exactly the best nodes that pass them."""
    check_filters(index_source(index, Reading()), 40, id_of)
    retriever = index.as_retriever()
    asked = {name: pushed(retriever, condition) for name, condition in LEAVES.items()}
    note("LlamaIndex", kind, "filter", verdict([one for one in asked if asked[one] is not None]))


def test_nodes_are_listed(index, kind, note):
    """A hybrid needs no nodes: the store lists them, with texts and metadata."""
    listed = {one.node_id: (one.get_content(), one.metadata) for one in content(index)}
    assert listed == {one: (text, data) for one, text, data in rows()}
    note("LlamaIndex", kind, "list", "exact")


def test_a_hybrid_adds_replaces_and_deletes(index, kind, note):
    """What is added or replaced is found once, what is deleted is not; or the store is refused."""
    hybrid = HybridRetriever.from_defaults(
        index=index, embed_model=shelf.NodeVectors(), reranker=None, top_n=60
    )
    _, _, data = rows()[7]
    new = TextNode(id_="99", text="an added text #99", metadata=dict(data))
    if kind == "qdrant":
        new = TextNode(id_=f"00000000-0000-0000-0000-{99:012}", text="an added text #99")
    hybrid.insert_nodes([new])
    assert hybrid.retrieve("an added text")[0].node.node_id == new.node_id
    doc_id = rows()[7][0]
    replaced = TextNode(id_=doc_id, text="a replaced text #7", metadata=dict(data))
    try:
        hybrid.insert_nodes([replaced])
    except NotImplementedError:
        note("LlamaIndex", kind, "add", "exact; replacing refused")
    else:
        held = {one.node_id: one.get_content() for one in content(index)}
        assert len(held) == 61
        assert held[doc_id] == "a replaced text #7"
        note("LlamaIndex", kind, "add", "exact")
    try:
        hybrid.delete_nodes([doc_id])
    except NotImplementedError:
        note("LlamaIndex", kind, "delete", "refused")
    else:
        assert doc_id not in {one.node_id for one in content(index)}
        found = hybrid.retrieve("a replaced text")
        assert doc_id not in {one.node.node_id for one in found}
        note("LlamaIndex", kind, "delete", "exact")


async def test_awaited_answers_agree(index, kind, note):
    """Awaited or not, the same nodes come back."""
    made = TwoStageRetriever(index.as_retriever(), reranker=None, top_n=20, depth=20)
    first = [one.node.node_id for one in made.retrieve(QUESTION)]
    assert [one.node.node_id for one in await made.aretrieve(QUESTION)] == first
    native = awaitable(index.as_retriever())
    note("LlamaIndex", kind, "async", "exact" if native else "exact, in a thread")


def test_the_doctor_raises_no_alarm(index):
    """Nothing is odd about a store that works."""
    found = doctor(index)
    # a busy machine is slow
    assert not found.odd, found
