"""`import runoff` is light: what it loads and how long it takes, in fresh interpreters."""

import json
import statistics
import subprocess
import sys

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


def test_import_loads_nothing_heavy():
    """`import runoff` loads no framework, no model runtime, no database and no data library."""
    loaded = _fresh("import json, sys, runoff; print(json.dumps(sorted(sys.modules)))")
    assert "runoff.pipeline" in loaded
    assert [name for name in (*_HEAVY, *_LATER) if name in loaded] == []


def test_names_of_the_rooms_load_nothing_heavy_until_they_are_used():
    """The rooms' own packages import as lightly; their names load their files when used."""
    loaded = _fresh(
        "import json, sys, runoff.recall, runoff.rerank, runoff.fusion, runoff.filters, "
        "runoff.evaluation, runoff.export, runoff.bench; "
        "print(json.dumps(sorted(sys.modules)))"
    )
    assert [name for name in _HEAVY if name in loaded] == []


def test_import_takes_little_longer_than_numpy():
    """`import runoff` costs little CPU time beyond `import numpy`; other work does not count."""

    def milliseconds(module):
        return _fresh(
            "import time; started = time.process_time(); "
            f"import {module}; print((time.process_time() - started) * 1000)"
        )

    taken = {"numpy": [], "runoff": []}
    for module in taken:
        milliseconds(module)
    for _ in range(_ROUNDS):
        for module, found in taken.items():
            found.append(milliseconds(module))
    numpy = statistics.median(taken["numpy"])
    assert statistics.median(taken["runoff"]) - numpy < _MOST * numpy
