"""One MiniLM-L6 cross-encoder in runoff and in the peers that are installed, side by side.

The network has the shape of MiniLM-L6 and random weights, which decide scores and not time. Each
system reranks the same documents in turn, in one process. The int8 floor is the time that the
multiply-adds of these tokens take at the rate of an int8 product of 2048 x 2048 on all cores.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import backends
import numpy as np
from harness import Options, Report, Requirement, Skipped, Table, percentile

from runoff._onnx import cpu, runtime
from runoff._util.prose import stretches
from runoff.rerank import CrossEncoder

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["draw", "run"]

_OURS = "runoff, int8 export"
_QUERY = "how do I read a file line by line?"
_SHORTEST, _LONGEST = 40, 240  # words
_LAYERS, _HIDDEN, _INNER, _SIDE = 6, 384, 1536, 2048
_MACS = _LAYERS * (4 * _HIDDEN * _HIDDEN + 2 * _HIDDEN * _INNER)  # of a token, attention left out
_FLASHRANK, _FLASHRANK_FILE = "ms-marco-MiniLM-L-12-v2", "flashrank-MiniLM-L-12-v2_Q.onnx"
_INT8 = "model_quantized.onnx"


def run(options: Options) -> Report:
    """Measure all that are installed."""
    if importlib.util.find_spec("sentence_transformers") is None:
        raise Skipped('it needs pip install "runoff[export]", and the peers to compare with')
    chance = random.Random(0)  # noqa: S311 - no secret
    count, rounds = (4, 1) if options.quick else (options.queries or 100, 3)
    texts = [*stretches([chance.randint(_SHORTEST, _LONGEST) for _ in range(count)])]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        exported = _models(folder)
        systems: dict[str, Callable[[], Any]] = {}
        ours = CrossEncoder(exported, precision="int8")
        pairs = [(_QUERY, text) for text in texts]
        tokens = ours.score(pairs).usage.tokens or 0
        systems[_OURS] = lambda: ours.score(pairs)
        hub = CrossEncoder(folder / "int8", cache_dir=folder / "cache")
        systems["runoff, int8 file of the Hub"] = lambda: hub.score(pairs)
        absent = []
        for name, make in _PEERS.items():
            try:
                systems[name] = make(folder, texts)
            except Exception as error:  # noqa: BLE001 - a peer that is absent or broken is named
                first = str(error).strip().partition("\n")[0][:120]
                absent.append(f"not measured: {name} ({type(error).__name__}: {first})")
        floor = _floor()
        return _measure(systems, floor, tokens, count, rounds, absent)


def _measure(
    systems: dict[str, Callable[[], Any]],
    floor: Callable[[], Any],
    tokens: int,
    count: int,
    rounds: int,
    notes: list[str],
) -> Report:
    for call in systems.values():
        call()
    walls: dict[str, list[float]] = {name: [] for name in systems}
    cpus: dict[str, list[float]] = {name: [] for name in systems}
    floors: list[tuple[float, float]] = []
    for at in range(rounds):
        names = list(systems)
        for name in names if at % 2 == 0 else names[::-1]:
            floors += [_timed(floor) for _ in range(3)]
            wall, busy = _timed(systems[name])
            walls[name].append(wall)
            cpus[name].append(busy)
    share = tokens * _MACS / _SIDE**3
    least, least_cpu = (share * min(one[kind] for one in floors) for kind in (0, 1))
    rows = [("int8 floor", least, least_cpu, "", "", 1.0)]
    for name in systems:
        ratios = [one / ours for one, ours in zip(walls[name], walls[_OURS], strict=True)]
        busy = [one / ours for one, ours in zip(cpus[name], cpus[_OURS], strict=True)]
        rows.append(
            (
                name,
                statistics.median(walls[name]),
                statistics.median(cpus[name]),
                _spread(ratios),
                _spread(busy),
                min(cpus[name]) / least_cpu,
            )
        )
    table = Table(
        f"Seconds to rerank {count} documents, the shape of MiniLM-L6",
        (
            "system",
            "seconds",
            "CPU seconds",
            f"of {_OURS}",
            "of its CPU seconds",
            "CPU, of the floor",
        ),
        rows,
        f"{tokens} tokens, {cpu.cores()} cores, medians of {rounds} interleaved rounds; ratios are "
        "medians over rounds with the least and the largest. The floor, and what is divided by it, "
        "is the least of all rounds. CPU seconds of the peers include threads that wait busily.",
    )
    best = min(cpus[_OURS]) / least_cpu
    required = Requirement(f"{_OURS}, CPU seconds of the int8 floor", best, 1.5)
    return Report([table], [required], notes)


def draw(table: Table, path: Path) -> None:
    """Draw CPU seconds as bars."""
    import altair as alt  # noqa: PLC0415 - for who wants the picture

    rows = [{"system": row[0], "seconds": row[2]} for row in table.rows]
    chart = alt.Chart(alt.Data(values=rows)).mark_bar()
    chart.encode(
        x=alt.X("seconds:Q", title="CPU seconds"), y=alt.Y("system:N", sort=None, title=None)
    ).properties(title=table.title, width=400).save(str(path))


def _timed(call: Callable[[], Any]) -> tuple[float, float]:
    wall, busy = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - busy


def _spread(ratios: list[float]) -> str:
    least, most = min(ratios), max(ratios)
    return f"{percentile(ratios, 50):.2f} ({least:.2f} to {most:.2f})"


def _models(folder: Path) -> Path:
    """Save the network for torch, as int8 ONNX as others quantise it, and as our export."""
    from runoff.export import export_cross_encoder  # noqa: PLC0415 - an extra

    whole, small = folder / "fp32", folder / "int8"
    backends.save(whole)
    small.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(whole / name, small / name)
    quantization = runtime.load("onnxruntime.quantization")
    quantization.quantize_dynamic(
        whole / "model.onnx", small / _INT8, weight_type=quantization.QuantType.QInt8
    )
    # with random weights int8 says little of fp32, and time is what is measured
    export_cross_encoder(whole, folder / "ours", precision="int8", agreement=0.0)
    return folder / "ours"


def _floor() -> Callable[[], Any]:
    """Return an int8 product on all cores, one thread each as our slots run."""
    import onnx  # noqa: PLC0415 - an extra
    from onnx import TensorProto, helper  # noqa: PLC0415 - as above

    random_bytes = np.random.default_rng(0)
    weights = random_bytes.integers(-64, 64, (_SIDE, _SIDE)).astype(np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "w"], ["y"])],
        "floor",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, ["m", _SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, None)],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    ort = runtime.load()
    options = ort.SessionOptions()
    options.intra_op_num_threads = cpu.cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    rows = random_bytes.integers(0, 255, (_SIDE, _SIDE)).astype(np.uint8)
    return lambda: session.run(None, {"a": rows})


def _sentence_transformers(folder: Path, texts: list[str]) -> Callable[[], Any]:
    from sentence_transformers import CrossEncoder as Theirs  # noqa: PLC0415 - an extra

    model = Theirs(str(folder / "fp32"), device="cpu", max_length=512)
    return lambda: model.rank(_QUERY, texts)


def _sentence_transformers_int8(folder: Path, texts: list[str]) -> Callable[[], Any]:
    from sentence_transformers import CrossEncoder as Theirs  # noqa: PLC0415 - an extra

    model = Theirs(
        str(folder / "int8"),
        device="cpu",
        backend="onnx",
        max_length=512,
        model_kwargs={"file_name": _INT8, "provider": "CPUExecutionProvider"},
    )
    return lambda: model.rank(_QUERY, texts)


def _flashrank(folder: Path, texts: list[str]) -> Callable[[], Any]:
    from flashrank import Ranker, RerankRequest  # noqa: PLC0415 - a peer

    home = folder / "flashrank" / _FLASHRANK  # where it looks for its own model of this shape
    shutil.copytree(folder / "int8", home)
    (home / _INT8).rename(home / _FLASHRANK_FILE)
    (home / "special_tokens_map.json").write_text(json.dumps({}), "utf-8")
    config = json.loads((home / "config.json").read_text("utf-8"))
    (home / "config.json").write_text(json.dumps({"pad_token_id": 0} | config), "utf-8")
    ranker = Ranker(_FLASHRANK, cache_dir=str(home.parent), max_length=512, log_level="WARNING")
    logging.getLogger().setLevel(logging.WARNING)
    passages = [{"id": at, "text": text} for at, text in enumerate(texts)]
    return lambda: ranker.rerank(
        RerankRequest(query=_QUERY, passages=[dict(one) for one in passages])
    )


def _llama_index(folder: Path, texts: list[str]) -> Callable[[], Any]:
    from llama_index.core.postprocessor import (  # noqa: PLC0415 - a peer
        SentenceTransformerRerank,
    )
    from llama_index.core.schema import NodeWithScore, TextNode  # noqa: PLC0415 - as above

    reranker = SentenceTransformerRerank(model=str(folder / "fp32"), top_n=10, device="cpu")
    nodes = [NodeWithScore(node=TextNode(text=text), score=0.0) for text in texts]
    return lambda: reranker.postprocess_nodes(nodes, query_str=_QUERY)


def _langchain(folder: Path, texts: list[str]) -> Callable[[], Any]:
    from langchain_classic.retrievers.document_compressors import (  # noqa: PLC0415 - a peer
        CrossEncoderReranker,
    )
    from langchain_community.cross_encoders import HuggingFaceCrossEncoder  # noqa: PLC0415
    from langchain_core.documents import Document  # noqa: PLC0415 - as above

    model = HuggingFaceCrossEncoder(model_name=str(folder / "fp32"), model_kwargs={"device": "cpu"})
    reranker = CrossEncoderReranker(model=model, top_n=10)
    documents = [Document(text) for text in texts]
    return lambda: reranker.compress_documents(documents, _QUERY)


_PEERS: dict[str, Callable[[Path, list[str]], Callable[[], Any]]] = {
    "sentence-transformers, int8 ONNX": _sentence_transformers_int8,
    "FlashRank's batching, int8 ONNX": _flashrank,
    "sentence-transformers, torch": _sentence_transformers,
    "LlamaIndex's SentenceTransformerRerank": _llama_index,
    "LangChain's CrossEncoderReranker": _langchain,
}
