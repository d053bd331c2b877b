"""The version of this package: the build reads it from here."""

from __future__ import annotations

__version__ = "0.1.0"
"""The installed version, such as `"0.1.0"`."""
