"""When a request is sent again."""

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff.errors import (
    BadReply,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidArgument,
    RequestRejected,
    ServerFailed,
)
from runoff.rerank import Retries
from runoff.rerank._remote.retries import retry_after


def asked_to_wait(seconds):
    error = ServerFailed("busy")
    error.retry_after = seconds
    return error


@pytest.mark.parametrize("error", [ConnectionFailed("reset"), ServerFailed("503")])
def test_what_may_pass_is_tried_again(error):
    """A lost connection and a failing server get another attempt, until there were enough."""
    retries = Retries(3)
    assert retries.pause(1, error, math.inf) is not None
    assert retries.pause(2, error, math.inf) is not None
    assert retries.pause(3, error, math.inf) is None


@pytest.mark.parametrize(
    "error", [DeadlineExceeded("late"), BadReply("short"), RequestRejected("too long")]
)
def test_what_was_answered_or_late_is_not(error):
    """What the server answered it would answer, and bill, again; time lost is lost."""
    assert Retries(3).pause(1, error, math.inf) is None


@given(st.integers(1, 20), st.floats(0, 5), st.floats(0.01, 20))
def test_a_pause_always_fits(failed, left, longest):
    """No pause outlasts the deadline or the longest one, and none is negative."""
    retries = Retries(100, longest_pause=longest)
    pause = retries.pause(failed, ServerFailed("503"), left)
    assert pause is None or 0 <= pause < left
    assert pause is None or pause <= longest


def test_pauses_double():
    """Each pause is at most twice the one before, and at least half of its full length."""
    retries = Retries(9, first_pause=1.0, longest_pause=100.0)
    for failed, full in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0)):
        pauses = [retries.pause(failed, ServerFailed("503"), math.inf) for _ in range(50)]
        assert full / 2 <= min(pauses) < max(pauses) <= full


def test_retry_after_is_honoured_when_it_fits():
    """The server's word takes the place of the pause; where it does not fit, nothing is sent."""
    retries = Retries(3, longest_pause=5.0)
    assert retries.pause(1, asked_to_wait(2.0), 3.0) == 2.0
    assert retries.pause(1, asked_to_wait(2.0), 1.9) is None
    assert retries.pause(1, asked_to_wait(6.0), math.inf) is None
    assert retries.pause(1, asked_to_wait(0.0), 1.0) == 0.0


def test_retry_after_is_understood():
    """Milliseconds, seconds and dates are read, in any case; invalid values are ignored."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after({"retry-after-ms": "1500", "Retry-After": "9"}) == 1.5
    assert retry_after({"RETRY-AFTER": " 2 "}) == 2.0
    assert retry_after({"Retry-After": soon}) == pytest.approx(30, abs=2)
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    for nonsense in ({}, {"Retry-After": "soon"}, {"retry-after-ms": ""}, {"Retry-After": ""}):
        assert retry_after(nonsense) is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"attempts": 0}, "attempts"),
        ({"first_pause": -1}, "first_pause"),
        ({"longest_pause": math.nan}, "longest_pause"),
    ],
)
def test_bad_arguments_are_named(arguments, named):
    """An argument that cannot be right is named."""
    with pytest.raises(InvalidArgument, match=named):
        Retries(**arguments)
