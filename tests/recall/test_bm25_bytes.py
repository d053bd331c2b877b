"""A saved BM25 index whose files were damaged, or altered with a checksum computed again."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from index_directory import memory, point, pointer
from mutations import mutated_bytes, mutated_json, nested, tally, written

from runoff import Document, Query
from runoff.errors import IndexDamaged, InvalidArgument
from runoff.recall import BM25

DOCUMENTS = [
    Document(f"doc-{number}", f"alpha {'beta ' * (number % 3)}word{number} 土星", {"n": number})
    for number in range(12)
]
ASKED = [Query(text) for text in ("alpha", "beta beta word3", "土 word7", "nothing known")]
COUNTED = ("starts", "rows", "counts", "lengths")
ARRAYS = (*COUNTED, *(f"stop_{name}" for name in COUNTED), "scores", "base", "offsets")
ODD = (-1, 0, 1, 2, 11, 12, 1000, 2**31 - 1, -(2**31))


def answers(index):
    """Everything that an index says."""
    found = [index.retrieve(query, depth=20) for query in ASKED]
    return repr(index), found, [*index.documents()]


@pytest.fixture(scope="module", params=["lucene", "bm25+"])
def saved(request):
    """A saved index, its right answers and what lies in its directory."""
    with memory() as path:
        index = BM25(DOCUMENTS, method=request.param)
        index.save(path / "index")
        yield path / "index", answers(index), path / "damaged"


def rewrite(path, name, content, **facts):
    """Replace a file of the generation and record its size and checksum anew."""
    files = pointer(path)["files"]
    (path / "generations" / pointer(path)["generation"] / name).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    files[name] |= {"bytes": len(content), "sha256": digest} | facts
    point(path, files=files)


def array_of(path, name):
    """An array of the generation, to be changed."""
    recorded = pointer(path)["files"][name]
    file = path / "generations" / pointer(path)["generation"] / name
    return np.fromfile(file, dtype=recorded["dtype"]).reshape(recorded["shape"])


def mutate_array(path, source):
    name = f"{source.choice(ARRAYS)}.bin"
    array = array_of(path, name).copy()
    kind = source.randrange(6)
    facts = {}
    if kind < 3 and array.size:
        flat = array.reshape(-1)
        odd = (*ODD, float("nan"), float("inf"), 1e30) if array.dtype.kind == "f" else ODD
        flat[source.randrange(flat.size)] = source.choice(odd)
    elif kind == 3:
        array = array.astype(source.choice(["<f8", "<i2", ">i4", "<u8", "<f4", "<i8"]))
        facts = {"dtype": array.dtype.str}
    elif kind == 4 and array.size:
        array = array.reshape(-1)[: source.randrange(array.size)]
        facts = {"shape": list(array.shape)}
    else:
        array = array.reshape(-1)[::-1].reshape(array.shape)
    rewrite(path, name, array.tobytes(), **facts)


def mutate_file(path, source):
    name = source.choice(["ids.json", "terms.json", "extras.bin", "texts.bin"])
    file = path / "generations" / pointer(path)["generation"] / name
    if name.endswith(".json"):
        content = written(mutated_json(json.loads(file.read_bytes()), source)).encode()
    else:
        content = mutated_bytes(file.read_bytes(), source)
    rewrite(path, name, content)


def mutate_pointer(path, source):
    said = mutated_json(pointer(path), source)
    if not isinstance(said, dict):
        (path / "runoff.json").write_text(written(said))
        return
    said.pop("checksum", None)
    try:
        text = json.dumps(said, sort_keys=True)
    except RecursionError:
        text = ""
    said["checksum"] = hashlib.sha256(text.encode("ascii")).hexdigest()
    (path / "runoff.json").write_text(written(said))


def mutate_bytes(path, source):
    files = [path / "runoff.json", *sorted((path / "generations").glob("*/*"))]
    file = source.choice(files)
    file.write_bytes(mutated_bytes(file.read_bytes(), source))


def attempt(saved, mutate):
    """Damage a copy in one way, read it, and say what became of it."""
    original, right, path = saved

    def one(source):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(original, path)
        mutate(path, source)
        index = BM25.load(path, mmap=source.random() < 0.5)
        found = answers(index)
        index.add([Document("new", "alpha word3")])
        index.retrieve(ASKED[0], depth=3)
        return "right" if found == right else said_so(path, index, found, right)

    return one


def said_so(path, index, found, right):
    """An answer that differs must be what the altered files say: other texts and metadata."""
    assert found[0].partition("k1=")[0] == right[0].partition("k1=")[0]
    folder = path / "generations" / pointer(path)["generation"]
    texts = b"".join(one.text.encode("utf-8", "surrogatepass") for one in found[2])
    assert texts == (folder / "texts.bin").read_bytes()
    assert [one.doc_id for one in found[2]] == json.loads((folder / "ids.json").read_bytes())
    terms = (folder / "terms.json").read_bytes()
    if terms != (path.with_name("index") / "generations" / folder.name / "terms.json").read_bytes():
        assert len(set(json.loads(terms))) == len(array_of(path, "starts.bin")) - 1
        return "as written"
    for hits, expected in zip(found[1], right[1], strict=True):
        assert [hit.score for hit in hits] == [hit.score for hit in expected]
    return "as written"


MUTATIONS = [mutate_bytes, mutate_pointer, mutate_array, mutate_file]


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_a_damaged_index_is_refused_or_right(saved, mutate):
    """Each of some mutations is a named error or leaves every answer as it was."""
    outcomes = tally(10, attempt(saved, mutate))
    assert outcomes["IndexDamaged"] > 0


@pytest.mark.slow("120 s: 4,000 mutations of a BM25 index find what a few do not")
@pytest.mark.parametrize("mutate", MUTATIONS)
def test_many_damaged_indexes_are_refused_or_right(saved, mutate):
    """Each of 4,000 mutations is a named error or leaves every answer as it was."""
    outcomes = tally(500, attempt(saved, mutate), first=1000)
    assert outcomes["IndexDamaged"] > 0


@pytest.fixture
def copied(saved, tmp_path):
    """A copy of the index, to be damaged."""
    return shutil.copytree(saved[0], tmp_path / "index")


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("rows", -1, "a document that does not exist"),
        ("rows", 12, "a document that does not exist"),
        ("counts", 0, "count of a term is below 1"),
        ("counts", 7, "lengths of the documents differ"),
        ("lengths", -5, "lengths of the documents differ"),
        ("starts", 10**9, "do not match their postings"),
        ("scores", float("nan"), "not a finite number"),
        ("scores", 1e30, "scores are of another index"),
        ("offsets", 10**6, "positions of the documents do not match"),
    ],
)
def test_a_column_out_of_range_is_refused(copied, name, value, what):
    """A value out of its range is refused though the checksum fits, and named."""
    array = array_of(copied, f"{name}.bin").copy()
    array.reshape(-1)[1] = value
    rewrite(copied, f"{name}.bin", array.tobytes())
    with pytest.raises(IndexDamaged, match=what):
        BM25.load(copied)


@pytest.mark.parametrize("version", [None, "1", True, 0, -1, 1.0])
def test_a_version_that_is_no_number_is_refused(copied, version):
    """A pointer without a version is damaged, and not taken for one of this version."""
    point(copied, version=version)
    with pytest.raises(IndexDamaged, match="version"):
        BM25.load(copied)


@pytest.mark.parametrize("levels", [70, 900, 100_000])
def test_deep_json_is_refused(copied, levels):
    """JSON nested deeply is damage, at whatever depth the parser gives up."""
    text = "[" * levels + "]" * levels
    rewrite(copied, "ids.json", text.encode())
    with pytest.raises(IndexDamaged, match="nested"):
        BM25.load(copied)
    (copied / "runoff.json").write_text(f'{{"runoff": "bm25", "facts": {text}}}')
    with pytest.raises(IndexDamaged, match="nested"):
        BM25.load(copied)
    assert nested(2) == [[[]]]


def test_a_formula_of_another_index_is_refused(copied):
    """Parameters that did not make the saved scores are noticed."""
    facts = pointer(copied)["facts"]
    facts["formula"]["k1"] = 40.0
    point(copied, facts=facts)
    with pytest.raises(IndexDamaged, match="another index"):
        BM25.load(copied)


@pytest.mark.parametrize("path", ["a\0b", "", 5, None])
def test_what_is_no_path_is_an_invalid_argument(path):
    """A path with a NUL character, and what is no path, is named as the argument."""
    with pytest.raises(InvalidArgument, match="path"):
        BM25.load(path)
    with pytest.raises(InvalidArgument, match="path"):
        BM25(DOCUMENTS).save(path)


def test_a_folder_in_place_of_the_pointer_is_damage(tmp_path):
    """What cannot be opened as a file is a named error."""
    (tmp_path / "runoff.json").mkdir()
    with pytest.raises(IndexDamaged, match="cannot be read"):
        BM25.load(tmp_path)
