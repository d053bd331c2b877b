"""What the command line evaluates: collections, built-in pipelines, and systems by name."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import operator
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from runoff.errors import InvalidArgument, MissingExtra
from runoff.evaluation._collection import Collection
from runoff.evaluation._formats import Gathered, numbered_lines, read_qrels, read_texts
from runoff.evaluation._recording import Recording
from runoff.evaluation._runs import by_stage, read_run
from runoff.pipeline._systems import as_system

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from runoff.evaluation._measures import Run
    from runoff.pipeline import TwoStage
    from runoff.protocols import RecallSource
    from runoff.recall._dense.embedder import Embedder
    from runoff.types import Document

__all__ = [
    "BUILT_IN",
    "Told",
    "attribute_of",
    "built_in",
    "called",
    "collection_of",
    "runs_of",
    "system_of",
    "texts_of",
]

BUILT_IN = ("bm25", "dense")
_DATASET = "ir_datasets:"

Told = Recording | dict[str, "Run"] | object
"""A saved recording, named runs, or a system that has yet to be asked."""


def collection_of(given: str, *, split: str, topics: Path | None, documents: bool) -> Collection:
    """Return the collection that an argument names.

    Args:
        given: a BEIR folder, a `.csv`, `.tsv` or `.jsonl` file, `ir_datasets:NAME`, or else a qrels
            file.
        split: whose judgments, for a BEIR folder.
        topics: the queries of a qrels file; None gives each its id for a text.
        documents: whether documents are needed.

    Raises:
        InvalidArgument: there is no such file or folder.
        MalformedData: a line cannot be read.
    """
    if given.startswith(_DATASET):
        return Collection.from_ir_datasets(given.removeprefix(_DATASET), documents=documents)
    path = Path(given)
    if path.is_dir():
        return Collection.from_beir(path, split=split, documents=documents)
    if not path.is_file():
        raise InvalidArgument("collection", given, "is neither a file nor a folder")
    name = path.name.lower().removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson")):
        return Collection.from_jsonl(path)
    if name.endswith(".csv") or (name.endswith(".tsv") and topics is None and _is_table(path)):
        return Collection.from_csv(path)
    if topics is not None:
        return Collection.from_trec(path, topics)
    gathered = Gathered()
    read_qrels(path, gathered)
    return Collection({one: one for one in gathered.qrels}, gathered.qrels, name=path.name)


def _is_table(path: Path) -> bool:
    """Return whether a file of tabs names its columns as `from_csv` does, and not as BEIR does."""
    _, first = next(numbered_lines(path), ("", ""))
    return "query" in [cell.strip() for cell in first.split("\t")]


def texts_of(given: str, recording: Recording) -> dict[str, str] | None:
    """Return the texts that a BEIR folder has of a recording's documents; None where it has none.

    Args:
        given: the argument that names the collection.
        recording: names the documents.

    Raises:
        MalformedData: a line cannot be read.
    """
    corpus = [Path(given) / name for name in ("corpus.jsonl", "corpus.jsonl.gz")]
    file = next((one for one in corpus if one.is_file()), None)
    if file is None:
        return None
    return read_texts(file, {doc_id for query in recording for doc_id in query.doc_ids})


def system_of(argument: str, given: str) -> Told:
    """Return what a name stands for: a recording's folder, a run file, or `module:attribute`.

    An attribute that is no system itself is called without arguments and must return one.

    Args:
        argument: which option named it, for the message.
        given: the name.

    Raises:
        InvalidArgument: there is no such file, folder, module or attribute, or it is no system.
    """
    path = Path(given)
    if path.is_dir():
        return Recording.open(path)
    if path.is_file():
        return {path.name: read_run(path)}
    found = attribute_of(argument, given)
    try:
        return as_system(found)
    except InvalidArgument:
        if not callable(found):
            raise
    return as_system(called(argument, given, found))


def called(argument: str, given: str, found: Callable[..., object]) -> object:
    """Return what a user's function returns.

    Raises:
        InvalidArgument: it wants arguments.
    """
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        remedy = f"cannot be used as it is, nor called without arguments: {error}"
        raise InvalidArgument(argument, given, remedy) from None
    except ValueError:  # some of C's own tell no signature
        pass
    return found()


def attribute_of(argument: str, given: str) -> object:
    """Return what `module:attribute` names; modules are looked for in this folder, too.

    Raises:
        InvalidArgument: there is no such module or attribute.
    """
    module, _, attribute = given.partition(":")
    if not module or not attribute:
        remedy = "is no recording's folder, no run file and not of the form module:attribute"
        raise InvalidArgument(argument, given, remedy)
    if str(Path.cwd()) not in sys.path:  # as `python -m` would have it
        sys.path.insert(0, str(Path.cwd()))
    try:
        return operator.attrgetter(attribute)(importlib.import_module(module))
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the user's module misses another
        raise InvalidArgument(argument, given, f"there is no module {error.name!r}") from None
    except AttributeError as error:
        raise InvalidArgument(argument, given, str(error)) from None


def built_in(
    collection: Collection,
    *,
    sources: str,
    reranker: str,
    window: int,
    depth: int,
    cache: Path | None,
    progress: Callable[[str, int, int], None],
) -> TwoStage:
    """Return a pipeline of the embedded models over a collection's documents.

    Args:
        collection: has the documents.
        sources: names of `BUILT_IN`, with commas.
        reranker: a model's name, or `"none"`.
        window: candidates scored; it reads no more of them, however many it would by default.
        depth: hits asked of each source, likewise.
        cache: where embeddings are kept; None is the user's cache folder.
        progress: called with what is done, how much of it, and how much there is.

    Raises:
        InvalidArgument: the collection has no documents, or a source is none of `BUILT_IN`.
    """
    if collection.documents is None:
        remedy = f"{collection.name} has no documents to search: name a system with --system"
        raise InvalidArgument("system", None, remedy)
    named = [name.strip() for name in sources.split(",")]
    if not named or set(named) - set(BUILT_IN):
        raise InvalidArgument("sources", sources, f"must be of {', '.join(BUILT_IN)}, with commas")
    from runoff.pipeline import TwoStage  # noqa: PLC0415 - --help needs none of this

    documents = list(collection.documents.values())
    made: dict[str, RecallSource] = {}
    for name in named:
        made[name] = _bm25(documents) if name == "bm25" else _dense(documents, cache, progress)
    usual = TwoStage(made, reranker=None if reranker == "none" else reranker)
    return replace(usual, window=min(window, usual.window), depth=min(depth, usual.depth))


def _bm25(documents: list[Document]) -> RecallSource:
    from runoff.recall._bm25.bm25 import BM25  # noqa: PLC0415 - as above

    return BM25(documents)


def _dense(
    documents: list[Document], cache: Path | None, progress: Callable[[str, int, int], None]
) -> RecallSource:
    from runoff.recall._dense.dense import Dense  # noqa: PLC0415 - as above
    from runoff.recall._dense.embedder import Embedder  # noqa: PLC0415 - as above

    embedder = Embedder()
    found = [one for one in documents if one.text.strip()]  # `Dense` embeds no blank text either
    vectors = _embedded(embedder, found, cache or _cache_root(), progress)
    return Dense(found, embedder, embeddings=vectors)


def _embedded(
    embedder: Embedder,
    documents: list[Document],
    cache: Path,
    progress: Callable[[str, int, int], None],
) -> NDArray[np.float32]:
    """Return embeddings, kept by the model's identity and the texts: minutes of work."""
    digest = hashlib.sha256(repr(embedder.identity).encode())
    for document in documents:
        digest.update(document.text.encode("utf-8", "surrogatepass") + b"\0")
    kept = cache / f"embeddings-{digest.hexdigest()[:32]}.npy"
    if kept.is_file():
        try:
            vectors: NDArray[np.float32] = np.load(kept, allow_pickle=False)
        except (OSError, ValueError):
            vectors = np.empty((0, 0), np.float32)
        if vectors.shape == (len(documents), embedder.dims):
            return vectors
    vectors = embedder.embed(
        [document.text for document in documents],
        progress=lambda done, total: progress("embedding", done, total),
    ).values
    try:
        cache.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial")
        with partial.open("wb") as stream:
            np.save(stream, vectors, allow_pickle=False)
        partial.replace(kept)
    except OSError as error:  # shown all the same
        sys.stderr.write(f"runoff: not kept for next time: {kept}: {error.strerror}\n")
    return vectors


def _cache_root() -> Path:
    try:
        import platformdirs  # noqa: PLC0415 - of an extra
    except ImportError:
        raise MissingExtra("platformdirs", "cli") from None
    return platformdirs.user_cache_path("runoff") / "evaluate"


def runs_of(told: Recording | dict[str, Run]) -> dict[str, Run]:
    """Return named runs, the last of which is what the system answers."""
    return by_stage(told) if isinstance(told, Recording) else told
