"""What the explorer answers about a recording."""

import json
import math
import time
from dataclasses import replace
from urllib.parse import quote

import numpy as np
import pytest
from explored import collection, explorer, recording
from recorded import pipeline, questions

from runoff._recording.traverse import traverse
from runoff.errors import InvalidArgument
from runoff.evaluation import evaluate, losses, record, verdict
from runoff.evaluation import replay as replayed
from runoff.pipeline._systems import as_system
from runoff.report._explorer.opened import opened
from runoff.report._explorer.params import NotThere, Params
from runoff.report._explorer.table import Table


@pytest.fixture(scope="module")
def page():
    return explorer()


def ask(page, path, body=None):
    found = page.answer("GET" if body is None else "POST", path, body)
    json.dumps(found, allow_nan=False)
    return found


def test_the_state_names_sources_counts_and_the_recorded_settings(page):
    """api/state has what the page needs before anything is asked."""
    found = ask(page, "api/state")
    assert found["kind"] == "recording"
    assert found["title"] == "tides"
    assert found["sources"] == ["bm25", "noise"]
    assert found["counts"] == {"queries": 12, "judged": 12, "degraded": 0}
    assert found["languages"] == ["de", "en"]
    settings = found["settings"]
    assert settings["window"] == 20
    most = max(len(one) for one in page.recorded.recording)
    assert settings["ranges"]["window"] == [1, most]
    assert settings["weights"] == {"bm25": 1.0, "noise": 1.0}
    low, high = settings["ranges"]["threshold"]
    assert 0 <= low < high <= 1


def test_the_state_replays_nothing_and_the_table_goes_over_the_recording_once(monkeypatch):
    """The page is there before any figure is, and both orders come from one traversal a query."""
    page = explorer()
    taken = []

    def counted(query, plan):
        taken.append(query.query.query_id)
        return traverse(query, plan)

    monkeypatch.setattr("runoff.report._explorer.replays.traverse", counted)
    assert ask(page, "api/state")["counts"]["judged"] == 12
    assert taken == []
    assert page.recorded.table(page.recorded.replays.own).judged.all()
    assert sorted(taken) == sorted(page.recorded.queries)


def test_judged_queries_that_were_not_recorded_are_counted():
    """An interrupted recording is explored as far as it goes, and says so."""
    page = opened(recording=recording(3), collection=collection(12))
    found = ask(page, "api/state")
    assert found["counts"]["judged"] == 3
    assert "9 of 12 judged queries were not recorded." in found["notes"]


def test_rows_have_what_evaluate_gives(page):
    """Before is the fused order's value and after the answer's, as `evaluate` computes them."""
    judged, made = collection(), page.recorded.recording
    rows = {row["query_id"]: row for row in ask(page, "api/queries")["rows"]}
    for name, run in (("before", replayed(made, reranker=None)), ("after", replayed(made))):
        values = evaluate(run, judged, ["nDCG@10"]).by_query("nDCG@10")
        assert {one: row[name] for one, row in rows.items()} == pytest.approx(values)
    assert all(math.isclose(row["loss"], 1 - row["after"]) for row in rows.values())
    assert all(row["gain"] == row["after"] - row["before"] for row in rows.values())


@pytest.mark.parametrize("sort", ["gain", "loss", "length", "language", "latency", "text"])
def test_rows_are_sorted_both_ways_and_cut_into_pages(page, sort):
    """The pages of a sorted table are the whole table, in order."""
    names = {"latency": "latency_ms"}
    for order in ("asc", "desc"):
        pages = [
            ask(page, f"api/queries?sort={sort}&order={order}&offset={at}&limit=5")["rows"]
            for at in (0, 5, 10)
        ]
        values = [row[names.get(sort, sort)] for one in pages for row in one]
        assert values == sorted(values, reverse=order == "desc")
        assert len({row["query_id"] for one in pages for row in one}) == 12


