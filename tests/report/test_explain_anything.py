"""`explain` reads answers of both frameworks, chains and recordings, and refuses the rest."""

import pickle

import pytest
from parts import Fixed
from recorded import pipeline, questions

from runoff import TwoStage
from runoff.errors import InvalidArgument
from runoff.evaluation import Collection, FateCode, record
from runoff.recall import BM25
from runoff.report import explain
from runoff.rerank import Cascade, CrossEncoder, HTTPRerank, Step
from runoff.types import Ranked, Reranking

langchain = pytest.importorskip("langchain_core.documents")
llama_index = pytest.importorskip("llama_index.core")

from llama_index.core.base.response.schema import Response  # noqa: E402 - after the skip
from llama_index.core.schema import NodeWithScore, TextNode  # noqa: E402 - as above

TEXTS = {
    "seine": "Paris is the capital of France. " * 20,
    "gauls": "Lyon was the capital of the Gauls.",
    "money": "A startup raises capital.",
}
QUESTION = "capital of France"


def backwards(candidates):
    ordered = [Ranked(one, 1.0 + at, 1.0 + at) for at, one in enumerate(candidates)]
    return Reranking(tuple(reversed(ordered)))


@pytest.fixture(scope="module")
def documents():
    """Return what a LangChain retriever with a second stage finds."""
    from runoff.langchain import TwoStageRetriever

    bm25 = BM25(TEXTS.items())
    retriever = TwoStageRetriever(retrievers={"bm25": bm25}, reranker=Fixed(backwards), k=2)
    return retriever.invoke(QUESTION)


@pytest.fixture(scope="module")
def nodes():
    """Return what LlamaIndex's retriever with a second stage finds."""
    from runoff.llama_index import TwoStageRetriever

    sources = {"bm25": BM25(TEXTS.items())}
    return TwoStageRetriever(sources, reranker=Fixed(backwards), top_n=2).retrieve(QUESTION)


def plain():
    return [langchain.Document(id=name, page_content=text) for name, text in TEXTS.items()]


def first_row(text):
    lines = text.splitlines()
    return lines[next(at for at, line in enumerate(lines) if line.startswith("#")) + 1].split()


@pytest.mark.parametrize("shape", ["list", "chain", "one"])
def test_langchain_documents_are_explained_by_their_provenance(documents, shape):
    """A list, a chain's dict and a single document show the ranks before and after, and scores."""
    given = {"list": documents, "chain": {"input": QUESTION, "context": documents}}
    text = explain(given.get(shape, documents[0]))
    row = first_row(text)
    assert (row[:4], row[5], row[7]) == (["1", "1", "(3.00)", "3"], "3", "money")
    assert (f"'{QUESTION}'" in text) == (shape == "chain")


@pytest.mark.parametrize("shape", ["list", "answer", "one"])
def test_llama_index_nodes_are_explained_by_their_provenance(nodes, shape):
    """A list of nodes, an engine's answer and a single node show the same."""
    given = {"list": nodes, "answer": Response("Paris", source_nodes=nodes)}
    text = explain(given.get(shape, nodes[0]))
    assert first_row(text)[:4] == ["1", "1", "(3.00)", "3"]
    assert "money" in text


def test_one_document_is_followed(documents, nodes):
    """Its ranks and its move are told; of another one, where to look."""
    for given in (documents, nodes):
        told = explain(given, documents[0].id)
        assert "rerank: rank 1 (up 2), score 3.00" in told
        assert "bm25: rank 3" in told
        lost = explain(given, "seine")
        assert "not among the 2 results" in lost
        assert "retriever.pipeline.search(question).explain(doc_id)" in lost


def test_without_provenance_it_says_what_to_do(documents):
    """Foreign results are shown in their order with their scores, and so are mixed ones."""
    scored = [NodeWithScore(node=TextNode(id_="a", text="tea"), score=0.5)]
    text = explain(scored)
    assert "1 of 1 result carries no provenance" in text
    assert "provenance=True" in text
    assert first_row(text) == ["1", "-", "-", "0.5000", "a", "tea"]
    assert "It carries no provenance" in explain(scored, "a")
    mixed = explain([*documents, *plain()])
    assert "3 of 5 results carry no provenance" in mixed
    assert first_row(mixed)[:2] == ["1", "1"]


@pytest.mark.parametrize("given", [[], (), {"context": []}, Response("nothing", source_nodes=[])])
def test_an_empty_answer_is_explained(given):
    """Nothing found is no error."""
    assert explain(given).startswith("0 results\nnothing was found")
    assert "not among the 0 results" in explain(given, "a")


@pytest.mark.parametrize(
    "value",
    [
        '{"rank": "1", "sources": 3, "fusion_rank": true, "rerank_rank": -1, "degraded": [1, {}]}',
        '{"sources": {"a": 1, "b": {"rank": 1e999, "score": "x"}}, "model": 3, "complete": false}',
        '{"rerank_score": 1e400, "doc_id": "", "fusion_score": NaN, "truncated": 1}',
        "not json",
    ],
)
def test_stored_provenance_is_not_trusted(value):
    """Damaged or forged metadata is left out, and never an error."""
    one = langchain.Document(id="a", page_content="tea", metadata={"runoff": value})
    assert "tea" in explain([one])
    assert explain([one], "a").startswith("a: rank 1")


