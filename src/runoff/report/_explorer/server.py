"""The explorer's server: loopback only, with a random token in the address."""

from __future__ import annotations

import hmac
import json
import secrets
from importlib import resources
from typing import TYPE_CHECKING, Any

from runoff.errors import InvalidArgument, MissingExtra
from runoff.report._explorer.explorer import status_of

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response
    from starlette.routing import Route
except ModuleNotFoundError as missing:
    raise MissingExtra(str(missing.name), "explore") from missing

if TYPE_CHECKING:
    from starlette.requests import Request

    from runoff.report._explorer.explorer import Explorer

__all__ = ["HEADERS", "HOSTS", "app", "serve"]

HOSTS = ("127.0.0.1", "localhost", "[::1]")
_LARGEST = 1_000_000  # bytes of a request's body
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def app(explorer: Explorer, token: str, port: int) -> Starlette:
    """Return the application that answers under `/{token}/`.

    Args:
        explorer: answers the questions.
        token: what the address begins with; whoever knows it may ask.
        port: where it is served; requests that name another host or port are refused.
    """
    hosts = {f"{host}:{port}" for host in HOSTS}
    origins = {f"http://{host}" for host in hosts}
    secret = token.encode()

    async def handle(request: Request) -> Response:
        if request.headers.get("host", "") not in hosts:
            return _said(421, "This address is served to the loopback interface only.")
        given = request.path_params["token"].encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(given, secret):
            return _said(404, "There is nothing here: open the address that runoff printed.")
        path = request.path_params["path"]
        if not path.startswith("api/"):
            return _static(path) if request.method == "GET" else _said(405, "Use GET.")
        if request.method not in {"GET", "POST"}:
            return _said(405, "Use GET or POST.")
        body: object = None
        if request.method == "POST":
            if request.headers.get("origin") not in origins:
                return _said(403, "Only the explorer's own page may change anything.")
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                return _said(415, "The body must be application/json.")
            raw = await _body(request)
            if raw is None:
                return _said(413, f"The body must have {_LARGEST:,} bytes at most.")
            try:
                body = json.loads(raw)
            except (ValueError, RecursionError):
                return _said(400, "The body must be JSON.")
        address = f"{path}?{request.url.query}" if request.url.query else path
        try:
            found = await run_in_threadpool(explorer.answer, request.method, address, body)
        except Exception as error:  # noqa: BLE001 - each has a status, and the page shows it
            return _said(*status_of(error))
        return _json(200, found)

    return Starlette(
        routes=[Route("/{token}/{path:path}", handle, methods=["GET", "POST", "PUT", "DELETE"])],
        exception_handlers={404: _not_found, 405: _not_found},
    )


async def _not_found(_request: Request, _error: Exception) -> Response:
    return _said(404, "There is nothing here: open the address that runoff printed.")


async def _body(request: Request) -> bytes | None:
    """Return the body; None if it is too large."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > _LARGEST:
            return None
        parts.append(part)
    return b"".join(parts)


def _json(status: int, content: Any) -> Response:  # noqa: ANN401 - JSON
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Response(text, status, HEADERS, "application/json")


def _said(status: int, sentence: str) -> Response:
    return _json(status, {"error": sentence})


def _static(path: str) -> Response:
    name = path or "index.html"
    if name not in {"index.html", "explorer.js", "explorer.css"}:
        return _said(404, "There is no such file.")
    file = resources.files("runoff.report._explorer").joinpath("static", name)
    if not file.is_file():
        return _said(404, "This installation lacks the explorer's page: reinstall runoff.")
    return Response(file.read_bytes(), 200, HEADERS, _TYPES[name.rpartition(".")[2]])


def serve(explorer: Explorer, host: str = "127.0.0.1", port: int = 0) -> None:
    """Serve until Ctrl-C; prints the address once.

    Raises:
        InvalidArgument: the host is not a loopback address, or the port is taken.
    """
    import socket

    if host not in {"127.0.0.1", "::1", "localhost"}:
        raise InvalidArgument("host", host, "must be 127.0.0.1: the page is for this machine only")
    listener = socket.socket(socket.AF_INET)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise InvalidArgument("port", port, f"cannot be used: {error.strerror}") from None
    port = listener.getsockname()[1]
    token = secrets.token_urlsafe(16)
    print(f"http://127.0.0.1:{port}/{token}/", flush=True)  # noqa: T201 - the output
    config = uvicorn.Config(app(explorer, token, port), log_level="warning", lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])
