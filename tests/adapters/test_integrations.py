"""The thin distributions under integrations/: they re-export, and their READMEs run."""

import importlib
import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import pytest

import runoff

ROOT = Path(__file__).parents[2] / "integrations"
PACKAGES = sorted(path.parent for path in ROOT.glob("*/pyproject.toml"))
MODULES = {
    "langchain-runoff": ("langchain_runoff", "runoff.langchain", "langchain_core"),
    "llama-index-postprocessor-runoff": (
        "llama_index.postprocessor.runoff", "runoff.llama_index", "llama_index.core",
    ),
    "llama-index-retrievers-runoff": (
        "llama_index.retrievers.runoff", "runoff.llama_index", "llama_index.core",
    ),
}  # fmt: skip
each = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)


@pytest.fixture
def module(package, monkeypatch):
    """The package, from its wheel if that is installed, else from its source."""
    name, _, framework = MODULES[package.name]
    pytest.importorskip(framework, reason=f"{framework} is not installed")
    if importlib.util.find_spec(name.partition(".")[0]) is None or not _found(name):
        parent = name.rpartition(".")[0]
        monkeypatch.syspath_prepend(package / "src")
        if parent:  # namespace packages that were imported before look nowhere else
            folder = package / "src" / Path(*parent.split("."))
            monkeypatch.setattr(
                importlib.import_module(parent), "__path__",
                [*importlib.import_module(parent).__path__, str(folder)],
            )  # fmt: skip
        importlib.invalidate_caches()
    yield importlib.import_module(name)
    for loaded in [one for one in sys.modules if one == name]:
        del sys.modules[loaded]


def _found(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_all_are_known():
    """A new distribution needs its row above."""
    if not ROOT.is_dir():
        pytest.skip("the sdist has no integrations")
    assert {package.name for package in PACKAGES} == set(MODULES)


@each
def test_names_are_those_of_runoff(package, module):
    """Each name is the very object that the adapter has."""
    adapter = importlib.import_module(MODULES[package.name][1])
    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name) is getattr(adapter, name)
        assert re.search(rf"`{name}\b", (package / "README.md").read_text("utf-8"))


@each
def test_the_readme_runs(package, module, capsys):
    """The example of the registry's page puts the right text first."""
    text = (package / "README.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(example, str(package), "exec"), {})
    assert capsys.readouterr().out.startswith("['reset'")


@each
def test_it_needs_this_runoff(package):
    """The range of versions it depends on includes this one, and the extra exists."""
    project = tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["project"]
    (needed,) = project["dependencies"]
    extra, low, high = re.fullmatch(r"runoff\[(.+)\]>=([\d.]+),<([\d.]+)", needed).groups()
    version = [int(part) for part in runoff.__version__.split(".")[:2]]
    assert [int(part) for part in low.split(".")] <= version
    assert version < [int(part) for part in high.split(".")]
    assert extra in {"langchain", "llama-index"}
