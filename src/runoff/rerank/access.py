"""Who we are to a server: keys and headers that do not leak."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runoff.errors import AuthenticationFailed, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Access", "Headers", "Key", "as_key"]


class Key:
    """A key or a way to get one; shown as `***` and never pickled.

    Args:
        value: the key; a callable that returns it, asked for each request; None to look in the
            environment.
        variables: environment variables to look in, the first that is set.
        needed: whether going without is an error.
    """

    __slots__ = ("_lost", "_needed", "_value", "_variables")

    def __init__(
        self,
        value: str | Callable[[], str] | None,
        variables: Iterable[str] = (),
        *,
        needed: bool = False,
        lost: bool = False,
    ) -> None:
        if value is not None and not callable(value) and not (isinstance(value, str) and value):
            raise InvalidArgument("api_key", "***", "must be a non-empty string or a callable")
        self._value = value
        self._variables = tuple(variables)
        self._needed = needed
        self._lost = lost

    def read(self, who: str) -> str | None:
        """Return the key, or None where none is needed.

        Raises:
            AuthenticationFailed: there is none; names the variables that would be read.
        """
        value = self._value() if callable(self._value) else self._value
        if value is None:
            found = (os.environ.get(name, "") for name in self._variables)
            value = next((one for one in found if one.strip()), None)
        if value is None and (self._needed or self._lost):
            where = " or ".join(self._variables)
            again = "its key was not copied to this process: " if self._lost else "it has no key: "
            ways = ["give api_key=", f"set {where}" if where else ""]
            msg = f"{who}: {again}{' or '.join(filter(None, ways))}"
            raise AuthenticationFailed(msg)
        return value.strip() if isinstance(value, str) else None

    def masked(self, text: str) -> str:
        """Return a text with the key in it replaced by `***`."""
        found = [self._value, *(os.environ.get(name) for name in self._variables)]
        for one in found:
            if isinstance(one, str) and one.strip():
                text = text.replace(one.strip(), "***")
        return text

    def __repr__(self) -> str:
        return "'***'" if self._value is not None else "None"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Key):
            return NotImplemented
        return (self._value, self._variables) == (other._value, other._variables)

    def __hash__(self) -> int:
        return hash(self._variables)

    def __copy__(self) -> Key:
        return self

    def __deepcopy__(self, memo: object) -> Key:
        return self

    def __reduce__(self) -> tuple[Callable[..., Key], tuple[object, ...]]:
        """Leave the key behind; who unpickles it reads the environment."""
        return _left_behind, (self._variables, self._needed, self._value is not None or self._lost)


def _left_behind(variables: tuple[str, ...], needed: bool, lost: bool) -> Key:  # noqa: FBT001 - pickle's
    return Key(None, variables, needed=needed, lost=lost)


def as_key(value: Any, variables: Iterable[str] = (), *, needed: bool = False) -> Key:  # noqa: ANN401 - checked by Key
    """Return a `Key` for what a user gave; one that is a key already stays as it is."""
    if isinstance(value, Key):
        return value
    if value is not None and not isinstance(value, str) and not callable(value):
        # pydantic's SecretStr and its like
        reveal = getattr(value, "get_secret_value", None)
        if not callable(reveal):
            raise InvalidArgument("api_key", "***", "must be a non-empty string or a callable")
        value = reveal()
    return Key(value, variables, needed=needed)


class Headers(dict[str, str]):
    """Headers that are neither shown nor pickled."""

    def __repr__(self) -> str:
        return "{...}" if self else "{}"

    __str__ = __repr__

    def __reduce__(self) -> tuple[type[Headers], tuple[()]]:
        return Headers, ()


_SECRET_LENGTH = 8  # a shorter header's value, such as a number, is no secret


@dataclass(frozen=True, slots=True)
class Access:
    """What a request carries besides its body.

    Attributes:
        key: sent as `Authorization: Bearer`, where there is one.
        headers: further headers.
        ca: a file of certificate authorities to trust in place of the usual ones.
    """

    key: Key
    headers: Headers
    ca: str | None = None

    def sent(self, who: str) -> dict[str, str]:
        """Return the headers to send.

        Raises:
            AuthenticationFailed: a key is needed and there is none.
        """
        key = self.key.read(who)
        return {**self.headers, **({"Authorization": f"Bearer {key}"} if key else {})}

    def masked(self, text: str) -> str:
        """Return a text with key and headers in it replaced by `***`."""
        for value in self.headers.values():
            if len(value) >= _SECRET_LENGTH:
                text = text.replace(value, "***")
        return self.key.masked(text)
