"""A directory of observations: shards of several writers, merged, deleted, forgotten, damaged."""

import os
import threading
import time
from dataclasses import replace

import pytest

pytest.importorskip("pyarrow")

from observed import observation
from traffic import stream

from runoff._util.text import text_key
from runoff.errors import (
    InvalidArgument,
    RecordingDamaged,
    RecordingNotFound,
    RecordingTooNew,
)
from runoff.live import Observations
from runoff.live import _store as stores
from runoff.live._observation import Shadow
from runoff.live._store import Store
from runoff.live._table import Counts
from runoff.scores import ModelIdentity, Usage

DAY = 86_400.0


def test_what_is_written_is_read(tmp_path):
    """Every field survives, NaN and absent values included."""
    shadow = Shadow(
        "s", ModelIdentity("m", "r", "p"), (2, 1), (0.5, 1.5), complete=False, usage=Usage(cost=2.0)
    )
    given = [
        observation("q1", texts=("one", "two"), query="q1", slices={"language": "de"}),
        observation("q2", shadow=shadow),
    ]
    Store(tmp_path / "kept").write(given)
    assert list(map(repr, Observations(tmp_path / "kept"))) == list(map(repr, given))


def test_a_shard_is_made_in_short_steps(tmp_path):
    """A thread that answers a query never waits for the columns of more than two observations."""
    steps, since = [], [0.0]

    def rest():
        steps.append(time.thread_time() - since[0])
        since[0] = time.thread_time()

    many = stream(64, better=0, documents=100)
    since[0] = time.thread_time()
    Store(tmp_path / "kept").write(many, rest=rest)
    assert len(steps) == 32
    assert sorted(steps)[len(steps) // 2] < 0.002
    assert [one.query_hash for one in Observations(tmp_path / "kept")] == [
        one.query_hash for one in many
    ]


def test_since_leaves_out_the_older(tmp_path):
    """`since` is a bound on the time of the answer."""
    Store(tmp_path / "kept").write([observation("old", time=10.0), observation("new", time=20.0)])
    (one,) = Observations(tmp_path / "kept", since=15.0)
    assert one.query_hash == text_key("new")


def filled(path, many, writer="0" * 20, monkeypatch=None):
    store = Store(path)
    for number in range(1, many + 1):
        store.write(
            [observation(f"q{number}")], Counts(seen=10, dropped=1), writer=writer, number=number
        )
    return store


def test_small_shards_are_merged(tmp_path):
    """Merging keeps every observation, their order and the sums of the counts."""
    store = filled(tmp_path / "kept", 40)
    before = [one.id for one in store.each()]
    store.merge()
    assert [one.id for one in store.each()] == before
    ((_, counts),) = store.counts()
    assert (counts.seen, counts.kept, counts.dropped) == (400, 40, 40)


def test_an_interrupted_merge_loses_and_doubles_nothing(tmp_path, monkeypatch):
    """A process that dies between the merged shard and the small ones leaves each row once."""
    store = filled(tmp_path / "kept", 32)
    before = [one.id for one in store.each()]
    with monkeypatch.context() as patched:
        patched.setattr(type(tmp_path), "unlink", lambda self, missing_ok=False: None)
        store.merge()
    assert len(list((tmp_path / "kept").glob("*.parquet"))) == 33
    assert [one.id for one in store.each()] == before
    store.merge()
    assert len(list((tmp_path / "kept").glob("*.parquet"))) == 1
    assert [one.id for one in store.each()] == before


def test_a_reader_sees_each_row_once_while_shards_are_merged(tmp_path):
    """A merge in the middle of an iteration neither repeats nor skips a row."""
    store = filled(tmp_path / "kept", 32)
    expected = [one.id for one in store.each()]
    reading = iter(Observations(tmp_path / "kept"))
    first = [next(reading).id for _ in range(5)]
    store.merge()
    assert first + [one.id for one in reading] == expected


@pytest.mark.parametrize("read", [0, 1, 5])
def test_the_observations_of_some_time_are_read_once_while_shards_are_merged(tmp_path, read):
    """Also where the merge begins before the first of them is read, or in the middle."""
    store = Store(tmp_path / "kept")
    for number in range(1, 33):
        two = [observation("q", time=number + part) for part in (0.0, 0.5)]
        store.write(two, writer="0" * 20, number=number)
    reading = store.between(10.5, 20.0, store.counts())
    found = [next(reading).time for _ in range(read)]
    store.merge()
    assert len(store.shards()) == 1
    found += [one.time for one in reading]
    assert found == [at / 2 for at in range(21, 41)]


def test_a_reader_goes_on_while_queries_are_forgotten(tmp_path):
    """What was read is merged and forgotten in the middle of an iteration, and it ends."""
    store = filled(tmp_path / "kept", 32)
    reading = iter(Observations(tmp_path / "kept"))
    for _ in range(5):
        next(reading)
    store.merge()
    for number in range(1, 32):
        assert store.forget("query", text_key(f"q{number}")) == 1
    assert len(list(reading)) <= 1


def test_merging_leaves_the_shards_of_others(tmp_path):
    """Shards of two writers are never merged with each other."""
    store = filled(tmp_path / "kept", 32)
    filled(tmp_path / "kept", 3, writer="1" * 20)
    store.merge()
    assert [(one.writer[0], one.first, one.last) for one in store.shards()] == [
        ("0", 1, 32),
        ("1", 1, 1),
        ("1", 2, 2),
        ("1", 3, 3),
    ]


class TestRetention:
    def test_by_age(self, tmp_path):
        """Shards whose youngest observation is too old are deleted."""
        store = Store(tmp_path / "kept")
        now = time.time()
        store.write([observation("old", time=now - 3 * DAY)])
        store.write([observation("old", time=now - 3 * DAY), observation("new", time=now)])
        store.retain(2.0, None)
        assert len(list(store.each())) == 2

    def test_by_size(self, tmp_path):
        """The oldest shards go first until the rest fits."""
        store = Store(tmp_path / "kept")
        paths = [store.write([observation(f"q{at}", time=1000.0 + at)]) for at in range(4)]
        store.retain(None, 2.5 * paths[0].stat().st_size / 1e6)
        assert [path.exists() for path in paths] == [False, False, True, True]

    def test_what_is_not_ours_stays(self, tmp_path):
        """A file of that name that holds something else is not deleted, whatever its age."""
        store = Store(tmp_path / "kept")
        mine = store.write([observation("q")])
        foreign = mine.with_name(mine.name.replace("00000001", "00000007"))
        foreign.write_text("my diary")
        os.utime(foreign, (1.0, 1.0))
        store.retain(1.0, None)
        assert foreign.exists()

    def test_half_written_files_go_after_an_hour(self, tmp_path):
        """What a killed process left is deleted once it is nobody's."""
        store = Store(tmp_path / "kept")
        mine = store.write([observation("q")])
        old, young = (
            mine.with_name(f".obs-{'a' * 20}-0000000{at}-00000001.partial") for at in "12"
        )
        for one in (old, young):
            one.write_bytes(b"half")
        os.utime(old, (1.0, 1.0))
        store.retain(None, None)
        assert (old.exists(), young.exists()) == (False, True)


class TestForget:
    def test_a_query(self, tmp_path):
        """All observations of a query go, in every shard; later ones are kept."""
        store = filled(tmp_path / "kept", 3)
        store.write([observation("q1"), observation("q9")])
        seen = Observations(tmp_path / "kept")
        assert seen.forget(query="q1") == 2
        assert text_key("q1") not in {one.query_hash for one in seen}
        assert len(list(seen)) == 3
        store.write([observation("q1", time=time.time() + 1)])
        assert len(list(seen)) == 4

    def test_a_document(self, tmp_path):
        """A document's id, text and hash become empty; ranks and scores stay."""
        Store(tmp_path / "kept").write([observation("q1", texts=("one", "two"))])
        seen = Observations(tmp_path / "kept")
        assert seen.forget(doc_id="a") == 1
        (one,) = seen
        assert (one.doc_ids, one.texts, one.ranks) == (("", "b"), ("", "two"), (2, 1))
        assert one.text_hashes[0] == ""
        assert not any(b'"a"' in path.read_bytes() for path in seen.path.glob("*.json"))

    def test_a_query_is_not_a_document(self, tmp_path):
        """Forgetting a query leaves a document whose id is the same text, and the reverse."""
        Store(tmp_path / "kept").write([observation("a")])
        seen = Observations(tmp_path / "kept")
        assert seen.forget(doc_id="b") == 1
        assert seen.forget(query="b") == 0
        assert seen.forget(doc_id="a") == 1
        assert [one.query_hash for one in seen] == [text_key("a")]

    def test_a_damaged_list_is_named(self, tmp_path):
        """A list of what was forgotten that holds something else is refused by name."""
        store = Store(tmp_path / "kept")
        store.write([observation("a")])
        for wrong in ("{", "[1]", '[["query", 1, 2]]', '[["word", "k", 2.0]]'):
            (tmp_path / "kept" / "forgotten.json").write_text(wrong)
            with pytest.raises(RecordingDamaged, match=r"forgotten\.json cannot be read"):
                Store(tmp_path / "kept").write([observation("a")])

    def test_what_a_writer_still_holds(self, tmp_path):
        """Observations made before, and written after, are left out."""
        store = Store(tmp_path / "kept")
        store.write([observation("q2")])
        held = [observation("q1"), observation("q2")]
        Observations(tmp_path / "kept").forget(query="q1")
        store.write(held)
        assert {one.query_hash for one in store.each()} == {text_key("q2")}

    def test_a_write_under_way(self, tmp_path, monkeypatch):
        """A shard that is published while its query is forgotten loses it at once."""
        store, other = Store(tmp_path / "kept"), Observations
        store.write([observation("q2")])
        put = stores.Store._put

        def late(self, shard, table, counts):
            monkeypatch.undo()
            other(tmp_path / "kept").forget(query="q1")
            put(self, shard, table, counts)

        monkeypatch.setattr(stores.Store, "_put", late)
        store.write([observation("q1")])
        assert {one.query_hash for one in store.each()} == {text_key("q2")}

    def test_one_of_both_is_needed(self, tmp_path):
        """A query or a document, and not both."""
        seen = filled(tmp_path / "kept", 1) and Observations(tmp_path / "kept")
        for wrong in ({}, {"query": "q", "doc_id": "d"}, {"query": 3}):
            with pytest.raises(InvalidArgument):
                seen.forget(**wrong)


class TestDamage:
    def test_no_byte_can_change_unnoticed(self, tmp_path):
        """A shard with any byte changed, or cut anywhere, is refused by name."""
        path = Store(tmp_path / "kept").write([observation("q1"), observation("q2")])
        whole = path.read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 60)):
            for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
                path.write_bytes(damaged)
                with pytest.raises(RecordingDamaged, match="cannot be read"):
                    list(Observations(tmp_path / "kept"))

    def test_rows_that_cannot_be(self, tmp_path):
        """A shard with a valid checksum and impossible rows is refused."""
        one = observation("q1")
        path = Store(tmp_path / "kept").write([replace(one, ranks=(1,))])
        with pytest.raises(RecordingDamaged, match="different lengths"):
            list(Observations(tmp_path / "kept"))
        path.unlink()
        Store(tmp_path / "kept").write([replace(one, fates=("returned", "vanished"))])
        with pytest.raises(RecordingDamaged, match="vanished"):
            list(Observations(tmp_path / "kept"))

    def test_a_newer_version_is_named(self, tmp_path, monkeypatch):
        """What a newer runoff wrote is refused as such."""
        from runoff.live import _table as tables

        monkeypatch.setattr(tables, "VERSION", 2)
        Store(tmp_path / "kept").write([observation("q1")])
        monkeypatch.undo()
        with pytest.raises(RecordingTooNew, match="newer runoff"):
            list(Observations(tmp_path / "kept"))

    def test_no_directory(self, tmp_path):
        """A directory that was never watched is named."""
        with pytest.raises(RecordingNotFound, match="has no observations"):
            Observations(tmp_path)


