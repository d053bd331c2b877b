"""The documents of `runoff demo`: the documentation of the Python standard library that runs it.

The documents are the docstrings of public modules, classes, functions, methods and properties, and
pydoc's language topics. A document's id is the name as written in code: `csv.DictReader`,
`str.split` (builtins have no prefix), `os.path.join`, `topic:for`. Long texts are split at
paragraphs, and further pieces are numbered: `argparse#2`.

A child interpreter also runs this file as a script (isolated, without `site`), so that importing
the whole library does not affect the caller's process and finds no installed package. Therefore
it imports only the standard library at module level.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
from dataclasses import dataclass, is_dataclass
from itertools import zip_longest
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runoff.types import Document

TARGET_CHARS = 1000  # a piece ends where the next paragraph would make it longer than this
MAX_CHARS = 1200  # a longer paragraph is broken between lines or words
MIN_CHARS = 200  # a shorter piece is joined to a neighbour
SHARED_CHARS = 80  # a shorter paragraph may occur in two topics by chance
MIN_WORDS = 2  # a shorter docstring says no more than the name
WALK_TIMEOUT_S = 120.0

# not for users, removed in a later version, or not on every machine (tkinter)
SKIPPED_MODULES = frozenset(
    {
        *("antigravity", "this", "idlelib", "lib2to3", "distutils", "pydoc_data", "test", "tests"),
        *("tkinter", "turtle", "turtledemo", "encodings", "opcode", "nturl2path"),
        *("posix", "posixpath", "nt", "ntpath", "genericpath"),
        *("sre_compile", "sre_constants", "sre_parse"),
    }
)

# repeats the docstrings of str's methods
SKIPPED_TOPICS = frozenset({"string-methods"})

_BOILERPLATE = ("Alias for field number", "An enumeration.", "Structure/Union member")
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_PARAGRAPHS = re.compile(r"\n[ \t]*\n")
_UNDERLINED = re.compile(r"[^\n]+\n([*=\-~^])\1+")


class Entry(NamedTuple):
    """One documented object, before its text is split."""

    name: str
    heading: str
    body: str
    kind: str
    module: str


@dataclass(frozen=True, slots=True)
class _Found:
    """One name under which an object was found, and how natural that name is."""

    name: str
    attribute: str
    kind: str
    module: str
    obj: Any
    alias: bool = False
    distance: int = 0

    def order(self) -> tuple[int, int, int, int, int, str]:
        """Sort the most natural name first.

        That is the name that does not go through a class's alias (`socket.SocketType`), is nearest
        to the defining class, has the fewest dots, is the object's own, and is the shortest.
        """
        dots = self.name.count(".")
        return (self.alias, self.distance, dots, self.strangeness(), len(self.name), self.name)

    def strangeness(self) -> int:
        """Count in how many ways the found name differs from the object's own."""
        own = str(getattr(self.obj, "__name__", self.attribute))
        return (own != self.attribute) + (own.lower() not in self.attribute.lower())


