"""`watch`: keep both orders of a sample of answers, off the path that serves them."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from runoff._recording.capture import describe_part, stages_of
from runoff._util.arguments import is_share
from runoff._util.messages import error_text, name_of, short_repr, visible
from runoff._util.stored import is_finite, path_of
from runoff._util.text import utf8
from runoff.errors import InvalidArgument
from runoff.live._seen import observed, shadowed
from runoff.live._store import Store
from runoff.live._writer import Retention, writer_of
from runoff.pipeline._systems import as_system, observed_system
from runoff.rerank._as_reranker import as_reranker
from runoff.rerank._cost import Cap
from runoff.scores import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike
    from pathlib import Path

    from runoff.live._observation import Observation
    from runoff.protocols import PairScorer, Reranker
    from runoff.types import Query, Response

_T = TypeVar("_T")
_chance = random.SystemRandom()  # no state that a fork would copy
_DAY = 86_400.0
_QUIET = 60.0  # seconds between two warnings
_logger = logging.getLogger("runoff")


def watch(  # noqa: PLR0913 - all but the first three by name
    target: _T,
    path: str | PathLike[str],
    sample: float = 0.05,
    *,
    texts: bool = False,
    slices: Callable[[Query], Mapping[str, object]] | None = None,
    shadow: Reranker | PairScorer | str | None = None,
    shadow_share: float = 0.1,
    shadow_cap: Cap | None = None,
    keep_days: float | None = 30.0,
    keep_megabytes: float | None = 1000.0,
) -> _T:
    """Return a copy that answers exactly as before and keeps a sample of its answers on disk.

    Each observation has both orders, fused and reranked, with ids, scores, hashes of texts,
    latencies and outcome; see `Observation`. A thread of its own makes and writes it: a full disk,
    a full queue or an error there is counted and logged, and never costs an answer. A killed
    process loses the last five seconds of its observations at most.

    Args:
        target: a `TwoStage`, or a retriever or engine of LangChain or LlamaIndex; it is not
            changed.
        path: a directory that is new, empty, or already has observations. Several processes may
            share it, forked ones too.
        sample: the probability with which an answer is kept, above 0 and at most 1.
        texts: whether to keep the texts of queries and candidates. Without it, only hashes are
            kept; a short or common query can be guessed from its hash.
        slices: returns for a query what groups it, such as `{"language": "de", "user": "u1"}`. It
            is called for sampled queries, in the thread that searched, before the answer returns.
        shadow: another reranker, which orders the candidates of sampled answers after they were
            returned. It never changes an answer, and has 30 seconds for one.
        shadow_share: the share of the time that the shadow may run, above 0 and at most 1;
            observations that come meanwhile are kept without it.
        shadow_cap: the most that the shadow may use in a day, in each process.
        keep_days: how long observations are kept; None for no limit.
        keep_megabytes: how large the directory may become before the oldest observations are
            deleted; None for no limit.

    Returns:
        A copy of one of runoff's own parts, of the same type; of any other, a retriever or engine
        that passes on every attribute of the original.

    Raises:
        InvalidArgument: an argument has a value it cannot have, or the target cannot be watched.
        MissingExtra: pyarrow is not installed.
    """
    folder = path_of("path", path).absolute()
    store = Store(folder)
    store.check_own()
    if not is_share(sample) or not sample:
        raise InvalidArgument("sample", sample, "must be above 0 and at most 1")
    if not is_share(shadow_share) or not shadow_share:
        raise InvalidArgument("shadow_share", shadow_share, "must be above 0 and at most 1")
    if not isinstance(texts, bool):
        raise InvalidArgument("texts", texts, "must be True or False")
    if slices is not None and not callable(slices):
        raise InvalidArgument("slices", slices, "must be a callable from Query to a mapping")
    if shadow_cap is not None and not isinstance(shadow_cap, Cap):
        raise InvalidArgument("shadow_cap", shadow_cap, "must be a Cap, such as Cap(cost=5)")
    for name, limit in (("keep_days", keep_days), ("keep_megabytes", keep_megabytes)):
        if limit is not None and not (is_finite(limit) and limit > 0):
            raise InvalidArgument(name, limit, "must be a number above 0, or None")
    with suppress(OSError):  # the writer tries again, and says what is wrong
        store.prepare()
    watcher = Watcher(
        folder,
        float(sample),
        _described(target),
        texts=texts,
        slices=slices,
        shadow=as_reranker(shadow),
        shadow_share=float(shadow_share),
        shadow_cap=shadow_cap,
        retention=Retention(keep_days, keep_megabytes),
    )
    return observed_system(target, watcher)


def _described(target: object) -> str:
    """Return a digest of how a pipeline is configured."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that recall cannot be widened, which is not done here
        pipeline = as_system(target, "target").pipeline
    parts = {f"source {name}": _described_part(one) for name, one in pipeline.sources.items()}
    for at, stage in enumerate(stages_of(pipeline.reranker), 1):
        parts[f"reranker {at}"] = f"{_described_part(stage.reranker)} {stage.setup}"
    parts["fusion"] = repr(pipeline.fusion)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _described_part(part: object) -> str:
    """Describe a part; by its class alone while the server that knows more does not answer."""
    try:
        return describe_part(part)
    except Exception:  # noqa: BLE001 - a service must start while its reranker's server is down
        return f"{type(part).__module__}.{type(part).__qualname__}"


