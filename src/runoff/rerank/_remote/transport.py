"""JSON over HTTP on the private loop, with httpx: one request, one reply or one named error."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from runoff._util.messages import error_text
from runoff._util.version import __version__
from runoff._waiting import private_loop
from runoff.errors import (
    AuthenticationFailed,
    BadReply,
    ConnectionFailed,
    InvalidArgument,
    MissingExtra,
    ModelNotFound,
    PermanentError,
    RequestRejected,
    RunoffError,
    ServerFailed,
)
from runoff.rerank._remote.access import masked
from runoff.rerank._remote.connections import Connections, no_cookies
from runoff.rerank._remote.dialects import Dialect
from runoff.rerank._remote.environment import trusted
from runoff.rerank._remote.retries import retry_after

try:
    import httpx
except ImportError as error:
    raise MissingExtra("httpx", "http") from error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from runoff.rerank._remote.access import Access

# parameters of a URL that hold a secret: by the end of the name, or by what keys look like
_SECRET_NAME = re.compile(
    r"(?:key|token|secret|passw(?:or)?d|pwd|signature|credentials?|authorization)s?$"
    r"|^(?:sig|auth|code|jwt|sas|pass)$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"(?:sk|hf|pa|co|ghp|nvapi|jina|bearer)[-_ ].{12,}|(?=.*\d)(?=.*[a-z])[a-z0-9]{24,}",
    re.IGNORECASE,
)
_LABEL = 63  # bytes of one part of a host's name
_REPLY_BYTES = 4 << 20  # a reply may also repeat the texts that it was sent
_ECHO = 4
_TURN = 64  # chunks
_CHUNKS, _CHUNK_BYTES = 4096, 16  # after so many chunks, how large they must be on average
_LIMIT = "runoff_reply_bytes"

_RETRIED = {408, 409, 425, 429, 499}  # 499: Cohere's "client closed request"
_REJECTED = {400, 413, 422}
_UNAUTHORIZED = {401, 403, 498}  # 498: Cohere's "invalid token"
# infinity refuses a name it does not serve with 400, vLLM and others say the same with 404
_NO_MODEL = re.compile(
    r"(invalid|unknown|no such) model|model.{0,80}(not found|does not exist|not exist)",
    re.IGNORECASE,
)
# llama.cpp and others answer 500 in place of 413 when one text is too long
_TOO_LONG = re.compile(
    r"too (?:large|long|many (?:input )?tokens)|maximum (?:context|sequence|input) length"
    r"|(?:exceed\w*|longer than|larger than|greater than|more than).{0,60}(?:token|context|length)",
    re.IGNORECASE,
)
_RATE = re.compile(r"\brate\b|per (?:second|minute|hour|day)|quota", re.IGNORECASE)
_PAYMENT, _NOT_FOUND, _FAILED_DEPENDENCY, _SERVER = 402, 404, 424, 500


class _Bounded(httpx.AsyncByteStream):
    """A body that ends in `BadReply` when it is larger than a reply may be, or in tiny chunks.

    Chunks that have arrived together are read without a pause, so a body of many tiny ones would
    keep the loop from all other requests: between any 64 of them the others get their turn.
    """

    def __init__(self, stream: Any, limit: int) -> None:  # noqa: ANN401 - httpx keeps it untyped
        self._stream = stream
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = chunks = 0
        async for chunk in self._stream:
            size += len(chunk)
            chunks += 1
            if chunks % _TURN == 0:
                await asyncio.sleep(0)
            if chunks > _CHUNKS and size < chunks * _CHUNK_BYTES:
                raise BadReply(
                    f"the reply comes in {chunks} parts of fewer than {_CHUNK_BYTES} bytes a chunk"
                )
            if size > self._limit:
                raise BadReply(f"the reply is larger than {self._limit} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound(response: httpx.Response) -> None:
    """Bound the size of a reply before it is read; a compressed one could have any size."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise BadReply("the reply is compressed, but the request did not allow that")
    limit = response.request.extensions.get(_LIMIT, _REPLY_BYTES)
    response.stream = _Bounded(response.stream, limit)


