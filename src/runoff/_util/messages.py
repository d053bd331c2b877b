"""Values, errors and parts as text, short enough for a message and without secrets."""

from __future__ import annotations

import dataclasses
import re

from runoff._util.without_secrets import without_secrets

_LENGTH = 80
_ERRORS = 5  # of a group that are shown
_ERROR_LENGTH = 500
_FEW = 3
# patterns are compiled when first used, so that `import runoff` is quick
# what a terminal obeys: CSI sequences, and OSC ones up to BEL or ST
_SEQUENCE = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
# control characters, marks that change the direction of text, surrogates and tags
_INVISIBLE = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
# packages whose classes show only their own values in their `repr`
_PLAIN = {"builtins", "collections", "decimal", "fractions", "numpy", "pathlib", "runoff"}


def short_repr(value: object) -> str:
    """Return the `repr` of a value, cut to 80 characters.

    An object of any other package is shown by its class alone: a client's `repr` may contain its
    key.
    """
    kind = type(value)
    if kind.__module__.partition(".")[0] not in _PLAIN:
        return f"<{kind.__module__}.{kind.__qualname__} object>"
    try:
        text = repr(value[: _LENGTH * 2] if isinstance(value, str | bytes) else value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or deep nesting
        return f"<{kind.__qualname__} too large to show>"
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 1]}…"


def error_text(error: BaseException) -> str:
    """Return an error's class and message on one line of at most about 500 characters.

    Keys and passwords in it are masked, and nothing in it moves a terminal's cursor. The errors of
    a group follow its own message.
    """
    said = str(error)
    if isinstance(error, BaseExceptionGroup):
        said = f"{said}: {'; '.join(map(error_text, error.exceptions[:_ERRORS]))}"
    message = " ".join(visible(without_secrets(said[: _ERROR_LENGTH * 4])).split())
    if len(message) > _ERROR_LENGTH:
        message = f"{message[: _ERROR_LENGTH - 1]}…"
    return f"{type(error).__name__}: {message}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its class: native code writes pages."""
    return (str(error).strip() or type(error).__name__).partition("\n")[0][:300]


def name_of(part: object) -> str:
    """Return a part's own `name`, or the name of its class where it has none."""
    return str(getattr(part, "name", type(part).__name__))


def kind_of(part: object) -> str:
    """Return the name of a part's class; of one that is not public, the public class it is."""
    return next(one.__name__ for one in type(part).__mro__ if not one.__name__.startswith("_"))


def number_of(count: int, one: str, several: str = "") -> str:
    """Return a count with its noun, and with the verb if it follows: `1 query`, `2,000 queries`.

    Args:
        count: how many.
        one: what one is called, such as `"query"` or `"document was"`.
        several: what several are called; empty for `one` and an s, or -ies for a consonant and -y.
    """
    ending = f"{one[:-1]}ies" if re.search("[^aeiou]y$", one) else f"{one}s"
    return f"{count:,} {one if count == 1 else several or ending}"


def visible(text: str) -> str:
    """Return a text without control characters, terminal sequences and marks of direction.

    Every text that leaves the library passes through here: messages of errors, explanations,
    reports and what the command line prints. Lines and tabs stay as they are.
    """
    return text if text.isprintable() else re.sub(_INVISIBLE, " ", re.sub(_SEQUENCE, " ", text))


def fields_repr(data: object) -> str:
    """Return the `repr` of a dataclass on a line or two.

    Fields that have their default are left out, long values are cut, and the items of long tuples
    and lists are counted.
    """
    fields = dataclasses.fields(data)  # type: ignore[arg-type] # it is the `__repr__` of dataclasses
    shown = [
        f"{field.name}={_field_repr(value)}"
        for field in fields
        if field.repr and not is_default(value := getattr(data, field.name), field)
    ]
    return f"{type(data).__name__}({', '.join(shown)})"


def config_repr(data: object) -> str:
    """Return the `repr` of a configuration: its first field and what differs from the defaults."""
    fields = dataclasses.fields(data)  # type: ignore[arg-type] # as above
    shown = [
        f"{field.name}={value!r}"
        for at, field in enumerate(fields)
        if field.repr and not (is_default(value := getattr(data, field.name), field) and at)
    ]
    return f"{type(data).__name__}({', '.join(shown)})"


def is_default(value: object, field: dataclasses.Field[object]) -> bool:
    """Whether a value is the default of its field."""
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    if value is default:
        return True
    return type(value) is type(default) and not hasattr(value, "shape") and value == default


def _field_repr(value: object) -> str:
    if dataclasses.is_dataclass(value):
        return repr(value)
    if not isinstance(value, tuple | list):
        return short_repr(value)
    text = repr(value) if len(value) <= _FEW else ""
    return text if 0 < len(text) <= _LENGTH else f"<{number_of(len(value), 'item')}>"