@dataclass(slots=True)
class _Budget:
    """What the shadow of one process has used today, and when it may run again."""

    free_at: float = 0.0
    day: int = 0
    used: Usage = field(default_factory=Usage)
    warned: float = 0.0

    def left(self, cap: Cap | None) -> bool:
        """Whether the shadow has not used up its cap today."""
        today = int(time.time() // _DAY)
        if self.day != today:
            self.day, self.used = today, Usage()
        if cap is None or self.used == Usage():
            return True
        for name in ("pairs", "tokens", "billed_units", "cost"):
            limit, amount = getattr(cap, name), getattr(self.used, name)
            if limit is not None and amount is None:
                self.warn(f"the shadow is switched off: it does not report {name}, which has a cap")
                return False
            if limit is not None and amount >= limit:
                return False
        return True

    def warn(self, message: str) -> None:
        """Log a warning, once a minute at most."""
        now = time.monotonic()
        if not self.warned or now - self.warned > _QUIET:
            self.warned = now
            _logger.warning("%s", visible(message))


@dataclass(frozen=True, slots=True, eq=False)
class Watcher:
    """The observer that `watch` gives a pipeline; the process's state is in its `Writer`.

    Attributes:
        path: the directory.
        sample: the probability with which an answer is kept.
        setup: a digest of the pipeline's configuration.
        texts: whether texts are kept.
        slices: returns what groups a query.
        shadow: another reranker.
        shadow_share: the share of the time that it may run.
        shadow_cap: the most that it may use in a day.
        retention: how much is kept.
    """

    path: Path
    sample: float
    setup: str
    texts: bool = False
    slices: Callable[[Query], Mapping[str, object]] | None = None
    shadow: Reranker | None = None
    shadow_share: float = 0.1
    shadow_cap: Cap | None = None
    retention: Retention = field(default_factory=Retention)
    _budget: _Budget = field(default_factory=_Budget, repr=False)

    def __call__(self, answer: Response | Callable[[], Response]) -> None:
        """Count an answer, and put it into the queue if it is sampled.

        Args:
            answer: the response, or what makes it.
        """
        writer = writer_of(self.path)
        writer.see()
        if self.sample < 1.0 and _chance.random() >= self.sample:
            return
        writer.retention = self.retention
        writer.put(partial(self._observe, answer, time.time(), self._sliced(answer)))

    def _sliced(self, answer: Response | Callable[[], Response]) -> dict[str, str]:
        if self.slices is None:
            return {}
        query = (answer() if callable(answer) else answer).query
        return {utf8(str(name)): utf8(str(one)) for name, one in self.slices(query).items()}

    def _observe(
        self, answer: Response | Callable[[], Response], at: float, slices: dict[str, str]
    ) -> Observation:
        response = answer() if callable(answer) else answer
        trace = response.trace
        said = [self.setup, trace.model, [one.source for one in trace.stages]]
        said += [trace.depth, trace.window]
        pipeline = hashlib.sha256(repr(said).encode("utf-8", "replace")).hexdigest()[:16]
        made = observed(
            response,
            at=at,
            sample=self.sample,
            pipeline=pipeline,
            texts=self.texts,
            slices=slices,
        )
        return made if self.shadow is None else self._beside(response, made, self.shadow)

    def _beside(self, response: Response, made: Observation, shadow: Reranker) -> Observation:
        """Return an observation with the shadow's order, if there is time and money for it."""
        budget, begun = self._budget, time.monotonic()
        if begun < budget.free_at or not budget.left(self.shadow_cap):
            return made
        try:
            found = shadowed(response, shadow)
        except Exception as error:  # noqa: BLE001 - the observation is worth keeping without it
            budget.warn(f"the shadow {name_of(shadow)} failed: {error_text(error)}")
            return made
        finally:
            ended = time.monotonic()
            budget.free_at = ended + (ended - begun) * (1 / self.shadow_share - 1)
        budget.used += found.usage
        return replace(made, shadow=found)

    def __repr__(self) -> str:
        """Show where it writes, and what else runs."""
        beside = "" if self.shadow is None else f", shadow={name_of(self.shadow)}"
        return f"Watcher({short_repr(str(self.path))}, sample={self.sample}{beside})"
