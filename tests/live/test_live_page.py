"""What `judge` found, on the command line and as a page."""

import json

import pytest
from commands import runoff
from traffic import graded, keep, stream

from runoff.live import judge
from runoff.report._live import live_page


@pytest.fixture(scope="module")
def harmed(tmp_path_factory):
    """Return watched and graded traffic that the second stage harms."""
    folder = keep(tmp_path_factory.mktemp("live") / "obs", stream(150, better=-0.8))
    judge(folder, graded, people=graded, labels=60)
    return folder


def test_the_command_shows_it_and_alarms(harmed, tmp_path):
    """Exit code 3 for a proven harm, and the page is written."""
    page = tmp_path / "live.html"
    arguments = ["watch", harmed, "--fail-on-alarm", "--html", page]
    shown = runoff(*arguments)
    assert shown.returncode == 3
    assert "It harms" in shown.stdout
    assert "</html>" in page.read_text()


def test_the_command_prints_json(harmed):
    """With the statement and its trend."""
    judged = json.loads(runoff("watch", harmed, "--json").stdout)["judged"]
    assert judged["statement"]["decision"] == "harms"
    assert judged["statement"]["alarm"]
    assert judged["statement"]["trend"][-1]["queries"] == 150


def test_a_page_without_grades_is_refused(tmp_path):
    """There is nothing to show."""
    folder = keep(tmp_path / "obs", stream(5, better=0))
    assert runoff("watch", folder, "--html", tmp_path / "x.html").returncode == 2
    assert not (tmp_path / "x.html").exists()


def test_the_page_shows_trend_slices_and_judge(tmp_path):
    """And escapes what comes from outside."""
    seen = stream(80, better=0.8, slices={"language": "<b>en"})
    seen += stream(80, better=-0.8, first=500, slices={"language": "de"})
    found = judge(keep(tmp_path / "obs", seen), graded, people=graded, labels=60)
    page = live_page(found)
    assert "<polyline" in page
    assert "language=de" in page
    assert "<b>en" not in page
    assert "kappa" in page
    shown = found._repr_html_()
    assert shown.count("<svg") == 2
    assert "<b>en" not in shown
    assert "kappa" in shown
