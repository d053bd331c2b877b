"""A program that measures a pipeline as a user does: mypy reads it, nothing runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, assert_type

from runoff import Document, TwoStage
from runoff.bulk import BulkSummary, encode, rerank
from runoff.evaluation import (
    Collection,
    Comparison,
    Content,
    Curve,
    Evaluator,
    FateCode,
    Health,
    Ledger,
    Measured,
    RecordedQuery,
    Recording,
    Runs,
    Setting,
    Tuning,
    Verdict,
    by_agreement,
    by_length,
    by_margin,
    by_script,
    by_stage,
    curve,
    evaluate,
    health,
    losses,
    rank_biased_overlap,
    read_run,
    record,
    replay,
    tune,
    verdict,
    write_run,
)
from runoff.fusion import RRF
from runoff.report import Advice, advise
from runoff.rerank import Price
from runoff.testing import doctor
from runoff.testing.chaos import FAULTS, ChaosServer, Fault, expected_score
from runoff.testing.contracts import (
    FusionContract,
    PairScorerContract,
    RecallSourceContract,
    RerankerContract,
)
from runoff.testing.pytest_plugin import AssertNoHarm, assert_no_harm


def recorded(pipeline: TwoStage) -> tuple[Recording, Collection]:
    collection = Collection(
        queries={"1": "parse a csv file"},
        qrels={"1": {"csv": 1}},
        documents={"csv": Document("csv", "csv reads files")},
    )
    assert_type(Collection.from_beir("path", split="dev"), Collection)
    recording = record(pipeline, collection, depth=200, path="recording", progress=False)
    assert_type(Recording.open("recording"), Recording)
    return recording, collection


def reports(recording: Recording, collection: Collection) -> list[object]:
    told: Verdict = recording.verdict(collection)
    main: Comparison = told.main
    if told.unjudged is not None and told.unjudged.decides:
        told.unjudged.to_csv("judge.csv")
        assert_type(collection.with_judgments("judge.csv"), Collection)
    assert_type([one.ms for one in told.rivals], list[float | None])
    changes = recording.report("changes.html")
    if not isinstance(changes, Advice):
        changes.to_csv("judge.csv")
    assert_type(recording.verdict(), Verdict)
    assert_type(main.interval, tuple[float, float])
    ledger: Ledger = losses(recording, collection, cutoff=10)
    assert_type([one.at_most for one in ledger.moves], list[float])
    assert_type([one.query_id for one in ledger.queries], list[str])
    lost = ledger.documents("below the window")
    windows: Curve = curve(recording, collection, windows=[10, 50], price=Price(per_1k_pairs=0.1))
    assert_type([one.window for one in windows.points], list[int])
    state: Health = health(recording)
    assert_type([one.sentence for one in state.odd], list[str])
    tuning: Tuning = tune(recording, collection, grid={"window": [10, 50]})
    setting: Setting = tuning.recommended.setting
    advice: Advice = advise(recording, collection, tuning=tuning)
    assert_type(recording.report("report.html", collection), Advice)
    return [told, *lost, setting, *advice.next_steps]


def replayed(recording: Recording, collection: Collection) -> Measured:
    runs: Runs = replay(recording, window=20, fusion=RRF())
    assert_type(evaluate(runs, collection), Measured)
    measured = Evaluator(collection, ["nDCG@10", "RR@10"]).evaluate({"1": list(runs["1"])})
    assert_type(measured.mean("nDCG@10"), float)
    assert_type(measured.by_query("RR@10"), dict[str, float])
    return measured


def compared(recording: Recording, collection: Collection) -> Verdict:
    stages: Mapping[str, Any] = by_stage(recording)
    before, after = (evaluate(stages[name], collection) for name in ("fusion", "reranked"))
    scores: Sequence[float] = [0.3, 0.1]
    slices = {
        "length": by_length(collection.queries),
        "script": by_script(collection.queries),
        "margin": by_margin(collection.queries, lambda _: scores),
        "agreement": by_agreement(collection.queries, lambda _: [["csv"], ["csv", "json"]]),
    }
    return verdict(before, after, slices=slices, seed=1)


def fates(query: RecordedQuery) -> list[str]:
    named = [FateCode(int(one)).name for one in query.fate]
    return [*named, *(Content(int(one)).name for one in query.content)]


def runs() -> None:
    write_run("run.trec", {"1": ["csv", "json"]}, tag="mine")
    assert_type(read_run("run.trec"), dict[str, list[str]])
    assert_type(rank_biased_overlap(["csv"], ["csv", "json"], persistence=0.8), float)


class TestMyScorer(PairScorerContract):
    """A contract is a base class; `make` says how to make the part."""

    def make(self) -> Any:
        return None


CONTRACTS: list[type[Any]] = [
    FusionContract,
    PairScorerContract,
    RecallSourceContract,
    RerankerContract,
]


def faulty(fault: Fault) -> float:
    with ChaosServer() as server:
        server.faults(rate=0.5, among=[fault, FAULTS["503"]])
        received: list[str] = [one.method for one in server.requests]
    return expected_score("query", "text") + len(received)


def no_harm(check: AssertNoHarm, stages: Mapping[str, Any], collection: Collection) -> object:
    check(stages["fusion"], stages["reranked"], collection, measures=["nDCG@10"])
    return assert_no_harm


def bulk(folder: Path) -> None:
    """Whole files, here and on a cluster."""
    scored = rerank(folder / "pairs.parquet", folder / "scored", reranker="runoff-mini", rows=500)
    assert_type(scored, BulkSummary)
    assert_type(scored.reasons, tuple[str, ...])
    encode("texts.parquet", "vectors", vector="v", executor="ray", workers=4)
    shown: list[tuple[int, int]] = []
    encode("texts.parquet", "vectors", progress=lambda done, total: shown.append((done, total)))


def well(pipeline: TwoStage) -> bool:
    found = assert_type(doctor(pipeline, questions={"question": "answer"}), Health)
    return not found.odd
