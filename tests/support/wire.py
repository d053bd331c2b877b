"""A client that sees the raw bytes of a reply, and how the connection ended."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass

QUERY = "green tea water"
TEXTS = ("a river", "green tea", "green tea in water", "no tea")
BODIES = {"tei": "texts", "vllm": "documents"}
PATHS = {"tei": "/rerank", "infinity": "/rerank", "vllm": "/v2/rerank", "jina": "/v1/rerank"}


@dataclass(frozen=True)
class Wire:
    """One reply as received; `end` is "fin", "rst", "silence" or "flood"."""

    raw: bytes
    end: str

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1])

    @property
    def headers(self) -> dict[str, str]:
        lines = self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        pairs = [line.split(": ", 1) for line in lines]
        assert len({name.lower() for name, _ in pairs}) == len(pairs), "a header is sent twice"
        return dict(pairs)

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]


def asked(dialect: str = "cohere", **more: object) -> dict[str, object]:
    """Return a good request."""
    return {"query": QUERY, BODIES.get(dialect, "documents"): list(TEXTS), **more}


def head(url: str, path: str, extra: str) -> bytes:
    """Return the head of a request that asks for the connection to be closed after it."""
    host = url.removeprefix("http://")
    lines = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer secret\r\n"
    return f"{lines}Connection: close\r\n{extra}\r\n\r\n".encode()


def send(url: str, request: bytes, *, wait: float = 0.3, most: int = 1_000_000) -> Wire:
    """Send bytes, and read until the end, `most` bytes, or `wait` seconds in all."""
    host, _, port = url.removeprefix("http://").partition(":")
    got, last = b"", time.monotonic() + wait
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(request)
        while len(got) < most:
            client.settimeout(max(0.001, last - time.monotonic()))
            try:
                block = client.recv(65_536)
            except ConnectionResetError:
                return Wire(got, "rst")
            except TimeoutError:
                return Wire(got, "silence")
            if not block:
                return Wire(got, "fin")
            got += block
        return Wire(got, "flood")


def post(url: str, dialect: str = "cohere", *, wait: float = 5.0, **more: object) -> Wire:
    """Send a good request in this dialect with these fields."""
    body = json.dumps(asked(dialect, **more)).encode()
    start = head(url, PATHS.get(dialect, "/v2/rerank"), f"Content-Length: {len(body)}")
    return send(url, start + body, wait=wait)
