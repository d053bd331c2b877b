"""The `runoff` command: its sub-commands, exit codes and error messages."""

from __future__ import annotations

import inspect
import io
import sys
from typing import TYPE_CHECKING

from runoff._util.lazy import import_name
from runoff._util.messages import visible
from runoff.errors import InvalidArgument, MissingExtra, RunoffError

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_ERROR = 1
EXIT_USAGE = 2
_COMMANDS = "demo evaluate advise explain explore watch label doctor bench export version"
_EXAMPLES = """Begin with one of these:

- `runoff demo "how do I read a csv file"` - an answer before and after the second stage
- `runoff evaluate judged.csv --system shop.search:retriever` - does the second stage help?
- `runoff advise judged.csv --system shop.search:retriever` - where is quality lost, and what next?
"""


def app() -> None:
    """Run the command line; exit with 0 for success, 1 for an error, 2 for a wrong argument."""
    try:
        import typer  # noqa: PLC0415 - the core does without it
    except ImportError:
        sys.stderr.write(f"{MissingExtra('typer', 'cli')}\n")
        raise SystemExit(EXIT_ERROR) from None
    from runoff.cli._bulk import bulk  # noqa: PLC0415 - as above

    commands = typer.Typer(
        name="runoff",
        help="Two-stage retrieval: recall wide, rerank sharp, and know whether it helped.",
        epilog=_EXAMPLES,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name in _COMMANDS.split():
        command = import_name(f"runoff.cli._{name}", name)
        commands.command(help=_help(command))(command)
    commands.add_typer(bulk, name="bulk")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for ASCII terminals
    try:
        commands(prog_name="runoff")
    except RunoffError as error:
        sys.stderr.write(f"runoff: {error}\n")
        raise SystemExit(EXIT_USAGE if isinstance(error, InvalidArgument) else EXIT_ERROR) from None
    except OSError as error:  # such as a full disk or an unreadable file
        sys.stderr.write(f"runoff: {visible(str(error))}\n")
        raise SystemExit(EXIT_ERROR) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _help(command: Callable[..., None]) -> str:
    """Return a command's docstring with each paragraph on one line, for the terminal to wrap."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(" ".join(one.split()) for one in paragraphs)
