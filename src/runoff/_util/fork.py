"""What a forked process begins anew: threads do not survive a fork, and a held lock stays held."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def in_child(reset: Callable[[], None]) -> Callable[[], None]:
    """Have a function called in every process that is forked from this one; a decorator."""
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=reset)
    return reset
