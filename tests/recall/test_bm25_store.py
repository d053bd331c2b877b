"""Saving, loading and refreshing."""

import json
import shutil
from datetime import datetime, timedelta, timezone
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_directory import generation_count, memory, point, pointer

from runoff import Document, Query
from runoff.errors import IndexNotFound, InvalidArgument
from runoff.filters import Eq, Range
from runoff.recall import BM25
from runoff.recall._bm25.stored import _timed

PLANETS = [
    Document("mars", "Mars is a cold red planet", {"moons": 2, "names": ["Phobos", "Deimos"]}),
    Document("saturn", "Saturn is a planet with rings 土星", {"rings": {"of": "ice", "n": 7.5}}),
    Document("\ud800", "a lone \udfff surrogate\0 and NUL", {"odd": "\ud801", "none": None}),
    Document.without_id("a text without an id", {"b": True}),
    Document("picture", "", {"width": 3}, image=True),
]
ASKED = tuple(Query(text) for text in ("red planet", "土", "rings without a surrogate", "x"))


def answers(index):
    return [index.retrieve(one, depth=10) for one in ASKED]


def split(text):
    return text.split()


def shout(text):
    return text.upper().split()


@pytest.fixture
def tmp_path():
    with memory() as path:
        yield path


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "index"
    BM25(PLANETS).save(path)
    return path


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("verify", [True, False])
def test_what_was_saved_comes_back(saved, mmap, verify):
    """A loaded index has the same documents, scores and configuration, mapped or in memory."""
    index, again = BM25(PLANETS), BM25.load(saved, mmap=mmap, verify=verify)
    assert answers(again) == answers(index)
    assert [*again.documents()] == [*index.documents()]
    assert repr(again) == repr(index)
    assert again.get("mars").metadata == PLANETS[0].metadata
    assert not again.get(PLANETS[3].doc_id).own_id
    assert again.get("picture").image
    assert again.get("nobody") is None
    assert [one.doc_id for one in again.documents()[1:3]] == ["picture", "saturn"]


@pytest.mark.parametrize(
    "options",
    [
        {"analyzer": "german", "k1": 0.9, "b": 0.4},
        {"analyzer": "cjk", "method": "bm25+", "delta": 1.5},
        {"method": "robertson"},
        {"engine": "rank-bm25", "k1": 1.5},
    ],
)
def test_configuration_comes_back(tmp_path, options):
    """Analyzer and parameters are saved: `load` needs none, and scores are the same."""
    index = BM25([*PLANETS, "Die Häuser am See"], **options)
    index.save(tmp_path)
    again = BM25.load(tmp_path)
    assert repr(again) == repr(index)
    asked = Query("das Haus mit planet 土星")
    assert again.retrieve(asked, depth=9) == index.retrieve(asked, depth=9) != []


def test_arrays_are_mapped(saved):
    """A mapped index reads its arrays from the file, and cannot write them."""

    def mapped(array):
        while array is not None and not isinstance(array, np.memmap):
            array = array.base
        return array is not None

    snapshot = BM25.load(saved)._current()
    assert mapped(snapshot.main.postings.rows)
    assert mapped(snapshot.scoring.scores)
    assert not snapshot.main.postings.rows.flags.writeable
    assert not mapped(BM25.load(saved, mmap=False)._current().main.postings.rows)


@given(
    texts=st.lists(st.text(max_size=20), max_size=8),
    metadata=st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
        max_size=3,
    ),
    mmap=st.booleans(),
)
def test_any_corpus_makes_the_round_trip(texts, metadata, mmap):
    """Any texts and JSON metadata come back as they were, and score the same."""
    index = BM25([Document(f"d{n}", text, metadata) for n, text in enumerate(texts)])
    with memory() as path:
        index.save(path)
        again = BM25.load(path, mmap=mmap)
        assert [*again.documents()] == [*index.documents()]
        for text in texts:
            if text.strip():
                found = again.retrieve(Query(text), depth=9)
                assert found == index.retrieve(Query(text), depth=9)


