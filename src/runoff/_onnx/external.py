"""Which files beside an ONNX graph hold its weights, read from the graph itself.

A graph names each such file by a path relative to its own folder. The names come from whoever made
the model, so a path that leaves the folder is refused here, whichever onnxruntime is installed.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from runoff._util.stored import open_stored
from runoff.errors import ModelDamaged

if TYPE_CHECKING:
    from collections.abc import Iterator

# the fields of onnx.proto that lead to tensors: message to field number to message
_INSIDE = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_DEEPEST = 64  # levels of messages
_LONGEST = 4096  # bytes of a path
_LOCATION = b"location"
_SMALL = 65_536  # bytes of a message that is searched before it is walked, as most are of nodes
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_known: dict[tuple[str, int, int], tuple[str, ...]] = {}


def external_files(graph: Path, model: str) -> list[Path]:
    """Return the files that hold a graph's weights, sorted; none where it holds them itself.

    Raises:
        ModelDamaged: the graph cannot be read, a file is missing, or lies outside the folder.
        OSError: the graph cannot be opened.
    """
    found = []
    for location in _locations(graph, model):
        name = PurePosixPath(location)
        if name.is_absolute() or ".." in name.parts or "\\" in location or "\0" in location:
            raise ModelDamaged(
                f"{model}: {graph} names weights outside its own folder ({location!r}), which are "
                "not read: take the model from another source"
            )
        path = graph.parent / name
        if not path.is_file():
            raise ModelDamaged(
                f"{model}: the weights {location!r} that {graph} names are missing: put the file "
                "beside it, or fetch the whole model again"
            )
        real = path.resolve()
        if not any(real.is_relative_to(one) for one in (graph.parent.resolve(), _home(graph))):
            raise ModelDamaged(
                f"{model}: the weights {path} are a link to {real}, outside the model's folder, "
                "and are not read: copy the file there"
            )
        found.append(path)
    return sorted(found)


def holds_its_weights(graph: Path) -> None:
    """Note that a graph names no file of weights, so that it need not be read to find that out."""
    _known[_key(graph, graph.stat())] = ()


def is_linked(graph: Path, files: list[Path]) -> bool:
    """Whether weights are reached through a link, which some versions of onnxruntime refuse."""
    return any(path.resolve().parent != graph.parent.resolve() for path in files)


def _home(graph: Path) -> Path:
    """Return the folder where the graph really lies: in a Hub cache all files are links to one."""
    return graph.resolve().parent


def _locations(graph: Path, model: str) -> tuple[str, ...]:
    """Return the paths that a graph names, each once."""
    with open_stored(graph) as stream:
        state = os.fstat(stream.fileno())
        key = _key(graph, state)
        known = _known.get(key)
        if known is None:
            try:
                known = tuple(dict.fromkeys(_walk(stream, state.st_size, "model", 0)))
            except ValueError as error:
                msg = f"{model}: {graph} cannot be loaded ({error}): fetch the model again"
                raise ModelDamaged(msg) from error
            _known[key] = known
    return known


def _key(graph: Path, state: os.stat_result) -> tuple[str, int, int]:
    return str(graph), state.st_size, state.st_mtime_ns


def _walk(stream: BinaryIO, end: int, kind: str, level: int) -> Iterator[str]:
    """Yield the locations in one message, from where the stream is to `end`.

    Raises:
        ValueError: it is not a message of this format.
    """
    if level > _DEEPEST:
        raise ValueError("it is nested too deeply")
    while stream.tell() < end:
        tag = _varint(stream)
        size = _size(stream, tag & 7)
        after = stream.tell() + size
        if after > end:
            raise ValueError("the file ends too early")
        inside = _INSIDE[kind].get(tag >> 3) if tag & 7 == _BYTES else None
        if inside == "entry":
            key, value = _entry(stream.read(size))
            if key == _LOCATION:
                yield value.decode()
        elif inside is not None and not (size <= _SMALL and _LOCATION not in stream.read(size)):
            stream.seek(after - size)
            yield from _walk(stream, after, inside, level + 1)
        stream.seek(after)


def _size(stream: BinaryIO, wire: int) -> int:
    """Return how many bytes of a field are still to come.

    Raises:
        ValueError: there is no such kind of field.
    """
    if wire == _VARINT:
        _varint(stream)
        return 0
    if wire == _BYTES:
        return _varint(stream)
    if wire not in {_FIXED64, _FIXED32}:
        raise ValueError("it is not an ONNX graph")
    return 8 if wire == _FIXED64 else 4


def _entry(data: bytes) -> tuple[bytes, bytes]:
    """Return the key and the value of a pair of texts."""
    texts = {1: b"", 2: b""}
    at = 0
    while at < len(data):
        field, at = _number(data, at)
        size, at = _number(data, at)
        if field & 7 != _BYTES or at + size > len(data) or size > _LONGEST:
            raise ValueError("the location of its weights cannot be read")
        texts[field >> 3] = data[at : at + size]
        at += size
    return texts[1], texts[2]


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint and where it ends."""
    value = shift = 0
    while at < len(data) and shift < 64:  # noqa: PLR2004 - bits
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
    raise ValueError("the location of its weights cannot be read")


def _varint(stream: BinaryIO) -> int:
    value = shift = 0
    while shift < 70:  # noqa: PLR2004 - ten bytes of seven bits
        byte = stream.read(1)
        if not byte:
            break
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:  # noqa: PLR2004 - the last byte of a number
            return value
        shift += 7
    raise ValueError("the file ends too early")
