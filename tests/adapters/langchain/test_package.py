"""The package as a whole: what it imports, what it says when something is missing, its default."""

import subprocess
import sys
import textwrap

import pytest
from langchain_core.documents import Document
from langchain_core.load import dumpd
from langchain_core.runnables import ConfigurableField
from langchain_core.tracers.base import BaseTracer
from langchain_core.vectorstores import InMemoryVectorStore

import runoff.langchain
from runoff.errors import MissingExtra
from runoff.langchain import RunoffRerank, two_stage

PASSAGES = [
    "Bananas turn brown as they ripen",
    "Photosynthesis takes place in the chloroplasts of plant cells",
    "The capital of France is Paris, on the river Seine",
    "A cross encoder reads the query and the passage together",
    "",
]


def in_fresh_interpreter(code):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_public_names():
    """These names are the package's, and no others."""
    assert runoff.langchain.__all__ == [
        "HybridRetriever",
        "RunoffEmbeddings",
        "RunoffRerank",
        "TwoStageRetriever",
        "as_filter",
        "provenance",
        "two_stage",
    ]


def test_it_needs_langchain_core_alone():
    """Importing and using the adapter loads neither langchain-classic, nor community, nor torch."""
    loaded = in_fresh_interpreter("""
        import sys
        import runoff.langchain
        runoff.langchain.RunoffRerank()
        print(sorted({name.split(".")[0] for name in sys.modules}))
    """)
    for name in ("langchain_classic", "langchain_community", "langchain", "torch", "chromadb",
                 "llama_index"):  # fmt: skip
        assert f"'{name}'" not in loaded


def test_a_missing_extra_names_the_pip_command():
    """Without langchain-core the import error says what to install."""
    told = in_fresh_interpreter("""
        import sys
        sys.modules["langchain_core"] = None
        try:
            import runoff.langchain
        except ImportError as error:
            print(type(error).__name__, error)
    """)
    assert told.strip() == (
        f'{MissingExtra.__name__} langchain-core is not installed: pip install "runoff[langchain]"'
    )


def test_keys_reach_no_serialisation(store, overlap):
    """Neither repr nor LangChain's serialisation shows a scorer's secrets."""

    class Keyed:
        name = "keyed"

        def __init__(self):
            self.api_key = "sk-123"

        def __repr__(self):
            return "Keyed(api_key=***)"

        def score(self, pairs, *, deadline=None):
            return overlap.score(pairs)

    retriever = two_stage(store, reranker=Keyed())
    assert "sk-123" not in repr(retriever) + str(dumpd(retriever)) + str(retriever.to_json())
    assert "sk-123" not in repr(RunoffRerank(reranker=Keyed()))


class TestDefaultModel:
    """The embedded model, which is what most users run."""

    @pytest.fixture(autouse=True)
    def _weights(self):
        models = pytest.importorskip("runoff_models")
        try:
            models.path("runoff-mini")
        except Exception as error:  # noqa: BLE001 - whatever keeps the weights away
            pytest.skip(f"runoff-mini is not installed: {error}")

    @pytest.fixture
    def passages(self):
        return [Document(text, id=f"{n}") for n, text in enumerate(PASSAGES)]

    async def test_the_answer_comes_first(self, passages):
        """With no argument at all the passage that answers is first, called and awaited."""
        compressor = RunoffRerank()
        compressor.warmup()
        asked = {"what is the capital of France": "2", "where does photosynthesis happen": "1"}
        for question, best in asked.items():
            assert compressor.compress_documents(passages, question)[0].id == best
            assert (await compressor.acompress_documents(passages, question))[0].id == best

    async def test_embeddings_serve_a_store(self, passages):
        """`RunoffEmbeddings` puts the passage that answers first, called and awaited alike."""
        from runoff.langchain import RunoffEmbeddings

        embeddings = RunoffEmbeddings()
        store = InMemoryVectorStore(embeddings)
        store.add_documents(passages[:4])
        question = "what is the capital of France"
        assert store.similarity_search(question, k=1)[0].id == "2"
        assert (await store.asimilarity_search(question, k=1))[0].id == "2"
        assert await embeddings.aembed_query(question) == embeddings.embed_query(question)
        assert repr(embeddings) == "RunoffEmbeddings('all-MiniLM-L6-v2')"

    def test_configured_calls_load_nothing(self, passages, embeddings):
        """Configured per call, in four threads, no call after the first loads a model."""
        loads = []

        class Loads(BaseTracer):
            def _persist_run(self, run):
                loads.extend(one.outputs["load_ms"] for one in run.child_runs[1:])

        store = InMemoryVectorStore(embeddings)
        store.add_documents(passages[:4])
        retriever = two_stage(store).configurable_fields(k=ConfigurableField(id="k"))
        question = "what is the capital of France"
        retriever.invoke(question)
        configs = [{"configurable": {"k": k}, "callbacks": [Loads()]} for k in (1, 2, 3, 4)]
        results = retriever.batch([question] * 4, configs)
        assert [len(one) for one in results] == [1, 2, 3, 4]
        assert {one[0].id for one in results} == {"2"}
        assert loads == [0.0] * 4
