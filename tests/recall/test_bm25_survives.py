"""An index directory survives damage, kills, full disks and other writers."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from index_directory import generation_count, memory, point, pointer

from runoff import Document, Query
from runoff.errors import IndexDamaged, IndexNotFound, IndexTooNew, InvalidArgument
from runoff.recall import BM25

SCRIPT = Path(__file__).with_name("save_until_killed.py")
PLANETS = [
    Document("mars", "Mars is a cold red planet", {"moons": 2}),
    Document("saturn", "Saturn is a planet with rings 土星"),
]
ASKED = tuple(Query(text) for text in ("red planet", "土"))


def answers(index):
    return [index.retrieve(one, depth=10) for one in ASKED]


def folder(path):
    return path / "generations" / pointer(path)["generation"]


@pytest.fixture
def tmp_path():
    with memory() as path:
        yield path


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "index"
    BM25(PLANETS).save(path)
    return path


def test_nothing_is_pickled(saved):
    """An index is JSON and plain numbers, and an array of Python objects is not read."""
    for file in folder(saved).iterdir():
        assert file.suffix in {".json", ".bin"}
    files = pointer(saved)["files"]
    files["rows.bin"]["dtype"] = "|O"
    point(saved, files=files)
    with pytest.raises(IndexDamaged, match=r"rows\.bin is not an array"):
        BM25.load(saved)


def test_no_index(tmp_path):
    """No path, a file, an empty directory and a first save that was killed are no damage."""
    (tmp_path / "killed" / "generations" / ("01" * 16)).mkdir(parents=True)
    (tmp_path / "killed" / ".lock").touch()
    (tmp_path / "empty").mkdir()
    for name in ("nowhere", "empty", "killed", __file__):
        path = tmp_path / name
        with pytest.raises(IndexNotFound, match="check the path"):
            BM25.load(path)
    BM25(PLANETS).save(tmp_path / "killed")
    assert generation_count(tmp_path / "killed") == 1


def test_a_linked_folder_of_generations_is_refused(tmp_path):
    """Where `generations` is a link to another folder, nothing in that folder is deleted."""
    index, precious = tmp_path / "index", tmp_path / "precious"
    BM25(PLANETS).save(index)
    (index / "generations").rename(precious)
    (precious / "thesis").mkdir()
    (precious / "thesis" / "chapter.txt").write_text("years of work")
    (index / "generations").symlink_to(precious)
    before = sorted(precious.rglob("*"))
    with pytest.raises(InvalidArgument, match="symbolic link named 'generations'"):
        BM25(PLANETS).save(index)
    assert sorted(precious.rglob("*")) == before


def test_saving_removes_nothing_but_generations(tmp_path):
    """What lies among the generations and is none of them stays: other names, links, folders."""
    BM25(PLANETS).save(tmp_path / "index")
    others = tmp_path / "index" / "generations"
    (others / "thesis").mkdir()
    (others / "thesis" / "chapter.txt").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "chapter.txt").touch()
    (others / ("ab" * 16)).symlink_to(tmp_path / "elsewhere")
    (others / ("cd" * 16) / "folder").mkdir(parents=True)
    (others / ("ef" * 16)).mkdir()
    (others / ("ef" * 16) / "half-written").touch()
    BM25(PLANETS).save(tmp_path / "index")
    assert (others / "thesis" / "chapter.txt").exists()
    assert (tmp_path / "elsewhere" / "chapter.txt").exists()
    assert (others / ("ab" * 16)).is_symlink()
    assert (others / ("cd" * 16) / "folder").is_dir()
    assert not (others / ("ef" * 16)).exists()
    assert generation_count(tmp_path / "index") == 4


def test_foreign_directories(tmp_path):
    """A directory with other files is named as foreign, and nothing is saved into it."""
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(IndexDamaged, match="other files but no runoff index"):
        BM25.load(tmp_path)
    with pytest.raises(InvalidArgument, match="an empty directory"):
        BM25(PLANETS).save(tmp_path)
    with pytest.raises(InvalidArgument, match="is a file"):
        BM25(PLANETS).save(tmp_path / "thesis.txt")
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"runoff": "dense"}', b"\xff\xfe"])
def test_pointers_that_are_none(saved, content):
    """A pointer file that does not point to a BM25 index is damage."""
    (saved / "runoff.json").write_bytes(content)
    with pytest.raises(IndexDamaged, match=r"runoff\.json"):
        BM25.load(saved)


def test_newer_formats(saved):
    """An index of a newer format says which command helps."""
    point(saved, version=2)
    with pytest.raises(IndexTooNew, match="pip install --upgrade runoff"):
        BM25.load(saved)


def test_every_flipped_bit_is_noticed(saved):
    """A flipped bit anywhere in any file, the pointer included, is damage that names the file."""
    for file in (saved / "runoff.json", *folder(saved).iterdir()):
        whole = file.read_bytes()
        for place in {0, len(whole) // 2, len(whole) - 1} if whole else ():
            flipped = bytearray(whole)
            flipped[place] ^= 4
            file.write_bytes(flipped)
            with pytest.raises(IndexDamaged, match=file.name.replace(".", r"\.")):
                BM25.load(saved)
        file.write_bytes(whole)
    assert answers(BM25.load(saved)) == answers(BM25(PLANETS))


@pytest.mark.parametrize("verify", [True, False])
def test_missing_and_short_files(saved, verify):
    """A file that is missing, cut or longer is damage, checksums compared or not."""
    for file in folder(saved).iterdir():
        whole = file.read_bytes()
        file.write_bytes(whole + b"\0")
        with pytest.raises(IndexDamaged, match=f"{file.name}.*bytes"):
            BM25.load(saved, verify=verify)
        file.unlink()
        with pytest.raises(IndexDamaged, match=f"{file.name}.*missing"):
            BM25.load(saved, verify=verify)
        file.write_bytes(whole)


def test_files_that_do_not_belong_together(saved):
    """Files that are intact but contradict each other are damage."""
    files = pointer(saved)["files"]
    del files["lengths.bin"]
    point(saved, files=files)
    with pytest.raises(IndexDamaged, match=r"lengths\.bin is not listed"):
        BM25.load(saved)
    BM25(PLANETS).save(saved)
    for name, ids in (("ids.json", '["a"]'), ("terms.json", "[]")):
        BM25(PLANETS).save(saved)
        (folder(saved) / name).write_text(ids)
        files = pointer(saved)["files"]
        files[name]["bytes"] = len(ids)
        point(saved, files=files)
        with pytest.raises(IndexDamaged, match="do not belong together"):
            BM25.load(saved, verify=False)


def test_unreadable_documents_are_named(saved):
    """Without checksums, a damaged document is found when it is read, and named."""
    texts = folder(saved) / "texts.bin"
    texts.write_bytes(b"\xff" * texts.stat().st_size)
    index = BM25.load(saved, verify=False)
    with pytest.raises(IndexDamaged, match="document 'mars'"):
        index.retrieve(Query("mars"), depth=1)


def test_saving_over_damage_repairs(saved):
    """Saving over a damaged index repairs it."""
    (saved / "runoff.json").write_bytes(b"{")
    BM25(PLANETS).save(saved)
    assert answers(BM25.load(saved)) == answers(BM25(PLANETS))
    assert generation_count(saved) == 1


def test_readers_keep_what_they_opened(saved):
    """A loaded index keeps answering when others save over its files."""
    reader = BM25.load(saved)
    for n in range(3):
        BM25([("new", f"new text {n}")]).save(saved)
    assert answers(reader) == answers(BM25(PLANETS))


def test_savers_and_loaders_at_once(tmp_path):
    """While several processes save, every load finds one of their indexes, complete."""
    indexes = [BM25([(f"{n}", f"word number{n}")]) for n in range(4)]
    indexes[0].save(tmp_path)
    done, failures = threading.Event(), []

    def load():
        while not done.is_set():
            try:
                (hit,) = BM25.load(tmp_path).retrieve(Query("word"), depth=9)
                assert hit.document.text == f"word number{hit.doc_id}"
            except Exception as error:  # noqa: BLE001 - whatever it is, the test reports it
                failures.append(error)

    def save(index):
        for _ in range(15):
            index.save(tmp_path)

    loaders = [threading.Thread(target=load) for _ in range(3)]
    savers = [threading.Thread(target=save, args=(one,)) for one in indexes]
    for one in (*loaders, *savers):
        one.start()
    for one in savers:
        one.join()
    done.set()
    for one in loaders:
        one.join()
    assert not failures
    assert generation_count(tmp_path) == 1


@pytest.mark.parametrize(
    "kills",
    [25, pytest.param(400, marks=pytest.mark.slow("15 s: 400 kills at random moments"))],
)
def test_a_killed_save_leaves_the_old_or_the_new(tmp_path, kills):
    """A process killed while it saves leaves the old index or the new one, every time.

    It is killed at random moments, and once each time something is forced to the disk.
    """
    command = [sys.executable, SCRIPT, tmp_path / "index", str(kills), "7"]
    ended = subprocess.run(command, check=True, capture_output=True, timeout=280)
    counts = json.loads(ended.stdout)
    assert counts["greek"] + counts["latin"] >= kills
    assert counts["greek"] > 0 < counts["latin"]
    assert counts["unfinished"] > kills / 20, "or no kill came during a save"
    assert counts["at_sync"] > 10


def test_a_full_disk_leaves_the_old_index(tmp_path):
    """When the disk is full, saving raises an OSError with the path, and the old index remains."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        path = disk / "index"
        BM25(PLANETS).save(path)
        large = BM25([(str(n), f"text{n} " * 50) for n in range(2000)])
        for _ in range(2):
            with pytest.raises(OSError, match=r"not saved.*No space left.*index"):
                large.save(path)
            assert answers(BM25.load(path)) == answers(BM25(PLANETS))
            assert generation_count(path) == 1
        BM25(["new"]).save(path)
        assert BM25.load(path).retrieve(Query("new"), depth=1)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_file_limit_leaves_the_old_index(tmp_path):
    """When a file size limit is too small, saving raises, and the old index remains."""
    BM25(PLANETS).save(tmp_path)
    code = (
        "import resource, sys\n"
        "from runoff.recall import BM25\n"
        "index = BM25([(str(n), f'text{n} ' * 50) for n in range(2000)])\n"
        "index.warmup()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try:\n"
        "    index.save(sys.argv[1])\n"
        "except OSError as error:\n"
        "    assert 'not saved' in str(error) and sys.argv[1] in str(error), error\n"
        "    sys.exit(7)\n"
    )
    told = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert told.returncode == 7
    assert answers(BM25.load(tmp_path)) == answers(BM25(PLANETS))
    assert generation_count(tmp_path) == 1


def test_a_directory_that_cannot_be_written(tmp_path):
    """Saving to a read-only directory raises an OSError with the path; loading still works."""
    path = tmp_path / "index"
    BM25(PLANETS).save(path)
    code = (
        "import os, sys\n"
        "from runoff.recall import BM25\n"
        "index = BM25(['text'])\n"
        "BM25.load(sys.argv[1]), index.save(sys.argv[2])  # loads every module\n"
        "if os.geteuid() == 0:\n"
        "    os.setuid(65534)\n"
        "assert len(BM25.load(sys.argv[1])) == 2\n"
        "for path in (sys.argv[1], sys.argv[1] + '-new'):\n"
        "    try:\n"
        "        index.save(path)\n"
        "    except PermissionError as error:\n"
        "        assert 'not saved' in str(error) and path in str(error), error\n"
        "    else:\n"
        "        sys.exit('saved')\n"
    )
    with memory() as other:
        for one in (path, tmp_path):
            one.chmod(0o555)
        try:
            command = [sys.executable, "-c", code, str(path), str(other)]
            subprocess.run(command, check=True)
        finally:
            for one in (path, tmp_path):
                one.chmod(0o755)