def test_filters_of_the_table_keep_what_they_name(page):
    """`find`, `slice`, `language` and `only` leave out all other rows."""
    every = ask(page, "api/queries")["rows"]
    helped = ask(page, "api/queries?only=helped")["rows"]
    assert {row["query_id"] for row in helped} == {
        row["query_id"] for row in every if row["gain"] > 1e-9
    }
    german = ask(page, "api/queries?language=de")
    assert german["total"] == 6
    assert ask(page, "api/queries?slice=language%3Dde")["rows"] == german["rows"]
    assert ask(page, "api/queries?find=Q11")["total"] == 1
    words = every[0]["text"].upper().split()[::-1]
    assert ask(page, f"api/queries?find={'+'.join(words)}")["rows"] == every[:1]
    assert ask(page, f"api/queries?find={words[0]}+nowhere")["total"] == 0
    assert ask(page, "api/queries?find=language%3Dde")["rows"] == german["rows"]
    assert ask(page, "api/queries?only=degraded")["total"] == 0


@pytest.mark.parametrize(
    ("condition", "column", "fits"),
    [
        ("gain<0", "gain", lambda value: value < 0),
        ("loss>.25", "loss", lambda value: value > 0.25),
        ("loss<=25%", "loss", lambda value: value <= 0.25),
        ("words>=4", "length", lambda value: value >= 4),
        ("unjudged>20%", "unjudged", lambda value: value > 0.2),
        ("latency<5", "latency_ms", lambda value: value < 5),
        ("Before>0.5", "before", lambda value: value > 0.5),
        ("after<1.0", "after", lambda value: value < 1),
    ],
)
def test_the_table_is_filtered_by_its_numbers(page, condition, column, fits):
    """A word such as `loss>.25` is a condition, and goes with other words."""
    every = ask(page, "api/queries")["rows"]
    wanted = {row["query_id"] for row in every if row[column] is not None and fits(row[column])}
    found = ask(page, f"api/queries?find={quote(condition)}")["rows"]
    assert {row["query_id"] for row in found} == wanted
    assert ask(page, f"api/queries?find={quote(condition)}+nowhere")["total"] == 0


def test_an_unknown_number_fits_no_condition():
    """A query without judgments has neither a small nor a large gain."""
    page = explorer(judged=False)
    for condition in ("gain<1", "gain>-1", "unjudged<=1"):
        assert ask(page, f"api/queries?find={quote(condition)}")["total"] == 0


def test_a_query_shows_both_orders_of_the_replayed(page):
    """The lists are the fused order and the answer, with every source's rank and score."""
    made = page.recorded.recording
    found = ask(page, "api/query?id=q3")
    fused = replayed(made, reranker=None, top_k=None)["q3"]
    answer = replayed(made, top_k=None)["q3"]
    assert [one["doc_id"] for one in found["before"]] == fused[:30]
    assert [one["doc_id"] for one in found["after"]] == answer[:30]
    grades, stored = collection().qrels["q3"], made["q3"]
    for one in found["after"]:
        row = list(stored.doc_ids).index(one["doc_id"])
        assert one["grade"] == grades.get(one["doc_id"])
        for name, ranks in stored.ranks.items():
            known = one["sources"][name]
            assert (known["rank"] if known else 0) == ranks[row]
    assert found["latency"][-1]["stage"] == "rerank hashed"


def test_missing_relevant_documents_say_where_they_are(page):
    """Each relevant document outside the first 10 results is listed, also one never found."""
    found = ask(page, "api/query?id=q3")
    first = [one["doc_id"] for one in found["after"][:10]]
    relevant = {one for one, grade in collection().qrels["q3"].items() if grade > 0}
    assert {one["doc_id"] for one in found["relevant_missing"]} == relevant - set(first)
    assert all(one["where"] for one in found["relevant_missing"])


