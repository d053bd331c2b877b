"""Charts of findings: valid, with the findings' own figures, and nothing hostile alive in them."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest

pytest.importorskip("ir_measures", reason="the eval extra is not installed")
pytest.importorskip("altair", reason="the report extra is not installed")

import altair as alt
import recorded
from tunable import Judge, collection, recording

from runoff import Document, TwoStage
from runoff.errors import InvalidArgument, MissingExtra
from runoff.evaluation import Collection, record, tune, verdict
from runoff.evaluation._ledger import ENTRIES
from runoff.fusion import RRF
from runoff.recall import BM25
from runoff.report import _altair as charting
from runoff.report import _figures as figures
from runoff.report._notebook import STYLE
from runoff.rerank import Price

HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>\u202e\x1b[31m"


@pytest.fixture(scope="module")
def judged():
    """Forty queries; every third document that is not relevant is unjudged."""
    known = collection(40)
    qrels = {
        query_id: {doc: grade for at, (doc, grade) in enumerate(grades.items()) if grade or at % 3}
        for query_id, grades in known.qrels.items()
    }
    return Collection(known.queries, qrels)


@pytest.fixture(scope="module")
def made():
    return recording(Judge(0.4), {"good": 0.5, "other": 0.2}, many=40)


@pytest.fixture(scope="module")
def tuned(made, judged):
    grid = {"window": [0, 5, 10, 50], "depth": [10, 50], "blend": [None, 0.5]}
    return tune(made, judged, grid=grid, price=Price(per_1k_pairs=2.0))


@pytest.fixture(scope="module")
def charts(made, judged, tuned):
    """Every chart there is, by name."""
    found = made.curve(judged, windows=[5, 10, 20, 50])
    return {
        "verdict": made.verdict(judged).plot(),
        "ledger": made.losses(judged).plot(),
        "curve": found.plot(),
        "curve of recall": found.plot("R@10", against="p95_ms"),
        "tuning": tuned.plot(),
        "tuning by pairs": tuned.plot(against="pairs"),
        "tuning by cost": tuned.plot(against="cost"),
        "scores": made.plot_scores(judged),
        "latency": made.plot_latency(),
    }


def layers(chart):
    """Return the rows of every layer of a chart that was validated."""
    told = chart.to_dict(validate=True)
    return [told["datasets"][one.get("data", told.get("data"))["name"]] for one in told["layer"]]


def test_every_chart_is_a_small_valid_spec(charts):
    """Each chart is valid Vega-Lite that compiles, with no black text and no white background."""
    vl_convert = pytest.importorskip("vl_convert", reason="the test group is not installed")
    for name, chart in charts.items():
        told = chart.to_dict(validate=True)
        assert told["config"]["background"] == "transparent", name
        assert len(json.dumps(told)) < 100_000, name
        vega = vl_convert.vegalite_to_vega(told)
        assert {"marks", "scales", "axes"} <= set(vega), name
        svg = vl_convert.vegalite_to_svg(told)
        assert f'fill="{charting.TEXT}"' in svg, name
        assert 'fill="#000"' not in svg, name
        assert "NaN" not in svg, name


def test_bars_are_the_changes_of_all_queries(made, judged):
    """One bar for each query, sorted, with the values and the text it has in the verdict."""
    found = made.verdict(judged)
    rows, _ = layers(found.plot())
    assert [row["query"] for row in rows] == [one.query_id for one in found.changes]
    changes = [row["change"] for row in rows]
    assert changes == sorted(changes, reverse=True)
    assert sum(changes) / len(changes) == pytest.approx(found.main.difference)
    assert rows[0]["text"] == judged.queries[rows[0]["query"]]
    assert sum(change > 1e-9 for change in changes) == found.main.wins
    assert found.changes[: len(found.helped)] == found.helped
    assert found.changes[::-1][: len(found.hurt)] == found.hurt
    assert "changes" not in found.to_dict()


@pytest.mark.parametrize("many", [1, 2, 1999, 2000, 2001, 6980])
def test_many_queries_are_thinned_with_both_ends(many):
    """Up to 2,000 queries all are drawn; of more, 2,000 in equal steps, the first and last too."""
    kept = figures.thinned(many)
    assert len(kept) == len(set(kept)) == min(many, 2000)
    assert (kept[0], kept[-1]) == (0, many - 1)
    gaps = {after - before for before, after in pairwise(kept)}
    assert len(gaps) <= 2


def test_a_thinned_chart_says_so_and_fills_its_axis():
    """Of 5,000 queries 2,000 bars fill the axis up to 5,000, and the subtitle says so."""
    before = {"RR": dict.fromkeys(map(str, range(5000)), 0.5)}
    after = {"RR": {str(at): (at % 11) / 10 for at in range(5000)}}
    chart = verdict(before, after, rounds=100).plot()
    rows, _ = layers(chart)
    assert len(rows) == 2000
    assert all(one["to"] <= two["from"] for one, two in pairwise(rows))
    assert 4999 < rows[-1]["to"] <= 5000
    assert "5,000 queries; an evenly spread 2000 of them are drawn" in chart.title.subtitle


def test_a_waterfall_leads_from_the_ideal_to_the_achieved(made, judged):
    """Its steps are the ledger's entries, each starting where the one before it ended."""
    ledger = made.losses(judged)
    rows, _ = layers(ledger.plot())
    first, *lost, last = rows
    assert (first["end"], last["end"]) == (ledger.ideal, ledger.achieved)
    entries = {ENTRIES[name]: loss for name, loss in ledger.entries.items() if loss}
    assert len(entries) > 1
    assert {row["stage"]: row["start"] - row["end"] for row in lost} == pytest.approx(entries)
    assert all(one["end"] == two["start"] for one, two in pairwise([first, *lost]))
    assert lost[-1]["end"] == pytest.approx(ledger.achieved)


