"""The second stage's options as pydantic fields: what the compressor and the retrievers share."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from runoff._util.adapters.options import Plain, brief_repr, refuse_positional, refuse_unknown
from runoff._util.display import html_by
from runoff._util.faults import OnError
from runoff.errors import InvalidArgument, RunoffError
from runoff.langchain._convert import template
from runoff.langchain._tracing import Observed
from runoff.pipeline._second_stage import checked, model_name, second_stage
from runoff.rerank._as_reranker import DEFAULT_RERANKER, as_reranker
from runoff.rerank._pointwise import Pointwise
from runoff.scores import Threshold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.runnables import RunnableConfig

    from runoff.pipeline._observers import Observer
    from runoff.pipeline._second_stage import Blend, Group
    from runoff.protocols import Reranker
    from runoff.types import Document
else:  # `checked` looks at the values; pydantic need not
    Blend = Group = Observer = Any

_CHECKED = (
    "top_n", "window", "depth", "timeout", "on_error", "threshold", "blend", "group", "provenance",
    "fusion", "id_of", "on_blank", "observer",
)  # fmt: skip


@contextmanager
def _named_errors() -> Iterator[None]:
    """Raise runoff's own errors as they are, and pydantic's as `InvalidArgument`."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, RunoffError):
            raise cause from None
        missing = first["type"] == "missing"
        argument, message = ".".join(map(str, first["loc"])), first["msg"]
        remedy = "is required" if missing else f"{message[:1].lower()}{message[1:]}"
        raise InvalidArgument(argument, None if missing else first["input"], remedy) from None


@dataclass(frozen=True, slots=True)
class _Rendered:
    """Returns a document's text as a template lays it out.

    Attributes:
        text: the template.
    """

    text: str

    def __call__(self, document: Document) -> str:
        return template(self.text).render(document.text, document.metadata)


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_json, (*value, *value.values())))
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    return value is None or isinstance(value, bool | int | float | str)


class SecondStage(BaseModel):
    """The options of the second stage; see `RunoffRerank` for what each means."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    # how to write what was given without a name, and other names of options
    _advice: ClassVar[str] = 'RunoffRerank(reranker="runoff-mini", top_n=5)'
    _aliases: ClassVar[dict[str, str]] = {}

    reranker: object = Field(default=DEFAULT_RERANKER, validate_default=True)
    window: int = Field(default=50, description="Candidates the reranker reads.")
    timeout: float | None = Field(default=None, description="Seconds for one call.")
    on_error: OnError = Field(default="transient", description="transient, degrade or raise.")
    threshold: Threshold | None = None
    blend: Blend = "auto"
    text_template: str | None = None
    group: Group = None
    provenance: bool = True
    observer: Observer | None = Field(default=None, exclude=True)

    if not TYPE_CHECKING:  # type checkers know the fields

        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            kind = type(self)
            refuse_positional(kind.__name__, args, self._advice)
            refuse_unknown(kind.__name__, kwargs, kind.model_fields.keys() | self._aliases.keys())
            for alias, name in self._aliases.items():
                value = kwargs.pop(alias, None)
                if value is None:
                    continue
                if kwargs.get(name) not in (None, value):
                    remedy = (
                        f"is another name for {name}, which was given as {kwargs[name]!r}: pass "
                        "one of them"
                    )
                    raise InvalidArgument(alias, value, remedy)
                kwargs[name] = value
            with _named_errors():
                super().__init__(**kwargs)

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401
        """Set an option; a wrong value is refused as in the constructor, and changes nothing."""
        name = self._aliases.get(name, name)
        kind = type(self)
        if name in kind.model_fields:
            with _named_errors():  # on a copy, as pydantic checks the whole after it has changed
                made = kind.__pydantic_validator__.validate_assignment(
                    self.model_copy(), name, value
                )
            value = getattr(made, name)
        super().__setattr__(name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickle; those of 0.1.0 say `k` for top_n, and None for `blend="auto"`."""
        fields = state["__dict__"]
        if "k" in fields:
            fields["top_n"] = fields.pop("k")
        if "blend" not in state["__pydantic_fields_set__"]:
            fields["blend"] = "auto"
        defaults = {
            name: one.get_default(call_default_factory=True)
            for name, one in type(self).model_fields.items()
        }
        super().__setstate__({**state, "__dict__": {**defaults, **fields}})

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Show the reranker, and what differs from the defaults; objects by their class alone."""
        found = self._settings().items()
        return [(name, Plain(text)) for name, (text, usual) in found if not usual]

    _repr_html_ = html_by("configured_html", "_notebook")

    def _settings(self) -> dict[str, tuple[str, bool]]:
        """Return each option as a text, and whether it is the default and of little interest."""
        made = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name, field.default)  # it may not be made yet
            usual = name not in {"reranker", "top_n"} and value == field.default
            if name == "reranker" and value is not None:
                value = Plain(model_name(value))
            made[name] = brief_repr(value), usual
        return made

    __str__ = BaseModel.__repr__

    @field_serializer("*", mode="wrap", when_used="json")
    def _as_json(self, value: Any, plain: SerializerFunctionWrapHandler) -> Any:  # noqa: ANN401
        """Write plain values; of other objects the class alone, since they may hold a key."""
        return plain(value) if _is_json(value) else brief_repr(value)

    @field_validator("reranker")
    @classmethod
    def _check_reranker(cls, value: object) -> Reranker | None:
        return as_reranker(value)

    @field_validator(*_CHECKED, mode="before", check_fields=False)
    @classmethod
    def _check_option(cls, value: Any, info: Any) -> Any:  # noqa: ANN401
        return checked(info.field_name, value)

    @field_validator("text_template", mode="before")
    @classmethod
    def _check_template(cls, value: Any) -> Any:  # noqa: ANN401
        if value is not None:
            template(value)
        return value

    @model_validator(mode="after")
    def _check_second_stage(self) -> SecondStage:
        second_stage(self.reranker, self.threshold, self.blend)
        return self

    def warmup(self) -> None:
        """Load the model and run it once, so that the first call is as fast as the second."""
        reranker = self._reranker()
        if reranker is not None:
            Observed(reranker, {}).warmup()

    def _reranker(self) -> Reranker | None:
        """Return the second stage with threshold and blend, or None for recall alone."""
        return second_stage(self.reranker, self.threshold, self.blend)

    def _observed(self, config: RunnableConfig, *, run: bool = True) -> Observed | None:
        """Return the second stage for one call under a config's callbacks."""
        reranker = self._reranker()
        if reranker is None:
            return None
        layout = None if self.text_template is None else template(self.text_template)
        return Observed(reranker, config, run=run, template=layout)

    def _unobserved(self) -> Reranker | None:
        """Return the second stage, with its template, for use outside LangChain's runs."""
        reranker = self._reranker()
        if self.text_template is None or reranker is None:
            return reranker
        if isinstance(reranker, Pointwise):
            return replace(reranker, text=_Rendered(self.text_template))
        return self._observed({}, run=False)
