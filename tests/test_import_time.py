"""`import runoff` is light: what it loads and how long it takes, in fresh interpreters."""

import json
import statistics
import subprocess
import sys

import pytest

_HEAVY = (
    "altair",
    "bm25s",
    "chromadb",
    "cohere",
    "httpx",
    "huggingface_hub",
    "langchain_core",
    "llama_index",
    "onnxruntime",
    "pandas",
    "pydantic",
    "scipy",
    "sentence_transformers",
    "tokenizers",
    "torch",
    "transformers",
)
# what few programs need, and is loaded when they do
_LATER = (
    "runoff._util.plain",
    "runoff._util.renamed",
    "runoff.fusion._convex",
    "runoff.grouping",
    "runoff.pipeline._systems",
)
_ROUNDS = 5
_MOST = 1.5  # of the time of NumPy; benchmarks/import_time.py has the aim in milliseconds


def _fresh(code):
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_import_loads_nothing_before_it_is_used():
    """`import runoff` loads none of its modules and no other package, NumPy included."""
    loaded = _fresh("import json, sys, runoff; print(json.dumps(sorted(sys.modules)))")
    own = {name for name in loaded if name.partition(".")[0] == "runoff"}
    assert own == {"runoff", *(f"runoff._util{one}" for one in ("", ".lazy", ".moved", ".version"))}
    assert [name for name in ("numpy", *_HEAVY) if name in loaded] == []


def test_the_pipeline_loads_nothing_heavy():
    """`TwoStage` loads no framework, no model runtime, no database and no data library."""
    loaded = _fresh(
        "import json, sys; from runoff import TwoStage; print(json.dumps(sorted(sys.modules)))"
    )
    assert "runoff.pipeline" in loaded
    assert [name for name in (*_HEAVY, *_LATER) if name in loaded] == []


def test_modules_are_attributes_before_they_are_imported():
    """After `import runoff` alone, `dir(runoff)` and its attributes have the same modules."""
    found = _fresh(
        "import json, runoff; names = dir(runoff); "
        "print(json.dumps([names, runoff.errors.RunoffError is runoff.RunoffError, "
        "runoff.types.Query is runoff.Query, sorted(set(dir(runoff)) - set(names))]))"
    )
    modules = {"deadline", "errors", "fusion", "pipeline", "protocols", "rerank", "scores", "trace"}
    assert modules | {"types"} <= set(found[0])
    assert "annotations" not in found[0]
    assert found[1:] == [True, True, []]


def test_a_first_search_in_english_loads_no_more_than_it_needs():
    """Neither NumPy's masked arrays nor the pattern of marks outside ASCII, 20 ms each."""
    pytest.importorskip("runoff_models", reason="runoff-models is not installed")
    found = _fresh(
        "import json, sys; from runoff import TwoStage; "
        "from runoff.recall import BM25, _analyzers; "
        "TwoStage({'bm25': BM25(['a document', 'another'])}).search('a document'); "
        "print(json.dumps(['numpy.ma' in sys.modules, _analyzers._many_marks.cache_info()[1]]))"
    )
    assert found == [False, 0]


def test_names_of_the_rooms_load_nothing_heavy_until_they_are_used():
    """The rooms' own packages import as lightly; their names load their files when used."""
    loaded = _fresh(
        "import json, sys, runoff.recall, runoff.rerank, runoff.fusion, runoff.filters, "
        "runoff.evaluation, runoff.export, runoff.bench; "
        "print(json.dumps(sorted(sys.modules)))"
    )
    assert [name for name in _HEAVY if name in loaded] == []


def test_import_takes_little_longer_than_numpy():
    """The pipeline costs little CPU time beyond `import numpy`; other work does not count."""

    def milliseconds(code):
        return _fresh(
            "import time; started = time.thread_time(); "
            f"{code}; print((time.thread_time() - started) * 1000)"
        )

    taken = {"import numpy": [], "from runoff import TwoStage": []}
    for code in taken:
        milliseconds(code)
    for _ in range(_ROUNDS):
        for code, found in taken.items():
            found.append(milliseconds(code))
    numpy, ours = map(statistics.median, taken.values())
    assert ours - numpy < _MOST * numpy
