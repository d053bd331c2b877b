"""Every object that ends a notebook's cell has a short `repr` and HTML in which texts are texts."""

import re

import pytest

from runoff import Document, TwoStage
from runoff.evaluation import Collection, record, replay
from runoff.fusion import RRF, Convex
from runoff.live import Experiment, Observations, watch
from runoff.recall import BM25, Dense, Embedder, Function
from runoff.report import advise

HOSTILE = "tea <script>document.title = 1</script> \x1b[2J\u202egnirts " + "tea " * 50
DOCUMENTS = [Document("<b>a</b>", HOSTILE), Document("b", "green tea")]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Return objects by name, as a notebook has them."""
    folder = tmp_path_factory.mktemp("shown")
    bm25 = BM25(DOCUMENTS)
    pipeline = TwoStage({"bm25": bm25}, reranker=None)
    collection = Collection({"q": "tea <i>"}, {"q": {"b": 1}}, name="<i>mine")
    recording = record(pipeline, collection, 100)
    experiment = Experiment(pipeline, pipeline, folder / "experiment", wait=0)
    observations = watch(pipeline, folder / "observations", 1.0)
    observations.search("tea")
    return {
        "bm25": bm25,
        "dense": Dense(DOCUMENTS, lambda texts: [[1.0] for _ in texts]),
        "embedder": Embedder(),
        "function": Function(lambda query, depth: []),
        "convex": Convex(),
        "rrf": RRF({"a": 1}),
        "pipeline": pipeline,
        "watched": observations,
        "response": pipeline.search("tea"),
        "trace": pipeline.search("tea").trace,
        "collection": collection,
        "recording": recording,
        "recorded query": recording["q"],
        "runs": replay(recording),
        "advice": advise(recording, collection),
        "experiment": experiment,
        "answer": experiment.search("tea", user="u"),
        "statement": experiment.result(),
        "observations": Observations(folder / "observations"),
        "summary": Observations(folder / "observations").summary(),
    }


def test_a_repr_is_a_line_or_two(shown):
    """At most two lines of 100 characters, without a control character or an address."""
    for name, one in shown.items():
        said = repr(one)
        assert len(said) <= 200, name
        assert said.isprintable(), name
        assert " object at 0x" not in said, name


def test_everything_has_html_and_texts_stay_texts(shown):
    """Each has one framed view; no text of a document or a query becomes a tag."""
    for name, one in shown.items():
        page = one._repr_html_()
        assert page.startswith('<div class="runoff">'), name
        assert page.count("<div") == page.count("</div>"), name
        body = page.partition("</style>")[2]
        assert not re.search(r"<(script|b|i)\b|\x1b|\u202e", body), name


def test_an_answer_of_an_experiment_lists_its_results(shown):
    """Rank, document and text, which unfolds where it is long."""
    page = shown["answer"]._repr_html_()
    assert "&lt;b&gt;a&lt;/b&gt;" in page
    assert "<details><summary>tea &lt;script&gt;" in page
    assert "2 results)" in repr(shown["answer"])


def test_an_observation_says_what_was_asked():
    """Its many fields are not listed; without texts the hash of the question is shown."""
    observed = pytest.importorskip("observed")
    one = observed.observation("tea", query="tea <b>")
    assert repr(one) == "Observation('tea <b>', 2 candidates, complete)"
    assert "tea &lt;b&gt;" in one._repr_html_()
    assert "text:" in repr(observed.observation("tea"))


def test_watched_and_bound_retrievers_show_no_inner_repr(tmp_path):
    """LangChain's watched retriever shows the class of what it watches, which may hold a key."""
    pytest.importorskip("langchain_core")
    from langchain_core.embeddings import DeterministicFakeEmbedding
    from langchain_core.vectorstores import InMemoryVectorStore

    from runoff import langchain

    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=4))
    retriever = store.as_retriever(search_kwargs={"key": "sk-secret"})
    plain = watch(retriever, tmp_path / "a")
    assert repr(plain) == "WatchedRetriever(VectorStoreRetriever)"
    bound = langchain.TwoStageRetriever(retriever, reranker=None).bind(top_n=1)
    expected = "TwoStageRetriever({dense: VectorStoreRetriever}, reranker=None, top_n=5)"
    assert repr(bound) == f"Bound({expected}, top_n=1)"
    for one in (plain, bound):
        assert one._repr_html_().startswith('<div class="runoff">')


def test_an_embedding_of_llama_index_shows_its_model():
    """Callback managers and limits of LlamaIndex's are not listed."""
    pytest.importorskip("llama_index.core")
    from runoff.llama_index import RunoffEmbedding

    assert repr(RunoffEmbedding()) == "RunoffEmbedding('all-MiniLM-L6-v2')"
