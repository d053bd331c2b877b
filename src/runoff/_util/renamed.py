"""The modules of earlier versions, and what they are called now: for imports and recordings."""

from __future__ import annotations

import re
from importlib.util import find_spec

# rooms whose files gained an underscore and moved no further, unless `_MOVED` says otherwise
_ROOMS = {
    "bench", "cli", "demo", "evaluation", "export", "fusion", "langchain", "llama_index",
    "recall", "report", "rerank", "testing",
}  # fmt: skip


def _each(old: str, new: str, names: str) -> dict[str, str]:
    return {old + name: new + name for name in names.split()}


# from 0.1.0 to now, all below `runoff`
_MOVED = {
    "faults": "_util.faults",
    "identity": "pipeline._identity",
    "stages": "pipeline._stages",
    "systems": "pipeline._systems",
    "onnx": "_onnx",
    **_each(
        "onnx.", "_onnx.", "cpu files hub languages resolve sessions slots state tokens windows"
    ),
    "evaluation.accounting": "evaluation._losses",
    "evaluation.checks": "evaluation._health.health",
    "evaluation.collection": "_labels.collection",
    "evaluation.costs": "evaluation._trials",
    "evaluation.curves": "evaluation._curve",
    "evaluation.drift": "evaluation._health.health",
    "evaluation.findings": "evaluation._health.observations",
    "evaluation.fusing": "_recording.first_stage",
    "evaluation.groups": "_recording.first_stage",
    "evaluation.judgments": "_labels.formats",
    "evaluation.moves": "evaluation._losses",
    "evaluation.parts": "_recording.capture",
    "evaluation.progress": "_recording.record",
    "evaluation.shown": "_util.display",
    "evaluation.reading": "_recording.capture",
    "evaluation.recorder": "_recording.record",
    "evaluation.remarks": "_labels.remarks",
    "evaluation.replays": "_recording.replay",
    "evaluation.rereading": "_recording.traverse",
    "evaluation.rescoring": "_recording.traverse",
    "evaluation.selection": "evaluation._measures.choice",
    "evaluation.settings": "evaluation._grid",
    "evaluation.stagewise": "_recording.runs",
    "evaluation.traversal": "_recording.traverse",
    "evaluation.tuning": "evaluation._tune",
    "evaluation.verdicts": "evaluation._verdict.verdict",
    "evaluation.measures": "evaluation._measures.measures",
    "evaluation.recording": "_recording.query",
    "evaluation.observations": "evaluation._health.observations",
    "evaluation.runs": "_recording.runs",
    "evaluation.statistics": "evaluation._measures.permutation",
    **_each("evaluation.", "_recording.", "parquet setup shards"),
    **_each("evaluation.", "evaluation._verdict.", "pairing slices"),
    "evaluation.formats": "_labels.formats",
    "export.samples": "_onnx.samples",
    "langchain.compressor": "langchain._runoff_rerank",
    "langchain.recorded": "langchain._systems",
    "llama_index.groups": "llama_index._settings",
    "llama_index.listing": "llama_index._stores",
    "llama_index.options": "llama_index._settings",
    "llama_index.source": "llama_index._sources",
    "llama_index.stored": "llama_index._convert",
    "llama_index.words": "llama_index._bm25",
    **dict.fromkeys(("llama_index.events", "llama_index.observed"), "llama_index._tracing"),
    "llama_index.postprocessor": "llama_index._runoff_rerank",
    "llama_index.recorded": "llama_index._systems",
    **_each("recall.bm25_", "recall._bm25.", "documents engine postings snapshot"),
    "recall.bm25": "recall._bm25.bm25",
    "recall.bm25_store": "recall._bm25.disk",
    "recall.bm25s_module": "recall._bm25.engine",
    "recall.generations": "_util.generations",
    "recall.given": "recall._arguments",
    **_each("recall.", "recall._dense.", "dense embedder nearest rows vectors"),
    **_each("recall.", "recall._stores.", "chroma chroma_where qdrant_filter"),
    "recall.chroma_errors": "recall._stores.engine_errors",
    "bench.figures": "bench._results",
    "cli.show": "cli._output",
    "cli.systems": "cli._system",
    "report.charting": "report._altair",
    "report.evaluation": "report._page",
    "report.plain": "report._text",
    "report.steps": "report._advice",
    "rerank.structured": "rerank._as_yaml",
    **_each("rerank.", "rerank._local.", "cross_encoder onnx sentence_transformers"),
    **_each("rerank.", "rerank._local.", "torch_model torch_texts"),
    "rerank.local": "rerank._local.backends",
    **_each("rerank.", "rerank._remote.", "about access breaker cohere cohere_sdk connections"),
    **_each("rerank.", "rerank._remote.", "dialects http retries transport"),
    "rerank.remote": "rerank._remote.batches",
    "rerank.cache": "rerank._cache.cached",
    **_each("testing.", "testing._contracts.", "base fusion recall reranker samples scorer"),
    **_each("testing.chaos_", "testing._chaos.", "faults replies"),
    "testing.chaos_http": "testing._chaos.listener",
    **_each("rerank.cache_", "rerank._cache.", "disk flights keys"),
    "rerank.cache_file": "rerank._cache.database",
    "rerank.cache_stores": "rerank._cache.memory",
    "rerank.coerce": "rerank._as_reranker",
}


def home(path: str) -> str:
    """Return the present path of a module of an earlier version, or an empty string."""
    root, _, old = path.partition(".")
    if root != "runoff":
        return ""
    if old in _MOVED:
        return f"runoff.{_MOVED[old]}"
    room, _, name = old.partition(".")
    if room not in _ROOMS or not name or name.startswith("_") or "." in name:
        return ""
    new = f"runoff.{room}._{name}"
    return new if find_spec(new) else ""


def face(path: str) -> str:
    """Return the package that shows the public names of a module of an earlier version."""
    room = path.split(".")[1]
    return f"runoff.{room}" if room in _ROOMS else "runoff"


def current(text: str) -> str:
    """Return a stored text with the modules that it names as they are called now."""

    def renamed(path: re.Match[str]) -> str:
        names = path.group().split(".")
        for end in range(len(names), 1, -1):
            new = home(".".join(names[:end]))
            if new:
                return ".".join([new, *names[end:]])
        return path.group()

    return re.sub(r"\brunoff(?:\.\w+)+", renamed, text)
