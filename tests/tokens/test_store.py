"""A token store in memory and in a directory: what is put is there, bounded, and survives."""

import json
import logging
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from index_directory import memory, point, pointer

from runoff._tokens import held
from runoff._tokens.vectors import TokenVectors, quantised
from runoff.errors import IndexDamaged, IndexTooNew, InvalidArgument
from runoff.rerank import TokenStore

MODEL, OTHER = "a" * 64, "b" * 64
DIMS = 8
SCRIPT = Path(__file__).with_name("flush_until_killed.py")


def vectors(text, tokens=None):
    """Token vectors that follow from the text."""
    random = np.random.default_rng(list(text.encode()))
    count = tokens or 1 + len(text) % 5
    codes, scales = quantised(random.normal(size=(count, DIMS)).astype(np.float32))
    ids = random.integers(0, 50, count).astype(np.int32)
    return TokenVectors(codes, scales, ids, len(text) % 2 == 1)


def put(store, texts, model=MODEL):
    store.put(model, texts, [vectors(text) for text in texts])


def same(found, text):
    expected = vectors(text)
    return (
        np.array_equal(found.codes, expected.codes)
        and np.array_equal(found.scales, expected.scales)
        and np.array_equal(found.ids, expected.ids)
        and found.truncated == expected.truncated
    )


def holds(store, texts, model=MODEL):
    return [one is not None and same(one, text)
            for one, text in zip(store.get(model, texts), texts, strict=True)]  # fmt: skip


def opened_anew(path, **options):
    """A store that has read the directory again."""
    held._paths.clear()
    return TokenStore(path, **options)


def folder(path, model=MODEL):
    return path / model / "generations" / pointer(path / model)["generation"]


def counted(store, model=MODEL):
    return store.frequencies(model)


@pytest.fixture
def tmp_path():
    with memory() as path:
        yield path


@pytest.fixture(params=["memory", "directory"])
def store(request, tmp_path):
    return TokenStore(tmp_path / "tokens" if request.param == "directory" else None)


TEXTS = [f"text {number}" + "x" * (number % 7) for number in range(20)]


def test_what_is_put_is_there_by_text_and_model(store):
    """Vectors come back bit for bit, in the order asked; another text or model has none."""
    put(store, TEXTS)
    assert all(holds(store, TEXTS[::-1]))
    assert store.get(MODEL, ["another"]) == [None]
    assert store.get(OTHER, TEXTS[:1]) == [None]
    assert len(store) == 20
    put(store, TEXTS)
    assert len(store) == 20
    store.flush()
    assert all(holds(store, TEXTS))
    assert store.get(MODEL, []) == []


def test_deleted_texts_are_gone_and_can_come_back(store):
    """A deleted text is in no model; put again, it is there; unknown texts are not counted."""
    put(store, TEXTS)
    store.flush()
    put(store, TEXTS[:3], OTHER)
    assert store.delete([TEXTS[0], TEXTS[5], "unknown", TEXTS[0]]) == 2
    assert holds(store, [TEXTS[0], TEXTS[5], TEXTS[6]]) == [False, False, True]
    assert holds(store, [TEXTS[0], TEXTS[1]], OTHER) == [False, True]
    assert len(store) == 20
    put(store, [TEXTS[0]])
    store.flush()
    assert holds(store, [TEXTS[0]]) == [True]
    with pytest.raises(InvalidArgument, match="a list of texts"):
        store.delete("text 1")


def test_frequencies_count_documents(store):
    """Each token counts once for a document, through additions, deletions and writing."""

    def expected(texts):
        counts = np.zeros(50, np.int64)
        for text in texts:
            counts[np.unique(vectors(text).ids)] += 1
        return counts

    def check(texts):
        shelf = next(iter(store._held._shelves.values()))
        counts = getattr(shelf, "_counts", None) or shelf.counts
        assert counts.documents == len(texts)
        np.testing.assert_array_equal(
            np.resize(counts.counts, 50)[: len(counts.counts[:50])],
            expected(texts)[: len(counts.counts[:50])],
        )

    put(store, TEXTS[:10])
    check(TEXTS[:10])
    store.flush()
    check(TEXTS[:10])
    put(store, TEXTS[8:])
    check(TEXTS)
    store.delete(TEXTS[:4])
    check(TEXTS[4:])
    store.flush()
    check(TEXTS[4:])


