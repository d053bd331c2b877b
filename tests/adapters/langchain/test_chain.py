"""The adapter inside real chains, with a deterministic local model, and inside LangChain's own."""

import asyncio

import pytest
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.stores import InMemoryStore
from langchain_core.tools import create_retriever_tool
from langchain_core.vectorstores import InMemoryVectorStore

from runoff.langchain import RunoffRerank, provenance, two_stage

QUESTION = "which cascade passes few documents to an expensive model"
PROMPT = ChatPromptTemplate.from_template("Context:\n{context}\n\nQuestion: {question}")


def format_docs(documents):
    return "\n".join(one.page_content for one in documents)


class Echo(FakeListChatModel):
    """Gives the same answer every time, and keeps the prompts it gets."""

    prompts: list = []  # noqa: RUF012 - pydantic copies it

    def _call(self, messages, *args, **kwargs):
        self.prompts.append(messages[0].content)
        return super()._call(messages, *args, **kwargs)


@pytest.fixture
def model():
    return Echo(responses=["an answer"])


def test_one_line_changes_a_chain(store, overlap, model):
    """In an LCEL chain the best documents reach the prompt, without runoff's metadata."""
    retriever = two_stage(store.as_retriever(), top_n=2, reranker=overlap)
    chain = (
        {"context": retriever | format_docs, "question": RunnablePassthrough()}
        | PROMPT
        | model
        | StrOutputParser()
    )
    assert chain.invoke(QUESTION) == "an answer"
    assert asyncio.run(chain.ainvoke(QUESTION)) == "an answer"
    assert "".join(chain.stream(QUESTION)) == "an answer"
    prompt = model.prompts[0]
    assert "A cascade of rankers passes few documents" in prompt
    assert "rerank_score" not in prompt


def test_the_runnable_stands_in_a_chain(store, overlap, model):
    """`as_runnable()` reranks what any retriever found, inside a chain."""
    found = {
        "query": RunnablePassthrough(),
        "documents": store.as_retriever(search_kwargs={"k": 9}),
    }
    chain = found | RunoffRerank(reranker=overlap, top_n=1).as_runnable() | format_docs
    assert chain.invoke(QUESTION).startswith("A cascade of rankers")
    assert asyncio.run(chain.ainvoke(QUESTION)) == chain.invoke(QUESTION)


def test_configurable_reaches_through_a_chain(store, overlap):
    """A chain's `configurable` sets the retriever's k."""
    from langchain_core.runnables import ConfigurableField

    retriever = two_stage(store, reranker=overlap).configurable_fields(
        k=ConfigurableField(id="answers")
    )
    chain = retriever | RunnableLambda(len)
    assert chain.invoke(QUESTION, {"configurable": {"answers": 2}}) == 2
    assert chain.invoke(QUESTION) == 5


def test_it_is_a_tool(store, overlap):
    """`create_retriever_tool` makes a tool of it whose answer holds the texts alone."""
    tool = create_retriever_tool(
        two_stage(store, reranker=overlap, top_n=1),
        "search",
        "Finds documents.",
        document_prompt=PromptTemplate.from_template("{page_content}"),
    )
    assert tool.invoke({"query": QUESTION}).startswith("A cascade of rankers")
    plain = create_retriever_tool(two_stage(store, reranker=overlap), "search", "Finds.")
    assert "rerank_score" not in plain.invoke({"query": QUESTION})


