"""What `make test` leaves to `make test-slow`."""

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_a_slow_test_says_how_long_it_takes():
    """Each mark begins with its seconds, and says what takes them."""
    found = [
        f"{path.relative_to(HERE)}: {mark}"
        for path in HERE.rglob("test_*.py")
        for mark in re.findall(r"mark\.slow\b.*", path.read_text(encoding="utf-8"))
        if path.name != Path(__file__).name
    ]
    assert found
    assert [one for one in found if not re.search(r'slow\("\d+ s\b[^"]*: [^"]+"', one)] == []
