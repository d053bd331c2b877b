"""The report of a recording: one file that loads nothing and runs nothing hostile."""

import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

pytest.importorskip("ir_measures", reason="the eval extra is not installed")

import numpy as np
import recorded

from runoff import Document, TwoStage
from runoff.evaluation import Collection, by_stage, evaluate, record, tune
from runoff.recall import BM25, Function
from runoff.report import _svg as svg
from runoff.report._advice import advise
from runoff.report._evaluated import evaluated
from runoff.report._sections import numbered

HOSTILE = (
    "<script>alert(1)</script><img src=https://x.example/y onerror='alert(2)'>\"><svg/onload=x>"
)


EMPTY = {"meta", "line", "rect", "circle", "polygon", "polyline"}


class Reading(HTMLParser):
    """Collects every tag with its attributes, and checks that they are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self._open = [], [], [], []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag not in EMPTY:
            assert self._open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def judged():
    """Twelve queries with two relevant documents each."""
    queries = recorded.questions(12).queries
    ids = [one.doc_id for one in recorded.documents()]
    qrels = {
        one: {ids[(7 * at) % 60]: 2, ids[(11 * at + 3) % 60]: 1} for at, one in enumerate(queries)
    }
    return Collection(queries, qrels, name="small")


@pytest.fixture(scope="module")
def recording(judged):
    return record(recorded.pipeline(), judged, 40, progress=False)


def test_the_report_has_every_part_and_loads_nothing(recording, judged, tmp_path):
    """Well-formed HTML with tables and six plots; no script, link, image or address in it."""
    path = tmp_path / "report.html"
    advice = recording.report(path, judged)
    page = Reading(path.read_text("utf-8"))
    assert page.tags.count("svg") == 6
    assert page.tags.count("table") >= 5
    assert not {"script", "link", "img", "iframe", "object", "a", "form"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not {"src", "href", "style"} & names
    assert not any(name.startswith("on") for name in names)
    assert "://" not in path.read_text("utf-8")
    policies = [value for name, value in page.attributes if name == "content"]
    assert "default-src 'none'; style-src 'unsafe-inline'" in policies
    text = " ".join(page.texts)
    assert advice.evaluated.verdict.decision in text
    assert f"{advice.ledger.achieved:.3f}" in text
    assert "recommended" in text


def test_hostile_text_stays_text(tmp_path):
    """Markup in queries, ids, texts, source names and the collection's name is shown, not run."""
    documents = [Document(f"{HOSTILE}{at}", f"{HOSTILE} tide {at}") for at in range(4)]
    pipeline = TwoStage({HOSTILE: BM25(documents)}, reranker=recorded.Hashed(name=HOSTILE))
    queries = {HOSTILE: f"{HOSTILE} tide", "other": "tide \u202e \x1b[31m"}
    qrels = {HOSTILE: {f"{HOSTILE}1": 1, "lost": 1}, "other": {f"{HOSTILE}2": 1}}
    collection = Collection(queries, qrels, name=HOSTILE)
    made = record(pipeline, collection, 100, progress=False)
    path = tmp_path / "report.html"
    tuning = tune(made, collection, grid={"window": [0, 2]})
    advice = made.report(path, collection, tuning=tuning)
    whole = path.read_text("utf-8")
    page = Reading(whole)
    assert not {"script", "img"} & set(page.tags)
    assert not any(name[:2] == "on" for name, _ in page.attributes)
    assert "\x1b" not in whole
    assert "\u202e" not in whole
    assert "<script>alert(1)</script>" in "".join(page.texts)
    findings = [advice.evaluated.verdict, advice.ledger, advice.curve, tuning, advice.health, made]
    for finding in [*findings, *advice.evaluated.measured.values()]:
        shown = finding._repr_html_()
        assert not {"script", "img"} & set(Reading(shown).tags)
        assert "\x1b" not in shown
        assert "\u202e" not in shown


