"""The table of what each store does, which a run over all stores writes."""

import warnings

import pytest

_found = {}


@pytest.fixture(autouse=True)
def _their_warnings():
    """Leave the stores' own warnings alone: deprecations, and clients that are not closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def note():
    """Return what notes in one column of the table how a store does."""

    def noted(framework, store, column, verdict):
        _found.setdefault(framework, {}).setdefault(store, {})[column] = verdict

    return noted


def pytest_sessionfinish(session, exitstatus):
    """Write the table, if every store was there and did what it must."""
    if exitstatus == 0 and _found:
        from stores_table import write_whole

        write_whole(_found)
