"""LangChain's own rerankers as second stages of runoff's retrievers and pipelines."""

import asyncio
import json

import numpy as np
import pytest
from cross_encoders import BaseCrossEncoder
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda
from pydantic import ConfigDict, TypeAdapter

from runoff import TwoStage
from runoff.errors import BadReply
from runoff.langchain import RunoffRerank, provenance, two_stage
from runoff.langchain._foreign import CompressorReranker
from runoff.recall import BM25
from runoff.rerank._as_reranker import as_reranker
from runoff.rerank._pointwise import Pointwise

QUESTION = "which cascade passes few documents to an expensive model"


class Lengths(BaseCrossEncoder):
    """Scores a pair by the length of its text; a class whose `score` takes no deadline."""

    model_name = "lengths"

    def score(self, text_pairs):
        return [float(len(text)) for _, text in text_pairs]


class Backwards(BaseDocumentCompressor):
    """Reverses the order; `how` says in which form it returns documents."""

    how: str = "same"
    top_n: int = 3
    most: int | None = None
    seen: list[Document] = []  # noqa: RUF012 - pydantic copies it

    def rerank(self, documents):
        """Exist: LangChain's Cohere compressor has a `rerank` that is not runoff's."""

    def compress_documents(self, documents, query, callbacks=None):
        self.seen.extend(documents)
        back = list(reversed(documents))[: self.top_n][: self.most]
        if self.how == "rebuilt":
            return [
                Document(one.page_content, metadata={**one.metadata, "relevance_score": 9.0 - rank})
                for rank, one in enumerate(back)
            ]
        if self.how == "extracts":
            return [Document(one.page_content[:5], metadata=dict(one.metadata)) for one in back]
        if self.how == "invents":
            return [*back, Document("nobody gave me this")]
        if self.how == "repeats":
            return [back[0], *back]
        if self.how == "disorder":
            return [
                one.model_copy(update={"metadata": {"relevance_score": float(rank)}})
                for rank, one in enumerate(back)
            ]
        return back


def reranked(compressor, documents, **options):
    return RunoffRerank(reranker=compressor, top_n=20, **options).compress_documents(
        documents, QUESTION
    )


def test_a_cross_encoder_is_a_pair_scorer(documents):
    """A LangChain cross-encoder scores pairs, and its scores and name come with the results."""
    results = reranked(Lengths(), documents)
    assert [one.metadata["relevance_score"] for one in results] == sorted(
        (float(len(one.page_content)) for one in documents), reverse=True
    )
    assert provenance(results[0])["model"] == "lengths"


@pytest.mark.parametrize("reply", [[1.0], ["much", "more"], None])
def test_a_cross_encoder_that_counts_wrongly_degrades(documents, reply):
    """Too few scores, or no numbers, degrade the answer as a bad reply."""

    class Wrong(Lengths):
        def score(self, text_pairs):
            return reply

    results = reranked(Wrong(), documents)
    assert [one.id for one in results] == [one.id for one in documents]
    assert provenance(results[0])["degraded"][0]["reason"] == "bad_reply"


@pytest.mark.parametrize("how", ["same", "rebuilt", "extracts", "disorder"])
def test_a_compressors_order_is_kept_and_its_documents_recognised(documents, how):
    """Returned as they were, rebuilt, or with other texts, documents are paired with candidates."""
    results = reranked(Backwards(how=how), documents)
    assert [one.id for one in results] == [one.id for one in documents][::-1]
    texts = [one.page_content[: 5 if how == "extracts" else None] for one in documents]
    assert [one.page_content for one in results] == texts[::-1]
    scores = [one.metadata["relevance_score"] for one in results]
    expected = (
        [9.0 - rank for rank in range(10)]
        if how == "rebuilt"
        else [1 / rank for rank in range(1, 11)]
    )
    assert scores == expected


def test_a_compressor_never_sees_runoffs_metadata(documents):
    """A compressor gets documents without provenance and without an earlier relevance score."""
    first = reranked(Backwards(), documents)
    compressor = Backwards()
    reranked(compressor, first)
    assert all(set(one.metadata) == {"topic", "year"} for one in compressor.seen)


def test_what_a_compressor_removes_is_said(documents, store):
    """Documents a compressor leaves out are dropped in the trace, with its name as the reason."""
    pipeline = TwoStage(
        {"bm25": BM25([one.page_content for one in documents])}, reranker=Backwards(most=2)
    )
    response = pipeline.search("a documents query rankers expensive")
    fates = {(one.kind, one.reason) for one in response.trace.fates}
    assert len(response) == 2
    assert fates == {("returned", ""), ("dropped", "removed by Backwards")}