def test_a_curve_shows_its_points_in_their_intervals(made, judged):
    """The first measure by window, or another by p95, with the marks where the windows are."""
    found = made.curve(judged, windows=[5, 10, 20, 50])
    points, *_ = layers(found.plot())
    base = found.points[0].values["nDCG@10"]
    assert [(row["x"], row["value"], row["low"], row["high"]) for row in points] == [
        (one.window, one.values["nDCG@10"], *(base + end for end in one.gain_interval))
        for one in found.points
    ]
    assert (points[0]["low"], points[0]["high"]) == (base, base)  # the gain is over none
    points, *others = layers(found.plot("R@10", against="p95_ms"))
    assert [(row["x"], row["value"]) for row in points] == [
        (one.p95_ms, one.values["R@10"]) for one in found.points
    ]
    marks = {rows[0]["name"]: rows[0]["x"] for rows in others if "name" in rows[0]}
    expected = figures.window_marks(found)
    assert marks == {name: found.point(window).p95_ms for name, window in expected.items()}


def test_a_window_in_use_and_recommended_is_marked_once(made, judged):
    """The marks are one line if both windows are the same, else two."""
    found = made.curve(judged, windows=[5, 10, 20, 50])
    same = replace(found, configured=10, recommended=10)
    assert figures.window_marks(same) == {"in use and recommended": 10}
    other = replace(found, configured=5, recommended=10)
    assert figures.window_marks(other) == {"in use": 5, "recommended": 10}


def test_settings_are_the_front_and_what_stands_out(tuned):
    """The chart has the whole front, no setting twice, and labels the one in use."""
    rows, *_, held, _, _, _, _ = layers(tuned.plot(against="pairs"))
    shown = {row["setting"]: row for row in rows}
    assert len(shown) == len(rows)
    assert {str(one.setting) for one in tuned.front} <= set(shown)
    assert "in use" in shown[str(tuned.configured.setting)]["called"]
    assert "recommended" in shown[str(tuned.recommended.setting)]["called"]
    own = tuned.configured.quality
    assert held[0]["low"] == pytest.approx(own + tuned.interval[0])
    assert held[0]["value"] == tuned.held_out


