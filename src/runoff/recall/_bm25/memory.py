"""Memory that building an index has freed."""

from __future__ import annotations

import sys


def give_back() -> None:
    """Give freed memory back to the system if glibc keeps it: a quarter of a new index."""
    if sys.platform != "linux":
        return
    try:
        import ctypes  # noqa: PLC0415 - only here

        libc = ctypes.CDLL(None)
    except (ImportError, OSError):  # a Python built without libffi, or linked statically
        return
    if hasattr(libc, "malloc_trim"):  # musl has none
        libc.malloc_trim(0)
