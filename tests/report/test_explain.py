"""An answer explains itself, in text and in a notebook."""

import html.parser
import json
import math

import pytest
from parts import Fixed, Listed

from runoff._util import provenance
from runoff.errors import ServerFailed
from runoff.pipeline import TwoStage
from runoff.scores import ModelIdentity, ScoreKind, Usage
from runoff.types import Document, Hit, Ranked, Reranking

HOSTILE = "<script>alert(1)</script>\x1b[31m\nsecond line"


def found(*ids):
    """Return a source whose texts are hostile and whose scores are 3.5, 2.5 and so on."""
    return Listed(*(Hit(Document(one, f"{one} {HOSTILE}"), 3.5 - at) for at, one in enumerate(ids)))


def backwards(candidates):
    ordered = tuple(
        Ranked(one, 2.0 + at, 5.0 + at, truncated=at == 0)
        for at, one in reversed(list(enumerate(candidates)))
    )
    return Reranking(ordered, kind=ScoreKind.LOGIT, model=ModelIdentity("m"), usage=Usage(3, 1234))


@pytest.fixture
def response():
    sources = {"bm25": found("a", "b", "c"), "dense": found("b", "d")}
    pipeline = TwoStage(sources, reranker=Fixed(backwards), window=3)
    return pipeline.search("why?", top_k=3, timeout=60)


def test_the_whole_answer_names_every_stage(response):
    """Each source, the fusion, the reranker, and every rank and score of the results appear."""
    text = response.explain()
    for part in ("'why?'", "3 of 4 candidates", "complete", "bm25", "dense", "5 hits became 4"):
        assert part in text
    assert "ordered 3 of 3, 1,234 tokens" in text
    assert "1 document was read only in part" in text
    assert "1 (4.00)" in text
    assert "[truncated]" in text


def test_repr_is_short_and_holds_no_document(response):
    """What a console or a log shows is one line about the answer."""
    assert repr(response) == "Response('why?', 3 results, complete)"


def test_text_cannot_drive_a_terminal(response):
    """Control characters and line breaks of documents never reach the output."""
    text = response.explain()
    assert "\x1b" not in text
    assert "alert(1)</script> second" in text


def test_one_document_is_followed_through_every_stage(response):
    """A returned, a cut and an unknown document are each explained."""
    (last,) = {fate.candidate.document.doc_id for fate in response.trace.fates if fate.rank == 4}
    assert "rank 4, below the 3 results asked for" in response.explain(last)
    assert "below the window of 3, so it was never read" in response.explain(last)
    first = response.explain(response[0].doc_id)
    assert "returned at rank 1" in first
    assert "backwards" not in first
    assert "m placed it 1 (up 2), score 4.00, pair score 7.00" in first
    assert "not among its 2 hits" in response.explain("a")
    assert "no source found it within depth 100" in response.explain("zzz")


def test_a_degraded_answer_says_so_first():
    """The missing stage and the reason come before the results, in text and HTML."""
    sources = {"bm25": found("a"), "store": Listed(error=ServerFailed("503 from the store"))}
    response = TwoStage(sources, reranker=None).search("q")
    assert "degraded: recall store: server_error" in response.explain()
    assert "left out: ServerFailed: 503 from the store" in response.explain()
    assert 'class="head degraded"' in response._repr_html_()


@pytest.mark.parametrize("doc_id", ["a", "d", "nowhere"])
def test_a_document_is_followed_past_a_source_that_failed(doc_id):
    """Found or not, its way names the source that was left out, and why."""
    failing = Listed(error=ServerFailed("the store is down"))
    answer = TwoStage({"bm25": found("a", "b", "d"), "dense": failing}).search("why?")
    assert "the store is down" in answer.explain(doc_id)


def test_html_is_inert_and_well_formed(response):
    """Hostile text is escaped, no script, link or image is in the page, and all tags close."""
    page = response._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;" in page

    class Check(html.parser.HTMLParser):
        def __init__(self):
            super().__init__()
            self.open = []

        def handle_starttag(self, tag, attrs):
            assert tag not in {"script", "img", "link", "iframe", "a"}
            self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    check = Check()
    check.feed(page)
    assert check.open == []


def test_provenance_is_one_json_string(response):
    """Every rank and score of a result survives the round trip; nothing in it is text."""
    encoded = provenance.encode(response, response[0])
    record = provenance.decode({"runoff": encoded, "x": 1})
    assert record["rerank_score"] == 4.0
    assert record["pair_score"] == 7.0
    assert record["sources"][next(iter(record["sources"]))]["rank"] >= 1
    assert record["complete"] is True
    assert "script" not in encoded
    assert provenance.without({"runoff": encoded, "x": 1}) == {"x": 1}


@pytest.mark.parametrize("value", [None, 3, "not json", "[1]"])
def test_foreign_metadata_is_not_provenance(value):
    """Anything else under the key is ignored without an error."""
    assert provenance.decode({"runoff": value}) is None
    assert provenance.decode({}) is None


def test_provenance_of_unknown_scores_is_valid_json():
    """A source without a score gives null, which every JSON reader accepts."""
    unscored = Listed(Hit(Document("a", "a"), math.nan))
    response = TwoStage({"s": unscored}, reranker=None).search("q")
    encoded = provenance.encode(response, response[0])
    assert json.loads(encoded, parse_constant=pytest.fail)["sources"]["s"]["score"] is None
