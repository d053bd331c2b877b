"""The second stage's settings as pydantic fields: what compressor and retrievers share."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from runoff._util.arguments import count
from runoff._util.faults import OnError, check_on_error
from runoff.deadline import Deadline
from runoff.errors import InvalidArgument, RunoffError
from runoff.langchain._convert import Template
from runoff.langchain._tracing import Observed
from runoff.pipeline._grouping import as_grouping
from runoff.rerank._as_reranker import as_reranker
from runoff.rerank._pointwise import Pointwise
from runoff.scores import Threshold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.runnables import RunnableConfig

    from runoff.protocols import Reranker

__all__ = ["DEFAULT_RERANKER", "SecondStage", "named_errors"]

DEFAULT_RERANKER = "runoff-mini"


@contextmanager
def named_errors() -> Iterator[None]:
    """Let runoff's own errors out of pydantic's, so that each keeps its name and its remedy."""
    try:
        yield
    except ValidationError as error:
        for one in error.errors():
            cause = one.get("ctx", {}).get("error")
            if isinstance(cause, RunoffError):
                raise cause from None
        raise


class SecondStage(BaseModel):
    """The fields of the second stage; see `RunoffRerank` for what each means."""

    model_config = ConfigDict(
        arbitrary_types_allowed=True, extra="forbid", populate_by_name=True, frozen=False
    )

    reranker: Any = Field(default=DEFAULT_RERANKER, validate_default=True)
    window: int = Field(default=50, description="Candidates the reranker reads.")
    timeout: float | None = Field(default=None, description="Seconds for one call.")
    on_error: OnError = Field(default="transient", description="transient, degrade or raise.")
    threshold: Threshold | None = None
    blend: Any = None
    text_template: str | None = None
    group: Any = None

    if not TYPE_CHECKING:  # type checkers know the fields; this only unwraps errors

        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - fields
            with named_errors():
                super().__init__(*args, **kwargs)

    @field_validator("reranker")
    @classmethod
    def _check_reranker(cls, value: object) -> Reranker | None:
        return as_reranker(value)

    @field_validator("window", "top_n", "k", "depth", mode="before", check_fields=False)
    @classmethod
    def _check_count(cls, value: object, info: Any) -> int:  # noqa: ANN401 - pydantic's
        return count(info.field_name, value)

    @field_validator("timeout", mode="before")
    @classmethod
    def _check_timeout(cls, value: Any) -> float | None:  # noqa: ANN401 - anything may come
        Deadline(value)
        return None if value is None else float(value)

    @field_validator("on_error", mode="before")
    @classmethod
    def _check_on_error(cls, value: object) -> object:
        check_on_error(value)
        return value

    @field_validator("threshold", mode="before")
    @classmethod
    def _check_threshold(cls, value: object) -> object:
        if value is not None and not isinstance(value, Threshold):
            remedy = "must be a runoff Threshold: a bare number does not say which scale it is on"
            raise InvalidArgument("threshold", value, remedy)
        return value

    @field_validator("text_template", mode="before")
    @classmethod
    def _check_template(cls, value: Any) -> Any:  # noqa: ANN401 - anything may come
        if value is not None:
            Template(value)
        return value

    @field_validator("group")
    @classmethod
    def _check_group(cls, value: object) -> object:
        as_grouping(value)
        return value

    def warmup(self) -> None:
        """Load the model and run it once, so that the first call is as fast as the second."""
        reranker = self._reranker()
        if reranker is not None:
            Observed(reranker, {}).warmup()

    def _reranker(self) -> Reranker | None:
        """Return the second stage with threshold and blend, or None for recall alone."""
        reranker = as_reranker(self.reranker)
        given = {"threshold": self.threshold, "blend": self.blend}
        changes: dict[str, Any] = {key: one for key, one in given.items() if one is not None}
        if not changes or reranker is None:
            return reranker
        if not isinstance(reranker, Pointwise):
            argument = next(iter(changes))
            remedy = f"needs a scorer; give it to {type(reranker).__name__} itself"
            raise InvalidArgument(argument, changes[argument], remedy)
        return replace(reranker, **changes)

    def _observed(self, config: RunnableConfig, *, run: bool = True) -> Observed | None:
        """Return the second stage for one call under a config's callbacks."""
        reranker = self._reranker()
        if reranker is None:
            return None
        template = None if self.text_template is None else Template(self.text_template)
        return Observed(reranker, config, run=run, template=template)