def test_a_process_that_holds_the_lock_stops_no_writer(tmp_path):
    """Adding a shard needs no lock; merging and deleting wait for another time."""
    store = filled(tmp_path / "kept", 40)
    with store._locked(wait=True) as mine:
        assert mine
        other = threading.Thread(target=filled, args=(tmp_path / "kept", 1, "1" * 20))
        other.start()
        other.join(20)
        assert not other.is_alive()
        Store(tmp_path / "kept").merge()
    assert len(store.shards()) == 41


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ('{"format": "runoff-observations", "version": 99}', RecordingTooNew),
        ('{"format": "another program", "version": 1}', RecordingDamaged),
        ('{"format": "runoff-observations"}', RecordingDamaged),
        ('{"version": 1}', RecordingDamaged),
        ("[]", RecordingDamaged),
        ("", RecordingDamaged),
    ],
)
def test_a_directory_of_another_format_is_neither_read_nor_written(tmp_path, said, error):
    """A later version's directory, or another program's, is named and stays as it was."""
    kept = Store(tmp_path / "kept")
    kept.write([observation("q1")])
    (tmp_path / "kept" / "observations.json").write_text(said)
    before = sorted((one.name, one.stat().st_size) for one in (tmp_path / "kept").iterdir())
    with pytest.raises(error, match=r"observations|format"):
        list(Observations(tmp_path / "kept"))
    with pytest.raises(error):
        kept.check_own()
    with pytest.raises(error):
        kept.write([observation("q2")])
    after = sorted((one.name, one.stat().st_size) for one in (tmp_path / "kept").iterdir())
    assert after == before


def test_no_planted_link_is_written_through(tmp_path):
    """A link at the name that a file has before it is whole is replaced, not followed."""
    outside = tmp_path / "outside"
    outside.write_text("mine")
    folder = tmp_path / "observations"
    folder.mkdir()
    (folder / f".manifest-{os.getpid()}.partial").symlink_to(outside)
    Store(folder).write([observation("q1")])
    assert outside.read_text() == "mine"
    assert len(list(Observations(folder))) == 1