def test_shown_frequencies_move_in_steps(store):
    """They stay while the collection grows by less than a quarter, so scores do not drift."""
    put(store, TEXTS[:10])
    first = counted(store)
    put(store, TEXTS[10:12])
    store.flush()
    assert counted(store).digest == first.digest
    put(store, TEXTS[12:])
    assert counted(store).documents == 20
    assert counted(store).digest != first.digest


def test_rare_tokens_weigh_more():
    """Weights are the root of log(1 + (N - df + .5) / (df + .5)), also for unseen ids."""
    store = TokenStore()
    put(store, TEXTS)
    found = counted(store)
    ids = np.array([*range(50), 10_000], np.int32)
    df = np.array([found.counts[one] if one < len(found.counts) else 0 for one in ids])
    expected = np.sqrt(np.log1p((20 - df + 0.5) / (df + 0.5)))
    np.testing.assert_allclose(found.weights(ids), expected, rtol=1e-6)
    assert (found.weights(ids) > 0).all()


def test_memory_is_bounded_by_least_recent_use(caplog):
    """Beyond `max_bytes` the documents used least recently are dropped, with one warning."""
    store = TokenStore(max_bytes=1_000_000)
    texts = [f"long {number}" for number in range(40)]
    with caplog.at_level(logging.WARNING, "runoff.rerank"):
        for text in texts:
            store.get(MODEL, texts[:1])  # in use all the time
            store.put(MODEL, [text], [vectors(text, 4000)])
    assert store.nbytes <= 1_000_000
    kept = [one is not None for one in store.get(MODEL, texts)]
    assert kept[0]
    assert kept[-1]
    assert not kept[1]
    assert len(store) == sum(kept)
    (record,) = caplog.records
    assert "max_bytes=1,000,000" in record.message


def test_a_directory_is_bounded(tmp_path, caplog):
    """Beyond `max_bytes` what was added first is dropped, with one warning."""
    store = TokenStore(tmp_path / "tokens", max_bytes=1_000_000)
    texts = [f"long {number}" for number in range(40)]
    with caplog.at_level(logging.WARNING, "runoff.rerank"):
        for text in texts:
            store.put(MODEL, [text], [vectors(text, 4000)])
            store.flush()
    assert store.nbytes <= 1_000_000
    kept = [one is not None for one in store.get(MODEL, texts)]
    assert kept == sorted(kept)
    assert sum(kept) == len(store) > 5
    assert len(caplog.records) == 1
    disk = sum(one.stat().st_size for one in folder(tmp_path / "tokens").iterdir())
    assert disk < 1_100_000


def test_a_directory_is_there_for_the_next_process(tmp_path):
    """What was flushed, or put before the interpreter exits, is read by another process."""
    path = tmp_path / "tokens"
    put(TokenStore(path), TEXTS[:5])
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        f"sys.path.insert(0, {str(Path(__file__).parent.parent / 'support')!r})\n"
        "import test_store as t\n"
        "from pathlib import Path\n"
        f"store = t.TokenStore({str(path)!r})\n"
        "assert not any(t.holds(store, t.TEXTS))\n"
        "t.put(store, t.TEXTS[5:])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    mine = TokenStore(path)
    assert holds(mine, TEXTS[:6]) == [True] * 5 + [False]
    assert mine.refresh()
    assert not mine.refresh()
    assert all(holds(mine, TEXTS))
    mine.flush()
    assert mine.get(MODEL, TEXTS)[7].codes.base is not None, "it is mapped, not read"
    assert all(holds(opened_anew(path), TEXTS))


def test_stores_of_one_path_are_one_in_a_process(tmp_path):
    """They hold the same vectors; copies and pickles of a directory do, those of memory do not."""
    one, other = TokenStore(tmp_path / "tokens"), TokenStore(str(tmp_path / "tokens"))
    put(one, TEXTS)
    assert one == other
    assert all(holds(other, TEXTS))
    assert all(holds(pickle.loads(pickle.dumps(one)), TEXTS))
    inside = TokenStore(max_bytes=2_000_000)
    put(inside, TEXTS)
    copied = pickle.loads(pickle.dumps(inside))
    assert copied == inside
    assert len(copied) == 0


