"""`runoff export`: turn a Hugging Face cross-encoder into a folder that runs without torch."""

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
        str, typer.Argument(help="A folder, or a name on the Hugging Face Hub such as org/name.")
    ],
    out: Annotated[Path, typer.Argument(help="The folder to create; it must not exist.")],
    precision: Annotated[
        str, typer.Option(help="Which graphs to write: both, fp32 or int8.")
    ] = "both",
    agreement: Annotated[
        float, typer.Option(help="Lowest Spearman correlation allowed between int8 and fp32.")
    ] = 0.99,
    max_length: Annotated[
        int | None,
        typer.Option(help="Tokens to read of each pair.", show_default="the model's own limit"),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="A branch, tag or commit on the Hub.")
    ] = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print JSON to standard output.")
    ] = False,
) -> None:
    """Convert a cross-encoder to ONNX and check that it scores as it does in torch.

    CrossEncoder(OUT) then runs it with ONNX Runtime alone. Exporting needs the extra `export`.

    Exit codes: 0 success, 1 error or different scores, 2 wrong argument.
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
        f"checked on {made.pairs} pairs, {made.truncated} of them truncated: torch and ONNX differ "
        f"by at most {made.difference:.1e}"
    )
    if made.agreement is not None:
        typer.echo(f"Spearman correlation of int8 with fp32: {made.agreement:.4f}")
    typer.echo(f"to use it: CrossEncoder({str(made.folder.absolute())!r})")