@pytest.mark.parametrize("how", ["invents", "repeats"])
def test_documents_from_nowhere_degrade(documents, how):
    """A document that was not among the candidates, or comes twice, is a bad reply."""
    results = reranked(Backwards(how=how), documents)
    assert [one.id for one in results] == [one.id for one in documents]
    (lacking,) = provenance(results[0])["degraded"]
    assert "not among its candidates" in lacking.pop("detail")
    assert lacking == {"stage": "rerank", "source": "Backwards", "reason": "bad_reply"}
    with pytest.raises(BadReply, match="not among its candidates"):
        reranked(Backwards(how=how), documents, on_error="raise")


async def test_a_compressor_that_awaits_is_awaited(documents):
    """A compressor's own asynchronous method is used if it has one."""

    class Awaited(Backwards):
        def compress_documents(self, documents, query, callbacks=None):
            raise AssertionError("synchronous")

        async def acompress_documents(self, documents, query, callbacks=None):
            return list(reversed(documents))

    results = await RunoffRerank(reranker=Awaited(), top_n=20).acompress_documents(
        documents, QUESTION
    )
    assert [one.id for one in results] == [one.id for one in documents][::-1]
    results = await RunoffRerank(reranker=Backwards(), top_n=20).acompress_documents(
        documents, QUESTION
    )
    assert [one.id for one in results] == [one.id for one in documents][::-1]


def test_texts_alike_are_paired_one_to_one(documents):
    """Documents with the same text keep their own ids and metadata."""
    alike = [Document("one text", id=f"{n}", metadata={"n": n}) for n in range(3)]
    for how in ("same", "rebuilt"):
        results = reranked(Backwards(how=how), alike)
        assert [(one.id, one.metadata["n"]) for one in results] == [("2", 2), ("1", 1), ("0", 0)]


def test_converters_reach_every_room(overlap):
    """Once the adapter is imported, the core takes LangChain's compressors and cross-encoders."""
    assert as_reranker(Backwards()) == CompressorReranker(Backwards())
    assert isinstance(as_reranker(Lengths()), Pointwise)
    assert as_reranker(RunoffRerank(reranker=overlap)) == Pointwise(overlap)


def test_a_retriever_takes_a_foreign_second_stage(store):
    """`two_stage` takes a LangChain cross-encoder for its second stage."""
    results = two_stage(store, reranker=Lengths(), top_n=3).invoke(QUESTION)
    lengths = [len(one.page_content) for one in results]
    assert lengths == sorted(lengths, reverse=True)


def numbered(count):
    return BM25([(f"d{n:02}", f"tea number {n}") for n in range(count)])


@pytest.mark.parametrize("nested", [False, True])
def test_a_compressors_own_limit_is_raised(nested):
    """A compressor's `top_n` of 3 does not cut an answer of 5, also inside a pipeline of them."""
    compressor = Backwards()
    if nested:
        classic = pytest.importorskip("langchain_classic.retrievers.document_compressors")
        compressor = classic.DocumentCompressorPipeline(transformers=[compressor])
    results = two_stage(numbered(60), reranker=compressor, top_n=5).invoke("tea")
    assert [one.id for one in results] == ["d49", "d48", "d47", "d46", "d45"]
    assert compressor == type(compressor)(**dict(compressor))  # the user's own is unchanged


def test_langchains_own_limits_are_raised():
    """LangChain's cross-encoder, Cohere and listwise rerankers, which return 3, return all."""
    classic = pytest.importorskip("langchain_classic.retrievers.document_compressors")
    made = classic.CrossEncoderReranker(model=Lengths())
    results = two_stage(numbered(60), reranker=made, top_n=5).invoke("tea")
    assert [one.id for one in results] == [f"d{n}" for n in range(10, 15)]
    assert made.top_n == 3


@pytest.mark.parametrize("kept", [0, 3])
def test_unread_candidates_do_not_fill_places(kept):
    """What a compressor leaves out is not replaced by candidates below the window, and is said."""
    pipeline = TwoStage({"bm25": numbered(60)}, reranker=Backwards(most=kept), window=50)
    response = pipeline.search("tea", top_k=5)
    assert [one.document.doc_id for one in response] == ["d49", "d48", "d47"][:kept]
    assert response.outcome.complete
    assert any(f"left out {50 - kept} of 50" in note for note in response.outcome.notes)


class Extracts(BaseDocumentCompressor):
    """Keeps the last two words of each text, as a document without an id."""

    def compress_documents(self, documents, query, callbacks=None):
        return [
            Document(" ".join(one.page_content.split()[-2:]), metadata=dict(one.metadata))
            for one in documents
        ]


