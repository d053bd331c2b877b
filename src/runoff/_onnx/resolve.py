"""From the name of a model to its files on disk."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runoff._onnx import hub
from runoff._onnx.files import (
    PRECISIONS,
    SETTINGS,
    ModelFiles,
    check_exhausted,
    choose,
    in_directory,
    verified,
)
from runoff._util.arguments import is_one_of, is_whole
from runoff.errors import InvalidArgument, MissingExtra, ModelDamaged, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from runoff._onnx.files import ModelDirectory, Precision

_F = TypeVar("_F")
_fetched: dict[tuple[str, str, str | None, Path | None, bool], Path] = {}


def check(
    model: object, precision: object, revision: object, cache_dir: object, local_files_only: object
) -> None:
    """Refuse arguments that cannot name a model.

    Raises:
        InvalidArgument: names the argument.
    """
    if not isinstance(model, str | Path) or not str(model).strip() or "\0" in str(model):
        raise InvalidArgument("model", model, "must be a model's name or the path of its directory")
    if not is_one_of(precision, PRECISIONS):
        raise InvalidArgument("precision", precision, f"must be one of {', '.join(PRECISIONS)}")
    if revision is not None and (not isinstance(revision, str) or not revision):
        raise InvalidArgument("revision", revision, "must be a branch, tag or commit, or None")
    if cache_dir is not None and (not isinstance(cache_dir, str | Path) or "\0" in str(cache_dir)):
        raise InvalidArgument("cache_dir", cache_dir, "must be a path or None")
    if not isinstance(local_files_only, bool):
        raise InvalidArgument("local_files_only", local_files_only, "must be True or False")


def check_length(max_length: object) -> None:
    """Refuse a `max_length` that is not a number of tokens.

    Raises:
        InvalidArgument: always names it.
    """
    if max_length is not None and not is_whole(max_length):
        raise InvalidArgument("max_length", max_length, "must be a number of tokens, or None")


def length(files: ModelDirectory, max_length: int | None) -> int:
    """Return how many tokens to read: as the user asks, or else by the model's settings.

    Raises:
        InvalidArgument: the model cannot read so many.
    """
    if max_length is None:
        return files.max_length
    if files.positions is not None and max_length > files.positions:
        raise InvalidArgument(
            "max_length", max_length, f"{files.name} reads at most {files.positions} tokens"
        )
    return max_length


def resolve(
    model: str | Path,
    *,
    precision: Precision = "auto",
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> ModelFiles:
    """Find a model's files.

    A `Path`, and a text that names an existing directory, is a directory; a plain word is an
    embedded model of `runoff-models` (checksums verified) even where a directory has the same name;
    `"org/name"` is a model of the Hugging Face Hub.

    Raises:
        ModelNotFound: there is no such model, or a file of it is missing.
        ModelDamaged: a file of an embedded model differs from the release.
        MissingExtra: an embedded model is asked for and `runoff-models` is not installed.
    """
    name = str(model)
    if is_plain(model):
        return _embedded(name, precision)

    def wanted(names: Sequence[str]) -> list[str]:
        chosen, _ = choose(names, precision, name)
        return [*SETTINGS, chosen, f"{chosen}_data*", f"{chosen}.data*"]

    def look(directory: Path) -> ModelFiles:
        return in_directory(directory, name=name, precision=precision)

    return fetched(
        model,
        look,
        wanted,
        kind=precision,
        revision=revision,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
    )


def find(config: Any) -> ModelFiles:  # noqa: ANN401 - any configuration with these fields
    """Find the files of the model that a configuration names; see `resolve`."""
    return resolve(
        config.model,
        precision=config.precision,
        revision=config.revision,
        cache_dir=config.cache_dir,
        local_files_only=config.local_files_only,
    )


def fetched(
    model: str | Path,
    look: Callable[[Path], _F],
    wanted: Callable[[Sequence[str]], list[str]],
    *,
    kind: str,
    revision: str | None,
    cache_dir: str | Path | None,
    local_files_only: bool,
) -> _F:
    """Find a directory or a model of the Hub, and return its files as `look` finds them.

    Args:
        model: a directory or `"org/name"`.
        look: finds a model's files in a directory, or raises `ModelNotFound`.
        wanted: as in `hub.fetch`.
        kind: a word for what is wanted; the Hub is asked once per word and model.
        revision: as in `hub.fetch`.
        cache_dir: as in `hub.fetch`.
        local_files_only: as in `hub.fetch`.

    Raises:
        ModelNotFound: there is no such model, or a file of it is missing.
    """
    name, directory = str(model), Path(model).expanduser()
    if directory.is_dir() or not needs_hub(model):
        return look(directory)
    cache = None if cache_dir is None else Path(cache_dir).expanduser()
    key = (name, kind, revision, cache, local_files_only)
    found = _fetched.get(key)
    if found is None or not found.is_dir():
        found = hub.fetch(
            name,
            wanted=wanted,
            revision=revision,
            cache_dir=cache,
            local_files_only=local_files_only,
        )
    files = look(found)
    _fetched[key] = found
    return files


def needs_hub(model: str | Path) -> bool:
    """Whether this model can only be on the Hugging Face Hub or in its cache."""
    return isinstance(model, str) and hub.is_name(model) and not Path(model).is_dir()


def is_plain(model: str | Path) -> bool:
    """Whether this is a plain word, as the names of embedded models are."""
    if not isinstance(model, str):
        return False
    separators = f"/{os.sep}{os.altsep or ''}"
    return not any(one in model for one in separators) and not model.startswith((".", "~"))


def _embedded(name: str, precision: Precision) -> ModelFiles:
    package = _models()
    known = package.names()
    if name not in known:
        raise ModelNotFound(
            f"{name}: no embedded model has this name; there are {', '.join(known)}. "
            'Models of the Hugging Face Hub are "org/name", directories contain a "/"'
        )
    try:
        directory = package.path(name)
    except package.ModelDamagedError as error:
        check_exhausted(error.__cause__, name)
        if getattr(sys, "frozen", False) and not error.file.exists():
            raise ModelNotFound(
                f"{name}: the model is not bundled with this application: {error.file} is missing. "
                "Build it with the data of runoff_models: pyinstaller --collect-data runoff_models"
            ) from error
        raise ModelDamaged(str(error)) from error
    files = in_directory(directory, name=name, precision="auto")
    verified(files)
    made = files.config.get("precision")
    kind = made if isinstance(made, str) else files.precision
    if precision not in {"auto", kind}:
        raise ModelNotFound(f"{name}: the embedded model is {kind}, not {precision}")
    return ModelFiles(name, directory, files.onnx, kind)


def _models() -> ModuleType:
    try:
        import runoff_models  # noqa: PLC0415 - an optional distribution
    except ModuleNotFoundError as error:
        if error.name != "runoff_models":
            raise
        raise MissingExtra("runoff-models", "models") from error
    return runoff_models
