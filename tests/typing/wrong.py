"""Wrong programs: mypy must refuse each line that says so, or the ignore is unused and it fails."""

from __future__ import annotations

from runoff import Document, Query, TwoStage
from runoff.filters import Eq, Range
from runoff.fusion import RRF, Convex
from runoff.langchain import RunoffRerank as LangChainRerank
from runoff.llama_index import RunoffRerank
from runoff.recall import BM25, bm25  # type: ignore[attr-defined] # no such name
from runoff.rerank import CrossEncoder, Pointwise
from runoff.scores import Threshold
from runoff.types import Hit


class NoSource:
    """It has no `retrieve`."""


class Unlimited:
    """Its `retrieve` has no `depth`."""

    def retrieve(self, query: Query) -> list[Hit]:
        return [Hit(Document("id", query.text), 1.0)]


def pipelines(bm25: BM25) -> None:
    TwoStage(bm25)  # type: ignore[arg-type] # sources have names
    TwoStage({"none": NoSource()})  # type: ignore[dict-item] # no source
    TwoStage({"mine": Unlimited()})  # type: ignore[dict-item] # its method takes no depth
    TwoStage({"bm25": bm25}, RRF)  # type: ignore[arg-type] # a class, not an object of it
    TwoStage({"bm25": bm25}, reranker=3)  # type: ignore[arg-type] # neither a stage nor a name
    TwoStage({"bm25": bm25}, on_error="ignore")  # type: ignore[arg-type] # no such policy
    TwoStage({"bm25": bm25}, top_k=5)  # type: ignore[call-arg] # belongs to search()
    TwoStage({"bm25": bm25}).window = 5  # type: ignore[misc] # configuration is frozen


def searches(pipeline: TwoStage) -> None:
    pipeline.search(["a", "b"])  # type: ignore[arg-type] # one query at a time
    pipeline.search("a", 5)  # type: ignore[call-arg] # all but the query by name
    pipeline.search("a", timeout="soon")  # type: ignore[arg-type] # seconds
    pipeline.search("a", filters={"lang": "en"})  # type: ignore[arg-type] # the core has its own
    _ = pipeline.search("a").results[0].score  # type: ignore[attr-defined] # scores are qualified
    _ = pipeline.asearch("a").results  # type: ignore[attr-defined] # must be awaited


def parts() -> None:
    Convex(normalizer="softmax")  # type: ignore[arg-type] # no such normalizer
    CrossEncoder(precision="int4")  # type: ignore[arg-type] # no such precision
    Pointwise(RRF())  # type: ignore[arg-type] # no scorer
    Pointwise(CrossEncoder(), threshold=0.5)  # type: ignore[arg-type] # bound to a kind of score
    Threshold(0.5)  # type: ignore[call-arg] # of which kind?
    Eq("lang", None)  # type: ignore[arg-type] # not a scalar
    Range("year", [1998])  # type: ignore[arg-type] # a number or a date
    bm25()


def adapters() -> None:
    RunoffRerank(window="all")  # type: ignore[arg-type] # a number
    RunoffRerank(5)  # type: ignore[call-arg] # by name
    LangChainRerank(on_error="ignore")  # type: ignore[arg-type] # no such policy
