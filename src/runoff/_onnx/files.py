"""The files of a model in a directory: its ONNX builds and its settings."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from runoff._onnx import cpu
from runoff._onnx.external import external_files, holds_its_weights
from runoff._util.faults import reason_of
from runoff._util.stored import is_count, is_finite, is_text, open_stored, parse_json
from runoff.errors import ModelDamaged, ModelNotFound, PoolFull

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Precision: TypeAlias = Literal["auto", "int8", "fp32"]
PRECISIONS = ("auto", "int8", "fp32")

TOKENIZER = "tokenizer.json"
CHECKSUMS = "checksums.json"  # beside a model made for runoff: file names to SHA-256
SETTINGS = (
    "config.json",
    TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "sentence_bert_config.json",
    "modules.json",
    "*_Pooling/config.json",
    "late.json",
    "late_*.bin",
)
_INT8_NAMES = ("int8", "quantized", "uint8")
_INT8 = re.compile(r"int8|quantized")
_FOLDERS = ("onnx", "")  # where exports are in a model directory, best first
_MOST_LIKELY_A_SENTINEL = 1_000_000  # transformers writes 1e30 for "no limit"
_UNLIMITED = 512
_PADDED_POSITIONS = ("camembert", "roberta", "xlm-roberta")  # position ids start at padding + 1


@dataclass(frozen=True)
class ModelDirectory:
    """A model on disk and its settings.

    Attributes:
        name: as the user gave it.
        directory: with its files.
    """

    name: str
    directory: Path

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The content of `config.json`; empty when there is none."""
        return self.settings("config.json")

    def settings(self, name: str) -> Mapping[str, Any]:
        """Return the content of a JSON file of the model; empty when there is none.

        Raises:
            ModelDamaged: the file is not a JSON object.
        """
        read = self._json(name)
        if read is None:
            return {}
        if not isinstance(read, dict):
            raise ModelDamaged(f"{self.name}: {name} is not a JSON object: fetch the model again")
        return read

    def _json(self, name: str) -> object:
        path = self.directory / name
        try:
            read: object = parse_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            check_exhausted(error, path)
            msg = f"{self.name}: {path} cannot be read ({error}): fetch the model again"
            raise ModelDamaged(msg) from error
        return read

    def modules(self) -> list[str]:
        """Return the types in `modules.json`, such as `"Pooling"`; empty when there is none.

        Raises:
            ModelDamaged: the file cannot be read as sentence-transformers writes it.
        """
        listed = self._json("modules.json")
        if listed is None:
            return []
        if not isinstance(listed, list) or not all(
            isinstance(one, dict) and is_text(one.get("type")) for one in listed
        ):
            msg = f"{self.name}: modules.json is not a list of modules: fetch the model again"
            raise ModelDamaged(msg)
        return [one["type"].rpartition(".")[2] for one in listed]

    @property
    def ours(self) -> bool:
        """Whether `config.json` is written for runoff, as that of the embedded models is."""
        return "kind" in self.config

    @property
    def architecture(self) -> str:
        """The first of the architectures in `config.json`; `"none"` when there is none."""
        named = self.config.get("architectures")
        return str(named[0]) if isinstance(named, list) and named else "none"

    @cached_property
    def positions(self) -> int | None:
        """The most tokens that the model can read; None when its settings do not say."""
        stated = self.config.get("max_position_embeddings")
        if not is_count(stated, 1):
            return None
        if self.config.get("model_type") not in _PADDED_POSITIONS:
            return stated
        padding = self.config.get("pad_token_id") or 0
        if not is_count(padding, most=stated - 2):
            raise ModelDamaged(
                f"{self.name}: config.json has {stated} positions and the padding token "
                f"{padding!r}, which do not fit together: fetch the model again"
            )
        return stated - padding - 1

    @cached_property
    def max_length(self) -> int:
        """The tokens that the model was trained to read, special tokens included.

        The first of these: `max_length` in `config.json` (models made for runoff),
        `max_seq_length` in `sentence_bert_config.json`, `model_max_length` in
        `tokenizer_config.json`, the positions, 512.
        """
        stated = (
            self.config.get("max_length") if self.ours else None,
            self.settings("sentence_bert_config.json").get("max_seq_length"),
            self.settings("tokenizer_config.json").get("model_max_length"),
            self.positions,
        )
        for length in stated:
            if is_finite(length) and 1 <= length < _MOST_LIKELY_A_SENTINEL:
                return min(int(length), self.positions or int(length))
        return _UNLIMITED


