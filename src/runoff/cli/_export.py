"""`runoff export`: a Hugging Face cross-encoder as a folder that runs without torch."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


def export(
    model: Annotated[
        str, typer.Argument(help="A folder, or a name of the Hugging Face Hub such as org/name.")
    ],
    out: Annotated[Path, typer.Argument(help="The folder to make; it must not exist.")],
    precision: Annotated[str, typer.Option(help="Graphs to write: both, fp32 or int8.")] = "both",
    agreement: Annotated[
        float, typer.Option(help="Spearman's correlation with fp32 that int8 must have.")
    ] = 0.99,
    max_length: Annotated[
        int | None,
        typer.Option(help="Tokens read of each pair.", show_default="what the model says"),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the Hub.")] = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print JSON to standard output.")
    ] = False,
) -> None:
    """Write a cross-encoder as ONNX, and check that it scores as torch does.

    CrossEncoder(OUT) runs the folder, on ONNX Runtime alone. Exporting needs the extra `export`.
    Exit codes: 0, 1 for an error, also where the scores differ, 2 for a wrong argument.
    """
    from runoff.export import export_cross_encoder  # noqa: PLC0415 - --help needs none of this

    made = export_cross_encoder(
        Path(model) if Path(model).is_dir() else model,
        out,
        precision=precision,  # type: ignore[arg-type] # it is checked there
        agreement=agreement,
        max_length=max_length,
        revision=revision,
        progress=partial(print, file=sys.stderr),
    )
    if json_output:
        print(json.dumps(asdict(made) | {"folder": str(made.folder)}, indent=2))  # noqa: T201 - the output
        return
    sizes = ", ".join(f"{kind} {size / 1e6:,.1f} MB" for kind, size in made.bytes.items())
    typer.echo(f"{made.folder}: {sizes}; reads {made.max_length} tokens, scores are {made.kind}s")
    typer.echo(
        f"{made.pairs} pairs, {made.truncated} of them longer than it reads: torch and ONNX differ "
        f"by {made.difference:.1e} at most"
    )
    if made.agreement is not None:
        typer.echo(
            f"int8 orders them as fp32 does to a Spearman correlation of {made.agreement:.4f}"
        )
    typer.echo(f"use it: CrossEncoder({str(made.folder.absolute())!r})")
