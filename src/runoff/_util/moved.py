"""Where the modules of earlier versions are now: for old imports, pickles and recordings.

`import runoff` installs a finder, so that a module's old path still imports, with a
DeprecationWarning, and old pickles open. It is asked only after every other finder has failed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["current", "install"]

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
    "evaluation.costs": "evaluation._trials",
    "evaluation.curves": "evaluation._curve",
    "evaluation.drift": "evaluation._health.health",
    "evaluation.findings": "evaluation._health.observations",
    "evaluation.fusing": "evaluation._replay.first_stage",
    "evaluation.groups": "evaluation._replay.first_stage",
    "evaluation.judgments": "evaluation._labels.formats",
    "evaluation.moves": "evaluation._losses",
    "evaluation.parts": "evaluation._recording.capture",
    "evaluation.progress": "evaluation._recording.record",
    "evaluation.shown": "_util.display",
    "evaluation.reading": "evaluation._recording.capture",
    "evaluation.recorder": "evaluation._recording.record",
    "evaluation.replays": "evaluation._replay.replay",
    "evaluation.rereading": "evaluation._replay.traverse",
    "evaluation.rescoring": "evaluation._replay.traverse",
    "evaluation.selection": "evaluation._statistics.choice",
    "evaluation.settings": "evaluation._grid",
    "evaluation.stagewise": "evaluation._replay.runs",
    "evaluation.traversal": "evaluation._replay.traverse",
    "evaluation.tuning": "evaluation._tune",
    "evaluation.verdicts": "evaluation._verdict.verdict",
    "evaluation.measures": "evaluation._measures.measures",
    "evaluation.recording": "evaluation._recording.query",
    "evaluation.observations": "evaluation._health.observations",
    "evaluation.runs": "evaluation._replay.runs",
    "evaluation.statistics": "evaluation._statistics.permutation",
    **_each("evaluation.", "evaluation._recording.", "parquet setup shards"),
    **_each("evaluation.", "evaluation._verdict.", "pairing slices"),
    "evaluation.formats": "evaluation._labels.formats",
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
    **_each("recall.", "recall._stores.", "chroma chroma_errors chroma_where qdrant_filter"),
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


def _home(path: str) -> str:
    """Return the present path of a module of an earlier version, or an empty string."""
    root, _, old = path.partition(".")
    if root != "runoff":
        return ""
    if old in _MOVED:
        return f"runoff.{_MOVED[old]}"
    room, _, name = old.partition(".")
    if room not in _ROOMS or not name or name.startswith("_") or "." in name:
        return ""
    from importlib.util import find_spec  # noqa: PLC0415 - only an old path needs it

    new = f"runoff.{room}._{name}"
    return new if find_spec(new) else ""


def current(text: str) -> str:
    """Return a stored text with the modules that it names as they are called now."""
    import re  # noqa: PLC0415 - `import runoff` is to be quick

    def renamed(path: re.Match[str]) -> str:
        names = path.group().split(".")
        for end in range(len(names), 1, -1):
            new = _home(".".join(names[:end]))
            if new:
                return ".".join([new, *names[end:]])
        return path.group()

    return re.sub(r"\brunoff(?:\.\w+)+", renamed, text)


class _Moved:
    """Finds the old path of a module, and loads a stand-in that looks names up in the new one."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if not _home(name):
            return None
        from importlib.machinery import ModuleSpec  # noqa: PLC0415 - only an old path needs it

        return ModuleSpec(name, _Moved, is_package=name == "runoff.onnx")  # type: ignore[arg-type] # a loader by its methods

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        """Leave making the module to Python."""

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Let the old module answer with the names of the present one."""
        import warnings  # noqa: PLC0415 - only an old path needs it
        from importlib import import_module  # noqa: PLC0415 - as above

        old, new = module.__name__, _home(module.__name__)
        present = import_module(new)
        face = new.partition("._")[0]
        warnings.warn(
            f"{old} is no longer public and will be removed in runoff 0.3: "
            f"import its public names from {face}",
            DeprecationWarning,
            stacklevel=2,
        )

        def look_up(name: str) -> Any:  # noqa: ANN401 - any attribute of the module
            for place in (present, import_module(face)):
                if hasattr(place, name):
                    return getattr(place, name)
            message = f"module {old!r} has moved to {face} and has no attribute {name!r} any more"
            raise AttributeError(message)

        vars(module)["__getattr__"] = look_up  # PEP 562


def install() -> None:
    """Make the old paths importable; a second call changes nothing."""
    if _Moved not in sys.meta_path:
        sys.meta_path.append(_Moved)