@pytest.mark.parametrize("template", [None, "{text}"])
def test_rewritten_texts_are_kept(documents, store, template):
    """A compressor that extracts has its texts in the results, with the ids of the documents."""
    retriever = two_stage(store, reranker=Extracts(), top_n=10, text_template=template)
    results = {one.id: one.page_content for one in retriever.invoke(QUESTION)}
    assert results == {one.id: " ".join(one.page_content.split()[-2:]) for one in documents}


def test_rewritten_texts_without_metadata_are_not_confused():
    """Extracts of documents without metadata belong to the documents that contain them."""
    given = [Document(f"some words {n}", id=f"{n}") for n in (2, 1, 3)]
    results = reranked(Extracts(), given)
    assert [(one.id, one.page_content) for one in results] == [
        ("2", "words 2"),
        ("1", "words 1"),
        ("3", "words 3"),
    ]


def test_a_compression_retriever_that_extracts_keeps_its_extracts(documents, store):
    """`two_stage` of LangChain's retriever with an extracting compressor returns the extracts."""
    classic = pytest.importorskip("langchain_classic.retrievers")
    given = classic.ContextualCompressionRetriever(
        base_compressor=Extracts(), base_retriever=store.as_retriever()
    )
    results = two_stage(given).invoke(QUESTION)
    assert len(results) == 5
    assert all(len(one.page_content.split()) == 2 for one in results)


class Tensor(list):
    """A stand-in for a tensor that NumPy cannot read, such as bfloat16 or on a GPU."""

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Got unsupported ScalarType BFloat16")

    def tolist(self):
        return list(self)


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda scores: map(float, scores), id="map"),
        pytest.param(lambda scores: (one for one in scores), id="generator"),
        pytest.param(lambda scores: dict(enumerate(scores)).values(), id="values"),
        pytest.param(Tensor, id="tensor"),
        pytest.param(lambda scores: [Tensor([one]) for one in scores], id="tensors"),
        pytest.param(lambda scores: np.array(scores)[:, None], id="column"),
    ],
)
def test_scores_in_any_iterable(documents, form):
    """A cross-encoder may return a map, as LangChain's does for two labels, or other iterables."""

    class Formed(Lengths):
        def score(self, text_pairs):
            return form(super().score(text_pairs))

    results = reranked(Formed(), documents, on_error="raise")
    scores = [one.metadata["relevance_score"] for one in results]
    assert scores == sorted((float(len(one.page_content)) for one in documents), reverse=True)


@pytest.mark.parametrize("awaited", [False, True])
def test_a_language_model_that_returns_a_wrong_id_degrades(documents, awaited):
    """LangChain's list-wise reranker raises IndexError for an id of no document: a bad reply."""
    listwise = pytest.importorskip(
        "langchain_classic.retrievers.document_compressors.listwise_rerank"
    )

    class Wrong(FakeListChatModel):
        def with_structured_output(self, schema, **_):
            return RunnableLambda(lambda _: schema(ranked_document_ids=[1, 99]))

    reranker = listwise.LLMListwiseRerank.from_llm(Wrong(responses=[]))
    rerank = RunoffRerank(reranker=reranker, top_n=20)
    if awaited:
        results = asyncio.run(rerank.acompress_documents(documents, QUESTION))
    else:
        results = rerank.compress_documents(documents, QUESTION)
    assert [one.id for one in results] == [one.id for one in documents]
    (lacking,) = provenance(results[0])["degraded"]
    assert lacking["reason"] == "bad_reply"
    assert "cannot use the reply of its model: IndexError" in lacking["detail"]
    with pytest.raises(BadReply, match="IndexError"):
        reranked(reranker, documents, on_error="raise")


class Confused(BaseDocumentCompressor):
    """Raises an error of its own."""

    error: Exception
    model_config = ConfigDict(arbitrary_types_allowed=True)

    def compress_documents(self, documents, query, callbacks=None):
        raise self.error


def test_what_a_model_wrote_and_nobody_can_parse_degrades(documents):
    """OutputParserException, pydantic's ValidationError and JSONDecodeError are bad replies."""
    errors = [OutputParserException("no list in: sorry, I cannot")]
    for parse in (TypeAdapter(int).validate_json, json.loads):
        try:
            parse("sorry")
        except ValueError as error:
            errors.append(error)
    assert len(errors) == 3
    for error in errors:
        results = reranked(Confused(error=error), documents)
        assert provenance(results[0])["degraded"][0]["reason"] == "bad_reply"


def test_a_bug_of_a_compressor_is_raised_as_it_is(documents):
    """A KeyError is not about the reply of a model."""
    error = KeyError("title")
    with pytest.raises(KeyError) as caught:
        reranked(Confused(error=error), documents)
    assert caught.value is error