class TestClassic:
    """Parts of langchain-classic."""

    @pytest.fixture(autouse=True)
    def _classic(self):
        pytest.importorskip("langchain_classic")

    def test_in_a_contextual_compression_retriever(self, store, overlap):
        """`RunoffRerank` is its compressor, called and awaited."""
        from langchain_classic.retrievers import ContextualCompressionRetriever

        retriever = ContextualCompressionRetriever(
            base_compressor=RunoffRerank(reranker=overlap, top_n=2),
            base_retriever=store.as_retriever(search_kwargs={"k": 10}),
        )
        results = retriever.invoke(QUESTION)
        assert results[0].id == "cascade"
        assert len(results) == 2
        assert asyncio.run(retriever.ainvoke(QUESTION)) == results

    def test_two_stage_takes_one_apart(self, store, overlap):
        """`two_stage` keeps its compressor as second stage and widens its retriever."""
        from langchain_classic.retrievers import ContextualCompressionRetriever

        compressed = ContextualCompressionRetriever(
            base_compressor=RunoffRerank(reranker=overlap, top_n=2),
            base_retriever=store.as_retriever(search_kwargs={"k": 2}),
        )
        assert len(two_stage(compressed, top_n=8).invoke(QUESTION)) == 8
        assert overlap.calls == [10]
        assert len(two_stage(compressed, top_n=8, reranker=None).invoke(QUESTION)) == 8
        assert overlap.calls == [10]

    def test_around_an_ensemble(self, store, documents, overlap):
        """An ensemble is widened through all its retrievers and reranked."""
        from langchain_classic.retrievers import EnsembleRetriever

        ensemble = EnsembleRetriever(
            retrievers=[
                store.as_retriever(search_kwargs={"k": 1}),
                store.as_retriever(search_type="mmr", search_kwargs={"k": 1}),
            ]
        )
        assert len(two_stage(ensemble, reranker=overlap, top_n=10).invoke(QUESTION)) == 10
        assert ensemble.retrievers[0].search_kwargs == {"k": 1}

    def test_inside_an_ensemble(self, store, overlap):
        """A two-stage retriever is one of an ensemble's."""
        from langchain_classic.retrievers import EnsembleRetriever

        retriever = two_stage(store, reranker=overlap, top_n=3)
        results = EnsembleRetriever(retrievers=[retriever, retriever]).invoke(QUESTION)
        assert [one.id for one in results] == [one.id for one in retriever.invoke(QUESTION)]

    def test_around_a_parent_document_retriever(self, embeddings, overlap):
        """Parents come out of their store before they are reranked, and recall is widened."""
        from langchain_classic.retrievers import ParentDocumentRetriever
        from langchain_text_splitters import CharacterTextSplitter

        retriever = ParentDocumentRetriever(
            vectorstore=InMemoryVectorStore(embeddings),
            docstore=InMemoryStore(),
            child_splitter=CharacterTextSplitter(separator=". ", chunk_size=30, chunk_overlap=0),
            search_kwargs={"k": 1},
        )
        parents = [
            Document(f"This is parent number {n}. It tells of animal {n}. And of plant {n}")
            for n in range(12)
        ]
        retriever.add_documents(parents)
        results = two_stage(retriever, reranker=overlap, top_n=10).invoke("animal 7 and plant 7")
        assert results[0].page_content == parents[7].page_content
        assert len(results) == 10

    def test_around_a_multi_query_retriever(self, store, overlap):
        """A multi-query retriever asks its model, and its retriever is widened."""
        from langchain_classic.retrievers import MultiQueryRetriever

        retriever = MultiQueryRetriever.from_llm(
            store.as_retriever(search_kwargs={"k": 1}),
            FakeListChatModel(responses=["otters\ntea\nbread"]),
        )
        assert len(retriever.invoke(QUESTION)) < 10
        assert len(two_stage(retriever, reranker=overlap, top_n=10).invoke(QUESTION)) == 10

    @pytest.mark.parametrize("awaited", [False, True])
    async def test_all_queries_of_a_multi_query_retriever_are_read(self, store, awaited):
        """The answers to its queries are interleaved: each query's best documents come first."""
        from langchain_classic.retrievers import MultiQueryRetriever

        llm = FakeListChatModel(responses=["otters sleep\ntea steep\nbread yeast"])
        retriever = MultiQueryRetriever.from_llm(store.as_retriever(), llm)
        made = two_stage(retriever, reranker=None, top_n=3)
        results = await made.ainvoke(QUESTION) if awaited else made.invoke(QUESTION)
        assert {one.id for one in results} == {"otter", "tea", "bread"}

    @pytest.mark.parametrize("awaited", [False, True])
    async def test_inside_a_multi_query_retriever(self, store, overlap, awaited):
        """A multi-query retriever returns a document once, whichever of its queries found it."""
        from langchain_classic.retrievers import MultiQueryRetriever

        llm = FakeListChatModel(responses=["otters\ntea\nbread"])
        retriever = MultiQueryRetriever.from_llm(two_stage(store, reranker=overlap, top_n=10), llm)
        results = await retriever.ainvoke(QUESTION) if awaited else retriever.invoke(QUESTION)
        assert len(results) == len({one.id for one in results}) == 10

    def test_in_create_retrieval_chain(self, store, overlap, model):
        """`create_retrieval_chain` takes it, and its context keeps provenance."""
        from langchain_classic.chains import create_retrieval_chain
        from langchain_classic.chains.combine_documents import create_stuff_documents_chain

        prompt = ChatPromptTemplate.from_template("{context}\n\n{input}")
        chain = create_retrieval_chain(
            two_stage(store, reranker=overlap, top_n=2), create_stuff_documents_chain(model, prompt)
        )
        answer = chain.invoke({"input": QUESTION})
        assert answer["answer"] == "an answer"
        assert [provenance(one)["rank"] for one in answer["context"]] == [1, 2]
        assert "rerank_score" not in model.prompts[0]

    def test_in_a_compressor_pipeline(self, store, documents, overlap):
        """`RunoffRerank` works in a DocumentCompressorPipeline beside others."""
        from langchain_classic.retrievers.document_compressors import DocumentCompressorPipeline

        pipeline = DocumentCompressorPipeline(
            transformers=[
                RunoffRerank(reranker=overlap, top_n=5),
                RunoffRerank(reranker=overlap, top_n=2),
            ]
        )
        results = pipeline.compress_documents(documents, QUESTION)
        assert (results[0].id, len(results)) == ("cascade", 2)
