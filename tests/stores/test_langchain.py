"""LangChain's vector stores, real ones, behind the adapter: each column of the table is a test."""

import math

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("langchain_postgres", reason="the group `stores` is not installed")
pytest.importorskip("llama_index.core")

import shelf
from langchain_core.documents import Document
from store_rows import LEAVES, QUESTION, check_filters, rows, verdict

from runoff.errors import InvalidArgument
from runoff.langchain import HybridRetriever, TwoStageRetriever, provenance
from runoff.langchain._filters import store_kwargs
from runoff.langchain._scoring import searches_natively_async
from runoff.langchain._stores import content
from runoff.pipeline._systems import as_system
from runoff.testing import doctor
from runoff.types import Query


def documents(number=60):
    return [Document(id=one, page_content=text, metadata=data) for one, text, data in rows(number)]


@pytest.fixture(params=shelf.LANGCHAIN)
def kind(request):
    return request.param


@pytest.fixture
def store(kind, tmp_path):
    return shelf.store_of(kind, tmp_path, documents())


def source_of(store, depth=60):
    retriever = store.as_retriever(search_kwargs={"k": depth})
    return next(iter(as_system(retriever).pipeline.sources.values()))


def number_of(hit):
    """Return the id of a hit by its text: some stores give no ids."""
    return f"00000000-0000-0000-0000-{int(hit.document.text.split('#')[1]):012}"


def test_recall_is_widened(store, kind, note):
    """A store returns as many documents as asked for."""
    source = source_of(store)
    for depth in (1, 7, 60):
        assert len(source.retrieve(Query(QUESTION), depth=depth)) == depth
    note("LangChain", kind, "widen", "exact")


def test_scores_fall(store, kind, note):
    """The nearest document comes first, with the highest score; or there are no scores."""
    source = source_of(store)
    for _, text, _ in rows()[:5]:
        hits = source.retrieve(Query(text), depth=20)
        assert hits[0].document.text == text
        scores = [hit.score for hit in hits]
        given = not any(map(math.isnan, scores))
        assert not given or scores == sorted(scores, reverse=True)
    note("LangChain", kind, "score", "exact" if given else "order alone")


def test_filters_are_exact(store, kind, note):
    """Random filters return exactly the best documents that pass them."""
    check_filters(source_of(store), 40, number_of)
    asked = {
        name: store_kwargs(store, {}, condition, None, "dense")
        for name, condition in LEAVES.items()
    }
    note("LangChain", kind, "filter", verdict([one for one in asked if asked[one].pushed]))


def test_documents_are_listed(store, kind, note):
    """A hybrid needs no documents: the store lists them, with texts and metadata."""
    listed = {
        one.page_content: {name: held for name, held in one.metadata.items() if held is not None}
        for one in content(store)
    }
    assert listed == {text: data for _, text, data in rows()}
    note("LangChain", kind, "list", "exact")


def test_a_hybrid_adds_replaces_and_deletes(kind, note, tmp_path):
    """What is added or replaced is found once, what is deleted is not; or the store is refused."""
    store = shelf.store_of(kind, tmp_path, documents())
    hybrid = HybridRetriever.from_vectorstore(store, reranker=None, top_n=60)
    _, text, data = rows()[7]
    doc_id = next(one.id for one in content(store) if one.page_content == text)
    new = f"00000000-0000-0000-0000-{99:012}"
    added = [
        Document(id=doc_id, page_content="a replaced text #7", metadata=data),
        Document(id=new, page_content="an added text #99", metadata=data),
    ]
    try:
        hybrid.add_documents(added)
    except InvalidArgument:
        note("LangChain", kind, "add", _added_only(hybrid, added[1]))
    else:
        texts = [one.page_content for one in content(store)]
        assert len(texts) == 61
        assert {one.page_content for one in added} <= set(texts)
        # Chroma's HNSW at times misses what was added last, and BM25 alone has it then
        answers = [one.page_content for one in hybrid.invoke("an added text")]
        assert answers.count("an added text #99") == 1
        note("LangChain", kind, "add", "exact")
    try:
        hybrid.delete([doc_id])
    except InvalidArgument:
        note("LangChain", kind, "delete", "refused")
    else:
        assert not any("#7" in one.page_content.split() for one in content(store))
        assert not any("#7" in one.page_content.split() for one in hybrid.invoke("a replaced text"))
        note("LangChain", kind, "delete", "exact")


def _added_only(hybrid, document):
    """Return the verdict on a store that cannot replace, or add at all."""
    try:
        hybrid.add_documents([document])
    except InvalidArgument:
        return "refused"
    assert hybrid.invoke("an added text")[0].page_content == document.page_content
    return "exact; replacing refused"


async def test_awaited_answers_agree(store, kind, note):
    """Awaited or not, the same documents come back."""
    made = TwoStageRetriever(retriever=store, reranker=None, top_n=20, depth=20)
    first = [one.page_content for one in made.invoke(QUESTION)]
    assert [one.page_content for one in await made.ainvoke(QUESTION)] == first
    native = searches_natively_async(store.as_retriever(), scores=True)
    note("LangChain", kind, "async", "exact" if native else "exact, in a thread")


def test_the_doctor_raises_no_alarm(store):
    """Nothing is odd about a store that works."""
    found = doctor(store)
    # a busy machine is slow
    assert not found.odd, found


def test_a_store_that_replaces_its_table_is_refused(tmp_path):
    """LanceDB's default mode would lose all documents when one is added."""
    store = shelf.store_of("lancedb", tmp_path, documents())
    store.mode = "overwrite"
    hybrid = HybridRetriever.from_vectorstore(store, reranker=None)
    with pytest.raises(InvalidArgument, match="append"):
        hybrid.add_documents([Document(page_content="new", metadata=rows()[0][2])])
    assert len(content(store)) == 60


class TestTheHybridOfPGVectorStore:
    """It ignores k, and asks its words of the first question for ever."""

    @pytest.fixture
    def both(self, tmp_path):
        postgres = pytest.importorskip("langchain_postgres.v2.hybrid_search_config")
        config = postgres.HybridSearchConfig()
        store = shelf.lc_pgvectorstore(tmp_path, hybrid_search_config=config)
        store.add_documents(documents(), ids=[one.id for one in documents()])
        return store, config

    def test_it_is_widened_and_named(self, both):
        """As many documents come back as asked for, under the name of the mode."""
        made = TwoStageRetriever(retriever=both[0], reranker=None, top_n=40, depth=40)
        found = made.invoke("coal")
        assert len(found) == 40
        assert {name for one in found for name in provenance(one)["sources"]} == {"hybrid"}

    def test_each_question_has_its_own_words(self, both):
        """A second question is not answered with the words of the first."""
        store, config = both
        made = TwoStageRetriever(retriever=store, reranker=None, top_n=5, depth=20)
        fresh = [one.id for one in made.invoke("wind")]
        made.invoke("coal")
        assert [one.id for one in made.invoke("wind")] == fresh
        assert not config.fts_query