def stdlib_documents() -> list[Document]:
    """Return the documents of the running interpreter's standard library, sorted by id.

    A child process imports the library, so that this process is not affected. Each document's
    metadata has `kind` (module, class, function, method, property, object or topic), `module`, and
    `name`, which is the id without its piece number.

    Raises:
        RunoffError: the child failed; the message ends with its output on stderr.
    """
    # Here and not above, because the child runs this file without runoff on its path.
    from runoff.errors import RunoffError  # noqa: PLC0415
    from runoff.types import Document  # noqa: PLC0415

    command = [sys.executable, "-I", "-S", "-B", "-W", "ignore", "-X", "utf8", __file__]
    try:
        child = subprocess.run(  # noqa: S603 - this interpreter, this file, no input
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=WALK_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunoffError(f"cannot list the standard library: {error}") from error
    if child.returncode != 0:
        stderr = child.stderr.decode(errors="replace").strip()[-2000:]
        raise RunoffError(
            f"cannot list the standard library: exit code {child.returncode}: {stderr}"
        )
    rows: list[tuple[str, str, dict[str, str]]] = json.loads(child.stdout)
    return [Document(doc_id, text, metadata) for doc_id, text, metadata in rows]


def split_text(text: str) -> list[str]:
    """Split a text at blank lines into pieces of about TARGET_CHARS characters.

    A piece shorter than MIN_CHARS is joined to a neighbour, so the longest possible piece has
    MAX_CHARS + MIN_CHARS + 2 characters. A short text is one piece.
    """
    pieces: list[str] = []
    for paragraph in _paragraphs(text):
        size = len(pieces[-1]) if pieces else MAX_CHARS
        if size < MIN_CHARS or size + 2 + len(paragraph) <= TARGET_CHARS:
            pieces[-1] += "\n\n" + paragraph
        else:
            pieces.append(paragraph)
    if len(pieces) > 1 and len(pieces[-1]) < MIN_CHARS:
        last = pieces.pop()
        pieces[-1] += "\n\n" + last
    return pieces


def _paragraphs(text: str) -> Iterator[str]:
    """Yield paragraphs of at most MAX_CHARS, each title together with what follows it."""
    parts = [part.strip("\n").rstrip() for part in _PARAGRAPHS.split(text) if part.strip()]
    title = ""
    for part, following in zip_longest(parts, parts[1:], fillvalue=""):
        if following and _heads(part, following):
            title += part + "\n\n"
            continue
        rest, title = title + part, ""
        while len(rest) > MAX_CHARS:
            breaks = (rest.rfind(mark, 1, TARGET_CHARS) for mark in "\n ")
            cut = next((place for place in breaks if place > 0), TARGET_CHARS)
            yield rest[:cut].rstrip()
            rest = rest[cut:].strip("\n")
        if rest.strip():
            yield rest


def _heads(part: str, following: str) -> bool:
    """Whether a paragraph is a title: underlined, or a short line over text that is indented."""
    deeper = _indent(following) > _indent(part.rpartition("\n")[2])
    return bool(_UNDERLINED.fullmatch(part)) or (deeper and len(part) < MIN_CHARS)


def _indent(line: str) -> int:
    """Count the blanks at the start of a line."""
    return len(line) - len(line.lstrip(" "))


def _modules() -> Iterator[tuple[str, ModuleType]]:
    """Yield the name and module of each public module that this interpreter can import."""
    for top in sorted(sys.stdlib_module_names):
        yield from _module_tree(top)
    yield "os.path", os.path


def _module_tree(name: str) -> Iterator[tuple[str, ModuleType]]:
    """Yield a module and its public submodules, without those that cannot be imported."""
    part = name.rpartition(".")[2]
    if part.startswith("_") or part in SKIPPED_MODULES:
        return
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit):  # noqa: BLE001 - for another platform, or not built
        return
    yield name, module
    inside = pkgutil.iter_modules(getattr(module, "__path__", ()))
    for submodule in sorted(info.name for info in inside):
        yield from _module_tree(f"{name}.{submodule}")


def _public_names(module_name: str, module: ModuleType) -> Iterator[str]:
    """Yield a module's public names: those of `__all__`, or else those that it defines."""
    declared = getattr(module, "__all__", None)
    package = module_name.partition(".")[0]
    for name in sorted(set(vars(module) if declared is None else declared)):
        if name.startswith("_"):
            continue
        if declared is None and module_name != "builtins":
            home = getattr(getattr(module, name, None), "__module__", None)
            # `_ssl` and `_sqlite3` are the implementations of `ssl` and `sqlite3`.
            if not isinstance(home, str) or home.lstrip("_").partition(".")[0] != package:
                continue
        yield name


