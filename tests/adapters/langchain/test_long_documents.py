"""Passages and groups through LangChain: provenance shows what was read and what grouped."""

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from runoff.errors import InvalidArgument
from runoff.grouping import Grouping
from runoff.langchain import (
    HybridRetriever,
    RunoffRerank,
    TwoStageRetriever,
    provenance,
    two_stage,
)
from runoff.rerank import Passages, Pointwise

QUESTION = "expensive cascade model"
LONG = " ".join(["filler text here"] * 20 + ["an expensive cascade model"] + ["and more"] * 10)
CHUNKS = [
    Document(id="a1", page_content="an expensive model", metadata={"parent": "a"}),
    Document(id="a2", page_content="an expensive cascade model", metadata={"parent": "a"}),
    Document(id="b1", page_content="a cascade", metadata={"parent": "b"}),
]


def ids(documents):
    return [one.id for one in documents]


@pytest.fixture
def store(embeddings):
    made = InMemoryVectorStore(embeddings)
    made.add_documents(CHUNKS)
    return made


@pytest.mark.parametrize("template", [None, "Title: {title}\n{page_content}"])
async def test_the_winning_passage_is_in_the_provenance(overlap, template):
    """Offsets are into page_content, whatever the template put before it."""
    reranker = Pointwise(overlap, passages=Passages("max", length=10, overlap=5, at_most=20))
    compressor = RunoffRerank(reranker=reranker, text_template=template)
    document = Document(id="long", page_content=LONG, metadata={"title": "T"})
    for found in (
        compressor.compress_documents([document], QUESTION),
        await compressor.acompress_documents([document], QUESTION),
    ):
        told = provenance(found[0])
        best = told["passages"][0]
        assert "expensive cascade model" in LONG[best["start"] : best["end"]]
        assert best["score"] == told["pair_score"] == 1.0
        assert not told["truncated"]


def test_a_compressor_groups_what_it_is_handed(overlap):
    """One of each parent is read, and its provenance names the others."""
    found = RunoffRerank(reranker=overlap, group="parent").compress_documents(CHUNKS, QUESTION)
    assert ids(found) == ["a1", "b1"]
    assert provenance(found[0])["grouped"] == ["a2"]
    assert overlap.calls == [2]


@pytest.mark.parametrize(
    "make",
    [
        lambda store, **options: TwoStageRetriever(retriever=store, **options),
        lambda store, **options: two_stage(store.as_retriever(), **options),
        HybridRetriever.from_vectorstore,
    ],
)
async def test_retrievers_group_before_the_window(store, overlap, make):
    """A parent takes one place of the window, through each retriever, awaited or not."""
    retriever = make(store, reranker=overlap, group="parent", window=2)
    found = retriever.invoke(QUESTION)
    assert sorted(one.metadata["parent"] for one in found) == ["a", "b"]
    assert overlap.calls == [2]
    assert ids(await retriever.ainvoke(QUESTION)) == ids(found)


def test_duplicates_are_grouped(overlap):
    """A Grouping value finds texts that were stored twice."""
    twice = [*CHUNKS, Document(id="copy", page_content="A  cascade")]
    compressor = RunoffRerank(reranker=overlap, group=Grouping(duplicates=1))
    found = compressor.compress_documents(twice, QUESTION)
    assert {one.id: provenance(one).get("grouped") for one in found} == {
        "a1": None,
        "a2": None,
        "b1": ["copy"],
    }


def test_a_wrong_group_is_refused_at_once(overlap):
    """The error names the argument."""
    with pytest.raises(InvalidArgument, match="group"):
        RunoffRerank(reranker=overlap, group=3)
