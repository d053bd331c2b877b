"""One time budget, its pauses and its errors."""

import threading

import pytest

from runoff.deadline import Deadline
from runoff.errors import DeadlineExceeded, InvalidArgument


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_without_a_timeout_it_never_ends():
    """No budget: infinite time, never expired."""
    deadline = Deadline()
    assert deadline.remaining() == float("inf")
    assert not deadline.finite
    assert not deadline.expired
    deadline.check("stage")


def test_it_counts_down_and_raises_when_spent():
    """The remaining seconds fall to 0 and stay there; the error names stage and budget."""
    clock = Clock()
    deadline = Deadline(0.25, clock=clock)
    clock.now += 0.1
    assert deadline.remaining() == pytest.approx(0.15)
    clock.now += 1
    assert deadline.remaining() == 0
    with pytest.raises(DeadlineExceeded, match="rerank: the budget of 250 ms is spent"):
        deadline.check("rerank")


def test_zero_is_spent_from_the_start():
    """A timeout of 0 leaves no time at all."""
    assert Deadline(0).expired


def test_pauses_stop_the_clock_and_may_overlap():
    """Time under a pause is not spent; two overlapping pauses count once."""
    clock = Clock()
    deadline = Deadline(1, clock=clock)
    with deadline.paused():
        clock.now += 2
        with deadline.paused():
            clock.now += 2
        assert deadline.remaining() == 1
        clock.now += 1
        assert not deadline.expired
    assert deadline.paused_for == 5
    clock.now += 0.25
    assert deadline.spent() == pytest.approx(0.25)


def test_a_pause_ends_when_loading_fails():
    """An error under a pause starts the clock again."""
    clock = Clock()
    deadline = Deadline(1, clock=clock)
    with pytest.raises(RuntimeError), deadline.paused():
        raise RuntimeError
    clock.now += 2
    assert deadline.expired


def test_threads_share_one_deadline():
    """Pauses of many threads leave the count of pauses even."""
    deadline = Deadline(5)

    def pause():
        for _ in range(200):
            with deadline.paused():
                deadline.remaining()

    threads = [threading.Thread(target=pause) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not deadline.expired
    assert deadline._pauses == 0


@pytest.mark.parametrize("timeout", [-0.1, float("nan"), "1", True])
def test_a_wrong_timeout_is_refused(timeout):
    """Negative, NaN, text and booleans are no seconds."""
    with pytest.raises(InvalidArgument, match="timeout"):
        Deadline(timeout)


def test_a_branch_shares_the_time_and_counts_its_own_pauses():
    """A pause of one branch stops the clock of all, and shows as time of that branch alone."""
    clock = Clock()
    whole = Deadline(1, clock=clock)
    one, other = whole.branch(), whole.branch()
    with one.paused():
        clock.now += 5
    clock.now += 0.25
    for deadline in (whole, one, other):
        assert deadline.budget == 1
        assert deadline.remaining() == pytest.approx(0.75)
    assert (whole.paused_for, one.paused_for, other.paused_for) == (5, 5, 0)


def test_a_branch_that_was_left_stops_no_clock():
    """After `leave`, neither a running pause nor a later one stops the shared clock."""
    clock = Clock()
    whole = Deadline(1, clock=clock)
    branch = whole.branch()
    with branch.paused():
        clock.now += 5
        branch.leave()
        clock.now += 0.25
    assert whole.remaining() == pytest.approx(0.75)
    with branch.paused():
        clock.now += 0.25
        assert branch.remaining() == whole.remaining() == pytest.approx(0.5)
    clock.now += 1
    assert branch.expired
    assert whole.paused_for == 5


def test_a_branch_without_a_budget_never_ends():
    """An abandoned branch still counts its own pauses."""
    clock = Clock()
    branch = Deadline(clock=clock).branch()
    with branch.paused():
        clock.now += 5
    assert not branch.finite
    assert branch.paused_for == 5


def test_a_share_is_a_part_of_what_is_left():
    """Half of the 0.8 s left: the branch ends 0.4 s from now, the whole 0.4 s later."""
    clock = Clock()
    whole = Deadline(1.0, clock=clock)
    clock.now += 0.2
    branch = whole.branch(0.5)
    assert branch.remaining() == pytest.approx(0.4)
    with branch.paused():
        clock.now += 5
    clock.now += 0.41
    assert branch.expired
    assert whole.remaining() == pytest.approx(0.39)
    assert not Deadline().branch(0.5).finite
