"""No control character and no mark of direction leaves, whatever comes from outside."""

import asyncio
import logging
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parts import Backwards, Fixed, Listed

from runoff._util import provenance
from runoff._util.messages import error_text, visible
from runoff._util.text import snippet
from runoff.errors import (
    BadReply,
    ConnectionFailed,
    InvalidArgument,
    MalformedData,
    MissingExtra,
    RecallFailed,
)
from runoff.pipeline import TwoStage
from runoff.types import Document, Dropped, Hit, Ranked, Reranking

SEQUENCES = [
    "\x1b[31m", "\x1b[2J", "\x1b]0;title\x07", "\x1b]8;;https://evil\x1b\\", "\x9b1A",
    "\x9d0;x\x9c",
    "\x1b", "\x08", "\r", "\x00", "\x7f", "\x85", "\u2028", "\u202e", "\u2066", "\u2069", "\u200f",
    "\u061c", "\ud800", "\ufeff", "\U000e0041",
]  # fmt: skip
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
MARKS = {"\u200e", "\u200f", "\u061c"}
hostile = st.lists(st.sampled_from(SEQUENCES) | st.text(max_size=4), min_size=1, max_size=8).map(
    "".join
)
MANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def unfit(text):
    """Return the characters of a text that a terminal or a reader must not be given."""
    return {
        one
        for one in text
        if (unicodedata.category(one) in {"Cc", "Cs", "Zl", "Zp"} and one not in "\n\t")
        or unicodedata.bidirectional(one) in DIRECTIONS
        or one in MARKS
    }


@MANY
@given(hostile)
def test_what_is_cleaned_is_visible_and_the_rest_is_kept(text):
    """The one function removes what is unfit and nothing else, and twice is once."""
    clean = visible(text)
    assert not unfit(clean)
    assert visible(clean) == clean
    assert visible("Größe 茶 مرحبا 👩‍👩‍👧 a\tb\nc\xa0d") == "Größe 茶 مرحبا 👩‍👩‍👧 a\tb\nc\xa0d"
    assert not unfit(snippet(text, 20))


def test_a_sequence_leaves_none_of_its_letters():
    """The colour's and the title's own letters go with the sequence."""
    assert visible("a\x1b[1;31mred\x1b[0m b\x1b]0;owned\x07c").split() == ["a", "red", "b", "c"]


@MANY
@given(hostile)
def test_errors_show_none(text):
    """Errors of runoff's own, with names and messages from outside, as text and inside others."""
    errors = [
        BadReply(text),
        ConnectionFailed(f"{text}: {text}"),
        InvalidArgument(text, text, text),
        MalformedData(text, text, text),
        MissingExtra(text, text),
        RecallFailed({text: OSError(text)}),
    ]
    for error in errors:
        assert not unfit(str(error)), error
        assert not unfit(repr(error))
    for error in (*errors, ValueError(text)):
        assert not unfit(error_text(error))


class Named(Backwards):
    """A reranker whose name and remarks come from outside."""

    def __init__(self, name, **options):
        super().__init__(**options)
        self.name = name


def found(text):
    """Return hits whose id, text and metadata are hostile."""
    return [
        Hit(Document(f"d{at}{text}", f"{at} {text}", metadata={text: text}), 3.0 - at)
        for at in range(4)
    ]


def dropping(text):
    def rerank(candidates):
        first, *others = candidates
        return Reranking(
            (Ranked(first, 1.0),),
            unscored=tuple(others[1:]),
            dropped=(Dropped(others[0], text),),
            detail=text,
            reason="bad_reply",
            notes=(text,),
        )

    return rerank


def responses(text):
    """Yield a complete answer, one without a source, and ones with half of a second stage."""
    source, name = Listed(*found(text)), f"s{text}"
    failing = Listed(error=ConnectionError(text))
    yield TwoStage({name: source}, reranker=Named(f"r{text}"))
    yield TwoStage({name: source, f"t{text}": failing}, reranker=None)
    yield TwoStage({name: source}, reranker=Named(f"r{text}", error=TimeoutError(text)))
    yield TwoStage({name: source}, reranker=Fixed(dropping(text)))


