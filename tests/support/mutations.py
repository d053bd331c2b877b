"""Damage stored bytes, JSON and columns at random, and sort what a reader then does.

A mutation of bytes is what a disk or a copy does; one of values is what somebody does who computes
the checksum again. `tally` runs a reader on each and returns the outcomes that are allowed: a named
error, a miss, or the right answer. Anything else is raised with the number that repeats it.
"""

from __future__ import annotations

import copy
import json
import logging
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from runoff.errors import RunoffError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_logger = logging.getLogger("mutations")  # shown by --log-cli-level=INFO

WRONG = (
    None, True, False, -1, 0, 1, 2**31, 2**63, 2**70, -(2**40), 10**400, 0.5, -0.5, 1e308, -1e308,
    float("nan"), float("inf"), float("-inf"), "", "x", "\0", "../x", "\ud800", "5", [], [[]],
    [None], {}, {"": None}, {"x": [1]}, ["x"], [1, 2, 3],
)  # fmt: skip


def nested(levels: int) -> Any:
    """Lists in lists."""
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def mutated_bytes(data: bytes, source: random.Random) -> bytes:
    """Change, cut, repeat or insert bytes."""
    changed = bytearray(data)
    at = source.randrange(len(data)) if data else 0
    match source.randrange(8):
        case 0 | 1 | 2 if data:
            changed[at] ^= 1 << source.randrange(8)
        case 3 if data:
            changed[at] = source.randrange(256)
        case 4:
            del changed[at:]
        case 5:
            del changed[at : at + source.randrange(1, 64)]
        case 6:
            changed[at:at] = source.randbytes(source.randrange(1, 64))
        case _:
            other = source.randrange(len(data)) if data else 0
            span = source.randrange(1, 64)
            changed[at : at + span] = data[other : other + span]
    return bytes(changed)


def mutated_json(value: Any, source: random.Random) -> Any:
    """Return a copy with one value replaced, left out or added."""
    changed = {"": copy.deepcopy(value)}
    places = list(_places(changed))
    holder, key = source.choice(places)
    match source.randrange(10):
        case 0 if holder is not changed:
            del holder[key]
        case 1 if isinstance(holder[key], dict):
            holder[key]["extra"] = source.choice(WRONG)
        case 1 if isinstance(holder[key], list):
            holder[key].append(source.choice(WRONG))
        case 2:
            holder[key] = nested(source.choice([3, 70, 300]))
        case 3 if isinstance(holder[key], list) and holder[key]:
            holder[key].append(source.choice(holder[key]))
        case 4 if isinstance(holder[key], int | float):
            holder[key] = -holder[key]
        case 5 if isinstance(holder[key], str):
            holder[key] = source.choice([holder[key] + "x", holder[key].upper(), [holder[key]]])
        case _:
            holder[key] = source.choice(WRONG)
    return changed[""]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place of nested JSON that holds a value, as its holder and key."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def written(value: Any) -> str:
    """Return JSON as a hostile hand writes it: NaN, and numbers of any length."""
    return json.dumps(value)


def tally(count: int, attempt: Callable[[random.Random], str], *, first: int = 0) -> Counter[str]:
    """Run a mutation under each seed and count the outcomes.

    Args:
        count: how many mutations.
        attempt: damages, reads and compares; it returns the outcome, such as `"right"` or
            `"miss"`, and lets the reader's errors through.
        first: the first seed.
    """
    outcomes: Counter[str] = Counter()
    for seed in range(first, first + count):
        try:
            outcome = attempt(random.Random(seed))
        except RunoffError as error:
            outcome = type(error).__name__
        except Exception as error:
            msg = f"seed {seed}: {type(error).__name__}: {error}"
            raise AssertionError(msg) from error
        outcomes[outcome] += 1
    _logger.info("%s of %s", dict(outcomes), attempt.__qualname__)
    return outcomes
