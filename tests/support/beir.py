"""Where the test collections are, and how one is read."""

import gzip
import json
import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("RUNOFF_DATA", Path(__file__).parents[2] / "../shared/data"))


def folder(name):
    """Return a collection's folder, or skip the test where it is absent."""
    path = DATA / name
    if not path.is_dir():
        pytest.skip(f"no test collection {name} in {DATA} (RUNOFF_DATA)")
    return path


def lines(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def judgments(path):
    """Return (query id, document id, grade) of each row of a qrels file."""
    rows = (line.split("\t") for line in path.read_text().splitlines()[1:])
    return [(query, document, int(grade)) for query, document, grade in rows]
