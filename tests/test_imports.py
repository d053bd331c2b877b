"""No file of the package imports itself through others; the order is in pyproject.toml."""

import ast
import re
from pathlib import Path

import pytest

import runoff

grimp = pytest.importorskip("grimp", reason="the lint group is not installed")


@pytest.fixture(scope="module")
def graph():
    """All imports, inside functions too, but not those under `if TYPE_CHECKING`."""
    return grimp.build_graph("runoff", exclude_type_checking_imports=True, cache_dir=None)


def test_no_file_imports_itself_through_others(graph):
    """There is no cycle between files, not even by an import inside a function."""
    cycles = {}
    for module in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            if chain := graph.find_shortest_chain(imported, module):
                cycles.setdefault(frozenset(chain), f"{module} -> {' -> '.join(chain)}")
    assert list(cycles.values()) == []


def test_rooms_are_imported_by_a_string_in_few_places():
    """Only where adapters or stored names are looked up: the other checks cannot see it."""
    root = Path(runoff.__file__).parent
    places = set()
    for path in root.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        called = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]
        texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
        names_a_room = any(re.fullmatch(r"runoff(\.\w+)+", text) for text in map(str, texts))
        if names_a_room and any(one.endswith(("import_module", "__import__")) for one in called):
            places.add(path.relative_to(root).as_posix())
    allowed = {
        "_util/lazy.py",
        "_util/moved.py",
        "llama_index/_serialize.py",
    }
    assert places <= allowed
