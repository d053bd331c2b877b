"""The explorer's server: on the loopback interface only, with a random token in the address."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import secrets
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from runoff._waiting import workers
from runoff.errors import InvalidArgument, MissingExtra, RunoffError
from runoff.report._explorer.explorer import status_of
from runoff.report._explorer.static_files import STATIC, static

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route
except ModuleNotFoundError as missing:
    raise MissingExtra(str(missing.name), "explore") from missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from runoff.report._explorer.explorer import Explorer


_NAMES = ("127.0.0.1", "localhost")
_LARGEST = 1_000_000  # bytes of a request's body
_PATIENCE = 2  # seconds for answers under way when the server stops
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _Refused(Exception):
    """A request that is not answered."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def application(explorer: Explorer, token: str, port: int) -> Starlette:
    """Return the application that answers under `/{token}/`.

    Args:
        explorer: answers the questions.
        token: what every address begins with; whoever knows it may ask.
        port: where it is served; a request that names another host or port is refused, so that no
            foreign page reaches it under a name of its own.
    """
    hosts = {f"{name}:{port}" for name in _NAMES}

    async def handle(request: Request) -> Response:
        try:
            _check_address(request, hosts, token)
            path = request.path_params["path"]
            if not path.startswith("api/"):
                return _file(path, request.method)
            body = await _body(request, hosts)
        except _Refused as refused:
            return _json(refused.status, {"error": str(refused)})
        query = request.url.query
        ask = partial(explorer.answer, request.method, f"{path}?{query}" if query else path, body)
        try:
            found = await workers.run_async(ask, None, "explorer")
        except asyncio.CancelledError:  # the server stops
            return _json(503, {"error": "The explorer was stopped."})
        except Exception as error:  # noqa: BLE001 - each has a status, and the page shows it
            status, sentence = status_of(error)
            return _json(status, {"error": sentence})
        return _json(200, found)

    async def missing(_request: Request, _error: Exception) -> Response:
        return _json(404, {"error": _NOTHING})

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    made = Starlette(
        routes=[Route("/{token}/{path:path}", handle, methods=methods)],
        exception_handlers={404: missing, 405: missing},
    )
    made.router.redirect_slashes = False  # a redirect would say that the token is right
    return made


_NOTHING = "There is nothing here: open the address that runoff printed."


def _check_address(request: Request, hosts: set[str], token: str) -> None:
    """Refuse a request that was not sent to the address that was printed."""
    if request.headers.get("host", "").lower() not in hosts:
        raise _Refused(421, "This page is served to this machine only, as 127.0.0.1.")
    given = request.path_params["token"].encode("utf-8", "surrogatepass")
    if not hmac.compare_digest(given, token.encode()):
        raise _Refused(404, _NOTHING)
    if request.method not in {"GET", "HEAD", "POST"}:
        raise _Refused(405, "Use GET or POST.")


async def _body(request: Request, hosts: set[str]) -> object:
    """Return the parsed body of a POST; None for a GET."""
    if request.method != "POST":
        return None
    if request.headers.get("origin") not in {f"http://{host}" for host in hosts}:
        raise _Refused(403, "Only the explorer's own page may change anything.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _Refused(415, "The body must be application/json.")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > _LARGEST:
            raise _Refused(413, f"The body must have {_LARGEST:,} bytes at most.")
        parts.append(part)
    try:
        parsed: object = json.loads(b"".join(parts))
    except (ValueError, RecursionError):
        raise _Refused(400, "The body must be JSON.") from None
    return parsed


def _json(status: int, content: Any) -> Response:  # noqa: ANN401 - JSON
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Response(text, status, HEADERS, "application/json")


def _file(path: str, method: str) -> Response:
    name = path or "index.html"
    if method == "POST":
        raise _Refused(405, "Use GET.")
    if name not in STATIC:
        raise _Refused(404, _NOTHING)
    try:
        content = static(name)
    except RunoffError as missing:
        raise _Refused(501, str(missing)) from None
    return Response(content, 200, HEADERS, STATIC[name])


def serve(
    explorer: Explorer, port: int = 0, ready: Callable[[str], None] = lambda _address: None
) -> None:
    """Serve on 127.0.0.1 until Ctrl-C.

    Args:
        explorer: answers the questions.
        port: the port; 0 takes a free one.
        ready: called with the address when it can be opened.

    Raises:
        InvalidArgument: the port cannot be used.
    """
    with socket.socket(socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            remedy = f"cannot be used ({error}): leave it out, and a free one is taken"
            raise InvalidArgument("port", port, remedy) from None
        listener.listen()
        port = listener.getsockname()[1]
        token = secrets.token_urlsafe(16)
        config = uvicorn.Config(
            application(explorer, token, port),
            log_level="warning",
            lifespan="off",
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=_PATIENCE,
        )
        ready(f"http://127.0.0.1:{port}/{token}/")
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again after it stopped
            uvicorn.Server(config).run(sockets=[listener])
