"""`runoff label`: the page on which people grade a table."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from runoff._util.messages import number_of
from runoff.report._label.page import write_label_page


def label(
    table: Annotated[Path, typer.Argument(help="The CSV file that judge(people=) writes.")],
    page: Annotated[Path, typer.Argument(help="The HTML file; an existing one is replaced.")],
) -> None:
    """Write the page on which people grade a table, offline, in a browser.

    The page shows a question and a document at a time, without rank or origin, and saves the table.

    Exit codes: 0 success, 1 error, 2 wrong argument.
    """
    many = write_label_page(table, page)
    typer.echo(
        f"{page}: {number_of(many, 'document waits', 'documents wait')} for a grade. Open it "
        "in a browser."
    )
