"""Collections and persisted hybrids that were damaged; other formats have files of their own.

`recall/test_bm25_bytes.py`, `evaluation/test_recording_bytes.py`, `rerank/test_cache_bytes.py` and
`onnx/test_model_bytes.py` do the same for what this package writes itself.
"""

import gzip
import json
import shutil

import pytest
from mutations import WRONG, mutated_bytes, mutated_json, tally, written

from runoff._util.messages import short_repr
from runoff._util.provenance import decode
from runoff._util.stored import parse_json
from runoff.errors import IndexDamaged, InvalidArgument, MalformedData
from runoff.evaluation import Collection
from runoff.rerank import CrossEncoder

ROWS = {
    "queries.jsonl": [{"_id": f"q{at}", "text": f"query {at}"} for at in range(4)],
    "corpus.jsonl": [
        {"_id": f"d{at}", "text": f"text {at}", "title": f"title {at}", "metadata": {"n": at}}
        for at in range(6)
    ],
}
QRELS = "query-id\tcorpus-id\tscore\n" + "".join(f"q{at}\td{at}\t{at % 2}\n" for at in range(4))
OWN = [
    {"query_id": f"q{at}", "text": f"query {at}", "relevant": {f"d{at}": 1}, "language": "en"}
    for at in range(4)
]


def write_beir(folder):
    """A BEIR folder of a few lines."""
    (folder / "qrels").mkdir(parents=True)
    for name, rows in ROWS.items():
        (folder / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "qrels" / "test.tsv").write_text(QRELS)


def damage(path, source, *, packed):
    """Change bytes of a file, or one value of one of its lines."""
    if path.suffix == ".jsonl" and source.random() < 0.6:
        lines = path.read_text().splitlines()
        at = source.randrange(len(lines))
        lines[at] = written(mutated_json(json.loads(lines[at]), source))
        if source.random() < 0.1:
            lines[at] = lines[at].replace("1", "1" * 5000, 1)
        path.write_text("\n".join(lines))
    elif packed:
        path.write_bytes(mutated_bytes(gzip.compress(path.read_bytes()), source))
    else:
        path.write_bytes(mutated_bytes(path.read_bytes(), source))


def attempt_collection(tmp_path):
    """Damage one file of a collection, read it, and use what was read."""

    def one(source):
        folder = tmp_path / "beir"
        shutil.rmtree(folder, ignore_errors=True)
        write_beir(folder)
        own = tmp_path / "own.jsonl"
        own.write_text("".join(f"{json.dumps(row)}\n" for row in OWN))
        files = [folder / "queries.jsonl", folder / "corpus.jsonl", folder / "qrels/test.tsv", own]
        damage(source.choice(files), source, packed=source.random() < 0.3)
        for collection in (Collection.from_beir(folder), Collection.from_jsonl(own)):
            assert repr(collection)
            assert all(isinstance(text, str) and text for text in collection.queries.values())
            for grades in collection.qrels.values():
                assert all(type(one) is int and abs(one) <= 1_000_000 for one in grades.values())
        return "read"

    return one


def test_a_damaged_collection_is_named_or_read(tmp_path):
    """Each of some mutations of a collection's files names file and line, or is read."""
    outcomes = tally(50, attempt_collection(tmp_path))
    assert outcomes["MalformedData"] > 15
    assert outcomes.keys() <= {"MalformedData", "InvalidArgument", "read"}


@pytest.mark.slow("30 s: 2,500 mutations of a collection find what a few do not")
def test_many_damaged_collections_are_named_or_read(tmp_path):
    """Each of 2,500 mutations of a collection's files names file and line, or is read."""
    outcomes = tally(2500, attempt_collection(tmp_path), first=1000)
    assert outcomes.keys() <= {"MalformedData", "InvalidArgument", "read"}


@pytest.mark.parametrize("grade", ["1" * 5000, "[" * 100_000, "1e400", "NaN", "1" * 4000, "true"])
def test_a_grade_that_is_no_number_names_its_line(tmp_path, grade):
    """A grade of 5,000 digits, like any that is no whole number, names file and line."""
    path = tmp_path / "own.jsonl"
    path.write_text('{"query_id": "q", "text": "t", "relevant": {"d": ' + grade + "}}\n")
    with pytest.raises(MalformedData, match=r"own\.jsonl line 1"):
        Collection.from_jsonl(path)


