"""How a model's token vectors are made: `late.json` in its folder, or what suits any encoder.

```
{"version": 1,
 "output": "token_vectors",            of the graph; else the first known name
 "projection": {"file": "late_projection.bin", "shape": [384, 128]},
 "mean": {"file": "late_mean.bin", "shape": [384]},
 "weights": {"file": "late_weights.bin", "shape": [30522]},
 "ordered": true,                      the first dimensions matter most: fewer may be kept
 "query": {...}, "document": {"prefix": "", "special": false, "skip": "punctuation",
                              "max_length": 256, "expansion": null}}
```

Every entry but the version may be left out. Files hold little-endian float32 numbers, row by row. A
vector is the graph's output less `mean`, times `projection`, scaled to length 1; `weights` has a
query weight for each id of the vocabulary. `special` keeps special tokens, `skip` lists the ids
that are left out, and `expansion` fills a query up with a token, as ColBERT does:
`{"id": 103, "length": 32, "attend": false}`.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._util.stored import is_count, is_text, read_stored
from runoff.errors import ModelDamaged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from runoff._onnx.files import ModelDirectory

SETTINGS_FILE = "late.json"
_VERSION = 1
_ARRAYS = {"projection": 2, "mean": 1, "weights": 1}  # and their dimensions
_PUNCTUATION = "punctuation"
_LONGEST = 1_000_000  # tokens


@dataclass(frozen=True, slots=True)
class Expansion:
    """The token that fills a query up.

    Attributes:
        token: its id.
        length: tokens of an expanded query, special tokens included.
        attend: whether other tokens attend to it.
    """

    token: int
    length: int
    attend: bool


@dataclass(frozen=True, slots=True)
class Side:
    """How queries, or documents, are read.

    Attributes:
        prefix: a text before each.
        special: whether special tokens have vectors that count.
        skip: ids that are left out; None leaves out punctuation.
        max_length: tokens of one run; None asks the model.
        expansion: of queries; None for none.
    """

    prefix: str = ""
    special: bool = False
    skip: frozenset[int] | None = None
    max_length: int | None = None
    expansion: Expansion | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LateSettings:
    """What `late.json` says.

    Attributes:
        query: how queries are read.
        document: how documents are read.
        output: the name of the graph's output, or None.
        projection: float32, shape (hidden, dims), or None.
        mean: float32, shape (hidden,), or None.
        weights: float32, shape (vocabulary,), or None.
        ordered: whether the first dimensions matter most.
        digest: a checksum of all this; empty without `late.json`.
    """

    query: Side = field(default_factory=Side)
    document: Side = field(default_factory=Side)
    output: str | None = None
    projection: NDArray[np.float32] | None = None
    mean: NDArray[np.float32] | None = None
    weights: NDArray[np.float32] | None = None
    ordered: bool = False
    digest: str = ""


def read_settings(directory: ModelDirectory) -> LateSettings:
    """Return how a model's token vectors are made.

    Raises:
        ModelDamaged: `late.json` or a file that it names is not as the format says.
    """
    stated = directory.settings(SETTINGS_FILE)
    if not stated:
        return LateSettings()
    name = directory.name
    known = {"version", "output", "ordered", "query", "document", *_ARRAYS}
    _require(name, is_count(stated.get("version"), 1), "states no version")
    newer = f"has version {stated['version']}, and this runoff reads {_VERSION}: update runoff"
    _require(name, stated["version"] <= _VERSION, newer)
    unknown = sorted(stated.keys() - known)
    _require(name, not unknown, f"has unknown entries: {', '.join(unknown)}")
    output, ordered = stated.get("output"), stated.get("ordered", False)
    _require(name, output is None or is_text(output), "must give its output as a string")
    _require(name, isinstance(ordered, bool), "must have true or false for ordered")
    digest = hashlib.sha256(repr(sorted(stated.items(), key=lambda one: one[0])).encode())
    arrays = {}
    for one, dimensions in _ARRAYS.items():
        if stated.get(one) is not None:
            arrays[one] = _array(directory, one, stated[one], dimensions)
            digest.update(arrays[one].tobytes())
    projection, mean = arrays.get("projection"), arrays.get("mean")
    fits = projection is None or mean is None or len(projection) == len(mean)
    _require(name, fits, "has a mean and a projection of different dimensions")
    return LateSettings(
        _side(name, "query", stated.get("query")),
        _side(name, "document", stated.get("document")),
        output,
        projection,
        mean,
        arrays.get("weights"),
        ordered,
        digest.hexdigest(),
    )


def _require(name: str, fine: bool, what: str) -> None:  # noqa: FBT001 - it reads as a sentence
    if not fine:
        raise ModelDamaged(f"{name}: its {SETTINGS_FILE} {what}: export or fetch the model again")


def _side(name: str, which: str, stated: object) -> Side:
    if stated is None:
        return Side()
    usual: dict[str, Any] = {
        "prefix": "",
        "special": False,
        "skip": _PUNCTUATION,
        "max_length": None,
        "expansion": None,
    }
    fine = isinstance(stated, dict) and stated.keys() <= usual.keys()
    _require(name, fine, f"may have only {', '.join(usual)} for {which}")
    one = usual | stated  # type: ignore[operator] # as checked
    skip, length = one["skip"], one["max_length"]
    listed = isinstance(skip, list) and all(is_count(token) for token in skip)
    _require(name, is_text(one["prefix"]), f"must give the prefix of {which} as a string")
    _require(
        name, isinstance(one["special"], bool), f"must have true or false as special for {which}"
    )
    _require(
        name, listed or skip == _PUNCTUATION, f'must have ids or "punctuation" as skip for {which}'
    )
    fine = length is None or is_count(length, 1, _LONGEST)
    _require(name, fine, f"must have a number of tokens as max_length for {which}")
    return Side(
        one["prefix"],
        one["special"],
        frozenset(skip) if listed else None,
        length,
        _expansion(name, which, one["expansion"]),
    )


def _expansion(name: str, which: str, stated: object) -> Expansion | None:
    if stated is None:
        return None
    fine = (
        which == "query"
        and isinstance(stated, dict)
        and stated.keys() == {"id", "length", "attend"}
        and is_count(stated["id"])
        and is_count(stated["length"], 1, _LONGEST)
        and isinstance(stated["attend"], bool)
    )
    _require(
        name,
        fine,
        "must have id, length and attend for expansion, which only queries have (found for "
        f"{which})",
    )
    said: Mapping[str, Any] = stated  # type: ignore[assignment] # as checked
    return Expansion(said["id"], said["length"], said["attend"])


def _array(
    directory: ModelDirectory, which: str, stated: object, dimensions: int
) -> NDArray[np.float32]:
    name = directory.name
    fine = (
        isinstance(stated, dict)
        and stated.keys() == {"file", "shape"}
        and is_text(stated["file"])
        and isinstance(stated["shape"], list)
        and len(stated["shape"]) == dimensions
        and all(is_count(one, 1, _LONGEST) for one in stated["shape"])
    )
    _require(name, fine, f"must have a file and a shape of {dimensions} numbers for {which}")
    said: Mapping[str, Any] = stated  # type: ignore[assignment] # as checked
    file = said["file"]
    plain = file not in {"", ".", ".."} and not any(one in file for one in "/\\\0:")
    _require(name, plain, f"must name a file in the model's own folder for {which}, not {file!r}")
    try:
        raw = read_stored(directory.directory / file)
    except OSError as error:
        msg = f"{name}: {file} cannot be read ({error.strerror}): fetch the model again"
        raise ModelDamaged(msg) from error
    _require(name, len(raw) == 4 * math.prod(said["shape"]), f"and {file} differ in size")
    array = np.frombuffer(raw, "<f4").astype(np.float32).reshape(said["shape"])
    _require(name, bool(np.isfinite(array).all()), f"names {file}, which is not finite")
    positive = which != "weights" or bool((array >= 0).all() and array.any())
    _require(name, positive, f"names {file}, whose weights must be 0 or more, and some above 0")
    return array
