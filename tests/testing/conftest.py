import inspect

import pytest


def _verdicts(contract):
    """Run every test of a contract class and tell how each ended."""
    ended = {}
    for name, method in inspect.getmembers(contract, inspect.isfunction):
        if not name.startswith("test_"):
            continue
        try:
            method(contract())
        except AssertionError as error:
            ended[name] = f"failed: {error}"
        except pytest.skip.Exception as skipped:
            ended[name] = f"skipped: {skipped}"
        except Exception as error:  # noqa: BLE001 - a fake may break in any way
            ended[name] = f"broke: {type(error).__name__}: {error}"
        else:
            ended[name] = "passed"
    return ended


@pytest.fixture
def verdicts():
    """Map every test of a contract class to passed, skipped, failed or broke, and the message."""
    return _verdicts
