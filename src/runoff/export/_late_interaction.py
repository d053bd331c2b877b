"""Export a late-interaction model as a folder of ONNX, after comparing it with torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from runoff._onnx import hub, resolve
from runoff._onnx.agreement import spearman
from runoff._onnx.files import TOKENIZER, ModelDirectory
from runoff._onnx.samples import sample_pairs
from runoff._onnx.sessions import Loaded
from runoff._tokens.encoder import TokenEncoder
from runoff._tokens.settings import SETTINGS_FILE
from runoff._util import optout
from runoff._util.messages import first_line, number_of
from runoff._util.progress import stepwise
from runoff.errors import ExportFailed, InvalidArgument, MissingExtra, ModelNotFound
from runoff.export._agreement import SMALLEST_AGREEMENT, check_fp32, check_int8
from runoff.export._cross_encoder import Exported
from runoff.export._folder import (
    FP32,
    INT8,
    Precisions,
    appearing,
    checked,
    described,
    finished,
    write_json,
)
from runoff.export._graph import to_int8, to_onnx

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runoff._util.progress import Wanted

_OUTPUT = "token_vectors"
_SETTINGS = (
    "*.json",
    "*/config.json",
    "*.txt",
    "*.model",
    "artifact.metadata",
    "*.safetensors",
    "*/*.safetensors",
)
_MODULES = {"Transformer", "Dense", "MultiVectorMask", "Normalize"}
_KNOWN_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_STANFORD = "HF_ColBERT"
_TOKENS = 128  # at which the samples end where a model reads many
_EXTRA = "export"
_DENSE = re.compile(r"[0-9]+_Dense")


def is_late_interaction(
    model: str | Path, *, revision: str | None = None, local_files_only: bool = False
) -> bool:
    """Whether a model's settings are those of late interaction, as its makers save them.

    Multi-vector models of sentence-transformers 6 and PyLate, and Stanford's ColBERT. False where
    there is no such model, which exporting it will say.
    """
    named = Path(model).expanduser()
    if resolve.needs_hub(model):
        try:
            named = hub.fetch(
                str(model),
                wanted=lambda _: ["config.json", "modules.json"],
                revision=revision,
                cache_dir=None,
                local_files_only=local_files_only,
            )
        except ModelNotFound:
            return False
    directory = ModelDirectory(str(model), named)
    types = directory.modules()
    return (
        directory.architecture == _STANFORD
        or "MultiVectorMask" in types
        or ("Dense" in types and "Pooling" not in types)
    )


def export_late_interaction(
    model: str | Path,
    out: str | Path,
    *,
    precision: Precisions = "both",
    agreement: float = SMALLEST_AGREEMENT,
    revision: str | None = None,
    local_files_only: bool = False,
    progress: Wanted = False,
) -> Exported:
    """Write a late-interaction model as ONNX, with its tokenizer and settings, and check it.

    The graph computes the model's token vectors; `late.json` says how queries and documents are
    read: markers, lengths, tokens that are left out, query expansion. On 64 pairs, fp32 must give
    the token vectors and the scores that torch does, within 1e-4, and int8 must order the pairs as
    fp32 does, before the folder appears. Scores are means over query tokens, where the original may
    give sums.

    Args:
        model: a directory or `"org/name"` of a multi-vector model of sentence-transformers 6 or
            PyLate, or of a Stanford ColBERT checkpoint, with safetensors weights. Python code that
            comes with a model is never run.
        out: the folder to create; it must not exist.
        precision: which graphs to write. `LateInteraction` uses int8 where there are both.
        agreement: Spearman's correlation with fp32 that int8 must have, within 0 and 1.
        revision: branch, tag or commit on the Hugging Face Hub.
        local_files_only: never use the network.
        progress: True shows the steps in a terminal or a notebook; a callable gets (steps done, all
            steps) instead.

    Raises:
        InvalidArgument: an argument has an invalid value, or the model has parts that the folder
            cannot express.
        MissingExtra: sentence-transformers 6, torch or onnx is not installed.
        ModelNotFound: there is no such model, or it has no safetensors weights.
        ExportFailed: torch cannot load or trace it, or the export differs.
        RunoffError: the folder cannot be written.
    """
    where = checked(out, precision, agreement, progress)
    with stepwise(progress, 3 if precision == "fp32" else 4) as say:
        say(f"loading {model}")
        directory = _find(model, revision, local_files_only=local_files_only)
        original = _load(directory)
        settings = _settings(directory.name, original)
        with appearing(where) as folder:
            say("tracing")
            _write_graph(directory.name, original, folder)
            length = settings["document"]["max_length"]
            write_json(folder / SETTINGS_FILE, settings)
            said = {"kind": "late-interaction", "score_kind": "similarity"}
            said |= {"output": _OUTPUT, "max_length": length}
            write_json(folder / "config.json", described(directory, said))
            pairs = sample_pairs(min(length, _TOKENS))
            say(f"comparing {number_of(len(pairs), 'pair')} with torch")
            full = _encoder(folder, "fp32")
            difference, scores, cut = _compare(directory.name, original, full, pairs)
            check_fp32(directory.name, difference)
            reached = None
            if precision != "fp32":
                say("quantising")
                to_int8(folder / FP32, folder / INT8)
                quick = _encoder(folder, "int8")
                reached = spearman(scores, [_score(quick, *pair) for pair in pairs])
                check_int8(directory.name, reached, agreement)
            sizes = finished(folder, precision)
    return Exported(
        where, sizes, length, "similarity", difference, reached, len(pairs), cut, "LateInteraction"
    )


def _find(model: str | Path, revision: str | None, *, local_files_only: bool) -> ModelDirectory:
    """Find a model's directory, fetching it where it has to be; its weights are safetensors.

    Raises:
        ModelNotFound: there is no such model, or it has no such weights.
    """
    name = str(model)

    def look(directory: Path) -> ModelDirectory:
        if not directory.is_dir():
            raise ModelNotFound(f"{name}: there is no directory {directory}")
        parts = [directory, *(one for one in directory.iterdir() if _DENSE.fullmatch(one.name))]
        for part in parts:
            if not any(part.glob("*.safetensors")):
                msg = f"{name}: {part} has no safetensors weights; pickled ones are not loaded"
                raise ModelNotFound(msg)
        return ModelDirectory(name, directory)

    return resolve.fetched(
        model,
        look,
        lambda _: [*_SETTINGS],
        kind="late interaction",
        revision=revision,
        cache_dir=None,
        local_files_only=local_files_only,
    )


def _load(directory: ModelDirectory) -> Any:  # noqa: ANN401 - an extra, without types
    """Return the model as sentence-transformers loads it.

    Raises:
        MissingExtra: sentence-transformers 6 is not installed.
        ExportFailed: it cannot be loaded.
    """
    optout.apply()
    try:
        from sentence_transformers import MultiVectorEncoder  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra("sentence-transformers>=6", _EXTRA) from error
    try:
        # attention as plain matrix products is the faster graph on a CPU
        return MultiVectorEncoder(
            str(directory.directory),
            device="cpu",
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"attn_implementation": "eager", "use_safetensors": True},
        ).eval()
    except Exception as error:  # many kinds, of three packages
        msg = f"{directory.name}: sentence-transformers cannot load it: {first_line(error)}"
        raise ExportFailed(msg) from error


def _settings(name: str, original: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    """Return what `late.json` says.

    Raises:
        InvalidArgument: the model has parts that the format cannot express.
    """
    parts = [type(one).__name__ for one in original]
    foreign = sorted(set(parts) - _MODULES)
    if foreign or parts[:1] != ["Transformer"]:
        remedy = f"has the modules {', '.join(parts)}; only {', '.join(sorted(_MODULES))} are known"
        raise InvalidArgument("model", name, remedy)
    reads = original[0]
    most = original.max_seq_length
    skips: dict[str, list[int]] = {"query": [], "document": []}
    for one in original:
        if type(one).__name__ == "MultiVectorMask":
            if one.keep_only_token_ids:
                raise InvalidArgument("model", name, "keeps only the vectors of images")
            words = [original.tokenizer.convert_tokens_to_ids(word) for word in one.skiplist_words]
            known = [word for word in words if word not in (None, original.tokenizer.unk_token_id)]
            for side in skips.keys() & set(one.skiplist_tasks):
                skips[side] = known
    expansion, longest = None, reads.query_length or most
    if reads.query_expansion is not None:
        said = reads.query_expansion
        token = said.get("token") or original.tokenizer.mask_token or original.tokenizer.eos_token
        expansion = {
            "id": original.tokenizer.convert_tokens_to_ids(token),
            "length": said["length"],
            "attend": bool(said.get("attend")),
        }
        fixed = said["strategy"] == "fixed"
        longest = said["length"] if fixed else max(longest, said["length"])
    prompts = original.prompts
    return {
        "version": 1,
        "output": _OUTPUT,
        "query": {
            "prefix": prompts.get("query") or "",
            "special": True,
            "skip": skips["query"],
            "max_length": longest,
            "expansion": expansion,
        },
        "document": {
            "prefix": prompts.get("document") or "",
            "special": True,
            "skip": skips["document"],
            "max_length": reads.document_length or most,
        },
    }


def _write_graph(name: str, original: Any, folder: Path) -> None:  # noqa: ANN401 - as above
    """Write the fp32 graph and the tokenizer.

    Raises:
        ExportFailed: torch cannot trace the network.
    """
    import torch  # noqa: PLC0415 - an extra

    tokenizer = original.tokenizer
    texts = ["how do I read a file?", "line by line, with a loop over its lines"]
    made = tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=True)
    asked = set(tokenizer.model_input_names) & set(_KNOWN_INPUTS)
    inputs = {one: made[one] for one in _KNOWN_INPUTS if one in asked}
    backbone, *rest = original
    after = [one for one in rest if type(one).__name__ != "MultiVectorMask"]

    class Vectors(torch.nn.Module):  # type: ignore[misc] # torch has types only where it is
        """The network with its inputs by position."""

        def __init__(self) -> None:
            super().__init__()
            self.backbone = backbone.model
            self.after = torch.nn.ModuleList(after)

        def forward(self, *tensors: object) -> object:
            """Return the token vectors, shape (batch, tokens, dims)."""
            given = dict(zip(inputs, tensors, strict=True))
            features = {"token_embeddings": self.backbone(**given)[0], **given}
            for one in self.after:
                features = one(features)
            return features["token_embeddings"]

    try:
        with torch.no_grad():
            to_onnx(Vectors().eval(), inputs, _OUTPUT, folder / FP32, by_token=True)
        tokenizer.backend_tokenizer.save(str(folder / TOKENIZER))
    except Exception as error:  # torch raises many kinds here
        raise ExportFailed(f"{name}: torch cannot trace it: {first_line(error)}") from error


def _encoder(folder: Path, precision: Literal["fp32", "int8"]) -> TokenEncoder:
    """Return what reads the folder, which may not be complete yet."""
    files = resolve.resolve(folder, precision=precision)
    loaded = Loaded(files, precision, 1)
    return TokenEncoder(files, loaded, max_length=files.max_length, max_windows=1)


def _score(encoder: TokenEncoder, query: str, document: str) -> float:
    found = encoder.query(query).vectors @ encoder.floats(document)[0].T
    return float(found.max(axis=1).mean())


def _compare(
    name: str,
    original: Any,  # noqa: ANN401 - as above
    encoder: TokenEncoder,
    pairs: Sequence[tuple[str, str]],
) -> tuple[float, list[float], int]:
    """Return the largest difference, the scores of the export, and how many texts were cut.

    Raises:
        ExportFailed: they read the texts differently.
    """
    worst, scores, cut = 0.0, [], 0
    for query, document in pairs:
        asked, (held, _, truncated) = encoder.query(query), encoder.floats(document)
        expected = [
            np.asarray(original.encode_query(query, convert_to_numpy=True), np.float32),
            np.asarray(original.encode_document(document, convert_to_numpy=True), np.float32),
        ]
        for one, other in zip(expected, (asked.vectors, held), strict=True):
            if one.shape != other.shape:
                raise ExportFailed(
                    f"{name}: the export makes vectors of shape {other.shape} where "
                    f"sentence-transformers makes {one.shape}: it reads texts differently"
                )
            worst = max(worst, _apart(one, other))
        scores.append(_score(encoder, query, document))
        mean = float((expected[0] @ expected[1].T).max(axis=1).mean())
        worst = max(worst, abs(mean - scores[-1]))
        cut += truncated
    return worst, scores, cut


def _apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.abs(one.astype(np.float64) - other).max())
