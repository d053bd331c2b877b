"""A recording of a collection answers with the collection's own judgments."""

import copy
import pickle

import pytest
import recorded

from runoff.errors import InvalidArgument
from runoff.evaluation import Collection, Recording, record
from runoff.report import Advice

pytest.importorskip("ir_measures")


@pytest.fixture(scope="module")
def collection():
    queries = recorded.questions(12).queries
    return Collection(
        queries, {one: {f"d{at}": int(at % 5 == 0) for at in range(60)} for one in queries}
    )


@pytest.fixture(scope="module")
def recording(collection):
    return record(recorded.pipeline(), collection, 40, progress=False)


ASK = {
    "verdict": lambda one, *judged: one.verdict(*judged).main,
    "losses": lambda one, *judged: one.losses(*judged).moves,
    "curve": lambda one, *judged: one.curve(*judged).points,
}


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
def test_the_judgments_recorded_are_the_default(recording, collection, ask):
    """Given no collection, it answers for the one recorded; a given one counts instead."""
    assert repr(ask(recording)) == repr(ask(recording, collection))
    assert repr(ask(pickle.loads(pickle.dumps(recording)))) == repr(ask(recording))
    some = list(collection.queries)[:9]
    fewer = Collection(
        collection.queries, {one: {f"d{at}": int(at % 7 == 0) for at in range(60)} for one in some}
    )
    assert repr(ask(recording, fewer)) != repr(ask(recording))


def test_the_report_has_the_judgments_recorded(recording, collection, tmp_path):
    """`report(path)` after a recording of a collection says where quality is lost."""
    assert isinstance(recording.report(tmp_path / "a.html"), Advice)
    assert "Where quality is lost" in (tmp_path / "a.html").read_text("utf-8")
    bare = record(recorded.pipeline(), collection.queries, 40, progress=False)
    assert not isinstance(bare.report(tmp_path / "b.html"), Advice)


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
def test_without_judgments_the_error_says_what_to_pass(collection, tmp_path, ask):
    """A recording of questions, or one that was opened, needs the collection."""
    pytest.importorskip("pyarrow")
    record(recorded.pipeline(), collection, 40, path=tmp_path / "r", progress=False)
    bare = record(recorded.pipeline(), collection.queries, 40, progress=False)
    for one in (Recording.open(tmp_path / "r"), copy.copy(bare)):
        with pytest.raises(InvalidArgument, match="collection=None: must have judgments"):
            ask(one)