def test_empty_index_makes_the_round_trip(tmp_path):
    """An index without documents can be saved, loaded and added to."""
    BM25().save(tmp_path)
    again = BM25.load(tmp_path)
    assert len(again) == 0
    again.add(["some text"])
    assert again.retrieve(Query("text"), depth=1)


@pytest.mark.parametrize("mmap", [True, False])
def test_changes_after_loading(saved, mmap):
    """A loaded index can be changed, searched and saved again like any other."""
    again = BM25.load(saved, mmap=mmap)
    again.add([("venus", "Venus is a hot planet")])
    again.delete(["mars"])
    again.update([("saturn", "Saturn, the planet")])
    kept = [one for one in PLANETS if one.doc_id not in {"mars", "saturn"}]
    expected = BM25([*kept, ("venus", "Venus is a hot planet"), ("saturn", "Saturn, the planet")])
    assert answers(again) == answers(expected)
    again.save(saved)
    assert answers(BM25.load(saved)) == answers(expected)
    assert [*BM25.load(saved).documents()] == [*expected.documents()]


def test_values_that_json_tells_otherwise(tmp_path):
    """Tuples come back as lists, NumPy's numbers as Python's, other mappings as dictionaries."""
    metadata = {"t": (1, 2), "n": np.float32(0.5), "m": MappingProxyType({"a": np.int64(3)})}
    BM25([Document("a", "text", metadata)]).save(tmp_path)
    found = BM25.load(tmp_path).get("a").metadata
    assert found == {"t": [1, 2], "n": 0.5, "m": {"a": 3}}
    assert type(found["m"]["a"]) is int


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"when": {1, 2}}, r"\{1, 2\}.*'bad', key 'when'"),
        ({"deep": {"er": [object()]}}, "'bad', key 'deep.er'"),
        ({"raw": b"bytes"}, "'bad', key 'raw'"),
        ({3: "three"}, "metadata=3.*'bad'"),
        ({"deep": {3: "three"}}, "metadata=3.*'bad', key 'deep'"),
    ],
)
def test_metadata_that_cannot_be_saved(tmp_path, metadata, named):
    """Metadata that JSON cannot tell is refused by document and key, and the old index stands."""
    BM25(["old"]).save(tmp_path)
    with pytest.raises(InvalidArgument, match=named):
        BM25([Document("bad", "text", metadata)]).save(tmp_path)
    assert BM25.load(tmp_path).retrieve(Query("old"), depth=1)
    assert generation_count(tmp_path) == 1


def test_callable_analyzers_must_be_brought(tmp_path):
    """An index made with a callable names it, and loads with the same one only."""
    BM25(["Some Text"], analyzer=split).save(tmp_path)
    with pytest.raises(InvalidArgument, match=r"test_bm25_store:split.*analyzer="):
        BM25.load(tmp_path)
    with pytest.raises(InvalidArgument, match="different tokens"):
        BM25.load(tmp_path, analyzer=shout)
    with pytest.raises(InvalidArgument, match="different tokens"):
        BM25.load(tmp_path, analyzer="english")
    again = BM25.load(tmp_path, analyzer=split)
    assert again.retrieve(Query("Text"), depth=1)
    assert not again.retrieve(Query("text"), depth=1)


def test_named_analyzers_cannot_be_swapped(saved):
    """Another analyzer than the one an index was made with is refused; its own may be named."""
    with pytest.raises(InvalidArgument, match="made with 'english'"):
        BM25.load(saved, analyzer="german")
    assert BM25.load(saved, analyzer="english").retrieve(ASKED[0], depth=1)


def test_an_analyzer_that_has_changed_is_noticed(saved):
    """An index made by another version of an analyzer is refused, not searched wrongly."""
    facts = pointer(saved)["facts"] | {"analyzer_probe": "0" * 64}
    point(saved, facts=facts)
    with pytest.raises(InvalidArgument, match="a different function or version of PyStemmer"):
        BM25.load(saved)


