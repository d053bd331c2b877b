"""A pytest fixture that fails a test when a change is proven to harm retrieval.

Load it in a `conftest.py` with `pytest_plugins = ["runoff.testing.pytest_plugin"]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from runoff.evaluation._measures.measures import Evaluator
from runoff.evaluation._verdict.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runoff._labels.collection import Collection
    from runoff.evaluation._measures.measures import Run
    from runoff.evaluation._verdict.pairing import Slicing
    from runoff.evaluation._verdict.result import Verdict

__all__ = ["AssertNoHarm", "assert_no_harm"]


class AssertNoHarm(Protocol):
    """The function that the fixture `assert_no_harm` provides."""

    def __call__(
        self,
        before: Run,
        after: Run,
        collection: Collection,
        *,
        measures: Iterable[object] = ...,
        slices: Mapping[str, Slicing] | None = ...,
    ) -> Verdict:
        """Return the verdict on two runs; fail the test if the second is proven worse.

        Args:
            before: query id to document ids, best first, such as `read_run("baseline.run")`.
            after: the same for the system under test, such as `replay(recording)`.
            collection: the queries with their judgments.
            measures: names from ir-measures; the first decides.
            slices: name to slicing; a slice that is proven to be harmed fails the test, too.
        """


@pytest.fixture(scope="session")
def assert_no_harm() -> AssertNoHarm:
    """Return a function that compares two runs; see `AssertNoHarm`."""

    def check(
        before: Run,
        after: Run,
        collection: Collection,
        *,
        measures: Iterable[object] = ("nDCG@10",),
        slices: Mapping[str, Slicing] | None = None,
    ) -> Verdict:
        __tracebackhide__ = True
        evaluator = Evaluator(collection, measures)
        found = verdict(evaluator.evaluate(before), evaluator.evaluate(after), slices=slices)
        if found.harms:
            pytest.fail(f"retrieval got worse\n{found}", pytrace=False)
        return found

    return check
