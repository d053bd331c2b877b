"""Six faults of a real server, through both frameworks' adapters, called and awaited."""

import asyncio
import logging
import math

import pytest

pytest.importorskip("httpx")

from runoff.errors import AuthenticationFailed
from runoff.rerank import HTTPRerank
from runoff.rerank._remote.retries import Retries
from runoff.testing.chaos import FAULTS, ChaosServer, expected_score

QUERY = "how do otters sleep afloat"
TEXTS = {
    "bread": "bread rises when yeast feeds on sugar",
    "ship": "the ship left the harbour at dawn",
    "otter": "otters sleep afloat and hold hands",
    "tea": "how long does tea steep",
}
INCOMING = {"bread": 0.9, "ship": 0.7, "otter": 0.5, "tea": 0.3}
LOGITS = {
    name: math.log(score / (1 - score))
    for name, score in ((name, expected_score(QUERY, text)) for name, text in TEXTS.items())
}
TIMEOUT = 0.4


class LlamaIndex:
    """Nodes through the postprocessor, and through the retriever."""

    def __init__(self):
        pytest.importorskip("llama_index.core")
        from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

        self.asked = QueryBundle(QUERY)
        self.given = [
            NodeWithScore(node=TextNode(id_=name, text=text), score=INCOMING[name])
            for name, text in TEXTS.items()
        ]

    def rerank(self, reranker, *, awaited):
        from runoff.llama_index import RunoffRerank

        stage = RunoffRerank(reranker=reranker, timeout=TIMEOUT)
        if awaited:
            return asyncio.run(stage.apostprocess_nodes(self.given, self.asked))
        return stage.postprocess_nodes(self.given, self.asked)

    def retrieve(self, reranker, *, awaited):
        from llama_index.core.base.base_retriever import BaseRetriever

        from runoff.llama_index import TwoStageRetriever

        given = self.given

        class Fixed(BaseRetriever):
            def _retrieve(self, query_bundle):
                return given

        with pytest.warns(UserWarning, match="cannot"):
            stage = TwoStageRetriever(Fixed(), reranker=reranker, timeout=TIMEOUT)
        return asyncio.run(stage.aretrieve(QUERY)) if awaited else stage.retrieve(QUERY)

    @staticmethod
    def read(node):
        """Return id, score and provenance."""
        from runoff.llama_index import provenance

        return node.node.node_id, node.score, provenance(node)


class LangChain:
    """Documents through the compressor, and through the retriever."""

    def __init__(self):
        pytest.importorskip("langchain_core")
        from langchain_core.documents import Document

        self.given = [
            Document(id=name, page_content=text, metadata={"relevance_score": INCOMING[name]})
            for name, text in TEXTS.items()
        ]

    def rerank(self, reranker, *, awaited):
        from runoff.langchain import RunoffRerank

        stage = RunoffRerank(reranker=reranker, timeout=TIMEOUT)
        if awaited:
            return asyncio.run(stage.acompress_documents(self.given, QUERY))
        return stage.compress_documents(self.given, QUERY)

    def retrieve(self, reranker, *, awaited):
        from langchain_core.retrievers import BaseRetriever

        from runoff.langchain import TwoStageRetriever

        given = self.given

        class Fixed(BaseRetriever):
            def _get_relevant_documents(self, query, *, run_manager):
                return given

        with pytest.warns(UserWarning, match="cannot be widened"):
            stage = TwoStageRetriever(retriever=Fixed(), reranker=reranker, timeout=TIMEOUT)
        return asyncio.run(stage.ainvoke(QUERY)) if awaited else stage.invoke(QUERY)

    @staticmethod
    def read(document):
        """Return id, score and provenance."""
        from runoff.langchain import provenance

        return document.id, document.metadata["relevance_score"], provenance(document)


@pytest.fixture(params=[LlamaIndex, LangChain])
def adapter(request):
    return request.param()


@pytest.fixture(params=["called", "awaited"])
def awaited(request):
    return request.param == "awaited"


@pytest.fixture(params=["rerank", "retrieve"])
def way(request):
    return request.param


