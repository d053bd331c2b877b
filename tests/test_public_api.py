"""The public names, all of them: `tests/public_api.txt` is what users may rely on.

Public is what `__all__` lists in a module whose dotted path has no leading underscore. A change of
the list is made by `RUNOFF_UPDATE_API=1 make test ARGS=tests/test_public_api.py`, read in the diff,
and named in CHANGELOG.md.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
from enum import Enum
from importlib import import_module
from pathlib import Path

import pytest

import runoff

ROOT = Path(runoff.__file__).parent
PINNED = Path(__file__).with_name("public_api.txt")
PAGE = Path(__file__).parent.parent / "docs" / "names.md"
AT_MOST = 208
# beside the rooms: what a user of the core reads, and what users' own tests import
FILES = {
    "context.py",
    "deadline.py",
    "errors.py",
    "filters.py",
    "grouping.py",
    "protocols.py",
    "provenance.py",
    "scores.py",
    "trace.py",
    "types.py",
    "testing/chaos.py",
    "testing/contracts.py",
    "testing/pytest_plugin.py",
}
# what takes any number of filters, or passes options on to what its docstring names
OPEN = {
    "runoff.evaluation.losses",
    "runoff.filters.And",
    "runoff.filters.Or",
    "runoff.langchain.two_stage",
    "runoff.llama_index.HybridRetriever",
    "runoff.llama_index.two_stage",
}
ROOMS = {
    "bench",
    "bulk",
    "cli",
    "demo",
    "evaluation",
    "export",
    "fusion",
    "langchain",
    "live",
    "llama_index",
    "pipeline",
    "recall",
    "report",
    "rerank",
    "testing",
}


def is_public(path: Path) -> bool:
    """Whether no folder or file of a path has an underscore in front; a face is its folder."""
    parts = path.with_suffix("").parts
    return not any(part.startswith("_") and part != "__init__" for part in parts)


def module_of(path: Path) -> str:
    """The dotted name of a file under `ROOT`."""
    parts = path.with_suffix("").parts
    return ".".join(["runoff", *(part for part in parts if part != "__init__")])


def statements(path: Path) -> list[ast.stmt]:
    """The statements at a file's top level, those under `if TYPE_CHECKING` too."""
    found = []
    for statement in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        found += statement.body if isinstance(statement, ast.If) else [statement]
    return found


def assigned(statement: ast.stmt) -> list[str]:
    """The names that an assignment gives a value."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [name.id for one in targets for name in ast.walk(one) if isinstance(name, ast.Name)]


def listed(path: Path) -> list[str]:
    """What a file's `__all__` says."""
    for statement in statements(path):
        if isinstance(statement, ast.Assign | ast.AnnAssign) and assigned(statement) == ["__all__"]:
            return ast.literal_eval(statement.value)
    return []


def defined(path: Path) -> set[str]:
    """The names without an underscore that a file defines, or that a face takes from its room."""
    names: list[str] = []
    for statement in statements(path):
        match statement:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                names.append(statement.name)
            case ast.Assign() | ast.AnnAssign():
                names += assigned(statement)
            case ast.ImportFrom(module=str(module)) if path.name == "__init__.py":
                if module.startswith(module_of(path) + "."):
                    names += [alias.asname or alias.name for alias in statement.names]
            case _:
                pass
    return {name for name in names if not name.startswith("_")}


PUBLIC = {
    module_of(path): path
    for path in sorted(one.relative_to(ROOT) for one in ROOT.rglob("*.py"))
    if is_public(path)
}


def test_the_public_names_are_the_pinned_ones():
    """No public name appears or disappears unless the list says so."""
    names = sorted(f"{module}.{name}" for module, path in PUBLIC.items() for name in listed(path))
    pinned = PINNED.read_text(encoding="utf-8").splitlines()
    if os.environ.get("RUNOFF_UPDATE_API"):
        PINNED.write_text("\n".join([*names, ""]), encoding="utf-8")
        pytest.fail(f"wrote {len(names)} names: read the diff, then run without RUNOFF_UPDATE_API")
    assert names == pinned


@pytest.mark.skipif(not PAGE.is_file(), reason="the documentation is not here")
def test_a_page_has_every_public_name():
    """The page that lists the public names has all of them, by module, and no others."""
    rows = re.findall(r"^\| `(runoff[\w.]*)` \| (.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    shown = [f"{module}.{name}" for module, names in rows for name in re.findall(r"`(\w+)`", names)]
    assert sorted(shown) == PINNED.read_text(encoding="utf-8").splitlines()


def test_the_public_names_are_few():
    """A user can read the whole list."""
    assert len(PINNED.read_text(encoding="utf-8").splitlines()) <= AT_MOST


@pytest.mark.parametrize("module", PUBLIC)
def test_a_module_lists_what_it_defines(module):
    """`__all__` has every name without an underscore that the module defines, and no name twice."""
    names = listed(PUBLIC[module])
    assert len(names) == len(set(names))
    assert defined(PUBLIC[module]) <= set(names)


@pytest.mark.parametrize("module", PUBLIC)
def test_a_public_name_can_be_imported(module):
    """What `__all__` lists can be imported from that module, and `dir` shows it."""
    loaded = import_module(module)
    for name in listed(PUBLIC[module]):
        assert hasattr(loaded, name)
        assert name in dir(loaded)


def open_names(module):
    """The names that take `*args` or `**kwargs`, but for protocols, enums and Pydantic models."""
    loaded = import_module(module)
    for name in listed(PUBLIC[module]):
        made = getattr(loaded, name)
        if isinstance(made, type):
            protocol = getattr(made, "_is_protocol", False)
            given = issubclass(made, (Exception, Enum)) or hasattr(made, "model_fields")
            if protocol or given:
                continue
        elif not inspect.isfunction(made):
            continue
        kinds = {one.kind for one in inspect.signature(made).parameters.values()}
        if kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
            yield f"{module}.{name}"


def test_a_signature_names_its_arguments():
    """Help and editors show every argument, also of a class whose `__new__` chooses another."""
    assert {name for module in PUBLIC for name in open_names(module)} == OPEN


def test_a_file_is_public_on_purpose():
    """A file or folder without an underscore is one of those that users import."""
    files = {path.as_posix() for path in PUBLIC.values() if path.name != "__init__.py"}
    rooms = {path.parent.as_posix() for path in PUBLIC.values() if path.name == "__init__.py"}
    assert files == FILES
    assert rooms == {".", *ROOMS}
