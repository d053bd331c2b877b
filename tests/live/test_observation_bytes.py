"""Observations whose files were damaged, or altered with a checksum computed again."""

import json
import shutil

import pytest
from mutations import mutated_bytes, mutated_json, tally, written

pytest.importorskip("pyarrow")

from mutated_tables import mutated_table
from observed import observation
from pyarrow import parquet

from runoff._recording.marked import encoded
from runoff.evaluation import health
from runoff.live import Observations, judge
from runoff.live._observation import Shadow
from runoff.live._store import Store
from runoff.scores import ModelIdentity, Usage
from runoff.types import Degradation, Outcome

KEY = "runoff-observations"
TEXTS = {"a": "one", "b": "two", **{f"q{at}": f"question {at}" for at in range(20)}}


def everything(path):
    """All that observations say, with every analysis of them."""
    seen = Observations(path)
    told = [
        [repr(one) for one in seen],
        [repr(one.trace) for one in seen],
        [(one.fused, one.reranked, one.shadowed) for one in seen],
        seen.summary(recent=100.0).to_dict(),
        seen.summary(recent=100.0).to_prometheus(),
        str(health(seen)),
    ]
    return repr(told)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A directory of observations, all that it says, and where to damage a copy."""
    folder = tmp_path_factory.mktemp("observations")
    late = Outcome((Degradation("rerank", "mini", "timeout", "why"),), 1, 2, 250.0, 40.0, ("a",))
    shadow = Shadow(
        "s", ModelIdentity("m", "r", "p"), (2, 1), (0.5, 1.5), complete=True, usage=Usage(cost=2.0)
    )
    store = Store(folder / "kept")
    for writer in "ab":
        given = [
            observation(
                f"q{at}", time=1e9 + at, query=f"question {at}", texts=("one", "two"),
                slices={"language": "de"}, shadow=shadow, **({"outcome": late} if at % 3 else {}),
            )
            for at in range(6)
        ]  # fmt: skip
        store.write(given, writer=writer * 20)
    path = shutil.copytree(folder / "kept", folder / "damaged")  # what is said names the path
    return folder / "kept", everything(path), path


def mutate_bytes(path, source):
    file = source.choice([one for one in sorted(path.iterdir()) if one.name != "lock"])
    file.write_bytes(mutated_bytes(file.read_bytes(), source))


def mutate_column(path, source):
    shard = source.choice(sorted(path.glob("*.parquet")))
    table = parquet.read_table(shard, partitioning=None)
    said = {KEY: table.schema.metadata[KEY.encode()].decode()}
    if source.random() < 0.2:
        said[KEY] = written(mutated_json(json.loads(said[KEY]), source))
    shard.write_bytes(encoded(mutated_table(table, source), said))


def attempt(kept, mutate):
    """Damage a copy in one way, read it, and say what became of it."""
    original, right, path = kept

    def one(source):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(original, path)
        mutate(path, source)
        found = everything(path)
        if found == right:
            return "right"
        assert mutate is not mutate_bytes, "damage changed what is said"
        judge(path, lambda query, document: len(query + document) % 4, texts=TEXTS)
        return "as written"

    return one


MUTATIONS = [mutate_bytes, mutate_column]


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_damaged_observations_are_named_or_read(kept, mutate):
    """Each of some mutations is a named error, or every analysis goes through."""
    outcomes = tally(12, attempt(kept, mutate))
    assert outcomes["RecordingDamaged"] > 0


@pytest.mark.slow("200 s: 2,000 mutations of observations find what a few do not")
@pytest.mark.parametrize("mutate", MUTATIONS)
def test_many_damaged_observations_are_named_or_read(kept, mutate):
    """Each of 2,000 mutations is a named error, or every analysis goes through."""
    outcomes = tally(1000, attempt(kept, mutate), first=1000)
    assert outcomes["RecordingDamaged"] > 100
