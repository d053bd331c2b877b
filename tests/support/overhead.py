"""What a source costs above the client that it asks."""

import statistics
import time

ROUNDS = 200


def overhead(ours, theirs):
    """Processor milliseconds of this thread that `ours` takes more than `theirs`, as a median.

    The two take turns, so that what else the machine does falls on both.
    """

    def spent(call):
        started = time.thread_time_ns()
        call()
        return (time.thread_time_ns() - started) / 1e6

    for call in (ours, theirs) * 5:
        call()
    pairs = [(spent(ours), spent(theirs)) for _ in range(ROUNDS)]
    return statistics.median(one - other for one, other in pairs)
