"""Numbers that a user's model returned, whatever holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def as_array(value: object) -> NDArray[Any]:
    """Return an array of what holds numbers: an array, a tensor, or any ordered iterable of these.

    NumPy cannot read a tensor that is on a GPU, that requires a gradient, or whose type it lacks,
    such as bfloat16; its `tolist()` is read instead.

    Raises:
        TypeError, ValueError: these are not numbers, or their shape is irregular.
    """
    value = _listed(value)
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        return np.asarray(_plain(value))


def _listed(value: object) -> object:
    is_array = hasattr(value, "__array__") or isinstance(value, Sequence | Mapping | AbstractSet)
    return list(value) if isinstance(value, Iterable) and not is_array else value


def _plain(value: object) -> object:
    if callable(read := getattr(value, "tolist", None)):
        return read()
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping | AbstractSet):
        return [_plain(one) for one in value]
    return value
