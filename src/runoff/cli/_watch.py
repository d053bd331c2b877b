"""`runoff watch`: what a directory of observations says at a glance."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from runoff.errors import InvalidArgument
from runoff.live._observations import Observations

__all__ = ["EXIT_ALARM", "watch"]

EXIT_ALARM = 3


def watch(
    path: Annotated[Path, typer.Argument(help="The directory that runoff.live.watch writes.")],
    recent: Annotated[
        float, typer.Option(help="Hours that count as lately, and are compared with those before.")
    ] = 24.0,
    days: Annotated[float | None, typer.Option(help="Look at the last DAYS only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")] = False,
    prometheus: Annotated[
        bool, typer.Option("--prometheus", help="Print Prometheus' text format.")
    ] = False,
    fail_on_alarm: Annotated[
        bool, typer.Option("--fail-on-alarm", help="Exit with 3 if anything is odd.")
    ] = False,
) -> None:
    """Show what live traffic says: counts, drops, latencies, health and drift.

    Exit codes: 0 success, 1 error, 2 wrong argument, 3 something is odd with --fail-on-alarm.
    """
    if as_json and prometheus:
        raise InvalidArgument("prometheus", True, "excludes --json: give one of them")
    found = Observations(path).summary(recent=recent * 3600, days=days)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1))
    else:
        typer.echo(found.to_prometheus() if prometheus else str(found), nl=not prometheus)
    if fail_on_alarm and found.odd:
        raise typer.Exit(EXIT_ALARM)