def _module_members(module_name: str, module: ModuleType) -> Iterator[_Found]:
    """Yield a module's public classes, functions and documented objects."""
    prefix = "" if module_name == "builtins" else f"{module_name}."
    for name in _public_names(module_name, module):
        obj = getattr(module, name, None)
        if obj is None or isinstance(obj, ModuleType):
            continue
        if inspect.isclass(obj):
            kind = "class"
        elif inspect.isroutine(obj) or hasattr(obj, "__wrapped__"):
            kind = "function"
        elif getattr(obj, "__doc__", None) != type(obj).__doc__:
            kind = "object"
        else:
            continue
        yield _Found(prefix + name, name, kind, module_name, obj)


def _class_members(found: _Found) -> Iterator[_Found]:
    """Yield a class's public methods and properties, inherited ones included."""
    overridden: set[str] = set()
    alias = found.strangeness() > 0
    for distance, base in enumerate(found.obj.__mro__):
        for attribute, value in vars(base).items():
            kind = None if attribute.startswith("_") else _member_kind(value)
            if kind is not None and attribute not in overridden:
                if isinstance(value, classmethod | staticmethod):
                    value = value.__get__(None, found.obj)  # noqa: PLW2901 - the function itself
                name = f"{found.name}.{attribute}"
                yield _Found(name, attribute, kind, found.module, value, alias, distance)
        overridden.update(vars(base))


def _member_kind(value: object) -> str | None:
    """Return whether a class attribute is a method or a property; None for anything else."""
    if isinstance(value, classmethod | staticmethod) or (
        inspect.isroutine(value) and not inspect.isclass(value)
    ):
        return "method"
    if inspect.isdatadescriptor(value) or hasattr(value, "attrname"):
        return "property"
    return None


def _identity(obj: Any) -> int:  # noqa: ANN401 - any object of the library
    """Return a key that is the same for an object and its bound, class and static methods."""
    owner = getattr(obj, "__self__", None)
    if inspect.isbuiltin(obj) and not isinstance(owner, type | ModuleType | None):
        # `random.random` is a bound method of a hidden instance, in C and so without `__func__`.
        obj = getattr(type(owner), obj.__name__, obj)
    return id(getattr(obj, "__func__", obj))


def _library_entries() -> Iterator[Entry]:
    """Yield every documented public object of the library once, under its most natural name."""
    modules = list(_modules())
    synopses: dict[str, str] = {}
    for name, module in modules:
        doc = _docstring(module)
        synopses[name] = " ".join(doc.partition("\n\n")[0].split())
        if doc:
            yield Entry(name, name, doc, "module", name)
    best: dict[int, _Found] = {}
    _keep_best(best, (found for name, module in modules for found in _module_members(name, module)))
    classes = [found for found in best.values() if found.kind == "class"]
    _keep_best(best, (member for found in classes for member in _class_members(found)))
    for found in best.values():
        doc = _docstring(found.obj)
        if found.kind == "class":
            doc = _class_body(found, doc, synopses[found.module])
        if doc:
            heading = found.name + _signature(found.obj)
            yield Entry(found.name, heading, doc, found.kind, found.module)


def _keep_best(best: dict[int, _Found], found: Iterator[_Found]) -> None:
    """Add the most natural name of each object that has none yet."""
    for item in sorted(found, key=_Found.order):
        best.setdefault(_identity(item.obj), item)


def _docstring(obj: object) -> str:
    """Return an object's own docstring, cleaned, or "" if it says nothing."""
    raw = getattr(obj, "__doc__", None)
    if not isinstance(raw, str):
        return ""
    doc = _ADDRESS.sub("", inspect.cleandoc(raw))
    if len(doc.split()) < MIN_WORDS or doc.startswith(_BOILERPLATE):
        return ""
    if inspect.isclass(obj) and is_dataclass(obj) and doc.startswith(f"{obj.__name__}("):
        return ""
    return doc


