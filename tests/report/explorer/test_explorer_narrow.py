"""Recordings that hold less than their system reads, or that little can be asked of."""

import json
from dataclasses import replace
from unittest import mock

import pytest
from explored import collection
from recorded import Hashed, documents, pipeline, questions

from runoff import TwoStage
from runoff.errors import InvalidArgument, ServerFailed
from runoff.evaluation import record
from runoff.fusion import RRF
from runoff.recall import BM25
from runoff.report._explorer.offline import write_offline
from runoff.report._explorer.opened import opened
from runoff.rerank import Cascade, ListwiseLLM


class Down:
    """A source that fails."""

    def retrieve(self, query, *, depth, deadline=None):
        raise ServerFailed("the store is down")


class Nothing:
    """A source that finds nothing."""

    def retrieve(self, query, *, depth, deadline=None):
        return []


class Broken(Hashed):
    """A scorer that fails."""

    def score(self, pairs, *, deadline=None):
        raise ServerFailed("the model is down")


class Best:
    """A fusion that no recording can rebuild: the best rank of any source."""

    def fuse(self, rankings):
        ranks = {}
        for hits in rankings.values():
            for rank, hit in enumerate(hits, 1):
                ranks[hit.key] = min(rank, ranks.get(hit.key, rank))
        return {key: 1 / rank for key, rank in ranks.items()}


def sources(**given):
    return {"bm25": BM25(documents()), **given}


def single(reranker=None):
    return TwoStage(sources(), reranker=reranker, depth=30, window=20)


CASES = {
    "all scored": (pipeline(), {}),
    "a narrower window": (pipeline(), {"window": 10}),
    "a window of 1": (pipeline(), {"window": 1}),
    "a wider depth": (pipeline(), {"depth": 60, "window": 20}),
    "both": (pipeline(), {"depth": 60, "window": 15}),
    "a window beyond all": (pipeline(window=500), {}),
    "one source": (single(Hashed()), {"window": 5}),
    "groups": (pipeline(group="parent"), {"window": 20}),
    "a cascade": (pipeline(Cascade([(Hashed(), 8), Hashed(31)])), {"window": 12}),
    "weights above 1": (pipeline(fusion=RRF(weights={"bm25": 3.0, "noise": 1.0})), {}),
    "a fusion of one's own": (pipeline(fusion=Best()), {"depth": 60}),
    "a fusion of one's own, narrow": (pipeline(fusion=Best()), {"depth": 60, "window": 20}),
    "nothing of it is lacking": (pipeline(depth=5), {"depth": 60, "window": 40}),
    "no second stage": (replace(pipeline(), reranker=None), {}),
    "nothing to change": (single(), {}),
    "a failed source": (TwoStage(sources(down=Down()), reranker=Hashed()), {"depth": 100}),
    "no source": (TwoStage({"down": Down()}, reranker=Hashed()), {"depth": 100}),
    "no results": (TwoStage({"none": Nothing()}, reranker=Hashed()), {"depth": 100}),
    "a failed scorer": (pipeline(Broken()), {}),
}


def ask(page, path, body=None):
    found = page.answer("GET" if body is None else "POST", path, body)
    json.dumps(found, allow_nan=False)
    return found


def recorded(case, many=6):
    """Return a recording that lacks what its system reads, as those of earlier versions may."""
    system, options = CASES[case]
    with mock.patch("runoff._recording.record.own_reading", return_value=set()):
        return record(system, questions(many), **{"depth": 30, "progress": False, **options})


def own(settings):
    return {name: settings[name] for name in ("window", "blend", "weights", "threshold")}


@pytest.mark.parametrize("judged", [True, False], ids=["judged", "unjudged"])
@pytest.mark.parametrize("case", CASES)
def test_every_view_and_every_slider_of_every_recording_answers(case, judged, tmp_path):
    """Whatever a recording lacks, no view fails, and no slider goes where no replay can."""
    page = opened(recording=recorded(case), collection=collection(6) if judged else None)
    settings = ask(page, "api/state")["settings"]
    ranges = settings["ranges"]
    first = ask(page, "api/queries")["rows"][0]["query_id"]
    bodies = [own(settings), {**own(settings), "full": True}]
    for name in ("window", "blend", "threshold"):
        bodies += [{**own(settings), name: end} for end in ranges[name] or ()]
    for body in bodies:
        key = ask(page, "api/replay", body)["settings"]
        for item in ask(page, f"api/query?id={first}&settings={key}")["after"][:3]:
            ask(page, f"api/document?query={first}&doc={item['doc_id']}&settings={key}")
        ask(page, f"api/document?query={first}&doc=nowhere&settings={key}")
        if judged:
            ask(page, f"api/losses?settings={key}")
    write_offline(page, tmp_path / "page.html")
    most = max(len(one) for one in page.recorded.recording)
    assert (ranges["window"] or [0, 0])[1] <= (most or settings["window"])
    for name, (low, high) in ((one, ends) for one, ends in ranges.items() if ends):
        values = settings["weights"].values() if name == "weight" else [settings[name]]
        assert low < high
        assert all(one is None or low <= one <= high for one in values)


@pytest.mark.parametrize(
    ("case", "window", "said"),
    [
        ("a narrower window", 10, "Shown with a window of 10,"),
        ("a wider depth", 20, "Shown at depth 60,"),
        ("a fusion of one's own", 20, "its fusion cannot be rebuilt"),
    ],
)
def test_what_was_not_recorded_is_left_out_and_said(case, window, said):
    """The settings are the nearest that were recorded, and a note says how they differ."""
    found = ask(opened(recording=recorded(case), collection=collection()), "api/state")
    assert found["settings"]["window"] == window
    assert any(said in note for note in found["notes"])
    if case == "a narrower window":
        assert found["settings"]["ranges"]["window"] == [1, 10]
        assert found["settings"]["why_not"].startswith("The window ends at 10,")


def test_weights_that_ask_for_other_candidates_narrow_the_window():
    """The widest window with all scores is replayed, and the answer says so; or why none is."""
    page = opened(recording=recorded("both"), collection=collection())
    body = own(ask(page, "api/state")["settings"])
    shown = []
    for weight in (1.0, 0.8, 0.6):
        found = ask(page, "api/replay", {**body, "weights": {"bm25": weight, "noise": 1.0}})
        shown.append(found["asked"]["window"])
        assert (found["limit"] is None) == (shown[-1] == body["window"])
        assert found["limit"] is None or f"a window of {shown[-1]}," in found["limit"]
    assert shown[0] == body["window"]
    assert 0 < min(shown) < body["window"]
    with pytest.raises(InvalidArgument, match=r"record\(\.\.\.\) without a window scores all"):
        ask(page, "api/replay", {**body, "weights": {"bm25": 0.0, "noise": 1.0}})


def test_the_order_of_a_listwise_reranker_cannot_be_changed():
    """No slider is offered, and the page says why."""
    system = pipeline(ListwiseLLM(lambda _prompt: "[2] > [1]"))
    page = opened(recording=record(system, questions(3), 30, window=20, progress=False))
    settings = ask(page, "api/state")["settings"]
    assert set(settings["ranges"].values()) == {None}
    assert "orders several candidates at once" in settings["why_not"]
    assert ask(page, "api/replay", own(settings))["changed"] == 0
