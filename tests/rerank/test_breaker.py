"""The circuit breaker: closed, open, half open."""

import pytest

from runoff.errors import CircuitOpen, ConnectionFailed, InvalidArgument
from runoff.rerank import Circuit
from runoff.rerank._remote.breaker import Breaker, breaker_of

DOWN = ConnectionFailed("refused")


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return Breaker(Circuit(3, cooldown=5.0, longest=15.0), "server", clock=clock)


def fail(breaker, times=1):
    for _ in range(times):
        breaker.enter().failed(DOWN)


def test_it_opens_after_failures_in_a_row(breaker):
    """Three failures in a row open it, and the refusal tells who, why and for how long."""
    fail(breaker, 2)
    breaker.enter().answered()
    fail(breaker, 2)
    assert breaker.state == "closed"
    fail(breaker)
    assert breaker.state == "open"
    with pytest.raises(CircuitOpen, match=r"server failed 3 times in a row \(connection\).*5\.0 s"):
        breaker.enter()


def test_half_open_lets_one_probe_through(breaker, clock):
    """After the cooldown one request passes; the others are refused until it has answered."""
    fail(breaker, 3)
    clock.now += 5.0
    assert breaker.state == "half-open"
    probe = breaker.enter()
    with pytest.raises(CircuitOpen, match="probe"):
        breaker.enter()
    probe.answered()
    assert breaker.state == "closed"
    breaker.enter().answered()


def test_a_failing_probe_doubles_the_cooldown(breaker, clock):
    """Each failed probe doubles the cooldown, up to the longest; a success resets it."""
    fail(breaker, 3)
    for cooldown, following in ((5.0, 10.0), (10.0, 15.0), (15.0, 15.0)):
        clock.now += cooldown
        fail(breaker)
        clock.now += following - 0.1
        assert breaker.state == "open"
        clock.now += 0.1
        assert breaker.state == "half-open"
        clock.now -= following
    clock.now += 15.0
    breaker.enter().answered()
    fail(breaker, 3)
    clock.now += 5.0
    assert breaker.state == "half-open"


def test_an_abandoned_probe_frees_its_place(breaker, clock):
    """A probe whose caller gave up at once proves nothing, and another may follow."""
    fail(breaker, 3)
    clock.now += 5.0
    breaker.enter().left()
    assert breaker.state == "half-open"
    breaker.enter().answered()
    assert breaker.state == "closed"


def test_impatience_is_not_a_failure(breaker, clock):
    """A caller who gives up sooner than the server usually answers does not open the circuit."""

    def ask(seconds, settle):
        permit = breaker.enter()
        clock.now += seconds
        settle(permit)

    ask(1.0, lambda permit: permit.answered())
    for _ in range(10):
        ask(1.5, lambda permit: permit.left())
    assert breaker.state == "closed"
    for _ in range(3):
        ask(2.5, lambda permit: permit.left())
    assert breaker.state == "open"


def test_a_permit_is_settled_once(breaker):
    """Only the first call on a permit counts."""
    permit = breaker.enter()
    permit.answered()
    for _ in range(5):
        permit.failed(DOWN)
    assert breaker.state == "closed"


def test_callers_of_one_url_share_a_breaker():
    """One URL and one configuration have one breaker; None has none."""
    url = "http://shared.example/rerank"
    assert breaker_of(url, Circuit(2), "a") is breaker_of(url, Circuit(2), "b")
    assert breaker_of(url, Circuit(2), "a") is not breaker_of(url + "2", Circuit(2), "a")
    assert breaker_of(url, None, "a") is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"failures": 0}, "failures"), ({"cooldown": 0}, "cooldown"), ({"longest": "1"}, "longest")],
)
def test_bad_arguments_are_named(arguments, named):
    """An argument that cannot be right is named."""
    with pytest.raises(InvalidArgument, match=named):
        Circuit(**arguments)
