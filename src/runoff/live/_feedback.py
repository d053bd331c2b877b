"""What an experiment keeps as JSON lines: the answers shown, and what users did with them.

Every process appends to a file of its own, a line at a time. The last line of a process that was
killed may be incomplete, and is left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runoff._util.stored import is_finite, is_text, open_stored, parse_json, read_stored
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import IO

    from runoff.live._interleaving import Team

KINDS = {"click": 1, "up": 1, "cited": 1, "down": -1}
"""What a user can do with a result, and whether that speaks for or against it."""

_FORMAT = 1
_ABOUT = "experiment.json"
_DEEP = 8
_LONGEST = 2**20  # bytes of an event


@dataclass(frozen=True, slots=True)
class Shown:
    """One answer.

    Attributes:
        id: of the response.
        time: in seconds since 1970, UTC.
        user: a hash of the user; empty if unknown.
        query: a hash of the question.
        arm: `"both"` for an interleaved list, else the system that answered: `"a"` or `"b"`.
        teams: document ids with their systems, in the order shown.
    """

    id: str
    time: float
    user: str
    query: str
    arm: str
    teams: tuple[tuple[str, Team], ...]


@dataclass(slots=True)
class Read:
    """What a directory contains.

    Attributes:
        shown: the answers in the order of time.
        liked: response id to document id to 1 or -1; a "down" outweighs all else.
        unreadable: how many lines cannot be read.
        strange: how many times feedback named an unknown answer, or a document that is not in it.
        late: how many times it came too late to count.
    """

    shown: list[Shown] = field(default_factory=list)
    liked: dict[str, dict[str, int]] = field(default_factory=dict)
    unreadable: int = 0
    strange: int = 0
    late: int = 0


class Events:
    """The directory of one experiment.

    Args:
        path: it is made if it does not exist.
        about: what the experiment is; a directory of another one is refused.

    Raises:
        InvalidArgument: the directory is of another experiment.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise InvalidArgument("path", str(path), "must be a directory, not a file") from None
        file = path / _ABOUT
        wanted = {"format": _FORMAT, **about}
        _create(file, json.dumps(wanted | {"salt": secrets.token_hex(16)}).encode())
        try:
            held = parse_json(read_stored(file), deepest=_DEEP)
        except (OSError, ValueError) as error:
            raise InvalidArgument("path", path, f"has a damaged {_ABOUT}: {error}") from error
        salt = held.get("salt") if isinstance(held, dict) else None
        if not is_text(salt) or {one: held.get(one) for one in wanted} != wanted:
            remedy = f"contains another experiment: {_ABOUT} does not say {wanted}"
            raise InvalidArgument("path", path, remedy)
        self._salt = str(salt)
        self._lock = threading.Lock()
        self._name: tuple[int, str] = (0, "")

    def hashed(self, text: str) -> str:
        """Return a hash of a text, salted for this experiment."""
        return hashlib.sha256(f"{self._salt} {text}".encode("utf-8", "surrogatepass")).hexdigest()[
            :32
        ]

    def add(self, event: Mapping[str, Any]) -> None:
        """Keep an event.

        Raises:
            OSError: it cannot be written.
        """
        line = (json.dumps(event, separators=(",", ":")) + "\n").encode()
        with self._lock:
            pid = os.getpid()
            if self._name[0] != pid:  # another file after a fork
                self._name = pid, f"events-{pid}-{secrets.token_hex(4)}.jsonl"
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            file = os.open(self.path / self._name[1], flags, 0o600)
            try:
                if os.write(file, line) != len(line):
                    self._name = 0, ""  # a line after half of one could not be read either
                    raise OSError(
                        f"{self.path}: only a part of an event was written: the disk is full"
                    )
            finally:
                os.close(file)

    def read(self, wait: float) -> Read:
        """Return all events of all processes.

        Args:
            wait: seconds after an answer in which feedback counts.
        """
        found = Read()
        given: list[tuple[float, str, str, str]] = []
        for event in self._lines(found):
            if (one := _shown(event)) is not None:
                found.shown.append(one)
            elif (said := _said(event)) is not None:
                given.append(said)
            else:
                found.unreadable += 1
        found.shown.sort(key=lambda one: (one.time, one.id))
        answers = {one.id: one for one in found.shown}
        for at, response, doc_id, kind in given:
            answer = answers.get(response)
            if answer is None or all(doc_id != one for one, _ in answer.teams):
                found.strange += 1
                continue
            if at > answer.time + wait:
                found.late += 1
                continue
            liked = found.liked.setdefault(response, {})
            liked[doc_id] = min(liked.get(doc_id, 1), KINDS[kind])
        return found

    def _lines(self, found: Read) -> Iterator[Any]:
        for file in sorted(self.path.glob("events-*.jsonl")):
            try:
                with open_stored(file) as stream:
                    for line in _lines_of(stream):
                        try:
                            yield parse_json(line, deepest=_DEEP)
                        except ValueError:
                            found.unreadable += 1
            except OSError:  # it is no file, or not ours to read
                found.unreadable += 1


def _create(file: Path, data: bytes) -> None:
    """Write a file completely or not at all; an existing file is kept."""
    if file.exists():
        return
    partial = file.with_name(f".{file.name}.{secrets.token_hex(8)}.partial")
    try:
        with partial.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(partial, file)
        except FileExistsError:
            pass  # another process was faster
        except OSError:  # a file system without links
            partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _lines_of(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield lines; of a line too long for an event only the start, which is not valid."""
    while line := stream.readline(_LONGEST):
        yield line
        while len(line) == _LONGEST and not line.endswith(b"\n"):
            line = stream.readline(_LONGEST)


def _shown(event: object) -> Shown | None:
    if not isinstance(event, dict) or event.get("event") != "shown":
        return None
    teams = event.get("teams")
    texts = [event.get(name) for name in ("id", "user", "query", "arm")]
    whole = (
        is_text(*texts)
        and event["arm"] in ("both", "a", "b")
        and is_finite(event.get("time"))
        and isinstance(teams, list)
        and all(isinstance(one, list) and len(one) == 2 and is_text(*one) for one in teams)  # noqa: PLR2004 - pairs
        and all(team in ("a", "b", "") for _, team in teams)
    )
    if not whole:
        return None
    return Shown(
        event["id"],
        float(event["time"]),
        event["user"],
        event["query"],
        event["arm"],
        tuple((doc_id, team) for doc_id, team in event["teams"]),
    )


def _said(event: object) -> tuple[float, str, str, str] | None:
    if not isinstance(event, dict) or event.get("event") != "feedback":
        return None
    texts = [event.get(name) for name in ("response", "doc_id", "kind")]
    if not is_text(*texts) or event["kind"] not in KINDS or not is_finite(event.get("time")):
        return None
    return float(event["time"]), event["response"], event["doc_id"], event["kind"]
