"""`progress=` means the same everywhere, and shows a bar only where somebody sees it."""

import io
import sys
from types import SimpleNamespace

import pytest

from runoff._util.progress import bars, counted, counting, stepwise
from runoff.bulk import encode, rerank
from runoff.errors import InvalidArgument
from runoff.evaluation import record
from runoff.export import export_cross_encoder, export_late_interaction
from runoff.pipeline import TwoStage
from runoff.recall import BM25, Dense

TEXTS = ["tea", "wine", "bread"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal(monkeypatch):
    """Let standard error be a terminal; pytest takes it back between a fixture and its test."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    return sys.stderr


def embed(texts):
    return [[1.0, len(one)] for one in texts]


def work(progress):
    """Do every kind of work that is quick here, and return nothing."""
    bm25 = BM25(TEXTS, progress=progress)
    Dense(TEXTS, embed, progress=progress)
    record(TwoStage({"bm25": bm25}, reranker=None), ["tea", "wine"], 100, progress=progress)


def test_a_callable_gets_done_and_total():
    """Indexing, embedding and recording tell a callable the same two numbers."""
    heard = []
    work(lambda *told: heard.append(told))
    assert heard == [(1, 3), (2, 3), (3, 3), (3, 3), (1, 2), (2, 2)]


@pytest.mark.parametrize("progress", [True, False, None])
def test_where_nobody_looks_nothing_is_shown(progress, capfd):
    """Outside a terminal and a notebook, nothing is written to either stream."""
    work(progress)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("progress", [False, None])
def test_false_shows_nothing_in_a_terminal(progress, monkeypatch):
    """False is silent everywhere."""
    seen = terminal(monkeypatch)
    work(progress)
    assert seen.getvalue() == ""


def test_true_shows_a_bar_in_a_terminal(monkeypatch):
    """Rich names the work and counts it, on standard error alone."""
    pytest.importorskip("rich")
    seen = terminal(monkeypatch)
    work(progress=True)
    assert "recording" in seen.getvalue()
    assert "2/2" in seen.getvalue()


def test_without_rich_a_line_is_written_and_wiped_out(monkeypatch):
    """The line is overwritten in place, and the cursor ends where it began."""
    seen = terminal(monkeypatch)
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with counted(True, "embedding") as step:  # noqa: FBT003 - what is given
        step(1, 2000)
        step(2000, 2000)
    written = seen.getvalue()
    assert "\rembedding: 2,000 of 2,000" in written
    assert "\n" not in written
    assert written.endswith(" \r")


def test_a_notebook_gets_one_bar_for_each_step(monkeypatch):
    """A bar is displayed once and then updated, at most ten times a second."""
    ipython = pytest.importorskip("IPython")
    shown = []

    def display(bar, *, display_id):
        shown.append(bar)
        return SimpleNamespace(update=shown.append) if display_id else None

    monkeypatch.setattr(ipython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr("IPython.display.display", display)
    with bars() as show:
        for done in range(1, 101):
            show("<b>", done, 100)
    assert 2 <= len(shown) < 100
    assert repr(shown[-1]) == "<b>: 100 of 100"
    assert 'value="100" max="100"' in shown[-1]._repr_html_()
    assert "&lt;b&gt;" in shown[-1]._repr_html_()


def test_steps_are_counted_for_a_callable():
    """Steps with names are told as (done, total) too; the last call says that all are done."""
    heard = []
    with stepwise(lambda *told: heard.append(told), 2) as say:
        say("loading")
        say("tracing")
    assert heard == [(0, 2), (1, 2), (2, 2)]


def test_an_error_ends_the_bar_and_passes(monkeypatch):
    """Work that fails raises its own error, and the bar is gone."""
    seen = terminal(monkeypatch)
    with pytest.raises(ZeroDivisionError):
        list(counting(True, "dividing", (1 / one for one in (1, 0)), 2))  # noqa: FBT003 - as above
    assert "dividing" in seen.getvalue()


@pytest.mark.parametrize(
    "call",
    [
        lambda wrong: BM25(TEXTS, progress=wrong),
        lambda wrong: Dense(TEXTS, embed, progress=wrong),
        lambda wrong: record(TwoStage({"a": BM25(TEXTS)}), ["tea"], 100, progress=wrong),
        lambda wrong: rerank("in.parquet", "out", progress=wrong),
        lambda wrong: encode("in.parquet", "out", progress=wrong),
        lambda wrong: export_cross_encoder("in", "out", progress=wrong),
        lambda wrong: export_late_interaction("in", "out", progress=wrong),
    ],
)
def test_anything_else_is_refused_before_any_work(call):
    """A number is no progress, and the message says what is."""
    with pytest.raises(InvalidArgument, match=r"progress=3: must be True, False or a callable"):
        call(3)