def test_every_finding_shows_itself_in_a_notebook(recording, judged):
    """Each is one framed piece of HTML with its own figures, and with its plots."""
    verdict, ledger = recording.verdict(judged), recording.losses(judged)
    curve, tuning = recording.curve(judged), tune(recording, judged, grid={"window": [0, 20]})
    measured, health = evaluate(by_stage(recording)["fused"], judged), recording.health()
    shown = [
        (verdict, 2, [verdict.decision, "12 queries; "]),
        (ledger, 1, [f"{ledger.achieved:.3f}"]),
        (curve, 1, [curve.shape, f"{curve.points[-1].gain:+.4f}"]),
        (tuning, 1, [tuning.decision, f"{tuning.held_out:.4f}", str(tuning.configured.setting)]),
        (measured, 0, [f"{measured.mean('nDCG@10'):.4f}", "12 judged queries."]),
        (health, 0, [one.check for one in health.findings]),
        (recording, 0, ["12, 0 of them degraded", str(recording.pairs), "hashed 1", "kind=convex"]),
    ]
    for finding, plots, said in shown:
        page = Reading(finding._repr_html_())
        assert page.tags[:2] == ["div", "style"]
        assert page.tags.count("svg") == plots
        assert all(one in " ".join(page.texts) for one in said)


def test_a_finding_keeps_its_text_beside_its_page(recording, judged):
    """A console that shows no HTML shows the whole text, as `print` does."""
    pretty = pytest.importorskip("IPython.lib.pretty", reason="IPython is not installed").pretty
    findings = [
        recording.verdict(judged),
        recording.losses(judged),
        recording.curve(judged),
        tune(recording, judged, grid={"window": [0, 20]}),
        evaluate(by_stage(recording)["fused"], judged),
        recording.health(),
    ]
    for finding in findings:
        assert len(str(finding).splitlines()) > 1
        assert pretty(finding) == str(finding)


def test_tuning_is_on_the_page_and_in_the_text_where_it_was_given(recording, judged, tmp_path):
    """The report and the advice have a section of settings with it, and none without."""
    path = tmp_path / "report.html"
    assert recording.report(path, judged).tuning is None
    assert "Which settings to run" not in path.read_text("utf-8")
    tuning = tune(recording, judged, grid={"window": [0, 20]})
    advice = recording.report(path, judged, tuning=tuning)
    assert " ".join(f"SETTINGS {tuning}".split()) in " ".join(str(advice).split())  # folded
    page = Reading(path.read_text("utf-8"))
    assert page.tags.count("svg") == 7
    assert "Which settings to run" in page.texts
    assert tuning.reason in " ".join(page.texts)


def test_a_system_without_a_second_stage_has_a_report(judged, tmp_path):
    """Measures, losses and times are there; verdict, curve and scores are not."""
    made = record(replace(recorded.pipeline(), reranker=None), judged, 40, progress=False)
    advice = made.report(tmp_path / "report.html", judged)
    assert advice.curve is None
    assert advice.evaluated.verdict is None
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Where quality is lost" in page
    assert "How many candidates" not in page


def test_advice_is_one_page_of_text(recording, judged):
    """Verdict, losses with their moves, window and health in this order, within 80 columns."""
    advice = advise(recording, judged)
    text = str(advice)
    assert (
        text.index("VERDICT") < text.index("LOSSES") < text.index("WINDOW") < text.index("HEALTH")
    )
    assert list(advice.evaluated.measured) == [
        "bm25",
        "noise",
        "fused",
        "best first stage",
        "reranked",
    ]
    assert text.startswith(f"ANSWER\n{advice.answer.sentence[:60]}")
    assert len(advice.answer.figures) == 3
    found = advice.evaluated.verdict
    assert f"{found.main.difference:+.4f}" in text
    assert " ".join(found.reason.split()) in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    for point in advice.curve.points:
        assert re.search(rf"\b{point.window} +{point.values['nDCG@10']:.4f} ", text)
    for finding in advice.health.findings:
        assert " ".join(finding.sentence.split()) in " ".join(text.split())


class Longest(recorded.Hashed):
    """Scores the longest text best."""

    def score(self, pairs, *, deadline=None):
        scores = super().score(pairs, deadline=deadline)
        values = np.array([len(text) for _, text in pairs], np.float32)
        return replace(scores, values=values)