def test_one_large_call_loses_nothing(tmp_path, caplog, monkeypatch):
    """More than may wait in memory is written while it is put, and nothing is dropped."""
    monkeypatch.setattr(held, "_PENDING", 20_000)
    monkeypatch.setattr(held, "_MOST_PENDING", 80_000)
    texts = [f"text {number}" for number in range(1500)]
    store = opened_anew(tmp_path / "tokens")
    put(store, texts)
    assert store.nbytes > 100_000
    assert all(holds(store, texts))
    assert not caplog.records


def test_small_flushes_become_few_files(tmp_path):
    """After many flushes there are about log(n) segments, and every text is still there."""
    store = TokenStore(tmp_path / "tokens")
    texts = [f"flush {number}" for number in range(40)]
    for text in texts:
        put(store, [text])
        store.flush()
    assert all(holds(store, texts))
    segments = [one for one in folder(tmp_path / "tokens").iterdir() if ".codes." in one.name]
    assert len(segments) <= 8


def test_nothing_of_a_deleted_text_stays_on_the_disk(tmp_path):
    """After `delete`, no file of the directory contains the text's vectors."""
    path = tmp_path / "tokens"
    store = TokenStore(path)
    store.put(MODEL, ["secret"], [vectors("secret", 30)])
    put(store, TEXTS)
    store.flush()
    needle = vectors("secret", 30).codes.tobytes()
    found = [one for one in path.rglob("*.bin") if needle in one.read_bytes()]
    assert found
    assert store.delete(["secret"]) == 1
    assert not [one for one in path.rglob("*.bin") if needle in one.read_bytes()]
    assert all(holds(store, TEXTS))


@pytest.mark.parametrize("place", ["end", "middle"])
def test_a_flipped_bit_is_noticed(tmp_path, place):
    """Damage in any file is an error that names it and says what to do."""
    path = tmp_path / "tokens"
    put(store := TokenStore(path), TEXTS)
    store.flush()
    del store
    for file in (path / MODEL / "runoff.json", *folder(path).iterdir()):
        whole = file.read_bytes()
        flipped = bytearray(whole)
        flipped[-1 if place == "end" else len(whole) // 2] ^= 4
        file.write_bytes(flipped)
        with pytest.raises(IndexDamaged, match=file.name.replace(".", r"\.")) as raised:
            opened_anew(path).get(MODEL, TEXTS)
        assert "encoded again" in str(raised.value)
        file.write_bytes(whole)
    assert all(holds(opened_anew(path), TEXTS))


def test_files_that_do_not_fit_are_damage(tmp_path):
    """Intact files that contradict each other are found without comparing checksums, too."""
    path = tmp_path / "tokens"
    put(store := TokenStore(path), TEXTS)
    store.flush()
    del store
    said = pointer(path / MODEL)
    for changes in (
        {"facts": said["facts"] | {"dims": 7}},
        {"facts": said["facts"] | {"documents": 3}},
        {"facts": said["facts"] | {"segments": None}},
        {"facts": said["facts"] | {"model": OTHER}},
        {"files": {}},
    ):
        point(path / MODEL, **changes)
        with pytest.raises(IndexDamaged):
            opened_anew(path, verify=False).get(MODEL, TEXTS)
        point(path / MODEL, **said)
    point(path / MODEL, version=2)
    with pytest.raises(IndexTooNew, match="upgrade"):
        opened_anew(path).get(MODEL, TEXTS)


def test_foreign_directories_are_refused(tmp_path):
    """Nothing is written into a directory with other content, nor into a file."""
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InvalidArgument, match=r"other files \(thesis\.txt\)"):
        put(TokenStore(tmp_path), TEXTS)
    with pytest.raises(InvalidArgument, match="is a file"):
        put(TokenStore(tmp_path / "thesis.txt"), TEXTS)
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "options",
    [{"max_bytes": 10}, {"max_bytes": True}, {"path": ""}, {"path": 3}, {"verify": 1}],
)
def test_wrong_arguments_are_named(options):
    """The error names the argument."""
    with pytest.raises(InvalidArgument, match=next(iter(options))):
        TokenStore(**options)