def test_refresh_takes_what_others_saved(saved):
    """`refresh` takes over what was saved since, once, and says whether there was anything."""
    reader, writer = BM25.load(saved), BM25.load(saved)
    assert not reader.refresh()
    writer.add([("venus", "Venus is a hot planet")])
    writer.save(saved)
    assert "venus" not in reader
    assert reader.refresh()
    assert "venus" in reader
    assert answers(reader) == answers(writer)
    assert not reader.refresh()
    assert not writer.refresh()


def test_refresh_loses_nothing(saved):
    """`refresh` refuses while there are unsaved changes, and where nothing was ever saved."""
    reader = BM25.load(saved)
    reader.add([("mine", "my own text")])
    BM25(PLANETS[:1]).save(saved)
    for _ in range(2):
        with pytest.raises(InvalidArgument, match="unsaved changes"):
            reader.refresh()
        assert "mine" in reader
        reader.warmup()
    with pytest.raises(InvalidArgument, match="no directory yet"):
        BM25(PLANETS).refresh()


def test_refresh_refuses_another_analyzer(saved):
    """An index made with another analyzer is not taken over silently."""
    reader = BM25.load(saved)
    BM25(PLANETS, analyzer="german").save(saved)
    with pytest.raises(InvalidArgument, match="german"):
        reader.refresh()
    shutil.rmtree(saved)
    with pytest.raises(IndexNotFound):
        reader.refresh()
    assert answers(reader) == answers(BM25(PLANETS))


def test_refresh_keeps_a_callable_analyzer(tmp_path):
    """An index with a callable analyzer refreshes without being told again."""
    BM25(["One"], analyzer=split).save(tmp_path)
    reader = BM25.load(tmp_path, analyzer=split)
    BM25(["One", "Two"], analyzer=split).save(tmp_path)
    assert reader.refresh()
    assert reader.retrieve(Query("Two"), depth=1)


def test_filters_work_on_mapped_documents(saved):
    """Filters read the metadata of documents that lie on the disk."""
    found = BM25.load(saved).retrieve(Query("planet", filters=Eq("names", "Phobos")), depth=9)
    assert [hit.doc_id for hit in found] == ["mars"]


def test_times_in_metadata_come_back(tmp_path):
    """Dates and datetimes are saved as what they are, nested and with their offset."""
    noon = datetime(2026, 11, 29, 12, tzinfo=timezone(timedelta(hours=1)))
    metadata = {"at": noon, "day": noon.date(), "all": [{"naive": datetime(2026, 1, 2, 3)}]}  # noqa: DTZ001 - as users have it
    BM25([Document("a", "alpha", metadata), Document("b", "alpha", {"at": "2027-01-01"})]).save(
        tmp_path / "times"
    )
    index = BM25.load(tmp_path / "times")
    assert index.get("a").metadata == metadata
    assert index.get("a").metadata["at"].utcoffset() == timedelta(hours=1)

    def kept(condition):
        found = index.retrieve(Query("alpha", filters=condition), depth=5)
        return [hit.doc_id for hit in found]

    assert kept(Range("at", lt="2026-12-01")) == ["a"]
    assert kept(Range("at", gte=noon)) == ["a", "b"]
    assert kept(Eq("day", noon.date())) == ["a"]


@pytest.mark.parametrize("name", ["$runoff.date", "$runoff.datetime"])
def test_the_name_of_a_saved_time_is_refused_as_a_key(name, tmp_path):
    """Metadata that would come back as a time is refused by name."""
    with pytest.raises(InvalidArgument, match="reserved for saved times"):
        BM25([Document("a", "alpha", {"x": {name: "2026-01-01"}})]).save(tmp_path / "times")


@pytest.mark.parametrize("stored", ['{"$runoff.date": "soon"}', '{"$runoff.datetime": 5}'])
def test_a_damaged_time_is_named(stored):
    """A time that cannot be read is damage of that document."""
    with pytest.raises(ValueError, match=r"soon|not a text"):
        json.loads(stored, object_hook=_timed)