@pytest.fixture(scope="module")
def served():
    with ChaosServer(dialect="tei") as server:
        yield server


@pytest.fixture
def server(served):
    served.clear()
    return served


def client(server):
    return HTTPRerank(server.url, dialect="tei", api_key="k", retries=Retries(1), circuit=None)


def test_without_a_fault_the_reranker_decides(server, adapter, awaited, way, monkeypatch):
    """Without a fault the otter is first, scores are the reranker's, and nothing is logged."""
    monkeypatch.setitem(globals(), "TIMEOUT", 10.0)  # a busy machine is no fault
    came = [adapter.read(one) for one in getattr(adapter, way)(client(server), awaited=awaited)]
    assert [name for name, _, _ in came] == ["otter", "tea", "ship", "bread"]
    for name, score, told in came:
        assert score == pytest.approx(LOGITS[name], abs=1e-5)
        assert told["complete"]
        assert "degraded" not in told


@pytest.mark.parametrize("fault", ["hang", "reset", "503", "html"])
def test_a_server_that_gives_nothing_leaves_all_as_it_came(
    server, adapter, awaited, way, fault, caplog
):
    """Order and scores are the incoming ones; provenance and a WARNING name stage and reason."""
    server.fault = FAULTS[fault]
    reranker = client(server)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):  # a busy machine may not get as far as the request
            came = [adapter.read(one) for one in getattr(adapter, way)(reranker, awaited=awaited)]
            if server.requests:
                break
            caplog.clear()
    assert server.requests[-1].fault == fault
    assert [(name, score) for name, score, _ in came] == list(INCOMING.items())
    why = {"stage": "rerank", "source": reranker.name, "reason": FAULTS[fault].reason}
    for _, _, told in came:
        assert not told["complete"]
        (lacking,) = told["degraded"]
        assert {**why, "detail": lacking["detail"]} == lacking
        assert lacking["detail"]
        assert told["rerank_score"] is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    place = f"degraded answer: rerank {reranker.name}: {why['reason']}"
    assert record.getMessage() == f"{place} ({lacking['detail']})"


def test_a_score_that_is_no_number_costs_one_document_its_score(
    server, adapter, awaited, way, caplog
):
    """The others keep places and scores; the one without follows with None, and a log says so."""
    server.fault = FAULTS["nan"]
    with caplog.at_level(logging.WARNING):
        came = [adapter.read(one) for one in getattr(adapter, way)(client(server), awaited=awaited)]
    scores = {name: score for name, score, _ in came}
    (lost,) = [name for name, score in scores.items() if score is None]
    others = [name for name in ("otter", "tea", "ship", "bread") if name != lost]
    assert list(scores) == [*others, lost]
    for name, score, told in came:
        assert name == lost or score == pytest.approx(LOGITS[name], abs=1e-5)
        assert [one["reason"] for one in told["degraded"]] == ["bad_reply"]
    assert [one.levelname for one in caplog.records] == ["WARNING"]
    assert "bad_reply" in caplog.text


def test_a_refused_key_is_raised_with_its_remedy(server, adapter, awaited, way):
    """A 401 is raised at once, and the error says what to do."""
    server.fault = FAULTS["401"]
    with pytest.raises(AuthenticationFailed, match=r"answered 401.*give it a valid api_key="):
        getattr(adapter, way)(client(server), awaited=awaited)
    assert sum(one.method == "POST" for one in server.requests) == 1


def test_the_outcome_of_a_run_is_in_langchains_trace(server, awaited):
    """The rerank run's outputs name stage, source, reason and how many were scored."""
    server.fault = FAULTS["503"]
    adapter = LangChain()
    from langchain_core.tracers.context import collect_runs

    with collect_runs() as runs:
        adapter.rerank(client(server), awaited=awaited)
    (run,) = runs.traced_runs
    assert not run.outputs["complete"]
    assert (run.outputs["scored"], run.outputs["total"]) == (0, 4)
    assert [one["reason"] for one in run.outputs["degraded"]] == ["server_error"]
