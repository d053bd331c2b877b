"""The names of `runoff.recall`, loaded when asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_importing_recall_loads_nothing_heavy():
    """`runoff.recall` and its names `Dense` and `Function` load no index, model or database."""
    code = (
        "import sys, runoff.recall as recall; recall.Dense, recall.Function;"
        "assert set(recall.__all__) <= set(dir(recall));"
        "print([one for one in ('bm25s', 'onnxruntime', 'chromadb', 'tokenizers', 'asyncio') "
        "if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_of_recall_is_an_attribute_error():
    """`runoff.recall` has its names and no other."""
    import runoff.recall

    with pytest.raises(AttributeError, match="Dens"):
        _ = runoff.recall.Dens
