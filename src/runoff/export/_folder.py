"""The folder of an export: its arguments, its graphs, and how it appears, whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from runoff._onnx.files import CHECKSUMS, checksum
from runoff._onnx.passes.graph import need_onnx
from runoff._util.arguments import is_one_of, is_share
from runoff._util.generations.files import force_path
from runoff._util.progress import check_progress
from runoff._util.stored import path_of
from runoff.errors import InvalidArgument, RunoffError
from runoff.rerank._local import backends

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runoff._onnx.files import ModelDirectory


Precisions = Literal["both", "fp32", "int8"]
FP32, INT8 = "model.onnx", "model_int8.onnx"


def checked(out: str | Path, precision: object, agreement: object, progress: object) -> Path:
    """Check the arguments of an export, and return the folder to create.

    Raises:
        InvalidArgument: an argument has an invalid value.
        MissingExtra: onnx is not installed.
    """
    check_progress(progress)
    if not is_one_of(precision, get_args(Precisions)):
        remedy = f"must be one of {', '.join(get_args(Precisions))}"
        raise InvalidArgument("precision", precision, remedy)
    if not is_share(agreement):
        raise InvalidArgument("agreement", agreement, "must be a number within 0 and 1")
    where = path_of("out", out).expanduser()
    check_absent(where)
    need_onnx()
    return where


def check_absent(out: Path) -> None:
    """Refuse a folder that exists, and one whose parent does not.

    Raises:
        InvalidArgument: always names it `out`.
    """
    if out.exists() or out.is_symlink():
        raise InvalidArgument("out", str(out), "exists already: remove it, or name another folder")
    if not out.parent.is_dir():
        raise InvalidArgument("out", str(out), f"its parent folder {out.parent} does not exist")


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """Fill a folder in the block; it appears under its own name when the block succeeds.

    It is filled as a hidden folder beside it, whose name ends in `.partial`, flushed to the disk
    and then renamed. A process that is killed leaves at most that hidden folder.

    Raises:
        InvalidArgument: as `check_absent`, before and after the block.
        RunoffError: something cannot be written.
    """
    check_absent(out)
    try:
        folder = Path(tempfile.mkdtemp(suffix=".partial", prefix=f".{out.name}-", dir=out.parent))
        try:
            yield folder
            folder.chmod(0o755)  # mkdtemp makes it readable for this user only
            for path in (*folder.iterdir(), folder):
                force_path(path)
            check_absent(out)  # renaming would replace an empty folder
            folder.rename(out)
            force_path(out.parent)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except OSError as error:
        raise RunoffError(f"{out}: it cannot be written: {error.strerror or error}") from error


def write_json(path: Path, value: object) -> None:
    """Write a JSON file for people to read."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def write_checksums(folder: Path, names: list[str]) -> None:
    """Write the SHA-256 of files to `checksums.json`, where loading a model looks for it."""
    write_json(folder / CHECKSUMS, {name: checksum(folder / name) for name in sorted(names)})


def described(
    directory: ModelDirectory, said: Mapping[str, object], **made_of: str
) -> dict[str, object]:
    """Return a model's own settings, with those of the export and what it was made from."""
    own = {name: value for name, value in directory.config.items() if name != "auto_map"}
    packages = ("sentence-transformers", "torch", "transformers")
    versions = dict(zip(packages, backends.versions(*packages), strict=True))
    return own | dict(said) | {"source": {"model": directory.name, **made_of, **versions}}


def finished(folder: Path, precision: Precisions) -> dict[str, int]:
    """Leave only the graphs that were asked for, write checksums, and return the graphs' bytes."""
    if precision == "int8":
        for path in folder.glob(f"{FP32}*"):
            path.unlink()
    write_checksums(folder, [path.name for path in folder.iterdir()])
    sizes = {
        kind: sum(path.stat().st_size for path in folder.glob(f"{name}*"))
        for kind, name in (("fp32", FP32), ("int8", INT8))
    }
    return {kind: size for kind, size in sizes.items() if size}
