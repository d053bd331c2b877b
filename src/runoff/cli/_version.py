"""`runoff version`: the installed versions, for bug reports."""

from __future__ import annotations

import platform
from importlib import metadata

import typer

from runoff import __version__

_PACKAGES = (
    "runoff-models",
    "numpy",
    "bm25s",
    "onnxruntime",
    "tokenizers",
    "chromadb",
    "llama-index-core",
    "langchain-core",
)


def version() -> None:
    """Print the versions of runoff, Python and the packages that runoff uses."""
    typer.echo(f"runoff {__version__} on Python {platform.python_version()}, {platform.platform()}")
    for package in _PACKAGES:
        try:
            found = metadata.version(package)
        except metadata.PackageNotFoundError:
            found = "not installed"
        typer.echo(f"  {package} {found}")