def test_any_document_has_a_way(page):
    """One that was returned, one below the window, and one that does not exist."""
    found = ask(page, "api/query?id=q3&shown=100")
    returned = ask(page, f"api/document?query=q3&doc={found['after'][0]['doc_id']}")
    assert returned["sentence"] == "returned at rank 1."
    assert [one["stage"] for one in returned["way"]] == [
        "bm25",
        "noise",
        "fusion",
        "rerank",
        "answer",
    ]
    below = next(one for one in found["after"] if one["fate"] and "window" in one["fate"])
    way = ask(page, f"api/document?query=q3&doc={below['doc_id']}")["way"]
    assert way[3]["sentence"] == "below the window of 20, so it was never read"
    nowhere = ask(page, "api/document?query=q3&doc=nowhere")
    assert nowhere["sentence"] == "no source found it within depth 30."
    assert nowhere["text"] is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"window": 5},
        {"blend": 0.4, "weights": {"bm25": 2, "noise": 1}},
        {"weights": {"bm25": 1, "noise": 0}},
        {"threshold": 0.5, "window": 40},
    ],
)
def test_a_replay_is_what_replay_and_evaluate_give(page, body):
    """Its values are those of the same settings, and its key brings them back in every view."""
    found = ask(page, "api/replay", body)
    rows = ask(page, f"api/queries?settings={found['settings']}")["rows"]
    made = page.recorded.replays
    values = evaluate(
        made.runs(page.recorded.settings(found["settings"])), collection(), ["nDCG@10"]
    )
    assert {row["query_id"]: row["after"] for row in rows} == pytest.approx(
        values.by_query("nDCG@10")
    )
    assert found["summary"]["after"] == pytest.approx(values.mean("nDCG@10"))
    assert "per_query" not in found  # half a megabyte a step of a slider, for 10,000 queries
    listed = [
        one["doc_id"]
        for one in ask(page, f"api/query?id=q5&settings={found['settings']}")["after"][:10]
    ]
    assert listed == list(made.runs(page.recorded.settings(found["settings"]))["q5"])
    lost = ask(page, f"api/losses?settings={found['settings']}")
    assert lost["achieved"] == pytest.approx(values.mean("nDCG@10"))


def test_a_full_replay_says_the_verdict_against_the_best_simple_system(page):
    """Its interval is the one of the report, which leaves the first of its measures 4%, not 5%."""
    found = ask(page, "api/replay", {"full": True})["summary"]
    whole = page.recorded.recording.verdict(collection())
    assert found["against"] == "best first stage"
    assert (found["low"], found["high"]) == pytest.approx(whole.main.interval, abs=1e-12)
    assert found["gain"] == pytest.approx(whole.main.difference)


def test_losses_are_those_of_the_ledger(page):
    """api/losses has the stages of `losses` with their documents."""
    found = ask(page, "api/losses")
    ledger = losses(page.recorded.recording, collection())
    shown = {one["stage"]: one["loss"] for one in found["stages"]}
    assert shown == pytest.approx({name: loss for name, loss in ledger.entries.items() if loss})
    assert sum(shown.values()) == pytest.approx(found["total"])


def test_without_judgments_there_are_no_gains_and_losses_ask_for_them():
    """Orders and documents are shown all the same."""
    page = explorer(judged=False)
    row = ask(page, "api/queries")["rows"][0]
    assert row["gain"] is row["loss"] is None
    assert not row["judged"]
    assert ask(page, "api/query?id=q1")["measure"] is None
    assert ask(page, "api/replay", {"window": 5})["summary"] is None
    with pytest.raises(NotThere, match="grade some results"):
        ask(page, "api/losses")
    ask(page, "api/labels", {"query_id": "q1", "doc_id": "d01", "grade": 3})
    assert ask(page, "api/query?id=q1")["measure"]["gain"] is not None
    assert ask(page, "api/state")["counts"]["judged"] == 1


def test_a_system_without_a_second_stage_is_explored_too():
    """Only its weights can be moved, and the recorded order is what they are compared with."""
    system = replace(pipeline(), reranker=None)
    made = record(system, questions(12), 30, progress=False)
    page = opened(recording=made, collection=collection())
    found = ask(page, "api/state")["settings"]
    assert found["ranges"]["window"] is found["ranges"]["blend"] is None
    moved = ask(page, "api/replay", {"weights": {"bm25": 1, "noise": 0}})["summary"]
    assert moved["against"] == "as recorded"
    with pytest.raises(InvalidArgument, match="needs a second stage"):
        ask(page, "api/replay", {"window": 5})


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("api/queries?sort=cost", "must be one of gain"),
        ("api/queries?limit=5000", "must be 1000 at most"),
        ("api/queries?offset=-1", "whole number"),
        ("api/queries?sort=gain&sort=loss", "given once"),
        ("api/query", "must be given"),
        ("api/query?id=q1&settings=50", "a key that api/replay returned"),
        ("api/query?id=q1&settings=nan;;;1;1", "a key that api/replay returned"),
        ("api/query?id=q1&settings=20;2;;1;1", "from 0 to 1"),
        ("api/query?id=q1&settings=20;;inf;1;1", "must be a number"),
    ],
)
def test_wrong_parameters_are_refused_by_name(page, path, said):
    """The error names the parameter and what it must be."""
    with pytest.raises(InvalidArgument, match=said):
        ask(page, path)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("api/replay", None),
        ("api/replay", [1]),
        ("api/replay", {"window": True}),
        ("api/replay", {"window": 10**30}),
        ("api/replay", {"blend": float("nan")}),
        ("api/replay", {"weights": {"bm25": -1}}),
        ("api/replay", {"weights": {"bm25": 0, "noise": 0}}),
        ("api/replay", {"threshold": "high"}),
        ("api/replay", {"full": 1}),
        ("api/labels", {"query_id": "q1", "doc_id": "d1", "grade": 4}),
        ("api/labels", {"query_id": "q1", "doc_id": "d1", "grade": True}),
        ("api/labels", {"query_id": "q1", "doc_id": "", "grade": 1}),
        ("api/labels", {"query_id": "q1", "doc_id": "\ud800", "grade": 1}),
    ],
)
def test_wrong_bodies_are_refused(page, path, body):
    """Nothing but the documented values is taken."""
    with pytest.raises(InvalidArgument):
        page.answer("POST", path, body)


