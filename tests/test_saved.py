"""What version 0.1.0 saved still opens; tests/support/saved_system.py made it with that version."""

import importlib
import json
import pickle
import re
import shutil
import warnings
from dataclasses import fields
from pathlib import Path

import pytest
import saved_system as saved

import runoff
from runoff import Query, TwoStage
from runoff._util.renamed import _MOVED, current, home
from runoff.errors import RecordingMismatch
from runoff.evaluation import Recording, record
from runoff.recall import BM25
from runoff.rerank import Cached, CrossEncoder, DiskCache, Pointwise
from runoff.trace import Fate

FOLDER = Path(__file__).parent / "saved" / "0.1.0"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
# what it makes afresh compares equal; the others are looked at below
EQUAL = {
    "cached", "cascade", "collection", "convex", "cross_encoder", "document", "embedder",
    "fallback", "filter", "function", "grouping", "http", "metered", "pointwise", "query", "rrf",
    "threshold", "two_stage",
}  # fmt: skip


@pytest.fixture
def old(tmp_path):
    """A copy of what was saved, which a test may write to."""
    return Path(shutil.copytree(FOLDER, tmp_path / "old"))


@pytest.fixture(scope="module")
def parts():
    """Each part as it is made now."""
    return saved.parts()


def opened(name):
    """Open a pickle of 0.1.0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return pickle.loads((FOLDER / "pickles" / f"{name}.pickle").read_bytes())


@pytest.mark.parametrize("name", sorted(EQUAL))
def test_a_pickled_part_is_what_it_was(name, parts):
    """A pickle of 0.1.0 opens as the same part, though its class lives elsewhere now."""
    part, fresh = opened(name), parts[name]
    assert type(part) is type(fresh)
    assert repr(part) == repr(fresh)
    if name == "http":  # whose `repr` leaves out what has its default
        assert (part.timeout, part.instruction, part.ca) == (fresh.timeout, None, None)
        assert part.retries == fresh.retries


ROOMS = (
    "types", "trace", "scores", "filters", "grouping", "evaluation", "rerank", "fusion", "recall",
    "pipeline",
)  # fmt: skip


def test_a_class_with_other_fields_reads_its_old_pickles():
    """Each public dataclass whose fields are not those of 0.1.0 has a way to read that version's.

    Slotted ones are pickled as a list: one field more, and every value belongs to its neighbour.
    """
    known = json.loads((FOLDER / "fields.json").read_text())
    unread = set()
    for room in ROOMS:
        face = importlib.import_module(f"runoff.{room}")
        for name in known.keys() & set(face.__all__):
            kind = getattr(face, name)
            own = {"__reduce__", "__getstate__", "__setstate__"} & {
                method
                for method, what in vars(kind).items()
                if not getattr(what, "__module__", "").startswith("dataclasses")
            }
            if [one.name for one in fields(kind)] != known[name] and not own:
                unread.add(name)
    assert unread == set()


def test_every_pickle_is_looked_at():
    """No pickle that was saved is left out of the tests here."""
    names = {path.stem for path in (FOLDER / "pickles").iterdir()}
    assert names == EQUAL | {
        "invalid", "llama_index_rerank", "recall_failed", "response", "verdict",
    }  # fmt: skip


def test_a_pickled_answer_can_be_explained():
    """An answer of 0.1.0 has its results, fates and explanation."""
    response = opened("response")
    assert [one.document.doc_id for one in response.results] == EXPECTED["answers"]
    fates = {one.candidate.document.doc_id: one for one in response.trace.fates}
    assert fates[EXPECTED["answers"][0]].kind == "returned"
    assert fates[EXPECTED["answers"][0]].scoring == "reranked"
    assert EXPECTED["answers"][0] in response.explain()
    assert EXPECTED["answers"][0] in response.explain(EXPECTED["answers"][0])
    assert repr(response)


def test_pickled_errors_say_what_they_said():
    """Errors of 0.1.0 open with their argument, value and cause."""
    error = opened("invalid")
    assert (error.argument, error.value, error.remedy) == ("depth", 0, "must be 1 or more")
    assert isinstance(opened("recall_failed").failures["bm25"], TimeoutError)


def test_a_pickled_verdict_prints():
    """A verdict of 0.1.0 has the figures that one made now has; its notes stay as they were."""
    old, new = opened("verdict"), saved.judged()
    kept = ("measure", "queries", "before", "after", "difference", "wins", "ties", "losses")
    assert [getattr(old.main, one) for one in kept] == [getattr(new.main, one) for one in kept]
    assert old.main.worst == (-1.0, 1.0)
    assert old.notes
    assert (old.rivals, old.unjudged, old.ms) == ((), None, None)
    assert str(old.main) in str(old)
    assert old.notes[-1] in str(old)


def test_a_pickled_postprocessor_reranks():
    """A RunoffRerank for LlamaIndex of 0.1.0 opens with its settings."""
    part = opened("llama_index_rerank")
    assert part.top_n == 3
    assert part.reranker == CrossEncoder("runoff-mini")


def test_a_postprocessor_written_as_json_is_made_again():
    """What `to_dict` of 0.1.0 wrote, `from_dict` reads."""
    from runoff.llama_index import RunoffRerank

    part = RunoffRerank.from_dict(json.loads((FOLDER / "llama_index_rerank.json").read_text()))
    assert part.top_n == 3
    assert isinstance(part.reranker, Pointwise)
    assert part.reranker.threshold.value == 0.1


def test_an_index_answers_as_it_did(old):
    """A BM25 index that 0.1.0 saved answers in the same order."""
    index = BM25.load(old / "bm25")
    found = index.retrieve(Query("why does bread rise"), depth=6)
    assert [hit.document.doc_id for hit in found] == EXPECTED["bm25"]
    assert found[0].document.metadata == saved.documents()[1].metadata
    assert TwoStage({"bm25": index}, reranker=None).search("tide").results


def test_cached_scores_are_used(old):
    """A cache file of 0.1.0 has the score of every pair, and nothing is scored again."""
    pairs = [(query, text) for query in saved.QUERIES.values() for text in saved.TEXTS.values()]
    scores = Cached(saved.Digests(), store=DiskCache(old / "scores.sqlite")).score(pairs)
    assert scores.usage.cached == len(pairs)
    assert (scores.values == saved.Digests().score(pairs).values).all()


def test_a_recording_is_replayed_as_if_made_now(old, tmp_path):
    """A recording of 0.1.0 opens, and every finding equals that of one made now."""
    recording = Recording.open(old / "recording")
    fresh = record(saved.hybrid_retriever(), saved.collection(), path=tmp_path / "new", depth=100)
    judged = saved.collection()
    verdicts = [str(one.verdict(judged)) for one in (recording, fresh)]
    assert len({re.sub(r"[\d.]+ ms", "ms", one) for one in verdicts}) == 1  # each has its own times
    assert str(recording.losses(judged)) == str(fresh.losses(judged))
    assert str(recording.health()) == str(fresh.health())
    then, now = recording.curve(judged), fresh.curve(judged)
    assert [point.values for point in then.points] == [point.values for point in now.points]


def test_an_interrupted_recording_resumes(old):
    """What 0.1.0 left half done goes on here: the same parts under their new modules."""
    half = len(Recording.open(old / "interrupted"))
    assert 0 < half < len(saved.QUERIES)
    whole = record(
        saved.hybrid_retriever(), saved.collection(), path=old / "interrupted", depth=100
    )
    assert len(whole) == len(saved.QUERIES)


def test_another_system_is_still_refused(old):
    """A recording of 0.1.0 is not continued with a reranker that scores otherwise."""
    other = saved.hybrid_retriever().model_copy(update={"reranker": saved.Digests("other", "2")})
    with pytest.raises(RecordingMismatch):
        record(other, saved.collection(), path=old / "interrupted", depth=100)


@pytest.mark.parametrize(
    ("module", "name", "face"),
    [
        ("runoff.rerank.cross_encoder", "CrossEncoder", "runoff.rerank"),
        ("runoff.recall.bm25", "BM25", "runoff.recall"),
        ("runoff.evaluation.verdicts", "verdict", "runoff.evaluation"),
        ("runoff.langchain.embedding", "RunoffEmbeddings", "runoff.langchain"),
        ("runoff.demo.corpus", "stdlib_documents", "runoff.demo"),
    ],
)
def test_an_old_import_warns_and_works(module, name, face, monkeypatch):
    """A module's old path imports the same object, and the warning names where it is now."""
    monkeypatch.delitem(importlib.sys.modules, module, raising=False)
    with pytest.warns(DeprecationWarning, match=rf"import its public names from {face}$"):
        found = importlib.import_module(module)
    assert getattr(found, name) is getattr(importlib.import_module(face), name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = found.nothing


def test_every_module_of_the_first_version_has_a_place():
    """Each public module of 0.1.0 is still one, or its old path leads to a file."""
    root = Path(runoff.__file__).parents[1]

    def is_here(module):
        place = root / module.replace(".", "/")
        return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()

    modules = (FOLDER / "modules.txt").read_text().split()
    assert [one for one in modules if not is_here(one) and not is_here(home(one) or "none")] == []


def test_the_map_of_moved_modules_leads_to_files():
    """No module was moved to a folder, which has none of its names, or to nothing."""
    root = Path(runoff.__file__).parent
    faces = {"_onnx", "_util.faults", "_util.generations"}
    gone = {
        new
        for new in {*_MOVED.values()} - faces
        if not (root / f"{new.replace('.', '/')}.py").is_file()
    }
    assert gone == set()


def test_a_module_that_never_was_is_not_found():
    """A mistyped module is still a ModuleNotFoundError."""
    with pytest.raises(ModuleNotFoundError, match=r"runoff\.rerank\.nothing"):
        importlib.import_module("runoff.rerank.nothing")


def test_stored_paths_are_read_as_they_are_now():
    """A stored text names its classes by their present modules; others stay as they are."""
    old = "runoff.langchain.sources.RetrieverSource of runoff.recall.bm25.BM25 in my.rerank.cache"
    assert current(old) == (
        "runoff.langchain._sources.RetrieverSource of runoff.recall._bm25.bm25.BM25 "
        "in my.rerank.cache"
    )


@pytest.mark.parametrize(
    ("kind", "scoring", "now"),
    [
        ("dropped: below 0.5", "reranked", ("dropped", "reranked", "below 0.5", "")),
        ("returned", "unscored: timeout", ("returned", "unscored", "timeout", "")),
        ("grouped: key: 1", "grouped", ("grouped", "grouped", "", "key: 1")),
        ("cut", "tail", ("cut", "tail", "", "")),
    ],
)
def test_a_fate_of_0_1_0_is_parted(kind, scoring, now):
    """The text that a pickled fate had is read as kind, scoring, reason and group."""
    fate = Fate.__new__(Fate)
    fate.__setstate__([None, kind, 1, scoring, None, None, None, False, ()])
    assert (fate.kind, fate.scoring, fate.reason, fate.grouped_under) == now
    assert pickle.loads(pickle.dumps(fate)) == fate
