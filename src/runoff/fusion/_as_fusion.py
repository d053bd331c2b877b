"""What counts as a fusion."""

from __future__ import annotations

from runoff.errors import InvalidArgument
from runoff.protocols import Fusion


def as_fusion(given: object) -> Fusion:
    """Return a fusion as it was given.

    Raises:
        InvalidArgument: it has no `fuse` method, or is a class.
    """
    if isinstance(given, type) or not isinstance(given, Fusion):
        raise InvalidArgument("fusion", given, "must have fuse(rankings), such as RRF()")
    return given
