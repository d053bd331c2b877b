"""Hooks by which PyInstaller bundles what runoff needs; found by its entry point."""

from pathlib import Path


def get_hook_dirs() -> list[str]:
    return [str(Path(__file__).parent)]
