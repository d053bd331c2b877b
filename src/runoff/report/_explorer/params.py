"""What a request may ask, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from runoff.errors import InvalidArgument, RunoffError

if TYPE_CHECKING:
    from collections.abc import Sequence


_LONGEST = 20_000  # characters of a text that somebody types
_MOST = 1000  # rows of one answer


class NotThere(RunoffError):
    """There is nothing under this name, or this explorer cannot answer such a question."""


class Params:
    """The parameters in the query string of an address.

    Args:
        path: the address, such as `api/query?id=q1`.

    Raises:
        InvalidArgument: a parameter is given twice.
    """

    def __init__(self, path: str) -> None:
        parts = urlsplit(path)
        self.route = parts.path.strip("/")
        try:
            pairs = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=50)
        except ValueError as error:
            raise InvalidArgument("address", path, str(error)) from None
        self._given: dict[str, str] = {}
        for name, value in pairs:
            if name in self._given:
                raise InvalidArgument(name, value, "must be given once")
            self._given[name] = value

    def get(self, name: str) -> str | None:
        """Return a parameter; None if it is missing or empty."""
        return self._given.get(name) or None

    def need(self, name: str) -> str:
        """Return a parameter.

        Raises:
            InvalidArgument: it is missing or empty.
        """
        found = self.get(name)
        if found is None:
            raise InvalidArgument(name, "", "must be given")
        return found

    def one_of(self, name: str, known: Sequence[str], default: str) -> str:
        """Return a parameter that names one of these.

        Raises:
            InvalidArgument: it names none.
        """
        found = self.get(name) or default
        if found not in known:
            raise InvalidArgument(name, found, f"must be one of {', '.join(known)}")
        return found

    def whole(self, name: str, default: int, *, most: int | None = None) -> int:
        """Return a parameter that is a whole number from 0 on.

        Raises:
            InvalidArgument: it is not, or it is above `most`.
        """
        given = self.get(name)
        if given is None:
            return default
        if not (given.isascii() and given.isdigit() and len(given) < 10):  # noqa: PLR2004 - of 32 bits
            raise InvalidArgument(name, given, "must be a whole number, 0 or more")
        found = int(given)
        if most is not None and found > most:
            raise InvalidArgument(name, given, f"must be {most} at most")
        return found

    @property
    def page(self) -> tuple[int, int]:
        """The offset and the number of rows that are asked for."""
        return self.whole("offset", 0), self.whole("limit", 100, most=_MOST)


def as_object(body: object, known: Sequence[str]) -> dict[str, Any]:
    """Return a request's body, an object with fields among these.

    Raises:
        InvalidArgument: it is something else.
    """
    if not isinstance(body, dict) or not body.keys() <= set(known):
        raise InvalidArgument("body", body, f"must be an object with {', '.join(known)}")
    return body


def as_text(name: str, value: object) -> str:
    """Return a text that was typed or named.

    Raises:
        InvalidArgument: it is no text, blank, too long, or has lone surrogates.
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidArgument(name, value, "must be a text that is not blank")
    if len(value) > _LONGEST:
        raise InvalidArgument(name, value, f"must have {_LONGEST:,} characters at most")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(name, value, "must be valid Unicode") from None
    return value
