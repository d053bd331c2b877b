"""Passages and groups through LlamaIndex: provenance shows what was read and what grouped."""

import pickle

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import NodeRelationship, NodeWithScore, RelatedNodeInfo, TextNode

from runoff.errors import InvalidArgument
from runoff.grouping import Grouping
from runoff.llama_index import (
    HybridRetriever,
    RunoffRerank,
    TwoStageRetriever,
    provenance,
    two_stage,
)
from runoff.rerank import Passages, Pointwise

QUERY = "sort dictionaries by value"
LONG = " ".join(["filler text here"] * 20 + [QUERY] + ["and more"] * 10)


def chunk(node_id, text, source, **metadata):
    node = TextNode(id_=node_id, text=text, metadata=metadata)
    node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=source)
    return node


CHUNKS = [
    chunk("a1", "sort dictionaries", "a", page=1),
    chunk("a2", "sort dictionaries by value", "a", page=2),
    chunk("b1", "sort by value", "b", page=1),
    chunk("b2", "by value", "b", page=3),
]
SCORED = [NodeWithScore(node=one, score=1 - at / 10) for at, one in enumerate(CHUNKS)]


def ids(nodes):
    return [one.node_id for one in nodes]


def test_the_winning_passage_is_in_the_provenance(overlap):
    """Offsets are into the node's content, though the reranker read its metadata too."""
    reranker = Pointwise(overlap(), passages=Passages("max", length=10, overlap=5, at_most=20))
    node = TextNode(id_="long", text=LONG, metadata={"file": "sorting.txt"})
    came = RunoffRerank(reranker=reranker).postprocess_nodes(
        [NodeWithScore(node=node, score=1.0)], query_str=QUERY
    )
    told = provenance(came[0])
    best = told["passages"][0]
    assert QUERY in LONG[best["start"] : best["end"]]
    assert best["score"] == told["pair_score"]


@pytest.mark.parametrize(
    "group", ["ref_doc_id", "source_node", lambda one: one.node.node.ref_doc_id]
)
async def test_a_postprocessor_groups_by_source_document(overlap, group):
    """One node of each source document is read, and its provenance names the others."""
    rerank = RunoffRerank(reranker=overlap(), group=group)
    came = rerank.postprocess_nodes(SCORED, query_str=QUERY)
    assert {one.node_id: provenance(one)["grouped"] for one in came} == {"a1": ["a2"], "b1": ["b2"]}
    assert ids(await rerank.apostprocess_nodes(SCORED, query_str=QUERY)) == ids(came)


@pytest.mark.parametrize(
    "make",
    [
        lambda index, **options: TwoStageRetriever(index.as_retriever(), **options),
        two_stage,
        lambda index, **options: HybridRetriever.from_defaults(index=index, **options),
    ],
)
def test_retrievers_group_before_the_window(embed_model, overlap, make):
    """A source document takes one place of the window, whichever retriever found its nodes."""
    index = VectorStoreIndex([one.model_copy(deep=True) for one in CHUNKS], embed_model=embed_model)
    retriever = make(index, reranker=overlap(), group="ref_doc_id", window=2)
    came = retriever.retrieve(QUERY)
    assert sorted(one.node.ref_doc_id for one in came) == ["a", "b"]
    assert all(one.score is not None for one in came)
    assert retriever.replace(group=None).retrieve(QUERY)[-1].score is None


def test_a_metadata_field_groups_too(overlap):
    """Any other string is a metadata field."""
    came = RunoffRerank(reranker=overlap(), group="page").postprocess_nodes(SCORED, query_str=QUERY)
    assert sorted(ids(came)) == ["a1", "a2", "b2"]


def test_duplicates_are_told_by_content(overlap):
    """Nodes with one content are one, though their metadata differ."""
    twice = [*SCORED, NodeWithScore(node=chunk("copy", "Sort  by value", "c", page=9), score=0.1)]
    came = RunoffRerank(reranker=overlap(), group=Grouping(duplicates=1), top_n=9)
    nodes = came.postprocess_nodes(twice, query_str=QUERY)
    assert {one.node_id: provenance(one).get("grouped") for one in nodes}["b1"] == ["copy"]


def test_groups_and_passages_are_configuration():
    """Both survive to_dict, from_dict and pickle."""
    from runoff.rerank import CrossEncoder

    group = Grouping("page", duplicates=0.9, per_group=2)
    reranker = Pointwise(CrossEncoder("x/y"), passages=Passages("top-m", m=2))
    rerank = RunoffRerank(reranker=reranker, group=group)
    again = RunoffRerank.from_dict(rerank.to_dict())
    for one in (again, pickle.loads(pickle.dumps(rerank))):
        assert (one.group, one.reranker.passages) == (group, Passages("top-m", m=2))
    assert RunoffRerank.from_dict(RunoffRerank(group="page").to_dict()).group == "page"


def test_a_wrong_group_is_refused_at_once():
    """The error names the argument."""
    with pytest.raises(InvalidArgument, match="group"):
        RunoffRerank(group=3)
