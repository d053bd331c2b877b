"""Which errors degrade and which are raised."""

import errno
import socket
import urllib.error

import httpx
import pytest

from runoff._util.faults import check_on_error, degrades, reason_of
from runoff.errors import AuthenticationFailed, BadReply, InvalidArgument, PoolFull


class StatusError(Exception):
    def __init__(self, status_code):
        self.status_code = status_code


REQUEST = httpx.Request("GET", "http://127.0.0.1/")


def httpx_status(status):
    return httpx.HTTPStatusError("", request=REQUEST, response=httpx.Response(status))


def urllib_status(status):
    return urllib.error.HTTPError("http://127.0.0.1/", status, "", {}, None)


def caused(cause):
    error = ValueError("an SDK's own error")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BadReply("short"), "bad_reply"),
        (PoolFull("busy"), "pool_full"),
        (TimeoutError(), "timeout"),
        (ConnectionRefusedError(), "connection"),
        (httpx.ReadTimeout("slow"), "timeout"),
        (httpx.ConnectError("refused"), "connection"),
        (httpx.RemoteProtocolError("half a reply"), "connection"),
        (StatusError(429), "server_error"),
        (StatusError(408), "server_error"),
        (StatusError(503), "server_error"),
        (StatusError(422), "request_rejected"),
        (httpx_status(503), "server_error"),
        (httpx_status(413), "request_rejected"),
        (httpx_status(401), ""),
        (urllib_status(502), "server_error"),
        (urllib_status(403), ""),
        (urllib.error.URLError(ConnectionRefusedError()), "connection"),
        (urllib.error.URLError("unknown url type"), ""),
        (socket.gaierror(socket.EAI_NONAME, "no such host"), "connection"),
        (OSError(errno.EHOSTUNREACH, "no route to host"), "connection"),
        (OSError(errno.ENOSPC, "no space left on device"), ""),
        (caused(httpx.ConnectError("refused")), "connection"),
        (caused(caused(TimeoutError())), "timeout"),
        (caused(KeyError("bug")), ""),
        (SystemExit(503), ""),
        (StatusError(401), ""),
        (StatusError(404), ""),
        (AuthenticationFailed("bad key"), ""),
        (InvalidArgument("depth", 0, "must be 1 or more"), ""),
        (KeyError("bug"), ""),
        (FileNotFoundError(), ""),
    ],
)
def test_transient_errors_have_a_reason(error, reason):
    """Faults that may pass carry a stable word, all others an empty one."""
    assert reason_of(error) == reason
    assert degrades(error, "transient") == reason
    assert degrades(error, "raise") == ""


def test_degrade_hides_no_interrupt():
    """`on_error="degrade"` degrades for every fault, but a KeyboardInterrupt is none."""
    assert degrades(AuthenticationFailed("bad key"), "degrade") == "permanent"
    assert degrades(KeyError("bug"), "degrade") == "error"
    assert degrades(KeyboardInterrupt(), "degrade") == ""


def test_other_ways_are_refused():
    """The message lists the three ways."""
    with pytest.raises(InvalidArgument, match=r'"transient".*"degrade".*"raise"'):
        check_on_error("skip")