def test_a_full_disk_loses_nothing(tmp_path):
    """Where writing fails, `flush` says so, what was written stays, and the new is in memory."""
    path = tmp_path / "tokens"
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        f"sys.path.insert(0, {str(Path(__file__).parent.parent / 'support')!r})\n"
        "import os, resource, test_store as t\n"
        f"store = t.TokenStore({str(path)!r})\n"
        "t.put(store, t.TEXTS[:5]); store.flush()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "store.put(t.MODEL, ['big'], [t.vectors('big', 9000)])\n"
        "try:\n"
        "    store.flush()\n"
        "except OSError as error:\n"
        "    assert 'not saved' in str(error), error\n"
        "    assert store.get(t.MODEL, ['big'])[0] is not None\n"
        "    assert all(t.holds(store, t.TEXTS[:5]))\n"
        "    os._exit(7)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert ended.returncode == 7
    again = opened_anew(path)
    assert all(holds(again, TEXTS[:5]))
    assert len(again) == 5


def test_writers_at_once_lose_nothing(tmp_path):
    """Processes that flush at the same time all leave what they put."""
    path = tmp_path / "tokens"
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        f"sys.path.insert(0, {str(Path(__file__).parent.parent / 'support')!r})\n"
        "import test_store as t\n"
        f"store = t.TokenStore({str(path)!r})\n"
        "for text in t.TEXTS[int(sys.argv[1])::3]:\n"
        "    t.put(store, [text]); store.flush()\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(one)]) for one in range(3)]
    assert [one.wait(60) for one in running] == [0, 0, 0]
    store = opened_anew(path)
    assert all(holds(store, TEXTS))
    assert len(store) == 20
    assert len([*(path / MODEL / "generations").iterdir()]) == 1


def test_threads_share_a_store(store):
    """Threads that put, get, flush and delete at the same time see whole documents only."""
    failures = []

    def work(start):
        try:
            for turn in range(5):
                texts = [f"thread {start} {turn} {number}" for number in range(5)]
                put(store, texts)
                store.flush()
                assert all(holds(store, texts))
                store.delete(texts[:1])
                assert holds(store, texts[:2]) == [False, True]
        except Exception as error:  # noqa: BLE001 - whatever it is, the test reports it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not failures
    assert len(store) == 4 * 5 * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize(
    "kills", [15, pytest.param(300, marks=pytest.mark.slow("15 s: 300 kills at random moments"))]
)
def test_a_killed_process_leaves_a_whole_store(tmp_path, kills):
    """Processes killed while they flush leave a store that opens, with all that was flushed."""
    command = [sys.executable, SCRIPT, tmp_path / "tokens", str(kills), "7"]
    ended = subprocess.run(command, check=True, capture_output=True, timeout=280)
    said = json.loads(ended.stdout)
    assert said["right"] > kills
    assert said["unfinished"] > 0 or kills < 100, "or no kill came during a flush"


def test_a_segment_of_another_folder_is_damage(tmp_path):
    """A name that leads out of the folder is neither read nor linked into the next generation."""
    path = tmp_path / "tokens"
    put(store := TokenStore(path), TEXTS)
    store.flush()
    del store
    said = pointer(path / MODEL)
    [name] = said["facts"]["segments"]
    for file in [*folder(path).glob(f"{name}.*")]:
        file.rename(path / MODEL / file.name.replace(name, "outside"))
    away = "../../outside"
    files = {one.replace(name, away): about for one, about in said["files"].items()}
    point(path / MODEL, facts=said["facts"] | {"segments": [away]}, files=files)
    with pytest.raises(IndexDamaged, match="does not name its segments"):
        opened_anew(path).get(MODEL, TEXTS)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["pipe", "folder", "link to nothing", "link to itself", "zeros"])
def test_what_is_no_file_is_damage(tmp_path, kind):
    """Nothing waits for a pipe, reads a device, or follows a link that leads nowhere."""
    path = tmp_path / "tokens"
    put(store := TokenStore(path), TEXTS)
    store.flush()
    del store
    for file in (path / MODEL / "runoff.json", *folder(path).iterdir()):
        kept = file.rename(tmp_path / "kept")
        {
            "pipe": os.mkfifo,
            "folder": lambda at: at.mkdir(),
            "link to nothing": lambda at: at.symlink_to("nowhere"),
            "link to itself": lambda at: at.symlink_to(at.name),
            "zeros": lambda at: at.symlink_to("/dev/zero"),
        }[kind](file)
        if (kind, file.name) != ("link to nothing", "runoff.json"):  # that is an empty store
            with pytest.raises(IndexDamaged):
                opened_anew(path).get(MODEL, TEXTS)
        file.rmdir() if kind == "folder" else file.unlink()
        kept.rename(file)
    assert all(holds(opened_anew(path), TEXTS))
