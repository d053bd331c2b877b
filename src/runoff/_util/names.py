"""What a part is called in traces, errors and logs."""

from __future__ import annotations

__all__ = ["name_of"]


def name_of(part: object) -> str:
    """Return a part's own `name`, or the name of its class where it has none."""
    return str(getattr(part, "name", type(part).__name__))