def test_only_what_is_not_beaten_on_two_axes_is_joined(tuned):
    """A setting that costs as much or more and is not better is a dot off the line."""
    made = [(1, 0.1), (2, 0.3), (2, 0.2), (3, 0.3), (4, 0.29), (5, 0.31)]
    front = [
        replace(
            tuned.configured,
            setting=replace(tuned.configured.setting, depth=100 + at),
            quality=quality,
            pairs=float(pairs),
        )
        for at, (pairs, quality) in enumerate(made)
    ]
    own = replace(tuned.configured, quality=0.05, pairs=9.0)
    drawn = replace(tuned, front=tuple(front), configured=own, recommended=own, chosen=own)
    rows, *_ = layers(drawn.plot(against="pairs"))
    assert {(row["x"], row["quality"]) for row in rows} == {*made, (9, 0.05)}
    joined = {(row["x"], row["quality"]) for row in rows if row["unbeaten"]}
    assert joined == {(1, 0.1), (2, 0.3), (5, 0.31)}


def test_a_choice_that_is_not_proven_is_named(tuned):
    """A chosen setting that is not recommended is labelled "chosen, not proven"."""
    worse = replace(tuned.configured, quality=0.0)
    unproven = replace(tuned, recommended=tuned.configured, chosen=worse)
    names = {name for name, _ in figures.settings_shown(unproven)}
    assert {"in use and recommended", "chosen, not proven"} <= names


def test_scores_are_counted_by_judgment(made, judged):
    """Every scored pair is in one of three groups, and each group's shares sum to one."""
    (rows,) = layers(made.plot_scores(judged))
    counts, shares = {}, {}
    for row in rows:
        counts[row["group"]] = counts.get(row["group"], 0) + row["count"]
        shares[row["group"]] = shares.get(row["group"], 0) + row["share"]
    assert set(counts) == {"relevant", "judged not relevant", "unjudged"}
    assert sum(counts.values()) == made.pairs
    assert shares == pytest.approx(dict.fromkeys(counts, 1.0))
    relevant = sum(
        judged.qrels[query.query_id].get(one, 0) > 0 for query in made for one in query.doc_ids
    )
    assert counts["relevant"] == relevant


def test_a_grade_below_zero_is_a_judgment_and_not_relevant(made, judged):
    """A negative grade, as TREC gives spam, means judged and not relevant."""
    lower = {
        query_id: {doc_id: grade or -2 for doc_id, grade in grades.items()}
        for query_id, grades in judged.qrels.items()
    }
    spam = replace(judged, qrels=lower)
    assert figures.score_bins(made, spam) == figures.score_bins(made, judged)


def test_a_recording_without_a_second_stage_has_no_scores(judged):
    """Scores of a system without a second stage are refused with a reason; latencies are shown."""
    plain = recording(None, many=3)
    with pytest.raises(InvalidArgument, match="no scores of a second stage"):
        plain.plot_scores(judged)
    assert [row["stage"] for row in layers(plain.plot_latency())[0]][-1] == "whole search"


def test_times_are_the_recorded_ones(made):
    """Each stage's p50 is not above its p95, and the whole search has the outcomes' times."""
    rows = {row["stage"]: row for row in layers(made.plot_latency())[0]}
    assert {"recall good", "recall other", "fusion", "whole search"} <= set(rows)
    spent = sorted(query.outcome.spent_ms for query in made)
    assert spent[0] <= rows["whole search"]["p50"] <= rows["whole search"]["p95"] <= spent[-1]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda curve, tuned: curve.plot("AP"), r"measure='AP'.*'nDCG@10', 'R@10'"),
        (lambda curve, tuned: curve.plot(against="time"), "against='time'.*'p95_ms'"),
        (lambda curve, tuned: tuned.plot(against="window"), "against='window'.*'pairs'"),
        (lambda curve, tuned: curve.plot(against="cost"), "against='cost'.*price="),
    ],
)
def test_what_cannot_be_plotted_is_refused(made, judged, tuned, ask, message):
    """The error names an unknown measure or axis and lists the known ones."""
    found = made.curve(judged, windows=[5])
    with pytest.raises(InvalidArgument, match=message):
        ask(found, tuned)


