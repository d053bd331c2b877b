"""The `runoff` command: one file per sub-command."""

from runoff.cli._main import app

__all__ = ["app"]