def _class_body(found: _Found, doc: str, synopsis: str) -> str:
    """Return a class's docstring with that of its `__init__`, or else a list of its members."""
    own = vars(found.obj)
    initializer = own.get("__init__")
    # slot wrappers and generated initializers have the same docstring in every class
    parts = [doc, _docstring(initializer) if inspect.isfunction(initializer) else ""]
    members = [name for name in own if not name.startswith("_") and _member_kind(own[name])]
    if not any(parts) and members and not issubclass(found.obj, BaseException):
        module = f"{found.module}: {synopsis}" if synopsis else f"{found.module}."
        parts = [f"Class of {module}", f"Members: {', '.join(sorted(members))}"]
    return "\n\n".join(part for part in parts if part)


def _signature(obj: Any) -> str:  # noqa: ANN401 - any object of the library
    """Return a signature without anything that differs between machines or runs."""
    if not callable(obj):
        return ""
    try:
        signature = inspect.signature(obj)
    except Exception:  # noqa: BLE001 - many C functions have none
        return ""
    parameters = [
        parameter.replace(annotation=parameter.empty, default=_plain(parameter.default))
        for parameter in signature.parameters.values()
    ]
    return str(inspect.Signature(parameters))


def _plain(default: object) -> object:
    """Return a default that prints the same everywhere, or `...` in place of any other."""
    if default is inspect.Parameter.empty or default is None:
        return default
    return default if type(default) in {bool, int, float, str, bytes} else _Elided()


class _Elided:
    """A default that is not shown."""

    def __repr__(self) -> str:
        return "..."


def _topic_entries() -> Iterator[Entry]:
    """Yield pydoc's language topics; what several of them share is kept in the shortest."""
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    seen: set[str] = set()
    # `else` and `if` are one text, and its title quotes the second.
    order = {name: (len(text), f'"{name}"' not in text[:80], name) for name, text in topics.items()}
    for name in sorted(topics.keys() - SKIPPED_TOPICS, key=order.__getitem__):
        paragraphs = [part.strip("\n") for part in _PARAGRAPHS.split(topics[name]) if part.strip()]
        body = "\n\n".join(_unseen(paragraphs, seen))
        seen.update(paragraphs)
        if len(body) >= MIN_CHARS:
            heading = f"{name} (language topic)"
            yield Entry(f"topic:{name}", heading, body, "topic", "pydoc_data.topics")


def _unseen(paragraphs: list[str], seen: set[str]) -> Iterator[str]:
    """Yield the new paragraphs; a short one is dropped only beside a long one that is."""
    long = [paragraph in seen and len(paragraph) > SHARED_CHARS for paragraph in paragraphs]
    dropped = False
    for index, paragraph in enumerate(paragraphs):
        beside = dropped or any(long[index + 1 : index + 2])
        dropped = long[index] or (beside and paragraph in seen)
        if not dropped:
            yield paragraph


def _rows() -> list[tuple[str, str, dict[str, str]]]:
    """Return (doc_id, text, metadata) of every piece of every entry, sorted by id."""
    rows: dict[str, tuple[str, str, dict[str, str]]] = {}
    for entry in (*_library_entries(), *_topic_entries()):
        metadata = {"kind": entry.kind, "module": entry.module, "name": entry.name}
        for number, piece in enumerate(split_text(entry.body), start=1):
            doc_id = entry.name if number == 1 else f"{entry.name}#{number}"
            heading = entry.heading if number == 1 or entry.kind == "topic" else entry.name
            rows.setdefault(doc_id, (doc_id, f"{heading}\n\n{piece}", metadata))
    return sorted(rows.values())


def _main() -> None:
    """Write the rows to standard output as JSON, and discard what modules print at import."""
    answer = os.dup(sys.stdout.fileno())
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    rows = _rows()
    with os.fdopen(answer, "wb") as out:
        out.write(json.dumps(rows).encode())


if __name__ == "__main__":
    _main()
