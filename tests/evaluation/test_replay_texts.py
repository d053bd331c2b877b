"""Where two sources hold different texts for one id, replay is exact or refused."""

from dataclasses import replace

import pytest
import recorded

from runoff import TwoStage
from runoff.errors import InvalidArgument
from runoff.evaluation import Recording, record, replay, tune
from runoff.grouping import Grouping
from runoff.pipeline._identity import other_texts
from runoff.recall import BM25


def _live(**options):
    """Return a system whose second source holds every document under another text."""
    given = recorded.documents()
    others = [replace(one, text=f"{one.text} told otherwise") for one in given]
    sources = {"bm25": BM25(given), "noise": recorded.Noise(others)}
    return TwoStage(sources, reranker=recorded.Hashed(), **{"depth": 15, "window": 10} | options)


@pytest.mark.parametrize("stored", [False, True])
def test_replay_is_exact_or_refused(stored, tmp_path):
    """For every depth and window, ids are those of a live search or the setting is refused."""
    texts = recorded.questions(12).queries
    path = tmp_path / "recording" if stored else None
    made = record(_live(), texts, 30, path=path, progress=False)
    if stored:
        pytest.importorskip("pyarrow")
        made = Recording.open(path)
    exact = refused = 0
    for depth in (3, 8, 15, 30):
        for window in (2, 5, 10):
            live = replace(_live(), depth=depth, window=window)
            for query_id, text in texts.items():
                one = Recording(made.setup, _Only(made[query_id]))
                try:
                    found = list(replay(one, depth=depth, window=window)[query_id])
                except InvalidArgument as error:
                    assert "than that of 'noise', which these settings use" in str(error)  # noqa: PT017
                    refused += 1
                    continue
                exact += 1
                assert found == [result.doc_id for result in live.search(text)]
    assert exact > 20
    assert refused > 20


class _Only:
    """One recorded query, as a recording's store."""

    def __init__(self, query):
        self.query = query
        self.query_ids, self.degraded, self.pairs = [query.query_id], [], len(query)

    def __iter__(self):
        return iter([self.query])

    def __len__(self):
        return 1

    def __getitem__(self, query_id):
        return self.query


def test_the_recorded_depth_and_the_first_stage_are_never_refused():
    """At the recorded depth every text is the recorded one, and without a second stage none is."""
    texts = recorded.questions(6).queries
    made = record(_live(depth=30), texts, 30, progress=False)
    for query_id, text in texts.items():
        live = [result.doc_id for result in _live(depth=30).search(text)]
        assert list(replay(made)[query_id]) == live
    replay(made, depth=5, reranker=None)
    with pytest.raises(InvalidArgument, match="give all sources the same text"):
        replay(made, depth=5)


def test_grouping_by_text_is_refused_too():
    """Duplicates are found by the texts that are read."""
    texts = recorded.questions(6).queries
    live = _live(group=Grouping(duplicates=0.9), depth=30)
    made = record(replace(live, reranker=None), texts, 30, progress=False)
    replay(made, group=None, depth=5)
    with pytest.raises(InvalidArgument, match="give all sources the same text"):
        replay(made, depth=5)


def test_settings_that_are_refused_are_left_out_of_tuning():
    """`tune` says how many settings it could not replay."""
    from runoff.evaluation import Collection

    texts = recorded.questions(12).queries
    judged = Collection(texts, {one: {f"d{at:02}": 1, "d30": 0} for at, one in enumerate(texts)})
    made = record(_live(depth=30), texts, 30, progress=False)
    found = tune(made, judged, grid={"depth": [5, 30]})
    assert found.tried == 1
    assert "1 setting was left out" in found.notes[0]


def test_notes_name_documents_and_sources():
    """Other notes, other sources, and names that contain each other are told apart."""
    notes = (
        "b and a have different texts for 'd1': the text of a is used",
        'bb and a have different texts for "it\'s": the text of a is used',
        "b lists 'd1' twice: its better rank counts",
    )
    ids = ["d0", "d1", "it's"]
    assert other_texts(notes, ["a", "b", "bb"], ids) == {1: {"b"}, 2: {"bb"}}
    assert other_texts(notes, ["a"], ids) == {}
