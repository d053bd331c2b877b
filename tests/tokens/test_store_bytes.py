"""A token store whose files were damaged, or altered with their checksums computed again."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from index_directory import memory, point, pointer
from mutations import mutated_bytes, mutated_json, tally, written

from runoff._tokens import held
from runoff._tokens.vectors import TokenVectors, quantised
from runoff._util.generations.pointer import checksum
from runoff.rerank import TokenStore

MODEL = "a" * 64
TEXTS = [f"text {number}" for number in range(12)]
ODD = (-1, 0, 1, 2, 12, 127, 1000, 2**31 - 1, -(2**31), 2**62)


def vectors(text):
    """Token vectors that follow from the text."""
    random = np.random.default_rng(list(text.encode()))
    codes, scales = quantised(random.normal(size=(4, 8)).astype(np.float32))
    return TokenVectors(codes, scales, random.integers(0, 50, 4).astype(np.int32))


def everything(store):
    """All that a store says of the texts and one more, before and after it is changed."""
    told = []
    for _ in range(2):
        told += [
            None if one is None else [part.tolist() for part in (one.codes, one.scales, one.ids)]
            for one in store.get(MODEL, [*TEXTS, "new"])
        ]
        found = store.frequencies(MODEL)
        told.append((found.documents, found.counts[:60].tolist(), found.digest))
        store.put(MODEL, ["new"], [vectors("new")])
        store.delete([TEXTS[3]])
        store.flush()
    return told


@pytest.fixture(scope="module")
def kept():
    """A store of two segments, the right answers, and where to damage a copy."""
    with memory() as path:
        store = TokenStore(path / "tokens")
        for texts in (TEXTS[:10], TEXTS[10:]):
            store.put(MODEL, texts, [vectors(text) for text in texts])
            store.flush()
        shutil.copytree(path / "tokens", path / "original")
        right = everything(store)
        held._paths.clear()
        yield path / "original", right, path / "damaged"


def files_of(folder):
    return folder / "generations" / pointer(folder)["generation"]


def mutate_bytes(folder, source):
    file = source.choice([folder / "runoff.json", *sorted(files_of(folder).iterdir())])
    file.write_bytes(mutated_bytes(file.read_bytes(), source))


def mutate_pointer(folder, source):
    said = mutated_json(pointer(folder), source)
    if isinstance(said, dict):
        said.pop("checksum", None)
        try:
            said["checksum"] = checksum(said)
        except RecursionError:
            said["checksum"] = ""
    (folder / "runoff.json").write_text(written(said))


def mutate_array(folder, source):
    files = pointer(folder)["files"]
    name = source.choice(sorted(files))
    kind = np.dtype(files[name].get("dtype", "u1"))
    array = np.fromfile(files_of(folder) / name, kind)
    if source.random() < 0.7 and array.size:
        odd = (*ODD, float("nan"), float("inf"), -0.5) if kind.kind == "f" else ODD
        # what the type cannot hold becomes another number of it
        array[source.randrange(array.size)] = np.array([source.choice(odd)]).astype(kind)[0]
    else:
        array = array[: source.randrange(array.size + 1)]
    content, facts = array.tobytes(), {}
    if "shape" in files[name]:
        facts["shape"] = [len(array)]
    (files_of(folder) / name).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    files[name] |= {"bytes": len(content), "sha256": digest} | facts
    point(folder, files=files)


def attempt(kept, mutate):
    """Damage a copy in one way, read and change it, and say what became of it."""
    original, right, path = kept

    def one(source):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(original, path)
        mutate(path / MODEL, source)
        held._paths.clear()
        found = everything(TokenStore(path))
        if json.dumps(found) == json.dumps(right):
            return "right"
        assert mutate is not mutate_bytes, "damage changed what is said"
        return "as written"

    return one


MUTATIONS = [mutate_bytes, mutate_pointer, mutate_array]


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_a_damaged_store_is_named_or_right(kept, mutate):
    """Each of some mutations is a named error, or a store that works."""
    outcomes = tally(15, attempt(kept, mutate))
    assert outcomes["IndexDamaged"] > 0


@pytest.mark.slow("60 s: 2,100 mutations of a token store find what a few do not")
@pytest.mark.parametrize("mutate", MUTATIONS)
def test_many_damaged_stores_are_named_or_right(kept, mutate):
    """Each of 2,100 mutations is a named error, or a store that works."""
    outcomes = tally(700, attempt(kept, mutate), first=1000)
    assert outcomes["IndexDamaged"] > 50
