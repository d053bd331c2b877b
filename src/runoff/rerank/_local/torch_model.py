"""A sentence-transformers model in this process: opened safely, run one batch at a time."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from runoff._onnx import cpu, sessions
from runoff._util import optout
from runoff._util.fork import in_child
from runoff._util.messages import first_line
from runoff.errors import InvalidArgument, MissingExtra, ModelDamaged, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from runoff._onnx.files import ModelDirectory
    from runoff._onnx.tokens import Encoded
    from runoff.rerank._local.cross_encoder import CrossEncoder

_PACKAGE = "sentence-transformers"
_CALLED_DTYPE_SINCE = (4, 56)  # transformers: torch_dtype before
_OF_NO_CLASS = {"PreTrainedTokenizerFast", "TokenizersBackend"}
_UNLIMITED = 10**9  # tokens; texts are cut before they come here


class LoadedModel:
    """A model that is ready to run.

    Runs of one model wait for each other: OpenVINO has one request, and the tokenizers of
    transformers keep state.

    Args:
        config: backend, device and dtype are taken from it.
        directory: the files and settings of the model.
        attention: how torch computes attention, as transformers names it; None is its default.

    Attributes:
        generation: see `runoff._onnx.sessions`.
        name: as the user gave it.
        device: where it runs, such as `"cpu"` or `"cuda:0"`.
        on_cpu: whether that is the CPU.
        chat: whether it has a chat template, so that texts are rendered as messages.
        can_batch: whether several inputs may share a run.
        ends_in_sigmoid: whether its own last layer makes probabilities.
        prompts: texts before the query that its settings contain, by name.
        default_prompt: the name of the prompt to use by default; None for none.
        tokenizer: a tokenizer of its own, with truncation and padding off.

    Raises:
        MissingExtra: sentence-transformers, or what it needs for OpenVINO, is not installed.
        InvalidArgument: device or dtype does not suit this machine, or the model this version.
        ModelDamaged: it cannot be loaded.
    """

    def __init__(
        self, config: CrossEncoder, directory: ModelDirectory, attention: str | None = None
    ) -> None:
        package = _package(config.backend)
        self.generation = sessions.generation()
        self.name = config.name
        self.device = "cpu" if config.backend == "openvino" else _device(config)
        self.on_cpu = self.device.partition(":")[0] == "cpu"
        if self.on_cpu and config.dtype not in (None, "float32"):
            remedy = "needs a GPU: on a CPU it is slower and causes ties; leave it out"
            raise InvalidArgument("dtype", config.dtype, remedy)
        self._model = _open(package, config, directory, self.device, attention)
        self._modular = hasattr(self._model, "preprocess")  # since 5.4
        if not self._modular and "ForCausalLM" in str(self._model.config.architectures):
            raise InvalidArgument(
                "model",
                config.name,
                f"a causal language model needs {_PACKAGE} 5.4 or newer, this is "
                f'{package.__version__}: pip install --upgrade "runoff[{_PACKAGE}]"',
            )
        self.chat = self._modular and "message" in self._model.modalities
        last = list(self._model.children())[-1] if self._modular else None
        yes, no = getattr(last, "true_token_id", None), getattr(last, "false_token_id", None)
        # a decoder that classifies finds its last token by the padding
        padding = getattr(self._model.config, "pad_token_id", None)
        self.can_batch = padding is not None or yes is not None
        if yes is not None and yes == no:
            remedy = 'its tokenizer has no tokens "yes" and "no", whose logits make the score'
            raise InvalidArgument("model", config.name, remedy)
        activation = type(getattr(last, "activation_function", None)).__name__
        self.ends_in_sigmoid = activation == "Sigmoid"
        self.prompts: Mapping[str, str] = getattr(self._model, "prompts", None) or {}
        self.default_prompt: str | None = getattr(self._model, "default_prompt_name", None)
        self._lock = threading.Lock()
        self._tokenizer = self._model.tokenizer
        self._tokenizer.model_max_length = _UNLIMITED
        self.tokenizer = _fast(self._tokenizer, config.name)
        self._reads_types = _reads_types(self._model, directory)
        self._model.eval()
        # options that the layers need besides tensors, such as how many logits to compute
        made = self._preprocess("query", "document") if self._modular else {}
        self._options = {name: one for name, one in made.items() if isinstance(one, str | int)}

    def render(self, query: str, document: str, prompt: str) -> list[int]:
        """Return the token ids of a pair in the model's chat template, however many they are.

        Raises:
            InvalidArgument: the template does not hold a query and a document.
        """
        features = self._preprocess(query, document, prompt)
        ids: list[int] = features["input_ids"][0].tolist()
        return ids

    def _preprocess(self, query: str, document: str, prompt: str = "") -> Mapping[str, Any]:
        try:
            with self._lock:
                features = self._model.preprocess([(query, document)], prompt=prompt or None)
        except ValueError as error:
            raise InvalidArgument("model", self.name, first_line(error)) from error
        return cast("Mapping[str, Any]", features)

    def run(self, inputs: Sequence[Encoded]) -> NDArray[np.float64]:
        """Compute the logits of n inputs, in one batch.

        Inputs of one length are not padded.

        Returns:
            The logits in float64, shape (n, labels), upcast before anything is made of them.

        Raises:
            TransientError: the device has no memory left for it.
            ModelDamaged: the model cannot be run.
        """
        import torch  # noqa: PLC0415 - loaded already; imported where models are used

        padded = self._padded(inputs)
        try:
            features = {
                name: torch.from_numpy(values).to(self.device) for name, values in padded.items()
            }
            with self._lock, torch.inference_mode():
                scores = self._scores(features)
                values: NDArray[np.float64] = scores.float().cpu().numpy().astype(np.float64)
        except torch.cuda.OutOfMemoryError as error:
            raise TransientError(
                f"{self.name}: {self.device} is out of memory ({first_line(error)}): a smaller "
                "batch_size or max_length needs less"
            ) from error
        except Exception as error:
            raise ModelDamaged(f"{self.name} cannot be run: {first_line(error)}") from error
        return values

    def _scores(self, features: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a tensor
        if not self._modular:
            return self._model.model(**features).logits
        return self._model({**features, **self._options})["scores"]

    def traceable(
        self, inputs: Sequence[Encoded]
    ) -> tuple[Any, Callable[[Mapping[str, Any]], Any], dict[str, Any]]:
        """Return what is needed to trace the network.

        Args:
            inputs: texts to trace it with; they are padded to one length.

        Returns:
            The torch module, what makes scores (n, labels) of the named inputs, and the inputs.
        """
        import torch  # noqa: PLC0415 - as above

        padded = self._padded(inputs)
        return (
            self._model,
            self._scores,
            {name: torch.from_numpy(values) for name, values in padded.items()},
        )

    def _padded(self, inputs: Sequence[Encoded]) -> dict[str, NDArray[np.int64]]:
        shape = (len(inputs), max(map(len, inputs)))
        ids = np.full(shape, self._tokenizer.pad_token_id or 0, np.int64)
        mask, types = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, one in enumerate(inputs):
            left = self._tokenizer.padding_side == "left"
            where = slice(-len(one), None) if left else slice(len(one))
            ids[row, where], mask[row, where], types[row, where] = one.ids, 1, one.type_ids
        made = {"input_ids": ids, "attention_mask": mask}
        if self._reads_types:
            made["token_type_ids"] = types
        return made


def _package(backend: str) -> Any:  # noqa: ANN401 - it may not be installed
    optout.apply()
    try:
        package = importlib.import_module("sentence_transformers")
    except ModuleNotFoundError as error:
        if error.name != "sentence_transformers":
            raise
        raise MissingExtra(_PACKAGE, _PACKAGE) from error
    if backend == "openvino":
        for name in ("openvino", "optimum", "optimum.intel"):
            if importlib.util.find_spec(name) is None:
                raise MissingExtra(name.replace(".", "-"), "openvino")
    return package


def _device(config: CrossEncoder) -> str:
    import torch  # noqa: PLC0415 - an extra
    from sentence_transformers.util import get_device_name  # noqa: PLC0415 - an extra

    name = get_device_name() if config.device is None else config.device
    try:
        return str(torch.zeros(1, device=name).device)
    except Exception as error:  # torch raises many kinds here
        raise InvalidArgument("device", name, f"cannot be used: {first_line(error)}") from error


_forked_with: set[str] = set()  # runtimes whose threads did not cross, and which wait for them


@in_child
def _after_fork() -> None:
    _forked_with.update({"torch", "openvino"} & sys.modules.keys())


def _open(
    package: Any,  # noqa: ANN401 - no types before it is installed
    config: CrossEncoder,
    directory: ModelDirectory,
    device: str,
    attention: str | None,
) -> Any:  # noqa: ANN401 - as above
    if config.backend == "torch":
        import torch  # noqa: PLC0415 - an extra
        import transformers  # noqa: PLC0415 - comes with it

        if "torch" in _forked_with:
            torch.set_num_threads(1)
        elif torch.get_num_threads() > cpu.cores():  # torch knows nothing of a container's quota
            torch.set_num_threads(cpu.cores())
        version = tuple(int(part) for part in transformers.__version__.split(".")[:2])
        dtype = "dtype" if version >= _CALLED_DTYPE_SINCE else "torch_dtype"
        options = {dtype: getattr(torch, config.dtype or "float32"), "use_safetensors": True}
        if attention is not None:
            options["attn_implementation"] = attention
    else:
        if "openvino" in _forked_with:
            remedy = "was in use before this process was forked: fork first, or spawn processes"
            raise InvalidArgument("backend", config.backend, remedy)
        # by itself it computes in bfloat16 on processors that have it
        options = {"ov_config": {"INFERENCE_PRECISION_HINT": "f32"}}
    try:
        return package.CrossEncoder(
            str(directory.directory),
            device=device,
            backend=config.backend,
            trust_remote_code=config.trust_remote_code,
            local_files_only=config.local_files_only or not config.trust_remote_code,
            model_kwargs=options,
        )
    except Exception as error:  # transformers raises many kinds here
        msg = f"{config.name}: {directory.directory} cannot be loaded: {first_line(error)}"
        raise ModelDamaged(msg) from error


def _reads_types(model: Any, directory: ModelDirectory) -> bool:  # noqa: ANN401 - as above
    """Whether a model's input tells query tokens and document tokens apart.

    For a tokenizer without a class of its own, transformers 4 says yes and transformers 5 no, so
    the model's configuration decides.
    """
    stated = directory.settings("tokenizer_config.json").get("model_input_names")
    if stated is None and type(model.tokenizer).__name__ in _OF_NO_CLASS:
        return (getattr(model.config, "type_vocab_size", None) or 0) > 1
    return "token_type_ids" in (stated or model.tokenizer.model_input_names)


def _fast(tokenizer: Any, name: str) -> Tokenizer:  # noqa: ANN401 - no types before it is installed
    """Return a tokenizer of our own: those of transformers change while they are used."""
    from tokenizers import Tokenizer  # noqa: PLC0415 - imported where models are used

    if not getattr(tokenizer, "is_fast", False):
        raise InvalidArgument("model", name, "it needs a fast tokenizer (tokenizer.json)")
    made = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    made.no_truncation()
    made.no_padding()
    return made
