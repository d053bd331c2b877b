"""Which errors degrade and which are raised."""

import httpx
import pytest

from runoff.errors import AuthenticationFailed, BadReply, InvalidArgument, PoolFull
from runoff.faults import check_on_error, degrades, reason_of


class StatusError(Exception):
    def __init__(self, status_code):
        self.status_code = status_code


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
