"""`runoff export`: turn a reranking model into a folder that runs without torch."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from runoff._util.messages import number_of
from runoff.cli._options import JsonOption  # noqa: TC001 - typer reads it
from runoff.errors import InvalidArgument


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
    json_output: JsonOption = False,
) -> None:
    """Convert a cross-encoder or a late-interaction model to ONNX and check its scores.

    CrossEncoder(OUT) or LateInteraction(OUT) then runs it with ONNX Runtime alone, as it scores in
    torch. Exporting needs the extra `export`.

    Exit codes: 0 success, 1 error or different scores, 2 wrong argument.
    """
    from runoff.export import (  # noqa: PLC0415 - --help needs none of this
        export_cross_encoder,
        export_late_interaction,
    )
    from runoff.export._late_interaction import is_late_interaction  # noqa: PLC0415 - as above

    given = Path(model) if Path(model).is_dir() else model
    options: dict[str, Any] = {
        "precision": precision,
        "agreement": agreement,
        "revision": revision,
        "progress": True,
    }
    if is_late_interaction(given, revision=revision):
        if max_length is not None:
            remedy = "a late-interaction model states its own lengths: leave it out"
            raise InvalidArgument("max_length", max_length, remedy)
        made = export_late_interaction(given, out, **options)
    else:
        made = export_cross_encoder(given, out, max_length=max_length, **options)
    if json_output:
        print(json.dumps(asdict(made) | {"folder": str(made.folder)}, indent=2))  # noqa: T201 - the output
        return
    sizes = ", ".join(f"{kind} {size / 1e6:,.1f} MB" for kind, size in made.bytes.items())
    kinds = made.kind.removesuffix("y") + ("ies" if made.kind.endswith("y") else "s")
    typer.echo(
        f"{made.folder}: {sizes}; reads {number_of(made.max_length, 'token')}, scores are {kinds}"
    )
    typer.echo(
        f"checked on {number_of(made.pairs, 'pair')}, {made.truncated} of them truncated: "
        "torch and ONNX differ "
        f"by at most {made.difference:.1e}"
    )
    if made.agreement is not None:
        typer.echo(f"Spearman correlation of int8 with fp32: {made.agreement:.4f}")
    typer.echo(f"to use it: {made.scorer}({str(made.folder.absolute())!r})")