@MANY
@given(text=hostile)
def test_answers_show_none(text, caplog, capsys):
    """The explanation, the notebook, the log, the outcome, its notes and the command line."""
    cli = pytest.importorskip("runoff.cli._output")
    for pipeline in responses(text):
        caplog.clear()
        with caplog.at_level(logging.DEBUG):
            response = pipeline.search(f"what {text}", top_k=4)
        exits = [
            response.explain(),
            response.explain(response[0].doc_id),
            response._repr_html_(),
            repr(response),
            repr(response.outcome),
            *(one.detail for one in response.outcome.degraded),
            *response.outcome.notes,
            *caplog.messages,
        ]
        if not response.outcome.complete:
            record = provenance.decode({provenance.KEY: provenance.encode(response, response[0])})
            exits += [one["detail"] for one in record["degraded"]]
        capsys.readouterr()
        cli.TerminalReport().answered(response)
        exits.append(capsys.readouterr().out)
        for shown in exits:
            assert not unfit(shown), shown


@pytest.mark.parametrize("text", ["\x1b[31m\u202e\x9b1A\x07", "\x1b]0;t\x07\u2066\x85"])
def test_reports_show_none(text, tmp_path):
    """The report of a recording, its summary for a pull request, and every table of a notebook."""
    pytest.importorskip("ir_measures", reason="the eval extra is not installed")
    recorded = pytest.importorskip("recorded")
    from runoff.evaluation import Collection, record, tune
    from runoff.recall import BM25

    documents = [Document(f"{text}{at}", f"{text} tide {at}") for at in range(4)]
    pipeline = TwoStage({text: BM25(documents)}, reranker=recorded.Hashed(name=text))
    queries = {text: f"{text} tide", "other": "tide \u202e \x1b[31m"}
    qrels = {text: {f"{text}1": 1, "lost": 1}, "other": {f"{text}2": 1}}
    collection = Collection(queries, qrels, name=text)
    made = record(pipeline, collection, 100, progress=False)
    path = tmp_path / "report.html"
    tuning = tune(made, collection, grid={"window": [0, 2]})
    advice = made.report(path, collection, tuning=tuning)
    exits = [path.read_text("utf-8"), advice.evaluated.markdown(), str(advice)]
    for one in (advice.evaluated.verdict, advice.ledger, advice.curve, tuning, advice.health, made):
        exits += [one._repr_html_(), str(one), repr(one)]
    for shown in exits:
        assert not unfit(shown)


@pytest.mark.parametrize("command", ["evaluate", "advise", "explain"])
def test_the_command_line_shows_none_of_what_it_was_given(command, capsys, monkeypatch):
    """An error about an argument with control characters is clean."""
    main = pytest.importorskip("runoff.cli._main")
    monkeypatch.setattr("sys.argv", ["runoff", command, "/no\x1b[31m\u202e/such", "a\x1b[31m"])
    with pytest.raises(SystemExit):
        main.app()
    said = capsys.readouterr()
    assert not unfit(said.out + said.err), said


def test_a_servers_message_shows_none():
    """What a rerank server answers with an error status, sent over a real connection."""
    pytest.importorskip("httpx")
    from servers import serving

    from runoff.rerank import HTTPRerank

    said = {"error": "\x1b]0;owned\x07\x1b[31mred\u202e \x9b1A"}
    for status in (400, 401, 404, 418, 500):
        with serving(lambda _, status=status: (status, said)) as server:
            scorer = HTTPRerank(server.url, dialect="jina", model="m\x1b[31m", circuit=None)
            with pytest.raises(Exception, match="red") as caught:
                asyncio.run(scorer.ascore([("q", "t")]))
            assert not unfit(str(caught.value))
            assert "owned" not in str(caught.value)
