"""Prompts in files, and texts that stay inside their element of a prompt."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

from runoff._util.stored import path_of, read_stored
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike


def prompt_of(
    given: str | PathLike[str] | None, package: str, name: str, places: tuple[str, ...]
) -> str:
    """Return a prompt from a file; the one that comes with runoff for None.

    Args:
        given: the file.
        package: the package whose folder `prompts` has runoff's own.
        name: its file there.
        places: the placeholders that a prompt must contain once, such as `{query}`.

    Raises:
        InvalidArgument: it cannot be read, or lacks a placeholder.
    """
    if given is None:
        return resources.files(package).joinpath("prompts", name).read_text(encoding="utf-8")
    path = path_of("prompt", given)
    try:
        text = read_stored(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument("prompt", given, f"cannot be read: {error}") from error
    for place in places:
        if text.count(place) != 1:
            raise InvalidArgument("prompt", given, f"must contain {place} once")
    return text


def filled(prompt: str, values: Mapping[str, str]) -> str:
    """Return a prompt with its placeholders replaced, each once: in a value they stay as they are.

    Args:
        prompt: the prompt.
        values: by placeholder, such as `{query}`.
    """
    return re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]], prompt)


def inside(text: str) -> str:
    """Return a text that can neither end the element it is in nor begin another."""
    return re.sub(r"<(\s*/?\s*(?:question|document))", r"<\\\1", text, flags=re.IGNORECASE)
