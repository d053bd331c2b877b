"""The offline file and the notebook's widget: the same answers without a server."""

import base64
import hashlib
import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from explored import SCRIPT, collection, explorer, recording
from recorded import pipeline

from runoff.errors import InvalidArgument
from runoff.evaluation import Collection, record
from runoff.report._explorer.offline import write_offline


@pytest.fixture(scope="module")
def page():
    return explorer()


@pytest.fixture(scope="module")
def written(page, tmp_path_factory):
    file = tmp_path_factory.mktemp("offline") / "explorer.html"
    write_offline(page, file)
    return file.read_text(encoding="utf-8")


def data_of(text):
    return json.loads(re.search(r'id="runoff-data">(.*?)</script>', text, re.DOTALL)[1])


def test_an_offline_file_loads_nothing_and_runs_only_its_own_script(written):
    """Its policy allows the one script and the one style inside, by their digests."""
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', written)[1]
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        inside = re.search(rf"<{tag}(?: type=\"module\")?>(.*?)</{tag}>", written, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert re.findall(r"<(?:script|link|img)\b[^>]*\b(?:src|href)=[^>]*>", written) == [
        '<link rel="icon" href="data:," />'
    ]


def test_an_offline_file_has_what_the_server_answers(page, written):
    """Rows, answers, losses and replays are those of the dispatcher; texts are kept once."""
    data = data_of(written)
    answers = data["answers"]
    assert answers["api/queries"]["rows"] == page.answer("GET", "api/queries?limit=1000")["rows"]
    assert answers["api/losses"] == page.answer("GET", "api/losses")
    assert not answers["api/state"]["live"]
    live = page.answer("GET", "api/query?id=q4&shown=20&cut=1000")
    for side in ("before", "after"):
        for one, item in zip(live[side], answers["api/query?id=q4"][side], strict=True):
            assert {**item, "text": data["texts"].get(item["doc_id"])} == one
    for one in data["replays"]:
        key = page.answer("POST", "api/replay", one["body"])["settings"]
        rows = page.answer("GET", f"api/queries?settings={quote(key)}")["rows"]
        assert {row["query_id"]: row["after"] for row in rows} == one["answer"]["per_query"]
    assert {one["body"]["window"] for one in data["replays"]} == {5, 10, 20}


def test_hostile_texts_stay_inside_the_data(tmp_path):
    """No text ends the script that holds it."""
    asked = {SCRIPT: f"{SCRIPT}</script><!--", "q2": "tide"}
    judged = Collection(asked, {SCRIPT: {"d01": 1}, "q2": {"d02": 1}}, name="</script>")
    made = record(pipeline(), judged, 30, progress=False)
    file = made.explore(tmp_path / "page.html", judged)
    text = file.read_text(encoding="utf-8")
    assert text.count("</script>") == 2
    assert {row["query_id"] for row in data_of(text)["answers"]["api/queries"]["rows"]} == {*asked}


def test_a_path_that_cannot_be_written_is_refused(page, tmp_path):
    """A folder, or a file in a folder that does not exist, is named."""
    for path in (tmp_path, tmp_path / "none" / "page.html"):
        with pytest.raises(InvalidArgument, match="path="):
            write_offline(page, path)
    with pytest.raises(InvalidArgument, match="collection="):
        recording(2).explore(tmp_path / "page.html", Path("judged.csv"))


def test_a_notebook_asks_by_messages():
    """Each message gets one reply with its id, and errors have a status and a sentence."""
    pytest.importorskip("anywidget")
    page = recording(3).explore(collection=collection())
    assert 'explore("page.html")' in page._repr_mimebundle_()[0]["text/plain"]
    sent = []
    page.send = sent.append
    for content in (
        {"id": 1, "method": "GET", "path": "api/state", "body": None},
        {"id": 2, "method": "GET", "path": "api/query?id=none"},
        {"id": 3, "method": "POST", "path": "api/replay", "body": {"window": 5}},
        "no message",
    ):
        page._asked(page, content, [])
    assert [one["id"] for one in sent] == [1, 2, 3, None]
    assert [one["status"] for one in sent] == [200, 404, 200, 400]
    assert sent[0]["body"]["counts"]["queries"] == 3
    assert "none" in sent[1]["body"]["error"]
    json.dumps(sent, allow_nan=False)
