"""`runoff doctor`: what is wrong with a store, a reranker or a pipeline, and what to do."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from runoff.cli._options import JsonOption  # noqa: TC001 - typer reads it
from runoff.cli._system import attribute, call
from runoff.errors import InvalidArgument
from runoff.testing._doctor.doctor import doctor as examine

if TYPE_CHECKING:
    from runoff.evaluation._health.observations import Health

EXIT_ODD = 3


def doctor(
    part: Annotated[
        str,
        typer.Argument(
            metavar="STORE|RERANKER|PIPELINE",
            help="What to check, named as module:attribute, or the name of a model.",
        ),
    ],
    questions: Annotated[
        Path | None,
        typer.Option(
            help="A JSON file: a list of questions, or an object of questions and their answers.",
            show_default="a few in English",
        ),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Check what a part really does: direction, filters, depth, ids, ties, template, long texts.

    An attribute that cannot be checked itself is called without arguments and must return a part.

    Exit codes: 0 nothing is wrong, 1 error, 2 wrong argument, 3 something is wrong.
    """
    found = _examined(part, None if questions is None else _read(questions))
    if json_output:
        typer.echo(json.dumps(found.to_dict(), indent=2))
    else:
        typer.echo(str(found))
    if found.odd:
        raise typer.Exit(EXIT_ODD)


def _examined(name: str, questions: dict[str, str] | list[str] | None) -> Health:
    if ":" not in name:
        return examine(name, questions=questions)
    part = attribute("part", name)
    try:
        return examine(part, questions=questions)
    except InvalidArgument as error:
        if not callable(part) or error.argument != "part":
            raise
    return examine(call("part", name, part), questions=questions)


def _read(path: Path) -> dict[str, str] | list[str]:
    """Return the questions of a file.

    Raises:
        InvalidArgument: it is not JSON, or neither a list nor an object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidArgument("questions", str(path), f"must be JSON: {error}") from None
    if not isinstance(found, dict | list):
        raise InvalidArgument("questions", str(path), "must be a list or an object in JSON")
    return found
