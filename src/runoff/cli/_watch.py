"""`runoff watch`: what a directory of observations says at a glance."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from runoff.cli._options import JsonOption  # noqa: TC001 - typer reads it
from runoff.errors import InvalidArgument

EXIT_ALARM = 3


def watch(
    path: Annotated[Path, typer.Argument(help="The directory that runoff.live.watch writes.")],
    recent: Annotated[
        float, typer.Option(help="Recent hours to compare with the time before.")
    ] = 24.0,
    days: Annotated[float | None, typer.Option(help="Look at the last DAYS only.")] = None,
    as_json: JsonOption = False,
    prometheus: Annotated[
        bool, typer.Option("--prometheus", help="Print Prometheus' text format.")
    ] = False,
    page: Annotated[
        Path | None, typer.Option("--html", help="Also write what `judge` found to this HTML file.")
    ] = None,
    fail_on_alarm: Annotated[
        bool, typer.Option("--fail-on-alarm", help="Exit with 3 if anything is odd or harms.")
    ] = False,
) -> None:
    """Show what live traffic says: counts, latencies, health, and whether it helps.

    Exit codes: 0 success, 1 error, 2 wrong argument, 3 with --fail-on-alarm if anything is odd or
    harm is proven.
    """
    # here, since it needs the extra eval, which other commands do without
    from runoff.live._observations import Observations  # noqa: PLC0415
    from runoff.live._state import state  # noqa: PLC0415
    from runoff.report._live import live_page  # noqa: PLC0415

    if as_json and prometheus:
        raise InvalidArgument("prometheus", True, "cannot be combined with --json")
    found = Observations(path).summary(recent=recent * 3600, days=days)
    judged = state(path)
    alarm = bool(found.odd) or (judged is not None and judged.alarm)
    if as_json:
        plain = {"judged": None if judged is None else judged.to_dict(), "alarm": alarm}
        typer.echo(json.dumps(found.to_dict() | plain, indent=1))
    elif prometheus:
        typer.echo(found.to_prometheus(), nl=False)
    else:
        typer.echo(str(found))
        if judged is not None:
            typer.echo(f"\n{judged}")
    if page is not None:
        if judged is None:
            raise InvalidArgument("html", str(page), "needs grades: call runoff.live.judge first")
        page.write_text(live_page(judged), encoding="utf-8")
    if fail_on_alarm and alarm:
        raise typer.Exit(EXIT_ALARM)
