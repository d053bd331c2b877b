"""The programs of `tests/typing`, which mypy reads in `make types`, leave no public name out."""

import ast
from pathlib import Path

HERE = Path(__file__).parent


def imported():
    """Every public name that a program imports, as `module.name`."""
    programs = [path for path in (HERE / "typing").glob("*.py") if path.name != "wrong.py"]
    for program in programs:
        for node in ast.walk(ast.parse(program.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Attribute):
                yield ast.unparse(node)


def test_every_public_name_is_used_by_a_typed_program():
    """A name that users can import, from its module or from `runoff`, is in a program."""
    pinned = (HERE / "public_api.txt").read_text(encoding="utf-8").split()
    used = set(imported())
    unused = {
        name
        for name in pinned
        if name not in used and f"runoff.{name.rpartition('.')[2]}" not in used & set(pinned)
    }
    assert unused == {"runoff.cli.app"}  # a command, not a library
