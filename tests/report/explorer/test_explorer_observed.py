"""Observations of live traffic in the explorer."""

import json

import pytest
from observed import observation
from traffic import graded, keep, stream

from runoff.live import judge
from runoff.live._observations import Observations
from runoff.live._reader import Reader
from runoff.live._store import Store
from runoff.report._explorer.opened import opened
from runoff.report._explorer.params import NotThere


@pytest.fixture(scope="module")
def harmed(tmp_path_factory):
    folder = keep(tmp_path_factory.mktemp("live") / "obs", stream(60, better=-0.8))
    judge(folder, graded, people=graded, labels=30)
    return opened(observations=Observations(folder))


def ask(page, path, body=None):
    found = page.answer("GET" if body is None else "POST", path, body)
    json.dumps(found, allow_nan=False)
    return found


def test_the_trend_is_that_of_the_statement(harmed):
    """Its points are the looks, and a proven harm is the first alarm."""
    state = ask(harmed, "api/state")
    assert state["has_trend"]
    assert not state["settings"]["replayable"]
    assert set(state["settings"]["ranges"].values()) == {None}
    found = ask(harmed, "api/trend")
    points = found["series"][0]["points"]
    assert points[-1]["n"] == 60
    assert points[-1]["low"] <= points[-1]["value"] <= points[-1]["high"]
    assert found["statement"] in found["alarms"] or "undecided" not in found["statement"]
    assert found["series"][0]["confidence"] == 0.95


def test_a_slice_that_is_harmed_is_an_alarm_of_its_own(tmp_path):
    """Where all queries together prove nothing, the alarm names it; its figures stand below."""
    traffic = stream(200, better=3.0, slices={"side": "good"})
    traffic += stream(200, better=-3.0, first=200, slices={"side": "bad"})
    folder = keep(tmp_path / "obs", traffic)
    judge(folder, graded, people=graded, labels=400)
    found = ask(opened(observations=Observations(folder)), "api/trend")
    decisions = {one["name"]: one["decision"] for one in found["slices"]}
    assert decisions == {"side=bad": "harms", "side=good": "helps"}
    assert found["alarms"][0] == "It harms side=bad."
    assert found["statement"].startswith("Undecided, since it changed over time: SDCG@5 was above")
    assert found["statement"] not in found["alarms"]


def test_observations_can_be_sorted_by_their_time(harmed):
    """The page lists the latest first."""
    rows = ask(harmed, "api/queries?sort=time&order=desc&limit=100")["rows"]
    times = [row["time"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) > 1


def test_an_observation_shows_both_orders_and_can_be_graded(harmed):
    """The orders are those that were kept; a grade is saved under the question's hash."""
    row = ask(harmed, "api/queries?limit=1")["rows"][0]
    found = ask(harmed, f"api/query?id={row['query_id']}")
    one = harmed.observed.observation(row["query_id"])
    assert [it["doc_id"] for it in found["before"]] == [one.doc_ids[at] for at in one.fused]
    assert [it["doc_id"] for it in found["after"]] == [one.doc_ids[at] for at in one.reranked]
    top = found["after"][0]["doc_id"]
    ask(harmed, "api/labels", {"query_id": row["query_id"], "doc_id": top, "grade": 2})
    assert harmed.labels.qrels == {one.query_hash: {top: 2}}
    assert ask(harmed, f"api/query?id={row['query_id']}")["after"][0]["grade"] == 2
    where = ask(harmed, f"api/document?query={row['query_id']}&doc={top}")
    assert where["sentence"] == "returned at rank 1."


def test_traffic_without_texts_is_shown_by_its_hashes(tmp_path):
    """The page says that texts were not kept, and shows ranks all the same."""
    page = opened(observations=Observations(keep(tmp_path / "obs", [observation("secret")])))
    state = ask(page, "api/state")
    assert not state["has_texts"]
    assert any("kept as hashes" in note for note in state["notes"])
    row = ask(page, "api/queries")["rows"][0]
    assert row["text"].startswith("text:")
    assert [it["doc_id"] for it in ask(page, f"api/query?id={row['query_id']}")["after"]] == [
        "b",
        "a",
    ]
    assert "call runoff.live.judge" in ask(page, "api/trend")["statement"]


def test_views_that_need_a_recording_say_so(harmed):
    """There is nothing to replay in live traffic."""
    with pytest.raises(NotThere, match="replays need a recording"):
        ask(harmed, "api/replay", {"window": 5})
    with pytest.raises(NotThere, match="no system"):
        ask(harmed, "api/search", {"text": "tide"})


def test_only_the_youngest_observations_are_read_whole(tmp_path, monkeypatch):
    """Of many shards, the times alone say which are read, and the listed ones are the youngest."""
    for first in range(0, 400, 100):
        keep(tmp_path / "obs", stream(100, better=0.3, first=first))
    monkeypatch.setattr("runoff.report._explorer.observed._MOST", 120)
    whole = []
    read = Reader.read

    def reading(self, shard, columns=None):
        if columns is None:
            whole.append(shard)
        return read(self, shard, columns)

    monkeypatch.setattr(Reader, "read", reading)
    youngest = list(Store(tmp_path / "obs").youngest(120))
    assert {one.time for one in youngest} == set(map(float, range(280, 400)))
    assert len(whole) == 2
    page = opened(observations=Observations(tmp_path / "obs"))
    found = ask(page, "api/queries?sort=time&order=desc&limit=1000")
    assert [row["time"] for row in found["rows"]] == [float(at) for at in range(399, 279, -1)]
    note = "The latest 120 of 400 are listed."
    assert note in ask(page, "api/state")["notes"]


def test_observations_that_are_too_old_are_not_listed(tmp_path):
    """`since` of the reader holds for the page too."""
    folder = keep(tmp_path / "obs", stream(50, better=0.3))
    page = opened(observations=Observations(folder, since=45.0))
    assert ask(page, "api/queries")["total"] == 5
