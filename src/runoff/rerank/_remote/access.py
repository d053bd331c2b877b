"""Keys and headers for a server, which stay out of logs, errors and pickles."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from runoff._waiting import workers
from runoff.errors import AuthenticationFailed, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_T = TypeVar("_T")


class Secret(Generic[_T]):
    """A value that nothing shows: error reporters and debuggers write out local variables."""

    __slots__ = ("_value",)

    def __init__(self, value: _T) -> None:
        self._value = value

    def reveal(self) -> _T:
        """Return the value; keep it in no variable of a function that may raise."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


class Shared:
    """What its copies are: itself, as it holds a secret or a client."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


class Key(Shared):
    """A key, or a way to get one; shown as `***` and never pickled.

    Args:
        value: the key; a callable that returns it, asked for each request; None to look in the
            environment.
        variables: environment variables to look in, the first that is set.
        needed: whether having none is an error.
        lost: whether a key was given and left out by pickle.
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
        """Return the key, or None where none is set and none is needed.

        Raises:
            AuthenticationFailed: a key is needed and missing, or it is invalid; says how to set it.
        """
        value = _revealed(self._value() if callable(self._value) else self._value)
        if callable(self._value) and not (isinstance(value, str) and value.strip()):
            msg = f"{who}: the callable api_key= returned {_kind(value)} in place of a key"
            value = None  # error reporters write out the variables of what raises
            raise AuthenticationFailed(msg)
        if value is None:
            found = (os.environ.get(name, "") for name in self._variables)
            value = next((one for one in found if one.strip()), None)
        if value is None and (self._needed or self._lost):
            where = " or ".join(self._variables)
            again = "its key was not copied to this process: " if self._lost else "it has no key: "
            ways = ["give api_key=", f"set {where}" if where else ""]
            raise AuthenticationFailed(f"{who}: {again}{' or '.join(filter(None, ways))}")
        value = value.strip() if isinstance(value, str) else None
        if value is not None and not _is_sendable(value):
            value = None  # as above
            msg = f"{who}: its key contains characters that a header cannot have; copy it again"
            raise AuthenticationFailed(msg)
        return value

    async def read_async(self, who: str) -> str | None:
        """Do what `read` does; a callable, which may ask a server, runs in a worker thread."""
        if callable(self._value):
            return await workers.run_async(partial(self.read, who), None, who)
        return self.read(who)

    def identity(self) -> str:
        """Return what tells this key from others: the key itself, so it must not be kept.

        A callable stands for all the keys that it returns.
        """
        if callable(self._value):
            return f"callable {id(self._value)}"
        found = (os.environ.get(name, "") for name in self._variables)
        return str(self._value or next((one for one in found if one.strip()), ""))

    @property
    def given(self) -> bool:
        """Whether it was given, and is not only read from the environment."""
        return self._value is not None

    def bound(self, variables: Iterable[str], *, needed: bool) -> Key:
        """Return the same key; one that was not given is read from these variables."""
        return Key(self._value, variables, needed=needed, lost=self._lost)

    def __repr__(self) -> str:
        return "'***'" if self._value is not None else "None"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Key):
            return NotImplemented
        return (self._value, self._variables) == (other._value, other._variables)

    def __hash__(self) -> int:
        return hash(self._variables)

    def __reduce__(self) -> tuple[Callable[..., Key], tuple[object, ...]]:
        """Leave the key out; the unpickled one reads the environment."""
        return _left_behind, (self._variables, self._needed, self._value is not None or self._lost)


def _left_behind(variables: tuple[str, ...], needed: bool, lost: bool) -> Key:  # noqa: FBT001 - pickle's
    return Key(None, variables, needed=needed, lost=lost)


def as_key(value: Any, variables: Iterable[str] = (), *, needed: bool = False) -> Key:  # noqa: ANN401 - checked by Key
    """Return a `Key` for what a user gave; a `Key` gets these variables."""
    if isinstance(value, Key):
        return value.bound(variables, needed=needed)
    return Key(_revealed(value), variables, needed=needed)


def _revealed(value: Any) -> Any:  # noqa: ANN401 - as above
    """Return the value of pydantic's SecretStr and the like; anything else as it is."""
    reveal = getattr(value, "get_secret_value", None)
    return reveal() if callable(reveal) else value


def _kind(value: object) -> str:
    return "an empty text" if isinstance(value, str) else f"a {type(value).__name__}"


def _is_sendable(value: str) -> bool:
    return value.isascii() and value.isprintable()


class Headers(Shared, Mapping[str, str]):
    """Headers that are neither shown nor pickled.

    They are not a `dict`, which JSON and pydantic would write out.

    Args:
        values: header values by name.
        lost: whether headers were given and left out by pickle.
    """

    __slots__ = ("_values", "lost")

    def __init__(self, values: Mapping[str, str] | None = None, *, lost: bool = False) -> None:
        self._values = dict(values or {})
        self.lost = lost

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return "{...}" if self else "{}"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Callable[..., Headers], tuple[bool]]:
        return _headers_left, (bool(self) or self.lost,)


def _headers_left(lost: bool) -> Headers:  # noqa: FBT001 - pickle's
    return Headers(lost=lost)


def as_headers(headers: object) -> Headers:
    """Return `Headers` for what a user gave; `Headers` are returned as they are.

    Raises:
        InvalidArgument: a name or value cannot be sent.
    """
    if isinstance(headers, Headers):
        return headers
    if not isinstance(headers, Mapping) or not all(
        isinstance(one, str) and _is_sendable(one) for pair in headers.items() for one in pair
    ):
        raise InvalidArgument("headers", "***", "must map names to values, both printable ASCII")
    return Headers(headers)


_SECRET_LENGTH = 8  # a shorter value, such as a number, is not a secret


@dataclass(frozen=True, slots=True)
class Access:
    """What a request needs besides its body.

    Attributes:
        key: sent as `Authorization: Bearer`, if there is one.
        headers: further headers; an `Authorization` among them takes the key's place.
        ca: a file of certificate authorities to trust in place of the usual ones.
    """

    key: Key
    headers: Headers
    ca: str | None = None

    async def sent(self, who: str) -> Secret[dict[str, str]]:
        """Return the headers to send.

        Raises:
            AuthenticationFailed: a key or headers are needed and there are none.
        """
        if self.headers.lost:
            msg = f"{who}: its headers were not copied to this process: give headers="
            raise AuthenticationFailed(msg)
        if any(name.lower() == "authorization" for name in self.headers):
            return Secret(dict(self.headers))
        key = await self.key.read_async(who)
        return Secret({**self.headers, **({"Authorization": f"Bearer {key}"} if key else {})})


_SALT = os.urandom(16)


def scope_of(model: str | None, key: Key, headers: Mapping[str, str] | None = None) -> str:
    """Return a digest of model, key and headers, which only this process can make."""
    parts = [
        model or "",
        key.identity(),
        *(one for pair in (headers or {}).items() for one in pair),
    ]
    return hashlib.blake2b(repr(parts).encode(), key=_SALT, digest_size=16).hexdigest()


def masked(text: str, sent: Secret[dict[str, str]]) -> str:
    """Return a text with the key and the headers that were sent replaced by `***`."""
    for name, value in sent.reveal().items():
        if name.lower() == "authorization":
            value = value.rpartition(" ")[2]  # noqa: PLW2901 - without the scheme
        elif len(value) < _SECRET_LENGTH:
            continue
        if value:
            text = text.replace(value, "***")
    return text
