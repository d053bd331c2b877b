"""The embedded models of runoff: the folder of each, with verified checksums.

Each model is a folder with ``model_int8.onnx``, ``tokenizer.json``, ``config.json``,
``checksums.json`` and its card ``README.md``; that of late interaction has ``late.json`` and its
arrays besides. This package needs nothing but the standard library.

    RuntimeError
      └── ModelDamagedError    a file is missing or differs from its recorded SHA-256
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["ModelDamagedError", "__version__", "names", "path"]

__version__ = "0.1.0"  # the build reads it from here

_DATA: Final = Path(__file__).resolve().parent / "data"
_CHECKED: Final = ("config.json", "model_int8.onnx", "tokenizer.json")
_LATE: Final = ("late.json", "late_mean.bin", "late_projection.bin", "late_weights.bin")
_FILES: Final = {  # of each model, those whose checksums are recorded
    "all-MiniLM-L6-v2": _CHECKED,
    "runoff-late": (*_CHECKED, *_LATE),
    "runoff-mini": _CHECKED,
}


class ModelDamagedError(RuntimeError):
    """A model file is missing, unreadable or not the one that was released.

    Attributes:
        file: the file in question.
        expected: its recorded SHA-256 in hexadecimal, or what was expected in words.
        found: the SHA-256 found, or what was found in words.
    """

    def __init__(self, file: Path, *, expected: str, found: str) -> None:
        super().__init__(file, expected, found)
        self.file = file
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        """The file, the two checksums and the remedy."""
        return (
            f"{self.file} is damaged: expected {self.expected}, found {self.found}. "
            "Reinstall it: pip install --force-reinstall --no-deps runoff-models"
        )


def names() -> tuple[str, ...]:
    """The names of the embedded models."""
    return tuple(_FILES)


def path(name: str) -> Path:
    """The folder of a model, after its files were checked against their recorded SHA-256.

    The check reads every byte of the model (23 MB, some 20 ms) and runs once per process and model.

    Args:
        name: one of `names()`.

    Raises:
        ValueError: no such model is embedded; the message lists those that are.
        ModelDamagedError: a file is missing or its checksum differs.
    """
    if name not in _FILES:
        raise ValueError(f"no embedded model {name!r}; there are: {', '.join(_FILES)}")
    return _verified(_DATA / name)


@cache
def _verified(folder: Path) -> Path:
    """The folder itself, after its files were checked."""
    listing = folder / "checksums.json"
    try:
        recorded = json.loads(listing.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelDamagedError(listing, expected="a JSON object", found=str(error)) from error
    if not isinstance(recorded, dict):
        raise ModelDamagedError(listing, expected="a JSON object", found="another value")
    for file in _FILES[folder.name]:
        expected = f"SHA-256 {recorded.get(file, 'recorded in checksums.json')}"
        try:
            with (folder / file).open("rb") as stream:
                found = f"SHA-256 {hashlib.file_digest(stream, 'sha256').hexdigest()}"
        except OSError as error:
            raise ModelDamagedError(folder / file, expected=expected, found=str(error)) from error
        if found != expected:
            raise ModelDamagedError(folder / file, expected=expected, found=found)
    return folder
