"""Write a model as int8 ONNX: export, compare with torch, quantise, compare again, record sums.

It lands in --out/<name> as model_int8.onnx, tokenizer.json, config.json and checksums.json; the
card beside them is kept.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import onnxruntime
import pairs
import torch
from common import (
    BACKBONE,
    BACKBONE_PACKAGE,
    BACKBONE_SHA256,
    INPUTS,
    BiEncoder,
    Encoder,
    Mini,
    backbone_folder,
    data_root,
    load_tokenizer,
)
from tokenizers import Tokenizer
from torch import nn

import onnx
from runoff._onnx.agreement import spearman
from runoff._tokens.settings import SETTINGS_FILE
from runoff.export._agreement import check_fp32, check_int8
from runoff.export._folder import write_checksums, write_json
from runoff.export._graph import to_int8, to_onnx
from runoff.rerank import LateInteraction, TokenStore

Pairs: TypeAlias = list[tuple[str, str]]
TOKENS = "token_embeddings"
VERSION = "0.1.0"
SOURCE = {"model": BACKBONE, "package": BACKBONE_PACKAGE, "model.safetensors": BACKBONE_SHA256}
CONFIGS: dict[str, dict[str, Any]] = {
    "all-MiniLM-L6-v2": {
        "kind": "bi-encoder",
        "score_kind": "similarity",
        "output": "sentence_embedding",
        "max_length": 256,
        "dims": 384,
        "score_spread": 0.063,  # of cosines, over the queries of docs/defaults.md
        "default_blend": 0.5,  # of late interaction with its token vectors
    },
    "runoff-mini": {
        "kind": "cross-encoder",
        "score_kind": "logit",
        "output": "logits",
        "max_length": 512,
        "dims": 1,
        "default_blend": 0.5,
    },
    "runoff-late": {
        "kind": "bi-encoder",
        "score_kind": "similarity",
        "output": "sentence_embedding",
        "max_length": 256,
        "dims": 384,
        "score_spread": 0.054,  # .063 times the ratio on held-out queries: .0765 to .0895
        "default_blend": 0.5,
    },
}


def same_as_torch(net: nn.Module, encoder: Encoder, texts: list[tuple[str, ...]]) -> float:
    """The largest difference of the network and its ONNX file, one by one and as a padded batch."""
    tokenizer = load_tokenizer()
    worst = 0.0
    for batch in [*([text] for text in texts[:20]), texts[:20]]:
        encoded = tokenizer(
            [t[0] for t in batch],
            [t[1] for t in batch] if len(batch[0]) > 1 else None,
            truncation=True,
            max_length=512,
            padding=True,
            return_tensors="pt",
            return_token_type_ids=True,
        )
        with torch.no_grad():
            expected = net(*(encoded[name] for name in INPUTS)).numpy()
        found = encoder.session.run(None, {name: encoded[name].numpy() for name in INPUTS})[0]
        worst = max(worst, float(np.abs(expected - found).max()))
    return worst


def pair_scores(encoder: Encoder, texts: Pairs) -> np.ndarray:
    """One score a pair: the logit, or the cosine of two embeddings."""
    if encoder.output == "logits":
        return np.array([encoder(text)[0] for text in texts])
    return np.array([encoder((query,)) @ encoder((document,)) for query, document in texts])


def add_token_vectors(graph: Path) -> None:
    """Give a bi-encoder's graph the vectors that it pools as a second output."""
    model = onnx.load(graph)
    norms = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
    shape = ["batch", "tokens", CONFIGS[BACKBONE.rpartition("/")[2]]["dims"]]
    made = onnx.helper.make_tensor_value_info(TOKENS, onnx.TensorProto.FLOAT, shape)
    model.graph.node.append(onnx.helper.make_node("Identity", [norms[-1].output[0]], [TOKENS]))
    model.graph.output.append(made)
    onnx.checker.check_model(model)
    onnx.save(model, graph)


def add_late(state: dict[str, torch.Tensor], folder: Path) -> list[str]:
    """Write how token vectors are made of a checkpoint of train_late.py; return the files."""
    arrays = {
        "projection": state["projection"],
        "mean": state["mean"],
        "weights": state["log_weights"].exp(),
    }
    settings: dict[str, Any] = {"version": 1, "output": TOKENS}
    for one, values in arrays.items():
        settings[one] = {"file": f"late_{one}.bin", "shape": list(values.shape)}
        (folder / f"late_{one}.bin").write_bytes(values.numpy().astype("<f4").tobytes())
    write_json(folder / SETTINGS_FILE, settings)
    return [SETTINGS_FILE, *(one["file"] for one in settings.values() if isinstance(one, dict))]