@pytest.mark.parametrize("path", ["api/query?id=none", "api/nothing", "api/trend", "api/compare"])
def test_what_is_not_there_says_so(page, path):
    """An unknown query and a view that needs other data are refused in a sentence."""
    with pytest.raises(NotThere):
        ask(page, path)


def test_two_recordings_are_compared_query_by_query():
    """The rows have both values, and each side can be looked into."""
    other = recording(window=5)
    page = explorer(other=other, names=("wide", "narrow"))
    found = ask(page, "api/compare")
    assert [found[side]["title"] for side in ("a", "b")] == ["wide", "narrow"]
    assert "window 5" in found["b"]["settings"]
    sides = (evaluate(replayed(one), collection(), ["nDCG@10"]) for one in (recording(), other))
    decision = verdict(*sides)
    said = {"keep": "B is better", "remove": "B is worse", "no effect": "No difference"}
    assert found["summary"]["sentence"].startswith(said.get(decision.decision, "Undecided"))
    assert "judge these first" not in found["summary"]["sentence"]  # the page lists none
    values = evaluate(replayed(other), collection(), ["nDCG@10"]).by_query("nDCG@10")
    assert {row["query_id"]: row["b"] for row in found["rows"]} == pytest.approx(values)
    listed = ask(page, "api/query?id=q2&of=b")["after"][:10]
    assert [one["doc_id"] for one in listed] == list(replayed(other)["q2"])
    asked = {f"other {one}": text for one, text in questions(2).queries.items()}
    unlike = record(pipeline(), asked, 30, progress=False)
    with pytest.raises(InvalidArgument, match="same queries"):
        explorer(other=unlike)


def test_ten_thousand_rows_are_paged_at_once():
    """A page of 10,000 sorted queries takes 100 rows' work, not 10,000."""
    many = 10_000
    draw = np.random.default_rng(0)
    table = Table(
        [f"q{at}" for at in range(many)],
        [f"question {at}" for at in range(many)],
        ["en"] * many,
        [("length=low",)] * many,
        *(draw.random(many) for _ in range(5)),
        np.ones(many, np.bool_),
        np.zeros(many, np.bool_),
        draw.random(many),
    )
    asked = []
    begun = time.process_time()
    found = table.answer(
        Params("api/queries?sort=loss&order=desc&offset=5000&find=question"),
        lambda ids: asked.extend(ids) or {},
    )
    assert time.process_time() - begun < 1
    assert found["total"] == many
    assert len(found["rows"]) == len(asked) == 100


def test_a_live_system_is_asked_beside_its_recording():
    """Its answer has an id of its own, and is graded as the query that it repeats."""
    page = explorer(system=as_system(pipeline()))
    text = collection().queries["q1"]
    found = ask(page, "api/search", {"text": text, "settings": {"window": 5}})
    assert found["query_id"] == "asked:q1"
    assert found["measure"]["after"] is not None
    recorded = ask(page, "api/replay", {"window": 5})["settings"]
    listed = ask(page, f"api/query?id=q1&settings={recorded}")["after"]
    assert [one["doc_id"] for one in found["after"]] == [one["doc_id"] for one in listed]
    ask(page, "api/labels", {"query_id": "asked:q1", "doc_id": "d02", "grade": 2})
    assert page.labels.qrels == {"q1": {"d02": 2}}
    assert ask(page, "api/state")["live"]