def test_hostile_text_neither_ends_a_script_nor_opens_a_tag():
    """Queries, ids and names reach a saved page without `<` and without control characters."""
    documents = [Document(f"{HOSTILE}{at}", f"{HOSTILE} tide {at}") for at in range(4)]
    pipeline = TwoStage(
        {HOSTILE: BM25(documents), "other": BM25(documents)},
        fusion=RRF({HOSTILE: 2.0, "other": 1.0}),
        reranker=recorded.Hashed(name=HOSTILE),
    )
    queries = {f"{HOSTILE}{at}": f"{HOSTILE} tide {at}" for at in range(3)}
    judged = Collection(queries, {one: {f"{HOSTILE}1": 1} for one in queries}, name=HOSTILE)
    made = record(pipeline, judged, 100, progress=False)
    values = {HOSTILE: dict.fromkeys(queries, 0.5)}
    plain = alt.Chart({"values": [{"x": 1}]}).mark_bar().encode(x="x:Q").to_html()
    for chart in (
        made.verdict(judged).plot(),
        verdict(values, values).plot(),
        made.losses(judged).plot(),
        made.curve(judged).plot(),
        tune(made, judged, grid={"window": [0, 2]}).plot(),
        made.plot_scores(judged),
        made.plot_latency(),
    ):
        page = chart.to_html()
        for opened in ("<script", "</script", "<!--", "<img"):
            assert page.count(opened) == plain.count(opened)
        assert "\u202e" not in chart.to_json(ensure_ascii=False)
        assert "\\u001b" not in chart.to_json()
    assert "script>alert(1)" in made.verdict(judged).plot().to_json()


def test_colours_are_those_of_the_pages():
    """Charts and pages use the same colours for better, worse and total."""
    for colour in (charting.BLUE, charting.ORANGE, charting.GREY):
        assert colour in STYLE


def test_charts_stand_side_by_side_without_their_config(made, judged):
    """Two charts combine once their config is taken off, as the documentation says."""
    pair = [made.verdict(judged).plot(), made.losses(judged).plot()]
    for one in pair:
        one.config = alt.Undefined
    assert len((pair[0] | pair[1]).to_dict()["hconcat"]) == 2


def test_a_changed_chart_changes_no_other(made):
    """Configuring one chart, even in place, does not change another."""
    one, other = made.plot_latency(), made.plot_latency()
    one.config["axis"]["labelFontSize"] = 30
    assert one.configure_title(fontSize=20).properties(width=300).interactive().to_dict()
    assert other.to_dict()["config"]["axis"]["labelFontSize"] == 12


def test_a_missing_altair_is_named_with_its_extra(made, monkeypatch):
    """Without Altair a plot says which extra to install."""
    monkeypatch.setitem(sys.modules, "altair", None)
    for name in ("_plots", "_altair"):
        monkeypatch.delitem(sys.modules, f"runoff.report.{name}", raising=False)
    with pytest.raises(MissingExtra, match=r'pip install "runoff\[report\]"'):
        made.plot_latency()


def test_no_finding_loads_altair_until_it_is_plotted():
    """Every name of `runoff.evaluation` and the pages of reports come without Altair."""
    code = (
        "import sys, runoff.evaluation as e; [getattr(e, one) for one in e.__all__]; "
        "import runoff.report._page; sys.exit('altair' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
