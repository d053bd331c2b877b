"""A recording whose files were damaged, or altered with a checksum computed again."""

import json
import shutil

import numpy as np
import pytest
from mutated_tables import mutated_table
from mutations import WRONG, mutated_bytes, mutated_json, tally, written
from recorded import Hashed, pipeline, questions

from runoff._util.generations.pointer import checksum
from runoff.errors import InvalidArgument, RecordingDamaged
from runoff.evaluation import Collection, Recording, record, replay
from runoff.fusion import Convex
from runoff.grouping import Grouping
from runoff.rerank import Cascade, Step

parquet = pytest.importorskip("pyarrow.parquet")
pa = pytest.importorskip("pyarrow")
shards = pytest.importorskip("runoff._recording.shards")

QUESTIONS = questions(3)
GRADES = {"d01": 1, "d09": 2, "d30": 0}


def judged(recording):
    """Judgments of the queries that are recorded."""
    return Collection(recording_queries(recording), dict.fromkeys(recording.query_ids, GRADES))


def recording_queries(recording):
    return {one.query_id: one.text for one in recording}


def everything(path):
    """All that a recording says, with every analysis of it."""
    recording = Recording.open(path)
    collection = judged(recording)
    told = [
        {**recording.setup.to_json()},
        [repr(one.fusion_score.tolist()) for one in recording],
        {one: [*ranking] for one, ranking in replay(recording).items()},
        str(recording.verdict(collection)),
        str(recording.losses(collection)),
        str(recording.health()),
        [one.values for one in recording.curve(collection).points],
        (len(recording), recording.pairs, recording.degraded),
        [(one.doc_ids, one.texts, one.stages, one.outcome, one.why) for one in recording],
    ]
    return repr(told)


@pytest.fixture(scope="module", params=["rrf", "cascade"])
def recorded(request, tmp_path_factory):
    """A recording, all that it says, and where to damage a copy."""
    folder = tmp_path_factory.mktemp("bytes")
    options = {"reranker": Hashed()}
    if request.param == "cascade":
        options = {
            "reranker": Cascade([Step(Hashed(3, "cheap"), keep=8), Hashed()]),
            "fusion": Convex({"bm25": 2, "noise": 1}),
            "group": Grouping("parent", duplicates=0.9),
        }
    system = pipeline(many=30, depth=10, window=8, **options)
    record(system, QUESTIONS, 10, path=folder / "kept", texts=True, progress=False)
    return folder / "kept", everything(folder / "kept"), folder / "damaged"


def rewrite(path, table):
    """Replace a shard with a table, its checksum computed again."""
    path.write_bytes(shards.encoded(table))


def mutate_bytes(path, source):
    file = source.choice([one for one in sorted(path.iterdir()) if one.name != "lock"])
    file.write_bytes(mutated_bytes(file.read_bytes(), source))


def mutate_manifest(path, source):
    said = mutated_json(json.loads((path / "manifest.json").read_text()), source)
    if isinstance(said, dict):
        said.pop("checksum", None)
        if source.random() < 0.9:
            said["checksum"] = checksum(said)
    (path / "manifest.json").write_text(written(said))


def mutate_column(path, source):
    shard = source.choice(sorted(path.glob("*.parquet")))
    rewrite(shard, mutated_table(parquet.read_table(shard, partitioning=None), source))


def attempt(recorded, mutate):
    """Damage a copy in one way, read it, and say what became of it."""
    original, right, path = recorded

    def one(source):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(original, path)
        mutate(path, source)
        found = everything(path)
        if found == right:
            return "right"
        assert mutate is not mutate_bytes, "damage changed what is said"
        return "as written"

    return one


MUTATIONS = [mutate_bytes, mutate_manifest, mutate_column]


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_a_damaged_recording_is_refused_or_right(recorded, mutate):
    """Each of some mutations is a named error, or every analysis goes through."""
    outcomes = tally(10, attempt(recorded, mutate))
    assert outcomes["RecordingDamaged"] > 0


@pytest.mark.slow("600 s: 3,000 mutations of a recording find what a few do not")
@pytest.mark.parametrize("mutate", MUTATIONS)
def test_many_damaged_recordings_are_refused_or_right(recorded, mutate):
    """Each of 3,000 mutations is a named error, or every analysis goes through."""
    outcomes = tally(500, attempt(recorded, mutate), first=1000)
    assert outcomes["RecordingDamaged"] > 0


@pytest.fixture
def copied(recorded, tmp_path):
    """A copy of the recording, to be damaged."""
    return shutil.copytree(recorded[0], tmp_path / "copy")


def test_every_byte_of_a_shard_is_covered(copied):
    """A shard with any one byte changed is refused."""
    shard = min(copied.glob("*.parquet"))
    whole = shard.read_bytes()
    Recording.open(copied)
    for at in np.linspace(0, len(whole) - 1, 300).astype(int):
        shard.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(RecordingDamaged):
            Recording.open(copied)


def test_what_is_read_again_is_checked_again(copied):
    """A shard that changes while the recording is open is refused, whatever its checksum."""
    shard = min(copied.glob("*.parquet"))
    recording = Recording.open(copied)
    before = [one.query_id for one in recording]
    assert [one.query_id for one in recording] == before
    table = parquet.read_table(shard, partitioning=None)
    at = table.column_names.index("fusion_score")
    wrong = [[float("nan")] * len(row) for row in table["fusion_score"].to_pylist()]
    rewrite(shard, table.set_column(at, "fusion_score", pa.array(wrong, table.schema[at].type)))
    with pytest.raises(RecordingDamaged):
        list(recording)


@pytest.mark.parametrize(
    "field", ["depth", "sources", "fusion", "steps", "group", "parts", "queries"]
)
def test_a_setup_of_wrong_values_is_refused(copied, field):
    """No wrong value of a setup opens, though the manifest's checksum fits."""
    manifest = copied / "manifest.json"
    said = json.loads(manifest.read_text())
    said.pop("checksum")
    for wrong in WRONG:
        possible = (
            (field == "group" and wrong is None)
            or (field == "depth" and wrong in (1, 2**31))
            or (field == "queries" and isinstance(wrong, str))
            or (field in {"parts", "steps"} and wrong in ({}, []))
        ) and wrong is not True
        if possible:
            continue
        changed = {**said, "setup": {**said["setup"], field: wrong}}
        manifest.write_text(json.dumps(changed | {"checksum": checksum(changed)}))
        with pytest.raises(RecordingDamaged):
            Recording.open(copied)


@pytest.mark.parametrize("version", [None, "1", True, 0, -1, 1.5, [1]])
def test_a_version_that_is_no_number_is_damage(copied, version):
    """A manifest without a version is damaged, and not taken for a newer one."""
    said = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps(said | {"version": version}))
    with pytest.raises(RecordingDamaged, match="version"):
        Recording.open(copied)


@pytest.mark.parametrize("path", ["a\0b", "", 5])
def test_what_is_no_path_is_an_invalid_argument(path):
    """A path with a NUL character, and what is no path, is named as the argument."""
    with pytest.raises(InvalidArgument, match="path"):
        Recording.open(path)
    with pytest.raises(InvalidArgument, match="path"):
        record(pipeline(), QUESTIONS, path=path, progress=False)