_clients: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[str | None, httpx.AsyncClient]
] = weakref.WeakKeyDictionary()


def client(ca: str | None = None) -> httpx.AsyncClient:
    """Return the private loop's client: TLS verified, no redirects, bounded replies, no timeouts.

    Timeouts are the caller's: httpx's own are per read, and a slow drip escapes them.

    Args:
        ca: a file of certificate authorities to trust in place of the usual ones.

    Raises:
        InvalidArgument: the file cannot be read as certificates.
    """
    known = _clients.setdefault(private_loop.running(), {})
    if ca not in known:
        made = httpx.AsyncClient(
            transport=Connections(partial(trusted, ca)),
            timeout=None,  # noqa: S113 - see above
            follow_redirects=False,
            cookies=no_cookies(),
            headers={"Accept-Encoding": "identity", "User-Agent": f"runoff/{__version__}"},
            event_hooks={"response": [_bound]},
        )
        known.setdefault(ca, made)  # of threads that make one at the same time, the first wins
    return known[ca]


def ready(ca: str | None) -> bool:
    """Whether there is a client: making one reads certificates, which takes a moment."""
    return ca in _clients.get(private_loop.running(), {})


async def post(url: str, body: Mapping[str, Any], *, access: Access, who: str) -> Any:  # noqa: ANN401 - JSON
    """Send a JSON body and return the JSON that comes back.

    Raises:
        RunoffError: what went wrong; never with the body or the headers in its message.
    """
    sent = json.dumps(body).encode()  # only ASCII, so that lone surrogates can be sent
    return await _reply("POST", url, sent, access, who)