def test_phantom_hits_need_texts_from_somewhere():
    """Texts come from the recording, the collection or an argument, else the finding asks."""
    near = [Document(f"near{at}", f"tide {at}") for at in range(4)]
    far = [Document(f"far{at}", f"a long text about bread and dough {at}") for at in range(4)]
    source = Function(lambda query, depth: [*near, *far][:depth], score_range=(0.0, None))
    pipeline = TwoStage({"all": source}, reranker=Longest())
    queries, qrels = {"a": "tide", "b": "dough"}, {"a": {"near0": 1}, "b": {"far0": 1}}
    judged = Collection(queries, qrels)
    kept = record(pipeline, judged, 100, texts=True, progress=False)
    assert advise(kept, judged).health["phantoms"].figure == 0.5
    bare = record(pipeline, judged, 100, progress=False)
    documents = {one.doc_id: one for one in [*near, *far]}
    whole = Collection(queries, qrels, documents)
    assert advise(bare, whole).health["phantoms"].figure == 0.5
    texts = {doc_id: one.text for doc_id, one in documents.items()}
    assert advise(bare, judged, texts=texts).health["phantoms"].figure == 0.5
    without = advise(bare, judged).health["phantoms"]
    assert without.odd is None
    assert "texts=True" in without.sentence


def test_what_was_measured_is_what_was_asked(judged):
    """Means, Judged@k and the comparison come from the runs, name by name."""
    first = next(iter(judged.qrels["q0"]))
    runs = {"none": {}, "one": {"q0": [first]}}
    found = evaluated(judged, runs, ("none", "one"), measures=["RR@10"])
    heads, none, one = found.rows()
    assert heads == ("system", "RR@10")
    assert none == ("none", "0.0000")
    assert one[:2] == ("one", f"{1 / 12:.4f}")
    assert found.to_dict()["systems"]["none"]["judged"] == {"RR@10": None}
    assert found.verdict.main.wins == 1


def test_plots_are_drawn_to_scale():
    """A bar twice as high has twice the height, and one below zero starts at zero."""
    drawn = Reading(svg.bars([0.2, 0.1, 0.0, -0.1], title="t", names=("x", "y")))
    heights = [float(value) for name, value in drawn.attributes if name == "height"]
    tops = [float(value) for name, value in drawn.attributes if name == "y" and "." in value]
    assert len(heights) == 3  # nothing is drawn for no change
    assert heights[0] == pytest.approx(2 * heights[1], abs=0.2)
    assert heights[1] == pytest.approx(heights[2], abs=0.2)
    assert tops


def test_labels_of_near_points_do_not_overlap():
    """Each label of a scatter plot has a line of its own, also where two points are one."""
    points = [("chosen", 1.0, 0.5), ("in use", 1.0, 0.5), ("other", 1.1, 0.501), ("", 9.0, 0.1)]
    drawn = svg.scatter(points, title="t", names=("x", "y"))
    lines = [
        float(re.search(rf' y="([\d.]+)"[^>]*>{name}<', drawn)[1])
        for name in ("chosen", "in use", "other")
    ]
    assert all(abs(a - b) >= 12 for a, b in itertools.combinations(lines, 2))


@pytest.mark.parametrize("values", [[0.0], [1e-12, 0.0], [5.0, 5.0], [-1e6, 1e6]])
def test_any_range_has_a_plot(values):
    """No range of values, not even an empty one, fails or draws NaN."""
    points = [(at, value, value, value) for at, value in enumerate(values)]
    drawn = [
        svg.bars(values, title="t", names=("x", "y")),
        svg.lines(points, title="t", names=("x", "y"), marks={"here": 0}),
        svg.waterfall([("one", 0.0, values[0]), ("two", values[0], values[-1])], title="t"),
        svg.spans([("one", 0.0, abs(values[0]), "said")], title="t"),
        svg.scatter([("one", 1.0, one) for one in values], title="t", names=("x", "y")),
        svg.histogram({"a": [0, 1]}, [0.0, 0.5, 1.0], title="t", names=("x", "y")),
    ]
    for one in drawn:
        Reading(one)
        assert "nan" not in one
        assert "inf" not in one


def test_code_in_next_steps_is_shown_as_code():
    """Backticks mark it, and what is in them is escaped as everything else."""
    assert numbered(["Try `tune`.", "1 < `<b>`"]) == (
        "<ol><li>Try <code>tune</code>.</li><li>1 &lt; <code>&lt;b&gt;</code></li></ol>"
    )