@dataclass(frozen=True)
class ModelFiles(ModelDirectory):
    """A model on disk that is an ONNX graph.

    Attributes:
        onnx: the graph to run.
        precision: `"int8"`, `"fp32"`, or another that the file name or `config.json` names.
    """

    onnx: Path
    precision: str

    @property
    def tokenizer(self) -> Path:
        return self.directory / TOKENIZER

    def external(self) -> list[Path]:
        """Return the files beside the graph that hold its weights.

        Raises:
            ModelNotFound: the graph cannot be opened.
            ModelDamaged: the graph cannot be read, or a file is missing or outside the folder.
        """
        try:
            return external_files(self.onnx, self.name)
        except OSError as error:
            msg = f"{self.onnx} cannot be read ({error.strerror}): fetch the model again"
            raise ModelNotFound(msg) from error

    def _read(self) -> Iterator[Path]:
        """Yield the files that scores depend on; the graph is checked before it is parsed."""
        yield self.onnx
        yield from self.external()
        yield self.tokenizer

    def digest(self) -> str:
        """Return a checksum of the graph, its external data and the tokenizer (SHA-256, hex).

        Raises:
            ModelNotFound: a file is missing.
            ModelDamaged: the model was made for runoff and a file differs from `checksums.json`, or
                as for `external`.
        """
        whole = hashlib.sha256()
        recorded = self.settings(CHECKSUMS) if self.ours else {}
        for path in self._read():
            found = checksum(path)
            if recorded.get(path.relative_to(self.directory).as_posix(), found) != found:
                msg = (
                    f"{self.name}: {path} does not have the recorded checksum: fetch or export "
                    "the model again"
                )
                raise ModelDamaged(msg)
            whole.update(found.encode("ascii"))
        return whole.hexdigest()


def in_directory(directory: Path, *, name: str, precision: Precision) -> ModelFiles:
    """Find a model's files in a directory.

    Raises:
        ModelNotFound: the directory, its tokenizer or a fitting ONNX file is missing.
    """
    if not directory.is_dir():
        raise ModelNotFound(f"{name}: there is no directory {directory}")
    names = [
        path.relative_to(directory).as_posix()
        for folder in _FOLDERS
        for path in sorted((directory / folder).glob("*.onnx"))
    ]
    chosen, kind = choose(names, precision, name)
    if not (directory / TOKENIZER).is_file():
        raise ModelNotFound(
            f"{name}: {directory / TOKENIZER} is missing: save a fast tokenizer there, with "
            f"transformers: AutoTokenizer.from_pretrained(...).save_pretrained({str(directory)!r})"
        )
    return ModelFiles(name, directory, directory / chosen, kind)


def choose(names: Iterable[str], precision: Precision, model: str) -> tuple[str, str]:
    """Choose the ONNX build for this machine among a model's files.

    With `"auto"` that is the int8 build made for the processor, else a general int8 build, else
    the fp32 build, else the only one there is.

    Args:
        names: paths of the model's files, relative to its root, with `/`.
        precision: `"auto"`, `"int8"` or `"fp32"`.
        model: the model's name, for the error.

    Returns:
        The path chosen and its precision.

    Raises:
        ModelNotFound: there is no ONNX file, or none of that precision.
    """
    graphs = {
        name: PurePosixPath(name).stem
        for name in names
        if name.endswith(".onnx") and str(PurePosixPath(name).parent) in {".", "onnx"}
    }
    int8 = (*cpu.int8_flavours(), *_INT8_NAMES) if precision != "fp32" else ()
    wanted = [(f"model_{ending}", "int8") for ending in int8]
    if precision != "int8":
        wanted.append(("model", "fp32"))
    for stem, kind in wanted:
        for folder in _FOLDERS:
            path = f"{folder}/{stem}.onnx".lstrip("/")
            if path in graphs:
                return path, kind
    if len(graphs) == 1:
        ((path, stem),) = graphs.items()
        kind = "int8" if _INT8.search(stem) else stem.rpartition("_")[2] if "_" in stem else "fp32"
        if precision in {"auto", kind}:
            return path, kind
    if not graphs:
        raise ModelNotFound(
            f"{model}: it has no ONNX file: export it with "
            f'"runoff export MODEL DIRECTORY" and pass the directory'
        )
    msg = f"{model}: no ONNX file fits precision={precision!r}; there are {', '.join(graphs)}"
    raise ModelNotFound(msg)


_known: dict[tuple[str, int, int], str] = {}


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hex, kept until its size or modification time changes.

    Raises:
        ModelNotFound: the file is missing or cannot be read.
    """
    try:
        state = path.stat()
        key = (str(path), state.st_size, state.st_mtime_ns)
        known = _known.get(key)
        if known is None:
            with open_stored(path) as stream:
                known = hashlib.file_digest(stream, "sha256").hexdigest()
            _known[key] = known
    except OSError as error:
        check_exhausted(error, path)
        msg = f"{path} cannot be read ({error.strerror}): fetch the model again"
        raise ModelNotFound(msg) from error
    return known


def verified(files: ModelFiles) -> None:
    """Take over what is known of an embedded model, whose files were just compared with it."""
    holds_its_weights(files.onnx)
    recorded = files.settings(CHECKSUMS)
    for path in (files.onnx, files.tokenizer):
        found = recorded.get(path.name)
        if isinstance(found, str):
            state = path.stat()
            _known[str(path), state.st_size, state.st_mtime_ns] = found


def check_exhausted(error: BaseException | None, what: Path | str) -> None:
    """Raise PoolFull if a file could not be opened because too many are open."""
    if error is not None and reason_of(error) == PoolFull.reason:
        msg = f"{what} cannot be opened: no file descriptor is left ({error}); see `ulimit -n`"
        raise PoolFull(msg) from error