def late_scores(folder: Path, precision: Literal["fp32", "int8"], texts: Pairs) -> list[float]:
    """The scores of late interaction, by the engine that users run."""
    scorer = LateInteraction(folder, precision=precision, store=TokenStore())
    return [float(one) for one in scorer.score(texts).values]


def export(
    name: str,
    net: nn.Module,
    out: Path,
    texts: Pairs,
    *,
    keep_fp32: bool,
    late: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write and verify one model folder; a failed check raises and leaves the folder as it was."""
    config = CONFIGS[name]
    net.eval()
    with tempfile.TemporaryDirectory() as scratch:
        full, small, vocabulary = (
            Path(scratch) / file for file in ("fp32.onnx", "model_int8.onnx", "tokenizer.json")
        )
        tokenizer = Tokenizer.from_file(str(backbone_folder() / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.save(str(vocabulary))
        sample = load_tokenizer()(
            "a query", "a document", return_tensors="pt", return_token_type_ids=True
        )
        to_onnx(net, {name: sample[name] for name in INPUTS}, config["output"], full)
        to_int8(full, small)
        if config["kind"] == "bi-encoder":
            add_token_vectors(small)
        reference = Encoder(full, vocabulary, config["max_length"])
        quantised = Encoder(small, vocabulary, config["max_length"])
        singles = [(document,) for _, document in texts]
        difference = same_as_torch(
            net, reference, singles if config["kind"] == "bi-encoder" else texts
        )
        check_fp32(name, difference)
        agreement = spearman(pair_scores(reference, texts), pair_scores(quantised, texts))
        check_int8(name, agreement)
        described = {"name": name, "version": VERSION} | config
        described |= {"language": "en", "precision": "int8", "licence": "Apache-2.0"}
        described |= {"source": SOURCE}
        files = [small, vocabulary]
        if late is not None:
            files += [full.parent / one for one in add_late(late, full.parent)]
            add_token_vectors(full)
            write_json(full.parent / "config.json", described)
            full.rename(full.with_name("model.onnx"))
            full = full.with_name("model.onnx")
            scores = [late_scores(full.parent, one, texts) for one in ("fp32", "int8")]
            late_agreement = spearman(*scores)
            check_int8(name, late_agreement)
            described["agreement"] = {  # Spearman's correlation of int8 with fp32
                "sentence_embedding": round(agreement, 4),
                "late_interaction": round(late_agreement, 4),
                "pairs": len(texts),
            }
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        for file in (*files, *([full] if keep_fp32 else [])):
            shutil.copyfile(file, folder / file.name)
        write_json(folder / "config.json", described)
        write_checksums(folder, ["config.json", *(file.name for file in files)])
    size = (folder / "model_int8.onnx").stat().st_size
    print(f"{name}: {size:,} bytes, torch to ONNX {difference:.1e}, Spearman {agreement:.4f}")


def main() -> None:
    """Export what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--mini", type=Path, help="checkpoint of train_mini.py; without it only the bi-encoder"
    )
    parser.add_argument("--late", type=Path, help="checkpoint of train_late.py")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parents[1] / "src/runoff_models/data"
    )
    parser.add_argument("--keep-fp32", action="store_true", help="leave fp32.onnx beside the model")
    parser.add_argument("--data", help="data root (default: RUNOFF_DATA, else ../shared/data)")
    args = parser.parse_args()
    onnxruntime.set_default_logger_severity(3)
    _, held, _ = pairs.load(data_root(args.data))
    texts = [(e.query, text) for e in held[::10] for text in (e.positive, *e.negatives[:4])]
    if args.late:
        state = torch.load(args.late, weights_only=True)
        net, prefix = BiEncoder(), "encoder."
        net.encoder.load_state_dict(
            {key.removeprefix(prefix): one for key, one in state.items() if key.startswith(prefix)}
        )
        export("runoff-late", net, args.out, texts, keep_fp32=args.keep_fp32, late=state)
    elif args.mini:
        mini = Mini()
        mini.load_state_dict(torch.load(args.mini, weights_only=True))
        export("runoff-mini", mini, args.out, texts, keep_fp32=args.keep_fp32)
    else:
        export("all-MiniLM-L6-v2", BiEncoder(), args.out, texts, keep_fp32=args.keep_fp32)


if __name__ == "__main__":
    main()