def test_a_degraded_answer_of_a_framework_says_so_first(documents):
    """What was missing is read from the provenance, once."""
    missing = '[{"stage": "recall", "source": "dense", "reason": "timeout", "detail": "late"}]'
    value = f'{{"rank": 1, "complete": false, "degraded": {missing}}}'
    given = [one.model_copy(update={"metadata": {"runoff": value}}) for one in documents]
    assert explain(given).count("degraded: recall dense: timeout (late)") == 1
    assert 'class="head degraded"' in explain(given)._repr_html_()


def test_a_recorded_query_is_explained_at_full_width():
    """The order of the second stage comes first, and every candidate can be followed."""
    asked = questions(2)
    query = next(iter(record(pipeline(), asked, 40, progress=False)))
    text = explain(query)
    assert f"{len(query)} candidates as recorded, the first 10" in text
    best = query.doc_ids[query.rerank_rank.tolist().index(1)]
    assert "rerank: rank 1" in explain(query, best)
    for doc_id in query.doc_ids:
        assert "did not find it" in (told := explain(query, doc_id)) or "rank" in told
    image = query.doc_ids[query.fate.tolist().index(FateCode.IMAGE)]
    assert explain(query, image).startswith(f"{image}: an image without text")
    assert "no source found it" in explain(query, "nobody")
    assert f"{len(query) - 10} not shown" in explain(query)._repr_html_()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (None, "answer=None: must be a Response"),
        ("a text", "must be a Response"),
        (3, "must be a Response"),
        (langchain.Document, "must be a Response"),
        ([None], r"answer\[0\]=None: must be a node or a document"),
        ({}, r"answer=\[\]: are the keys of a dict without a list of documents"),
        ({"a": plain(), "b": plain()}, "several lists of documents: pass one, of 'a', 'b'"),
        (TwoStage({"a": BM25(["tea"])}), "this is a system: pass what it answers"),
    ],
)
def test_anything_else_is_refused(given, named):
    """The message says what can be explained."""
    with pytest.raises(InvalidArgument, match=named):
        explain(given)


@pytest.mark.parametrize("doc_id", ["", 3])
def test_a_document_is_named_by_its_id(doc_id):
    """An empty id or a number is refused."""
    with pytest.raises(InvalidArgument, match="doc_id"):
        explain([], doc_id)


def test_an_explanation_is_a_text_with_a_page(documents):
    """A prompt shows its lines, a notebook its tables with texts that unfold, a pickle keeps it."""
    told = explain(plain())
    assert repr(told) == str(told)
    assert pickle.loads(pickle.dumps(told))._repr_html_() == told._repr_html_()
    page = told._repr_html_()
    assert "<details><summary>Paris is the capital" in page
    assert TEXTS["seine"] in page
    assert explain(documents)._repr_html_().startswith('<div class="runoff">')


def test_configurations_show_themselves_briefly():
    """A repr has what differs from the defaults; the HTML has the rest folded, and no secret."""
    two_stage = TwoStage({"bm25": BM25(["tea"])}, window=20)
    assert repr(two_stage) == "TwoStage({'bm25': BM25}, reranker='default', window=20)"
    assert repr(CrossEncoder(max_length=99)) == "CrossEncoder(model='runoff-mini', max_length=99)"
    cascade = Cascade([Step(CrossEncoder(), keep=9), CrossEncoder()])
    assert "keep=9" in repr(cascade)
    assert len(repr(cascade)) < 160
    secret = "sesame-open"
    remote = HTTPRerank(
        "http://localhost:8080", dialect="tei", api_key=secret, headers={"x-key": secret}
    )
    for one in (two_stage, cascade, remote):
        page = one._repr_html_()
        assert "<summary>defaults</summary>" in page or one is cascade
        assert secret not in page
    assert "<td>window</td><td>20</td>" in two_stage._repr_html_()


def test_adapters_traces_and_collections_have_a_page(documents):
    """Retrievers and rerankers of both frameworks, a trace and a collection show a table."""
    from runoff import langchain as lc
    from runoff import llama_index as li

    bm25 = BM25(TEXTS.items())
    collection = Collection({"q": "<b>tea</b>"}, {"q": {"a": 1}}, name="small")
    trace = TwoStage({"bm25": bm25}, reranker=None).search(QUESTION).trace
    shown = [
        lc.RunoffRerank(top_n=3),
        lc.TwoStageRetriever(retrievers={"bm25": bm25}, top_n=3),
        li.RunoffRerank(top_n=3),
        li.TwoStageRetriever({"bm25": bm25}, top_n=3),
    ]
    for one in shown:
        assert "<td>top_n</td><td>3</td>" in one._repr_html_()
        assert len(repr(one)) < 160
    assert "returned at rank 1" in trace._repr_html_()
    assert "small" in collection._repr_html_()
    assert "&lt;b&gt;tea" in collection._repr_html_()
