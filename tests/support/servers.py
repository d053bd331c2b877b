"""Small HTTP servers on loopback that answer as a test says."""

import contextlib
import json
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Asked", "certificate", "good", "serving"]


@dataclass
class Asked:
    """One request: its method, path, headers by lower-case name, and JSON body."""

    method: str
    path: str
    headers: dict
    body: object


@dataclass
class Server:
    url: str
    asked: list = field(default_factory=list)


@contextlib.contextmanager
def serving(answer, *, context=None):
    """Serve `answer(asked) -> (status, body)`, and headers where there is a third.

    The body is sent as JSON unless it is bytes.
    """
    server = Server("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # a reply is sent at once: in two parts it waits 40 ms for an ACK

        def do_POST(self):
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, json.loads(sent) if sent else None)
            server.asked.append(asked)
            status, body, *more = answer(asked)
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                for name, value in more[0].items() if more else ():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

        do_GET = do_DELETE = do_POST  # noqa: N815 - the base class's names

        def log_message(self, *_):
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            pass

    with Quiet(("127.0.0.1", 0), Handler) as listener:
        if context is not None:
            listener.socket = context.wrap_socket(listener.socket, server_side=True)
        scheme = "http" if context is None else "https"
        server.url = f"{scheme}://127.0.0.1:{listener.server_address[1]}"
        threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            listener.shutdown()


def good(texts):
    """Return a reply in Cohere's and Jina's form: the longer a text, the higher its score."""
    return {
        "results": [
            {"index": n, "relevance_score": len(text) / 1000} for n, text in enumerate(texts)
        ]
    }


def certificate(directory):
    """Make a self-signed certificate for 127.0.0.1; return its file and a server's context."""
    cert, key = directory / "cert.pem", directory / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    extra = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *extra], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context
