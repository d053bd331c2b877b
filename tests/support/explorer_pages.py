"""A server of the explorer's page over made-up answers, on loopback, with the real one's policy."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from explorer_answers import Answers

NOTEBOOK = b"<!doctype html><title>notebook</title><link rel=icon href='data:,'><body>"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' "
    "data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def serve(answers: Answers) -> tuple[str, ThreadingHTTPServer]:
    """Serve the page and the answers on loopback; return the address and the server."""
    static = files("runoff.report") / "_explorer" / "static"
    kinds = {"html": "text/html", "js": "text/javascript", "css": "text/css"}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def _reply(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Security-Policy", CSP)
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a question given up
                self.wfile.write(content)

        def _answer(self, method: str, body: object) -> None:
            status, found = answers.answer(method, self.path.removeprefix("/token/"), body)
            self._reply(status, json.dumps(found).encode(), "application/json")

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path).removeprefix("/token/")
            if path.startswith("api/"):
                self._answer("GET", None)
                return
            if path == "notebook":
                self._reply(200, NOTEBOOK, "text/html")
                return
            name = path or "index.html"
            self._reply(200, (static / name).read_bytes(), kinds[name.rsplit(".", 1)[-1]])

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            self._answer("POST", json.loads(self.rfile.read(size)))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/token/", server