def test_a_grade_too_long_to_print_is_an_invalid_argument():
    """A grade that Python refuses to print is refused with its query and document."""
    with pytest.raises(InvalidArgument, match="document 'd'"):
        Collection({"q": "t"}, {"q": {"d": 10**5000}})
    assert "too large" in short_repr(10**5000)


@pytest.mark.parametrize(
    "read",
    [
        Collection.from_beir,
        Collection.from_jsonl,
        lambda path: Collection.from_trec(path, path),
        CrossEncoder,
        lambda path: CrossEncoder("org/name", cache_dir=path),
    ],
)
def test_a_path_with_nul_is_an_invalid_argument(read):
    """A NUL character in a path is refused by the argument's name."""
    with pytest.raises(InvalidArgument):
        read("a\0b")


def test_deep_provenance_is_none():
    """Metadata that a stranger wrote under our key is no provenance, and no error."""
    for value in ("[" * 100_000, "{", "5", *filter(lambda one: not isinstance(one, str), WRONG)):
        assert decode({"runoff": value}) is None


def test_depth_of_json_is_bounded():
    """JSON within the bound is read, and beyond it is refused whoever gives up first."""
    assert parse_json("[[[1]], [2]]", deepest=3) == [[[1]], [2]]
    assert len(parse_json("[" + "[]," * 500 + "[]]", deepest=2)) == 501
    for levels in (4, 500, 100_000):
        with pytest.raises(ValueError, match="nested"):
            parse_json("[" * levels + "]" * levels, deepest=3)


@pytest.fixture
def persisted(tmp_path):
    """A hybrid of LlamaIndex on disk, and how to open it."""
    core = pytest.importorskip("llama_index.core")
    from runoff.llama_index import HybridRetriever

    embedding = core.MockEmbedding(embed_dim=4)
    nodes = [
        core.schema.TextNode(id_=f"n{at}", text=f"alpha word{at}", metadata={"n": at})
        for at in range(4)
    ]
    HybridRetriever.from_defaults(nodes=nodes, embed_model=embedding, reranker=None).persist(
        tmp_path / "kept"
    )

    def opened(path):
        hybrid = HybridRetriever.from_persist_dir(path, embed_model=embedding, reranker=None)
        return sorted(one.node.node_id for one in hybrid.retrieve("alpha word2"))

    return tmp_path / "kept", opened


def attempt_hybrid(persisted, tmp_path):
    """Damage one of LlamaIndex's files beside ours, open the hybrid and search."""
    kept, opened = persisted
    right = opened(kept)

    def one(source):
        path = tmp_path / "damaged"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(kept, path)
        file = source.choice(sorted((path / "index").iterdir()))
        if source.random() < 0.5:
            file.write_bytes(mutated_bytes(file.read_bytes(), source))
        else:
            file.write_text(written(mutated_json(json.loads(file.read_text()), source)))
        return "right" if opened(path) == right else "as written"

    return one


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # LlamaIndex's own, about a missing field
def test_a_damaged_hybrid_is_damage(persisted, tmp_path):
    """Each of some mutations is a named error, or leaves a hybrid that searches."""
    outcomes = tally(50, attempt_hybrid(persisted, tmp_path))
    assert outcomes["IndexDamaged"] > 10


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # as above
@pytest.mark.slow("120 s: 2,000 mutations of a persisted hybrid find what a few do not")
def test_many_damaged_hybrids_are_damage(persisted, tmp_path):
    """Each of 2,000 mutations is a named error, or leaves a hybrid that searches."""
    outcomes = tally(2000, attempt_hybrid(persisted, tmp_path), first=1000)
    assert outcomes["IndexDamaged"] > 30


@pytest.mark.parametrize("written_node", ["{", "[]", "5", '{"__type__": "x"}', "[" * 100_000])
def test_a_node_that_cannot_be_read_is_damage(written_node):
    """A node that was saved as something else is a named error."""
    pytest.importorskip("llama_index.core")
    from runoff.llama_index._convert import from_json

    with pytest.raises(IndexDamaged, match="persist it again"):
        from_json(written_node)