async def get(url: str, *, access: Access, who: str) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON found at a URL; raises as `post`."""
    return await _reply("GET", url, b"", access, who)


async def _reply(method: str, url: str, sent: bytes, access: Access, who: str) -> Any:  # noqa: ANN401 - JSON
    own = await access.sent(who)
    form = {"Content-Type": "application/json"} if sent else {}
    response: httpx.Response | None = None
    failure: RunoffError | None = None
    try:
        response = await client(access.ca).request(
            method,
            url,
            content=sent or None,
            headers={"Accept": "application/json", **form, **own.reveal()},
            extensions={_LIMIT: _REPLY_BYTES + _ECHO * len(sent)},
        )
    except Exception as error:  # noqa: BLE001 - `failed` names it
        failure = failed(error, who)
        failure.__cause__ = without_frames(error)
    if response is None or failure is not None:
        raise failure or BadReply(f"{who} did not answer")  # here, so that no context is set
    try:
        said = json.loads(response.content)
    except (ValueError, RecursionError):
        said = None
    hide = partial(masked, sent=own)  # a server may repeat the key it was sent
    if not response.is_success:
        failure = status_error(response.status_code, said, response.headers, who, hide)
        said = None  # for the same reason: it may repeat them
        raise failure
    if said is None:
        kind = hide(response.headers.get("content-type", "")).split(";")[0][:40] or "something"
        raise BadReply(f"{who} answered {response.status_code} with {kind} that is not JSON")
    return said


def without_frames(error: BaseException) -> BaseException:
    """Return an error without its traceback, whose local variables include the headers sent."""
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        one = left.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            left += [one.__cause__, one.__context__]
    return error


def failed(error: Exception, who: str) -> RunoffError:
    """Return runoff's error for one of httpx's."""
    if isinstance(error, RunoffError):
        return type(error)(f"{who}: {error}")
    if _untrusted(error):
        remedy = "name its authority in SSL_CERT_FILE or, for HTTPRerank, with ca="
        return PermanentError(
            f"{who}: its certificate is not trusted ({error_text(error)}); {remedy}"
        )
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | UnicodeError):
        return PermanentError(f"{who}: its url cannot be used: {error_text(error)}")
    if isinstance(error, ImportError):
        return PermanentError(f"{who}: {error_text(error)}")
    if isinstance(error, httpx.DecodingError | httpx.TooManyRedirects):
        return BadReply(f"{who}: {error_text(error)}")
    # not only TransportError: a socket's own errors come through as well
    return ConnectionFailed(f"{who}: {error_text(error)}")


def _untrusted(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def status_error(
    status: int,
    said: object,
    headers: Mapping[str, str],
    who: str,
    hide: Callable[[str], str] = str,
    where: str = "url=, dialect=",
) -> RunoffError:
    """Return the error for an HTTP status other than success.

    Args:
        status: the status.
        said: the body, if it is JSON.
        headers: of the reply.
        who: the name of the server.
        hide: masks secrets.
        where: the arguments that name its address, for the message.
    """
    message = Dialect.message(said, hide)
    text = f"{who} answered {status}" + (f": {message}" if message else "")
    if status in _UNAUTHORIZED:
        return AuthenticationFailed(f"{text}; give it a valid api_key=")
    if status == _NOT_FOUND or (status in _REJECTED and _NO_MODEL.search(message)):
        return ModelNotFound(f"{text}; check {where} and model=")
    too_long = status in {_SERVER, _FAILED_DEPENDENCY} and _TOO_LONG.search(message)
    if status in _REJECTED or (too_long and not _RATE.search(message)):
        return RequestRejected(text)
    if status in _RETRIED or status == _FAILED_DEPENDENCY or status >= _SERVER:
        error = ServerFailed(text)
        error.retry_after = retry_after(headers)
        return error
    if 300 <= status < 400:  # noqa: PLR2004 - redirects
        target = urlsplit(hide(headers.get("location", ""))).hostname or "another place"
        msg = f"{text}: it redirects to {target}; redirects are not followed, give that url="
        return BadReply(msg)
    if status < 400:  # noqa: PLR2004 - such as 204, without a body
        return BadReply(f"{text}, which is not a reply with scores")
    hint = "the account needs payment" if status == _PAYMENT else f"check {where}"
    return PermanentError(f"{text}; {hint}")


def host_of(url: str) -> str:
    """Return host and port of a URL, for messages."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2]


def check_url(url: object, argument: str = "url") -> None:
    """Refuse anything but an HTTP URL without a password and without a key in its query.

    httpx logs URLs, and frameworks write out the field: a header is neither logged nor written.

    Raises:
        InvalidArgument: names the argument, without the secret.
    """
    remedy = 'must be an http or https URL, such as "http://localhost:8080"'
    if not isinstance(url, str):
        raise InvalidArgument(argument, url, remedy)
    if "@" in re.split(r"[/?#]", url.partition("//")[2])[0]:
        raise InvalidArgument(argument, "***", "contains a password: use api_key= or headers=")
    shown = re.split(r"[?#]", url)[0]  # a key may follow
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        usable = usable and _has_name(httpx.URL(url))
        given = parse_qsl(parts.query, keep_blank_values=True) + parse_qsl(parts.fragment)
    except (ValueError, httpx.InvalidURL):
        usable, given = False, []
    if not usable:
        raise InvalidArgument(argument, shown, remedy)
    for name, value in given:
        if _SECRET_NAME.search(name) or _SECRET_VALUE.fullmatch(value):
            why = (
                f"has {name[:40]!r} in its query, where a key would be logged and saved: give it "
                "as api_key= or in headers=, which are not"
            )
            raise InvalidArgument(argument, shown, why)


def _has_name(url: httpx.URL) -> bool:
    """Return whether a server may have the host of a URL as its name (RFC 1035, RFC 5890)."""
    labels = url.raw_host.removesuffix(b".").split(b".")
    valid = all(0 < len(label) <= _LABEL for label in labels)
    return valid and bool(url.host)  # which decodes IDNA, and raises a ValueError
