"""A dense half that can never answer is raised by both frameworks, and not left to BM25."""

import pytest

from runoff._util.faults import is_permanent


def langchain_hybrid():
    """A hybrid retriever whose embedding model was replaced by one of another dimension."""
    pytest.importorskip("langchain_core")
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import InMemoryVectorStore

    from runoff.langchain import HybridRetriever

    class Resized(Embeddings):
        size = 4

        def embed_documents(self, texts):
            return [self.embed_query(one) for one in texts]

        def embed_query(self, text):
            return [1.0, *([0.5] * (self.size - 1))]

    model = Resized()
    store = InMemoryVectorStore.from_texts(["an otter", "a river"], model)
    retriever = HybridRetriever.from_vectorstore(store, reranker=None)
    model.size = 3
    return retriever.invoke, retriever.ainvoke


def llama_index_hybrid():
    """The same for LlamaIndex."""
    pytest.importorskip("llama_index.core")
    from llama_index.core import VectorStoreIndex
    from llama_index.core.embeddings import MockEmbedding
    from llama_index.core.schema import TextNode

    from runoff.llama_index import TwoStageRetriever

    index = VectorStoreIndex([TextNode(text="an otter")], embed_model=MockEmbedding(4))
    words = VectorStoreIndex([TextNode(text="an otter")], embed_model=MockEmbedding(4))
    retriever = TwoStageRetriever(
        {
            "words": words.as_retriever(),
            "dense": index.as_retriever(embed_model=MockEmbedding(3)),
        },
        reranker=None,
    )
    return retriever.retrieve, retriever.aretrieve


@pytest.mark.parametrize("make", [langchain_hybrid, llama_index_hybrid])
async def test_a_wrong_dimension_is_raised(make):
    """The store's own error comes through, called and awaited."""
    called, awaited = make()
    with pytest.raises(ValueError, match=r"columns|shapes") as caught:
        called("otter")
    assert is_permanent(caught.value)
    with pytest.raises(ValueError, match=r"columns|shapes"):
        await awaited("otter")
